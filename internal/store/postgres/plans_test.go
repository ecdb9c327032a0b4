package postgres_test

import (
	"cmp"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/prismq/thequeue/internal/store/postgres"

	"github.com/prismq/thequeue/db/postgressets"
)

// planner has queries explained instead of run.
type planner struct {
	*pgx.Conn
	plan string
}

func (p *planner) Query(ctx context.Context, query string, args ...any) (pgx.Rows, error) {
	rows, err := p.Conn.Query(ctx, "EXPLAIN (COSTS OFF) "+query, args...)
	if err != nil {
		return nil, err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	p.plan += strings.Join(lines, "\n") + "\n"
	return nil, cmp.Or(err, pgx.ErrNoRows) // there is nothing to return
}

// A plan is kept as long as its connection, so one that is made for an empty table must still be right for millions of rows.
func TestPlansMadeForAnEmptyTableReadNoMoreThanTheyNeed(t *testing.T) {
	t.Parallel()
	st, _ := open(t, "")
	if _, err := st.DB().ExecContext(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	checkPlans(t, st)
}

// The same holds for one that is made for a backlog of which the server has no statistics yet: to fetch and sort what a lane is thought to have looks
// cheap then.
func TestPlansMadeForAnUnknownBacklogReadNoMoreThanTheyNeed(t *testing.T) {
	t.Parallel()
	st, _ := open(t, "")
	insert(t, st, 3000, 1)
	checkPlans(t, st)
}

func checkPlans(t *testing.T, st *postgres.Store) {
	t.Helper()
	now := st.Clock().Now()
	lanes, most, slots, times, readies, leases := []int64{1, 2}, []int64{5, 5}, []string{"a", "b"}, []time.Time{now, now}, []bool{true, true}, []float64{60, 0}
	oldest := postgressets.ClaimOldestParams{Now: now, Lanes: lanes, Width: 10, Max: 2, Secrets: slots, Workers: slots, Leases: leases}
	statements := map[string]func(q *postgressets.Queries){
		"ClaimInOrder": func(q *postgressets.Queries) {
			q.ClaimInOrder(t.Context(), postgressets.ClaimInOrderParams{Now: now, Lanes: lanes, Most: most, Max: 2, Secrets: slots, Workers: slots, Leases: leases})
		},
		"ClaimOldest":       func(q *postgressets.Queries) { q.ClaimOldest(t.Context(), oldest) },
		"ClaimNewest":       func(q *postgressets.Queries) { q.ClaimNewest(t.Context(), postgressets.ClaimNewestParams(oldest)) },
		"ListLanesWithWork": func(q *postgressets.Queries) { q.ListLanesWithWork(t.Context(), now) },
		"EndAttempts": func(q *postgressets.Queries) {
			q.EndAttempts(t.Context(), postgressets.EndAttemptsParams{
				Ids: lanes, Fences: most, Secrets: slots, Nows: times, Statuses: slots, Outcomes: slots, AttemptOutcomes: slots,
				RunAfters: slots, Readies: readies, Results: slots, ErrorMessages: slots,
			})
		},
	}
	conn, err := st.DB().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for name, explain := range statements {
		p := &planner{}
		if err := conn.Raw(func(c any) error {
			p.Conn = c.(*stdlib.Conn).Conn()
			explain(postgressets.New(p))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(p.plan, "\n")
		if strings.Contains(p.plan, "Sort Key: r.lane_id") {
			t.Errorf("%s: sorts what the index has in order\n%s", name, p.plan)
		}
		scans := 0
		for i, line := range lines {
			_, access, onTable := strings.Cut(line, "->  ")
			if !onTable || !strings.Contains(access, " on task_queue ") || strings.HasPrefix(access, "Update") {
				continue
			}
			scans++
			ready := strings.Contains(access, "using task_queue_ready ")
			byID := strings.Contains(access, "using task_queue_pkey ") && strings.Contains(lines[i+1], "Index Cond: (id = ANY (ARRAY[")
			apart := strings.Contains(access, "using task_queue_quarantine ")
			if !ready && !byID && !apart {
				t.Errorf("%s: %s\n%s", name, access, p.plan)
			}
		}
		if scans == 0 && name != "ListLanesWithWork" {
			t.Errorf("%s: no scan of the table in the plan:\n%s", name, p.plan)
		}
	}
}
