package queue_test

import (
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

// The pace of a worker is what it has ended in the last ten minutes, whichever way.
func TestWorkersTellTheirPace(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		pace := func(id string, completed, failed float64) {
			r.Helper()
			w, err := r.Worker(r.Context(), id)
			r.ok(err)
			if w.CompletedPerMin != completed || w.FailedPerMin != failed {
				r.Errorf("%s: %g completed and %g failed a minute, want %g and %g", id, w.CompletedPerMin, w.FailedPerMin, completed, failed)
			}
		}
		r.enqueueMany(8, task.Spec{Type: "test", MaxAttempts: ptr(2)})
		claim := func(id string) task.Lease {
			r.Helper()
			return r.claim(task.Claim{WorkerID: id, Lease: time.Minute})[0]
		}
		for range 3 {
			r.ok(r.complete(claim("a")))
		}
		l := claim("a")
		_, err := r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{Message: "no"})
		r.ok(err)
		l = claim("a")
		_, err = r.Release(r.Context(), l.ID, l.LeaseToken, 0)
		r.ok(err)
		r.ok(r.complete(claim("b")))
		pace("a", 3, 1) // in the first minute of this server
		pace("b", 1, 0)

		r.clock.advance(5 * time.Minute)
		claim("b")
		r.clock.advance(61 * time.Second)
		_, err = r.Upkeep(r.Context())
		r.ok(err)
		r.clock.advance(59 * time.Second)
		pace("a", 3/7., 1/7.)
		pace("b", 1/7., 1/7.) // its lease has run out
		r.clock.advance(4 * time.Minute)
		pace("a", 0, 0)
		pace("b", 0, 1/(r.clock.Now().Sub(r.clock.Now().Truncate(time.Minute)).Minutes()+9))
		r.clock.advance(10 * time.Minute)
		pace("b", 0, 0)
		all, err := r.Workers(r.Context())
		if r.ok(err); len(all) != 2 || all[1].FailedPerMin != 0 {
			r.Errorf("all: %+v", all)
		}
	})
}
