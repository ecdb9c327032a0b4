package simulation

import (
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// brittle is the kind of tasks whose type has a circuit breaker.
const brittle = "t3"

var fuse = task.Breaker{FailureShare: 0.4, MinAttempts: 4, WindowSeconds: 60, OpenSeconds: 20}

// breaker is how the breaker of a type must stand.
type breaker struct {
	until *time.Time // until when it has stopped claims; nil: it has not
	ends  []ending   // of attempts since it was closed, as far as this server knows of them
}

// ending is the end of an attempt that says something.
type ending struct {
	at     time.Time
	failed bool
}

// room is how many tasks a breaker lets be claimed while so many are held: any number, none, or one at a time.
func (b *breaker) room(now time.Time, held, any int) int {
	switch {
	case b == nil || b.until == nil:
		return any
	case now.Before(*b.until):
		return 0
	}
	return max(0, 1-held)
}

// judge lets the breaker of a type know of an attempt that has ended. until is how it stood when the first of those ended that end together: none of them is a trial.
func (w *world) judge(taskType string, as task.AttemptOutcome, began *time.Time, until *time.Time) {
	b, now := w.rules[taskType].breaker, w.clock.Now()
	failed := as == task.AttemptFailed || as == task.AttemptLost
	if b == nil || !failed && as != task.AttemptSucceeded {
		return
	}
	open := func() {
		b.until, b.ends = new(now.Add(fuse.Open())), nil
		w.counts.trips++
	}
	switch {
	case until == nil:
		if b.ends = append(b.ends, ending{now, failed}); b.broken(now) {
			open()
		}
	case now.Before(*until):
	case failed:
		open()
	case !began.Before(*until):
		b.until = nil
	}
}

// broken reports whether too many of the attempts have failed that have ended in the window, which moves on by tenths.
func (b *breaker) broken(now time.Time) bool {
	part := func(t time.Time) int64 { return t.UnixNano() / (int64(fuse.Window()) / 10) }
	attempts, failures := 0, 0
	for _, e := range b.ends {
		if part(e.at) <= part(now)-10 {
			continue
		}
		if attempts++; e.failed {
			failures++
		}
	}
	return attempts >= fuse.MinAttempts && float64(failures) >= fuse.FailureShare*float64(attempts)
}

// opens is until when the breaker of a type has stopped claims; nil: it has not.
func (m *model) opens(taskType string) *time.Time {
	if b := m.rules[taskType].breaker; b != nil {
		return b.until
	}
	return nil
}

// checkBreaker compares the breaker with the model.
func (w *world) checkBreaker() {
	w.Helper()
	if w.rules[brittle].breaker == nil {
		return
	}
	got, err := w.q.Type(w.Context(), brittle)
	w.ok(err)
	if want := w.opens(brittle); (got.BreakerUntilUTC == nil) != (want == nil) || want != nil && !want.Equal(*got.BreakerUntilUTC) {
		w.broken("the breaker", "it is open until %v, want %v", got.BreakerUntilUTC, want)
	}
}
