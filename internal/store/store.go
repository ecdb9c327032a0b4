package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Store is a whole database.
type Store interface {
	Reader
	Enqueuer
	Leases
	Workers
	Types
	Schedules
	Maintenance
	Database
	Operations
	Answers
	Rollups
	Audits
	APIKeys
	Failures
	Importer

	// Ping returns nil when the database answers and takes changes; ErrMoved for one that has been moved, or whose move is at its end.
	Ping(ctx context.Context) error
	// Clock is the one clock of this store: the machine's for SQLite, the database's for PostgreSQL.
	Clock() task.Clock
	// Close waits for what is under way and gives the database up. Further calls return ErrStopped.
	Close() error
}

// Reader looks and changes nothing.
type Reader interface {
	Finder
	Explainer
	ScheduleReader
	Runs
	// GetTask returns ErrNotFound when no task has this id.
	GetTask(ctx context.Context, id int64) (task.Task, error)
	// ListTasks returns up to f.Limit tasks, newest (greatest id) first. Empty when none matches.
	ListTasks(ctx context.Context, f task.Filter) ([]task.Task, error)
	// Stats counts all tasks; now is what the age is measured against.
	Stats(ctx context.Context, now time.Time) (task.Stats, error)
	// ListAttempts returns the attempts of a task, oldest first, with the one that runs now last. ErrNotFound without the task.
	ListAttempts(ctx context.Context, id int64) ([]task.Attempt, error)
	// ListLogs returns the log of a task, oldest first: every line has a greater id than each that was there before it. ErrNotFound without the task.
	ListLogs(ctx context.Context, f task.LogFilter) ([]task.Log, error)
	// ListRecentLogs returns lines of all tasks, newest first, of those that are stored: what workers write, and what happens beside the usual way of a task. It looks
	// at a bounded number of lines; every line above next has been looked at, and next is where the following call goes on: nil, there are no more.
	ListRecentLogs(ctx context.Context, f task.RecentLogFilter) (lines []task.RecentLog, next *task.LogPlace, err error)
	// CountLogs counts the stored lines from before an instant.
	CountLogs(ctx context.Context, before time.Time) (int64, error)
	// GetWorker returns ErrNotFound when no worker of this id is registered.
	GetWorker(ctx context.Context, workerID string) (task.Worker, error)
	// ListWorkers returns the registry, ordered by id.
	ListWorkers(ctx context.Context) ([]task.Worker, error)
	// Vitals tells how the store does, in this process.
	Vitals(ctx context.Context) (Vitals, error)
	// ListHeldBy returns up to max tasks that a worker holds, those whose leases end first.
	ListHeldBy(ctx context.Context, workerID string, max int) ([]task.Held, error)
	// CountHeld counts the tasks in processing by the worker that holds them.
	CountHeld(ctx context.Context) (map[string]int64, error)
	// GetAudit returns ErrNotFound when there is no such row.
	GetAudit(ctx context.Context, id int64) (task.Audit, error)
	// ListAudits returns up to max rows with ids below before, 0 for all, newest first.
	ListAudits(ctx context.Context, before int64, max int) ([]task.Audit, error)
}

// Finder looks for what a filter asks. A call looks at a bounded number of tasks and says where the next one has to go on.
type Finder interface {
	// FindTasks returns up to max ids that match, ascending, above after and not above upto. Every task up to next has been looked at; it is upto when
	// that was the last. Ages are measured at now.
	FindTasks(ctx context.Context, m task.Match, now time.Time, after, upto int64, max int) (ids []int64, next int64, err error)
	// ListMatching returns up to max tasks that match, newest first, with ids below before, 0 for all. Every task from next on has been looked at; 0: there
	// are no more.
	ListMatching(ctx context.Context, m task.Match, now time.Time, before int64, max int) (ts []task.Task, next int64, err error)
	// GetOperation returns ErrNotFound when no operation has this id. What is proposed is none yet.
	GetOperation(ctx context.Context, id int64) (task.Operation, error)
	// ListOperations returns up to max operations with ids below before, 0 for all, newest first.
	ListOperations(ctx context.Context, before int64, max int) ([]task.Operation, error)
}

