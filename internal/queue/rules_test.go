package queue_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

func (r rig) put(name string, rules task.TypeRules) {
	r.Helper()
	_, err := r.PutType(r.Context(), name, rules)
	r.ok(err)
}

func TestATaskTakesWhatItDoesNotSayFromItsType(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		r.put("test", task.TypeRules{MaxAttempts: ptr(20), TimeoutSeconds: ptr(7.5)})
		type said struct {
			attempts int
			timeout  *float64
		}
		of := func(t task.Task) said { return said{t.MaxAttempts, t.TimeoutSeconds} }
		compat, _, err := r.Enqueue(r.Context(), task.Spec{Type: "test"}, 10)
		r.ok(err)
		stored, _, err := r.EnqueueBatch(r.Context(), []task.Spec{{Type: " test "}, {Type: "other"}, {Type: "test", MaxAttempts: ptr(2), TimeoutSeconds: ptr(1.0)}})
		r.ok(err)
		got := []said{of(r.enqueue(task.Spec{})), of(compat), of(stored[0]), of(stored[1]), of(stored[2])}
		want := []said{{20, ptr(7.5)}, {10, ptr(7.5)}, {20, ptr(7.5)}, {5, nil}, {2, ptr(1.0)}}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(said{})); d != "" {
			r.Errorf("(-want +got):\n%s", d)
		}
	})
}

func TestATypeBoundsItsPayloads(t *testing.T) {
	each(t, queue.Options{MaxPayloadBytes: 40}, func(r rig) {
		r.put("test", task.TypeRules{MaxPayloadBytes: ptr(10)})
		r.put("wide", task.TypeRules{MaxPayloadBytes: ptr(1000)})
		r.enqueue(task.Spec{Payload: `{"a":1234}`})
		long := task.JSON(`{"a":"` + strings.Repeat("x", 20) + `"}`)
		r.enqueue(task.Spec{Type: "other", Payload: long})
		_, _, err := r.Enqueue(r.Context(), task.Spec{Type: "test", Payload: `{"a":12345}`}, 5)
		r.invalid(err, "payload", "must not be longer than 10 bytes, but has 11")
		_, _, err = r.EnqueueBatch(r.Context(), []task.Spec{{Type: "other"}, {Type: "test", Payload: long}})
		r.invalid(err, "tasks[1].payload", "must not be longer than 10 bytes")
		_, _, err = r.Enqueue(r.Context(), task.Spec{Type: "wide", Payload: long + long}, 5)
		r.invalid(err, "payload", "must not be longer than 40 bytes")
	})
}

// invalid demands that the error is about one field and says this of it.
func (r rig) invalid(err error, field, message string) {
	r.Helper()
	bad, ok := errors.AsType[*task.InvalidError](err)
	if !ok || len(bad.Fields) != 1 || bad.Fields[0].Field != field || !strings.Contains(bad.Fields[0].Message, message) {
		r.Errorf("got %v, want %s: %s", err, field, message)
	}
}

func TestARetryPolicyIsFirstTheTasksThenTheTypesThenTheConfigurations(t *testing.T) {
	configured := task.Backoff{InitialSeconds: 1, Multiplier: 1, MaxSeconds: 100}
	each(t, queue.Options{Backoff: map[string]task.Backoff{"test": configured}}, func(r rig) {
		wait := func(own *task.JSON) time.Duration {
			r.enqueue(task.Spec{RetryPolicy: own})
			l := r.claimOne()
			failed, err := r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{})
			r.ok(err)
			return failed.RunAfterUTC.Sub(r.clock.Now())
		}
		got := []time.Duration{wait(nil)}
		r.put("test", task.TypeRules{RetryPolicy: ptr(task.JSON(`{"initial_seconds":20}`))})
		got = append(got, wait(nil), wait(ptr(task.JSON(`{"initial_seconds":300}`))), wait(ptr(task.JSON(`{"initial_seconds":3}`))))
		r.put("test", task.TypeRules{})
		got = append(got, wait(nil))
		want := []time.Duration{time.Second, 20 * time.Second, 100 * time.Second, 3 * time.Second, time.Second}
		if d := cmp.Diff(want, got); d != "" {
			r.Errorf("(-want +got):\n%s", d)
		}
	})
}

