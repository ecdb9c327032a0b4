package tests

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// patient is a migrated database to be damaged by raw SQL.
type patient struct {
	console
	database string // as app opens it
}

// eachPatient runs check on a migrated database of each engine.
func eachPatient(t *testing.T, check func(t *testing.T, p patient)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "queue.db")
		e := connect(t, engine{kind: schema.SQLite}, "sqlite3", "file:"+filepath.ToSlash(path)+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)&_pragma=foreign_keys(on)")
		e.mustUp(t)
		check(t, patient{console{e.kind, e.db}, path})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := testdb.PostgresURL(t)
		check(t, patient{console{schema.Postgres, connect(t, engine{kind: schema.Postgres}, "pgx", url).db}, url})
	})
}

func (p patient) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := p.db.ExecContext(t.Context(), p.text(s)); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// weaken takes away what refuses damage: triggers, CHECKs and foreign keys.
func (p patient) weaken(t *testing.T) {
	t.Helper()
	p.db.SetMaxOpenConns(1) // what is set for a session holds for all that follows
	if p.kind == schema.SQLite {
		p.exec(t, "PRAGMA foreign_keys = off", "PRAGMA ignore_check_constraints = on")
		for _, name := range p.names(t, "SELECT name FROM sqlite_schema WHERE type = 'trigger'") {
			p.exec(t, "DROP TRIGGER "+name)
		}
		return
	}
	p.exec(t, "SET session_replication_role = replica")
	for _, drop := range p.names(t, "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace") {
		p.exec(t, drop)
	}
}

