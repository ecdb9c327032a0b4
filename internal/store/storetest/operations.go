package storetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

var operationBehaviours = []behaviour{
	{"StartOnceWithTheTokenOfTheSameRequestInTime", operationStarts},
	{"ReachTheTasksThereWereAndNoLaterOnes", operationBounds},
	{"EndWithTheirFirstStepInAnEmptyStore", operationOfNothing},
	{"CancelAsOneCancelDoesWithALogLine", operationCancels},
	{"RequeueAsOneRequeueDoes", operationRequeues},
	{"DeleteWithLogAndHistory", operationDeletes},
	{"MoveQueuedTasksToAnotherPriority", operationSetsPriority},
	{"MoveBetweenLanesOfWhichClaimsKnow", operationMovesLanes},
	{"ReachTheTasksOfAConcurrencyKey", operationOfKey},
	{"SkipWhatDoesNotMatchAnyMore", operationSkips},
	{"CountWhatIsGivenUp", operationGivesUp},
	{"ChangeNothingOutOfTurn", operationOutOfTurn},
	{"BelongToOneRunnerAtATime", operationBelongs},
	{"EndWhenTheyAreCancelled", operationIsCancelled},
	{"AreListedNewestFirst", operationsListed},
	{"KeepTheCounts", operationsConserve},
}

const runner = "runner-1"

// propose stores a proposal and returns what starts it.
func (r *rig) propose(o task.Operation, token string, now time.Time) task.Operation {
	r.Helper()
	o.ConfirmHash, o.ExpiresAtUTC = task.ConfirmHash(token), now.Add(10*time.Minute)
	r.ok(r.st.ProposeOperation(r.Context(), o, now))
	return o
}

// started proposes and starts an operation at the instant, and takes it.
func (r *rig) started(a task.Action, filter string, priority *int, now time.Time) task.Operation {
	r.Helper()
	o := r.propose(task.Operation{Action: a, Filter: filter, Priority: priority}, fmt.Sprint(a, filter, now), now)
	o, err := r.st.StartOperation(r.Context(), o, now)
	r.ok(err)
	o, err = r.st.TakeOperation(r.Context(), runner, now, now.Add(5*time.Second))
	r.ok(err)
	return o
}

// nextStep goes on with up to max tasks, in as many steps as the store makes of them: it may end one early.
func (r *rig) nextStep(o task.Operation, max int, now time.Time) (after task.Operation, changed []task.Task) {
	r.Helper()
	for {
		s := r.plan(o, max, now)
		after, some, err := r.st.StepOperation(r.Context(), s)
		r.ok(err)
		changed = append(changed, some...)
		if did := int(after.Matched - o.Matched); did < len(s.IDs) && after.Status == task.OperationRunning {
			max -= did
			o = after
			continue
		}
		return after, changed
	}
}

func (r *rig) plan(o task.Operation, max int, now time.Time) task.Step {
	r.Helper()
	m, _ := r.match(o.Filter).In(o.Action.Statuses()...)
	ids, next, err := r.st.FindTasks(r.Context(), m, o.CreatedAtUTC, o.DoneID, o.UpperID, max)
	r.ok(err)
	return task.Step{Operation: o, IDs: ids, Match: m, NextID: next, Now: now, Until: now.Add(5 * time.Second)}
}

// operate does all of an operation and returns it with the tasks it has changed.
func (r *rig) operate(a task.Action, filter string, priority *int, max int, now time.Time) (o task.Operation, changed []task.Task) {
	r.Helper()
	for o = r.started(a, filter, priority, now); o.Status == task.OperationRunning; {
		var some []task.Task
		o, some = r.nextStep(o, max, now)
		changed = append(changed, some...)
	}
	return o, changed
}

func operationOfKey(r *rig) {
	one := r.insert(task.Spec{ConcurrencyKey: ptr("tenant-1")})
	r.insert(task.Spec{ConcurrencyKey: ptr("tenant-2")})
	none := r.insert(task.Spec{})
	_, changed := r.operate(task.ActionSetPriority, "concurrency_key:tenant-1", ptr(3), 10, at(1))
	r.equal("of the key", []int64{one.ID}, ids(changed))
	_, changed = r.operate(task.ActionCancel, "-concurrency_key:tenant-1,tenant-2", nil, 10, at(1))
	r.equal("of no key", []int64{none.ID}, ids(changed))
}