// The time in which a bucket fills is one that can be told.
func TestABurstThatWouldTakeAgesIsRefused(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		_, err := r.PutType(r.Context(), "test", task.TypeRules{RateLimit: &task.RateLimit{Tasks: 1, PerSeconds: task.MaxRateSeconds, Burst: task.MaxRateTasks}})
		r.invalid(err, "rate_limit.burst", "more than ten years")
		r.put("test", task.TypeRules{RateLimit: &task.RateLimit{Tasks: 1, PerSeconds: task.MaxRateSeconds, Burst: 100}})
		r.enqueueMany(101, task.Spec{Type: "test"})
		r.wantClaimed(task.Claim{Max: 100}, 100)
		r.wantClaimed(task.Claim{}, 0)
	})
}

func TestAPayloadMustFitTheSchemaOfItsType(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		schema := task.JSON(`{"type":"object","required":["to"],"properties":{"to":{"type":"string"},"n":{"type":"integer","maximum":9007199254740993},
			"items":{"type":"array","items":{"$ref":"#/$defs/item"}}},"$defs":{"item":{"required":["a"],"additionalProperties":{"type":"boolean"},"anyOf":[{"type":"object"},{"type":"null"}]}}}`)
		r.put("test", task.TypeRules{PayloadSchema: &schema})
		r.enqueue(task.Spec{Payload: `{"to":"x","n":9007199254740993,"items":[{"a":true}],"more":null}`})
		r.enqueue(task.Spec{Type: "other"})
		for payload, want := range map[string][]string{
			``:                               {"payload: missing property 'to'"},
			`{"to":1}`:                       {"payload.to: got number, want string"},
			`{"to":"","n":9007199254740994}`: {"payload.n: maximum: got"},
			`{"to":"","n":1e1500000}`:        {"payload.n: is a number that no schema is checked against: its exponent must lie between -400 and 400"},
			`{"to":"","n":-1E-999999999999999999999}`: {"payload.n: is a number"},
			`{"to":"","items":[{"a":[{"b":2e401}]}]}`: {"payload.items[0].a[0].b: is a number"},
			`{"to":"","items":[5]}`:                   {"payload.items[0]: got number, want object; got number, want null"},
			`{"to":"","items":[{"a":true},{"b":1}]}`:  {"payload.items[1]: missing property 'a'", "payload.items[1].b: got number, want boolean"},
		} {
			_, _, err := r.Enqueue(r.Context(), task.Spec{Type: " test ", Payload: task.JSON(payload)}, 5)
			bad, ok := errors.AsType[*task.InvalidError](err)
			if !ok || len(bad.Fields) != len(want) {
				r.Errorf("%s: got %v, want %q", payload, err, want)
				continue
			}
			for _, w := range want {
				if !strings.Contains(err.Error(), w) {
					r.Errorf("%s: got %v, want %q in it", payload, err, w)
				}
			}
		}
		_, _, err := r.EnqueueBatch(r.Context(), []task.Spec{{Type: "other"}, {Type: "test"}})
		r.invalid(err, "tasks[1].payload", "missing property 'to'")
		r.put("test", task.TypeRules{})
		r.enqueue(task.Spec{})
	})
}

func TestASchemaThatIsNoneIsRefused(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		for schema, want := range map[string]string{
			`[]`:                                   "must be a JSON object",
			`{`:                                    "must be valid JSON",
			`{"type":"text"}`:                      "is not a JSON Schema: type",
			`{"properties":{"a":{"pattern":"("}}}`: "is not a JSON Schema",
			`{"minimum":1e1500000}`:                "the exponent of payload_schema.minimum must lie between",
			`{"$ref":"http://127.0.0.1:1/s.json"}`: "http://127.0.0.1:1/s.json is not loaded",
			`{"$ref":"file:///etc/passwd"}`:        "file:///etc/passwd is not loaded",
			`{"$schema":"https://example.org/other"}`:         "https://example.org/other is not loaded",
			`{"$ref":"#/$defs/none"}`:                         "is not a JSON Schema",
			`{"title":"` + strings.Repeat("x", 64<<10) + `"}`: "must not be longer than 65536 bytes",
		} {
			_, err := r.PutType(r.Context(), "test", task.TypeRules{PayloadSchema: ptr(task.JSON(schema))})
			r.invalid(err, "payload_schema", want)
		}
		for _, draft := range []string{"https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#"} {
			r.put("test", task.TypeRules{PayloadSchema: ptr(task.JSON(`{"$schema":"` + draft + `"}`))})
		}
	})
}

