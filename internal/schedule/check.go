package schedule

import (
	"cmp"
	"errors"
	"math"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Check returns the schedule that a spec describes; it has no ticks yet. make returns the task of a spec, or what is wrong with it. All that is wrong
// comes back as one *task.InvalidError.
func Check(name string, spec task.ScheduleSpec, make func(task.Spec) (task.Task, error)) (task.Schedule, error) {
	s := task.Schedule{
		Name: name, Cron: spec.Cron, Timezone: cmp.Or(spec.Timezone, task.DefaultTimezone), Task: spec.Task.JSON(), Misfire: cmp.Or(spec.Misfire, task.DefaultMisfire),
		MaxMisfires: task.DefaultMaxMisfires, Overlap: cmp.Or(spec.Overlap, task.DefaultOverlap),
	}
	var bad task.InvalidError
	if msg := task.CheckName(name, 200); msg != "" {
		bad.Add("name", "%s", msg)
	}
	rule(s, Parse, &bad)
	checkPolicies(&s, spec, &bad)
	checkTask(spec.Task, make, &bad)
	return s, bad.OrNil()
}

// RuleOf returns the rule of a schedule that is stored, also of one that Check would not take any more. It fails where this machine does not know the time zone.
func RuleOf(s task.Schedule) (Rule, error) {
	var bad task.InvalidError
	r := rule(s, parseStored, &bad)
	return r, bad.OrNil()
}

func rule(s task.Schedule, parse func(string, *time.Location) (Rule, error), bad *task.InvalidError) Rule {
	zone, err := Zone(s.Timezone)
	if err != nil {
		bad.Add("timezone", "%s", err)
		zone = time.UTC
	}
	if msg := task.CheckText(s.Cron, 500); msg != "" {
		bad.Add("cron", "%s", msg)
		return Rule{}
	}
	r, err := parse(s.Cron, zone)
	if err != nil {
		bad.Add("cron", "%s", err)
	}
	return r
}

func checkPolicies(s *task.Schedule, spec task.ScheduleSpec, bad *task.InvalidError) {
	if !s.Misfire.Valid() {
		bad.Add("misfire", "must be skip, once or all")
	}
	if spec.MaxMisfires != nil {
		s.MaxMisfires = *spec.MaxMisfires
	}
	if s.MaxMisfires < 1 || s.MaxMisfires > task.MaxMaxMisfires {
		bad.Add("max_misfires", "must lie between 1 and %d; misfire skip makes up for none", task.MaxMaxMisfires)
	}
	if !s.Overlap.Valid() {
		bad.Add("overlap", "must be allow, skip or cancel")
	}
	if spec.JitterSeconds != nil {
		s.JitterSeconds = *spec.JitterSeconds
	}
	if math.IsNaN(s.JitterSeconds) || s.JitterSeconds < 0 || s.JitterSeconds > task.MaxJitter.Seconds() {
		bad.Add("jitter_seconds", "must lie between 0 and %.0f", task.MaxJitter.Seconds())
	}
	if spec.Paused != nil {
		s.Paused = *spec.Paused
	}
}

// checkTask refuses what would make the task of one tick another's, or one that no tick can have.
func checkTask(t task.Spec, make func(task.Spec) (task.Task, error), bad *task.InvalidError) {
	if t.RunAfterUTC != nil {
		bad.Add("task.run_after_utc", "must be left out: the ticks are the times")
	}
	if t.DeadlineUTC != nil {
		bad.Add("task.deadline_utc", "must be left out: it would be the same for every tick")
	}
	if t.IdempotencyKey != nil {
		bad.Add("task.idempotency_key", "must be left out: with one key there would be one task; a tick never makes two")
	}
	if t.UniqueKey != nil {
		bad.Add("task.unique_key", "must be left out: overlap says what a tick does while a task of an earlier one has not ended")
	}
	if t.Traceparent != nil {
		bad.Add("task.traceparent", "must be left out: each tick begins a trace of its own")
	}
	t.RunAfterUTC, t.DeadlineUTC, t.IdempotencyKey, t.UniqueKey, t.Traceparent = nil, nil, nil, nil, nil
	_, err := make(t)
	if wrong, ok := errors.AsType[*task.InvalidError](err); ok {
		bad.Fields = append(bad.Fields, wrong.Within("task").Fields...)
	}
}
