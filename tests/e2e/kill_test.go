package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"
)

const (
	producers = 8
	consumers = 8
	// enqueuePace is the least time from one task of a producer to its next, so that the workers can keep up.
	enqueuePace = 10 * time.Millisecond
)

// TestNothingIsLostWhenTheServerIsKilled kills the server again and again while clients enqueue, claim and complete, and starts it again
// on the same database.
func TestNothingIsLostWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, database string) {
		kills := 50
		if strings.Contains(database, "://") {
			kills = 10
		}
		if testing.Short() {
			kills = 5
		}
		seed := newSeed(t)
		g := newKillRig(t, database)
		g.startClients(seed)
		g.killServer(kills, rand.New(rand.NewPCG(seed, 0)))
		g.drain()
		g.check(kills)
	})
}

// killRig is a server that is killed, and its clients.
type killRig struct {
	t         *testing.T
	machine   *machine
	database  string
	server    server
	url       atomic.Pointer[string] // of the server that runs now
	restarts  []time.Duration        // from the start of the process to the first answer of /readyz
	rec       recorder
	producing sync.WaitGroup
	consuming sync.WaitGroup
	enough    chan struct{}      // closed: the producers enqueue no more
	stop      context.CancelFunc // ends the workers
}

func newKillRig(t *testing.T, database string) *killRig {
	t.Helper()
	g := &killRig{t: t, machine: newMachine(t), database: database, rec: recorder{history: history{tried: map[string]bool{}}}, enough: make(chan struct{})}
	g.startServer()
	return g
}

func (g *killRig) startServer() {
	g.t.Helper()
	begun := time.Now()
	g.server = g.machine.serve(g.database, "--workers", "0", "--log-level", "error")
	g.server.call("GET", "/readyz", nil, http.StatusOK, nil)
	g.restarts = append(g.restarts, time.Since(begun))
	url := g.server.url // of its own: the server is replaced while clients read this
	g.url.Store(&url)
}

// startClients starts them. They end with the test at the latest.
func (g *killRig) startClients(seed uint64) {
	ctx, stop := context.WithTimeout(g.t.Context(), 5*time.Minute)
	g.stop = stop
	g.t.Cleanup(func() { stop(); g.producing.Wait(); g.consuming.Wait() })
	c := client{g.t, &g.rec, func() string { return *g.url.Load() }}
	for n := range producers {
		g.producing.Go(func() { g.produce(ctx, c, n) })
	}
	for n := range consumers {
		r := rand.New(rand.NewPCG(seed, uint64(n)+1))
		g.consuming.Go(func() { c.work(ctx, fmt.Sprintf("worker-%d", n), "job", r) })
	}
}

func (g *killRig) produce(ctx context.Context, c client, n int) {
	pace := time.NewTicker(enqueuePace)
	defer pace.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		c.enqueue(ctx, "job", fmt.Sprintf("p%d-%d", n, i))
		select {
		case <-g.enough:
			return
		case <-pace.C:
		}
	}
}

func (g *killRig) killServer(kills int, r *rand.Rand) {
	g.t.Helper()
	completed := func() (n int) {
		g.rec.note(func(h *history) { n = len(h.completions) })
		return n
	}
	for range kills {
		// On a busy machine clients take a while to come back, and a server that nobody has reached yet is not worth killing.
		before := completed()
		eventually(g.t, "tasks are completed", time.Minute, func() bool { return completed() >= before+consumers })
		select {
		case <-g.server.ended:
			g.t.Fatal("the server ended by itself")
		case <-time.After(50*time.Millisecond + time.Duration(r.Int64N(int64(350*time.Millisecond)))):
		}
		g.server.kill()
		g.startServer()
	}
	close(g.enough)
}

// drain waits until every task has been worked on, and for the clients to end.
func (g *killRig) drain() {
	g.t.Helper()
	g.producing.Wait()
	eventually(g.t, "all tasks have ended", time.Minute, func() bool {
		s := g.server.stats()
		return s.Queued+s.Processing == 0
	})
	g.stop()
	g.consuming.Wait()
}

func (g *killRig) check(kills int) {
	g.t.Helper()
	stored, h := g.server.list(""), g.rec.history
	wrong := h.violations(stored, g.server.stats())
	for _, v := range wrong[:min(len(wrong), 20)] {
		g.t.Error(v)
	}
	if len(wrong) > 20 {
		g.t.Errorf("and %d violations more", len(wrong)-20)
	}
	if g.rec.unanswered.Load() == 0 || len(h.completions) < 50 || g.rec.refused.Load() == 0 {
		g.t.Errorf("the test proves nothing: %d requests went unanswered, %d completions were taken, %d refused",
			g.rec.unanswered.Load(), len(h.completions), g.rec.refused.Load())
	}
	slices.Sort(g.restarts)
	g.t.Logf("%d kills, %d tasks, %d claims, %d completions taken, %d refused, %d requests unanswered; ready again p50 %s, p99 %s",
		kills, len(stored), len(h.claims), len(h.completions), g.rec.refused.Load(), g.rec.unanswered.Load(),
		g.restarts[len(g.restarts)/2], g.restarts[(len(g.restarts)*99+99)/100-1])
	g.server.stop(soon)
	if !strings.Contains(g.database, "://") {
		checkFile(g.t, g.database)
	}
}

// checkFile demands that the file is sound.
func checkFile(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var sound string
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&sound); err != nil || sound != "ok" {
		t.Errorf("integrity check: %s, %v", sound, err)
	}
	rows, err := db.QueryContext(t.Context(), "PRAGMA foreign_key_check")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if rows.Next() {
		t.Error("a foreign key leads nowhere")
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
}
