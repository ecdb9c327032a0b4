package app

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// timed is a connection that sets a deadline only where none comes before it already. http.Server moves its deadlines on five times in each
// request, and a timer and a look at the clock for each take 2 % of the server's processor time (measured); here a timer that has become too early goes off once
// in a while, and is set again.
type timed struct {
	net.Conn
	read, write deadline
}

func newTimed(c net.Conn) timed {
	return timed{Conn: c, read: deadline{set: c.SetReadDeadline}, write: deadline{set: c.SetWriteDeadline}}
}

func (t *timed) Read(p []byte) (int, error) {
	for {
		if n, err := t.Conn.Read(p); n > 0 || err == nil || t.read.final(err) {
			return n, err
		}
	}
}

func (t *timed) Write(p []byte) (int, error) {
	for written := 0; ; {
		n, err := t.Conn.Write(p[written:])
		if written += n; err == nil || t.write.final(err) {
			return written, err
		}
	}
}

func (t *timed) SetReadDeadline(at time.Time) error  { return t.read.want(at) }
func (t *timed) SetWriteDeadline(at time.Time) error { return t.write.want(at) }

func (t *timed) SetDeadline(at time.Time) error {
	return errors.Join(t.read.want(at), t.write.want(at))
}

// deadline is that of one direction. It is safe for concurrent use.
type deadline struct {
	set    func(time.Time) error // sets the timer of the connection
	mu     sync.Mutex
	wanted time.Time // zero: none
	timer  time.Time // when the timer goes off or went off; zero: it was never set
}

// want makes at the deadline from now on, zero for none.
func (d *deadline) want(at time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = at
	if at.IsZero() || !d.timer.IsZero() && !at.Before(d.timer) {
		return nil
	}
	d.timer = at
	return d.set(at)
}

// final reports whether an error of the connection is for its caller. It is not where the timer went off for a deadline that has been moved: then it
// is set again, and goes off at once if that one has passed too.
func (d *deadline) final(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer.Equal(d.wanted) {
		return true
	}
	d.timer = d.wanted
	return d.set(d.wanted) != nil
}
