package app

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/prismq/thequeue/internal/api"
)

// conns are the open connections of a server. http.Server waits at a stop for those that have begun a request without ever ending
// its head, and some seconds for those that have sent nothing; this knows which they are.
type conns struct {
	mu       sync.Mutex
	stopping bool
	open     map[*conn]struct{}
}

// conn is one connection of a client.
type conn struct {
	net.Conn
	answering atomic.Bool // a request is being answered
	unwatched atomic.Bool // nobody needs to know when the client goes
}

type connKey struct{}

// attach makes the server tell of its connections, which must come through listen. Call it before it serves.
func (c *conns) attach(server *http.Server) {
	c.open = make(map[*conn]struct{})
	server.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, ownConn(nc))
	}
	server.ConnState = func(nc net.Conn, state http.ConnState) {
		switch own := ownConn(nc); state {
		case http.StateNew:
			c.begin(own)
		case http.StateIdle: // the answer is out
			own.answering.Store(false)
		case http.StateClosed, http.StateHijacked:
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.open, own)
		}
	}
	next := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own := r.Context().Value(connKey{}).(*conn)
		own.answering.Store(true)
		own.unwatched.Store(!api.Waits(r))
		next.ServeHTTP(w, r)
		own.unwatched.Store(false)
	})
}

// ownConn is the connection that the listener has made, under TLS or not.
func ownConn(nc net.Conn) *conn {
	if secure, ok := nc.(*tls.Conn); ok {
		nc = secure.NetConn()
	}
	return nc.(*conn)
}

// begin enters a connection, or closes it when the server is stopping.
func (c *conns) begin(own *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[own] = struct{}{}
	if c.stopping {
		_ = own.Close()
	}
}

// closeSilent closes the connections on which no whole request has come, those to come included.
func (c *conns) closeSilent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	for own := range c.open {
		if !own.answering.Load() {
			_ = own.Close() // nobody is owed an answer
		}
	}
}

// listener makes each connection a conn.
type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: nc}, nil
}

// Read reads as a connection does, but for one case. As soon as the body of a request has been read, http.Server has another goroutine read
// one byte, so that it can end the context of the request when the client goes, and breaks that read off before it answers. A call
// that waits for nothing but its commit is answered whoever listens, and the two hand-overs between goroutines cost it more than reading its
// request: this read says at once that nothing has come, which ends that goroutine. The next request is read with a longer buffer.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 1 && c.unwatched.Load() {
		return 0, nil
	}
	return c.Conn.Read(p)
}

// CloseWrite lets the client read the last answer before the connection is closed.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
