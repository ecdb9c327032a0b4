package storetest

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

var importBehaviours = []behaviour{
	{"StoresTasksInEveryStateWithTheirIDsAndAllThatBelongsToThem", importsAll},
	{"GivesNewIDsToTasksThatComeBesideOthers", importsBeside},
	{"StoresNothingTwice", importsOnce},
	{"LeavesNothingOfAnImportThatFails", importsNothing},
	{"MakesTasksThatAreClaimedAndFallDue", importsWork},
	{"TellsWhichKeysAreKnown", knowsKeys},
}

// imported makes a task as another queue may have kept it.
func imported(id int64, s task.Status, change func(*store.Imported)) store.Imported {
	im := store.Imported{Task: task.Task{
		ID: id, Type: "work", Priority: 100, Payload: `{ "n": 1.50, "é": "<b>\u0041" }`, Compatibility: "{}", Status: s, MaxAttempts: 5, RunAfterUTC: at(-100),
		IdempotencyKey: ptr(fmt.Sprintf("old-%d", id)), CreatedAtUTC: at(-100), UpdatedAtUTC: at(-50),
	}}
	switch s {
	case task.Queued:
		im.Ready = true
	case task.Completed:
		im.Attempts, im.Fence, im.Outcome, im.AttemptOutcome, im.FinishedAtUTC = 1, 1, ptr(task.Succeeded), ptr(task.AttemptSucceeded), ptr(at(-50))
		im.LastWorkerID, im.ProcessingStartedUTC = ptr("w9"), ptr(at(-60))
	case task.Failed:
		im.Attempts, im.Fence, im.Outcome, im.AttemptOutcome, im.FinishedAtUTC = 5, 5, ptr(task.Exhausted), ptr(task.AttemptFailed), ptr(at(-50))
		im.LastWorkerID, im.ProcessingStartedUTC, im.ErrorMessage, im.Failed = ptr("w9"), ptr(at(-60)), ptr("no user 4"), task.EventFailed
		im.ErrorFingerprint = ptr(task.Fingerprint("no user 4"))
		im.Attempt = &task.Attempt{Fence: 5, Attempt: 5, WorkerID: "w9", StartedAtUTC: at(-60), FinishedAtUTC: ptr(at(-50)), Outcome: ptr(task.AttemptFailed), ErrorMessage: im.ErrorMessage}
		im.Logs = []task.Log{
			{LogID: at(-59).UnixMicro(), AtUTC: at(-59), Level: task.Warning, Message: "slow", Details: ptr(task.JSON(`{ "ms": 1.0 }`)), Fence: 5},
			{LogID: at(-50).UnixMicro(), AtUTC: at(-50), Level: task.Error, Message: "Failed: exhausted", Fence: 5, Event: ptr(task.EventFailed)},
		}
	}
	if change != nil {
		change(&im)
	}
	return im
}

