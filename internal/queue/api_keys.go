package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// What is known of a key is read again by one caller when it is older than keyFresh, and by every caller when it is older than keyLife: a key that was revoked on
	// another node opens nothing a second later.
	keyFresh = 200 * time.Millisecond
	keyLife  = 700 * time.Millisecond
	// touchEvery is how exactly the last use of a key is kept.
	touchEvery = time.Minute
)

// keyring remembers keys that exist and are in use. It is no larger than the table of keys.
type keyring struct {
	mu   sync.Mutex
	keys map[string]*knownKey // by id
	some knownFlag            // whether there is any key
}

// reading is a value of the store as it was read at a time.
type reading struct {
	at    time.Time
	asked bool // somebody reads it again
}

// renews reports whether the caller is to read the value again.
func (r *reading) renews(now time.Time) bool {
	age := now.Sub(r.at)
	if age >= 0 && (age < keyFresh || r.asked && age < keyLife) {
		return false
	}
	r.asked = true
	return true
}

type knownKey struct {
	reading
	key    task.APIKey
	usedAt time.Time
}

type knownFlag struct {
	reading
	set bool
}

// APIKeysNeeded reports whether calls need a key: there is one, in force or not. What another node has changed is known within a second.
func (q *Queue) APIKeysNeeded(ctx context.Context) (bool, error) {
	q.keyring.mu.Lock()
	now, some := q.Now(), &q.keyring.some
	needed, renew := some.set, some.renews(now)
	q.keyring.mu.Unlock()
	if !renew {
		return needed, nil
	}
	needed, err := q.store.HasAPIKeys(ctx)
	q.keyring.mu.Lock()
	defer q.keyring.mu.Unlock()
	if some.asked = false; err != nil {
		return true, fmt.Errorf("look for keys: %w", err)
	}
	some.at, some.set = now, needed
	return needed, nil
}

// Authenticate returns the key whose text this is. task.ErrUnauthenticated when it is none that is in force. What another node has changed is known within a second, and a key
// that is in use costs no look into the store. Without look there is none for one that is not in use yet: that one is taken for none.
func (q *Queue) Authenticate(ctx context.Context, key string, look bool) (k task.APIKey, err error) {
	id, secret, err := task.ParseAPIKey(key)
	if err != nil {
		return k, err
	}
	if k, err = q.apiKey(ctx, id, look); err != nil {
		return task.APIKey{}, err
	}
	if !k.Has(secret) || !k.InForce(q.Now()) {
		return task.APIKey{}, task.ErrUnauthenticated
	}
	q.keyring.use(id, q.Now())
	return k, nil
}

// CheckAPIKey returns task.ErrUnauthenticated when a key is not in force any more.
func (q *Queue) CheckAPIKey(ctx context.Context, keyID string) error {
	k, err := q.apiKey(ctx, keyID, true)
	if err == nil && !k.InForce(q.Now()) {
		err = task.ErrUnauthenticated
	}
	return err
}

// apiKey returns what is known of a key. task.ErrUnauthenticated without it.
func (q *Queue) apiKey(ctx context.Context, id string, look bool) (task.APIKey, error) {
	now := q.Now()
	if k, ok := q.keyring.get(id, now); ok {
		return k, nil
	} else if !look && k.KeyID == "" {
		return k, task.ErrUnauthenticated
	}
	k, err := q.store.GetAPIKey(ctx, id)
	q.keyring.put(id, k, now, err)
	switch {
	case errors.Is(err, task.ErrNotFound):
		return k, task.ErrUnauthenticated
	case err != nil:
		return k, fmt.Errorf("look at the key: %w", err)
	}
	return k, nil
}

// get returns a key that need not be read again by this caller. Where it must be, the key comes back all the same, and none where none is known.
func (r *keyring) get(id string, now time.Time) (task.APIKey, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.keys[id]
	if !ok {
		return task.APIKey{}, false
	}
	return k.key, !k.renews(now)
}

// put keeps what was read at now, and forgets a key that does not exist. When it could not be read what was known stays as old as it is.
func (r *keyring) put(id string, k task.APIKey, now time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.keys[id]
	switch {
	case errors.Is(err, task.ErrNotFound):
		delete(r.keys, id)
	case err != nil:
		if known != nil {
			known.asked = false
		}
	case known == nil:
		if r.keys == nil {
			r.keys = make(map[string]*knownKey)
		}
		r.keys[id] = &knownKey{reading: reading{at: now}, key: k}
	default:
		known.reading, known.key = reading{at: now}, k
	}
}

func (r *keyring) use(id string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.keys[id]; k != nil {
		k.usedAt = now
	}
}

// age has everything read again. Which keys are in use stays known: those open also for an address that has sent too many wrong ones.
func (r *keyring) age() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.keys {
		k.reading = reading{}
	}
	r.some.reading = reading{}
}

// drop forgets a key that is stored no longer.
func (r *keyring) drop(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, id)
}

// used returns the keys whose last use is to be stored, with when that was.
func (r *keyring) used() map[string]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out map[string]time.Time
	for id, k := range r.keys {
		if k.usedAt.IsZero() || k.key.LastUsedAtUTC != nil && k.usedAt.Sub(*k.key.LastUsedAtUTC) < touchEvery {
			continue
		}
		if out == nil {
			out = make(map[string]time.Time)
		}
		out[id] = k.usedAt
		k.key.LastUsedAtUTC = new(k.usedAt) // until it is read again
	}
	return out
}

