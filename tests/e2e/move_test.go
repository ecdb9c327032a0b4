package e2e

import (
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/testdb"
)

// TestNothingIsLostInAMove moves a store while clients enqueue, claim and complete, kills the move again and again, lets it come to its end, and has the clients
// find the service at its new place.
func TestNothingIsLostInAMove(t *testing.T) {
	t.Parallel()
	for name, places := range map[string]func(t *testing.T) (from, to string){
		"sqlite to postgres": func(t *testing.T) (string, string) {
			return filepath.Join(t.TempDir(), "queue.db"), testdb.EmptyPostgresURL(t)
		},
		"postgres to sqlite": func(t *testing.T) (string, string) {
			return testdb.PostgresURL(t), filepath.Join(t.TempDir(), "queue.db")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to := places(t)
			seed := newSeed(t)
			g := newKillRig(t, from)
			g.startClients(seed)
			g.await(200)
			g.move(to, rand.New(rand.NewPCG(seed, 0)))
			old := g.server
			g.refused(old, to)
			if r := g.machine.run("move", "--check", "--from", from, "--to", to); r.code != 0 {
				t.Errorf("the two sides differ: %s%s", r.stdout, r.stderr)
			}
			old.stop(patience)
			g.database = to
			g.startServer()
			g.await(100)
			close(g.enough)
			g.drain()
			g.check(1)
			if r := g.machine.run("serve", "--addr", "127.0.0.1:0", "--database", from); r.code != 4 || !strings.Contains(r.stderr, "--undo") {
				t.Errorf("a server on the old database ends with %d: %s", r.code, r.stderr)
			}
		})
	}
}

// await waits until so many tasks more have been completed.
func (g *killRig) await(more int) {
	g.t.Helper()
	completed := func() (n int) {
		g.rec.note(func(h *history) { n = len(h.completions) })
		return n
	}
	before := completed()
	eventually(g.t, "tasks are completed", time.Minute, func() bool { return completed() >= before+more })
}

// move kills three moves and lets the fourth come to its end, unless one of them has.
func (g *killRig) move(to string, r *rand.Rand) {
	g.t.Helper()
	for try := range 4 {
		p := g.machine.start("move", "--from", g.database, "--to", to)
		if try < 3 {
			select {
			case <-p.ended:
			case <-time.After(50*time.Millisecond + time.Duration(r.Int64N(int64(600*time.Millisecond)))):
			}
			p.kill()
			continue
		}
		if code := p.wait(4 * time.Minute); code != 0 {
			g.t.Fatalf("the move ended with %d", code)
		}
	}
}

// refused demands that the old server answers reads, and refuses changes with the name of the new place.
func (g *killRig) refused(s server, to string) {
	g.t.Helper()
	s.call("GET", "/api/queue/stats", nil, http.StatusOK, nil)
	var problem struct {
		Code   string `json:"error_code"`
		Detail string `json:"detail"`
	}
	header := s.call("POST", "/api/queue/enqueue", object{"type": "job"}, http.StatusServiceUnavailable, &problem)
	if problem.Code != "moved" || header.Get("Retry-After") == "" || !strings.Contains(problem.Detail, to[strings.LastIndex(to, "/"):]) {
		g.t.Errorf("%s %q, Retry-After %q", problem.Code, problem.Detail, header.Get("Retry-After"))
	}
}
