package main

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

type keysCmd struct {
	Create keysCreateCmd `cmd:"" help:"Make an API key. It is shown once."`
	List   keysListCmd   `cmd:"" help:"List the keys, oldest first, without their secrets."`
	Rotate keysRotateCmd `cmd:"" help:"Make a key that replaces another one."`
	Revoke keysRevokeCmd `cmd:"" help:"Let keys open nothing any more."`
	Delete keysDeleteCmd `cmd:"" help:"Forget keys that open nothing any more."`
}

// keys are what a queue knows of the keys of its callers.
type keys interface {
	APIKeys(ctx context.Context) ([]task.APIKey, error)
	CreateAPIKey(ctx context.Context, s task.APIKeySpec) (task.NewAPIKey, error)
	RotateAPIKey(ctx context.Context, keyID string, overlap time.Duration, expiresInSeconds *float64) (task.NewAPIKey, error)
	RevokeAPIKey(ctx context.Context, keyID string) (task.APIKey, error)
	DeleteAPIKey(ctx context.Context, keyID string) error
}

type keysCreateCmd struct {
	Name      string   `arg:"" help:"Who is to have it; the audit names it."`
	Role      string   `required:"" placeholder:"ROLE" help:"What it may do: producer, worker, viewer, operator or admin."`
	Types     []string `placeholder:"PATTERN,…" help:"Limit it to task types that fit one of these, in which * stands for any characters."`
	ExpiresIn string   `placeholder:"TIME" help:"How long it lives, like 90d (default: it does not expire)."`
	access
}

func (c *keysCreateCmd) Run(ctx context.Context, s *session) error {
	life, err := lifetime(c.ExpiresIn)
	if err != nil {
		return err
	}
	return c.with(ctx, s, func(q tasks) error {
		k, err := q.CreateAPIKey(ctx, task.APIKeySpec{Name: c.Name, Role: task.Role(c.Role), Types: c.Types, ExpiresInSeconds: life})
		if err != nil {
			return err
		}
		return s.showKey(k, c.Output)
	})
}

// lifetime reads how long a key is to live, in seconds; nil: nothing is said.
func lifetime(text string) (*float64, error) {
	if text == "" {
		return nil, nil
	}
	d, ok := task.ParseAge(text)
	if !ok || d < time.Second {
		return nil, usage("--expires-in: must be a length of time of a second or more in w, d, h, m and s, such as 90d")
	}
	return new(d.Seconds()), nil
}

// showKey writes a key that has just been made: alone to the output, so that it can be put away, and what is to be said of it beside that.
func (s *session) showKey(k task.NewAPIKey, output string) error {
	if output == "json" {
		return s.printJSON(k)
	}
	until := ""
	if k.ExpiresAtUTC != nil {
		until = ", until " + when(*k.ExpiresAtUTC)
	}
	fmt.Fprintf(s.stderr, "Key %s of %s (%s%s%s). It is shown this once: keep it now.\n", k.KeyID, clean(k.Name), k.Role, limits(k.APIKey), until)
	_, err := fmt.Fprintln(s.stdout, k.Key)
	return err
}

func limits(k task.APIKey) string {
	if k.Types == nil {
		return ""
	}
	return clean(", for the types " + strings.Join(k.Patterns(), ", "))
}

type keysListCmd struct{ access }

func (c *keysListCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		ks, err := q.APIKeys(ctx)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return s.printJSON(ks)
		}
		rows := [][]string{{"KEY", "NAME", "ROLE", "TYPES", "CREATED", "LAST USED", "EXPIRES", "REVOKED"}}
		for _, k := range ks {
			types := "all"
			if k.Types != nil {
				types = strings.Join(k.Patterns(), ", ")
			}
			rows = append(rows, []string{k.KeyID, k.Name, string(k.Role), types, when(k.CreatedAtUTC), instant(k.LastUsedAtUTC), instant(k.ExpiresAtUTC), instant(k.RevokedAtUTC)})
		}
		return s.printRows(rows)
	})
}

type keysRotateCmd struct {
	Key       string        `arg:"" help:"The id of the key, or its name, for the newest that has it."`
	Overlap   time.Duration `placeholder:"DURATION" help:"How long the old key opens beside the new one, like 24h (default: not at all)."`
	ExpiresIn string        `placeholder:"TIME" help:"How long the new key lives, like 90d (default: as long as the old one did)."`
	access
}