// Explainer looks at what decides whether a task is given to a worker.
type Explainer interface {
	// ListBacklog returns every lane with a queued task, ordered by priority and id.
	ListBacklog(ctx context.Context) ([]task.Backlog, error)
	// CountAhead counts the ready tasks of a lane with ids below id, but no more than max.
	CountAhead(ctx context.Context, laneID, id int64, max int) (int64, error)
	// ListHeld returns up to max tasks of a type in processing, those whose leases end first.
	ListHeld(ctx context.Context, taskType string, max int) ([]task.Holding, error)
	// ListKeyHeld is ListHeld for the tasks of one concurrency key.
	ListKeyHeld(ctx context.Context, taskType, key string, max int) ([]task.Holding, error)
	// KeyRateOpens returns from when on the rate of a key gives its next task; nil: it gives as many as ever.
	KeyRateOpens(ctx context.Context, taskType, key string) (*time.Time, error)
	// CountKeyAhead is CountAhead for the tasks of one concurrency key.
	CountKeyAhead(ctx context.Context, laneID int64, key string, id int64, max int) (int64, error)
	// ListPoisoned returns up to max live tasks that have lost two workers or more, those that have lost the most first.
	ListPoisoned(ctx context.Context, max int) ([]task.Poisoned, error)
	// ListFinishes returns when the newest max completed tasks of a type have ended, by id and newest first.
	ListFinishes(ctx context.Context, taskType string, max int) ([]time.Time, error)
}

// Enqueuer brings tasks in and decides over them from outside.
type Enqueuer interface {
	// InsertTask stores a new queued task, as task.Spec.Task makes it, and returns it with its id and created true. When
	// its idempotency key is known it returns the task that has it, unchanged, and false; of callers that race with one key one creates.
	InsertTask(ctx context.Context, t task.Task) (stored task.Task, created bool, err error)
	// InsertTasks is InsertTask for many, all or nothing, answered in the order given with ids growing in it. A key that comes twice
	// in one batch is created once. All tasks must have the same CreatedAtUTC.
	InsertTasks(ctx context.Context, ts []task.Task) (stored []task.Task, created []bool, err error)
	// InsertUnique is InsertTasks for tasks of which some are to be the only ones under a key: us has an entry for each, nil for one that has no such key. A
	// task that is in its way, stored before or earlier in ts, comes back in its place, unchanged, with created false. Its idempotency key is looked at first.
	InsertUnique(ctx context.Context, ts []task.Task, us []*task.Unique) (stored []task.Task, created []bool, err error)
	// CancelTask ends a queued or processing task as failed/cancelled and takes its lease away. An ended task is returned
	// unchanged with changed false. ErrNotFound without the task.
	CancelTask(ctx context.Context, id int64, now time.Time) (t task.Task, changed bool, err error)
	// RequeueTask makes a failed task queued and due again, with all its attempts and without the traces of its end; its history stays. A
	// deadline that has passed is dropped. ErrConflict when it is not failed, ErrNotFound without the task.
	RequeueTask(ctx context.Context, id int64, now time.Time) (task.Task, error)
	// DeleteTask removes an ended task with its log and history. ErrConflict when it is live, ErrNotFound without it.
	DeleteTask(ctx context.Context, id int64) error
}

// Leases is what workers do. Every method with a token changes the task only if the token is the one of its live lease:
// the task is processing and nobody has claimed it since. Otherwise nothing changes and ErrLeaseLost comes back, or ErrNotFound
// when no task has the id. A lease whose time is over stays live until ReapExpiredLeases takes it back.
type Leases interface {
	// ClaimTasks moves up to c.Max ready tasks from queued to processing and returns them in the order of c.Strategy; the order of
	// weighted_random is that of id. Each has one attempt more and a new Fence, greater than any it had, and is held until c.Now +
	// c.Lease, or where that is 0 as long as the rule of its type says, or task.DefaultLease. Of a type with a limit no more are held than that, and of one with a rate no more are given than it allows. A task that is due after c.Now, past its deadline, of another or a paused type, or with requirements that c does not meet is left. Empty when there is none.
	//
	// A task in quarantine (task.Quarantined) comes before all others, and alone: to a worker that holds nothing, which then gets nothing more until it has
	// ended. Of the workers that hold something, one that may take it stands by: it gets nothing more, so that it will hold nothing.
	ClaimTasks(ctx context.Context, c task.Claim) ([]task.Task, error)
	// HeldTask is GetTask for the holder of a lease: it never waits behind lists.
	HeldTask(ctx context.Context, id int64) (task.Task, error)
	// StartTask notes that the attempt begins now rather than at the claim.
	StartTask(ctx context.Context, id int64, tok task.Token, now time.Time) (task.Task, error)
	// ExtendLease moves the end of the lease to until and keeps the progress, where given. When the task was cancelled under
	// this very token it changes nothing and returns the cancelled task without an error, so that the worker learns of it.
	ExtendLease(ctx context.Context, id int64, tok task.Token, b task.Beat, until, now time.Time) (task.Task, error)
	// CompleteTask ends the task as completed/succeeded with a result, nil for none.
	CompleteTask(ctx context.Context, id int64, tok task.Token, result *task.JSON, now time.Time) (task.Task, error)
	// FailTask ends the attempt: with RetryAt, which needs an attempt left, the task is queued for then, else it is failed with the Outcome given.
	FailTask(ctx context.Context, id int64, tok task.Token, v Verdict, now time.Time) (task.Task, error)
	// ReleaseTask queues the task for runAfter and gives the attempt back.
	ReleaseTask(ctx context.Context, id int64, tok task.Token, runAfter, now time.Time) (task.Task, error)
	// AppendLog adds a line to the log of the task; l.LogID is not read.
	AppendLog(ctx context.Context, tok task.Token, l task.Log) (task.Log, error)
}

