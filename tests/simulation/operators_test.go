package simulation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

// poison is the type whose tasks kill the worker that runs them.
const poison = "poison"

// kind is one of the 20 types of tasks.
type kind struct {
	name    string
	mean    time.Duration // of an attempt
	failing float64       // share of attempts that fail
	gpu     bool
	region  string
	memory  float64 // and at most twice that; 0: any
}

var kinds = func() (out []*kind) {
	for i := range 19 {
		k := &kind{name: fmt.Sprint("t", i), mean: time.Duration(2+3*i) * time.Second, failing: float64(i%5) * 0.05}
		switch i / 4 {
		case 2:
			k.gpu = true
		case 3:
			k.region = "eu"
		case 4:
			k.memory = 16
		}
		out = append(out, k)
	}
	return append(out, &kind{name: poison, mean: 5 * time.Second})
}()

// keyedKinds are those of whose tasks most have a concurrency key.
var keyedKinds = []string{"t1", "t4", "t7", "t9"}

func kindOf(taskType string) *kind {
	return kinds[slices.IndexFunc(kinds, func(k *kind) bool { return k.name == taskType })]
}

// requires is what tasks of the kind ask of workers.
func (k *kind) requires() task.JSON {
	switch {
	case k.gpu:
		return `{"gpu":true}`
	case k.region != "":
		return task.JSON(fmt.Sprintf(`{"region":%q}`, k.region))
	case k.memory > 0:
		return task.JSON(fmt.Sprintf(`{"memory":{"min":%g,"max":%g}}`, k.memory, 2*k.memory))
	}
	return ""
}

// operate lets producers and operators do what they do, each again and again.
func (w *world) operate() {
	for _, k := range kinds[:5] {
		w.limit(k.name, 1+w.rng.IntN(4), w.rng.IntN(3))
	}
	for _, s := range []timetable{
		{every: 20 * time.Second, misfire: task.MisfireSkip, overlap: task.OverlapSkip},
		{every: 30 * time.Second, misfire: task.MisfireAll, overlap: task.OverlapCancel},
		{every: time.Minute, misfire: task.MisfireOnce, overlap: task.OverlapAllow},
		{every: 5 * time.Minute, misfire: task.MisfireAll, overlap: task.OverlapAllow},
		{every: 15 * time.Minute, misfire: task.MisfireOnce, overlap: task.OverlapCancel},
		{every: time.Hour, misfire: task.MisfireOnce, overlap: task.OverlapAllow},
	} {
		s.name, s.most = fmt.Sprint("every-", s.every), 3
		w.schedule(&s)
	}
	for _, a := range []struct {
		every time.Duration
		do    func()
	}{
		{10 * time.Second, func() { w.enqueue(w.spec()) }},
		{5 * time.Minute, w.burst},
		{time.Minute, w.cancel},
		{2 * time.Minute, w.requeue},
		{time.Minute, w.remove},
		{20 * time.Second, w.late},
		{10 * time.Minute, w.pause},
		{10 * time.Minute, func() { w.limit(kinds[w.rng.IntN(10)].name, w.rng.IntN(4), w.rng.IntN(3)) }},
		{20 * time.Minute, w.suspend},
		{15 * time.Minute, w.bulk},
		{20 * time.Minute, w.check},
		{20 * time.Minute, func() { w.restart(w.around(90 * time.Second)) }},
	} {
		w.every(a.every, a.do)
	}
}

// spec is a task of any kind, some of them for later, with a deadline or a key.
func (w *world) spec() task.Spec {
	k := kinds[w.rng.IntN(len(kinds))]
	if k.name == poison && w.chance(0.7) {
		k = kinds[0]
	}
	s := task.Spec{Type: k.name, Compatibility: k.requires(), Priority: ptr(1 + w.rng.IntN(1000)), MaxAttempts: ptr(1 + w.rng.IntN(6))}
	begin := w.clock.Now()
	if w.chance(0.3) {
		s.Priority = ptr(100)
	}
	if slices.Contains(keyedKinds, k.name) && w.chance(0.8) {
		s.ConcurrencyKey = ptr(fmt.Sprint("tenant-", w.rng.IntN(3)))
	}
	if w.chance(0.2) {
		begin = begin.Add(w.around(10 * time.Minute))
		s.RunAfterUTC = &task.Time{Time: begin}
	}
	if w.chance(0.1) {
		s.DeadlineUTC = &task.Time{Time: begin.Add(w.around(5 * time.Minute))}
	}
	if w.chance(0.1) {
		s.IdempotencyKey = ptr(fmt.Sprint("key-", w.rng.IntN(200)))
	}
	if w.chance(0.2) {
		s.UniqueKey, s.UniqueScope = ptr(fmt.Sprint("one-", w.rng.IntN(3))), ptr([]task.UniqueScope{task.UniqueQueued, task.UniqueLive, task.UniquePeriod}[w.rng.IntN(3)])
		if *s.UniqueScope == task.UniquePeriod {
			s.UniquePeriodSeconds = ptr(float64(1 + w.rng.IntN(600)))
		}
	}
	return s
}

