package postgres_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/prismq/thequeue/db/postgresdb"
)

// planner has queries explained instead of run.
type planner struct {
	*sql.DB
	plan string
}

func (p *planner) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := p.DB.QueryContext(ctx, "EXPLAIN (COSTS OFF) "+query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		p.plan += line + "\n"
	}
	return nil, sql.ErrNoRows // there is nothing to return
}

// A plan is kept as long as its connection, so one that is made for an empty table must still be right for millions of rows.
func TestPlansMadeForAnEmptyTableReadNoMoreThanTheyNeed(t *testing.T) {
	t.Parallel()
	st, _ := open(t, "")
	if _, err := st.DB().ExecContext(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	now := st.Clock().Now()
	const lanes, slots, times = `[{"id":1,"n":5},{"id":2,"n":5}]`, "{a,b}", "{2026-01-31T08:00:00Z,2026-01-31T08:00:00Z}"
	oldest := postgresdb.ClaimOldestParams{Now: now, Lanes: lanes, Width: 10, Max: 2, Secrets: slots, Workers: slots, LeaseUntils: times}
	statements := map[string]func(q *postgresdb.Queries){
		"ClaimInOrder": func(q *postgresdb.Queries) {
			q.ClaimInOrder(t.Context(), postgresdb.ClaimInOrderParams{Now: now, Lanes: lanes, Max: 2, Secrets: slots, Workers: slots, LeaseUntils: times})
		},
		"ClaimOldest":       func(q *postgresdb.Queries) { q.ClaimOldest(t.Context(), oldest) },
		"ClaimNewest":       func(q *postgresdb.Queries) { q.ClaimNewest(t.Context(), postgresdb.ClaimNewestParams(oldest)) },
		"ListLanesWithWork": func(q *postgresdb.Queries) { q.ListLanesWithWork(t.Context()) },
		"EndAttempts": func(q *postgresdb.Queries) {
			q.EndAttempts(t.Context(), postgresdb.EndAttemptsParams{
				Ids: "{1,2}", Fences: "{1,1}", Secrets: slots, Nows: times, Statuses: slots, Outcomes: slots, AttemptOutcomes: slots,
				RunAfters: times, Readies: "{t,t}", Results: slots, ErrorMessages: slots,
			})
		},
	}
	for name, explain := range statements {
		p := &planner{DB: st.DB()}
		explain(postgresdb.New(p))
		lines := strings.Split(p.plan, "\n")
		scans := 0
		for i, line := range lines {
			_, access, onTable := strings.Cut(line, "->  ")
			if !onTable || !strings.Contains(access, " on task_queue ") || strings.HasPrefix(access, "Update") {
				continue
			}
			scans++
			ready := strings.Contains(access, "using task_queue_ready ")
			byID := strings.Contains(access, "using task_queue_pkey ") && strings.Contains(lines[i+1], "Index Cond: (id = ANY (ARRAY[")
			if !ready && !byID {
				t.Errorf("%s: %s\n%s", name, access, p.plan)
			}
		}
		if scans == 0 && name != "ListLanesWithWork" {
			t.Errorf("%s: no scan of the table in the plan:\n%s", name, p.plan)
		}
	}
}