func (p patient) names(t *testing.T, query string) (out []string) {
	t.Helper()
	rows, err := p.db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		out = append(out, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func (p patient) inspect(t *testing.T, max int) store.Inspection {
	t.Helper()
	in, err := app.Inspect(t.Context(), p.database, max)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// damage is one kind of it, done to tasks of its own: #1 to #6 in plant are the ids of tasks in the states of ruleRows.
type damage struct {
	plant   string
	check   string
	subject string
	problem string
	on      schema.Engine // empty: both
}

var damages = []damage{
	{set("#1", "status = 'asleep'"), "tasks", "task #1", "its status is none: asleep", ""},
	{set("#1", "max_attempts = 101"), "tasks", "task #1", "may have 101 attempts", ""},
	{set("#4", "attempts = 9"), "tasks", "task #4", "has had 9 attempts of 5", ""},
	{set("#4", "attempts = -1"), "tasks", "task #4", "has had -1 attempts of 5", ""},
	{set("#2", "attempts = 5"), "tasks", "task #2", "is queued without an attempt left", ""},
	{set("#1", "locked_by = 'w9'"), "tasks", "task #1", "is queued, but held by a worker", ""},
	{set("#4", "lease_until_utc = :T9"), "tasks", "task #4", "is completed, but held by a worker", ""},
	{set("#3", "lease_until_utc = NULL"), "tasks", "task #3", "is processing without a worker or a whole lease", ""},
	{set("#3", "lease_secret = NULL"), "tasks", "task #3", "is processing without a worker or a whole lease", ""},
	{set("#3", "fence = 0"), "tasks", "task #3", "was never claimed", ""},
	{set("#1", "finished_at_utc = :T2"), "tasks", "task #1", "is queued, but has an end", ""},
	{set("#4", "outcome = NULL"), "tasks", "task #4", "is completed without an outcome", ""},
	{set("#5", "finished_at_utc = NULL"), "tasks", "task #5", "is failed without an outcome or the time of its end", ""},
	{set("#4", "outcome = 'cancelled'"), "tasks", "task #4", "is completed with the outcome cancelled", ""},
	{set("#5", "outcome = 'succeeded'"), "tasks", "task #5", "is failed with the outcome succeeded", ""},
	{set("#4", "ready = TRUE"), "tasks", "task #4", "is completed, but marked as one to claim", ""},
	{set("#1", "lost = -1"), "tasks", "task #1", "below zero", ""},
	{set("#1", "error_fingerprint = 'abc'"), "tasks", "task #1", "is queued, but has the reason of a failure", ""},
	{set("#1", "payload = '[]'"), "tasks", "task #1", "is no JSON object", ""},
	{set("#1", "payload = 'nonsense'"), "tasks", "task #1", "is no JSON", schema.SQLite},
	{set("#4", "result = 'nonsense'"), "tasks", "task #4", "its result is no JSON", schema.SQLite},
	{set("#1", "lane_id = 99"), "lanes", "task #1", "its lane 99 does not exist", ""},
	{set("#1", "lane_id = 3"), "lanes", "task #1", "which has another type or priority", ""},
	{set("#1", "lane_id = 4"), "lanes", "task #1", "which has another compatibility", ""},
	{set("#4", "concurrency_key = 'k'"), "lanes", "task #4", "is for concurrency keys", ""},
	{"INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc) VALUES (#9, 1, 1, 'w', :T1)", "attempts", "task #9, the attempt under fence 1", "there is no such task", ""},
	{"INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc) VALUES (#5, 7, 1, 'w', :T1)", "attempts", "task #5, the attempt under fence 7", "claimed 1 times only", ""},
	{"INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc) VALUES (#3, 1, 1, 'w', :T1)", "attempts", "task #3, the attempt under fence 1", "is the one that has the task", ""},
	{"INSERT INTO task_logs (log_id, task_id, at_utc, level, message, fence) VALUES (1, #9, :T1, 'info', 'm', 0)", "logs", "task #9, the line 1 of its log", "there is no such task", ""},
	{"INSERT INTO task_logs (log_id, task_id, at_utc, level, message, fence) VALUES (1, #1, :T1, 'info', 'm', 4)", "logs", "task #1, the line 1 of its log", "claimed 0 times only, the line came after 4", ""},
	{"INSERT INTO schedule_ticks (schedule, tick_utc, task_id, live) VALUES ('nightly', :T1, #9, FALSE)", "references", "of the schedule nightly", "its task #9 does not exist", ""},
	{"INSERT INTO task_unique_keys (type, unique_key, task_id) VALUES ('mail', 'u', #9)", "references", "the unique key u of the type mail", "its task #9 does not exist", ""},
	{"INSERT INTO task_unique_keys (type, unique_key, task_id) VALUES ('other', 'v', #1)", "references", "the unique key v of the type other", "is of another type", ""},
	{"INSERT INTO lane_counts (lane_id, slot, ready) VALUES (98, 0, 0)", "references", "the counters of lane 98", "there is no such lane", ""},
	{"INSERT INTO failure_groups (fingerprint, type, pattern, sample_message, sample_task_id, first_seen_utc, last_seen_utc, count) VALUES ('f', 'mail', 'p', 'm', #5, :T2, :T1, 3)", "references",
		"the failures f of the type mail", "seen last before", ""},
	{"INSERT INTO lane_keys (lane_id, concurrency_key, turn, since_id) VALUES (1, 'gone', 0, #1)", "keys", "the key gone in lane 1", "has a turn, but no task to claim", ""},
	{set("#7", "ready = TRUE"), "keys", "the key acme in lane 5", "has tasks to claim, but no turn", ""},
	{"INSERT INTO lane_counts (lane_id, slot, ready, completed) VALUES (2, 0, 3, -1)", "counters", "lane 2 (mail, priority 5)", "counts 3 ready instead of 0, -1 completed instead of 0", ""},
}

// damaged makes a database with every kind of damage in it, each in tasks of its own.
func damaged(t *testing.T, p patient) (want []damage) {
	t.Helper()
	p.exec(t, ruleRows[0], "INSERT INTO lanes (type, compatibility, priority) VALUES ('mail', '{} ', 100)")
	for k, d := range damages {
		if d.on != "" && d.on != p.kind {
			continue
		}
		base := 100 * (k + 1)
		number := strings.NewReplacer("#1", fmt.Sprint(base+1), "#2", fmt.Sprint(base+2), "#3", fmt.Sprint(base+3), "#4", fmt.Sprint(base+4), "#5", fmt.Sprint(base+5), "#7", fmt.Sprint(base+7), "#9", fmt.Sprint(base+9))
		for i, row := range ruleRows[1:] {
			row = strings.ReplaceAll(row, "(7, 5,", fmt.Sprintf("(7, %d,", base+5)) // the line of a log
			row = strings.ReplaceAll(row, "(5, 1, 1,", fmt.Sprintf("(%d, 1, 1,", base+5))
			for id := 1; i == 0 && id <= 6; id++ {
				row = strings.ReplaceAll(row, fmt.Sprintf("(%d, 1, 'mail'", id), fmt.Sprintf("(%d, 1, 'mail'", base+id))
			}
			p.exec(t, row)
		}
		if strings.Contains(d.plant, "#7") {
			p.exec(t, fmt.Sprintf(`INSERT INTO task_queue (id, lane_id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc, ready, concurrency_key, created_at_utc, updated_at_utc)
				VALUES (%d, 5, 'mail', 100, '{}', '{}', 'queued', 0, 5, :T9, FALSE, 'acme', :T0, :T0)`, base+7))
		}
		d.plant, d.subject, d.problem = number.Replace(d.plant), number.Replace(d.subject), number.Replace(d.problem)
		want = append(want, d)
	}
	if in := p.inspect(t, 10); len(in.Damages) != 0 || in.Tasks != int64(6*len(want)+1) {
		t.Fatalf("before anything is planted: %+v", in)
	}
	p.weaken(t)
	for _, d := range want {
		p.exec(t, d.plant)
	}
	return want
}

func TestFsckFindsEveryKindOfDamageAtOnceAndRepairsCounters(t *testing.T) {
	t.Parallel()
	eachPatient(t, func(t *testing.T, p patient) {
		want := damaged(t, p)
		in := p.inspect(t, 1000)
		left := map[store.Damage]bool{}
		for _, d := range in.Damages {
			left[d] = true
		}
		for _, d := range want {
			found := false
			for got := range left {
				if got.Check == d.check && strings.Contains(got.Subject, d.subject) && strings.Contains(got.Problem, d.problem) {
					delete(left, got)
					found = true
				}
			}
			if !found {
				t.Errorf("not found: %s: %s %s (%s)", d.check, d.subject, d.problem, d.plant)
			}
		}
		for d := range left { // what was planted in tasks makes their counters wrong, and some are in lanes for other tasks
			if d.Check != store.CheckCounters && d.Check != "lanes" || d.Repaired {
				t.Errorf("found, but not planted: %+v", d)
			}
		}
		if in.Repairable() < 4 {
			t.Fatalf("%d of the findings can be repaired", in.Repairable())
		}
		if few := p.inspect(t, 2); len(few.More) < 3 || len(few.Drifts) != len(in.Drifts) {
			t.Errorf("with two of each listed there is more of %v, and %d drifts of %d", few.More, len(few.Drifts), len(in.Drifts))
		}
		if err := app.Repair(t.Context(), p.database, in); err != nil {
			t.Fatal(err)
		}
		after := p.inspect(t, 1000)
		if n := after.Repairable(); n != 0 || len(after.Damages) != len(in.Damages)-in.Repairable() {
			t.Errorf("after the repair %d can still be repaired, and %d are wrong; before it were %d, %d to be repaired", n, len(after.Damages), len(in.Damages), in.Repairable())
		}
		if kept, counted := p.counters(t, keptCounters), p.counters(t, countedTasks); kept != counted {
			t.Errorf("the counters say\n%s\nbut there are\n%s", kept, counted)
		}
		if err := app.Repair(t.Context(), p.database, in); !errors.Is(err, task.ErrConflict) {
			t.Errorf("the same repair again: %v", err)
		}
		if rows := p.names(t, "SELECT message FROM audit_log WHERE action = 'repair'"); len(rows) != 1 {
			t.Errorf("the audit has %q", rows)
		}
	})
}

// counters is counters in a transaction of its own, without lanes that do not exist.
func (p patient) counters(t *testing.T, query string) (out string) {
	t.Helper()
	p.undone(t, func(tx *dbsql.Tx) { out = counters(t, tx, query) })
	lines := strings.Split(out, "\n")
	kept := lines[:0]
	for _, l := range lines {
		if !strings.HasPrefix(l, "98") && !strings.HasPrefix(l, "99") {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "\n")
}

func TestFsckFindsMoreTasksThanIdsWereGiven(t *testing.T) {
	t.Parallel()
	eachPatient(t, func(t *testing.T, p patient) {
		p.exec(t, ruleRows...)
		p.exec(t, "UPDATE lane_counts SET purged = purged + 1000 WHERE lane_id = 1")
		in := p.inspect(t, 10)
		if len(in.Damages) != 1 || in.Damages[0].Subject != "all lanes" || in.Repairable() != 0 || !strings.Contains(in.Damages[0].Problem, "there are 6 tasks, and 1000 are counted as deleted") {
			t.Errorf("found %+v", in.Damages)
		}
	})
}

// TestFsckBesideALoadRaisesNoAlarmAndRepairs looks again and again at a database that workers and producers use, damages a counter meanwhile, and repairs it.
func TestFsckBesideALoadRaisesNoAlarmAndRepairs(t *testing.T) {
	t.Parallel()
	eachPatient(t, func(t *testing.T, p patient) {
		st, err := app.OpenStore(t.Context(), p.database, false, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		q := queue.New(st, queue.Options{})
		ctx, stop := context.WithCancel(t.Context())
		var busy sync.WaitGroup
		defer busy.Wait()
		defer stop()
		lives := make(chan struct{}, 1)
		for n := range 4 {
			busy.Go(func() { live(ctx, t, q, n, lives) })
		}
		for range 5 {
			<-lives
			if in := p.inspect(t, 10); len(in.Damages) > 0 {
				t.Fatalf("a false alarm: %+v", in)
			}
		}
		p.exec(t, "UPDATE lane_counts SET ready = ready + 5, completed = completed - 2 WHERE lane_id = (SELECT min(id) FROM lanes) AND slot = (SELECT min(slot) FROM lane_counts WHERE lane_id = (SELECT min(id) FROM lanes))")
		in := p.inspect(t, 10)
		if len(in.Damages) != 1 || len(in.Drifts) != 1 || in.Drifts[0].Ready != -5 || in.Drifts[0].Completed != 2 {
			t.Fatalf("found %+v", in)
		}
		<-lives // it goes on between the look and the repair
		<-lives
		if err := app.Repair(t.Context(), p.database, in); err != nil {
			t.Fatal(err)
		}
		<-lives
		if in := p.inspect(t, 10); len(in.Damages) > 0 {
			t.Errorf("after the repair: %+v", in)
		}
		stop()
		busy.Wait()
		if in := p.inspect(t, 10); len(in.Damages) > 0 {
			t.Errorf("at rest: %+v", in)
		}
		stats, err := st.Stats(t.Context(), st.Clock().Now())
		if err != nil || stats.TotalTasks != in.Tasks && stats.TotalTasks < 10 {
			t.Errorf("the store counts %+v, %v", stats, err)
		}
	})
}

// live enqueues tasks, with keys and without, claims some, ends them one way or another, until ctx ends. It tells of each round.
func live(ctx context.Context, t *testing.T, q *queue.Queue, n int, lives chan<- struct{}) {
	for round := 0; ctx.Err() == nil; round++ {
		specs := make([]task.Spec, 20)
		for i := range specs {
			specs[i] = task.Spec{Type: fmt.Sprint("t", n%2), MaxAttempts: ptr(2)}
			if i%3 == 0 {
				specs[i].ConcurrencyKey = ptr(fmt.Sprint("k", i%2))
			}
		}
		ts, _, err := q.EnqueueBatch(ctx, specs)
		if err == nil {
			_, _, err = q.Cancel(ctx, ts[0].ID) // unless another one has completed it by now
		}
		if err == nil {
			if _, err = q.Requeue(ctx, ts[0].ID); errors.Is(err, task.ErrConflict) {
				err = nil
			}
		}
		var leases []task.Lease
		if err == nil {
			leases, err = q.Claim(ctx, task.Claim{WorkerID: fmt.Sprint("w", n), Max: 15})
		}
		for i, l := range leases {
			switch i % 3 {
			case 0:
				_, err = q.Complete(ctx, l.ID, l.LeaseToken, nil)
			case 1:
				_, err = q.Fail(ctx, l.ID, l.LeaseToken, task.Failure{Message: "boom", NoRetry: true})
			default:
				_, err = q.Release(ctx, l.ID, l.LeaseToken, 0)
			}
			if err != nil {
				break
			}
			if i%6 == 0 {
				err = q.Delete(ctx, l.ID)
			}
		}
		if err != nil && ctx.Err() == nil {
			t.Errorf("round %d: %v", round, err)
			return
		}
		select {
		case lives <- struct{}{}:
		default:
		}
	}
}

func ptr[T any](v T) *T { return &v }
