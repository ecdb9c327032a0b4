package clock

import (
	"sync/atomic"
	"time"
)

// System is the machine's clock, anchored once: it reads the wall when it is made and from then on only the monotonic clock, so a
// step of the wall clock moves nothing. It is safe for concurrent use.
type System struct {
	base  time.Time     // has a monotonic reading
	ahead time.Duration // how far it runs ahead of base, whose wall was behind what was promised
	last  atomic.Int64
}

// NewSystem returns a clock that starts at the time of the machine, or at notBefore where that is later; the zero time bounds nothing.
// It goes on from there at the speed of time: leases end and tasks fall due also where the wall was set back.
func NewSystem(notBefore time.Time) *System { return newSystem(time.Now(), notBefore) }

// Wall is the time of the machine, for what others compare with theirs: it follows every step of the wall clock.
func Wall() time.Time { return time.Now() }

func newSystem(base, notBefore time.Time) *System {
	s := &System{base: base}
	if !notBefore.IsZero() {
		s.ahead = max(notBefore.Sub(base), 0)
	}
	return s
}

// Now returns UTC in whole microseconds, never earlier than any instant returned before.
func (s *System) Now() time.Time {
	now := s.base.Add(time.Since(s.base) + s.ahead).UnixMicro()
	for {
		last := s.last.Load()
		if now <= last {
			return time.UnixMicro(last).UTC()
		}
		if s.last.CompareAndSwap(last, now) {
			return time.UnixMicro(now).UTC()
		}
	}
}
