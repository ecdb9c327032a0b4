package app

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// conns are the open connections of a server. http.Server waits at a stop for those that have begun a request without ever ending
// its head, and some seconds for those that have sent nothing; this knows which they are.
type conns struct {
	mu       sync.Mutex
	stopping bool
	open     map[net.Conn]bool // whether a request is being answered
}

type connKey struct{}

// attach makes the server tell of its connections. Call it before it serves.
func (c *conns) attach(server *http.Server) {
	c.open = map[net.Conn]bool{}
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, conn)
	}
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if c.set(conn, false); c.isStopping() {
				_ = conn.Close()
			}
		case http.StateIdle: // the answer is out
			c.set(conn, false)
		case http.StateClosed, http.StateHijacked:
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.open, conn)
		}
	}
	next := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := r.Context().Value(connKey{}).(net.Conn)
		c.set(conn, true)
		next.ServeHTTP(w, r)
	})
}

func (c *conns) set(conn net.Conn, answering bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[conn] = answering
}

func (c *conns) isStopping() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopping
}

// closeSilent closes the connections on which no whole request has come, those to come included.
func (c *conns) closeSilent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	for conn, answering := range c.open {
		if !answering {
			_ = conn.Close() // nobody is owed an answer
		}
	}
}
