package task_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/prismq/thequeue/internal/task"
)

func TestClaimTakesTheDefaults(t *testing.T) {
	t.Parallel()
	got, err := task.Claim{WorkerID: "w"}.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "claim", task.Claim{WorkerID: "w", Strategy: task.Priority, Max: 1}, got)
	full := task.Claim{WorkerID: "w", Types: []string{"a"}, Strategy: task.LIFO, Max: 100, Lease: 12 * time.Hour, Wait: 30 * time.Second}
	got, err = full.WithDefaults()
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "claim", full, got)
}

func TestClaimNamesTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*task.Claim)
		field  string
	}{
		"no worker":        {func(c *task.Claim) { c.WorkerID = "" }, "worker_id"},
		"worker too long":  {func(c *task.Claim) { c.WorkerID = strings.Repeat("w", 201) }, "worker_id"},
		"unknown strategy": {func(c *task.Claim) { c.Strategy = "random" }, "strategy"},
		"strategy in caps": {func(c *task.Claim) { c.Strategy = "FIFO" }, "strategy"},
		"negative max":     {func(c *task.Claim) { c.Max = -1 }, "max"},
		"max too great":    {func(c *task.Claim) { c.Max = 101 }, "max"},
		"lease too short":  {func(c *task.Claim) { c.Lease = time.Second - 1 }, "lease_seconds"},
		"lease too long":   {func(c *task.Claim) { c.Lease = 12*time.Hour + 1 }, "lease_seconds"},
		"negative lease":   {func(c *task.Claim) { c.Lease = math.MinInt64 }, "lease_seconds"},
		"negative wait":    {func(c *task.Claim) { c.Wait = -1 }, "wait_seconds"},
		"wait too long":    {func(c *task.Claim) { c.Wait = 30*time.Second + 1 }, "wait_seconds"},
		"empty type":       {func(c *task.Claim) { c.Types = []string{"a", ""} }, "types[1]"},
	} {
		claim := task.Claim{WorkerID: "w"}
		c.change(&claim)
		_, err := claim.WithDefaults()
		if got := badFields(t, err); !slices.Equal(got, []string{c.field}) {
			t.Errorf("%s: complaints %v (%v), want %s", name, got, err, c.field)
		}
	}
	_, err := task.Claim{WorkerID: "w", Strategy: "best"}.WithDefaults()
	for _, s := range []string{"fifo", "lifo", "priority", "weighted_random", "best"} {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not name %s", err, s)
		}
	}
}

func TestTokensSurviveTheirText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := task.Token{Fence: rapid.Int64Range(1, math.MaxInt64).Draw(t, "fence"), Secret: rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "secret")}
		got, err := task.ParseToken(want.String())
		if err != nil || got != want {
			t.Fatalf("%v became %v (%v)", want, got, err)
		}
	})
	lease := task.NewLease(task.Task{Fence: 7, LeaseSecret: ptr("abc")})
	if lease.LeaseToken != "7.abc" {
		t.Errorf("token %q", lease.LeaseToken)
	}
}

func TestMalformedTokensAreLostLeases(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", ".", "1", "1.", ".abc", "0.abc", "-1.abc", "x.abc", "1 .abc", " 1.abc", "1,abc", "9223372036854775808.abc", "1.\x00", "1.\xff", "1." + strings.Repeat("a", 65)} {
		if got, err := task.ParseToken(s); !errors.Is(err, task.ErrLeaseLost) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}
