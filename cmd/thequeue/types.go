package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/prismq/thequeue/internal/task"
)

type typesCmd struct {
	List   typesListCmd   `cmd:"" help:"List the task types, by name."`
	Get    typesGetCmd    `cmd:"" help:"Show a task type."`
	Set    typesSetCmd    `cmd:"" help:"Set rules of a task type; what no flag names stays."`
	Pause  typesPauseCmd  `cmd:"" help:"Let no task of these types be claimed."`
	Resume typesResumeCmd `cmd:"" help:"Let their tasks be claimed again."`
}

type typesListCmd struct{ access }

func (c *typesListCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		types, err := q.Types(ctx)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return s.printJSON(types)
		}
		return s.printTypes(types)
	})
}

type typesGetCmd struct {
	Type string `arg:"" help:"Name of the type."`
	access
}

func (c *typesGetCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		t, err := q.Type(ctx, c.Type)
		return s.answerType(t, aboutType(c.Type, err), c.Output)
	})
}

type typesSetCmd struct {
	Type            string   `arg:"" help:"Name of the type. It need not have had a task."`
	Paused          *bool    `negatable:"" help:"Pause it, or end the pause."`
	MaxConcurrency  *int     `placeholder:"N" help:"Let so many of its tasks be in processing at a time; 0: any number."`
	MaxAttempts     *int     `placeholder:"N" help:"Attempts of tasks that do not say; 0: the default."`
	RetryPolicy     *string  `placeholder:"JSON" help:"Retry policy of tasks that have none; @FILE reads it from a file; {}: that of the configuration."`
	Timeout         *float64 `placeholder:"SECONDS" help:"The longest attempt of tasks that do not say; 0: none."`
	MaxPayloadBytes *int     `placeholder:"N" help:"The longest payload; 0: that of the configuration."`
	PayloadSchema   *string  `placeholder:"JSON" help:"JSON Schema that payloads must fit; @FILE reads it from a file; {}: any object."`
	RateLimit       *string  `placeholder:"JSON" help:"How many tasks may be claimed in a time, like {\"tasks\":10,\"per_seconds\":60}; null: any number."`
	Breaker         *string  `placeholder:"JSON" help:"When to stop because attempts fail, like {\"failure_share\":0.5,\"min_attempts\":20}; null: never."`
	Lease           *float64 `placeholder:"SECONDS" help:"How long leases last of claims that do not say; 0: the default."`
	Retention       *string  `placeholder:"JSON" help:"How long ended tasks are kept, like {\"completed_seconds\":86400,\"failed_seconds\":604800}; {}: for good."`
	PerKey          *string  `placeholder:"JSON" help:"What holds for each concurrency key, like {\"max_concurrency\":2,\"weights\":{\"big\":3}}; {}: nothing."`
	access
}

func (c *typesSetCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		now, err := q.Type(ctx, c.Type)
		if err != nil && !errors.Is(err, task.ErrNotFound) {
			return err
		}
		rules, err := c.rules(now.Rules(), s.stdin)
		if err != nil {
			return err
		}
		t, err := q.PutType(ctx, c.Type, rules)
		return s.answerType(t, err, c.Output)
	})
}

// rules returns the rules with those replaced that flags name.
func (c *typesSetCmd) rules(r task.TypeRules, stdin io.Reader) (task.TypeRules, error) {
	var bad task.InvalidError
	document := func(flag string, value *string) *task.JSON {
		if value == nil {
			return nil
		}
		text, err := readValue(*value, stdin)
		if text = task.JSON(strings.TrimSpace(string(text))); err == nil && text != "null" {
			err = text.CheckObject()
		}
		if err != nil {
			bad.Add(flag, "%s%s", err, formOf(flag))
			return nil
		}
		return &text
	}
	r.Paused = c.Paused
	given(&r.MaxConcurrency, c.MaxConcurrency, 0)
	given(&r.MaxAttempts, c.MaxAttempts, 0)
	given(&r.RetryPolicy, document("--retry-policy", c.RetryPolicy), "null", "{}")
	given(&r.PayloadSchema, document("--payload-schema", c.PayloadSchema), "null", "{}")
	given(&r.TimeoutSeconds, c.Timeout, 0)
	given(&r.MaxPayloadBytes, c.MaxPayloadBytes, 0)
	decoded(&r.RateLimit, document(rateLimitFlag, c.RateLimit), rateLimitFlag, &bad)
	given(&r.LeaseSeconds, c.Lease, 0)
	decoded(&r.Retention, document(retentionFlag, c.Retention), retentionFlag, &bad)
	decoded(&r.PerKey, document(perKeyFlag, c.PerKey), perKeyFlag, &bad)
	decoded(&r.Breaker, document(breakerFlag, c.Breaker), breakerFlag, &bad)
	return r, bad.OrNil()
}

