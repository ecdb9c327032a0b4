package clock

import (
	"sync/atomic"
	"time"
)

// System is the machine's clock, anchored once: it reads the wall when it is made and from then on only the monotonic clock, so a
// step of the wall clock moves nothing. It is safe for concurrent use.
type System struct {
	base time.Time // has a monotonic reading
	last atomic.Int64
}

// NewSystem returns a clock that never says less than notBefore; the zero time bounds nothing.
func NewSystem(notBefore time.Time) *System {
	s := &System{base: time.Now()}
	if !notBefore.IsZero() {
		s.last.Store(notBefore.UnixMicro())
	}
	return s
}

// Now returns UTC in whole microseconds, never earlier than any instant returned before.
func (s *System) Now() time.Time {
	now := s.base.Add(time.Since(s.base)).UnixMicro()
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
