package postgres

import (
	"context"
	"time"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// Import takes as long as it needs: only its statements have a limit. What the database gives up and undoes for a reason that passes begins again from the start.
func (s *Store) Import(ctx context.Context, im store.Import) (store.ImportResult, error) {
	done, err := operate(ctx, s, kind{what: "import"}, func(ctx context.Context) (store.ImportResult, error) {
		return inTx(ctx, s.db, nil, func(q *postgresdb.Queries) (store.ImportResult, error) { return store.RunImport(ctx, importTx{q}, im) })
	})
	if err == nil {
		s.announceAny()
	}
	return done, err
}

// KnownKeys looks the keys up.
func (s *Store) KnownKeys(ctx context.Context, keys []string) ([]string, error) {
	list, err := store.EncodeKeys(keys)
	if err != nil {
		return nil, err
	}
	return search(ctx, s, "look for keys", func(ctx context.Context) ([]string, error) { return s.q.ListKnownKeys(ctx, list) })
}

// importTx is the transaction of an import.
type importTx struct{ q *postgresdb.Queries }

func (x importTx) EverHad(ctx context.Context) (int64, error) {
	c, err := x.q.CountTasks(ctx)
	return c.Ready + c.Scheduled + c.Processing + c.Completed + c.Failed + c.Purged, err
}

func (x importTx) RaiseIDs(ctx context.Context, last int64) error { return x.q.RaiseTaskIDs(ctx, last) }

func (x importTx) Lane(ctx context.Context, t task.Task, compatibility string) (int64, error) {
	arg := postgresdb.GetLaneParams{Type: t.Type, Compatibility: compatibility, Priority: t.Priority}
	if err := x.q.InsertLane(ctx, postgresdb.InsertLaneParams(arg)); err != nil {
		return 0, err
	}
	return x.q.GetLane(ctx, arg)
}

func (importTx) Instant(t time.Time) any { return t.UTC().Format(time.RFC3339Nano) }

func (x importTx) InsertTasks(ctx context.Context, list string) (map[string]int64, error) {
	rows, err := x.q.ImportTasks(ctx, list)
	ids := make(map[string]int64, len(rows))
	for _, r := range rows {
		ids[*r.IdempotencyKey] = r.ID
	}
	return ids, err
}

func (x importTx) InsertAttempts(ctx context.Context, list string) error {
	return x.q.ImportAttempts(ctx, list)
}

func (x importTx) InsertLogs(ctx context.Context, list string) error {
	return x.q.ImportLogs(ctx, list)
}

func (x importTx) InsertWorker(ctx context.Context, w task.Worker) (int64, error) {
	return x.q.ImportWorker(ctx, postgresdb.ImportWorkerParams{
		WorkerID: w.WorkerID, Capabilities: w.Capabilities, RegisteredAtUTC: w.RegisteredAtUTC, HeartbeatUTC: w.HeartbeatUTC,
	})
}

func (x importTx) AddFailure(ctx context.Context, g task.FailureGroup) error {
	return x.q.AddFailureGroup(ctx, postgresdb.AddFailureGroupParams(g))
}

func (x importTx) AddAudit(ctx context.Context, a task.Audit) error {
	_, err := x.q.InsertAudit(ctx, postgresdb.InsertAuditParams{AtUTC: a.AtUTC, Actor: a.Actor, Action: a.Action, Subject: a.Subject, Message: a.Message})
	return err
}

func (x importTx) CountByStatus(ctx context.Context, ids string) (map[task.Status]int64, error) {
	rows, err := x.q.CountByStatus(ctx, ids)
	out := make(map[task.Status]int64, len(rows))
	for _, r := range rows {
		out[r.Status] = r.Tasks
	}
	return out, err
}