func operationStarts(r *rig) {
	r.insert(task.Spec{})
	o := r.propose(task.Operation{Action: task.ActionSetPriority, Filter: "type:work", Priority: ptr(5)}, "secret", start)
	_, err := r.st.GetOperation(r.Context(), 1)
	r.wants(task.ErrNotFound, err)
	for name, other := range map[string]func(*task.Operation){
		"action": func(o *task.Operation) { o.Action = task.ActionCancel }, "filter": func(o *task.Operation) { o.Filter = "" },
		"priority": func(o *task.Operation) { o.Priority = ptr(6) }, "no priority": func(o *task.Operation) { o.Priority = nil },
		"token": func(o *task.Operation) { o.ConfirmHash = task.ConfirmHash("other") },
	} {
		wrong := o
		other(&wrong)
		if _, err := r.st.StartOperation(r.Context(), wrong, at(1)); err == nil {
			r.Errorf("another %s will do", name)
		} else {
			r.wants(task.ErrConflict, err)
		}
	}
	_, err = r.st.StartOperation(r.Context(), o, at(600))
	r.wants(task.ErrConflict, err)
	got, err := r.st.StartOperation(r.Context(), o, at(599))
	r.ok(err)
	r.equal("operation", task.Operation{
		ID: got.ID, Action: o.Action, Filter: o.Filter, Priority: o.Priority, Status: task.OperationRunning, UpperID: got.UpperID,
		ConfirmHash: o.ConfirmHash, ExpiresAtUTC: at(600), CreatedAtUTC: at(599), UpdatedAtUTC: at(599),
	}, got)
	kept, err := r.st.GetOperation(r.Context(), got.ID)
	r.ok(err)
	r.equal("stored", got, kept)
	_, err = r.st.StartOperation(r.Context(), o, at(599))
	r.wants(task.ErrConflict, err)
}

func operationBounds(r *rig) {
	early := r.insertMany(5, task.Spec{})
	o := r.started(task.ActionCancel, "", nil, at(1))
	r.equal("upper end", early[4].ID, o.UpperID)
	late := r.insertMany(3, task.Spec{})
	o, changed := r.nextStep(o, 2, at(2))
	r.equal("changed", ids(early[:2]), ids(byID(changed)))
	r.equal("progress", []int64{2, 2, 0, 0, early[1].ID}, []int64{o.Matched, o.Changed, o.Skipped, o.Failed, o.DoneID})
	r.equal("status", task.OperationRunning, o.Status)
	o, _ = r.nextStep(o, 10, at(3))
	r.equal("status", task.OperationCompleted, o.Status)
	r.equal("finished", ptr(at(3)), o.FinishedAtUTC)
	r.equal("changed in all", int64(5), o.Changed)
	for _, t := range late {
		r.equal("late task", t, r.get(t.ID))
	}
}

func operationOfNothing(r *rig) {
	o, _ := r.operate(task.ActionDelete, "", nil, 10, start)
	r.equal("operation", []any{task.OperationCompleted, ptr(start), int64(0)}, []any{o.Status, o.FinishedAtUTC, o.Matched})
	_, err := r.st.TakeOperation(r.Context(), runner, start, at(5))
	r.wants(task.ErrNotFound, err)
}

// allStates brings a task into every state.
func allStates(r *rig) []task.Task {
	for _, s := range states {
		s.reach(r)
	}
	return byID(r.list(task.Filter{Limit: 1000}))
}

func operationCancels(r *rig) {
	all, live := allStates(r), 0
	o, changed := r.operate(task.ActionCancel, "", nil, 4, at(50))
	for _, t := range all {
		if t.Status.Ended() {
			r.equal("ended task", t, r.get(t.ID))
			continue
		}
		live++
		r.equal("live task", cancelled(t, 50), r.get(t.ID))
		lines := r.written(t.ID)
		r.equal("log lines", 1, len(lines))
		l := lines[0]
		r.equal("log line", task.Log{
			LogID: l.LogID, TaskID: t.ID, AtUTC: at(50), Level: task.Info, Message: "Cancelled by an operator", Details: l.Details, Fence: t.Fence,
		}, l)
		names := r.told(t.ID)
		r.equal("last of what has happened", task.EventCancelled, names[len(names)-1])
		r.sameJSON(fmt.Sprintf(`{"operation":%d}`, o.ID), *l.Details)
	}
	r.equal("changed", int64(live), o.Changed)
	r.equal("returned", live, len(changed))
	r.equal("attempt of the running one", ptr(task.AttemptCancelled), r.attempts(all[5].ID)[0].Outcome)
	r.equal("stats", r.count(0, at(100)), r.stats(at(100)))
	r.equal("reaped", 0, len(r.reap(at(10000))))
}