// Verdict is what follows from an attempt that did not succeed.
type Verdict struct {
	Message string
	RetryAt *time.Time   // nil: the task ends
	Outcome task.Outcome // when it ends: Exhausted or Rejected
}

// AttemptOutcome returns what the history says of the attempt.
func (v Verdict) AttemptOutcome() task.AttemptOutcome {
	if v.RetryAt == nil && v.Outcome == task.Rejected {
		return task.AttemptRejected
	}
	return task.AttemptFailed
}

// Workers keeps the registry.
type Workers interface {
	// TouchWorker notes that the worker was alive at now and returns its entry. ErrNotFound without one.
	TouchWorker(ctx context.Context, workerID string, now time.Time) (task.Worker, error)
	// UpsertWorker registers a worker or renews its entry: capabilities, types and heartbeat. Drain and RegisteredAtUTC of a known
	// worker stay. It returns the entry.
	UpsertWorker(ctx context.Context, w task.Worker) (task.Worker, error)
	// ListDraining returns the ids of the workers that are to take nothing new, ordered. It costs a store that nobody has changed nothing.
	ListDraining(ctx context.Context) ([]string, error)
	// DrainWorker has a worker take nothing new, or take tasks again, and returns its entry. ErrNotFound without one.
	DrainWorker(ctx context.Context, workerID string, drain bool) (task.Worker, error)
	// DeleteWorker returns ErrNotFound when there is no such entry. Tasks that the worker holds are not touched.
	DeleteWorker(ctx context.Context, workerID string) error
	// DeleteStaleWorkers removes the workers that were not heard since before, and returns their ids, ordered. Those that hold tasks stay unless forced.
	DeleteStaleWorkers(ctx context.Context, before time.Time, force bool) ([]string, error)
	// EndLeases has up to max leases of a worker end at now, so that ReapExpiredLeases takes them back, and returns the ids of their tasks, ordered. Leases that have
	// ended already are not among them.
	EndLeases(ctx context.Context, workerID string, now time.Time, max int) ([]int64, error)
}

// Types keeps the rules of task types. A type is known once it has a rule or has had a task.
type Types interface {
	// GetType returns the rules of a type and counts its tasks. ErrNotFound when it is not known.
	GetType(ctx context.Context, name string) (task.TypeStatus, error)
	// ListTypes returns all types that are known, ordered by name.
	ListTypes(ctx context.Context) ([]task.TypeStatus, error)
	// ListRules returns the rules alone, of all types that have any, in no order.
	ListRules(ctx context.Context) ([]task.Type, error)
	// PutType sets all rules of a type, known or not, but that a nil r.Paused leaves it paused or not as it is. Once it has returned without an error no
	// claim, by any process, gives what the rules forbid: a claim that began before has ended. ErrBusy when such a claim does not end in time; then
	// the rules are set, and calling again is safe.
	PutType(ctx context.Context, name string, r task.TypeRules, now time.Time) (task.Type, error)
	// PauseType is PutType for pause and resume alone.
	PauseType(ctx context.Context, name string, paused bool, now time.Time) (task.Type, error)
	// BreakType is PutType for BreakerUntilUTC alone. ErrNotFound for a type that has no breaker.
	BreakType(ctx context.Context, name string, until *time.Time) (task.Type, error)
}