// touchAPIKeys stores when keys were used last. Where that cannot be, nothing else suffers: it is told with their next use.
func (q *Queue) touchAPIKeys(ctx context.Context) {
	for id, at := range q.keyring.used() {
		if err := q.store.TouchAPIKey(ctx, id, at); err != nil {
			q.o.Log.DebugContext(ctx, "the use of a key is not noted", "key_id", id, "error", err)
		}
	}
}

// APIKeys returns all keys, in force or not, oldest first.
func (q *Queue) APIKeys(ctx context.Context) ([]task.APIKey, error) {
	ks, err := q.store.ListAPIKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return ks, nil
}

// CreateAPIKey makes a key. It is shown this once. Errors: *task.InvalidError, also for a first key that is not an admin's; task.ErrConflict when a key of this name is in force.
func (q *Queue) CreateAPIKey(ctx context.Context, s task.APIKeySpec) (task.NewAPIKey, error) {
	if err := s.Check(); err != nil {
		return task.NewAPIKey{}, err
	}
	all, err := q.APIKeys(ctx)
	if err != nil {
		return task.NewAPIKey{}, err
	}
	now := q.Now()
	if len(all) == 0 && s.Role != task.RoleAdmin {
		return task.NewAPIKey{}, task.Invalid("role", "must be admin for the first key: from then on every call needs a key, and without an admin nobody could make another one")
	}
	if slices.ContainsFunc(all, func(k task.APIKey) bool { return k.Name == s.Name && k.InForce(now) }) {
		return task.NewAPIKey{}, fmt.Errorf("%w: a key with the name %s is in force: rotate it, revoke it first, or choose another name", task.ErrConflict, s.Name)
	}
	k := s.Issue(now)
	if err := q.store.AddAPIKey(ctx, k.APIKey); err != nil {
		return task.NewAPIKey{}, fmt.Errorf("create key: %w", err)
	}
	q.keyring.age()
	return k, nil
}

// RotateAPIKey makes a key that replaces another one: of the same name, role and types. The old one opens nothing any more after overlap. The new one lives, where
// nothing is said, as long from now on as the old one did. Errors: task.ErrNotFound; task.ErrConflict when the old one is not in force, or was replaced before; *task.InvalidError.
func (q *Queue) RotateAPIKey(ctx context.Context, keyID string, overlap time.Duration, expiresInSeconds *float64) (task.NewAPIKey, error) {
	old, err := q.store.GetAPIKey(ctx, keyID)
	if err != nil {
		return task.NewAPIKey{}, fmt.Errorf("rotate key: %w", err)
	}
	s := task.APIKeySpec{Name: old.Name, Role: old.Role, Types: old.Patterns(), ExpiresInSeconds: expiresInSeconds}
	if expiresInSeconds == nil && old.ExpiresAtUTC != nil {
		s.ExpiresInSeconds = new(old.ExpiresAtUTC.Sub(old.CreatedAtUTC).Seconds())
	}
	if err := s.Check(); err != nil {
		return task.NewAPIKey{}, err
	}
	if overlap < 0 || overlap > maxOverlap {
		return task.NewAPIKey{}, task.Invalid("overlap_seconds", "must lie between 0 and %.0f", maxOverlap.Seconds())
	}
	now := q.Now()
	if old.InForce(now) {
		if err := q.notReplaced(ctx, old); err != nil {
			return task.NewAPIKey{}, err
		}
	}
	k := s.Issue(now)
	err = q.store.ReplaceAPIKey(ctx, keyID, k.APIKey, now.Add(overlap).Truncate(time.Microsecond), now)
	if errors.Is(err, task.ErrConflict) {
		err = fmt.Errorf("%w: the key is not in force any more: make a new one", task.ErrConflict)
	}
	if err != nil {
		return task.NewAPIKey{}, fmt.Errorf("rotate key: %w", err)
	}
	q.keyring.age()
	return k, nil
}

// notReplaced returns task.ErrConflict for a key in force after which another one of its name was made: that one has replaced it, and the rest of its life is no measure for a third.
func (q *Queue) notReplaced(ctx context.Context, old task.APIKey) error {
	all, err := q.APIKeys(ctx)
	if err != nil {
		return err
	}
	for _, k := range slices.Backward(all) {
		if k.Name == old.Name && k.CreatedAtUTC.After(old.CreatedAtUTC) {
			return fmt.Errorf("%w: the key was replaced by %s: rotate that one, or revoke both and make a new one", task.ErrConflict, k.KeyID)
		}
	}
	return nil
}

// maxOverlap is the longest that a key opens beside the one that replaces it.
const maxOverlap = 30 * 24 * time.Hour

// RevokeAPIKey lets a key open nothing any more: here at once, on other nodes within a second. task.ErrNotFound without it.
func (q *Queue) RevokeAPIKey(ctx context.Context, keyID string) (task.APIKey, error) {
	k, err := q.store.RevokeAPIKey(ctx, keyID, q.Now())
	if err != nil {
		return k, fmt.Errorf("revoke key: %w", err)
	}
	q.keyring.age()
	return k, nil
}

// DeleteAPIKey forgets a key that opens nothing any more. When it was the last one, calls need no key any more. Errors: task.ErrNotFound, task.ErrConflict when it is in force.
func (q *Queue) DeleteAPIKey(ctx context.Context, keyID string) error {
	err := q.store.DeleteAPIKey(ctx, keyID, q.Now())
	if errors.Is(err, task.ErrConflict) {
		err = fmt.Errorf("%w: the key is in force: revoke it first", task.ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("delete key: %w", err)
	}
	q.keyring.drop(keyID)
	q.keyring.age()
	return nil
}
