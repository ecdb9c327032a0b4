package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

var lifecycleBehaviours = []behaviour{
	{"AnswersPing", answersPing},
	{"TellsTimeInWholeMicrosecondsThatNeverGoBack", tellsTime},
	{"ReturnsStoppedAfterClose", stoppedAfterClose},
	{"AnswersWhatIsUnderWayOnClose", closesUnderLoad},
	{"ChangesNothingUnderACancelledContext", cancelledContext},
}

// everything calls each method of a store that takes a context, in a way that would succeed; t is a task under its lease.
func everything(st store.Store, t, queued, failed task.Task) map[string]func(ctx context.Context) error {
	all := map[string]func(ctx context.Context) error{
		"Ping":         st.Ping,
		"GetTask":      func(ctx context.Context) error { _, err := st.GetTask(ctx, t.ID); return err },
		"ListTasks":    func(ctx context.Context) error { _, err := st.ListTasks(ctx, task.Filter{Limit: 1}); return err },
		"Stats":        func(ctx context.Context) error { _, err := st.Stats(ctx, start); return err },
		"ListAttempts": func(ctx context.Context) error { _, err := st.ListAttempts(ctx, t.ID); return err },
		"ListLogs": func(ctx context.Context) error {
			_, err := st.ListLogs(ctx, task.LogFilter{TaskID: t.ID, Limit: 1})
			return err
		},
		"GetWorker":   func(ctx context.Context) error { _, err := st.GetWorker(ctx, "w1"); return err },
		"ListWorkers": func(ctx context.Context) error { _, err := st.ListWorkers(ctx); return err },
		"InsertUnique": func(ctx context.Context) error {
			_, _, err := st.InsertUnique(ctx, []task.Task{bare(queued)}, []*task.Unique{{Key: "u", Scope: task.UniqueLive}})
			return err
		},
		"ListBacklog":  func(ctx context.Context) error { _, err := st.ListBacklog(ctx); return err },
		"CountAhead":   func(ctx context.Context) error { _, err := st.CountAhead(ctx, 1, 1, 1); return err },
		"ListHeld":     func(ctx context.Context) error { _, err := st.ListHeld(ctx, "test", 1); return err },
		"ListFinishes": func(ctx context.Context) error { _, err := st.ListFinishes(ctx, "test", 1); return err },
		"ListDraining": func(ctx context.Context) error { _, err := st.ListDraining(ctx); return err },
		"InsertTask": func(ctx context.Context) error {
			_, _, err := st.InsertTask(ctx, bare(queued))
			return err
		},
		"InsertTasks": func(ctx context.Context) error {
			_, _, err := st.InsertTasks(ctx, []task.Task{bare(queued), bare(queued)})
			return err
		},
		"CancelTask":   func(ctx context.Context) error { _, _, err := st.CancelTask(ctx, queued.ID, at(1)); return err },
		"RequeueTask":  func(ctx context.Context) error { _, err := st.RequeueTask(ctx, failed.ID, at(1)); return err },
		"DeleteTask":   func(ctx context.Context) error { return st.DeleteTask(ctx, failed.ID) },
		"UpsertWorker": func(ctx context.Context) error { _, err := st.UpsertWorker(ctx, worker("w1", 500)); return err },
		"DeleteWorker": func(ctx context.Context) error { return st.DeleteWorker(ctx, "w1") },
		"ClaimTasks": func(ctx context.Context) error {
			_, err := st.ClaimTasks(ctx, task.Claim{WorkerID: "w", Strategy: task.FIFO, Max: 1, Lease: time.Minute, Now: start, Secret: "s"})
			return err
		},
		"ReapExpiredLeases": func(ctx context.Context) error { _, err := st.ReapExpiredLeases(ctx, at(1e6), 10); return err },
		"PromoteDue":        func(ctx context.Context) error { _, err := st.PromoteDue(ctx, at(1e6), 10); return err },
		"ExpireTasks":       func(ctx context.Context) error { _, err := st.ExpireTasks(ctx, at(1e6), 10); return err },
		"NextEvent":         func(ctx context.Context) error { _, err := st.NextEvent(ctx); return err },
	}
	for _, c := range calls {
		all["lease: "+c.name] = func(ctx context.Context) error { return c.do(ctx, st, t.ID, token(t)) }
	}
	return all
}

// bare returns a task as it was before it was stored.
func bare(t task.Task) task.Task {
	t.ID, t.LaneID = 0, 0
	return t
}

// furnish brings a store into a state in which everything has something to do.
func (r *rig) furnish() map[string]func(ctx context.Context) error {
	r.Helper()
	failed := r.cancel(r.insert(task.Spec{}).ID, start)
	held := r.running(task.Spec{Type: "held"})
	r.insert(task.Spec{RunAfterUTC: &task.Time{Time: at(60)}})
	queued := r.insert(task.Spec{DeadlineUTC: &task.Time{Time: at(60)}})
	r.upsert(worker("w1", 1))
	return everything(r.st, held, queued, failed)
}

func answersPing(r *rig) { r.ok(r.st.Ping(r.Context())) }

func tellsTime(r *rig) {
	c := r.st.Clock()
	last := c.Now()
	for range 10000 {
		now := c.Now()
		if now.Before(last) || now.Location() != time.UTC || now != now.Truncate(time.Microsecond) {
			r.Fatalf("%v after %v", now, last)
		}
		last = now
	}
}

func stoppedAfterClose(r *rig) {
	all := r.furnish()
	r.ok(r.st.Close())
	for name, call := range all {
		if err := call(r.Context()); !errors.Is(err, task.ErrStopped) {
			r.Errorf("%s: got error %v, want %v", name, err, task.ErrStopped)
		}
	}
}

// closesUnderLoad closes the store while 16 callers read and write. Each call is answered, well or with ErrStopped.
func closesUnderLoad(r *rig) {
	var calls atomic.Int64
	warm := make(chan struct{})
	r.together(17, func(i int) error {
		if i == 16 {
			<-warm
			return r.st.Close()
		}
		for {
			var err error
			switch i % 4 {
			case 0:
				_, _, err = r.st.InsertTask(r.Context(), r.make(task.Spec{}, start))
			case 1:
				_, err = r.st.ClaimTasks(r.Context(), r.ask(task.Claim{}))
			case 2:
				_, err = r.st.Stats(r.Context(), start)
			case 3:
				_, err = r.st.ListTasks(r.Context(), task.Filter{Limit: 5})
			}
			switch {
			case errors.Is(err, task.ErrStopped):
				return nil
			case err != nil:
				return fmt.Errorf("caller %d: %w", i, err)
			}
			if calls.Add(1) == 200 {
				close(warm)
			}
		}
	})
}

func cancelledContext(r *rig) {
	all := r.furnish()
	tasks, stats := r.list(task.Filter{Limit: 100}), r.stats(start)
	workers, err := r.st.ListWorkers(r.Context())
	r.ok(err)
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	for name, call := range all {
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			r.Errorf("%s: got error %v, want %v", name, err, context.Canceled)
		}
	}
	r.equal("tasks", tasks, r.list(task.Filter{Limit: 100}))
	r.equal("stats", stats, r.stats(start))
	after, err := r.st.ListWorkers(r.Context())
	r.ok(err)
	r.equal("workers", workers, after)
}