// A schema that was set before it was looked at whether it has an end keeps no task from its queue that it kept none from before.
func TestASchemaThatWasTakenOnceGoesOn(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		schema := task.JSON(`{"type":"object","anyOf":[{"required":["a"]},{"$ref":"#"}]}`)
		if _, err := r.PutType(r.Context(), "test", task.TypeRules{PayloadSchema: &schema}); err == nil {
			r.Fatal("a schema without end is taken")
		}
		_, err := r.st.PutType(r.Context(), "test", task.TypeRules{PayloadSchema: &schema}.WithDefaults(), r.Now())
		r.ok(err)
		r.upkeep(time.Second)
		r.enqueue(task.Spec{Payload: `{"a":1}`})
		_, _, err = r.Enqueue(r.Context(), task.Spec{Type: "test", Payload: `{"b":1}`}, 5)
		r.invalid(err, "payload", "")
	})
}

// A schema that comes back to itself for the same value has no end, whatever the way. One that does so for what lies inside is a tree.
func TestASchemaWithoutEndIsRefused(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		doubling := make([]string, 40)
		for i := range doubling {
			doubling[i] = fmt.Sprintf(`"a%d":{"allOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%[2]d"}]}`, i, i+1)
		}
		for schema, want := range map[string]string{
			`{"$ref":"#"}`:                                  "# leads back to itself",
			`{"allOf":[{"$ref":"#"}]}`:                      "# leads over #/allOf/0 back to itself for one and the same value",
			`{"anyOf":[{"required":["a"]},{"$ref":"#"}]}`:   "back to itself",
			`{"oneOf":[{"$ref":"#"}]}`:                      "back to itself",
			`{"not":{"$ref":"#"}}`:                          "back to itself",
			`{"if":true,"then":{"$ref":"#"}}`:               "back to itself",
			`{"if":{"required":["a"]},"else":{"$ref":"#"}}`: "back to itself",
			`{"if":{"$ref":"#"}}`:                           "back to itself",
			`{"$dynamicRef":"#"}`:                           "back to itself",
			`{"dependentSchemas":{"a":{"$ref":"#"}}}`:       "back to itself",
			`{"properties":{"a":{"$ref":"#/properties/b"},"b":{"$ref":"#/properties/a"}}}`:                           "back to itself",
			`{"items":{"$ref":"#/$defs/x"},"$defs":{"x":{"allOf":[{"$ref":"#/$defs/y"}]},"y":{"$ref":"#/$defs/x"}}}`: "back to itself",
			`{"$schema":"http://json-schema.org/draft-07/schema#","dependencies":{"a":{"$ref":"#"}}}`:                "back to itself",
			`{"$schema":"https://json-schema.org/draft/2019-09/schema","$recursiveRef":"#"}`:                         "back to itself",
			`{"$ref":"#/$defs/a0","$defs":{` + strings.Join(doubling, ",") + `,"a40":{}}}`:                           "would take too long",
		} {
			_, err := r.PutType(r.Context(), "test", task.TypeRules{PayloadSchema: ptr(task.JSON(schema))})
			if err == nil {
				r.Errorf("%s is taken", schema)
				continue
			}
			r.invalid(err, "payload_schema", want)
		}
		for _, schema := range []string{
			`{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"left":{"$ref":"#"},"right":{"$ref":"#"},"more":{"type":"array","items":{"$ref":"#"}}}}`,
			`{"allOf":[{"$ref":"#/$defs/node"}],"$defs":{"node":{"required":["name"],"properties":{"left":{"$ref":"#/$defs/node"},"right":{"allOf":[{"$ref":"#"}]},"more":{"items":{"$ref":"#/$defs/node"}}}}}}`,
			`{"$dynamicAnchor":"node","required":["name"],"properties":{"left":{"$dynamicRef":"#node"},"right":{"$dynamicRef":"#node"},"more":{"prefixItems":[{"$dynamicRef":"#node"}]}}}`,
			`{"required":["name"],"patternProperties":{"^(left|right)$":{"$ref":"#"}},"properties":{"more":{"additionalItems":{"$ref":"#"},"items":{"$ref":"#"}}}}`,
		} {
			r.put("test", task.TypeRules{PayloadSchema: ptr(task.JSON(schema))})
			r.enqueue(task.Spec{Payload: `{"name":"a","left":{"name":"b","right":{"name":"c"}},"more":[{"name":"d","left":{"name":"e"}}]}`})
			for payload, field := range map[string]string{
				`{"name":"a","left":{"name":"b","right":{}}}`: "payload.left.right", `{"name":"a","more":[{"name":"d","left":{}}]}`: "payload.more[0].left",
			} {
				_, _, err := r.Enqueue(r.Context(), task.Spec{Type: "test", Payload: task.JSON(payload)}, 5)
				r.invalid(err, field, "missing property 'name'")
			}
		}
	})
}