// ScheduleReader is the part of Reader for schedules.
type ScheduleReader interface {
	// GetSchedule returns ErrNotFound when no schedule has this name.
	GetSchedule(ctx context.Context, name string) (task.Schedule, error)
	// ListSchedules returns all schedules, ordered by name.
	ListSchedules(ctx context.Context) ([]task.Schedule, error)
}

// Schedules keeps the schedules and makes the tasks of their ticks. Each change is of the schedule as it was read: by its Version, which every change
// makes greater. When it has been changed since, nothing changes and ErrConflict comes back.
type Schedules interface {
	// PutSchedule stores a new schedule, whose Version is 0, or changes that of its name. What was kept of its ticks stays; NextTickUTC must be later
	// than LastTickUTC. UpdatedAtUTC is when it happens.
	PutSchedule(ctx context.Context, s task.Schedule) (task.Schedule, error)
	// DeleteSchedule returns ErrNotFound when there is no such schedule. The tasks that it has made stay.
	DeleteSchedule(ctx context.Context, name string) error
	// DueSchedules returns at most max schedules whose NextTickUTC is not later than now, the longest waiting first.
	DueSchedules(ctx context.Context, now time.Time, max int) ([]task.Schedule, error)
	// AdvanceSchedule stores the tasks of ticks and sets the next one, all or nothing: of several callers that read the same, one does it. A tick for
	// which a schedule of this name has made a task before makes none, however that came. While a task of an earlier tick is queued or processing
	// a.Schedule.Overlap decides: with skip the tick makes none, with cancel the older ones are cancelled. A task that ended and was queued again by an operator
	// may count as ended.
	AdvanceSchedule(ctx context.Context, a task.Advance) (task.Advanced, error)
}

// Maintenance does what falls due with time. Each of the first three methods changes at most max tasks, returns them, and is to be called again while
// it returns that many. Any number of processes may call them at once.
type Maintenance interface {
	// ReapExpiredLeases takes back leases whose time was over at now. A task with attempts left is queued and due; one
	// without is failed/exhausted. Both keep a message that names the worker, and have one more Lost. A task that was cancelled or finished meanwhile is not touched.
	ReapExpiredLeases(ctx context.Context, now time.Time, max int) ([]task.Task, error)
	// PromoteDue makes queued tasks ready whose RunAfterUTC has come.
	PromoteDue(ctx context.Context, now time.Time, max int) ([]task.Task, error)
	// ExpireTasks ends queued tasks whose deadline has come as failed/expired.
	ExpireTasks(ctx context.Context, now time.Time, max int) ([]task.Task, error)
	// PurgeTasks deletes ended tasks of one type and status that ended not later than before, with their attempts and logs. It looks at up to max of them with ids
	// above after, in the order of ids, and returns the last that it has looked at, where the next call goes on; 0: there are no more.
	PurgeTasks(ctx context.Context, taskType string, status task.Status, before time.Time, after int64, max int) (deleted int, next int64, err error)
	// PurgeLogs deletes stored lines from before an instant, whatever their tasks: about max of them, and returns how many. 0: there are no more.
	PurgeLogs(ctx context.Context, before time.Time, max int) (int, error)
	// OpenKeys lets the concurrency keys have tasks again whose rate allows one at now, and returns the types that these are of.
	OpenKeys(ctx context.Context, now time.Time) (types []string, err error)
	// PurgeKeyRates forgets the rates of keys that allow as many tasks at now as ever.
	PurgeKeyRates(ctx context.Context, now time.Time) error
	// NextEvent returns the earliest instant at which one of the first three or OpenKeys has something to do, or a schedule its next tick; nil: nothing is waiting
	// for its time.
	NextEvent(ctx context.Context) (*time.Time, error)
}

