package app

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// counted counts how often its timer for reading is set.
type counted struct {
	net.Conn
	set int
}

func (c *counted) SetReadDeadline(at time.Time) error {
	c.set++
	return c.Conn.SetReadDeadline(at)
}

// onPipe runs a test on a connection in a bubble, where time passes when nobody does anything.
func onPipe(t *testing.T, do func(t *testing.T, c *timed, inner *counted, client net.Conn)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer server.Close()
		defer client.Close()
		inner := &counted{Conn: server}
		c := newTimed(inner)
		do(t, &c, inner, client)
	})
}

func TestAReadEndsAtTheDeadlineThatWasSetLast(t *testing.T) {
	onPipe(t, func(t *testing.T, c *timed, _ *counted, _ net.Conn) {
		for _, seconds := range [][]time.Duration{{10}, {10, 60}, {60, 10}, {10, 60, 20}, {60, 10, 120}, {10, -1}, {-1}} {
			begin := time.Now()
			for _, s := range seconds {
				if err := c.SetReadDeadline(begin.Add(s * time.Second)); err != nil {
					t.Fatal(err)
				}
			}
			_, err := c.Read(make([]byte, 1))
			want := max(seconds[len(seconds)-1], 0) * time.Second
			if took := time.Since(begin); took != want || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("deadlines %d: it ended after %v with %v, want %v", seconds, took, err, want)
			}
		}
	})
}

func TestAReadWithoutDeadlineWaits(t *testing.T) {
	onPipe(t, func(t *testing.T, c *timed, _ *counted, client net.Conn) {
		err := errors.Join(c.SetReadDeadline(time.Now().Add(10*time.Second)), c.SetReadDeadline(time.Time{}))
		go func() {
			time.Sleep(time.Hour)
			_, _ = io.WriteString(client, "a")
		}()
		if n, readErr := c.Read(make([]byte, 1)); n != 1 || err != nil || readErr != nil {
			t.Errorf("%d bytes, errors %v, %v", n, err, readErr)
		}
	})
}

func TestAReadIsBrokenOffByADeadlineInThePast(t *testing.T) {
	onPipe(t, func(t *testing.T, c *timed, _ *counted, client net.Conn) {
		ended := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}()
		synctest.Wait()
		if err := c.SetDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
		if err := c.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go io.WriteString(client, "a")
		if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("afterwards: %d bytes, error %v", n, err)
		}
	})
}

func TestAWriteGoesOnWhereItsTimerWasTooEarly(t *testing.T) {
	onPipe(t, func(t *testing.T, c *timed, _ *counted, client net.Conn) {
		begin := time.Now()
		for _, s := range []time.Duration{10, 60} {
			if err := c.SetWriteDeadline(begin.Add(s * time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		got := make(chan string)
		go func() {
			b := make([]byte, 6)
			_, _ = io.ReadFull(client, b[:3])
			time.Sleep(30 * time.Second)
			_, _ = io.ReadFull(client, b[3:])
			got <- string(b)
		}()
		n, err := io.WriteString(c, "abcdef")
		if text := <-got; n != 6 || err != nil || text != "abcdef" {
			t.Errorf("wrote %d bytes, error %v; %q arrived", n, err, text)
		}
		if n, err := io.WriteString(c, "g"); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Minute {
			t.Errorf("nobody reads: %d bytes, error %v after %v", n, err, time.Since(begin))
		}
	})
}

func TestADeadlineThatMovesOnSetsOneTimer(t *testing.T) {
	onPipe(t, func(t *testing.T, c *timed, inner *counted, _ net.Conn) {
		for i := range 100 {
			if err := errors.Join(c.SetReadDeadline(time.Now().Add(time.Duration(i)*time.Second+time.Minute)), c.SetReadDeadline(time.Time{})); err != nil {
				t.Fatal(err)
			}
		}
		if inner.set != 1 {
			t.Errorf("set %d times, want once", inner.set)
		}
	})
}