// Another node learns of a rule within a second of its own clock.
func TestRulesSetElsewhereHoldWithinASecond(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		if n := r.enqueue(task.Spec{}).MaxAttempts; n != 5 {
			r.Errorf("%d attempts before there is a rule", n)
		}
		elsewhere := queue.New(r.st, queue.Options{Clock: r.clock})
		_, err := elsewhere.PutType(r.Context(), "test", task.TypeRules{MaxAttempts: ptr(7)})
		r.ok(err)
		r.clock.advance(time.Second)
		if n := r.enqueue(task.Spec{}).MaxAttempts; n != 7 {
			r.Errorf("%d attempts a second after the rule was set, want 7", n)
		}
	})
}

func TestRulesThatAreWrongAreNamed(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		for field, rules := range map[string]task.TypeRules{
			"max_concurrency":   {MaxConcurrency: ptr(0)},
			"max_attempts":      {MaxAttempts: ptr(101)},
			"retry_policy":      {RetryPolicy: ptr(task.JSON(`{"jitter":2}`))},
			"timeout_seconds":   {TimeoutSeconds: ptr(0.0)},
			"max_payload_bytes": {MaxPayloadBytes: ptr(1)},
		} {
			_, err := r.PutType(r.Context(), "test", rules)
			r.invalid(err, field, "")
		}
		if _, err := r.Type(r.Context(), "test"); !errors.Is(err, task.ErrNotFound) {
			r.Errorf("something was set: %v", err)
		}
	})
}

// A large batch is checked by several processors at once; what is wrong comes in the order of its tasks.
func TestAllThatIsWrongWithALargeBatchComesInItsOrder(t *testing.T) {
	each(t, queue.Options{}, func(r rig) {
		specs := make1000("test")
		var want []string
		for i := range specs {
			if i%97 == 3 {
				specs[i].Priority = ptr(0)
				want = append(want, fmt.Sprintf("tasks[%d].priority", i))
			}
		}
		_, _, err := r.EnqueueBatch(r.Context(), specs)
		invalid, ok := errors.AsType[*task.InvalidError](err)
		if !ok {
			r.Fatal(err)
		}
		var got []string
		for _, f := range invalid.Fields {
			got = append(got, f.Field)
		}
		if !slices.Equal(got, want) {
			r.Errorf("got %v, want %v", got, want)
		}
		if stats, err := r.Stats(r.Context()); err != nil || stats.TotalTasks != 0 {
			r.Errorf("%+v, %v", stats, err)
		}
		stored, _, err := r.EnqueueBatch(r.Context(), make1000("test"))
		r.ok(err)
		for i, s := range stored {
			if s.Type != "test" || i > 0 && s.ID <= stored[i-1].ID {
				r.Fatalf("task %d: %+v", i, s)
			}
		}
	})
}
