package app

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// served has a handler answer on connections as those of the server are. dial opens one and sends text.
func served(t *testing.T, handler http.HandlerFunc) (dial func(text string) net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open conns
	server := &http.Server{Handler: handler}
	open.attach(server)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener{ln}) }()
	t.Cleanup(func() { server.Close(); <-ended })
	return func(text string) net.Conn {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			_, err = io.WriteString(conn, text)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
}

const request = "POST /api/queue/claim HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"

func TestAWaitingClaimLearnsThatItsClientHasGone(t *testing.T) {
	t.Parallel()
	waiting, gone := make(chan struct{}, 2), make(chan struct{}, 2)
	dial := served(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if strings.HasSuffix(r.URL.Path, "/claim") {
			waiting <- struct{}{}
			<-r.Context().Done()
			gone <- struct{}{}
		}
	})
	// The same connection may have had a request before that nobody watched.
	for _, before := range []string{"", strings.Replace(request, "claim", "enqueue", 1)} {
		conn := dial(before + request)
		<-waiting
		conn.Close()
		<-gone
	}
}

func TestRequestsSentTogetherAreAnsweredInTurn(t *testing.T) {
	t.Parallel()
	dial := served(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})
	conn := dial(strings.Replace(strings.Repeat(request, 3), "claim", "enqueue", 2))
	answers := bufio.NewReader(conn)
	for i := range 3 {
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if b, err := io.ReadAll(resp.Body); string(b) != "{}" || err != nil {
			t.Errorf("answer %d: %q, error %v", i, b, err)
		}
		resp.Body.Close()
	}
}

func TestNobodyReadsOneByteWhileNobodyWatches(t *testing.T) {
	t.Parallel()
	inner, client := net.Pipe()
	defer client.Close()
	c := &conn{Conn: inner}
	c.unwatched.Store(true)
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("unwatched: %d bytes, error %v", n, err)
	}
	go io.WriteString(client, "abc")
	if n, err := io.ReadFull(c, make([]byte, 2)); n != 2 || err != nil {
		t.Errorf("a longer read: %d bytes, error %v", n, err)
	}
	c.unwatched.Store(false)
	if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("watched: %d bytes, error %v", n, err)
	}
}

func TestOnlyCallsThatAreDoneAtOnceAreNotWatched(t *testing.T) {
	t.Parallel()
	seen := make(chan bool, 1)
	dial := served(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Context().Value(connKey{}).(*conn).unwatched.Load()
	})
	for line, want := range map[string]bool{
		"POST /api/queue/enqueue": true, "POST /api/queue/tasks/1/complete": true, "POST /api/queue/claim": false, "GET /api/queue/stats": false,
	} {
		dial(line + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
		if got := <-seen; got != want {
			t.Errorf("%s: not watched is %v, want %v", line, got, want)
		}
	}
}