func (r *rig) sameJSON(want string, got task.JSON) {
	r.Helper()
	a, err := task.ParseCapabilities(task.JSON(want))
	r.ok(err)
	b, err := task.ParseCapabilities(got)
	r.ok(err)
	r.equal("details", a, b)
}

func operationRequeues(r *rig) {
	all := allStates(r)
	want := map[int64]task.Task{}
	for _, t := range all {
		if t.Status == task.Failed {
			t.Status, t.Outcome, t.Attempts, t.Ready, t.RunAfterUTC, t.UpdatedAtUTC = task.Queued, nil, 0, true, at(50), at(50)
			t.ErrorMessage, t.FinishedAtUTC, t.ProcessingStartedUTC, t.Progress, t.ProgressMessage, t.DeadlineUTC, t.ErrorFingerprint = nil, nil, nil, nil, nil, nil, nil
			want[t.ID] = t
		}
	}
	o, changed := r.operate(task.ActionRequeue, "", nil, 3, at(50))
	r.equal("changed", int64(len(want)), o.Changed)
	for _, t := range changed {
		r.equal("told", []any{task.Queued, true, want[t.ID].LaneID, want[t.ID].Type}, []any{t.Status, t.Ready, t.LaneID, t.Type})
		names := r.told(t.ID)
		r.equal("last line", task.EventRequeued, names[len(names)-1])
	}
	for _, t := range all {
		if again, ok := want[t.ID]; ok {
			t = again
		}
		r.equal("task", t, r.get(t.ID))
	}
	r.equal("stats", r.count(0, at(100)), r.stats(at(100)))
}

func operationDeletes(r *rig) {
	all, ended := allStates(r), 0
	o, _ := r.operate(task.ActionDelete, "", nil, 3, at(50))
	for _, t := range all {
		if !t.Status.Ended() {
			r.equal("live task", t, r.get(t.ID))
			continue
		}
		ended++
		_, err := r.st.GetTask(r.Context(), t.ID)
		r.wants(task.ErrNotFound, err)
	}
	r.equal("changed", int64(ended), o.Changed)
	r.equal("stats", r.count(int64(ended), at(100)), r.stats(at(100)))
}

func operationSetsPriority(r *rig) {
	all := allStates(r)
	same := r.insert(task.Spec{Priority: ptr(7), Compatibility: `{ "gpu": true }`})
	queued := int64(0)
	o, changed := r.operate(task.ActionSetPriority, "", ptr(7), 3, at(50))
	for _, t := range all {
		if t.Status == task.Queued {
			queued++
			lane := r.get(t.ID).LaneID
			if lane == t.LaneID {
				r.Errorf("task %d stays in its lane", t.ID)
			}
			t.Priority, t.UpdatedAtUTC, t.LaneID = 7, at(50), lane
			lines := r.logs(t.ID)
			l := lines[len(lines)-1]
			r.equal("message", "Priority changed by an operator", l.Message)
			r.sameJSON(fmt.Sprintf(`{"from":100,"to":7,"operation":%d}`, o.ID), *l.Details)
		}
		r.equal("task", t, r.get(t.ID))
	}
	r.equal("the one that had it", same, r.get(same.ID))
	r.equal("log of the one that had it", 1, len(r.logs(same.ID)))
	r.equal("counts", []int64{queued + 1, queued, 1, 0}, []int64{o.Matched, o.Changed, o.Skipped, o.Failed})
	for _, t := range changed {
		r.equal("told", []any{7, r.get(t.ID).LaneID}, []any{t.Priority, t.LaneID})
	}
	r.equal("stats", r.count(0, at(100)), r.stats(at(100)))
}

