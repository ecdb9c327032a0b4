package dbcopy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/db/postgressets"
	"github.com/prismq/thequeue/db/sqlitecopy"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/task"
)

// onPostgres is a PostgreSQL database on one connection.
type onPostgres struct {
	url  string
	conn *sql.Conn
	done func() error
	q    *postgresdb.Queries
	tell func(what string) // what is waited for; nil: nobody is told
}

func openPostgres(ctx context.Context, url string, fill bool) (side, error) {
	conn, done, err := postgres.OpenConn(ctx, url, fill)
	if err != nil {
		return nil, err
	}
	return &onPostgres{url: config.Redact(url), conn: conn, done: done, q: postgresdb.New(conn)}, nil
}

func (s *onPostgres) place() string { return s.url }

func (s *onPostgres) close() error { return s.done() }

func (s *onPostgres) see(ctx context.Context, do func(*rows) error) error {
	return s.inTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}, do)
}

func (s *onPostgres) fill(ctx context.Context, do func(*rows) error) error {
	return s.inTx(ctx, nil, do)
}

// inTx runs do on pgx, in a transaction.
func (s *onPostgres) inTx(ctx context.Context, o *sql.TxOptions, do func(*rows) error) error {
	tx, err := s.conn.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	err = postgres.Raw(s.conn, func(c *pgx.Conn) error { return do(pgRows(postgressets.New(c))) })
	if err != nil {
		return err
	}
	return tx.Commit()
}

const (
	// lockTries is how often the tables are asked for, each time for some seconds: whoever waits for a table holds up those who come after.
	lockTries = 10
	// lockNotAvailable and deadlockDetected are SQLSTATE codes: the triggers have not been switched, and may be at the next try.
	lockNotAvailable, deadlockDetected = "55P03", "40P01"
)

const (
	// A vacuum may hold a table for long, and takes nothing else with it while it is waited for: it is looked for every holdersAgain, for holdersWait at most.
	holdersAgain = 100 * time.Millisecond
	holdersWait  = 10 * time.Minute
)

// enter switches the triggers, for which nobody may write to a table just then. What holds one for long is waited for beforehand, so that writers do not wait as well.
func (s *onPostgres) enter(ctx context.Context, m Status) (err error) {
	if m.fresh || m.State == task.MoveFenced {
		if err := s.awaitHolders(ctx); err != nil {
			return err
		}
	}
	for try := 1; ; try++ {
		err = s.tryEnter(ctx, m)
		pg, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || pg.Code != lockNotAvailable && pg.Code != deadlockDetected {
			return err
		}
		if try == lockTries {
			return s.inTheWay(ctx, err)
		}
	}
}

// awaitHolders waits until nothing holds a table but those who write to it. ErrConflict with what does when that takes too long.
func (s *onPostgres) awaitHolders(ctx context.Context) error {
	for waited := time.Duration(0); ; waited += holdersAgain {
		what, err := s.holders(ctx)
		if err != nil || what == "" {
			return err
		}
		if waited >= holdersWait {
			return s.inTheWay(ctx, task.ErrConflict)
		}
		if s.tell != nil {
			s.tell("wait for " + what)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(holdersAgain):
		}
	}
}

// holders names what holds a table; empty: nothing does.
func (s *onPostgres) holders(ctx context.Context) (string, error) {
	list, err := s.q.ListLockHolders(ctx, "{"+strings.Join(store.Tables, ",")+"}")
	if err != nil || len(list) == 0 {
		return "", err
	}
	h := list[0]
	return fmt.Sprintf("process %d of PostgreSQL, which holds %s: %s", h.Pid, h.TableName, strings.Join(strings.Fields(h.Statement), " ")), nil
}

// inTheWay is the error of a move that does not get the tables.
func (s *onPostgres) inTheWay(ctx context.Context, err error) error {
	what, failed := s.holders(ctx)
	if failed != nil || what == "" {
		what = "transactions that others have open"
	}
	return fmt.Errorf("%w: the tables cannot be had to begin the next part of the move: in the way is %s; run the same command again when that has ended", err, what)
}

