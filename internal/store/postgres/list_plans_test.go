package postgres_test

import (
	"cmp"
	"context"
	"database/sql"
	"math"
	"regexp"
	"slices"
	"testing"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/task"
)

// listPlanner has queries of database/sql explained instead of run.
type listPlanner struct {
	*sql.DB
	plan string
}

func (p *listPlanner) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
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

func (p *listPlanner) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	p.QueryContext(ctx, query, args...)
	return p.DB.QueryRowContext(ctx, query, args...)
}

// crowd stores a million tasks of all statuses in 41 lanes; four of them have the type rare.
const crowd = `
SET session_replication_role = replica;
INSERT INTO lanes (id, type, compatibility, priority) SELECT i + 1, 'type' || (i / 4), '{}', 100 * (i % 4 + 1) FROM generate_series(0, 39) AS i;
INSERT INTO lanes (id, type, compatibility, priority) VALUES (41, 'rare', '{}', 100);
INSERT INTO task_queue (lane_id, type, priority, payload, compatibility, status, outcome, attempts, max_attempts, run_after_utc, ready, fence, lease_secret,
                        locked_by, last_worker_id, lease_until_utc, reserved_at_utc, finished_at_utc, created_at_utc, updated_at_utc)
SELECT l.id, l.type, l.priority, '{}', '{}', t.status, CASE t.status WHEN 'completed' THEN 'succeeded' WHEN 'failed' THEN CASE t.i % 100 WHEN 69 THEN 'cancelled' ELSE 'exhausted' END END, 1, 5, now(),
       t.status = 'queued' AND t.i % 2 = 0, 1, 's', CASE t.status WHEN 'processing' THEN 'w' END, 'w', CASE t.status WHEN 'processing' THEN now() END,
       CASE t.status WHEN 'processing' THEN now() END, CASE WHEN t.status IN ('completed', 'failed') THEN now() END, now(), now()
FROM (SELECT i, CASE WHEN i % 10000 = 3 THEN 'processing' WHEN i % 100 < 60 THEN 'completed' WHEN i % 100 < 70 THEN 'failed' ELSE 'queued' END AS status
      FROM generate_series(1, 1000000) AS i) AS t
JOIN lanes AS l ON l.id = CASE t.i % 50000 WHEN 7 THEN 41 ELSE t.i * 7 % 40 + 1 END
ORDER BY t.i;
INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc, finished_at_utc, outcome)
SELECT id, 1, 1, last_worker_id, now(), now(), 'failed' FROM task_queue WHERE status = 'failed';
INSERT INTO task_logs (log_id, fence, task_id, at_utc, level, message) SELECT id, 0, id, now(), 'info', 'm' FROM task_queue WHERE status = 'failed';
INSERT INTO task_unique_keys (type, unique_key, task_id) SELECT type, 'u' || id, id FROM task_queue WHERE id % 10 = 0;
INSERT INTO http_answers (request_key, fingerprint, owner, status_code, media_type, body, created_at_utc, held_until_utc, expires_at_utc)
SELECT 'r' || id, 'f', 'o', 201, 'application/json', '{}', now(), now(), now() + id * interval '1 ms' FROM task_queue WHERE id % 10 = 0;
INSERT INTO operations (action, filter, status, confirm_hash, expires_at_utc, created_at_utc, updated_at_utc, finished_at_utc)
SELECT 'cancel', '{}', CASE WHEN id % 1000 = 0 THEN 'proposed' ELSE 'completed' END, 'h' || id, now() + id * interval '1 ms', now(), now(), CASE WHEN id % 1000 <> 0 THEN now() END
FROM task_queue WHERE id % 100 = 0;
INSERT INTO schedules (name, cron, timezone, task, misfire, max_misfires, overlap, jitter_seconds, paused, next_tick_utc, version, created_at_utc, updated_at_utc)
SELECT 's' || i, '* * * * *', 'UTC', '{}', 'once', 1, 'allow', 0, false, now() + i * interval '1 s', 1, now(), now() FROM generate_series(0, 999) AS i;
INSERT INTO schedule_ticks (schedule, tick_utc, task_id, live)
SELECT 's' || (id % 1000), now() + id * interval '1 s', id, status IN ('queued', 'processing') FROM task_queue WHERE id % 10 = 1;
INSERT INTO task_types (type, paused, max_concurrency, updated_at_utc) SELECT 'type' || i, i = 9, CASE i WHEN 8 THEN 10 END, now() FROM generate_series(0, 9) AS i`