// operationMovesLanes claims between moves, so that what is known of the ends of the lanes is put to the test.
func operationMovesLanes(r *rig) {
	rng := rand.New(rand.NewPCG(6, 1))
	for i := range 200 {
		s := task.Spec{Type: []string{"a", "b"}[i%2], Priority: ptr(10 * (1 + rng.IntN(4)))}
		if i%5 == 0 {
			s.Compatibility = `{"gpu":1}`
		}
		r.insert(s)
	}
	for round := range 12 {
		filter := fmt.Sprintf("priority:%d", 10*(1+rng.IntN(4)))
		if round%3 == 0 {
			filter += " type:a"
		}
		r.operate(task.ActionSetPriority, filter, ptr(10*(1+rng.IntN(4))), 17, at(float64(round)))
		for _, strategy := range []task.Strategy{task.Priority, task.FIFO, task.LIFO} {
			var want []int64
			for _, t := range r.list(task.Filter{Status: task.Queued, Limit: 1000}) { // newest first
				want = append(want, t.ID)
			}
			got := r.claimOne(task.Claim{Strategy: strategy, Capabilities: task.Capabilities{"gpu": 1}, Now: at(float64(round))})
			switch strategy {
			case task.LIFO:
				r.equal("newest", want[0], got.ID)
			case task.FIFO:
				r.equal("oldest", want[len(want)-1], got.ID)
			default:
				for _, t := range r.list(task.Filter{Status: task.Queued, Limit: 1000}) {
					if t.Priority < got.Priority || t.Priority == got.Priority && t.ID < got.ID {
						r.Fatalf("claimed task %d of priority %d before %d of %d", got.ID, got.Priority, t.ID, t.Priority)
					}
				}
			}
		}
		r.equal("stats", r.count(0, at(100)), r.stats(at(100)))
	}
}

func operationSkips(r *rig) {
	many := r.insertMany(6, task.Spec{})
	o := r.started(task.ActionCancel, "status:queued", nil, at(1))
	s := r.plan(o, 10, at(2))
	r.claimOne(task.Claim{Now: at(2)})
	r.cancel(many[1].ID, at(2))
	r.cancel(many[2].ID, at(2))
	r.ok(r.st.DeleteTask(r.Context(), many[2].ID))
	before := []record{r.record(many[0].ID), r.record(many[1].ID)}
	var changed []task.Task
	for planned := s.IDs; len(s.IDs) > 0; { // a step may end early
		var some []task.Task
		var err error
		o, some, err = r.st.StepOperation(r.Context(), s)
		r.ok(err)
		changed, s.Operation, s.IDs = append(changed, some...), o, planned[o.Matched:]
	}
	r.equal("changed", ids(many[3:]), ids(byID(changed)))
	r.equal("counts", []int64{6, 3, 3, 0}, []int64{o.Matched, o.Changed, o.Skipped, o.Failed})
	r.equal("skipped", before, []record{r.record(many[0].ID), r.record(many[1].ID)})
}

func operationGivesUp(r *rig) {
	many := r.insertMany(2, task.Spec{})
	s := r.plan(r.started(task.ActionCancel, "", nil, at(1)), 10, at(2))
	s.IDs, s.NextID, s.Failed, s.Message = nil, many[0].ID, 1, "it cannot be"
	o, _, err := r.st.StepOperation(r.Context(), s)
	r.ok(err)
	r.equal("counts", []int64{1, 0, 0, 1, many[0].ID}, []int64{o.Matched, o.Changed, o.Skipped, o.Failed, o.DoneID})
	o, _ = r.nextStep(o, 10, at(3))
	r.equal("counts", []int64{2, 1, 0, 1}, []int64{o.Matched, o.Changed, o.Skipped, o.Failed})
	r.equal("error", ptr("it cannot be"), o.ErrorMessage)
}

func operationOutOfTurn(r *rig) {
	many := r.insertMany(4, task.Spec{})
	o := r.started(task.ActionSetPriority, "", ptr(3), at(1))
	s := r.plan(o, 2, at(2))
	r.nextStep(o, 1, at(2))
	before := []record{r.record(many[0].ID), r.record(many[1].ID), r.record(many[2].ID)}
	for name, wrong := range map[string]func(*task.Step){
		"a step from before": func(*task.Step) {}, "another runner": func(s *task.Step) { s.Operation.DoneID, s.Operation.Runner = many[0].ID, ptr("other") },
	} {
		s := s
		wrong(&s)
		if _, _, err := r.st.StepOperation(r.Context(), s); err == nil {
			r.Errorf("%s is done", name)
		} else {
			r.wants(task.ErrConflict, err)
		}
	}
	r.equal("tasks", before, []record{r.record(many[0].ID), r.record(many[1].ID), r.record(many[2].ID)})
	r.equal("stats", r.count(0, at(100)), r.stats(at(100)))
	r.equal("claimed", many[0].ID, r.claimOne(task.Claim{Now: at(3)}).ID)
}

