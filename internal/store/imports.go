package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Imported is a task as another queue has kept it.
type Imported struct {
	task.Task                // with the id that it had there, an idempotency key, and no lane
	Attempt   *task.Attempt  // the last one, where the task itself does not tell of it; nil: nothing is known of any
	Logs      []task.Log     // its log, with ids that grow; TaskID is not read
	Failed    task.EventName // what of its end or last attempt counts as a failure; empty: nothing
}

// Import is what another queue has kept.
type Import struct {
	Batches         iter.Seq2[[]Imported, error] // may be gone through more than once; an error ends the import
	FirstID, LastID int64                        // the least and the greatest id in Batches
	Workers         []task.Worker                // Types and Drain are not read
	Audit           task.Audit                   // kept with it; its message is completed with what the import came to
	Stored          func(created []bool)         // told for each batch which of its tasks were created; an import that begins again tells from the start. nil: not called
}

// ImportResult is what an import has come to.
type ImportResult struct {
	Created map[task.Status]int64 // tasks that are stored now, counted in the database after the last of them
	Known   int64                 // tasks that were there already, by their idempotency keys
	Workers int64                 // workers that were not known
	KeptIDs bool                  // the tasks have the ids that they had
}

// Total is the number of tasks created.
func (r ImportResult) Total() (n int64) {
	for c := range maps.Values(r.Created) {
		n += c
	}
	return n
}

// ImportTx is what an engine does in the one transaction of an import. Lists are JSON arrays.
type ImportTx interface {
	// EverHad counts the tasks that there are and have been.
	EverHad(ctx context.Context) (int64, error)
	// RaiseIDs has the ids of later tasks begin above last.
	RaiseIDs(ctx context.Context, last int64) error
	// Lane returns the id of the lane of a task, which it makes where it is new.
	Lane(ctx context.Context, t task.Task, compatibility string) (int64, error)
	// Instant is the form of a time in a list.
	Instant(t time.Time) any
	// InsertTasks returns the ids of those that were stored, by idempotency key.
	InsertTasks(ctx context.Context, list string) (map[string]int64, error)
	InsertAttempts(ctx context.Context, list string) error
	InsertLogs(ctx context.Context, list string) error
	// InsertWorker returns 0 where the worker was known.
	InsertWorker(ctx context.Context, w task.Worker) (int64, error)
	AddFailure(ctx context.Context, g task.FailureGroup) error
	AddAudit(ctx context.Context, a task.Audit) error
	// CountByStatus counts those of the tasks with these ids that there are.
	CountByStatus(ctx context.Context, ids string) (map[task.Status]int64, error)
}

const (
	// maxKeptID is the greatest id that is kept: greater ones are not exact in the numbers of JSON.
	maxKeptID = 1 << 53
	// countedAtOnce is how many tasks one query counts.
	countedAtOnce = 1000
	// maxImportFailures is how many groups of failures one import makes.
	maxImportFailures = 1000
)

// ErrMiscounted: what an import has stored is not what it was given.
var ErrMiscounted = errors.New("the database does not hold what was to be imported, so everything was taken back")

// RunImport does an import in the transaction of an engine, which is to be given up on an error.
func RunImport(ctx context.Context, x ImportTx, im Import) (ImportResult, error) {
	r := importRun{tx: x, given: im, lanes: make(map[importLane]int64), want: make(map[task.Status]int64), failures: make(map[failureOf]*task.FailureGroup)}
	ever, err := x.EverHad(ctx)
	if err != nil {
		return ImportResult{}, err
	}
	if r.KeptIDs = ever == 0 && im.FirstID > 0 && im.LastID <= maxKeptID; r.KeptIDs {
		if err := x.RaiseIDs(ctx, im.LastID); err != nil {
			return ImportResult{}, err
		}
	}
	for batch, err := range im.Batches {
		if err != nil {
			return ImportResult{}, err
		}
		if err := r.add(ctx, batch); err != nil {
			return ImportResult{}, err
		}
	}
	return r.ImportResult, r.end(ctx)
}

// importRun is an import under way.
type importRun struct {
	ImportResult
	tx       ImportTx
	given    Import
	lanes    map[importLane]int64
	ids      []int64 // of the tasks created
	want     map[task.Status]int64
	failures map[failureOf]*task.FailureGroup
}

type (
	importLane struct {
		taskType, compatibility string
		priority                int
	}
	failureOf struct{ fingerprint, taskType string }
)

