package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// aliveFor is how long a worker is taken for alive after it was last heard.
	aliveFor = 300 * time.Second
	// holdersShown is how many tasks that use up a limit are named.
	holdersShown = 10
)

// Explain tells why a task does not run, in the order in which the causes must be dealt with, or what has become of it. Error: task.ErrNotFound.
func (q *Queue) Explain(ctx context.Context, id int64) (task.Explanation, error) {
	t, err := q.store.GetTask(ctx, id)
	if err != nil {
		return task.Explanation{}, fmt.Errorf("explain task %d: %w", id, err)
	}
	e := task.Explanation{TaskID: t.ID, Status: t.Status}
	switch t.Status {
	case task.Queued:
		e.Reasons, err = q.whyQueued(ctx, t)
	case task.Processing:
		e.Reasons = []task.Reason{held(t)}
	default:
		e.Reasons = []task.Reason{ended(t)}
	}
	if err != nil {
		return task.Explanation{}, fmt.Errorf("explain task %d: %w", id, err)
	}
	return e, nil
}

// ended says how a task ended; the code is its outcome.
func ended(t task.Task) task.Reason {
	figures := map[string]any{"finished_at_utc": t.FinishedAtUTC, "attempts": t.Attempts}
	r := task.Reason{Code: string(*t.Outcome)}
	switch *t.Outcome {
	case task.Succeeded:
		r.Message, r.Details = fmt.Sprintf("It was completed at %s.", at(*t.FinishedAtUTC)), details(figures)
		return r
	case task.Cancelled:
		r.Message = "It was cancelled"
	case task.Exhausted:
		if r.Message = "Its only attempt is used up"; t.MaxAttempts > 1 {
			r.Message = fmt.Sprintf("Its %d attempts are used up", t.MaxAttempts)
		}
	case task.Rejected:
		r.Message = "Its worker has said that no further attempt is worth it"
	case task.Expired:
		r.Message = "Its deadline passed before it could run"
	}
	r.Message += fmt.Sprintf(" at %s", at(*t.FinishedAtUTC))
	if t.ErrorMessage != nil && *t.ErrorMessage != "" {
		r.Message += ": " + *t.ErrorMessage
		figures["error_message"] = *t.ErrorMessage
	}
	r.Message, r.Details = r.Message+". Requeue it to have it run again.", details(figures)
	return r
}

func held(t task.Task) task.Reason {
	return task.Reason{
		Code:    "held",
		Message: fmt.Sprintf("It runs: worker %s holds it, attempt %d of %d, and its lease ends at %s unless it is renewed.", *t.LockedBy, t.Attempts, t.MaxAttempts, at(*t.LeaseUntilUTC)), UntilUTC: t.LeaseUntilUTC,
		Details: details(map[string]any{"worker_id": *t.LockedBy, "reserved_at_utc": t.ReservedAtUTC, "attempt": t.Attempts}),
	}
}

// details writes figures as a JSON object.
func details(figures map[string]any) *task.JSON {
	b, _ := json.Marshal(figures) // texts, numbers, times and what came from JSON
	j := task.JSON(b)
	return &j
}

