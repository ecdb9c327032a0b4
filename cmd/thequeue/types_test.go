package main

import (
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/task"
)

func TestTypesAreListedPausedAndResumed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, r *rig, where []string) {
		q := func(args ...string) []string { return append(args, where...) }
		if out := r.ok(q("types", "list", "-o", "json")...); out != "[]\n" {
			t.Errorf("got %q", out)
		}
		r.ok(q("enqueue", "mail/x y")...)
		if out := r.ok(q("types", "pause", "mail/x y", "later")...); out != "mail/x y: Type paused, 1 queued, 0 processing\nlater: Type paused, 0 queued, 0 processing\n" {
			t.Errorf("got %q", out)
		}
		list := parse[[]task.TypeStatus](t, r.ok(q("types", "list", "-o", "json")...))
		if len(list) != 2 || list[0].Type.Type != "later" || !list[1].Paused || list[1].ReadyTasks != 1 || list[1].UpdatedAtUTC == nil {
			t.Errorf("got %+v", list)
		}
		if out := r.ok(q("types", "list")...); !strings.HasPrefix(out, "TYPE      PAUSED  LIMIT  RATE  PER KEY  BREAKER  READY  SCHEDULED") || !strings.Contains(out, "\nmail/x y  yes     -      -     -        -        1  ") {
			t.Errorf("got %s", out)
		}
		if got := parse[task.TypeStatus](t, r.ok(q("types", "resume", "mail/x y", "-o", "json")...)); got.Paused || got.QueuedTasks != 1 {
			t.Errorf("got %+v", got)
		}
		if got := parse[task.TypeStatus](t, r.ok(q("types", "set", "mail/x y", "--paused", "-o", "json")...)); !got.Paused {
			t.Errorf("got %+v", got)
		}
		if got := parse[task.TypeStatus](t, r.ok(q("types", "set", "mail/x y", "-o", "json")...)); !got.Paused {
			t.Errorf("the pause was not kept: %+v", got)
		}
		if got := parse[task.TypeStatus](t, r.ok(q("types", "set", "mail/x y", "--no-paused", "-o", "json")...)); got.Paused {
			t.Errorf("got %+v", got)
		}
		if got := parse[task.TypeStatus](t, r.ok(q("types", "set", "later", "--max-concurrency", "7", "-o", "json")...)); *got.MaxConcurrency != 7 || !got.Paused {
			t.Errorf("got %+v", got)
		}
		r.ok(q("types", "set", "later", "--paused")...)
		r.ok(q("types", "set", "mail/x y", "--max-concurrency", "7")...)
		if got := parse[task.TypeStatus](t, r.ok(q("types", "set", "mail/x y", "--max-concurrency", "0", "-o", "json")...)); got.MaxConcurrency != nil {
			t.Errorf("got %+v", got)
		}
		got := parse[task.TypeStatus](t, r.ok(q("types", "set", "later", "--max-attempts", "3", "--retry-policy", `{"jitter":0}`, "--timeout", "2.5", "--max-payload-bytes", "9", "-o", "json")...))
		if *got.MaxConcurrency != 7 || *got.MaxAttempts != 3 || *got.RetryPolicy != `{"jitter":0}` || *got.TimeoutSeconds != 2.5 || *got.MaxPayloadBytes != 9 {
			t.Errorf("got %+v", got)
		}
		r.fails(2, []string{"payload: must not be longer than 9 bytes"}, q("enqueue", "later", "--payload", `{"a":12345}`)...)
		got = parse[task.TypeStatus](t, r.ok(q("types", "set", "later", "--max-attempts", "0", "--retry-policy", "null", "--timeout", "0", "--max-payload-bytes", "0", "-o", "json")...))
		if *got.MaxConcurrency != 7 || got.MaxAttempts != nil || got.RetryPolicy != nil || got.TimeoutSeconds != nil || got.MaxPayloadBytes != nil {
			t.Errorf("got %+v", got)
		}
		got = parse[task.TypeStatus](t, r.ok(q("types", "set", "later", "--lease", "90.5", "--retention", `{"completed_seconds":3600}`, "-o", "json")...))
		if *got.LeaseSeconds != 90.5 || *got.Retention.CompletedSeconds != 3600 || got.Retention.FailedSeconds != nil {
			t.Errorf("got %+v", got)
		}
		got = parse[task.TypeStatus](t, r.ok(q("types", "set", "later", "--lease", "0", "--retention", "null", "-o", "json")...))
		if got.LeaseSeconds != nil || got.Retention != nil {
			t.Errorf("got %+v", got)
		}
		r.fails(2, []string{"lease_seconds: must lie between 1 and 43200"}, q("types", "set", "later", "--lease", "0.5")...)
		r.fails(2, []string{"retention.failed_seconds: must lie between 1 and"}, q("types", "set", "later", "--retention", `{"failed_seconds":0}`)...)
		got = parse[task.TypeStatus](t, r.ok(q("types", "set", "later", "--per-key", `{"max_concurrency":2,"rate_limit":{"tasks":10,"per_seconds":60},"weights":{"big":3}}`, "-o", "json")...))
		if *got.PerKey.MaxConcurrency != 2 || *got.PerKey.RateLimit != (task.RateLimit{Tasks: 10, PerSeconds: 60, Burst: 10}) || got.PerKey.Weights["big"] != 3 {
			t.Errorf("got %+v", got.PerKey)
		}
		if out := r.ok(q("types", "get", "later")...); !strings.Contains(out, "  2, 10/60s, weights  ") {
			t.Errorf("got %s", out)
		}
		r.fails(2, []string{`per_key.weights["x"]: must lie between 1 and 1000`}, q("types", "set", "later", "--per-key", `{"weights":{"x":0}}`)...)
		if got = parse[task.TypeStatus](t, r.ok(q("types", "set", "later", "--per-key", "null", "-o", "json")...)); got.PerKey != nil {
			t.Errorf("got %+v", got.PerKey)
		}
		if out := r.ok(q("enqueue", "mail", "--concurrency-key", "tenant-1", "-o", "json")...); !strings.Contains(out, "task_id") {
			t.Errorf("got %s", out)
		}
		schema := r.write("schema.json", `{"required": ["to"]}`)
		r.ok(q("types", "set", "later", "--payload-schema", "@"+schema)...)
		r.fails(2, []string{"payload: missing property 'to'"}, q("enqueue", "later")...)
		r.fails(2, []string{"payload_schema: is not a JSON Schema"}, q("types", "set", "later", "--payload-schema", `{"type":"text"}`)...)
		r.fails(2, []string{"--payload-schema: must be valid JSON"}, q("types", "set", "later", "--payload-schema", `{`)...)
		r.fails(2, []string{r.path("none")}, q("types", "set", "later", "--payload-schema", "@"+r.path("none"))...)
		if got := parse[task.TypeStatus](t, r.ok(q("types", "set", "later", "--payload-schema", "{}", "-o", "json")...)); got.PayloadSchema != nil {
			t.Errorf("got %+v", got)
		}
		r.fails(2, []string{"max_concurrency: must lie between 1 and 1000000"}, q("types", "set", "later", "--max-concurrency", "1000001")...)
		r.ok(q("types", "set", "later", "--rate-limit", `{"tasks":10,"per_seconds":60}`, "--breaker", `{"open_seconds":5}`)...)
		got = parse[task.TypeStatus](t, r.ok(q("types", "set", "later", "--max-attempts", "3", "-o", "json")...))
		if *got.RateLimit != (task.RateLimit{Tasks: 10, PerSeconds: 60, Burst: 10}) || *got.Breaker != (task.Breaker{FailureShare: 0.5, MinAttempts: 20, WindowSeconds: 60, OpenSeconds: 5}) {
			t.Errorf("got %+v, %+v", got.RateLimit, got.Breaker)
		}
		form := `; write an object like {"tasks":10,"per_seconds":60}, or null to lift the rule`
		for value, want := range map[string]string{
			`{"task":1}`: "task is not a known field", `{"tasks":"many"}`: "tasks must be an integer", `{"tasks":1,"tasks":2}`: "must not have a name twice in one object", `10`: "must be a JSON object", `{`: "must be valid JSON", `{"tasks":1.5}`: "tasks must be an integer",
		} {
			got := r.fails(2, []string{"thequeue: --rate-limit: " + want, form}, q("types", "set", "later", "--rate-limit", value)...)
			if strings.Count(got.err, "--rate-limit") != 1 || strings.Contains(got.err, "Go ") {
				t.Errorf("%s: got %s", value, got.err)
			}
		}
		r.fails(2, []string{`--per-key: rate_limit.tasks must be an integer; write an object like {"max_concurrency":2`}, q("types", "set", "later", "--per-key", `{"rate_limit":{"tasks":"x"}}`)...)
		r.fails(2, []string{`--breaker: min_attempts must be an integer; write an object like {"failure_share"`}, q("types", "set", "later", "--breaker", `{"min_attempts":true}`)...)
		r.fails(2, []string{"rate_limit.tasks: must lie between 1 and 1000000"}, q("types", "set", "later", "--rate-limit", `{}`)...)
		r.fails(2, []string{"rate_limit.burst: must lie between 1 and 1000000"}, q("types", "set", "later", "--rate-limit", `{"tasks":1,"burst":0}`)...)
		r.fails(2, []string{"breaker.min_attempts: must lie between 1 and 10000"}, q("types", "set", "later", "--breaker", `{"min_attempts":0}`)...)
		r.fails(2, []string{"breaker.failure_share: must be greater than 0"}, q("types", "set", "later", "--breaker", `{"failure_share":0}`)...)
		got = parse[task.TypeStatus](t, r.ok(q("types", "set", "bare", "--rate-limit", `{"tasks":1}`, "--breaker", `{}`, "-o", "json")...))
		if *got.Breaker != (task.Breaker{FailureShare: 0.5, MinAttempts: 20, WindowSeconds: 60, OpenSeconds: 30}) {
			t.Errorf("got %+v", got.Breaker)
		}
		if got = parse[task.TypeStatus](t, r.ok(q("types", "set", "bare", "--rate-limit", "null", "--breaker", " null ", "-o", "json")...)); got.Breaker != nil || got.RateLimit != nil {
			t.Errorf("got %+v, %+v", got.RateLimit, got.Breaker)
		}
		r.fails(2, []string{"rate_limit.tasks: must lie between 1 and 1000000"}, q("types", "set", "later", "--rate-limit", `{"per_seconds":1}`)...)
		r.fails(2, []string{"breaker.failure_share: "}, q("types", "set", "later", "--breaker", `{"failure_share":2}`)...)
		if out := r.ok(q("types", "get", "later")...); !strings.Contains(out, "\nlater  yes     7      10/60s  -        closed   0  ") {
			t.Errorf("got %s", out)
		}
		r.fails(3, []string{"type none not found"}, q("types", "get", "none")...)
		r.fails(2, []string{"type: must not be empty"}, q("types", "pause", " ")...)
		r.fails(2, []string{"type: must not be empty"}, q("types", "pause", "")...)
		r.fails(2, []string{"type: must not be empty"}, q("types", "set", "", "--max-concurrency", "1")...)
	})
}
