package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/prismq/thequeue/internal/task"
)

// Types returns every task type that has a rule or has had a task, ordered by name.
func (q *Queue) Types(ctx context.Context) ([]task.TypeStatus, error) { return q.store.ListTypes(ctx) }

// Type returns one of them. Errors: task.ErrNotFound, *task.InvalidError about the field type.
func (q *Queue) Type(ctx context.Context, name string) (t task.TypeStatus, err error) {
	if name, err = typeName(name); err != nil {
		return t, err
	}
	if t, err = q.store.GetType(ctx, name); err != nil {
		return t, fmt.Errorf("get type %s: %w", name, err)
	}
	return t, nil
}

// PutType sets all rules of a type, which need not be known. What r does not say is not limited any more, but that a nil r.Paused leaves it paused or
// not as it is. Once it has returned, no claim gives what the rules forbid. Errors: *task.InvalidError, those of the store.
func (q *Queue) PutType(ctx context.Context, name string, r task.TypeRules) (task.TypeStatus, error) {
	if err := CheckRules(r); err != nil {
		return task.TypeStatus{}, err
	}
	return q.ruled(ctx, "set", name, func(name string) (task.Type, error) { return q.store.PutType(ctx, name, r.WithDefaults(), q.Now()) })
}

// CheckRules returns a *task.InvalidError with every rule that is wrong.
func CheckRules(r task.TypeRules) error {
	var bad task.InvalidError
	if err, ok := errors.AsType[*task.InvalidError](r.Check()); ok {
		bad = *err
	}
	if r.PayloadSchema != nil {
		if err := checkSchema(*r.PayloadSchema); err != nil {
			bad.Add("payload_schema", "%s", err)
		}
	}
	return bad.OrNil()
}

// PauseType keeps the tasks of a type from being claimed. They may still be enqueued, and those that are held are not touched. Once it has returned,
// no claim gives a task of this type, on any node. Errors as PutType.
func (q *Queue) PauseType(ctx context.Context, name string) (task.TypeStatus, error) {
	return q.ruled(ctx, "pause", name, func(name string) (task.Type, error) { return q.store.PauseType(ctx, name, true, q.Now()) })
}

// ResumeType ends a pause, if there is one, and wakes the claims that wait. Errors as PutType.
func (q *Queue) ResumeType(ctx context.Context, name string) (task.TypeStatus, error) {
	return q.ruled(ctx, "resume", name, func(name string) (task.Type, error) { return q.store.PauseType(ctx, name, false, q.Now()) })
}

// ruled changes the rules of a type and returns it with its counts.
func (q *Queue) ruled(ctx context.Context, verb, name string, change func(name string) (task.Type, error)) (t task.TypeStatus, err error) {
	if name, err = typeName(name); err != nil {
		return t, err
	}
	rules, err := change(name)
	q.rules.known.Store(nil)
	if err == nil {
		q.waiters.wakeType(name)
		t, err = q.store.GetType(ctx, name)
	}
	if err != nil {
		return t, fmt.Errorf("%s type %s: %w", verb, name, err)
	}
	t.Type = rules
	return t, nil
}

// typeName trims the name of a type as an enqueue does, and checks it.
func typeName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if msg := task.CheckName(name, 200); msg != "" {
		return "", task.Invalid("type", "%s", msg)
	}
	return name, nil
}
