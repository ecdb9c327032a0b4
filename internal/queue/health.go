package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// judgedOver is the time over which rates are judged.
	judgedOver = 10 * time.Minute
	// A type fails when, of failingLeast attempts or more, failingShare have failed.
	failingLeast = 5
	failingShare = 0.5
	// The backlog grows when growingLeast tasks more came in than were done, a tenth of what came in, and what is ready will take longer than judgedOver.
	growingLeast = 50
	growingShare = 0.1
	// A disk is nearly full with less than diskLeast, or diskShare of it, free.
	diskLeast = 512 << 20
	diskShare = 0.05
	// missedAfter is how long after its time a tick that nobody has dealt with is missed.
	missedAfter = time.Minute
	// problemsOfAKind is how many problems of one code are told one by one.
	problemsOfAKind = 10
)

// health collects problems.
type health struct {
	*scene
	problems []task.Problem
}

func (h *health) add(code task.ProblemCode, severity task.HealthStatus, subject, message string, args ...any) {
	n := 0
	for _, p := range h.problems {
		if p.Code == code {
			n++
		}
	}
	switch {
	case n < problemsOfAKind:
		h.problems = append(h.problems, task.Problem{Code: code, Severity: severity, Subject: subject, Message: fmt.Sprintf(message, args...)})
	case n == problemsOfAKind:
		h.problems = append(h.problems, task.Problem{Code: code, Severity: severity, Message: "There are more like this."})
	}
}

// Health looks for what is wrong with the queue.
func (q *Queue) Health(ctx context.Context) (task.Health, error) {
	s, err := q.scene(ctx)
	if err != nil {
		return task.Health{}, fmt.Errorf("health: %w", err)
	}
	h := &health{scene: s}
	_ = q.StoreMeasures(ctx) // what cannot be stored now is tried again, and logged, by Run
	for _, look := range []func(context.Context, *health) error{
		q.storeMoved, q.workersMissing, q.diskLow, q.schedulesMissed, q.poisoned, q.typesFailing, q.typesStopped, q.backlogGrowing, q.workersStale, q.others,
	} {
		if err := look(ctx, h); err != nil {
			return task.Health{}, fmt.Errorf("health: %w", err)
		}
	}
	slices.SortStableFunc(h.problems, func(a, b task.Problem) int { return cmp.Compare(gravity(b.Severity), gravity(a.Severity)) })
	out := task.Health{Status: task.Well, Problems: append([]task.Problem{}, h.problems...)}
	if len(out.Problems) > 0 {
		out.Status = out.Problems[0].Severity
	}
	return out, nil
}

func gravity(s task.HealthStatus) int {
	return slices.Index([]task.HealthStatus{task.Well, task.Strained, task.Ill}, s)
}

// others asks who watches something else.
func (q *Queue) others(_ context.Context, h *health) error {
	if q.o.Problems != nil {
		h.problems = append(h.problems, q.o.Problems()...)
	}
	return nil
}

// storeMoved finds that the store takes no changes any more. What else it may have is found by those who ask it for something.
func (q *Queue) storeMoved(ctx context.Context, h *health) error {
	moved, ok := errors.AsType[*task.MovedError](q.store.Ping(ctx))
	if !ok {
		return nil
	}
	text := moved.Error()
	h.add(task.ProblemStoreMoved, task.Ill, "", "%s%s.", strings.ToUpper(text[:1]), text[1:])
	return nil
}

// workersMissing finds tasks that are due and that no live worker may take.
func (q *Queue) workersMissing(ctx context.Context, h *health) error {
	backlog, err := q.store.ListBacklog(ctx)
	if err != nil {
		return err
	}
	var ready int64
	why := make(map[string]*task.Reason) // of stranded tasks, by type
	waiting := make(map[string]int64)
	for _, b := range backlog {
		if b.Ready == 0 || h.rules[b.Type].Paused {
			continue
		}
		ready += b.Ready
		if r := h.nobody(b.Lane); r != nil {
			why[b.Type] = r
			waiting[b.Type] += b.Ready
		}
	}
	if ready > 0 && len(h.live) == 0 {
		h.add(task.ProblemNoWorkers, task.Ill, "", "%s due, and no worker takes any: none was heard in the last %.0f minutes%s. Start one.", count(ready, "task is", "tasks are"), aliveFor.Minutes(), drainingNote(h.draining))
		return nil
	}
	for _, name := range sortedKeys(why) {
		h.add(task.ProblemStranded, task.Strained, name, "%s for a worker that may take such. %s", count(waiting[name], "task of type "+name+" waits", "tasks of type "+name+" wait"), why[name].Message)
	}
	return nil
}

func drainingNote(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", but for %d that take nothing new", n)
}

func (q *Queue) diskLow(ctx context.Context, h *health) error {
	v, err := q.store.Vitals(ctx)
	if err != nil || v.File == nil {
		return err
	}
	if f := v.File; f.FreeBytes < diskLeast || float64(f.FreeBytes) < diskShare*float64(f.DiskBytes) {
		h.add(task.ProblemDiskLow, task.Ill, "", "The disk of the database has %d MiB left of %d. When it is full nothing more can be enqueued: make room, or have ended tasks deleted (retention).", f.FreeBytes>>20, f.DiskBytes>>20)
	}
	return nil
}

