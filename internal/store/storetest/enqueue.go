package storetest

import (
	"math"
	"strings"

	"github.com/prismq/thequeue/internal/task"
)

var enqueueBehaviours = []behaviour{
	{"StoresTheDefaults", storesDefaults},
	{"StoresEveryField", storesEveryField},
	{"KeepsATaskDueLaterUnready", keepsScheduledUnready},
	{"GivesGrowingIDs", givesGrowingIDs},
	{"NeverGivesTheIDOfADeletedTaskAgain", neverReusesIDs},
	{"StoresNothingThatTheSchemaForbids", storesNothingForbidden},
	{"ReturnsNotFoundForAnUnknownTask", returnsNotFound},
	{"StoresTheLongestTexts", storesLongestTexts},
}

func storesDefaults(r *rig) {
	got := r.insert(task.Spec{Type: "encode"})
	if got.ID < 1 {
		r.Errorf("id is %d", got.ID)
	}
	r.stored(task.Task{
		ID: got.ID, LaneID: got.LaneID, Type: "encode", Priority: 100, Payload: "{}", Compatibility: "{}", Status: task.Queued,
		MaxAttempts: 5, RunAfterUTC: start, Ready: true, CreatedAtUTC: start, UpdatedAtUTC: start,
	}, got)
	r.equal("attempts", 0, len(r.attempts(got.ID)))
	r.equal("logs", 1, len(r.logs(got.ID)))
}

// full names every field that a producer can give.
func full() task.Spec {
	return task.Spec{
		Type: "transcode/vidéo", Priority: ptr(1), Payload: `{"a": [1, 2.50], "b":"ü"}`, Compatibility: `{"gpu": true, "vram": {"min": 8}}`,
		MaxAttempts: ptr(100), RunAfterUTC: &task.Time{Time: at(60)}, IdempotencyKey: ptr("key 1"), DeadlineUTC: &task.Time{Time: at(120.000001)},
		TimeoutSeconds: ptr(0.1), RetryPolicy: ptr(task.JSON(`{"initial_seconds": 2}`)),
	}
}

func storesEveryField(r *rig) {
	got := r.insert(full())
	want := r.make(full(), start)
	want.ID, want.LaneID = got.ID, got.LaneID
	r.stored(want, got)
}

func keepsScheduledUnready(r *rig) {
	cases := map[string]struct {
		after float64
		ready bool
	}{"Past": {-3600, true}, "Now": {0, true}, "OneMicrosecondLater": {0.000001, false}, "Later": {3600, false}}
	for name, c := range cases {
		t := r.insert(task.Spec{RunAfterUTC: &task.Time{Time: at(c.after)}})
		r.equal(name, c.ready, t.Ready)
		r.equal(name, at(c.after), t.RunAfterUTC)
	}
}

func givesGrowingIDs(r *rig) {
	last := int64(0)
	for range 20 {
		t := r.insert(task.Spec{})
		if t.ID <= last {
			r.Fatalf("id %d after %d", t.ID, last)
		}
		last = t.ID
	}
}

func neverReusesIDs(r *rig) {
	t := r.insert(task.Spec{})
	r.cancel(t.ID, at(1))
	r.ok(r.st.DeleteTask(r.Context(), t.ID))
	if next := r.insert(task.Spec{}); next.ID <= t.ID {
		r.Errorf("id %d after %d was deleted", next.ID, t.ID)
	}
}

// forbidden lists changes to a task that the schema of both engines refuses.
var forbidden = map[string]func(t *task.Task){
	"PriorityTooLow":          func(t *task.Task) { t.Priority = 0 },
	"PriorityTooHigh":         func(t *task.Task) { t.Priority = 1001 },
	"EmptyType":               func(t *task.Task) { t.Type = "" },
	"LongType":                func(t *task.Task) { t.Type = strings.Repeat("x", 201) },
	"NoAttempts":              func(t *task.Task) { t.MaxAttempts = 0 },
	"TooManyAttempts":         func(t *task.Task) { t.MaxAttempts = 101 },
	"TimeoutIsZero":           func(t *task.Task) { t.TimeoutSeconds = ptr(0.0) },
	"TimeoutIsNegative":       func(t *task.Task) { t.TimeoutSeconds = ptr(-math.MaxFloat64) },
	"EmptyIdempotencyKey":     func(t *task.Task) { t.IdempotencyKey = ptr("") },
	"CompatibilityIsNoObject": func(t *task.Task) { t.Compatibility = "[]" },
}

func storesNothingForbidden(r *rig) {
	for name, spoil := range forbidden {
		bad := r.make(task.Spec{Type: "spoilt"}, start)
		spoil(&bad)
		if _, _, err := r.st.InsertTask(r.Context(), bad); err == nil {
			r.Errorf("%s: stored", name)
		}
	}
	r.equal("tasks", 0, len(r.list(task.Filter{Limit: 10})))
	r.equal("stats", task.Stats{}, r.stats(start))
	t := r.running(task.Spec{Type: "spoilt"})
	r.complete(t, at(1))
}

func returnsNotFound(r *rig) {
	t := r.insert(task.Spec{})
	for _, id := range []int64{t.ID + 1, 0, -1, math.MaxInt64, math.MinInt64} {
		ctx := r.Context()
		_, err := r.st.GetTask(ctx, id)
		r.wants(task.ErrNotFound, err)
		_, err = r.st.ListAttempts(ctx, id)
		r.wants(task.ErrNotFound, err)
		_, err = r.st.ListLogs(ctx, task.LogFilter{TaskID: id, Limit: 10})
		r.wants(task.ErrNotFound, err)
		_, _, err = r.st.CancelTask(ctx, id, start)
		r.wants(task.ErrNotFound, err)
		_, err = r.st.RequeueTask(ctx, id, start)
		r.wants(task.ErrNotFound, err)
		r.wants(task.ErrNotFound, r.st.DeleteTask(ctx, id))
	}
}

func storesLongestTexts(r *rig) {
	s := task.Spec{Type: strings.Repeat("語", 200), IdempotencyKey: ptr(strings.Repeat("鍵", 500))}
	got := r.insert(s)
	r.equal("type", s.Type, got.Type)
	again, created, err := r.st.InsertTask(r.Context(), r.make(s, at(1)))
	r.ok(err)
	r.equal("created", false, created)
	r.stored(got, again)
}
