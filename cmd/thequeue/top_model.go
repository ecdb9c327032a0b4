package main

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/prismq/thequeue/internal/task"
)

// top is what thequeue top knows between two messages. Its methods do no I/O and return a changed copy: what they want done, they return as a command.
type top struct {
	where            string // the server or database, without passwords
	window, interval time.Duration
	plain            bool    // without colours
	look             tea.Cmd // asks the queue; comes back as looked
	rest             tea.Cmd // waits for the interval; comes back as due

	width, height int    // of the terminal; 0: not known yet
	last          looked // the last look that was answered
	now           time.Time
	failure       error // of the last look; nil: it was answered
	asking        bool  // a look or a rest goes on
	paused, help  bool
	tab           tab
	scroll        [tabs]int // first row that is shown

	completed, failed []int64 // how many were in each of the last intervals, oldest first
	counted           bool    // the look before was answered, and the next one can be compared with it
}

// tab is which table is shown.
type tab int

const (
	typesTab tab = iota
	workersTab
	tabs // how many there are
)

// looked is the answer of a queue.
type looked struct {
	at      time.Time // when it had come
	metrics task.Metrics
	workers []task.WorkerStatus
	err     error // nothing but at is set beside it
}

// due says that the interval is over.
type due struct{}

// keepCounts is how many intervals are kept: more than a terminal has columns.
const keepCounts = 512

func (m top) Init() tea.Cmd { return m.rest }

func (m top) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		return m.scrolled(0), nil
	case looked:
		return m.take(msg), m.rest
	case due:
		if m.paused {
			m.asking = false
			return m, nil
		}
		return m, m.look
	case tea.KeyPressMsg:
		return m.press(msg.String())
	}
	return m, nil
}

// press is what a key does.
func (m top) press(key string) (tea.Model, tea.Cmd) {
	switch key {
	case "q", "esc", "ctrl+c":
		return m, tea.Quit
	case "?":
		m.help = !m.help
	case "p":
		return m.pause()
	case "tab":
		m.tab = (m.tab + 1) % tabs
	case "t":
		m.tab = typesTab
	case "w":
		m.tab = workersTab
	case "up", "k":
		return m.scrolled(-1), nil
	case "down", "j":
		return m.scrolled(1), nil
	case "pgup":
		return m.scrolled(-m.page()), nil
	case "pgdown":
		return m.scrolled(m.page()), nil
	}
	return m.scrolled(0), nil
}

// pause stops looking, or goes on at once.
func (m top) pause() (tea.Model, tea.Cmd) {
	m.paused, m.counted = !m.paused, false
	if m.paused || m.asking {
		return m, nil
	}
	m.asking = true
	return m, m.look
}

// scrolled moves the table by so many rows, as far as there are any.
func (m top) scrolled(by int) top {
	last := max(0, m.rows()-m.page())
	m.scroll[m.tab] = min(max(m.scroll[m.tab]+by, 0), last)
	return m
}

// rows is how many the table has, shown or not.
func (m top) rows() int {
	if m.tab == workersTab {
		return len(m.last.workers)
	}
	return len(m.last.metrics.Types)
}

// take is what an answer changes. Without one the last figures stay.
func (m top) take(l looked) top {
	m.now, m.failure = l.at, l.err
	if l.err != nil {
		m.counted = false
		return m.scrolled(0)
	}
	if m.counted {
		completed, failed := ended(m.last.metrics, l.metrics)
		m.completed, m.failed = append(newest(m.completed), completed), append(newest(m.failed), failed)
	}
	m.last, m.counted = l, !m.paused
	return m.scrolled(0)
}

// newest makes room for one more count.
func newest(counts []int64) []int64 {
	return slices.Clone(counts[max(0, len(counts)-keepCounts+1):])
}

// ended is how many tasks have completed and failed between two looks. The counts of a window say it exactly until the window moves on with
// the minute; then what is stored has to tell, which misses what was deleted meanwhile.
func ended(before, now task.Metrics) (completed, failed int64) {
	completed, failed = now.Completed-before.Completed, now.Failed-before.Failed
	if !now.FromUTC.Equal(before.FromUTC) {
		completed, failed = now.Depth.CompletedTasks-before.Depth.CompletedTasks, now.Depth.FailedTasks-before.Depth.FailedTasks
	}
	return max(completed, 0), max(failed, 0)
}