func operationBelongs(r *rig) {
	r.insertMany(3, task.Spec{})
	o := r.started(task.ActionCancel, "", nil, at(0))
	_, err := r.st.TakeOperation(r.Context(), "other", at(4), at(9))
	r.wants(task.ErrNotFound, err)
	same, err := r.st.TakeOperation(r.Context(), runner, at(1), at(6))
	r.ok(err)
	r.equal("operation", o.ID, same.ID)
	_, err = r.st.TakeOperation(r.Context(), "other", at(5.9), at(11))
	r.wants(task.ErrNotFound, err)
	o, _ = r.nextStep(same, 1, at(5)) // until 10
	_, err = r.st.TakeOperation(r.Context(), "other", at(9.9), at(15))
	r.wants(task.ErrNotFound, err)
	theirs, err := r.st.TakeOperation(r.Context(), "other", at(10), at(15))
	r.ok(err)
	r.equal("where it goes on", o.DoneID, theirs.DoneID)
	_, _, err = r.st.StepOperation(r.Context(), r.plan(o, 1, at(11)))
	r.wants(task.ErrConflict, err)
}

func operationIsCancelled(r *rig) {
	r.insertMany(3, task.Spec{})
	o := r.started(task.ActionCancel, "", nil, at(1))
	o, _ = r.nextStep(o, 1, at(2))
	done, err := r.st.CancelOperation(r.Context(), o.ID, at(3))
	r.ok(err)
	r.equal("operation", []any{task.OperationCancelled, int64(1), ptr(at(3))}, []any{done.Status, done.Changed, done.FinishedAtUTC})
	_, _, err = r.st.StepOperation(r.Context(), r.plan(o, 1, at(4)))
	r.wants(task.ErrConflict, err)
	_, err = r.st.TakeOperation(r.Context(), runner, at(100), at(105))
	r.wants(task.ErrNotFound, err)
	_, err = r.st.CancelOperation(r.Context(), o.ID, at(5))
	r.wants(task.ErrConflict, err)
	_, err = r.st.CancelOperation(r.Context(), o.ID+100, at(5))
	r.wants(task.ErrNotFound, err)
	r.equal("queued", 2, len(r.list(task.Filter{Status: task.Queued, Limit: 10})))
}

func operationsListed(r *rig) {
	r.insert(task.Spec{})
	var want []int64
	for i := range 5 {
		o, _ := r.operate(task.ActionSetPriority, "", ptr(i+1), 10, at(float64(i)))
		want = append([]int64{o.ID}, want...)
	}
	r.propose(task.Operation{Action: task.ActionCancel}, "never", at(9))
	list := func(before int64, max int) (ids []int64) {
		os, err := r.st.ListOperations(r.Context(), before, max)
		r.ok(err)
		for _, o := range os {
			ids = append(ids, o.ID)
		}
		return ids
	}
	r.equal("all", want, list(0, 10))
	r.equal("first two", want[:2], list(0, 2))
	r.equal("next two", want[2:4], list(want[1], 2))
}

// operationsConserve mixes operations with the rest of what changes a count.
func operationsConserve(r *rig) {
	rng := rand.New(rand.NewPCG(6, 2))
	deleted := int64(0)
	for step := range 80 {
		now := at(float64(step))
		batch := make([]task.Task, 1+rng.IntN(4))
		for i := range batch {
			batch[i] = r.make(randomSpec(rng, step), now)
		}
		_, _, err := r.st.InsertTasks(r.Context(), batch)
		r.ok(err)
		r.claim(task.Claim{Strategy: task.Strategies[rng.IntN(4)], Max: 1 + rng.IntN(3), Now: now, Lease: 20 * time.Second, Seed: rng.Uint64()})
		r.upkeep(now)
		if rng.IntN(3) > 0 {
			continue
		}
		a, filter, priority := task.Actions[rng.IntN(4)], []string{"", "type:a", "priority<=2", "attempts:0"}[rng.IntN(4)], (*int)(nil)
		if a == task.ActionSetPriority {
			priority = ptr(1 + rng.IntN(4))
		}
		o, _ := r.operate(a, filter, priority, 1+rng.IntN(20), now)
		if a == task.ActionDelete {
			deleted += o.Changed
		}
		if r.equal("stats", r.count(deleted, now), r.stats(now)); r.Failed() {
			r.Fatalf("at step %d, %s %s", step, a, filter)
		}
	}
}
