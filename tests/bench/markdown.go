package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prismq/thequeue/tests/bench/stat"
)

// markdown is the report of the run.
func (h *Harness) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured at scale `%s`, %d rounds: %s.\n\n", h.Scale.Name, h.Rounds, h.machine)
	h.goalTable(&b)
	h.limitTable(&b)
	h.subjectTable(&b)
	h.settingsList(&b)
	return b.String()
}

func (h *Harness) goalTable(b *strings.Builder) {
	b.WriteString("| goal | row | value | goal | spread of rounds | verdict | what it is |\n|---|---|---|---|---|---|---|\n")
	for _, o := range h.outcomes {
		sign := "≥"
		if o.Sense == AtMost {
			sign = "≤"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s %s %s | %s | %s | %s |\n",
			o.ID, o.Row, figure(o.Value()), sign, figure(o.Limit), o.Unit, figure(stat.Spread(o.Values)), o.Verdict(), o.Says)
	}
}

func (h *Harness) limitTable(b *strings.Builder) {
	if len(h.limits) == 0 {
		return
	}
	b.WriteString("\n| goal | what the machine allows | limit | ours | share |\n|---|---|---|---|---|\n")
	for _, l := range h.limits {
		fmt.Fprintf(b, "| %s | %s | %s %s | %s | %.0f %% |\n", l.Goal, l.What, figure(l.Limit), l.Unit, figure(l.Ours), 100*l.Ours/l.Limit)
	}
}

// sayLimits prints what the machine allows, and our share of it.
func (h *Harness) sayLimits() {
	for _, l := range h.limits {
		h.say("%s limit %s %s %s, ours %s, %.0f %%", l.Goal, l.What, figure(l.Limit), l.Unit, figure(l.Ours), 100*l.Ours/l.Limit)
	}
}

// subjectTable has one line for each subject and value: the median of the rounds and their spread.
func (h *Harness) subjectTable(b *strings.Builder) {
	b.WriteString("\n| goal | subject | value | median | spread of rounds |\n|---|---|---|---|---|\n")
	seen := make(map[[2]string]bool)
	for _, m := range h.measurements {
		key := [2]string{m.Goal, m.Subject}
		if seen[key] {
			continue
		}
		seen[key] = true
		for _, name := range slices.Sorted(maps.Keys(m.Values)) {
			vs := h.values(m.Goal, m.Subject, name)
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", m.Goal, m.Subject, name, figure(stat.Median(vs)), figure(stat.Spread(vs)))
		}
	}
}

// settingsList says once what each subject ran with.
func (h *Harness) settingsList(b *strings.Builder) {
	said := make(map[string]bool)
	for _, m := range h.measurements {
		line := fmt.Sprintf("* %s: %s. %s\n", m.Subject, m.Settings, m.Version)
		if m.Settings == "" || said[line] {
			continue
		}
		if len(said) == 0 {
			b.WriteString("\nSettings and versions:\n\n")
		}
		said[line] = true
		b.WriteString(line)
	}
}
