package main

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"golang.org/x/text/unicode/bidi"

	"github.com/prismq/thequeue/internal/task"
)

const (
	labelWidth = 15 // columns of what stands before figures, with the gap
	indent     = 2  // columns of lines that go on
)

func (m top) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	return v
}

// lines are those of the screen, none wider or more than it has.
func (m top) lines() []string {
	if m.width == 0 || m.height == 0 {
		return nil
	}
	all := m.head()
	if m.help {
		all = append(all, m.helpLines()...)
	} else {
		all = append(append(all, m.figures(m.room())...), m.table()...)
	}
	all = append(all, make([]string, m.height)...)[:m.height-1]
	all = append(all, m.style().faint.Render("q quit  ? help  p pause  tab table  j/k scroll"))
	for i, line := range all {
		all[i] = cut(line, m.width)
	}
	return all
}

// palette is how texts look. None of it says what the words do not.
type palette struct{ bold, faint, good, warning, critical lipgloss.Style }

func (m top) style() palette {
	plain := lipgloss.NewStyle()
	p := palette{bold: plain.Bold(true), faint: plain.Faint(true), good: plain, warning: plain.Bold(true), critical: plain.Bold(true)}
	if !m.plain {
		p.good, p.warning, p.critical = plain.Foreground(lipgloss.Green), p.warning.Foreground(lipgloss.Yellow), p.critical.Foreground(lipgloss.Red)
	}
	return p
}

// of is the style of a severity.
func (p palette) of(s task.HealthStatus) lipgloss.Style {
	switch s {
	case task.Ill:
		return p.critical
	case task.Strained:
		return p.warning
	}
	return p.good
}

// head is what comes first: how the queue does, whether it answers, and what is wrong.
func (m top) head() []string {
	lines := []string{m.title()}
	if m.failure != nil {
		lines = append(lines, m.style().critical.Render(fmt.Sprintf("NO ANSWER, figures are %s old: %s", age(m.now.Sub(m.last.at)), reason(m.failure))))
	}
	problems := m.last.metrics.Health.Problems
	for _, p := range problems[:min(len(problems), max(1, m.height/6))] {
		lines = append(lines, m.style().of(p.Severity).Render(severity(p.Severity)+": "+visible(p.Message)))
	}
	return lines
}

func (m top) title() string {
	h := m.last.metrics.Health
	parts := []string{m.style().of(h.Status).Render("health " + severity(h.Status))}
	if n := len(h.Problems); n > 0 {
		parts[0] += fmt.Sprintf(" (%d)", n)
	}
	if m.paused {
		parts = append(parts, m.style().bold.Render("PAUSED"))
	}
	return strings.Join(append(parts, m.last.metrics.ToUTC.UTC().Format(time.TimeOnly)+" UTC", "last "+task.FormatAge(m.window), visible(m.where)), "  ")
}

// severity is a word that stands out where something is wrong.
func severity(s task.HealthStatus) string {
	if s == task.Well {
		return string(s)
	}
	return strings.ToUpper(visible(string(s)))
}

// reason is why a look has failed, without the address, which stands in the title.
func reason(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return visible(oneLine(err.Error()))
}

// figures are the numbers of all types, in as many lines as there is room for.
func (m top) figures(room int) []string {
	v := m.last.metrics
	d, w := v.Depth, v.Workers
	oldest := "-"
	if d.OldestQueuedAgeSeconds != nil {
		oldest = seconds(d.OldestQueuedAgeSeconds)
	}
	lines := m.flow("now", []string{
		fmt.Sprintf("%d ready", d.ReadyTasks), fmt.Sprintf("%d scheduled", d.ScheduledTasks), fmt.Sprintf("%d processing", d.ProcessingTasks),
		fmt.Sprintf("%d completed", d.CompletedTasks), fmt.Sprintf("%d failed", d.FailedTasks), "oldest queued " + oldest,
	})
	lines = append(lines, m.flow("throughput", []string{perMinute(v.CompletedPerMin), "succeeded " + share(v.SuccessRate)})...)
	lines = append(lines, m.flow("processing", quantiles(v.ProcessingSecs))...)
	lines = append(lines, m.flow("start latency", quantiles(v.StartLatencySecs))...)
	lines = append(lines, m.flow("workers", []string{
		fmt.Sprintf("%d live", w.Live), fmt.Sprintf("%d busy", w.Busy), fmt.Sprintf("%d draining", w.Draining), fmt.Sprintf("%d not heard for long", w.Stale),
	})...)
	lines = append(lines, m.sparkline("completed", m.completed, m.style().good), m.sparkline("failed", m.failed, m.style().critical))
	return lines[:min(len(lines), room)]
}