// given sets a rule from a flag, if there is one; one that is none lifts the rule.
func given[T comparable](rule **T, flag *T, none ...T) {
	switch {
	case flag == nil:
	case slices.Contains(none, *flag):
		*rule = nil
	default:
		*rule = flag
	}
}

// The flags that hold an object with members of their own.
const (
	rateLimitFlag = "--rate-limit"
	breakerFlag   = "--breaker"
	retentionFlag = "--retention"
	perKeyFlag    = "--per-key"
)

// formOf says how the object of a flag is written, behind what is wrong with it.
func formOf(flag string) string {
	form := map[string]string{
		rateLimitFlag: `{"tasks":10,"per_seconds":60}`, breakerFlag: `{"failure_share":0.5,"min_attempts":20}`,
		retentionFlag: `{"completed_seconds":86400}`, perKeyFlag: `{"max_concurrency":2,"rate_limit":{"tasks":10,"per_seconds":60}}`,
	}[flag]
	if form == "" {
		return ""
	}
	return "; write an object like " + form + ", or null to lift the rule"
}

// decoded sets a rule from the object of a flag, if there is one, as the same object does over REST; null lifts the rule.
func decoded[T any](rule **T, object *task.JSON, flag string, bad *task.InvalidError) {
	if object == nil {
		return
	}
	if *rule = nil; *object == "null" {
		return
	}
	*rule = new(T)
	err := json.Unmarshal([]byte(*object), *rule, json.RejectUnknownMembers(true))
	if err == nil {
		return
	}
	for _, f := range task.NotRead(err, "").Fields {
		bad.Add(flag, "%s%s", strings.TrimSpace(f.Field+" "+f.Message), formOf(flag))
	}
}

type typesPauseCmd struct {
	Types []string `arg:"" name:"type" help:"Names of the types."`
	access
}

func (c *typesPauseCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error { return s.eachType(ctx, c.Types, q.PauseType, c.Output, "Type paused") })
}

type typesResumeCmd struct {
	Types []string `arg:"" name:"type" help:"Names of the types."`
	access
}

func (c *typesResumeCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error { return s.eachType(ctx, c.Types, q.ResumeType, c.Output, "Type resumed") })
}

// eachType does one thing for all types, one after the other.
func (s *session) eachType(ctx context.Context, names []string, do func(context.Context, string) (task.TypeStatus, error), output, done string) error {
	for _, name := range names {
		t, err := do(ctx, name)
		if err == nil && output == "json" {
			err = s.printJSON(t)
		} else if err == nil {
			_, err = fmt.Fprintf(s.stdout, "%s: %s, %d queued, %d processing\n", clean(t.Type.Type), done, t.QueuedTasks, t.ProcessingTasks)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *session) answerType(t task.TypeStatus, err error, output string) error {
	switch {
	case err != nil:
		return err
	case output == "json":
		return s.printJSON(t)
	}
	return s.printTypes([]task.TypeStatus{t})
}

func (s *session) printTypes(types []task.TypeStatus) error {
	rows := [][]string{{"TYPE", "PAUSED", "LIMIT", "RATE", "PER KEY", "BREAKER", "READY", "SCHEDULED", "PROCESSING", "COMPLETED", "FAILED"}}
	for _, t := range types {
		rows = append(rows, []string{
			t.Type.Type, yes(t.Paused), limit(t.MaxConcurrency), rate(t.RateLimit), perKey(t.PerKey), broken(t.Type), fmt.Sprint(t.ReadyTasks), fmt.Sprint(t.ScheduledTasks), fmt.Sprint(t.ProcessingTasks), fmt.Sprint(t.CompletedTasks), fmt.Sprint(t.FailedTasks),
		})
	}
	return s.printRows(rows)
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "-"
}

// limit is a number, or a dash for none.
func limit(n *int) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

// rate is like 10/60s, or a dash for none.
func rate(r *task.RateLimit) string {
	if r == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%ss", r.Tasks, strconv.FormatFloat(r.PerSeconds, 'f', -1, 64))
}

// perKey is like 2, 10/60s, or a dash where nothing holds for each key.
func perKey(k *task.KeyRules) string {
	if k == nil {
		return "-"
	}
	var parts []string
	if k.MaxConcurrency != nil {
		parts = append(parts, limit(k.MaxConcurrency))
	}
	if k.RateLimit != nil {
		parts = append(parts, rate(k.RateLimit))
	}
	if len(k.Weights) > 0 {
		parts = append(parts, "weights")
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// broken says how the circuit breaker of a type stands: closed, until when it is open, or a dash where there is none.
func broken(t task.Type) string {
	switch {
	case t.Breaker == nil:
		return "-"
	case t.BreakerUntilUTC == nil:
		return "closed"
	}
	return "open until " + when(*t.BreakerUntilUTC)
}

// aboutType names the type that an error is about.
func aboutType(name string, err error) error {
	if errors.Is(err, task.ErrNotFound) {
		return fmt.Errorf("type %s %w", name, task.ErrNotFound)
	}
	return err
}
