package api

import (
	"fmt"
	"testing"
	"time"
)

func TestWrongKeysAreCountedByAddressInBoundedMemory(t *testing.T) {
	t.Parallel()
	var g guesses
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for range maxGuesses {
		if w := g.wait("192.0.2.1", now); w != 0 {
			t.Fatalf("has to wait %v already", w)
		}
		g.failed("192.0.2.1", now)
	}
	if w := g.wait("192.0.2.1", now.Add(10*time.Second)); w != guessWindow-10*time.Second {
		t.Errorf("has to wait %v", w)
	}
	if g.wait("192.0.2.2", now) != 0 || g.wait("192.0.2.1", now.Add(guessWindow)) != 0 {
		t.Error("another address has to wait, or one whose window is over")
	}
	for range maxGuesses {
		g.failed("2001:db8::1", now)
	}
	if g.wait("2001:db8::ffff:1", now) == 0 || g.wait("2001:db8:0:1::1", now) != 0 {
		t.Error("a network of IPv6 is not one address")
	}
	for i := range 3 * maxGuessers {
		g.failed(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), now)
		if len(g.by) > maxGuessers {
			t.Fatalf("%d addresses are remembered", len(g.by))
		}
	}
	g.failed("198.51.100.1", now.Add(2*guessWindow))
	if len(g.by) != 1 {
		t.Errorf("%d addresses are remembered whose window is over", len(g.by)-1)
	}
}
