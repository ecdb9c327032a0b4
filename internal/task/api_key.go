package task

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Role is what the holder of a key may do. The permissions of the API say which calls belong to it.
type Role string

const (
	RoleProducer Role = "producer" // puts tasks in, looks at single tasks and cancels them
	RoleWorker   Role = "worker"   // claims tasks and reports on them
	RoleViewer   Role = "viewer"   // looks at everything, and changes nothing
	RoleOperator Role = "operator" // does what a producer and a viewer do, and everything that keeps the queue running
	RoleAdmin    Role = "admin"    // does everything, and makes keys
)

// Roles lists all of them.
var Roles = []Role{RoleProducer, RoleWorker, RoleViewer, RoleOperator, RoleAdmin}

// Valid reports whether r is one of them.
func (r Role) Valid() bool { return slices.Contains(Roles, r) }

// RoleNames returns the names of all roles, for messages.
func RoleNames() string {
	names := make([]string, len(Roles))
	for i, r := range Roles {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

var (
	// ErrUnauthenticated: a key is needed, and what was given is none that is in force.
	ErrUnauthenticated = errors.New("a valid API key is needed")
	// ErrForbidden: the key is in force, but not for this.
	ErrForbidden = errors.New("this API key may not do this")
)

// APIKey is a row of api_keys: what is known of a key. Fields have the order of its columns, on both engines.
type APIKey struct {
	KeyID         string     `json:"key_id"` // the part of the key that may be shown
	Name          string     `json:"name"`   // who has it; a key that replaces another one has its name
	Role          Role       `json:"role"`
	Types         *JSON      `json:"types"` // patterns of the task types that it is limited to, as an array; nil: all types
	SecretHash    string     `json:"-"`     // SHA-256 of the secret part, in hexadecimal
	CreatedAtUTC  time.Time  `json:"created_at_utc"`
	ExpiresAtUTC  *time.Time `json:"expires_at_utc"`   // nil: never
	RevokedAtUTC  *time.Time `json:"revoked_at_utc"`   // nil: it is not revoked
	LastUsedAtUTC *time.Time `json:"last_used_at_utc"` // to a minute or so; nil: never
}

// NewAPIKey is a key that has just been made: the only time that it is shown whole.
type NewAPIKey struct {
	APIKey
	Key string `json:"key"`
}

// APIKeySpec says which key to make.
type APIKeySpec struct {
	Name             string   `json:"name"`
	Role             Role     `json:"role"`
	Types            []string `json:"types"`              // patterns, in which * stands for any characters; none: all types
	ExpiresInSeconds *float64 `json:"expires_in_seconds"` // nil: it does not expire
}

const (
	maxTypePatterns = 100
	// MaxKeyLife is the longest that a key may be made for, in seconds: one hundred years. One that is to live longer does not expire.
	MaxKeyLife = 100 * 365 * 86400
)

// Check returns an InvalidError with every field that is wrong.
func (s APIKeySpec) Check() error {
	var bad InvalidError
	if msg := CheckName(s.Name, 200); msg != "" {
		bad.Add("name", "%s", msg)
	} else if s.Name != strings.TrimSpace(s.Name) {
		bad.Add("name", "must not begin or end with white space")
	}
	if !s.Role.Valid() {
		bad.Add("role", "unknown role %q: use one of %s", s.Role, RoleNames())
	}
	if s.Role == RoleAdmin && len(s.Types) > 0 {
		bad.Add("types", "cannot limit an admin, who may make keys without a limit: leave them out, or choose another role")
	}
	if len(s.Types) > maxTypePatterns {
		bad.Add("types", "must be at most %d patterns", maxTypePatterns)
	}
	for i, p := range s.Types {
		if msg := CheckName(p, 200); msg != "" {
			bad.Add(fmt.Sprintf("types[%d]", i), "%s", msg)
		}
	}
	if s.ExpiresInSeconds != nil && !(*s.ExpiresInSeconds >= 1 && *s.ExpiresInSeconds <= MaxKeyLife) {
		bad.Add("expires_in_seconds", "must lie between 1 and %d; leave it out for a key that does not expire", MaxKeyLife)
	}
	return bad.OrNil()
}

// keyPrefix begins every key, so that tools that look for secrets know one.
const keyPrefix = "tq_"

var keyIDs = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Issue makes the key that a checked s asks for.
func (s APIKeySpec) Issue(now time.Time) NewAPIKey {
	var id [8]byte
	var random [32]byte
	rand.Read(id[:]) // never fails
	rand.Read(random[:])
	secret := base64.RawURLEncoding.EncodeToString(random[:])
	k := APIKey{KeyID: keyIDs.EncodeToString(id[:])[:12], Name: s.Name, Role: s.Role, SecretHash: hashSecret(secret), CreatedAtUTC: now}
	if len(s.Types) > 0 {
		text, err := json.Marshal(s.Types)
		if err != nil {
			panic(err) // texts have a form
		}
		k.Types = new(JSON(text))
	}
	if s.ExpiresInSeconds != nil {
		k.ExpiresAtUTC = new(now.Add(time.Duration(*s.ExpiresInSeconds * float64(time.Second))).Truncate(time.Microsecond))
	}
	return NewAPIKey{APIKey: k, Key: keyPrefix + k.KeyID + "_" + secret}
}

func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

const (
	keyIDLength  = 12
	secretLength = 43 // 256 bits in base64
	keyLength    = len(keyPrefix) + keyIDLength + 1 + secretLength
)

// ParseAPIKey takes the text of a key apart. What does not have the form of one is ErrUnauthenticated.
func ParseAPIKey(key string) (keyID, secret string, err error) {
	if len(key) != keyLength || key[:len(keyPrefix)] != keyPrefix || key[len(keyPrefix)+keyIDLength] != '_' {
		return "", "", ErrUnauthenticated
	}
	keyID, secret = key[len(keyPrefix):len(keyPrefix)+keyIDLength], key[keyLength-secretLength:]
	for i := range keyID {
		if c := keyID[i]; !(c >= 'a' && c <= 'z') && !(c >= '2' && c <= '7') {
			return "", "", ErrUnauthenticated
		}
	}
	return keyID, secret, nil
}

// Has reports, in a time that does not depend on how much of it is right, whether the secret is the one of k.
func (k APIKey) Has(secret string) bool {
	sum := sha256.Sum256([]byte(secret))
	var given [2 * sha256.Size]byte
	hex.Encode(given[:], sum[:])
	return subtle.ConstantTimeCompare(given[:], []byte(k.SecretHash)) == 1
}

// InForce reports whether k opens anything at now.
func (k APIKey) InForce(now time.Time) bool {
	return k.RevokedAtUTC == nil && (k.ExpiresAtUTC == nil || k.ExpiresAtUTC.After(now))
}

// Patterns returns those of the types that k is limited to; none: all types. A text that is no list of them stands for no type at all.
func (k APIKey) Patterns() []string {
	if k.Types == nil {
		return nil
	}
	var out []string
	if json.Unmarshal([]byte(*k.Types), &out) != nil || len(out) == 0 {
		return []string{""}
	}
	return out
}

// MatchesType reports whether a task type fits one of the patterns, in which * stands for any characters, and none.
func MatchesType(patterns []string, taskType string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, taskType) })
}

// matches takes the pieces between the stars from the left, each where it comes first: no other choice leaves more for those that follow.
func matches(pattern, text string) bool {
	pieces := strings.Split(pattern, "*")
	last := len(pieces) - 1
	if last == 0 {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, pieces[0])
	if !ok {
		return false
	}
	for _, p := range pieces[1:last] {
		at := strings.Index(text, p)
		if at < 0 {
			return false
		}
		text = text[at+len(p):]
	}
	return strings.HasSuffix(text, pieces[last])
}