// TestPlans looks at the plans of all queries in a crowd, without statistics and with them. Each list has its way into the table, and no other.
func TestPlans(t *testing.T) {
	t.Parallel()
	st, other := open(t, "")
	exec(t, other, "ALTER TABLE task_queue SET (autovacuum_enabled = off)")
	exec(t, other, crowd)
	const last = math.MaxInt64
	byType := []string{"task_queue_ready", "task_queue_later_of_type", "task_queue_completed_of_type", "task_queue_failed_of_type", "task_queue_lease"}
	lists := []struct {
		name    string
		explain func(q *postgresdb.Queries)
		indexes []string // that may be used
	}{
		{"ListTasks", func(q *postgresdb.Queries) {
			q.ListTasks(t.Context(), postgresdb.ListTasksParams{Before: last, Max: 100})
		}, []string{"task_queue_pkey"}},
		{"ListTasksByType", func(q *postgresdb.Queries) {
			q.ListTasksByType(t.Context(), postgresdb.ListTasksByTypeParams{Before: last, Max: 100, Type: "rare"})
		}, byType},
		{"OldestQueuedAt", func(q *postgresdb.Queries) { q.OldestQueuedAt(t.Context()) }, []string{"task_queue_queued"}},
	}
	type list = struct {
		name    string
		explain func(q *postgresdb.Queries)
		indexes []string
	}
	lists = append(lists, list{"ListRuns", func(q *postgresdb.Queries) {
		q.ListRuns(t.Context(), postgresdb.ListRunsParams{Max: 50, Skip: 1000})
	}, []string{"task_queue_pkey"}}, list{"CountCancelled", func(q *postgresdb.Queries) {
		q.CountCancelled(t.Context(), postgresdb.CountCancelledParams{Max: 1000})
	}, []string{"task_queue_cancelled"}}, list{"CountUnsuccessful", func(q *postgresdb.Queries) {
		q.CountUnsuccessful(t.Context(), postgresdb.CountUnsuccessfulParams{Max: 1000, Type: "rare"})
	}, []string{"task_queue_unsuccessful"}})
	runsOfType := []string{"task_queue_ready", "task_queue_later_of_type", "task_queue_completed_of_type", "task_queue_unsuccessful", "task_queue_cancelled", "task_queue_lease"}
	runs := []string{"task_queue_queued", "task_queue_completed", "task_queue_unsuccessful", "task_queue_cancelled", "task_queue_lease"}
	for _, status := range append(task.RunStatuses, "") {
		lists = append(lists, list{"ListRunsByType", func(q *postgresdb.Queries) {
			q.ListRunsByType(t.Context(), postgresdb.ListRunsByTypeParams{Status: string(status), Max: 50, Skip: 1000, Type: "rare"})
		}, runsOfType})
		if status != "" {
			lists = append(lists, list{"ListRunsByStatus", func(q *postgresdb.Queries) {
				q.ListRunsByStatus(t.Context(), postgresdb.ListRunsByStatusParams{Status: string(status), Max: 50, Skip: 1000})
			}, runs})
		}
	}
	for _, status := range []task.Status{task.Queued, task.Completed, task.Failed} {
		lists = append(lists, lists[1], lists[1])
		lists[len(lists)-2].explain = func(q *postgresdb.Queries) {
			q.ListTasksByType(t.Context(), postgresdb.ListTasksByTypeParams{Status: string(status), Before: last, Max: 100, Type: "rare"})
		}
		l := &lists[len(lists)-1]
		l.name, l.indexes = "ListTasksByStatus", []string{"task_queue_" + string(status)}
		l.explain = func(q *postgresdb.Queries) {
			q.ListTasksByStatus(t.Context(), postgresdb.ListTasksByStatusParams{Status: status, Before: last, Max: 100})
		}
	}
	exec(t, other, "ALTER TABLE task_queue ALTER status SET STATISTICS 10000") // looks at all rows, so that chance has no say
	for _, statistics := range []string{"", "of the crowd", "of a crowd in which no task is processing"} {
		golden := "plans_without_statistics.golden"
		if statistics != "" {
			golden = "plans.golden"
			if statistics != "of the crowd" {
				exec(t, other, "DELETE FROM task_queue WHERE status = 'processing'")
			}
			exec(t, other, "ANALYZE")
		}
		checkGolden(t, st, golden)
		for _, l := range lists {
			p := &listPlanner{DB: st.ListDB()}
			l.explain(postgresdb.New(p))
			used := accessPaths(p.plan)
			if len(used) == 0 {
				t.Errorf("%s: no access to the table in the plan:\n%s", l.name, p.plan)
			}
			for _, index := range used {
				if !slices.Contains(l.indexes, index) {
					t.Errorf("%s reads by %q (statistics: %s):\n%s", l.name, index, cmp.Or(statistics, "none"), p.plan)
				}
			}
		}
	}
	p := &listPlanner{DB: st.ListDB()}
	p.QueryContext(t.Context(), "SELECT id FROM task_queue WHERE type = 'rare'")
	if used := accessPaths(p.plan); !slices.Equal(used, []string{""}) {
		t.Errorf("of a planted scan of the table this was found: %q\n%s", used, p.plan)
	}
}

var found = regexp.MustCompile(`using task_queue_pkey on task_queue t\n +Index Cond: \(id = n\.id\)\n`)

var accessPath = regexp.MustCompile(`(?: using (\w+))? on task_queue\b`)

// accessPaths returns the indexes by which a plan finds tasks, not those by which it reads what it has found; empty stands for the table itself.
func accessPaths(plan string) (indexes []string) {
	for _, m := range accessPath.FindAllStringSubmatch(found.ReplaceAllString(plan, ""), -1) {
		indexes = append(indexes, m[1])
	}
	return indexes
}