func (c *keysRotateCmd) Run(ctx context.Context, s *session) error {
	life, err := lifetime(c.ExpiresIn)
	if err != nil {
		return err
	}
	return c.with(ctx, s, func(q tasks) error {
		ids, err := findKeys(ctx, q, c.Key)
		if err != nil {
			return err
		}
		k, err := q.RotateAPIKey(ctx, ids[len(ids)-1], c.Overlap, life) // it has replaced those before it
		if err != nil {
			return aboutKey(c.Key, err)
		}
		return s.showKey(k, c.Output)
	})
}

type keysRevokeCmd struct {
	Keys []string `arg:"" name:"key" help:"The ids of the keys, or names, each for all keys that have it."`
	access
}

func (c *keysRevokeCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		for _, name := range c.Keys {
			ids, err := findKeys(ctx, q, name)
			if err != nil {
				return err
			}
			for _, id := range ids {
				k, err := q.RevokeAPIKey(ctx, id)
				if err != nil {
					return aboutKey(name, err)
				}
				if c.Output == "json" {
					err = s.printJSON(k)
				} else {
					_, err = fmt.Fprintf(s.stdout, "%s of %s: revoked\n", k.KeyID, clean(k.Name))
				}
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}

type keysDeleteCmd struct {
	Keys []string `arg:"" name:"key" help:"The ids of the keys."`
	access
}

func (c *keysDeleteCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		for _, id := range c.Keys {
			if err := q.DeleteAPIKey(ctx, id); err != nil {
				return aboutKey(id, err)
			}
			if c.Output == "table" {
				fmt.Fprintf(s.stdout, "%s: deleted\n", clean(id))
			}
		}
		return nil
	})
}

// findKeys returns the ids of the key that has an id, or of those of a name that are not revoked, oldest first. Those that have expired are among them: whether one has the clock of the
// server says, and not that of this machine.
func findKeys(ctx context.Context, q keys, name string) ([]string, error) {
	all, err := q.APIKeys(ctx)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, k := range all {
		if k.KeyID == name {
			return []string{name}, nil
		}
		if k.Name == name && k.RevokedAtUTC == nil {
			found = append(found, k.KeyID)
		}
	}
	if len(found) == 0 {
		return nil, aboutKey(name, task.ErrNotFound)
	}
	return found, nil
}

func aboutKey(name string, err error) error {
	if errors.Is(err, task.ErrNotFound) {
		return fmt.Errorf("key %s %w", name, task.ErrNotFound)
	}
	return err
}

// What is done to keys without a server is in the audit too.

func (l local) CreateAPIKey(ctx context.Context, s task.APIKeySpec) (task.NewAPIKey, error) {
	k, err := l.Queue.CreateAPIKey(ctx, s)
	return k, l.audited(ctx, "create key", k.APIKey, err)
}

func (l local) RotateAPIKey(ctx context.Context, keyID string, overlap time.Duration, expiresInSeconds *float64) (task.NewAPIKey, error) {
	k, err := l.Queue.RotateAPIKey(ctx, keyID, overlap, expiresInSeconds)
	return k, l.audited(ctx, "rotate key", k.APIKey, err)
}

func (l local) RevokeAPIKey(ctx context.Context, keyID string) (task.APIKey, error) {
	k, err := l.Queue.RevokeAPIKey(ctx, keyID)
	return k, l.audited(ctx, "revoke key", k, err)
}

func (l local) DeleteAPIKey(ctx context.Context, keyID string) error {
	return l.audited(ctx, "delete key", task.APIKey{KeyID: keyID}, l.Queue.DeleteAPIKey(ctx, keyID))
}

func (l local) audited(ctx context.Context, action string, k task.APIKey, err error) error {
	if err != nil {
		return err
	}
	who := "command line"
	if u, err := user.Current(); err == nil {
		who = "command line of " + u.Username
	}
	_, err = l.Queue.Audit(ctx, task.Audit{Actor: who, Action: action, Subject: strings.TrimSpace(k.Name + " " + k.KeyID), Message: "thequeue keys"})
	return err
}