// Database looks after the database as a whole. A method with tell takes its time, in steps that hold up claims for some milliseconds at most. It calls tell now and then with
// how far it has come, never twice at once nor after it has returned, and when ctx ends it stops and returns what it has done, with Stopped and without an error.
type Database interface {
	// DatabaseStats tells the sizes of the database and of the tables of Tables.
	DatabaseStats(ctx context.Context) (task.DatabaseStats, error)
	// Checkpoint copies the write-ahead log into the database. It waits for readers no longer than a second. ErrConflict where this user may not.
	Checkpoint(ctx context.Context, mode task.CheckpointMode) (task.Checkpoint, error)
	// Vacuum gives pages back that hold nothing. ErrConflict for a SQLite file that was made without auto_vacuum.
	Vacuum(ctx context.Context, tell func(task.Progress)) (task.Vacuum, error)
	// VacuumCost tells what FullVacuum would take.
	VacuumCost(ctx context.Context) (task.VacuumCost, error)
	// FullVacuum writes the whole database anew. Everybody else waits meanwhile. ErrConflict while a server has the SQLite file, this one or another, and where the disk has no room.
	FullVacuum(ctx context.Context, tell func(task.Progress)) (task.Vacuum, error)
	// Analyze renews what the planner knows of a table, of all that need it for OutdatedTables, or of all for the empty string. *task.InvalidError for an unknown table.
	Analyze(ctx context.Context, table string, tell func(task.Progress)) (task.Analysis, error)
	// CheckIntegrity looks for what is broken in the database.
	CheckIntegrity(ctx context.Context, tell func(task.Progress)) (task.Integrity, error)
}

// OutdatedTables stands for the tables that have changed so much that the planner knows them no more.
const OutdatedTables = "?"

// Tables lists the tables of the service, on both engines, ordered.
var Tables = []string{
	"api_keys", "audit_log", "failure_groups", "http_answers", "key_rates", "lane_counts", "lane_keys", "lanes", "operations", "schedule_ticks", "schedules", "task_attempts", "task_logs", "task_queue",
	"task_rollups", "task_types", "task_unique_keys", "type_rules", "workers",
}

// ChooseTables returns the tables that Analyze is about. *task.InvalidError for an unknown one.
func ChooseTables(table string) ([]string, error) {
	if table == "" {
		return Tables, nil
	}
	if !slices.Contains(Tables, table) {
		return nil, task.Invalid("table", "is not a table of the queue: use one of %s", strings.Join(Tables, ", "))
	}
	return []string{table}, nil
}

// Operations keeps actions on every task that a filter finds.
type Operations interface {
	// ProposeOperation keeps what a dry run may become: Action, Filter, Priority, ConfirmHash and ExpiresAtUTC of o. Those that have expired at now go.
	ProposeOperation(ctx context.Context, o task.Operation, now time.Time) error
	// StartOperation begins what has been proposed under o.ConfirmHash, on all tasks there are; o.Action, o.Filter and o.Priority must be those proposed.
	// ErrConflict when there is no such proposal, or it was used or has expired.
	StartOperation(ctx context.Context, o task.Operation, now time.Time) (task.Operation, error)
	// CancelOperation ends a running operation. What it has changed stays. ErrConflict when it has ended, ErrNotFound without it.
	CancelOperation(ctx context.Context, id int64, now time.Time) (task.Operation, error)
	// TakeOperation returns the first running operation that no other runner holds at now, and keeps others from it until the time given. ErrNotFound
	// when there is none.
	TakeOperation(ctx context.Context, runner string, now, until time.Time) (task.Operation, error)
	// StepOperation does the action to those of s.IDs that still match, counts them, and moves the operation on, all or nothing. The step may end before
	// the last of the ids, and then DoneID says where. changed are the tasks as they are now, without payload; deleted ones are not among them. ErrConflict when
	// the operation is no more as s.Operation has it: cancelled, moved on, or taken by another.
	StepOperation(ctx context.Context, s task.Step) (o task.Operation, changed []task.Task, err error)
}

// Answers keeps what was answered to requests with an idempotency key.
type Answers interface {
	// ReserveAnswer takes the key of a, which has no status code yet, for a.Owner at a.CreatedAtUTC, and returns it with mine true. A key is free
	// that is unknown, has expired, or is held over its time by a request of the same fingerprint that has no answer. Else the entry that has the key
	// comes back with mine false. Of callers that race one gets it; the same owner may ask twice.
	ReserveAnswer(ctx context.Context, a task.Answer) (kept task.Answer, mine bool, err error)
	// KeepAnswer stores the answer of a under its key. ErrConflict when the key is no longer its owner's.
	KeepAnswer(ctx context.Context, a task.Answer) error
	// ForgetAnswer gives back a key that has no answer. Nothing happens when it is no longer the owner's.
	ForgetAnswer(ctx context.Context, key, owner string) error
	// PurgeAnswers deletes at most max entries that had expired at now and returns how many it deleted.
	PurgeAnswers(ctx context.Context, now time.Time, max int) (int, error)
}

