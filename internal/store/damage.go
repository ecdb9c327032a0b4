package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/prismq/thequeue/internal/task"
)

// The checks whose findings can be repaired.
const (
	CheckCounters = "counters"
	CheckKeys     = "keys"
)

// A repair is noted in the audit with this action, which the queries know too.
const (
	RepairAction = "repair"
	RepairActor  = "fsck"
)

// Damage is one thing stored that must not be.
type Damage struct {
	Check    string `json:"check"`   // which check has found it: tasks, lanes, attempts, logs, references, counters, keys
	Subject  string `json:"subject"` // what it is about, like task 17
	Problem  string `json:"problem"`
	Repaired bool   `json:"repaired"`
}

// Repairable reports whether Repair of a store puts it right.
func (d Damage) Repairable() bool {
	return d.Check == CheckCounters && d.Subject != allCounters || d.Check == CheckKeys
}

// Drift is what has to be added to the counters of a lane so that they say how many tasks it has in each state.
type Drift struct {
	LaneID     int64
	Ready      int64
	Scheduled  int64
	Processing int64
	Completed  int64
	Failed     int64
}

// Inspection is what was found in all that is stored, as of one instant.
type Inspection struct {
	Tasks   int64    // how many there are
	Damages []Damage // never nil
	More    []string // the checks that have found more than is listed
	Drifts  []Drift  // of lanes whose counters are wrong, all of them
	Repairs int64    // the row of the audit of the last repair, so that none is done twice; 0: there was none
}

// Has reports whether a check has found something.
func (in Inspection) Has(check string) bool {
	return slices.ContainsFunc(in.Damages, func(d Damage) bool { return d.Check == check })
}

// Repairable returns how many of the findings Repair puts right.
func (in Inspection) Repairable() (n int) {
	for _, d := range in.Damages {
		if d.Repairable() {
			n++
		}
	}
	return n
}

// Collect adds what one check finds, max things at most. R is the row of a query for damage.
func Collect[R ~struct {
	Subject string
	Problem string
}](ctx context.Context, in *Inspection, check string, max int, find func(context.Context, int64) ([]R, error)) error {
	rows, err := find(ctx, int64(max)+1)
	if err != nil {
		return fmt.Errorf("look at %s: %w", check, err)
	}
	if len(rows) > max {
		rows = rows[:max]
		in.More = append(in.More, check)
	}
	for _, r := range rows {
		f := struct {
			Subject string
			Problem string
		}(r)
		in.Damages = append(in.Damages, Damage{Check: check, Subject: f.Subject, Problem: f.Problem})
	}
	return nil
}

// CountPage is how many ids are looked at in one statement where tasks are counted.
const CountPage = 100_000

// Counters are numbers of tasks: ready, scheduled, processing, completed and failed.
type Counters [5]int64

var counterNames = [len(Counters{})]string{"ready", "scheduled", "processing", "completed", "failed"}

// Plus returns the sums.
func (c Counters) Plus(d Counters) Counters {
	for i := range c {
		c[i] += d[i]
	}
	return c
}

// Compare adds a lane if its counters as they are kept are not what was counted. Tasks is then what was counted, where it was what the counters say.
func (in *Inspection) Compare(l task.Lane, kept, counted Counters) {
	if kept == counted {
		return
	}
	var problems []string
	drift := Drift{LaneID: l.ID}
	for i, add := range []*int64{&drift.Ready, &drift.Scheduled, &drift.Processing, &drift.Completed, &drift.Failed} {
		*add = counted[i] - kept[i]
		in.Tasks += *add
		if *add != 0 {
			problems = append(problems, fmt.Sprintf("%d %s instead of %d", kept[i], counterNames[i], counted[i]))
		}
	}
	in.Drifts = append(in.Drifts, drift)
	in.Damages = append(in.Damages, Damage{Check: CheckCounters, Subject: fmt.Sprintf("lane %d (%s, priority %d)", l.ID, l.Type, l.Priority), Problem: "counts " + strings.Join(problems, ", ")})
}

const allCounters = "all lanes"

// Conserved looks whether no more tasks are there, or were deleted, than ids were given. It is called when all counters are known.
func (in *Inspection) Conserved(purged, lastID int64) {
	if purged < 0 || in.Tasks+purged > lastID {
		in.Damages = append(in.Damages, Damage{Check: CheckCounters, Subject: allCounters,
			Problem: fmt.Sprintf("there are %d tasks, and %d are counted as deleted, but only %d were ever given an id", in.Tasks, purged, lastID)})
	}
}

// RepairMessage tells the audit what is repaired.
func (in Inspection) RepairMessage() string {
	if in.Has(CheckKeys) {
		return fmt.Sprintf("counters of %d lanes, and the turns of concurrency keys", len(in.Drifts))
	}
	return fmt.Sprintf("counters of %d lanes", len(in.Drifts))
}