// add stores a batch.
func (r *importRun) add(ctx context.Context, batch []Imported) error {
	rows := make([]taskRow, len(batch))
	for i := range batch {
		lane, err := r.lane(ctx, batch[i].Task)
		if err != nil {
			return err
		}
		batch[i].LaneID = lane
		rows[i] = r.taskRow(&batch[i].Task)
	}
	list, err := encodeList(rows)
	if err != nil {
		return err
	}
	ids, err := r.tx.InsertTasks(ctx, list)
	if err != nil {
		return err
	}
	created := make([]bool, len(batch))
	var attempts []attemptRow
	var logs []logRow
	for i := range batch {
		t := &batch[i]
		id, ok := ids[*t.IdempotencyKey]
		delete(ids, *t.IdempotencyKey)
		if created[i] = ok; !ok {
			r.Known++
			continue
		}
		t.ID = id
		r.ids = append(r.ids, id)
		r.want[t.Status]++
		if t.Attempt != nil {
			attempts = append(attempts, r.attemptRow(id, *t.Attempt))
		}
		for _, l := range t.Logs {
			logs = append(logs, r.logRow(id, l))
		}
		r.fails(t)
	}
	if err := insertRows(ctx, attempts, r.tx.InsertAttempts); err != nil {
		return err
	}
	if err := insertRows(ctx, logs, r.tx.InsertLogs); err != nil {
		return err
	}
	if r.given.Stored != nil {
		r.given.Stored(created)
	}
	return nil
}

func (r *importRun) lane(ctx context.Context, t task.Task) (int64, error) {
	compatibility, err := t.LaneCompatibility()
	if err != nil {
		return 0, fmt.Errorf("task %d: compatibility: %w", t.ID, err)
	}
	key := importLane{t.Type, compatibility, t.Priority}
	id, ok := r.lanes[key]
	if !ok {
		if id, err = r.tx.Lane(ctx, t, compatibility); err == nil {
			r.lanes[key] = id
		}
	}
	return id, err
}

// fails counts a task that has failed, or has lost its worker, for the groups of failures.
func (r *importRun) fails(t *Imported) {
	at := t.UpdatedAtUTC
	if t.FinishedAtUTC != nil {
		at = *t.FinishedAtUTC
	}
	g, ok := task.FailureOf(t.Failed, &t.Task, at)
	if !ok {
		return
	}
	key := failureOf{g.Fingerprint, g.Type}
	if known := r.failures[key]; known != nil {
		known.Add(g)
	} else if len(r.failures) < maxImportFailures {
		r.failures[key] = &g
	}
}

// end stores what is not of one task, and compares what is stored with what was given.
func (r *importRun) end(ctx context.Context) error {
	for _, w := range r.given.Workers {
		n, err := r.tx.InsertWorker(ctx, w)
		if err != nil {
			return err
		}
		r.Workers += n
	}
	for _, g := range r.failures {
		if err := r.tx.AddFailure(ctx, *g); err != nil {
			return err
		}
	}
	if err := r.count(ctx); err != nil {
		return err
	}
	a := r.given.Audit
	a.Message = fmt.Sprintf("%s: %d tasks, %d of them were known", a.Message, r.Total()+r.Known, r.Known)
	return r.tx.AddAudit(ctx, a)
}

// count counts the created tasks as they are stored.
func (r *importRun) count(ctx context.Context) error {
	r.Created = make(map[task.Status]int64)
	for from := 0; from < len(r.ids); from += countedAtOnce {
		list, err := encodeList(r.ids[from:min(from+countedAtOnce, len(r.ids))])
		if err != nil {
			return err
		}
		counts, err := r.tx.CountByStatus(ctx, list)
		if err != nil {
			return err
		}
		for status, n := range counts {
			r.Created[status] += n
		}
	}
	if !maps.Equal(r.Created, r.want) {
		return fmt.Errorf("%w: it has %v and should have %v", ErrMiscounted, r.Created, r.want)
	}
	return nil
}

