package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/tests/bench/trial"
)

// shelf is a store in this process, filled with rows.
type shelf struct {
	*queue.Queue
	database string // a file or a postgres:// URL
	store    store.Store
	drop     func() error // removes the database
	stop     context.CancelFunc
	upkeep   sync.WaitGroup
}

// newShelf makes an empty shelf on the engine, sqlite or postgres. ErrMissing where there is no PostgreSQL.
func (h *Harness) newShelf(ctx context.Context, engine string) (*shelf, error) {
	database, drop, err := h.emptyDatabase(ctx, engine)
	if err != nil {
		return nil, err
	}
	s, err := openShelf(ctx, database)
	if err != nil {
		return nil, errors.Join(err, drop())
	}
	s.drop = drop
	return s, nil
}

// emptyDatabase makes a database and says how to remove it.
func (h *Harness) emptyDatabase(ctx context.Context, engine string) (database string, drop func() error, err error) {
	if engine == "postgres" {
		if err := h.needPostgres(ctx); err != nil {
			return "", nil, err
		}
		return h.postgres.Database(ctx)
	}
	dir, err := os.MkdirTemp(h.dir, "shelf-")
	return filepath.Join(dir, "queue.db"), func() error { return os.RemoveAll(dir) }, err
}

// openShelf opens a database, whose drop does nothing.
func openShelf(ctx context.Context, database string) (*shelf, error) {
	var st store.Store
	var err error
	if strings.HasPrefix(database, "postgres://") {
		st, err = postgres.Open(ctx, database, postgres.Options{Migrate: true})
	} else {
		st, err = sqlite.Open(ctx, database, sqlite.Options{Migrate: true})
	}
	if err != nil {
		return nil, err
	}
	s := &shelf{Queue: queue.New(st, queue.Options{}), database: database, store: st, drop: func() error { return nil }}
	serving, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.upkeep.Go(func() { _ = s.Run(serving) }) // returns nil
	return s, nil
}

func (h *Harness) shelfPath(name string) string { return filepath.Join(h.dir, name+".db") }

func (s *shelf) close() error {
	s.stop()
	s.upkeep.Wait()
	return s.store.Close()
}

// remove closes the shelf and deletes what it has kept.
func (s *shelf) remove() error { return errors.Join(s.close(), s.drop()) }

// payload is what every task carries.
var payload = task.JSON(trial.Payload)

// priorities are the classes among which tasks are spread.
var priorities = []int{10, 100, 500}

func anyPriority() *int { return &priorities[rand.IntN(len(priorities))] }

func mail() task.Spec { return task.Spec{Type: "email", Priority: anyPriority(), Payload: payload} }

// put enqueues n tasks in batches.
func (s *shelf) put(ctx context.Context, n int, spec func() task.Spec) error {
	for n > 0 {
		batch := make([]task.Spec, min(n, queue.MaxBatch))
		for i := range batch {
			batch[i] = spec()
		}
		if _, _, err := s.EnqueueBatch(ctx, batch); err != nil {
			return err
		}
		n -= len(batch)
	}
	return nil
}

// finish claims and completes n of the tasks that are ready, many at a time.
func (s *shelf) finish(ctx context.Context, n int) error {
	leases := make(chan task.Lease, 4*task.MaxClaim)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for l := range leases {
				if _, err := s.Complete(ctx, l.ID, l.LeaseToken, nil); err != nil {
					cancel(err)
				}
			}
		})
	}
	for n > 0 && ctx.Err() == nil {
		got, err := s.Claim(ctx, task.Claim{WorkerID: "filler", Max: min(n, task.MaxClaim), Lease: task.MaxLease})
		if err != nil || len(got) == 0 {
			cancel(errors.Join(err, errors.New("nothing left to finish")))
			break
		}
		for _, l := range got {
			leases <- l
		}
		n -= len(got)
	}
	close(leases)
	wg.Wait()
	return context.Cause(ctx)
}

// rare is how many tasks of a type of its own lie below all others in a store whose lists are looked at.
const rare = 20