// batches gives the tasks in batches of two, and then the error, unless it is nil.
func batches(ims []store.Imported, err error) iter.Seq2[[]store.Imported, error] {
	return func(yield func([]store.Imported, error) bool) {
		for some := range slices.Chunk(ims, 2) {
			if !yield(slices.Clone(some), nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func importOf(err error, ims ...store.Imported) store.Import {
	return store.Import{
		Batches: batches(ims, err), FirstID: ims[0].ID, LastID: ims[len(ims)-1].ID, Audit: task.Audit{AtUTC: start, Actor: "me", Action: "import", Subject: "old.db", Message: "Imported"},
		Workers: []task.Worker{{WorkerID: "w9", Capabilities: `{"gpu":1}`, RegisteredAtUTC: at(-90), HeartbeatUTC: at(-80)}},
	}
}

// imports imports the tasks, and compares what it came to.
func (r *rig) imports(want store.ImportResult, ims ...store.Imported) {
	r.Helper()
	got, err := r.st.Import(r.Context(), importOf(nil, ims...))
	r.ok(err)
	r.equal("result", want, got)
}

// everyState are tasks in every state that another queue may have left.
func everyState() []store.Imported {
	return []store.Imported{
		imported(3, task.Queued, nil),
		imported(4, task.Queued, func(im *store.Imported) {
			im.Attempts, im.Fence, im.AttemptOutcome, im.Ready, im.RunAfterUTC = 2, 2, ptr(task.AttemptFailed), false, at(100)
		}),
		imported(7, task.Completed, nil),
		imported(8, task.Failed, nil),
		imported(9, task.Failed, func(im *store.Imported) {
			im.Type, im.Priority, im.Compatibility = "other", 1, `{"gpu": 1}`
			im.Outcome, im.ErrorFingerprint, im.Failed = ptr(task.Cancelled), nil, ""
		}),
	}
}

func importsAll(r *rig) {
	ims := everyState()
	r.imports(store.ImportResult{Created: map[task.Status]int64{task.Queued: 2, task.Completed: 1, task.Failed: 2}, Workers: 1, KeptIDs: true}, ims...)
	for _, im := range ims {
		got := r.get(im.ID)
		if got.LaneID == 0 {
			r.Errorf("task %d has no lane", im.ID)
		}
		got.LaneID = 0
		r.equal(fmt.Sprintf("task %d", im.ID), im.Task, got)
	}
	attempts, err := r.st.ListAttempts(r.Context(), 8)
	r.ok(err)
	want := *ims[3].Attempt
	want.TaskID = 8
	r.equal("attempts", []task.Attempt{want}, attempts)
	own, _ := r.get(7).OwnAttempt()
	attempts, err = r.st.ListAttempts(r.Context(), 7)
	r.ok(err)
	r.equal("the attempt that completed", []task.Attempt{own}, attempts)

	lines, err := r.st.ListLogs(r.Context(), task.LogFilter{TaskID: 8, Limit: 10})
	r.ok(err)
	var words []string
	for _, l := range lines {
		words = append(words, l.Message)
	}
	r.equal("log", []string{"Enqueued", "Claimed by w9", "slow", "Failed: exhausted"}, words)
	if len(lines) == 4 && *lines[2].Details != `{ "ms": 1.0 }` {
		r.Errorf("details are %s", *lines[2].Details)
	}

	stats, err := r.st.Stats(r.Context(), start)
	r.ok(err)
	r.equal("stats", task.Stats{TotalTasks: 5, QueuedTasks: 2, CompletedTasks: 1, FailedTasks: 2, ReadyTasks: 1, ScheduledTasks: 1, OldestQueuedAgeSeconds: ptr(100.0)}, stats)
	w, err := r.st.GetWorker(r.Context(), "w9")
	r.ok(err)
	r.equal("worker", task.Worker{WorkerID: "w9", Capabilities: `{"gpu":1}`, RegisteredAtUTC: at(-90), HeartbeatUTC: at(-80)}, w)
	groups := r.failures("", 10)
	if len(groups) != 1 || groups[0].Count != 1 || groups[0].SampleTaskID != 8 || !groups[0].LastSeenUTC.Equal(at(-50)) {
		r.Errorf("failures are %+v", groups)
	}
	audits, err := r.st.ListAudits(r.Context(), 0, 10)
	r.ok(err)
	if len(audits) != 1 || audits[0].Message != "Imported: 5 tasks, 0 of them were known" {
		r.Errorf("audits are %+v", audits)
	}
	if next := r.insert(task.Spec{}); next.ID <= 9 {
		r.Errorf("the next task has the id %d", next.ID)
	}
}

func importsBeside(r *rig) {
	there := r.insert(task.Spec{IdempotencyKey: ptr("mine")})
	_, err := r.st.UpsertWorker(r.Context(), task.Worker{WorkerID: "w9", Capabilities: `{}`, RegisteredAtUTC: start, HeartbeatUTC: start})
	r.ok(err)
	ims := everyState()
	ims[0].ID = there.ID // as in the other queue
	r.imports(store.ImportResult{Created: map[task.Status]int64{task.Queued: 2, task.Completed: 1, task.Failed: 2}}, ims...)
	r.equal("the task that was there", there, r.get(there.ID))
	all, err := r.st.ListTasks(r.Context(), task.Filter{Limit: 10})
	r.ok(err)
	if len(all) != 6 {
		r.Fatalf("%d tasks", len(all))
	}
	slices.Reverse(all)
	for i, im := range ims {
		got := all[i+1]
		if got.ID <= there.ID {
			r.Errorf("task %d has the id %d", im.ID, got.ID)
		}
		got.ID, got.LaneID = im.ID, 0
		r.equal("in the same order", im.Task, got)
	}
	if w, err := r.st.GetWorker(r.Context(), "w9"); err != nil || w.Capabilities != `{}` {
		r.Errorf("the worker that was known is %+v, %v", w, err)
	}
}

func importsOnce(r *rig) {
	ims := everyState()
	ims = append(ims, ims[4]) // whose key is the same
	ims[5].ID = 10
	var told [][]bool
	im := importOf(nil, ims...)
	im.Stored = func(created []bool) { told = append(told, slices.Clone(created)) }
	got, err := r.st.Import(r.Context(), im)
	r.ok(err)
	r.equal("known", int64(1), got.Known)
	r.equal("told", [][]bool{{true, true}, {true, true}, {true, false}}, told)

	claimed := r.claimOne(task.Claim{})
	before := r.everything()
	r.imports(store.ImportResult{Created: map[task.Status]int64{}, Known: 5}, ims[:5]...)
	r.equal("everything", before, r.everything())
	r.equal("the task that runs", claimed, r.get(claimed.ID))

	more := append(ims[:5:5], imported(11, task.Queued, nil))
	r.imports(store.ImportResult{Created: map[task.Status]int64{task.Queued: 1}, Known: 5}, more...)
}

// everything is what there is of tasks.
func (r *rig) everything() []any {
	r.Helper()
	all, err := r.st.ListTasks(r.Context(), task.Filter{Limit: 100})
	r.ok(err)
	stats, err := r.st.Stats(r.Context(), start)
	r.ok(err)
	types, err := r.st.ListTypes(r.Context())
	r.ok(err)
	workers, err := r.st.ListWorkers(r.Context())
	r.ok(err)
	lines, _, err := r.st.ListRecentLogs(r.Context(), task.RecentLogFilter{Limit: 100})
	r.ok(err)
	return []any{all, stats, types, workers, lines, r.failures("", 10)}
}

func importsNothing(r *rig) {
	r.insert(task.Spec{})
	before := r.everything()
	broken := errors.New("broken")
	im := importOf(broken, everyState()...)
	_, err := r.st.Import(r.Context(), im)
	r.wants(broken, err)
	r.equal("everything after an error", before, r.everything())

	bad := everyState()
	bad[3].Attempts = 9 // of five: the database refuses it
	_, err = r.st.Import(r.Context(), importOf(nil, bad...))
	if err == nil {
		r.Error("more attempts than there may be are stored")
	}
	r.equal("everything after a refusal", before, r.everything())
	audits, err := r.st.ListAudits(r.Context(), 0, 10)
	r.ok(err)
	r.equal("audits", []task.Audit{}, audits, cmpopts.EquateEmpty())

	r.imports(store.ImportResult{Created: map[task.Status]int64{task.Queued: 2, task.Completed: 1, task.Failed: 2}, Workers: 1}, everyState()...)
}

func importsWork(r *rig) {
	r.insert(task.Spec{Type: "work", Priority: ptr(200)})
	r.imports(store.ImportResult{Created: map[task.Status]int64{task.Queued: 2, task.Completed: 1, task.Failed: 2}, Workers: 1}, everyState()...)
	first := r.claimOne(task.Claim{})
	if *first.IdempotencyKey != "old-3" || first.Fence != 1 || first.Attempts != 1 {
		r.Errorf("claimed %+v", first)
	}
	r.complete(first, at(1))
	promoted := r.promote(at(100))
	if len(promoted) != 1 || *promoted[0].IdempotencyKey != "old-4" {
		r.Fatalf("due are %v", ids(promoted))
	}
	again := r.claimOne(task.Claim{Now: at(100)})
	if again.ID != promoted[0].ID || again.Fence != 3 || again.Attempts != 3 {
		r.Errorf("claimed %+v", again)
	}
	failed, err := r.st.ListTasks(r.Context(), task.Filter{Status: task.Failed, Limit: 10})
	r.ok(err)
	for _, t := range failed {
		requeued, err := r.st.RequeueTask(r.Context(), t.ID, at(101))
		r.ok(err)
		r.ok(r.deleted(r.cancelled(requeued, at(102))))
	}
	stored, created, err := r.st.InsertTask(r.Context(), r.make(task.Spec{IdempotencyKey: ptr("old-7")}, at(103)))
	r.ok(err)
	if created || stored.Status != task.Completed {
		r.Errorf("the old key made %+v", stored)
	}
}

func (r *rig) cancelled(t task.Task, now time.Time) int64 {
	r.Helper()
	_, changed, err := r.st.CancelTask(r.Context(), t.ID, now)
	r.ok(err)
	if !changed {
		r.Errorf("task %d is not cancelled", t.ID)
	}
	return t.ID
}

func (r *rig) deleted(id int64) error { return r.st.DeleteTask(r.Context(), id) }

func knowsKeys(r *rig) {
	r.insert(task.Spec{IdempotencyKey: ptr(`a "b" {c}, é`)})
	r.insert(task.Spec{IdempotencyKey: ptr("d")})
	got, err := r.st.KnownKeys(r.Context(), []string{"x", `a "b" {c}, é`, "d", "NULL", ""})
	r.ok(err)
	slices.Sort(got)
	r.equal("known", []string{`a "b" {c}, é`, "d"}, got)
	got, err = r.st.KnownKeys(r.Context(), nil)
	r.ok(err)
	r.equal("of none", 0, len(got))
}