// taskRow is a task in a list.
type taskRow struct {
	ID               *int64               `json:"id,omitempty"` // nil: a new one
	LaneID           int64                `json:"lane_id"`
	Type             string               `json:"type"`
	Priority         int                  `json:"priority"`
	Payload          string               `json:"payload"`
	Compatibility    string               `json:"compatibility"`
	Status           task.Status          `json:"status"`
	Outcome          *task.Outcome        `json:"outcome"`
	Attempts         int                  `json:"attempts"`
	MaxAttempts      int                  `json:"max_attempts"`
	RunAfter         any                  `json:"run_after"`
	Ready            bool                 `json:"ready"`
	Fence            int64                `json:"fence"`
	Lost             int                  `json:"lost"`
	LastWorkerID     *string              `json:"last_worker_id"`
	Started          any                  `json:"started"`
	AttemptOutcome   *task.AttemptOutcome `json:"attempt_outcome"`
	Finished         any                  `json:"finished"`
	ErrorMessage     *string              `json:"error_message"`
	ErrorFingerprint *string              `json:"error_fingerprint"`
	IdempotencyKey   *string              `json:"idempotency_key"`
	Created          any                  `json:"created"`
	Updated          any                  `json:"updated"`
}

func (r *importRun) taskRow(t *task.Task) taskRow {
	row := taskRow{
		LaneID: t.LaneID, Type: t.Type, Priority: t.Priority, Payload: string(t.Payload), Compatibility: string(t.Compatibility), Status: t.Status, Outcome: t.Outcome,
		Attempts: t.Attempts, MaxAttempts: t.MaxAttempts, RunAfter: r.tx.Instant(t.RunAfterUTC), Ready: t.Ready, Fence: t.Fence, Lost: t.Lost, LastWorkerID: t.LastWorkerID,
		Started: r.instant(t.ProcessingStartedUTC), AttemptOutcome: t.AttemptOutcome, Finished: r.instant(t.FinishedAtUTC), ErrorMessage: t.ErrorMessage,
		ErrorFingerprint: t.ErrorFingerprint, IdempotencyKey: t.IdempotencyKey, Created: r.tx.Instant(t.CreatedAtUTC), Updated: r.tx.Instant(t.UpdatedAtUTC),
	}
	if r.KeptIDs {
		row.ID = &t.ID
	}
	return row
}

// attemptRow is an attempt in a list.
type attemptRow struct {
	TaskID       int64                `json:"task_id"`
	Fence        int64                `json:"fence"`
	Attempt      int                  `json:"attempt"`
	WorkerID     string               `json:"worker_id"`
	Started      any                  `json:"started"`
	Finished     any                  `json:"finished"`
	Outcome      *task.AttemptOutcome `json:"outcome"`
	ErrorMessage *string              `json:"error_message"`
}

func (r *importRun) attemptRow(id int64, a task.Attempt) attemptRow {
	return attemptRow{
		TaskID: id, Fence: a.Fence, Attempt: a.Attempt, WorkerID: a.WorkerID, Started: r.tx.Instant(a.StartedAtUTC), Finished: r.instant(a.FinishedAtUTC),
		Outcome: a.Outcome, ErrorMessage: a.ErrorMessage,
	}
}

// logRow is a line of a log in a list.
type logRow struct {
	LogID   int64           `json:"log_id"`
	TaskID  int64           `json:"task_id"`
	At      any             `json:"at"`
	Level   task.Level      `json:"level"`
	Message string          `json:"message"`
	Details *string         `json:"details"`
	Fence   int64           `json:"fence"`
	Event   *task.EventName `json:"event"`
}

func (r *importRun) logRow(id int64, l task.Log) logRow {
	return logRow{
		LogID: l.LogID, TaskID: id, At: r.tx.Instant(l.AtUTC), Level: l.Level, Message: l.Message, Details: (*string)(l.Details), Fence: l.Fence, Event: l.Event,
	}
}

func (r *importRun) instant(t *time.Time) any {
	if t == nil {
		return nil
	}
	return r.tx.Instant(*t)
}

func insertRows[R any](ctx context.Context, rows []R, insert func(context.Context, string) error) error {
	if len(rows) == 0 {
		return nil
	}
	list, err := encodeList(rows)
	if err != nil {
		return err
	}
	return insert(ctx, list)
}

func encodeList[R any](rows []R) (string, error) {
	if len(rows) == 0 {
		return "[]", nil
	}
	list, err := json.Marshal(rows)
	if err != nil {
		return "", fmt.Errorf("encode rows: %w", err)
	}
	return string(list), nil
}

// EncodeKeys returns idempotency keys as the JSON array that ListKnownKeys takes on both engines.
func EncodeKeys(keys []string) (string, error) { return encodeList(keys) }
