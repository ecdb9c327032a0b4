// Command node is a service node in a process of its own: it reads a trial.NodeSpec from its standard input and writes a trial.NodeResult to
// its standard output.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/tests/bench/trial"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var s trial.NodeSpec
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return err
	}
	var statements atomic.Int64
	if s.Idle {
		countStatements(&statements)
	}
	st, err := open(ctx, s.Database)
	if err != nil {
		return err
	}
	q := queue.New(st, queue.Options{})
	serving, stop := context.WithCancel(ctx)
	var upkeep sync.WaitGroup
	upkeep.Go(func() { _ = q.Run(serving) }) // returns nil
	n := node{q: q, spec: s}
	if s.Idle {
		err = n.idle(ctx, &statements)
	} else {
		err = n.work(ctx)
	}
	stop()
	upkeep.Wait()
	if err := errors.Join(err, st.Close()); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(n.result)
}

func open(ctx context.Context, database string) (store.Store, error) {
	if strings.HasPrefix(database, "postgres://") {
		return postgres.Open(ctx, database, postgres.Options{Migrate: true})
	}
	return sqlite.Open(ctx, database, sqlite.Options{Migrate: true})
}

// countStatements counts every statement of every connection that is opened from now on.
func countStatements(n *atomic.Int64) {
	sqlite3.AutoExtension(func(c *sqlite3.Conn) error {
		return c.Trace(sqlite3.TRACE_STMT, func(sqlite3.TraceEvent, any, any) error {
			n.Add(1)
			return nil
		})
	})
}

type node struct {
	q    *queue.Queue
	spec trial.NodeSpec

	mu     sync.Mutex // guards result
	result trial.NodeResult
}

// work runs lives until the time is over. A busy database is counted and the life given up; any other error ends the node.
func (n *node) work(ctx context.Context) error {
	begin := time.Now()
	until := begin.Add(n.seconds())
	errs := make([]error, n.spec.Callers)
	var wg sync.WaitGroup
	for i := range n.spec.Callers {
		wg.Go(func() {
			for errs[i] == nil && ctx.Err() == nil && time.Now().Before(until) {
				errs[i] = n.life(ctx, fmt.Sprintf("node-%d-%d", os.Getpid(), i))
			}
		})
	}
	wg.Wait()
	n.result.Seconds = time.Since(begin).Seconds()
	return errors.Join(errs...)
}

func (n *node) seconds() time.Duration { return time.Duration(n.spec.Seconds * float64(time.Second)) }

// life enqueues one task, takes one of anybody's and completes it.
func (n *node) life(ctx context.Context, worker string) error {
	if _, _, err := n.q.Enqueue(ctx, task.Spec{Type: "email", Payload: task.JSON(trial.Payload)}, queue.MaxAttempts); err != nil {
		return n.tolerate(err)
	}
	leases, err := n.q.Claim(ctx, task.Claim{WorkerID: worker})
	if err != nil {
		return n.tolerate(err)
	}
	for _, l := range leases {
		n.note(func(r *trial.NodeResult) { r.Claimed = append(r.Claimed, l.ID) })
		if _, err := n.q.Complete(ctx, l.ID, l.LeaseToken, nil); err != nil {
			return n.tolerate(err)
		}
		n.note(func(r *trial.NodeResult) { r.Lives++ })
	}
	return nil
}

func (n *node) note(what func(*trial.NodeResult)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	what(&n.result)
}

// tolerate counts an error that says that the database was busy, and passes any other on.
func (n *node) tolerate(err error) error {
	if errors.Is(err, task.ErrBusy) {
		n.note(func(r *trial.NodeResult) { r.Busy++ })
		return nil
	}
	return err
}

// settle is how long an idle node has to become quiet before it is watched.
const settle = 2 * time.Second

// idle has all callers wait for work and notes what the process does meanwhile.
func (n *node) idle(ctx context.Context, statements *atomic.Int64) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, n.spec.Callers)
	var wg sync.WaitGroup
	for i := range n.spec.Callers {
		wg.Go(func() {
			for errs[i] == nil && ctx.Err() == nil {
				_, errs[i] = n.q.Claim(ctx, task.Claim{WorkerID: fmt.Sprint("worker-", i), Wait: task.MaxWait})
			}
			if ctx.Err() != nil {
				errs[i] = nil
			}
		})
	}
	time.Sleep(settle)
	before, cpu := statements.Load(), cpuTime()
	if before == 0 && !strings.HasPrefix(n.spec.Database, "postgres://") {
		return errors.New("no statement was seen while the workers began to wait: nothing counts them")
	}
	begin := time.Now()
	select {
	case <-time.After(n.seconds()):
	case <-ctx.Done():
	}
	n.result.Statements, n.result.CPUSeconds = statements.Load()-before, (cpuTime() - cpu).Seconds()
	n.result.Seconds = time.Since(begin).Seconds()
	stop()
	wg.Wait()
	return errors.Join(errs...)
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
