package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/config"
)

// TestSilentConnectionsDoNotHoldUpAStop has connections on which no whole request comes.
func TestSilentConnectionsDoNotHoldUpAStop(t *testing.T) {
	t.Parallel()
	addr, stop, ended := start(t)
	for _, text := range []string{"", "GET /livez HT", "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"} {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_, err = io.WriteString(conn, text)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	resp, err := http.Get("http://" + addr + "/livez") // the connections before it are known now
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(shutdownTimeout - time.Second):
		t.Error("it waits for them")
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	}
}

// start serves an empty queue. ended yields what Serve returned.
func start(t *testing.T) (addr string, stop func(), ended <-chan error) {
	t.Helper()
	cfg := config.Default(func(string) string { return "" })
	cfg.Addr, cfg.Database, cfg.WorkerID, cfg.Workers = "127.0.0.1:0", filepath.Join(t.TempDir(), "queue.db"), "w", 0
	ctx, stop := context.WithCancel(t.Context())
	ready, out := make(chan string, 1), make(chan error, 1)
	go func() {
		out <- Serve(ctx, cfg, Options{Log: slog.New(slog.DiscardHandler), Ready: func(addr string) { ready <- addr }})
	}()
	return <-ready, stop, out
}

func TestAnotherNameOfThisMachineIsRefused(t *testing.T) {
	t.Parallel()
	addr, stop, ended := start(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/api/queue/tasks", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("got %s", resp.Status)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Who sends a request too slowly is left, and does not hold a connection for ever.
func TestASlowClientIsLeft(t *testing.T) {
	t.Parallel()
	addr, stop, ended := start(t)
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		_, err = io.WriteString(conn, "POST /api/queue/enqueue HTTP/1.1\r\nHost: localhost\r\nContent-Le")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(3 * readHeaderTimeout)); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(conn); err != nil {
		t.Errorf("after %v it is not left: %q, error %v", 3*readHeaderTimeout, text, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Uploads that are too long are refused before they are read, so that a hundred at once cost next to nothing.
func TestHugeUploadsAreRefusedUnread(t *testing.T) {
	t.Parallel()
	addr, stop, ended := start(t)
	var conns []net.Conn
	for range 100 {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_, err = io.WriteString(conn, "POST /api/queue/enqueue HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n{\"type\":\"")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	for _, conn := range conns {
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		head := make([]byte, len("HTTP/1.1 413"))
		if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 413" {
			t.Fatalf("got %q, error %v", head, err)
		}
	}
	for _, conn := range conns {
		conn.Close()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
