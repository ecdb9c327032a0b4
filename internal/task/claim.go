package task

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Strategy is the order in which a claim takes due, matching tasks.
type Strategy string

const (
	FIFO           Strategy = "fifo"            // id ascending
	LIFO           Strategy = "lifo"            // id descending
	Priority       Strategy = "priority"        // priority ascending, then id ascending: the default
	WeightedRandom Strategy = "weighted_random" // at random, in proportion to 1/(priority+1)
)

// Strategies lists all of them.
var Strategies = []Strategy{FIFO, LIFO, Priority, WeightedRandom}

// Valid reports whether s is one of the four.
func (s Strategy) Valid() bool { return slices.Contains(Strategies, s) }

// StrategyNames returns the names of all strategies, for messages.
func StrategyNames() string {
	names := make([]string, len(Strategies))
	for i, s := range Strategies {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}

// Bounds and defaults of a claim.
const (
	DefaultLease = 60 * time.Second
	MinLease     = time.Second
	MaxLease     = 12 * time.Hour
	MaxClaim     = 100
	MaxWait      = 30 * time.Second
)

// Claim says who asks for work, what it may take and in which order.
type Claim struct {
	WorkerID     string
	Types        []string // only these, so none when empty; nil: every type
	Capabilities Capabilities
	Strategy     Strategy      // empty: priority
	Max          int           // 0: 1
	Lease        time.Duration // 0: as long as the rule of each type says, or DefaultLease
	Wait         time.Duration // how long to wait for work; 0: not at all

	// What the service adds for the store.

	Now    time.Time
	Secret string // 128 random bits in hexadecimal, the random half of every token of this claim
	Seed   uint64 // of the draws of weighted_random
}

// WithDefaults returns c with its empty fields set, or an InvalidError with every field that is wrong.
func (c Claim) WithDefaults() (Claim, error) {
	if c.Strategy == "" {
		c.Strategy = Priority
	}
	if c.Max == 0 {
		c.Max = 1
	}
	var bad InvalidError
	if msg := CheckName(c.WorkerID, 200); msg != "" {
		bad.Add("worker_id", "%s", msg)
	}
	if !c.Strategy.Valid() {
		bad.Add("strategy", "unknown strategy %q: use one of %s", c.Strategy, StrategyNames())
	}
	if c.Max < 1 || c.Max > MaxClaim {
		bad.Add("max", "must lie between 1 and %d", MaxClaim)
	}
	if c.Lease != 0 {
		CheckLease(c.Lease, &bad)
	}
	if c.Wait < 0 || c.Wait > MaxWait {
		bad.Add("wait_seconds", "must lie between 0 and %.0f", MaxWait.Seconds())
	}
	c.Types = slices.Clone(c.Types)
	for i, t := range c.Types {
		c.Types[i] = strings.TrimSpace(t)
		if msg := CheckName(t, 200); msg != "" {
			bad.Add(fmt.Sprintf("types[%d]", i), "%s", msg)
		}
	}
	return c, bad.OrNil()
}

// CheckLease adds a complaint to bad unless the lease is of an allowed length.
func CheckLease(d time.Duration, bad *InvalidError) { checkLeaseSeconds(d.Seconds(), bad) }

func checkLeaseSeconds(s float64, bad *InvalidError) {
	if !(s >= MinLease.Seconds() && s <= MaxLease.Seconds()) {
		bad.Add("lease_seconds", "must lie between %.0f and %.0f", MinLease.Seconds(), MaxLease.Seconds())
	}
}

// Token proves that its holder was given the lease with this fence. It is opaque to workers.
type Token struct {
	Fence  int64
	Secret string
}

func (t Token) String() string { return strconv.FormatInt(t.Fence, 10) + "." + t.Secret }

// ParseToken reads a token. A text that was never one returns ErrLeaseLost: it cannot be the token of a live lease.
func ParseToken(s string) (Token, error) {
	fence, secret, ok := strings.Cut(s, ".")
	n, err := strconv.ParseInt(fence, 10, 64)
	if !ok || err != nil || n < 1 || secret == "" || CheckText(secret, 64) != "" {
		return Token{}, ErrLeaseLost
	}
	return Token{Fence: n, Secret: secret}, nil
}

// Lease is a claimed task and the token that every further call of the worker carries.
type Lease struct {
	Task
	LeaseToken string `json:"lease_token"`
}

// NewLease returns the lease of a task that has just been claimed.
func NewLease(t Task) Lease {
	return Lease{Task: t, LeaseToken: Token{Fence: t.Fence, Secret: *t.LeaseSecret}.String()}
}

// Length returns how long the lease lasts from the claim, or from a heartbeat that asks for as long. 0 without times.
func (l Lease) Length() time.Duration {
	if l.LeaseUntilUTC == nil || l.ReservedAtUTC == nil {
		return 0
	}
	return l.LeaseUntilUTC.Sub(*l.ReservedAtUTC)
}

// AppendJSON appends the fields of the task and the token as one JSON object.
func (l Lease) AppendJSON(b []byte) []byte {
	b = l.appendFields(append(b, '{'))
	b = appendText(append(b, `,"lease_token":`...), l.LeaseToken)
	return append(b, '}')
}

// MarshalJSON is AppendJSON for encoders of the standard library.
func (l Lease) MarshalJSON() ([]byte, error) { return l.AppendJSON(nil), nil }

// UnmarshalJSON reads the fields of the task and the token.
func (l *Lease) UnmarshalJSON(b []byte) error {
	var token struct {
		LeaseToken string `json:"lease_token"`
	}
	if err := json.Unmarshal(b, &token); err != nil {
		return err
	}
	l.LeaseToken = token.LeaseToken
	return json.Unmarshal(b, &l.Task)
}

// Beat is what a worker reports with a heartbeat.
type Beat struct {
	Lease    time.Duration // how long from now; 0: as long as the rule of the type says, or DefaultLease
	Progress *int          // 0 to 100; nil: as it was
	Message  *string       // nil or empty: as it was
}

// Pulse is the answer to a heartbeat.
type Pulse struct {
	LeaseUntilUTC   *time.Time `json:"lease_until_utc"`  // nil when the task was cancelled
	CancelRequested bool       `json:"cancel_requested"` // stop: the task is cancelled and the lease is over
	Drain           bool       `json:"drain"`            // finish this task and take no other
}

// Failure is what a worker says of an attempt that did not succeed.
type Failure struct {
	Message    string
	NoRetry    bool           // reject: never try again
	RetryAfter *time.Duration // nil: after the backoff of the policy
}