func ptr[T any](v T) *T { return &v }

func (w *world) enqueue(s task.Spec) {
	t, created, err := w.q.Enqueue(w.Context(), s, queue.MaxAttempts)
	w.ok(err)
	w.enqueued(s, t, created)
}

// burst enqueues many at once.
func (w *world) burst() {
	specs := make([]task.Spec, 1+w.rng.IntN(40))
	for i := range specs {
		specs[i] = w.spec()
	}
	tasks, created, err := w.q.EnqueueBatch(w.Context(), specs)
	w.ok(err)
	for i, t := range tasks {
		w.enqueued(specs[i], t, created[i])
	}
}

func (w *world) enqueued(s task.Spec, t task.Task, created bool) {
	w.touched = true
	known := int64(0)
	if s.IdempotencyKey != nil {
		known = w.byKey[*s.IdempotencyKey]
	}
	if known == 0 {
		known = w.inTheWay(s)
	}
	switch {
	case created != (known == 0) || !created && t.ID != known:
		w.broken("I4", "task %d, created %v, for a key of task %d", t.ID, created, known)
	case !created:
		return
	case t.ID <= w.newest || t.Status != task.Queued || t.Attempts != 0 || t.MaxAttempts != *s.MaxAttempts || t.Priority != *s.Priority:
		w.broken("I1", "task %+v of %+v", visible(t), s)
	}
	w.counts.enqueued++
	r := &record{}
	if s.UniqueKey != nil {
		r.unique, r.noted = s.Type+" "+*s.UniqueKey, true
		for _, o := range w.tasks {
			o.noted = o.noted && (o.unique != r.unique || !o.Status.Ended())
		}
	}
	w.put(r, t)
	if s.IdempotencyKey != nil {
		w.byKey[*s.IdempotencyKey] = t.ID
	}
}

// inTheWay returns the task for whose sake none is made under the unique key of s; 0: there is none.
func (w *world) inTheWay(s task.Spec) (id int64) {
	if s.UniqueKey == nil {
		return 0
	}
	u := s.Unique()
	for _, r := range w.tasks {
		if r.noted && r.unique == s.Type+" "+u.Key && u.Holds(r.Status, r.CreatedAtUTC, w.clock.Now()) {
			id = max(id, r.ID)
		}
	}
	return id
}

// pick returns one of the tasks that satisfy a condition; nil when there is none.
func (w *world) pick(from map[int64]*record, want func(r *record) bool) *record {
	ids := slices.Sorted(maps.Keys(from))
	for range 20 {
		if len(ids) == 0 {
			return nil
		}
		if r := from[ids[w.rng.IntN(len(ids))]]; want(r) {
			return r
		}
	}
	return nil
}

func (w *world) cancel() {
	r := w.pick(w.alive, func(*record) bool { return true })
	if r == nil {
		return
	}
	got, changed, err := w.q.Cancel(w.Context(), r.ID)
	w.ok(err)
	w.touched = true
	if !changed || got.Status != task.Failed || *got.Outcome != task.Cancelled {
		w.broken("I12", "a cancel made of task %d: %+v", r.ID, visible(got))
	}
	w.cancelled(r, got)
}

func (w *world) cancelled(r *record, got task.Task) {
	if r.Status == task.Processing {
		r.past = append(r.past, task.AttemptCancelled)
	}
	w.put(r, got)
}

// requeue leaves the tasks of schedules alone: whether one that is queued again counts for overlaps is not promised.
func (w *world) requeue() {
	r := w.pick(w.tasks, func(r *record) bool { return r.Status.Ended() && r.schedule == "" })
	if r == nil {
		return
	}
	got, err := w.q.Requeue(w.Context(), r.ID)
	w.touched = true
	if r.Status == task.Completed {
		if !errors.Is(err, task.ErrConflict) {
			w.broken("I11", "a completed task was queued again: %v", err)
		}
		w.same("I11", r, w.stored(r.ID))
		return
	}
	w.ok(err)
	w.requeued(r, got)
}