// perMinute is a rate with three digits or more.
func perMinute(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f a minute", v)
	}
	return fmt.Sprintf("%.3g a minute", v)
}

func quantiles(s task.Spread) []string {
	return []string{"p50 " + seconds(s.P50), "p95 " + seconds(s.P95), "p99 " + seconds(s.P99)}
}

// flow lays items out after a label, and on further lines where they do not fit; none is broken.
func (m top) flow(label string, items []string) []string {
	lines := []string{m.style().faint.Render(pad(label, labelWidth))}
	empty := true
	for _, item := range items {
		last := len(lines) - 1
		switch {
		case empty:
			lines[last] += item
		case width(lines[last])+2+width(item) <= m.width:
			lines[last] += "  " + item
		default:
			lines = append(lines, strings.Repeat(" ", indent)+item)
		}
		empty = false
	}
	return lines
}

var bars = []rune("▁▂▃▄▅▆▇█")

// sparkline draws the newest counts that fit, the highest of them as a full bar and 0 as the lowest.
func (m top) sparkline(name string, counts []int64, style lipgloss.Style) string {
	if len(counts) == 0 {
		return m.style().faint.Render(pad(name, labelWidth)) + "-"
	}
	shown := counts
	var text string
	for range 2 { // what the text says is of what is shown, for which it leaves room
		text = pad(fmt.Sprintf("%d in %v, at most %d", counts[len(counts)-1], m.interval, slices.Max(shown)), 22) + "  "
		shown = counts[max(0, len(counts)-max(1, m.width-labelWidth-width(text))):]
	}
	most := slices.Max(shown)
	if most == 0 {
		style = m.style().faint
	}
	var b strings.Builder
	for _, n := range shown {
		b.WriteRune(bar(n, most))
	}
	return m.style().faint.Render(pad(name, labelWidth)) + text + style.Render(b.String())
}

// bar is the lowest for 0 alone.
func bar(n, most int64) rune {
	if n == 0 {
		return bars[0]
	}
	return bars[1+int(float64(n)/float64(most)*float64(len(bars)-2))]
}

func (m top) helpLines() []string {
	return []string{
		"q, esc, ctrl-c  quit",
		"?               this help, or back to the figures",
		"p               pause, or go on",
		"tab, t, w       the other table; types; workers",
		"up, k, down, j  scroll by a row",
		"pgup, pgdown    scroll by a page",
		"",
		fmt.Sprintf("Asks every %v. Rates and times are those of the last %s;", m.interval, task.FormatAge(m.window)),
		"the bars show what has completed and failed from look to look.",
	}
}

// width is how many columns a text takes, as the terminal is assumed to count when it does not say otherwise.
func width(s string) int { return ansi.StringWidthWc(s) }

// cut shortens a text to so many columns.
func cut(s string, columns int) string { return ansi.TruncateWc(s, columns, "…") }

// pad cuts or fills a text to so many columns. After letters that are written from right to left a mark keeps what follows in its place.
func pad(s string, columns int) string {
	s = cut(s, columns)
	rest := strings.Repeat(" ", max(0, columns-width(s)))
	if strings.ContainsFunc(s, rightToLeft) {
		return s + "\u200e" + rest
	}
	return s + rest
}

func rightToLeft(r rune) bool {
	p, _ := bidi.LookupRune(r)
	return slices.Contains([]bidi.Class{bidi.R, bidi.AL, bidi.AN}, p.Class())
}

// visible is clean, and without what joins or varies characters: terminals do not agree on the width of such.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cf, unicode.Variation_Selector) {
			return -1
		}
		return r
	}, clean(s))
}

// age is a time in whole seconds.
func age(d time.Duration) string { return max(d, 0).Round(time.Second).String() }
