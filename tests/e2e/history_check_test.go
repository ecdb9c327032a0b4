package e2e

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// quiet is a history with nothing wrong in it: task 1 was lost once by its worker and run again, and the answer to the end of task 2
// never came.
func quiet() (history, []view, stats) {
	first, again := lease{1, 1, "1.a", 3, 4}, lease{1, 2, "2.b", 7, 8}
	h := history{
		tried:       map[string]bool{"a": true, "b": true, "c": true},
		acks:        []ack{{"a", 1}, {"b", 2}, {"a", 1}, {"c", 3}},
		claims:      []lease{first, {2, 1, "1.c", 5, 6}, again, {3, 1, "1.d", 9, 10}},
		completions: []completion{{again, 11}, {lease{3, 1, "1.d", 9, 10}, 12}},
	}
	done := func(id, fence int64, key string) view {
		return view{TaskID: id, Fence: fence, IdempotencyKey: key, Status: "completed", Outcome: "succeeded"}
	}
	return h, []view{done(3, 1, "c"), done(2, 1, "b"), done(1, 2, "a")}, stats{Total: 3, Completed: 3}
}

func TestTheCheckerFindsWhatMustNotBe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plant func(h *history, stored *[]view, s *stats)
		want  []string
	}{
		"nothing": {func(*history, *[]view, *stats) {}, nil},
		"lost ack": {func(_ *history, stored *[]view, s *stats) {
			*stored = slices.Delete(*stored, 0, 1)
			*s = stats{Total: 2, Completed: 2}
		}, []string{"lost: task 3 with key c was acknowledged and is not there"}},
		"another task under the key": {func(_ *history, stored *[]view, _ *stats) {
			(*stored)[0].TaskID = 4
		}, []string{"lost: task 3 with key c was acknowledged and is not there"}},
		"twin": {func(_ *history, stored *[]view, s *stats) {
			*stored = append(*stored, view{TaskID: 4, IdempotencyKey: "a", Status: "completed", Outcome: "succeeded"})
			*s = stats{Total: 4, Completed: 4}
		}, []string{"twin: key a has the tasks 1 and 4"}},
		"stranger": {func(h *history, _ *[]view, _ *stats) {
			h.acks = h.acks[:3]
			delete(h.tried, "c")
		}, []string{`stranger: nobody has sent task 3 with key "c"`}},
		"two answers to one key": {func(h *history, stored *[]view, _ *stats) {
			h.acks[2].id = 2
		}, []string{"lost: task 2 with key a was acknowledged and is not there", "two answers: key a was acknowledged as task 1 and as 2"}},
		"double lease": {func(h *history, _ *[]view, _ *stats) {
			h.claims = append(h.claims, lease{2, 1, "1.x", 5, 7})
		}, []string{"double lease: task 2 was given twice under fence 1"}},
		"token of another claim": {func(h *history, _ *[]view, _ *stats) {
			h.claims = append(h.claims, lease{2, 2, "1.c", 7, 8})
		}, []string{"known token: task 2 was given under the token of another claim"}},
		"fence that falls": {func(h *history, _ *[]view, _ *stats) {
			h.claims[2].fence, h.claims[0].fence, h.completions[0].fence = 1, 2, 1
		}, []string{
			"fence: task 1 was given under fence 2 and later under 1", "stale: task 1 was completed under fence 1 after fence 2 had been given",
			"undone: task 1 was completed under fence 1 and has 2",
		}},
		"task completed under two leases": {func(h *history, _ *[]view, _ *stats) {
			h.completions = append(h.completions, completion{h.claims[0], 5})
			slices.Reverse(h.completions)
		}, []string{"two ends: task 1 was completed under the fences 1 and 2"}},
		"lease that was over": {func(h *history, stored *[]view, _ *stats) {
			h.completions[0] = completion{h.claims[0], 13}
			(*stored)[2].Fence = 1
		}, []string{"stale: task 1 was completed under fence 1 after fence 2 had been given"}},
		"end that was undone": {func(_ *history, stored *[]view, _ *stats) {
			(*stored)[0].Fence = 2
		}, []string{"undone: task 3 was completed under fence 1 and has 2"}},
		"task that is stuck": {func(_ *history, stored *[]view, s *stats) {
			(*stored)[1] = view{TaskID: 2, IdempotencyKey: "b", Status: "processing", Attempts: 1}
			*s = stats{Total: 3, Completed: 2, Processing: 1}
		}, []string{"not done: task 2 is processing after 1 attempts: "}},
		"counts that are off": {func(_ *history, _ *[]view, s *stats) {
			s.Queued++
		}, []string{"counts: the server counts {Total:3 Queued:1 Processing:0 Completed:3 Failed:0}, there are {Total:3 Queued:0 Processing:0 Completed:3 Failed:0}"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, stored, s := quiet()
			c.plant(&h, &stored, &s)
			if diff := cmp.Diff(c.want, h.violations(stored, s)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
