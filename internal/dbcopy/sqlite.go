package dbcopy

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/prismq/thequeue/db/sqlitecopy"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
)

// onSQLite is a SQLite file.
type onSQLite struct {
	files       *sqlite.Files
	read, write *sqlitecopy.Queries
}

func openSQLite(ctx context.Context, path string, fill bool) (_ side, err error) {
	f, err := sqlite.OpenFiles(ctx, path, fill)
	if err != nil {
		return nil, err
	}
	s := &onSQLite{files: f}
	if s.read, err = sqlitecopy.Prepare(ctx, f.Read); err == nil {
		s.write, err = sqlitecopy.Prepare(ctx, f.Write)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func (s *onSQLite) place() string { return s.files.Path() }

func (s *onSQLite) close() error {
	return errors.Join(s.read.Close(), s.write.Close(), s.files.Close())
}

func (s *onSQLite) see(ctx context.Context, do func(*rows) error) error {
	tx, err := s.files.Read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback() // it has changed nothing
	return do(liteRows(s.read.WithTx(tx)))
}

func (s *onSQLite) fill(ctx context.Context, do func(*rows) error) error {
	if err := s.change(ctx, func(q *sqlitecopy.Queries) error { return do(liteRows(q)) }); err != nil {
		return err
	}
	return s.files.Checkpoint(ctx)
}

// change runs do in a transaction that has the lock of the file from its start.
func (s *onSQLite) change(ctx context.Context, do func(*sqlitecopy.Queries) error) error {
	tx, err := s.files.Write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	if err := do(s.write.WithTx(tx)); err != nil {
		return err
	}
	return tx.Commit()
}

// enter needs the row alone: the triggers, and the server that has the file, look at it.
func (s *onSQLite) enter(ctx context.Context, m Status) error {
	if m.State == task.MoveArrived {
		if err := s.files.Durable(ctx, true); err != nil {
			return err
		}
	}
	return s.change(ctx, func(q *sqlitecopy.Queries) error {
		known, err := status(q.SeeMove(ctx))
		if err == nil {
			err = m.follows(known)
		}
		if err != nil {
			return err
		}
		if m.fresh || m.State == task.MoveLeft {
			if err := q.ClearMoveChanges(ctx); err != nil {
				return err
			}
		}
		return q.PutMove(ctx, sqlitecopy.PutMoveParams{MoveID: m.ID, State: m.State, Peer: m.Peer, SinceUTC: m.Since})
	})
}

// forget leaves the changes until the end: each is known by its number, and a server reads what it knows anew whenever somebody else writes.
func (s *onSQLite) forget(context.Context, []change) error { return nil }

func (s *onSQLite) remove(ctx context.Context) error {
	return s.change(ctx, func(q *sqlitecopy.Queries) error {
		return errors.Join(q.ClearMoveChanges(ctx), q.DropMove(ctx))
	})
}

func (s *onSQLite) settle(context.Context) error { return nil }

// list is a list as one JSON text.
func list[K any](keys []K) string {
	text, err := json.Marshal(keys)
	if err != nil {
		panic(err) // numbers and texts have a form
	}
	return string(text)
}

// each returns the paste function of a statement for one row.
func each[Params any](statement func(context.Context, Params) error) func(context.Context, []any) error {
	return func(ctx context.Context, rows []any) error {
		for _, r := range rows {
			if err := statement(ctx, as[Params](r)); err != nil {
				return err
			}
		}
		return nil
	}
}

func liteRows(q *sqlitecopy.Queries) *rows {
	r := &rows{lastTask: q.LastTaskID}
	r.short = []table{
		{name: "lanes", key: keyOf, page: pages[sqlitecopy.Lane](q.CopyLanes), paste: each(q.PasteLane),
			cut: cutting(q.CutLane, func(r sqlitecopy.Lane) int64 { return r.ID })},
		{name: "lane_counts", key: keyOf, page: pages[sqlitecopy.CopyLaneCountsRow](q.CopyLaneCounts), paste: each(q.PasteLaneCounts),
			cut: cutting(q.CutLaneCounts, func(r sqlitecopy.CopyLaneCountsRow) int64 { return r.LaneID })},
		{name: "workers", key: keyOf, page: pages[sqlitecopy.Worker](q.CopyWorkers), paste: each(q.PasteWorker),
			cut: cutting(q.CutWorker, func(r sqlitecopy.Worker) string { return r.WorkerID })},
		{name: "task_types", key: keyOf, page: pages[sqlitecopy.Type](q.CopyTypes), paste: each(q.PasteType),
			cut: cutting(q.CutType, func(r sqlitecopy.Type) string { return r.Type })},
		{name: "type_rules", key: keyOf, page: pages[sqlitecopy.TypeRule](q.CopyTypeRules), paste: each(q.PasteTypeRules),
			cut: func(ctx context.Context, _ any) error { return q.CutTypeRules(ctx) }},
		{name: "operations", key: keyOf, page: pages[sqlitecopy.Operation](q.CopyOperations), paste: each(q.PasteOperation),
			cut: cutting(q.CutOperation, func(r sqlitecopy.Operation) int64 { return r.ID })},
		{name: "schedules", key: keyOf, page: pages[sqlitecopy.Schedule](q.CopySchedules), paste: each(q.PasteSchedule),
			cut: cutting(q.CutSchedule, func(r sqlitecopy.Schedule) string { return r.Name })},
		{name: "lane_keys", key: keyOf, page: pages[sqlitecopy.LaneKey](q.CopyLaneKeys), paste: each(q.PasteLaneKey),
			cut: cutting(q.CutLaneKey, func(r sqlitecopy.LaneKey) sqlitecopy.CutLaneKeyParams {
				return sqlitecopy.CutLaneKeyParams{LaneID: r.LaneID, ConcurrencyKey: r.ConcurrencyKey}
			})},
		{name: "key_rates", key: keyOf, page: pages[sqlitecopy.KeyRate](q.CopyKeyRates), paste: each(q.PasteKeyRate),
			cut: cutting(q.CutKeyRate, func(r sqlitecopy.KeyRate) sqlitecopy.CutKeyRateParams {
				return sqlitecopy.CutKeyRateParams{Type: r.Type, ConcurrencyKey: r.ConcurrencyKey}
			})},
		{name: "failure_groups", key: keyOf, page: pages[sqlitecopy.FailureGroup](q.CopyFailureGroups), paste: each(q.PasteFailureGroup),
			cut: cutting(q.CutFailureGroup, func(r sqlitecopy.FailureGroup) sqlitecopy.CutFailureGroupParams {
				return sqlitecopy.CutFailureGroupParams{Fingerprint: r.Fingerprint, Type: r.Type}
			})},
		{name: "api_keys", key: keyOf, page: pages[sqlitecopy.APIKey](q.CopyAPIKeys), paste: each(q.PasteAPIKey),
			cut: cutting(q.CutAPIKey, func(r sqlitecopy.APIKey) string { return r.KeyID })},
	}
	r.spanned = []table{
		{name: "task_rollups", key: keyOf, step: rollupStep, paste: each(q.PasteRollup),
			bounds: func(ctx context.Context) (int64, int64, error) {
				b, err := q.BoundRollups(ctx)
				return b.Lowest, b.Highest, err
			},
			within: func(ctx context.Context, after, upto int64) ([]any, error) {
				return boxed[sqlitecopy.Rollup](q.CopyRollups(ctx, sqlitecopy.CopyRollupsParams{After: time.UnixMicro(after).UTC(), Upto: time.UnixMicro(upto).UTC()}))
			},
			cut: cutting(q.CutRollup, func(r sqlitecopy.Rollup) sqlitecopy.CutRollupParams {
				return sqlitecopy.CutRollupParams{Seconds: r.Seconds, Type: r.Type, AtUTC: r.AtUTC, Node: r.Node}
			})},
		{name: "audit_log", key: keyOf, step: auditStep, paste: each(q.PasteAudit),
			bounds: func(ctx context.Context) (int64, int64, error) {
				b, err := q.BoundAudit(ctx)
				return b.Lowest, b.Highest, err
			},
			within: func(ctx context.Context, after, upto int64) ([]any, error) {
				return boxed[sqlitecopy.Audit](q.CopyAudit(ctx, sqlitecopy.CopyAuditParams{After: after, Upto: upto}))
			},
			cut: cutting(q.CutAudit, func(r sqlitecopy.Audit) int64 { return r.AuditID })},
	}
	r.tasks = []table{
		{name: "task_queue", paste: each(q.PasteTask), ofTasks: func(ctx context.Context, ids []int64) ([]any, error) {
			return boxed[sqlitecopy.Task](q.CopyTasks(ctx, list(ids)))
		}},
		{name: "task_attempts", paste: each(q.PasteAttempt), ofTasks: func(ctx context.Context, ids []int64) ([]any, error) {
			return boxed[sqlitecopy.Attempt](q.CopyAttempts(ctx, list(ids)))
		}},
		{name: "task_logs", paste: each(q.PasteLog), ofTasks: func(ctx context.Context, ids []int64) ([]any, error) {
			return boxed[sqlitecopy.Log](q.CopyLogs(ctx, list(ids)))
		}},
		{name: "schedule_ticks", paste: each(q.PasteScheduleTick), ofTasks: func(ctx context.Context, ids []int64) ([]any, error) {
			return boxed[sqlitecopy.ScheduleTick](q.CopyScheduleTicks(ctx, list(ids)))
		}},
		{name: "task_unique_keys", paste: each(q.PasteUniqueKey), ofTasks: func(ctx context.Context, ids []int64) ([]any, error) {
			return boxed[sqlitecopy.TaskUniqueKey](q.CopyUniqueKeys(ctx, list(ids)))
		}},
	}
	r.answers = table{name: "http_answers", paste: each(q.PasteAnswer),
		ofKeys: func(ctx context.Context, keys []string) ([]any, error) {
			return boxed[sqlitecopy.Answer](q.CopyAnswers(ctx, list(keys)))
		}}
	r.taskIDs = func(ctx context.Context, after, last int64) ([]step[int64], error) {
		ids, err := q.CopyTaskIDs(ctx, sqlitecopy.CopyTaskIDsParams{After: after, Last: last})
		return steps(ids, err, func(r sqlitecopy.CopyTaskIDsRow) step[int64] { return step[int64]{r.ID, r.Bytes} })
	}
	r.answerKeys = func(ctx context.Context, after string) ([]step[string], error) {
		keys, err := q.CopyAnswerKeys(ctx, after)
		return steps(keys, err, func(r sqlitecopy.CopyAnswerKeysRow) step[string] { return step[string]{r.RequestKey, r.Bytes} })
	}
	r.taskSizes = func(ctx context.Context, ids []int64) ([]step[int64], error) {
		sizes, err := q.CopyTaskSizes(ctx, list(ids))
		return steps(sizes, err, func(r sqlitecopy.CopyTaskSizesRow) step[int64] { return step[int64]{r.ID, r.Bytes} })
	}
	r.answerSizes = func(ctx context.Context, keys []string) ([]step[string], error) {
		sizes, err := q.CopyAnswerSizes(ctx, list(keys))
		return steps(sizes, err, func(r sqlitecopy.CopyAnswerSizesRow) step[string] { return step[string]{r.RequestKey, r.Bytes} })
	}
	r.cutTasks = func(ctx context.Context, ids []int64) error { return q.CutTasks(ctx, list(ids)) }
	r.cutAnswers = func(ctx context.Context, keys []string) error { return q.CutAnswers(ctx, list(keys)) }
	r.count = func(ctx context.Context) (map[string]int64, error) {
		c, err := q.CountLongTables(ctx)
		return longCounts(c), err
	}
	r.sequences = func(ctx context.Context) (map[string]int64, error) {
		s, err := q.CopySequences(ctx)
		return map[string]int64{"task_queue": s.Tasks, "operations": s.Operations, "audit_log": s.Audits}, err
	}
	r.raise = func(ctx context.Context, table string, id int64) error {
		if table == "lanes" {
			return nil // the next id is one more than the greatest there is
		}
		text, err := json.Marshal(map[string]int64{table: id})
		if err != nil {
			return err
		}
		return errors.Join(q.CutSequences(ctx, string(text)), q.PasteSequences(ctx, string(text)))
	}
	r.move = func(ctx context.Context) (Status, error) {
		m, err := q.SeeMove(ctx)
		return status(m, err)
	}
	r.setCopied = func(ctx context.Context, p progress) error { return q.NoteCopied(ctx, p.text()) }
	r.tasksChanged = func(ctx context.Context, since, after, last int64) ([]int64, error) {
		return q.SeeTasksChanged(ctx, sqlitecopy.SeeTasksChangedParams{Since: since, After: after, Last: last})
	}
	r.answersChanged = q.SeeAnswersChanged
	r.changes = func(ctx context.Context, since int64) ([]change, error) {
		list, err := q.SeeMoveChanges(ctx, sqlitecopy.SeeMoveChangesParams{Since: since, MaxChanges: maxChanges})
		return changesOf(list), err
	}
	return r
}