func (q *Queue) schedulesMissed(ctx context.Context, h *health) error {
	schedules, err := q.store.ListSchedules(ctx)
	if err != nil {
		return err
	}
	for _, s := range schedules {
		switch {
		case s.Paused:
		case s.NextTickUTC != nil && h.now.Sub(*s.NextTickUTC) > missedAfter:
			h.add(task.ProblemScheduleMissed, task.Ill, s.Name, "The tick of schedule %s of %s has not been dealt with: no server works on its schedules. Look at the log of the server.", s.Name, at(*s.NextTickUTC))
		case s.NextTickUTC == nil && s.LastSkipped != nil:
			h.add(task.ProblemScheduleStopped, task.Ill, s.Name, "Schedule %s has no next tick: %s. Set it anew.", s.Name, *s.LastSkipped)
		case s.LastSkipped != nil && *s.LastSkipped == missedTick && h.now.Sub(*s.LastTickUTC) < DefaultWindow:
			h.add(task.ProblemScheduleMissed, task.Strained, s.Name, "The tick of schedule %s of %s was missed, and its policy (misfire: %s) made no task of it. Run it by hand if it is needed.", s.Name, at(*s.LastTickUTC), s.Misfire)
		}
	}
	return nil
}

func (q *Queue) poisoned(ctx context.Context, h *health) error {
	ts, err := q.store.ListPoisoned(ctx, problemsOfAKind+1)
	for _, t := range ts {
		h.add(task.ProblemPoisonTask, task.Strained, fmt.Sprint(t.TaskID), "Task %d of type %s has lost %d workers: it may kill them. It runs alone now; look at its attempts, and cancel it.", t.TaskID, t.Type, t.Lost)
	}
	return err
}

// typesFailing finds types of which most attempts have failed lately.
func (q *Queue) typesFailing(ctx context.Context, h *health) error {
	rows, _, err := q.rollups(ctx, task.RollupFilter{EachType: true}, h.now.Add(-judgedOver), h.now)
	if err != nil {
		return err
	}
	sums := make(map[string]*task.Measures)
	for _, r := range rows {
		if sums[r.Type] == nil {
			sums[r.Type] = new(task.Measures)
		}
		sums[r.Type].Add(r.Counts)
	}
	for _, name := range sortedKeys(sums) {
		m := sums[name]
		failed := m.Retries + m.Exhausted + m.Rejected
		if n := failed + m.Completed; n >= failingLeast && float64(failed) >= failingShare*float64(n) {
			h.add(task.ProblemTypeFailing, task.Strained, name, "Of type %s %d of %d attempts have failed in the last %.0f minutes. Look at the errors of its failed tasks.", name, failed, n, judgedOver.Minutes())
		}
	}
	return nil
}

// typesStopped finds types that are paused, or stopped by their breakers, while tasks wait.
func (q *Queue) typesStopped(ctx context.Context, h *health) error {
	types, err := q.store.ListTypes(ctx)
	for _, t := range types {
		name := t.Type.Type
		if t.Paused && t.QueuedTasks > 0 {
			h.add(task.ProblemTypePaused, task.Strained, name, "Type %s is paused, and %s. Resume it when it may go on.", name, count(t.QueuedTasks, "of its tasks waits", "of its tasks wait"))
		}
		if t.BreakerUntilUTC != nil {
			h.add(task.ProblemBreakerOpen, task.Strained, name, "The circuit breaker of type %s is open: too many attempts have failed. After %s one task at a time is tried.", name, at(*t.BreakerUntilUTC))
		}
	}
	return err
}

// backlogGrowing compares what came in with what was done lately.
func (q *Queue) backlogGrowing(ctx context.Context, h *health) error {
	rows, first, err := q.rollups(ctx, task.RollupFilter{}, h.now.Add(-judgedOver), h.now)
	if err != nil {
		return err
	}
	stats, err := q.store.Stats(ctx, h.now)
	if err != nil {
		return err
	}
	var m task.Measures
	for _, r := range rows {
		m.Add(r.Counts)
	}
	done := m.Completed + m.Failed() + m.Cancelled
	more, perMinute := m.Enqueued-done, float64(done)/h.now.Sub(first).Minutes()
	if more < growingLeast || float64(more) < growingShare*float64(m.Enqueued) || float64(stats.ReadyTasks) < perMinute*judgedOver.Minutes() || len(h.live) == 0 {
		return nil
	}
	h.add(task.ProblemBacklogGrowing, task.Strained, "", "In the last %.0f minutes %d tasks came in and %d were done; %d are due and wait. Start more workers, or find what makes them slow.", judgedOver.Minutes(), m.Enqueued, done, stats.ReadyTasks)
	return nil
}

func (q *Queue) workersStale(ctx context.Context, h *health) error {
	workers, err := q.store.ListWorkers(ctx)
	if err != nil {
		return err
	}
	held, err := q.store.CountHeld(ctx)
	for _, w := range workers {
		silent := h.now.Sub(w.HeartbeatUTC)
		if silent <= aliveFor {
			continue
		}
		holds := "It holds no task"
		if n := held[w.WorkerID]; n > 0 {
			holds = fmt.Sprintf("It holds %s until the lease ends", count(n, "task", "tasks"))
		}
		h.add(task.ProblemWorkerStale, task.Strained, w.WorkerID, "Worker %s was not heard for %s. %s; start it again, or delete it from the registry.", w.WorkerID, strings.TrimSuffix(silent.Round(time.Minute).String(), "0s"), holds)
	}
	return err
}

// count is a number and the word for so many.
func count(n int64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