// Failures keeps groups of failures by their reason and type. Whoever counts adds to what others have counted.
type Failures interface {
	// AddFailures adds what was counted to each group, or begins it: the counts are added up, the sample is the newest, all or nothing.
	AddFailures(ctx context.Context, gs []task.FailureGroup) error
	// ListFailures returns the groups of the up to max reasons that were seen last, of every type; of those that this type has had, unless it is empty. In no order.
	ListFailures(ctx context.Context, taskType string, max int) ([]task.FailureGroup, error)
	// GetFailure returns the groups of one reason, of every type. ErrNotFound when there is none.
	GetFailure(ctx context.Context, fingerprint string) ([]task.FailureGroup, error)
	// DeleteFailure forgets them; the tasks are not touched. ErrNotFound when there is none.
	DeleteFailure(ctx context.Context, fingerprint string) error
	// PurgeFailures deletes groups that were seen last not later than before, and all but the newest keep.
	PurgeFailures(ctx context.Context, before time.Time, keep int) error
	// CountFailed counts the failed tasks of each fingerprint, each up to max. One that has none may be missing.
	CountFailed(ctx context.Context, fingerprints []string, max int) (map[string]int64, error)
}

// Rollups keeps what nodes have counted, for a minute or an hour.
type Rollups interface {
	// PutRollups stores rollups, each in the place of the one of the same time, type and node, all or nothing.
	PutRollups(ctx context.Context, rs []task.Rollup) error
	// ListRollups returns rollups in the order of time.
	ListRollups(ctx context.Context, f task.RollupFilter) ([]task.Rollup, error)
	// FoldRollups puts the minutes of the hour that began at from into one rollup of that hour for each type, under the name of node, and deletes them. What is
	// stored for that hour already, by other names, stays and counts too.
	FoldRollups(ctx context.Context, from time.Time, node string) error
	// OldestRollup returns when the oldest rollup of so many seconds began; nil: there is none.
	OldestRollup(ctx context.Context, seconds int) (*time.Time, error)
	// PurgeRollups deletes the hours that began before a time.
	PurgeRollups(ctx context.Context, before time.Time) error
}

// Audits keeps what operators have done.
type Audits interface {
	// AddAudit stores what was done and returns it with its id; a.AuditID is not read.
	AddAudit(ctx context.Context, a task.Audit) (task.Audit, error)
}

// APIKeys keeps what is known of the keys of callers. Their secrets are not.
type APIKeys interface {
	// AddAPIKey stores a new key.
	AddAPIKey(ctx context.Context, k task.APIKey) error
	// GetAPIKey returns ErrNotFound when no key has this id. It never waits behind lists.
	GetAPIKey(ctx context.Context, keyID string) (task.APIKey, error)
	// ListAPIKeys returns all keys, in force or not, oldest first.
	ListAPIKeys(ctx context.Context) ([]task.APIKey, error)
	// HasAPIKeys reports whether there is any key, in force or not. It never waits behind lists.
	HasAPIKeys(ctx context.Context) (bool, error)
	// RevokeAPIKey lets a key open nothing any more, and returns it. One that was revoked before stays as it is. ErrNotFound without it.
	RevokeAPIKey(ctx context.Context, keyID string, now time.Time) (task.APIKey, error)
	// ReplaceAPIKey stores a new key and has the one that it replaces expire at until, or earlier where it would, all or nothing. ErrConflict when that one is not in force at
	// now, ErrNotFound without it.
	ReplaceAPIKey(ctx context.Context, keyID string, by task.APIKey, until, now time.Time) error
	// DeleteAPIKey forgets a key that was revoked or has expired at now. ErrConflict when it is in force, ErrNotFound without it.
	DeleteAPIKey(ctx context.Context, keyID string, now time.Time) error
	// TouchAPIKey notes that a key was used at now.
	TouchAPIKey(ctx context.Context, keyID string, now time.Time) error
}

// Importer takes in what another queue has kept.
type Importer interface {
	// Import stores tasks with whatever has become of them, their logs and the workers, all or nothing. They get their own ids where the database has never had a task, else
	// new ones in the order given. A task whose idempotency key is known is left out with all that belongs to it, so a second import of the same stores nothing twice; a
	// worker that is known stays as it is. ErrMiscounted when what is stored afterwards is not what was given.
	Import(ctx context.Context, im Import) (ImportResult, error)
	// KnownKeys returns those of the idempotency keys that tasks have, in no order.
	KnownKeys(ctx context.Context, keys []string) ([]string, error)
}