func (s *onPostgres) tryEnter(ctx context.Context, m Status) error {
	return s.change(ctx, func(q *postgresdb.Queries) error {
		known, err := q.GetMove(ctx)
		if was, err := status(sqlitecopy.StoreMove(known), err); err != nil || m.follows(was) != nil {
			return errors.Join(err, m.follows(was))
		}
		if m.fresh || m.State == task.MoveLeft {
			if err := q.ClearMoveChanges(ctx); err != nil {
				return err
			}
		}
		switch m.State {
		case task.MoveArriving:
			err = q.SilenceTriggers(ctx)
		case task.MoveArrived:
			err = q.RestoreTriggers(ctx)
		default:
			err = q.SetMoveTriggers(ctx, postgresdb.SetMoveTriggersParams{Recording: m.State != task.MoveLeft, Refusing: m.State.Refuses()})
		}
		if err != nil {
			return err
		}
		return q.PutMove(ctx, postgresdb.PutMoveParams{MoveID: m.ID, State: m.State, Peer: m.Peer, SinceUTC: m.Since})
	})
}

func (s *onPostgres) change(ctx context.Context, do func(*postgresdb.Queries) error) error {
	tx, err := s.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	q := postgresdb.New(tx)
	if err := q.BeginMoveStep(ctx); err != nil {
		return err
	}
	if err := do(q); err != nil {
		return err
	}
	return tx.Commit()
}

func (s *onPostgres) forget(ctx context.Context, followed []change) error {
	for len(followed) > 0 {
		n := min(len(followed), 10_000)
		seqs := make([]int64, n)
		for i, c := range followed[:n] {
			seqs[i] = c.seq
		}
		if err := s.q.ForgetMoveChanges(ctx, list(seqs)); err != nil {
			return err
		}
		followed = followed[n:]
	}
	return nil
}

func (s *onPostgres) remove(ctx context.Context) error {
	return s.change(ctx, func(q *postgresdb.Queries) error {
		return errors.Join(q.SetMoveTriggers(ctx, postgresdb.SetMoveTriggersParams{}), q.ClearMoveChanges(ctx), q.DropMove(ctx))
	})
}

// settle gathers the statistics that the planner goes by.
func (s *onPostgres) settle(ctx context.Context) error { return s.q.AnalyzeTables(ctx) }

// together returns the paste function of a statement for many rows.
func together[Params any](statement func(context.Context, []Params) (int64, error)) func(context.Context, []any) error {
	return func(ctx context.Context, rows []any) error {
		if len(rows) == 0 {
			return nil
		}
		_, err := statement(ctx, unboxed[Params](rows))
		return err
	}
}

// pasteCounts writes the sums of lanes into one slot.
func pasteCounts(q *postgressets.Queries) func(context.Context, []any) error {
	return func(ctx context.Context, rows []any) error {
		list := make([]postgressets.PasteLaneCountsParams, len(rows))
		for i, row := range rows {
			c := row.(sqlitecopy.CopyLaneCountsRow)
			list[i] = postgressets.PasteLaneCountsParams{
				LaneID: c.LaneID, Ready: c.Ready, Scheduled: c.Scheduled, Processing: c.Processing,
				Completed: c.Completed, Failed: c.Failed, Purged: c.Purged,
			}
		}
		_, err := q.PasteLaneCounts(ctx, list)
		return err
	}
}

// converted returns rows in another type with the same fields.
func converted[To, From any](rows []From) []To {
	out := make([]To, len(rows))
	for i, r := range rows {
		out[i] = as[To](r)
	}
	return out
}

// sequenceOf are the sequences of the tables that have one.
var sequenceOf = map[string]string{
	"lanes": "lanes_id_seq", "task_queue": "task_queue_id_seq", "operations": "operations_id_seq", "audit_log": "audit_log_audit_id_seq",
}

