package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/prismq/thequeue/internal/task"
)

type enqueueCmd struct {
	Type     string   `arg:"" optional:"" help:"Type of the task; chooses what is run for it."`
	TypeFlag string   `name:"type" placeholder:"TYPE" help:"The same as a flag."`
	File     string   `placeholder:"FILE" help:"Enqueue many: one JSON object a line, with the fields of the API; - reads standard input."`
	Payload  string   `placeholder:"JSON" help:"A JSON object for the handler; @FILE reads it from a file, @- from standard input."`
	Priority *int     `placeholder:"N" help:"1 to 1000, the lower runs first (default 100)."`
	Key      *string  `placeholder:"KEY" help:"Idempotency key: a task that has it is not made again."`
	RunAfter string   `placeholder:"TIME" help:"Not before this time, like 2026-01-31T08:00:00Z."`
	Deadline string   `placeholder:"TIME" help:"Not after this time."`
	Timeout  *float64 `placeholder:"SECONDS" help:"The longest that one attempt may take."`

	ConcurrencyKey *string `placeholder:"KEY" help:"Whom or what it is for: tasks of a type with one key share the limits of --per-key, and keys take turns."`

	Traceparent *string `placeholder:"SPAN" help:"The span of which it is a part, as W3C Trace Context writes it: 00-TRACE-SPAN-FLAGS."`

	UniqueKey    *string  `placeholder:"KEY" help:"While a task of this type with this key is queued or running, none is made."`
	UniqueScope  *string  `placeholder:"SCOPE" help:"How long the unique key holds: queued, live (until the task has ended; default) or period."`
	UniquePeriod *float64 `placeholder:"SECONDS" help:"With the scope period: so long from the enqueue."`

	MaxAttempts   *int   `placeholder:"N" help:"How often it is tried, 1 to 100 (default 5)."`
	Compatibility string `placeholder:"JSON" help:"What a worker must offer, a JSON object; @FILE reads it from a file."`
	RetryPolicy   string `placeholder:"JSON" help:"initial_seconds, multiplier, max_seconds and jitter, those that shall differ; @FILE reads them from a file."`
	access
}

// Validate is called by the parser.
func (c *enqueueCmd) Validate() error {
	given := 0
	for _, v := range []string{c.Type, c.TypeFlag, c.File} {
		if v != "" {
			given++
		}
	}
	if given != 1 {
		return usage("name either the type of one task or the --file with many")
	}
	only := enqueueCmd{File: c.File, access: c.access}
	if c.File != "" && *c != only {
		return usage("with --file every line says all of its task: no other flag describes it")
	}
	return nil
}

func (c *enqueueCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		if c.File != "" {
			return c.many(ctx, s, q)
		}
		return c.one(ctx, s, q)
	})
}

func (c *enqueueCmd) one(ctx context.Context, s *session, q tasks) error {
	spec, err := c.spec(s.stdin)
	if err != nil {
		return err
	}
	receipts, err := q.EnqueueBatch(ctx, []task.Spec{spec})
	if err != nil {
		return renamed(err, func(int) string { return "" })
	}
	r := receipts[0]
	switch {
	case c.Output == "json":
		return s.printJSON(r)
	case r.Created:
		_, err = fmt.Fprintf(s.stdout, "%d: Task enqueued successfully\n", r.TaskID)
	default:
		_, err = fmt.Fprintf(s.stdout, "%d: Task already exists (%s key match)\n", r.TaskID, c.matched())
	}
	return err
}

// matched names the keys that may have found a task.
func (c *enqueueCmd) matched() string {
	switch {
	case c.UniqueKey == nil:
		return "idempotency"
	case c.Key == nil:
		return "unique"
	}
	return "idempotency or unique"
}

// spec is the task that the flags describe; what is wrong with its values the queue says.
func (c *enqueueCmd) spec(stdin io.Reader) (task.Spec, error) {
	s := task.Spec{Type: c.Type + c.TypeFlag, Priority: c.Priority, MaxAttempts: c.MaxAttempts, IdempotencyKey: c.Key, TimeoutSeconds: c.Timeout, ConcurrencyKey: c.ConcurrencyKey, Traceparent: c.Traceparent, UniqueKey: c.UniqueKey, UniqueScope: (*task.UniqueScope)(c.UniqueScope), UniquePeriodSeconds: c.UniquePeriod}
	var bad task.InvalidError
	document := func(flag, value string) task.JSON {
		text, err := readValue(value, stdin)
		if err == nil && text != "" {
			err = text.CheckObject()
		}
		if err != nil {
			bad.Add(flag, "%s", err)
		}
		return text
	}
	instant := func(flag, value string) *task.Time {
		if value == "" {
			return nil
		}
		t, err := task.ParseTime(value)
		if err != nil {
			bad.Add(flag, "%s", err)
		}
		return &t
	}
	s.Payload = document("--payload", c.Payload)
	s.Compatibility = document("--compatibility", c.Compatibility)
	if policy := document("--retry-policy", c.RetryPolicy); policy != "" {
		s.RetryPolicy = &policy
	}
	s.RunAfterUTC, s.DeadlineUTC = instant("--run-after", c.RunAfter), instant("--deadline", c.Deadline)
	return s, bad.OrNil()
}

// readValue returns the value itself, or what is in the file that @FILE names.
func readValue(value string, stdin io.Reader) (task.JSON, error) {
	name, isFile := strings.CutPrefix(value, "@")
	var text []byte
	var err error
	switch {
	case !isFile:
		return task.JSON(value), nil
	case name == "-":
		text, err = io.ReadAll(stdin)
	default:
		text, err = os.ReadFile(name)
	}
	if err == nil && len(text) == 0 {
		err = fmt.Errorf("%s is empty", value)
	}
	return task.JSON(text), err
}
