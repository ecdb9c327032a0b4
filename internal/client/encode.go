package client

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/prismq/thequeue/internal/task"
)

// segment writes a name as a part of a path. One that is empty is written as a blank, which the server refuses as it does an empty one: without it the path would be another.
func segment(name string) string { return cmp.Or(url.PathEscape(name), "%20") }

// object writes a JSON object. Values of type task.JSON go in byte for byte; the standard encoder would change them.
type object struct {
	b   []byte
	bad task.InvalidError
}

// add writes one field. Nothing is written for a nil pointer and an empty task.JSON: the field is not given.
func (o *object) add(name string, v any) *object {
	switch v := v.(type) {
	case *task.JSON:
		if v == nil {
			return o
		}
		return o.add(name, *v)
	case task.JSON:
		if v == "" {
			return o
		}
		if err := v.Check(); err != nil {
			o.bad.Add(name, "%s", err)
			return o
		}
		return o.raw(name, []byte(v))
	}
	text, err := encode(v)
	if err != nil {
		o.bad.Add(name, "%s", err)
	} else if string(text) != "null" {
		o.raw(name, text)
	}
	return o
}

func (o *object) raw(name string, text []byte) *object {
	sep := byte(',')
	if len(o.b) == 0 {
		sep = '{'
	}
	o.b = append(append(append(o.b, sep, '"'), name...), `":`...)
	o.b = append(o.b, text...)
	return o
}

// bytes returns the object, or what is wrong with its fields.
func (o *object) bytes() ([]byte, error) {
	if len(o.b) == 0 {
		o.b = []byte{'{'}
	}
	return append(o.b, '}'), o.bad.OrNil()
}

func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimRight(buf.Bytes(), "\n"), err
}

// encodeBatch is the body of a batch; each task has a key, where need be a random one.
func encodeBatch(specs []task.Spec) ([]byte, error) {
	body := []byte(`{"tasks":[`)
	var bad task.InvalidError
	for i, s := range specs {
		if s.IdempotencyKey == nil {
			key := rand.Text()
			s.IdempotencyKey = &key
		}
		b, err := encodeSpec(s)
		if wrong, ok := errors.AsType[*task.InvalidError](err); ok {
			bad.Fields = append(bad.Fields, wrong.Within(fmt.Sprintf("tasks[%d]", i)).Fields...)
		}
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, b...)
	}
	return append(body, "]}"...), bad.OrNil()
}

func encodeSpec(s task.Spec) ([]byte, error) {
	return new(object).
		add("type", s.Type).
		add("priority", s.Priority).
		add("payload", s.Payload).
		add("compatibility", s.Compatibility).
		add("max_attempts", s.MaxAttempts).
		add("run_after_utc", s.RunAfterUTC).
		add("idempotency_key", s.IdempotencyKey).
		add("deadline_utc", s.DeadlineUTC).
		add("timeout_seconds", s.TimeoutSeconds).
		add("retry_policy", s.RetryPolicy).
		add("concurrency_key", s.ConcurrencyKey).
		add("traceparent", s.Traceparent).
		add("unique_key", s.UniqueKey).
		add("unique_scope", s.UniqueScope).
		add("unique_period_seconds", s.UniquePeriodSeconds).
		bytes()
}
