package queue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// asked counts the looks at keys.
type asked struct {
	store.Store
	looks int
	fails error
}

func (a *asked) GetAPIKey(ctx context.Context, keyID string) (task.APIKey, error) {
	if a.looks++; a.fails != nil {
		return task.APIKey{}, a.fails
	}
	return a.Store.GetAPIKey(ctx, keyID)
}

// A key that is in use costs the store a look every 200 ms, however many calls it makes; an expiry is heeded to the instant, and a store that fails opens nothing for longer than what it
// said last is good for.
func TestAKeyInUseIsLookedAtNowAndThen(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		a := &asked{Store: st}
		c := &handClock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
		q := queue.New(a, queue.Options{Clock: c})
		life := 60.0
		k, err := q.CreateAPIKey(t.Context(), task.APIKeySpec{Name: "ops", Role: task.RoleAdmin, ExpiresInSeconds: &life})
		if err != nil {
			t.Fatal(err)
		}
		opens := func(want error, looks int) {
			t.Helper()
			if _, err := q.Authenticate(t.Context(), k.Key, true); !errors.Is(err, want) || a.looks != looks {
				t.Errorf("error %v after %d looks, want %v after %d", err, a.looks, want, looks)
			}
		}
		if _, err := q.Authenticate(t.Context(), k.Key, false); !errors.Is(err, task.ErrUnauthenticated) || a.looks != 0 {
			t.Errorf("a key that is not in use was looked at: %v", err)
		}
		opens(nil, 1)
		for range 10 {
			opens(nil, 1)
		}
		if _, err := q.Authenticate(t.Context(), k.Key+"x", true); !errors.Is(err, task.ErrUnauthenticated) || a.looks != 1 {
			t.Errorf("what is no key: %v after %d looks", err, a.looks)
		}
		c.advance(199 * time.Millisecond)
		opens(nil, 1)
		c.advance(time.Millisecond)
		opens(nil, 2)
		a.fails = task.ErrBusy
		c.advance(time.Second)
		opens(task.ErrBusy, 3)
		a.fails = nil
		opens(nil, 4)
		c.advance(59 * time.Second)
		opens(task.ErrUnauthenticated, 5)
	})
}

// What is done to other keys does not take a key out of use: it opens also where no other one is looked at. What is done to itself counts at once.
func TestAKeyInUseStaysInUseWhenOthersAreMade(t *testing.T) {
	t.Parallel()
	q := queue.New(testdb.SQLite(t), queue.Options{})
	create := func(name string) task.NewAPIKey {
		t.Helper()
		k, err := q.CreateAPIKey(t.Context(), task.APIKeySpec{Name: name, Role: task.RoleAdmin})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	opens := func(k task.NewAPIKey, look bool, want error) {
		t.Helper()
		if _, err := q.Authenticate(t.Context(), k.Key, look); !errors.Is(err, want) {
			t.Errorf("the key of %s: %v, want %v", k.Name, err, want)
		}
	}
	ops := create("ops")
	opens(ops, true, nil)
	other := create("other")
	opens(ops, false, nil)
	opens(other, false, task.ErrUnauthenticated)
	opens(other, true, nil)
	if _, err := q.RotateAPIKey(t.Context(), other.KeyID, 0, nil); err != nil {
		t.Fatal(err)
	}
	opens(ops, false, nil)
	opens(other, true, task.ErrUnauthenticated)
	if err := q.DeleteAPIKey(t.Context(), other.KeyID); err != nil {
		t.Fatal(err)
	}
	opens(ops, false, nil)
	opens(other, true, task.ErrUnauthenticated)
	if _, err := q.RevokeAPIKey(t.Context(), ops.KeyID); err != nil {
		t.Fatal(err)
	}
	opens(ops, false, task.ErrUnauthenticated)
}

// BenchmarkAuthenticate is what a key costs a call.
func BenchmarkAuthenticate(b *testing.B) {
	q := queue.New(testdb.SQLite(b), queue.Options{})
	k, err := q.CreateAPIKey(b.Context(), task.APIKeySpec{Name: "ops", Role: task.RoleAdmin})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := q.Authenticate(b.Context(), k.Key, true); err != nil {
			b.Fatal(err)
		}
	}
}