func at(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// whyQueued asks for each cause in turn. Where none holds the task back, it says so.
func (q *Queue) whyQueued(ctx context.Context, t task.Task) ([]task.Reason, error) {
	s, err := q.scene(ctx)
	if err != nil {
		return nil, err
	}
	lane := task.Lane{ID: t.LaneID, Type: t.Type, Priority: t.Priority}
	if lane.Requires, err = task.ParseRequirements(t.Compatibility); err != nil {
		lane.Requires = task.Unmeetable
	}
	var out []task.Reason
	add := func(r *task.Reason) {
		if r != nil {
			out = append(out, *r)
		}
	}
	add(s.paused(t.Type))
	add(s.broken(t.Type))
	add(s.notDue(t))
	full, err := q.full(ctx, s.rules[t.Type])
	if err != nil {
		return nil, err
	}
	add(full)
	add(s.rated(t.Type))
	ofKey, err := q.heldByKey(ctx, s, t)
	if err != nil {
		return nil, err
	}
	out = append(out, ofKey...)
	add(s.nobody(lane))
	switch {
	case t.RunAfterUTC.After(s.now):
	case t.Quarantined():
		add(apart(t))
	default:
		queue, err := q.place(ctx, s, t, lane, len(out) > 0)
		if err != nil {
			return nil, err
		}
		add(queue)
	}
	return out, nil
}

// apart says that the task comes next, but only to a worker that holds nothing.
func apart(t task.Task) *task.Reason {
	return &task.Reason{
		Code: "quarantined", Message: fmt.Sprintf("It has lost %d workers and runs alone: it comes next for a worker that holds nothing else.", t.Lost),
		Details: details(map[string]any{"lost": t.Lost}),
	}
}

// scene is what decides over all tasks at one time.
type scene struct {
	now      time.Time
	rules    map[string]task.Type
	live     []task.Claim // of each live worker, what it may take
	draining int          // workers that live, and take nothing new
}

func (q *Queue) scene(ctx context.Context) (*scene, error) {
	s := &scene{now: q.Now(), rules: make(map[string]task.Type)}
	rules, err := q.store.ListRules(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range rules {
		s.rules[r.Type] = r
	}
	workers, err := q.store.ListWorkers(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range workers {
		if s.now.Sub(w.HeartbeatUTC) > aliveFor {
			continue
		}
		if w.Drain {
			s.draining++
			continue
		}
		offer, err := w.Offer()
		if err != nil {
			return nil, fmt.Errorf("worker %s: %w", w.WorkerID, err)
		}
		s.live = append(s.live, offer)
	}
	return s, nil
}

func (s *scene) paused(taskType string) *task.Reason {
	r := s.rules[taskType]
	if !r.Paused {
		return nil
	}
	return &task.Reason{
		Code: "type_paused", Message: fmt.Sprintf("Its type %s is paused; resume it.", taskType), Details: details(map[string]any{"type": taskType, "since_utc": r.UpdatedAtUTC}),
	}
}

// broken is the circuit breaker of the type that has stopped claims.
func (s *scene) broken(taskType string) *task.Reason {
	r := s.rules[taskType]
	if r.BreakerUntilUTC == nil || !r.BreakerUntilUTC.After(s.now) {
		return nil
	}
	return &task.Reason{
		Code: "breaker_open", UntilUTC: r.BreakerUntilUTC,
		Message: fmt.Sprintf("Too many attempts of its type %s have failed; after %s one task at a time is tried.", taskType, at(*r.BreakerUntilUTC)),
		Details: details(map[string]any{"type": taskType, "breaker": r.Breaker}),
	}
}

// pace says how many tasks a rate lets be claimed.
func pace(r task.RateLimit) string {
	return fmt.Sprintf("%s may be claimed in %s s", count(int64(r.Tasks), "task", "tasks"), strconv.FormatFloat(r.PerSeconds, 'f', -1, 64))
}

// rated is the rate of the type, when it has no token left.
func (s *scene) rated(taskType string) *task.Reason {
	r := s.rules[taskType]
	if r.RateLimit == nil || r.RateOpenUTC == nil || !r.RateOpenUTC.After(s.now) {
		return nil
	}
	return &task.Reason{
		Code: "rate_limited", UntilUTC: r.RateOpenUTC,
		Message: fmt.Sprintf("Of its type %s no more than %s, and that is used up until %s.", taskType, pace(*r.RateLimit), at(*r.RateOpenUTC)),
		Details: details(map[string]any{"type": taskType, "rate_limit": r.RateLimit}),
	}
}

// notDue is the time before which the task is not claimed: that of its producer, or after an attempt.
func (s *scene) notDue(t task.Task) *task.Reason {
	if !t.RunAfterUTC.After(s.now) {
		return nil
	}
	r := &task.Reason{Code: "not_due", Message: fmt.Sprintf("It is not to run before %s.", at(t.RunAfterUTC)), UntilUTC: &t.RunAfterUTC}
	if t.AttemptOutcome == nil {
		return r
	}
	figures := map[string]any{"attempts": t.Attempts, "max_attempts": t.MaxAttempts, "attempt_outcome": *t.AttemptOutcome}
	r.Code = "waits_for_retry"
	r.Message = fmt.Sprintf("Attempt %d of %d has failed, and the next comes at %s", t.Attempts, t.MaxAttempts, at(t.RunAfterUTC))
	switch *t.AttemptOutcome {
	case task.AttemptReleased:
		r.Message = fmt.Sprintf("Its worker has handed it back until %s", at(t.RunAfterUTC))
	case task.AttemptLost:
		r.Message = fmt.Sprintf("The worker of attempt %d of %d was lost, and the next comes at %s", t.Attempts, t.MaxAttempts, at(t.RunAfterUTC))
	}
	if t.ErrorMessage != nil && *t.ErrorMessage != "" {
		r.Message += ": " + *t.ErrorMessage
		figures["error_message"] = *t.ErrorMessage
	}
	r.Details = details(figures)
	return r
}

// full names the tasks that use up the limit of a type.
func (q *Queue) full(ctx context.Context, rules task.Type) (*task.Reason, error) {
	most, limited := rules.Most()
	if !limited {
		return nil, nil
	}
	status, err := q.store.GetType(ctx, rules.Type)
	if err != nil || status.ProcessingTasks < most {
		if errors.Is(err, task.ErrNotFound) {
			err = nil
		}
		return nil, err
	}
	holders, err := q.store.ListHeld(ctx, rules.Type, holdersShown)
	if err != nil {
		return nil, err
	}
	return &task.Reason{
		Code:    "limit_reached",
		Message: fmt.Sprintf("Of its type %s at most %d may run at a time, and %s: %s.", rules.Type, most, count(status.ProcessingTasks, "does", "do"), named(holders, status.ProcessingTasks)),
		Details: details(map[string]any{"max_concurrency": most, "processing_tasks": status.ProcessingTasks, "tasks": holders}),
	}, nil
}

// named lists the ids of those that hold, of all that there are.
func named(holders []task.Holding, all int64) string {
	names := make([]string, len(holders))
	for i, h := range holders {
		names[i] = fmt.Sprint(h.TaskID)
	}
	if more := all - int64(len(holders)); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// takers returns what the live workers offer that may take tasks of a lane.
func (s *scene) takers(l task.Lane) []task.Claim {
	return slices.DeleteFunc(slices.Clone(s.live), func(c task.Claim) bool { return !c.MayTake(l) })
}

// nobody says why no live worker may take tasks of a lane; nil when one may.
func (s *scene) nobody(l task.Lane) *task.Reason {
	if len(s.takers(l)) > 0 {
		return nil
	}
	if len(s.live) == 0 {
		r := &task.Reason{Code: "no_worker", Message: fmt.Sprintf("No worker was heard in the last %.0f minutes; start one.", aliveFor.Minutes())}
		if s.draining > 0 {
			r.Message = fmt.Sprintf("All workers take nothing new (%s); start another.", count(int64(s.draining), "drains", "drain"))
			r.Details = details(map[string]any{"draining_workers": s.draining})
		}
		return r
	}
	asking := slices.DeleteFunc(slices.Clone(s.live), func(c task.Claim) bool { return !c.AsksFor(l.Type) })
	if len(asking) == 0 {
		r := &task.Reason{Code: "no_worker_for_type", Details: details(map[string]any{"type": l.Type, "live_workers": len(s.live)})}
		if r.Message = fmt.Sprintf("The only live worker does not take tasks of type %s.", l.Type); len(s.live) > 1 {
			r.Message = fmt.Sprintf("None of the %d live workers takes tasks of type %s.", len(s.live), l.Type)
		}
		return r
	}
	return lacking(l, asking)
}

// lacking names the requirements of a lane and how many of the workers that take its type do not meet each.
func lacking(l task.Lane, workers []task.Claim) *task.Reason {
	var missing []map[string]any
	var words []string
	for _, name := range slices.Sorted(maps.Keys(l.Requires)) {
		alone := task.Requirements{name: l.Requires[name]}
		lack := 0
		for _, c := range workers {
			if !alone.Satisfied(c.Capabilities) {
				lack++
			}
		}
		if lack > 0 {
			missing = append(missing, map[string]any{"capability": name, "requires": l.Requires[name], "lacked_by": lack})
			words = append(words, fmt.Sprintf("%s (%d of %s it)", alone.Canonical(), lack, count(int64(len(workers)), "lacks", "lack")))
		}
	}
	if len(words) == 0 {
		words = []string{l.Requires.Canonical() + ", each of which some offer"}
	}
	return &task.Reason{
		Code:    "no_worker_offers",
		Message: fmt.Sprintf("No live worker that takes type %s offers all that it requires: %s.", l.Type, strings.Join(words, ", ")),
		Details: details(map[string]any{"missing": missing, "live_workers_for_type": len(workers)}),
	}
}

// Stranded returns the lanes with queued tasks that no live worker may take, and why, by priority.
func (q *Queue) Stranded(ctx context.Context) ([]task.Stranded, error) {
	s, err := q.scene(ctx)
	if err != nil {
		return nil, fmt.Errorf("list stranded tasks: %w", err)
	}
	backlog, err := q.store.ListBacklog(ctx)
	if err != nil {
		return nil, fmt.Errorf("list stranded tasks: %w", err)
	}
	out := []task.Stranded{}
	for _, b := range backlog {
		if why := s.nobody(b.Lane); why != nil {
			out = append(out, task.Stranded{
				Type: b.Type, Compatibility: task.JSON(b.Requires.Canonical()), Priority: b.Priority, ReadyTasks: b.Ready, ScheduledTasks: b.Scheduled, Reason: *why,
			})
		}
	}
	return out, nil
}
