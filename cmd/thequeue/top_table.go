package main

import (
	"fmt"
	"strings"

	"github.com/prismq/thequeue/internal/task"
)

const (
	leastName = 10 // columns of the first column before another one is left out
	mostName  = 60
)

// room is how many lines the figures may take: the table has its name, its header and two rows in any case.
func (m top) room() int {
	return max(0, m.height-1-len(m.head())-2-min(2, max(1, m.rows())))
}

// page is how many rows of the table fit.
func (m top) page() int {
	return max(1, m.height-1-len(m.head())-len(m.figures(m.room()))-2)
}

// table is what is known of each type or worker: a line that names it, a header, and the rows that fit.
func (m top) table() []string {
	header, rows := m.content()
	if len(rows) == 0 {
		return []string{m.tableName(0, 0), "none"}
	}
	from := min(m.scroll[m.tab], len(rows)-1)
	to := min(from+m.page(), len(rows))
	widths := m.columns(append([][]string{header}, rows...))
	lines := []string{m.tableName(from+1, to), m.style().faint.Render(line(header, widths))}
	for _, row := range rows[from:to] {
		lines = append(lines, line(row, widths))
	}
	return lines
}

func (m top) tableName(from, to int) string {
	name, other := "TYPES", fmt.Sprintf("w: workers (%d)", len(m.last.workers))
	if m.tab == workersTab {
		name, other = "WORKERS", fmt.Sprintf("t: types (%d)", len(m.last.metrics.Types))
	}
	return m.style().bold.Render(name) + fmt.Sprintf(" %d-%d of %d  ", from, to, m.rows()) + m.style().faint.Render(other)
}

func (m top) content() (header []string, rows [][]string) {
	if m.tab == workersTab {
		for _, w := range m.last.workers {
			heard := age(m.last.metrics.ToUTC.Sub(w.HeartbeatUTC)) // by the clock that has stamped both
			rows = append(rows, []string{visible(w.WorkerID), visible(string(w.State)), fmt.Sprint(w.HeldTasks), heard + " ago"})
		}
		return []string{"WORKER", "STATE", "TASKS", "HEARD"}, rows
	}
	for _, t := range m.last.metrics.Types {
		rows = append(rows, typeRow(t))
	}
	return []string{"TYPE", "READY", "PROC", "ENQUEUED", "COMPLETED", "FAILED", "SUCCESS", "P50", "P95"}, rows
}

func typeRow(t task.TypeFigures) []string {
	return []string{
		visible(t.Type), fmt.Sprint(t.Depth.ReadyTasks), fmt.Sprint(t.Depth.ProcessingTasks), fmt.Sprint(t.Enqueued), fmt.Sprint(t.Completed), fmt.Sprint(t.Failed),
		share(t.SuccessRate), seconds(t.ProcessingSecs.P50), seconds(t.ProcessingSecs.P95),
	}
}

// columns are the widths of those that fit: the name gives way first, and then the last ones are left out rather than shown in part.
func (m top) columns(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], width(cell))
		}
	}
	for {
		rest := 0
		for _, w := range widths[1:] {
			rest += len(gap) + w
		}
		if name := min(m.width-rest, widths[0], mostName); name >= min(leastName, widths[0]) || len(widths) == 1 {
			widths[0] = max(name, 1)
			return widths
		}
		widths = widths[:len(widths)-1]
	}
}

// gap stands between columns.
const gap = "  "

// line lays a row out in columns of these widths, the first to the left and numbers to the right.
func line(row []string, widths []int) string {
	var b strings.Builder
	for i, w := range widths {
		if i == 0 {
			b.WriteString(pad(row[0], w))
			continue
		}
		b.WriteString(gap + strings.Repeat(" ", max(0, w-width(row[i]))) + row[i])
	}
	return b.String()
}