// furnish fills an empty store as fill does, above a few old tasks of another type in every status, with a schedule and a type that has a rule.
func (s *shelf) furnish(ctx context.Context, n int) error {
	err := s.put(ctx, rare, func() task.Spec { return task.Spec{Type: "rare", Payload: payload, MaxAttempts: new(1)} })
	if err != nil {
		return err
	}
	held, err := s.Claim(ctx, task.Claim{WorkerID: "slow", Types: []string{"rare"}, Max: rare / 2, Lease: time.Hour})
	for i, l := range held {
		if i%2 == 0 {
			_, e := s.Fail(ctx, l.ID, l.LeaseToken, task.Failure{Message: "no luck"})
			err = errors.Join(err, e)
		}
	}
	_, _, e := s.PutSchedule(ctx, "nightly", task.ScheduleSpec{Cron: "30 2 * * *", Task: task.Spec{Type: "rare"}})
	_, f := s.PutType(ctx, "rare", task.TypeRules{MaxAttempts: new(1)})
	return errors.Join(err, e, f, s.fill(ctx, n))
}

// fill makes a store of so many queued and as many completed tasks.
func (s *shelf) fill(ctx context.Context, n int) error {
	if err := s.put(ctx, 2*n, mail); err != nil {
		return err
	}
	return s.finish(ctx, n)
}

// hide puts n tasks in front that a worker for "email" and "sms" without capabilities may not take: of another type, with a requirement that it does not
// meet, of a paused type, and due in the future. All have the highest priority and are older than what it may take.
func (s *shelf) hide(ctx context.Context, n int) error {
	first := 1
	later := task.Time{Time: time.Now().Add(24 * time.Hour)}
	if _, err := s.PauseType(ctx, "sms"); err != nil {
		return err
	}
	for _, spec := range []task.Spec{
		{Type: "video", Priority: &first, Payload: payload},
		{Type: "email", Priority: &first, Payload: payload, Compatibility: `{"gpu":true}`},
		{Type: "sms", Priority: &first, Payload: payload},
		{Type: "email", Priority: &first, Payload: payload, RunAfterUTC: &later},
	} {
		if err := s.put(ctx, n/4, func() task.Spec { return spec }); err != nil {
			return err
		}
	}
	return nil
}

// latencies are what callers met.
type latencies struct {
	mu              sync.Mutex
	enqueue, claims []time.Duration
	lives           int
	took            time.Duration
}

// live has so many callers enqueue, claim by the strategy, and complete, for d. The number of queued tasks stays as it is.
func (s *shelf) live(ctx context.Context, strategy task.Strategy, callers int, d time.Duration) (*latencies, error) {
	return s.watch(ctx, strategy, callers, d, true)
}

// watch is live, or without enqueueing what its callers take from a pile that outlasts d.
func (s *shelf) watch(ctx context.Context, strategy task.Strategy, callers int, d time.Duration, enqueue bool) (*latencies, error) {
	var l latencies
	errs := make([]error, callers)
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			c := task.Claim{WorkerID: fmt.Sprint("worker-", i), Types: []string{"email", "sms"}, Strategy: strategy}
			for errs[i] == nil && time.Since(begin) < d {
				errs[i] = s.life(ctx, c, enqueue, &l)
			}
		})
	}
	wg.Wait()
	l.took = time.Since(begin)
	if 2*l.lives < len(l.claims) {
		errs = append(errs, fmt.Errorf("%d of %d claims found a task: what was measured is mostly empty claims", l.lives, len(l.claims)))
	}
	return &l, errors.Join(errs...)
}

func (s *shelf) life(ctx context.Context, c task.Claim, enqueue bool, l *latencies) error {
	begin := time.Now()
	if enqueue {
		if _, _, err := s.Enqueue(ctx, mail(), queue.MaxAttempts); err != nil {
			return err
		}
	}
	enqueued := time.Now()
	leases, err := s.Claim(ctx, c)
	if err != nil {
		return err
	}
	claimed := time.Now()
	if len(leases) == 0 && !enqueue {
		return errors.New("the pile has been taken before the time was over")
	}
	for _, lease := range leases {
		if _, err := s.Complete(ctx, lease.ID, lease.LeaseToken, nil); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enqueue, l.claims = append(l.enqueue, enqueued.Sub(begin)), append(l.claims, claimed.Sub(enqueued))
	l.lives += len(leases)
	return nil
}
