package main

import (
	"encoding/json"
	"io"
	"time"

	"github.com/prismq/thequeue/tests/bench/stat"
	"github.com/prismq/thequeue/tests/bench/trial"
)

// Measurement is one line of the JSON file: one subject in one round.
type Measurement struct {
	At       time.Time          `json:"at"`
	Scale    string             `json:"scale"`
	Goal     string             `json:"goal"`
	Subject  string             `json:"subject"` // unique within the goal
	Round    int                `json:"round"`   // from 1
	Values   map[string]float64 `json:"values"`  // by name with unit, like lives/s or claim_p95_ms
	Spec     *trial.Spec        `json:"spec,omitempty"`
	Settings string             `json:"settings,omitempty"`
	Version  string             `json:"version,omitempty"`
}

// Limit is what the machine allows, beside what we reach of it.
type Limit struct {
	Goal  string
	What  string  // the limit
	Limit float64 // its figure
	Ours  float64 // ours, of the same unit
	Unit  string
}

// Ledger keeps all measurements and outcomes of a run and writes the measurements out as they come.
type Ledger struct {
	scale        string
	out          io.Writer
	measurements []Measurement
	outcomes     []Outcome
	limits       []Limit
}

// add keeps a measurement and writes its line.
func (l *Ledger) add(m Measurement) error {
	m.At, m.Scale = time.Now().UTC().Truncate(time.Millisecond), l.scale
	l.measurements = append(l.measurements, m)
	return json.NewEncoder(l.out).Encode(m)
}

// values returns the value of that name of the subject, round by round.
func (l *Ledger) values(goal, subject, name string) []float64 {
	var out []float64
	for _, m := range l.measurements {
		if m.Goal == goal && m.Subject == subject {
			out = append(out, m.Values[name])
		}
	}
	return out
}

// limit notes a limit of the machine with the medians of its rounds and of ours.
func (l *Ledger) limit(goal, what, unit string, limit, ours []float64) {
	l.limits = append(l.limits, Limit{Goal: goal, What: what, Unit: unit, Limit: stat.Median(limit), Ours: stat.Median(ours)})
}