func (w *world) requeued(r *record, got task.Task) {
	if got.Status != task.Queued || got.Attempts != 0 || !got.RunAfterUTC.Equal(w.clock.Now()) {
		w.broken("I11", "queued again, task %d is %+v", r.ID, visible(got))
	}
	w.put(r, got)
}

// remove deletes an ended task, and tries it with one that lives.
func (w *world) remove() {
	if r := w.pick(w.tasks, func(r *record) bool { return r.Status.Ended() }); r != nil {
		w.ok(w.q.Delete(w.Context(), r.ID))
		w.drop(r)
	}
	if r := w.pick(w.alive, func(*record) bool { return true }); r != nil {
		if err := w.q.Delete(w.Context(), r.ID); !errors.Is(err, task.ErrConflict) {
			w.broken("I10", "a delete of task %d, which is %s, got %v", r.ID, r.Status, err)
		}
	}
	w.touched = true
}

// pause pauses a type for a while.
func (w *world) pause() {
	name := kinds[w.rng.IntN(len(kinds))].name
	set := func(paused bool) {
		change := w.q.ResumeType
		if paused {
			change = w.q.PauseType
		}
		_, err := change(w.Context(), name)
		w.ok(err)
		r := w.rules[name]
		r.paused = paused
		w.rules[name], w.touched = r, true
	}
	set(true)
	w.after(w.around(3*time.Minute), func() { set(false) })
}

// limit bounds the running tasks of a type, and how many begin in a time: so many in 20 s, and one more at once; 0: no more.
func (w *world) limit(name string, most, rate int) {
	rules := task.TypeRules{}
	if most > 0 {
		rules.MaxConcurrency = &most
	}
	if rate > 0 {
		rules.RateLimit = &task.RateLimit{Tasks: rate, PerSeconds: 20, Burst: rate + 1}
	}
	r := w.rules[name]
	if name == brittle && !w.quiet {
		rules.Breaker = &fuse
		if r.breaker == nil {
			r.breaker = new(breaker)
		}
	}
	if ofKey := w.keyRules(name, &r); most+rate > 0 {
		rules.PerKey = ofKey
	} else {
		r.ofKey = keyRule{}
	}
	got, err := w.q.PutType(w.Context(), name, rules)
	w.ok(err)
	r.most = most
	w.refill(&r, rate, got.RateLimit)
	w.rules[name], w.touched = r, true
}

// keyRules are what is to hold for each key of a type, which the model learns too; nil: nothing.
func (w *world) keyRules(name string, r *rule) *task.KeyRules {
	if !slices.Contains(keyedKinds, name) {
		return nil
	}
	var k task.KeyRules
	if r.ofKey.most = w.rng.IntN(3); r.ofKey.most > 0 {
		k.MaxConcurrency = ptr(r.ofKey.most)
	}
	var rate task.RateLimit
	if n := w.rng.IntN(3); n > 0 {
		rate = task.RateLimit{Tasks: n, PerSeconds: 10, Burst: n + 1}
		k.RateLimit = &rate
	}
	if rate != r.ofKey.rate { // buckets of another rate begin full
		r.ofKey.rate, r.ofKey.buckets = rate, make(map[string]*bucket)
	}
	k.Weights = map[string]int{"tenant-0": 1 + w.rng.IntN(3)}
	return &k
}

// refill gives the model a full bucket, unless the rate is the one that it has.
func (w *world) refill(r *rule, rate int, l *task.RateLimit) {
	if l == nil {
		r.bucket = nil
		return
	}
	interval := 20 * time.Second / time.Duration(rate)
	if r.bucket == nil || r.bucket.interval != interval {
		full := time.Duration(l.Burst) * interval
		r.bucket = &bucket{interval: interval, full: full, level: full, at: w.clock.Now()}
	}
}

// lift ends all that holds tasks up.
func (w *world) lift() {
	for _, k := range kinds {
		w.limit(k.name, 0, 0)
		_, err := w.q.ResumeType(w.Context(), k.name)
		w.ok(err)
		w.rules[k.name] = rule{}
	}
	for _, s := range w.timetables() {
		w.ok(w.q.DeleteSchedule(w.Context(), s.name))
		delete(w.schedules, s.name)
	}
	w.touched = true
}

