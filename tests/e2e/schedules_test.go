package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/testdb"
)

// TestEachTickMakesOneTaskWhileServersAreKilled has a tick every second, and servers that are killed and started again meanwhile: one on SQLite, two on
// PostgreSQL. No tick may be left out, and none may make two tasks.
func TestEachTickMakesOneTaskWhileServersAreKilled(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		killAmongTicks(t, newMachine(t), "", 1)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		killAmongTicks(t, newMachine(t), testdb.PostgresURL(t), 2)
	})
}

func killAmongTicks(t *testing.T, m *machine, database string, nodes int) {
	servers := make([]server, nodes)
	for i := range servers {
		servers[i] = m.serve(database, "--log-level", "error")
	}
	m.ok("schedules", "set", "every second", "--cron", "* * * * * *", "--type", "echo", "--misfire", "all", "--max-misfires", "100", "--server", servers[0].url)
	for round := range 4 {
		n := len(servers[0].ticks())
		servers[0].until("two more ticks", func() bool { return len(servers[0].ticks()) >= n+2 })
		killed := &servers[round%nodes]
		killed.kill()
		*killed = m.serve(database, "--log-level", "error")
	}
	n := len(servers[0].ticks())
	servers[0].until("two more ticks", func() bool { return len(servers[0].ticks()) >= n+2 })
	m.ok("schedules", "pause", "every second", "--server", servers[0].url)
	ticks := servers[0].ticks()
	for i := 1; i < len(ticks); i++ { // the newest is first
		if apart := ticks[i-1].Sub(ticks[i]); apart != time.Second {
			t.Errorf("I19: the tick after that of %s is that of %s", ticks[i], ticks[i-1])
		}
	}
	for _, s := range servers {
		s.stop(soon)
	}
}

// ticks returns when the tasks may run, the newest first.
func (r rest) ticks() (out []time.Time) {
	r.t.Helper()
	var list []struct {
		RunAfterUTC time.Time `json:"run_after_utc"`
	}
	r.call("GET", "/api/queue/tasks?limit=1000", nil, http.StatusOK, &list)
	for _, v := range list {
		out = append(out, v.RunAfterUTC)
	}
	return out
}
