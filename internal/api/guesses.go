package api

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// An address may send maxGuesses keys that are none within guessWindow; then its further ones are not looked at before the window is over.
	maxGuesses  = 20
	guessWindow = time.Minute
	// maxGuessers bounds the memory: that many addresses are remembered. Past it others are forgotten, which gives an attacker with as many addresses no
	// more tries than these have anyway.
	maxGuessers = 4096
)

// guesses counts the keys that were none, by the address that has sent them. The zero value is ready.
type guesses struct {
	mu sync.Mutex
	by map[netip.Prefix]*guesser
}

type guesser struct {
	since time.Time
	n     int
}

// wait returns how long an address has to wait before its guesses are looked at; 0: not at all.
func (g *guesses) wait(address string, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	who := g.by[network(address)]
	if who == nil || who.n < maxGuesses {
		return 0
	}
	return max(0, guessWindow-now.Sub(who.since))
}

// failed counts a key that was none, and returns how many of the window there are.
func (g *guesses) failed(address string, now time.Time) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := network(address)
	who := g.by[from]
	if who == nil || now.Sub(who.since) >= guessWindow {
		g.makeRoom(now)
		who = &guesser{since: now}
		g.by[from] = who
	}
	who.n++
	return who.n
}

// makeRoom forgets those whose window is over and, while there are too many, others. The caller holds mu.
func (g *guesses) makeRoom(now time.Time) {
	if g.by == nil {
		g.by = make(map[netip.Prefix]*guesser)
	}
	if len(g.by) < maxGuessers {
		return
	}
	for from, who := range g.by {
		if now.Sub(who.since) >= guessWindow {
			delete(g.by, from)
		}
	}
	for from := range g.by {
		if len(g.by) < maxGuessers {
			break
		}
		delete(g.by, from)
	}
}

// network is what counts as one address: of IPv6 the 64 bits that one customer has.
func network(address string) netip.Prefix {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(ip, bits).Masked()
}