// timetables returns the schedules in the order of their next ticks, in which the upkeep deals with them.
func (w *world) timetables() []*timetable {
	return slices.SortedFunc(maps.Values(w.schedules), func(a, b *timetable) int { return a.next.Compare(b.next) })
}

// schedule makes a schedule.
func (w *world) schedule(s *timetable) {
	cron := fmt.Sprintf("*/%d * * * *", int(s.every.Minutes()))
	switch {
	case s.every < time.Minute:
		cron = fmt.Sprintf("*/%d * * * * *", int(s.every.Seconds()))
	case s.every == time.Hour:
		cron = "@hourly"
	}
	got, created, err := w.q.PutSchedule(w.Context(), s.name, task.ScheduleSpec{
		Cron: cron, Misfire: s.misfire, MaxMisfires: &s.most, Overlap: s.overlap,
		Task: task.Spec{Type: "t3", Payload: task.JSON(fmt.Sprintf(`{"schedule":%q}`, s.name))},
	})
	w.ok(err)
	s.next = s.from(w.clock.Now())
	if !created || !got.NextTickUTC.Equal(s.next) {
		w.broken("I19", "schedule %+v, want the next tick at %v", got, s.next)
	}
	w.schedules[s.name], w.touched = s, true
}

// suspend pauses a schedule for a while.
func (w *world) suspend() {
	all := w.timetables()
	s := all[w.rng.IntN(len(all))]
	_, err := w.q.PauseSchedule(w.Context(), s.name)
	w.ok(err)
	s.paused, w.touched = true, true
	w.after(w.around(10*time.Minute), func() {
		if w.quiet {
			return
		}
		got, err := w.q.ResumeSchedule(w.Context(), s.name)
		w.ok(err)
		if s.paused {
			s.paused, s.next = false, s.from(w.clock.Now())
		}
		if w.touched = true; !got.NextTickUTC.Equal(s.next) {
			w.broken("I19", "schedule %s resumes at %v, want %v", s.name, got.NextTickUTC, s.next)
		}
	})
}

// bulk does one thing to all tasks of a type.
func (w *world) bulk() {
	k := kinds[4+w.rng.IntN(len(kinds)-4)] // none of those of schedules
	spec := task.OperationSpec{Action: task.Actions[w.rng.IntN(len(task.Actions))], Filter: "type:" + k.name}
	if spec.Action == task.ActionSetPriority {
		spec.Priority = ptr(1 + w.rng.IntN(1000))
	}
	var hit []*record
	for _, r := range w.tasks {
		if r.Type == k.name && slices.Contains(spec.Action.Statuses(), r.Status) {
			hit = append(hit, r)
		}
	}
	p, err := w.q.Propose(w.Context(), spec)
	w.ok(err)
	if p.Matched != int64(len(hit)) {
		w.broken("I15", "%s would change %d tasks of %s, want %d", spec.Action, p.Matched, k.name, len(hit))
	}
	_, err = w.q.StartOperation(w.Context(), spec, p.ConfirmToken)
	w.ok(err)
	for worked := true; worked; {
		worked, err = w.q.WorkOperation(w.Context())
		w.ok(err)
	}
	w.counts.operations++
	w.touched = true
	for _, r := range hit {
		w.operated(spec, r)
	}
}

// operated wants a task to be what an operation makes of it.
func (w *world) operated(spec task.OperationSpec, r *record) {
	if spec.Action == task.ActionDelete {
		if _, err := w.st.GetTask(w.Context(), r.ID); !errors.Is(err, task.ErrNotFound) {
			w.broken("I10", "task %d was deleted and is there: %v", r.ID, err)
		}
		w.drop(r)
		return
	}
	got := w.stored(r.ID)
	switch spec.Action {
	case task.ActionCancel:
		if got.Status != task.Failed || *got.Outcome != task.Cancelled {
			w.broken("I12", "task %d was cancelled and is %+v", r.ID, visible(got))
		}
		w.cancelled(r, got)
	case task.ActionRequeue:
		w.requeued(r, got)
	case task.ActionSetPriority:
		if r.Priority = *spec.Priority; visible(got) != visible(r.Task) {
			w.broken("I2", "task %d with another priority is %+v, want %+v", r.ID, visible(got), visible(r.Task))
		}
		w.put(r, got)
	}
}