func pgRows(q *postgressets.Queries) *rows {
	r := &rows{lastTask: q.LastTaskID}
	r.short = []table{
		{name: "lanes", key: keyOf, page: pages[sqlitecopy.Lane](q.CopyLanes), paste: together(q.PasteLanes),
			cut: cutting(q.CutLane, func(r sqlitecopy.Lane) int64 { return r.ID })},
		{name: "lane_counts", key: keyOf, page: pages[sqlitecopy.CopyLaneCountsRow](q.CopyLaneCounts), paste: pasteCounts(q),
			cut: cutting(q.CutLaneCounts, func(r sqlitecopy.CopyLaneCountsRow) int64 { return r.LaneID })},
		{name: "workers", key: keyOf, page: pages[sqlitecopy.Worker](q.CopyWorkers), paste: together(q.PasteWorkers),
			cut: cutting(q.CutWorker, func(r sqlitecopy.Worker) string { return r.WorkerID })},
		{name: "task_types", key: keyOf, page: pages[sqlitecopy.Type](q.CopyTypes), paste: together(q.PasteTypes),
			cut: cutting(q.CutType, func(r sqlitecopy.Type) string { return r.Type })},
		{name: "type_rules", key: keyOf, page: pages[sqlitecopy.TypeRule](q.CopyTypeRules), paste: together(q.PasteTypeRules),
			cut: func(ctx context.Context, _ any) error { return q.CutTypeRules(ctx) }},
		{name: "operations", key: keyOf, page: pages[sqlitecopy.Operation](q.CopyOperations), paste: together(q.PasteOperations),
			cut: cutting(q.CutOperation, func(r sqlitecopy.Operation) int64 { return r.ID })},
		{name: "schedules", key: keyOf, page: pages[sqlitecopy.Schedule](q.CopySchedules), paste: together(q.PasteSchedules),
			cut: cutting(q.CutSchedule, func(r sqlitecopy.Schedule) string { return r.Name })},
		{name: "lane_keys", key: keyOf, page: pages[sqlitecopy.LaneKey](q.CopyLaneKeys), paste: together(q.PasteLaneKeys),
			cut: cutting(q.CutLaneKey, func(r sqlitecopy.LaneKey) postgressets.CutLaneKeyParams {
				return postgressets.CutLaneKeyParams{LaneID: r.LaneID, ConcurrencyKey: r.ConcurrencyKey}
			})},
		{name: "key_rates", key: keyOf, page: pages[sqlitecopy.KeyRate](q.CopyKeyRates), paste: together(q.PasteKeyRates),
			cut: cutting(q.CutKeyRate, func(r sqlitecopy.KeyRate) postgressets.CutKeyRateParams {
				return postgressets.CutKeyRateParams{Type: r.Type, ConcurrencyKey: r.ConcurrencyKey}
			})},
		{name: "failure_groups", key: keyOf, page: pages[sqlitecopy.FailureGroup](q.CopyFailureGroups), paste: together(q.PasteFailureGroups),
			cut: cutting(q.CutFailureGroup, func(r sqlitecopy.FailureGroup) postgressets.CutFailureGroupParams {
				return postgressets.CutFailureGroupParams{Fingerprint: r.Fingerprint, Type: r.Type}
			})},
		{name: "api_keys", key: keyOf, page: pages[sqlitecopy.APIKey](q.CopyAPIKeys), paste: together(q.PasteAPIKeys),
			cut: cutting(q.CutAPIKey, func(r sqlitecopy.APIKey) string { return r.KeyID })},
	}
	r.spanned = []table{
		{name: "task_rollups", key: keyOf, step: rollupStep, paste: together(q.PasteRollups),
			bounds: func(ctx context.Context) (int64, int64, error) {
				b, err := q.BoundRollups(ctx)
				return b.Lowest, b.Highest, err
			},
			within: func(ctx context.Context, after, upto int64) ([]any, error) {
				return boxed[sqlitecopy.Rollup](q.CopyRollups(ctx, postgressets.CopyRollupsParams{After: time.UnixMicro(after).UTC(), Upto: time.UnixMicro(upto).UTC()}))
			},
			cut: cutting(q.CutRollup, func(r sqlitecopy.Rollup) postgressets.CutRollupParams {
				return postgressets.CutRollupParams{Seconds: r.Seconds, Type: r.Type, AtUTC: r.AtUTC, Node: r.Node}
			})},
		{name: "audit_log", key: keyOf, step: auditStep, paste: together(q.PasteAudit),
			bounds: func(ctx context.Context) (int64, int64, error) {
				b, err := q.BoundAudit(ctx)
				return b.Lowest, b.Highest, err
			},
			within: func(ctx context.Context, after, upto int64) ([]any, error) {
				return boxed[sqlitecopy.Audit](q.CopyAudit(ctx, postgressets.CopyAuditParams{After: after, Upto: upto}))
			},
			cut: cutting(q.CutAudit, func(r sqlitecopy.Audit) int64 { return r.AuditID })},
	}
	r.tasks = []table{
		{name: "task_queue", paste: together(q.PasteTasks), ofTasks: func(ctx context.Context, ids []int64) ([]any, error) {
			return boxed[sqlitecopy.Task](q.CopyTasks(ctx, ids))
		}},
		{name: "task_attempts", paste: together(q.PasteAttempts), ofTasks: func(ctx context.Context, ids []int64) ([]any, error) {
			return boxed[sqlitecopy.Attempt](q.CopyAttempts(ctx, ids))
		}},
		{name: "task_logs", paste: together(q.PasteLogs), ofTasks: func(ctx context.Context, ids []int64) ([]any, error) {
			return boxed[sqlitecopy.Log](q.CopyLogs(ctx, ids))
		}},
		{name: "schedule_ticks", paste: together(q.PasteScheduleTicks), ofTasks: func(ctx context.Context, ids []int64) ([]any, error) {
			return boxed[sqlitecopy.ScheduleTick](q.CopyScheduleTicks(ctx, ids))
		}},
		{name: "task_unique_keys", paste: together(q.PasteUniqueKeys), ofTasks: func(ctx context.Context, ids []int64) ([]any, error) {
			return boxed[sqlitecopy.TaskUniqueKey](q.CopyUniqueKeys(ctx, ids))
		}},
	}
	r.answers = table{name: "http_answers", paste: together(q.PasteAnswers),
		ofKeys: func(ctx context.Context, keys []string) ([]any, error) {
			return boxed[sqlitecopy.Answer](q.CopyAnswers(ctx, keys))
		}}
	r.taskIDs = func(ctx context.Context, after, last int64) ([]step[int64], error) {
		ids, err := q.CopyTaskIDs(ctx, postgressets.CopyTaskIDsParams{After: after, Last: last})
		return steps(ids, err, func(r postgressets.CopyTaskIDsRow) step[int64] { return step[int64]{r.ID, r.Bytes} })
	}
	r.answerKeys = func(ctx context.Context, after string) ([]step[string], error) {
		keys, err := q.CopyAnswerKeys(ctx, after)
		return steps(keys, err, func(r postgressets.CopyAnswerKeysRow) step[string] { return step[string]{r.RequestKey, r.Bytes} })
	}
	r.taskSizes = func(ctx context.Context, ids []int64) ([]step[int64], error) {
		sizes, err := q.CopyTaskSizes(ctx, ids)
		return steps(sizes, err, func(r postgressets.CopyTaskSizesRow) step[int64] { return step[int64]{r.ID, r.Bytes} })
	}
	r.answerSizes = func(ctx context.Context, keys []string) ([]step[string], error) {
		sizes, err := q.CopyAnswerSizes(ctx, keys)
		return steps(sizes, err, func(r postgressets.CopyAnswerSizesRow) step[string] { return step[string]{r.RequestKey, r.Bytes} })
	}
	r.cutTasks, r.cutAnswers = q.CutTasks, q.CutAnswers
	r.count = func(ctx context.Context) (map[string]int64, error) {
		c, err := q.CountLongTables(ctx)
		return longCounts(as[sqlitecopy.CountLongTablesRow](c)), err
	}
	r.sequences = func(ctx context.Context) (map[string]int64, error) {
		list, err := q.CopySequences(ctx)
		out := map[string]int64{}
		for table, sequence := range sequenceOf {
			for _, s := range list {
				if s.Name == sequence {
					out[table] = s.Value
				}
			}
		}
		return out, err
	}
	r.raise = func(ctx context.Context, table string, id int64) error {
		return q.SetSequence(ctx, postgressets.SetSequenceParams{Name: sequenceOf[table], Value: id})
	}
	r.move = func(ctx context.Context) (Status, error) {
		got, err := q.SeeMove(ctx)
		if errors.Is(err, pgx.ErrNoRows) {
			return Status{}, nil
		}
		return status(as[sqlitecopy.StoreMove](got), err)
	}
	r.setCopied = func(ctx context.Context, p progress) error { return q.NoteCopied(ctx, p.text()) }
	r.tasksChanged = func(ctx context.Context, _, after, last int64) ([]int64, error) {
		return q.SeeTasksChanged(ctx, postgressets.SeeTasksChangedParams{After: after, Last: last})
	}
	r.answersChanged = func(ctx context.Context, _ int64) ([]string, error) { return q.SeeAnswersChanged(ctx) }
	r.changes = func(ctx context.Context, _ int64) ([]change, error) {
		list, err := q.SeeMoveChanges(ctx, maxChanges)
		return changesOf(converted[sqlitecopy.MoveChange](list)), err
	}
	return r
}
