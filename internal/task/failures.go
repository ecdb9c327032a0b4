package task

import (
	"cmp"
	"slices"
	"time"
)

// FailureGroup is one row of failure_groups: failures for one reason of tasks of one type. Fields have the order of its columns, on both engines.
type FailureGroup struct {
	Fingerprint   string    // of the pattern
	Type          string    // empty: those of many types
	Pattern       string    // the error with what differs left out
	SampleMessage string    // the error of the last
	SampleTaskID  int64     // its task
	FirstSeenUTC  time.Time //
	LastSeenUTC   time.Time //
	Count         int64     // failures, of attempts and of tasks that could not run
}

// OtherFailuresPattern is that of the group in which failures are counted for which there are too many groups.
const OtherFailuresPattern = "<other errors>"

// maxSample is the longest error of a sample, in bytes.
const maxSample = 2 << 10

// FailureOf returns the group of one failure that an event of that name tells of, seen at a time. ok is false for any other event, and for what an operator has ended.
func FailureOf(name EventName, t *Task, at time.Time) (g FailureGroup, ok bool) {
	if name != EventRetry && name != EventFailed && name != EventLost && name != EventExpired {
		return g, false
	}
	message := ""
	if t.ErrorMessage != nil {
		message = *t.ErrorMessage
	}
	pattern := Pattern(message)
	if len(message) > maxSample {
		message = cut(message, maxSample) + "…"
	}
	return FailureGroup{
		Fingerprint: FingerprintOf(pattern), Type: t.Type, Pattern: pattern, SampleMessage: message, SampleTaskID: t.ID, FirstSeenUTC: at, LastSeenUTC: at, Count: 1,
	}, true
}

// Add adds what o has counted for the same reason, as the stores do.
func (g *FailureGroup) Add(o FailureGroup) {
	if !o.LastSeenUTC.Before(g.LastSeenUTC) {
		g.LastSeenUTC, g.SampleMessage, g.SampleTaskID = o.LastSeenUTC, o.SampleMessage, o.SampleTaskID
	}
	if o.FirstSeenUTC.Before(g.FirstSeenUTC) {
		g.FirstSeenUTC = o.FirstSeenUTC
	}
	g.Count += o.Count
}

// FailureStatus is all failures for one reason, of every type.
type FailureStatus struct {
	FailureID    string        `json:"failure_id"`   // the fingerprint; failure:ID finds its tasks
	Pattern      string        `json:"pattern"`      // the error with what differs left out
	Count        int64         `json:"count"`        // failures that were counted, of attempts and of tasks that could not run
	FailedTasks  int64         `json:"failed_tasks"` // tasks that have failed for it and are so now
	AtLeast      bool          `json:"at_least"`     // counting these ended early: there are more
	FirstSeenUTC time.Time     `json:"first_seen_utc"`
	LastSeenUTC  time.Time     `json:"last_seen_utc"`
	Types        []string      `json:"types"` // of the tasks, ordered
	Sample       FailureSample `json:"sample"`
}

// FailureSample is the last failure of a group.
type FailureSample struct {
	TaskID       int64  `json:"task_id"` // which may have been deleted
	ErrorMessage string `json:"error_message"`
}

// FailuresOf puts groups of one type together that have one reason, the last seen first.
func FailuresOf(groups []FailureGroup) []FailureStatus {
	sums, types := make(map[string]*FailureGroup), make(map[string][]string)
	for _, g := range groups {
		if sums[g.Fingerprint] == nil {
			sums[g.Fingerprint] = &g
		} else {
			sums[g.Fingerprint].Add(g)
		}
		if g.Type != "" {
			types[g.Fingerprint] = append(types[g.Fingerprint], g.Type)
		}
	}
	out := make([]FailureStatus, 0, len(sums))
	for id, g := range sums {
		slices.Sort(types[id])
		out = append(out, FailureStatus{
			FailureID: id, Pattern: g.Pattern, Count: g.Count, FirstSeenUTC: g.FirstSeenUTC, LastSeenUTC: g.LastSeenUTC, Types: append([]string{}, types[id]...),
			Sample: FailureSample{TaskID: g.SampleTaskID, ErrorMessage: g.SampleMessage},
		})
	}
	slices.SortFunc(out, func(a, b FailureStatus) int {
		return cmp.Or(b.LastSeenUTC.Compare(a.LastSeenUTC), cmp.Compare(a.FailureID, b.FailureID))
	})
	return out
}
