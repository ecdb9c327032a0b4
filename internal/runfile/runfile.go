package runfile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Bad is a run that cannot be read.
type Bad struct {
	RunID  string `json:"run_id"`
	Reason string `json:"reason"`
}

// entry is what is read of a run.
type entry struct {
	RunID      *string    `json:"run_id"`
	ModuleID   string     `json:"module_id"`
	ModuleName string     `json:"module_name"`
	Status     string     `json:"status"`
	Parameters task.JSON  `json:"parameters"`
	CreatedAt  *task.Time `json:"created_at"`
}

// Read returns the runs of a registry, the oldest first, and those that cannot be read. It takes an object of runs by their id, a list of runs, or an object with such a list under
// runs, as GET /api/runs answers. Of a run id, module, name, status, parameters and time of creation are read; a run without that has the zero time. An error: the file is none.
func Read(r io.Reader) (runs []task.Run, bad []Bad, err error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, fmt.Errorf("read runs: %w", err)
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	list, named, err := split(b)
	if err != nil {
		return nil, nil, fmt.Errorf("read runs: %w", err)
	}
	seen := make(map[string]bool, len(list))
	for i, raw := range list {
		run, err := read(raw, named[i])
		if err == nil && seen[run.RunID] {
			err = errors.New("run_id: is given twice")
		}
		if err != nil {
			bad = append(bad, Bad{cmp.Or(run.RunID, fmt.Sprintf("(number %d)", i+1)), err.Error()})
			continue
		}
		seen[run.RunID] = true
		runs = append(runs, run)
	}
	slices.SortStableFunc(runs, func(a, b task.Run) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return runs, bad, nil
}

// split returns the runs of a file as they are written, and the names under which they stand, empty in a list.
func split(b []byte) (list []json.RawMessage, named []string, err error) {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("[")) {
		err = json.Unmarshal(b, &list)
		return list, make([]string, len(list)), err
	}
	dec := json.NewDecoder(bytes.NewReader(b)) // keeps the order
	if t, err := dec.Token(); err != nil {
		return nil, nil, fmt.Errorf("is no JSON: %w", err)
	} else if t != json.Delim('{') {
		return nil, nil, errors.New("must be a JSON object of runs by their id, or a list of runs")
	}
	var page json.RawMessage // the list under runs; nil: none
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, nil, err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, nil, err
		}
		if name == "runs" && bytes.HasPrefix(raw, []byte("[")) {
			page = raw
			continue
		}
		list, named = append(list, raw), append(named, name.(string))
	}
	if _, err := dec.Token(); err != nil {
		return nil, nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("must end after the runs, but goes on")
	}
	if page == nil {
		return list, named, nil
	}
	for i, raw := range list { // a page has numbers beside its list
		if bytes.HasPrefix(raw, []byte("{")) {
			return nil, nil, fmt.Errorf("has a list under runs, and %q beside it: it must be a list, or runs by their id", named[i])
		}
	}
	list = nil
	err = json.Unmarshal(page, &list)
	return list, make([]string, len(list)), err
}

func read(raw json.RawMessage, name string) (task.Run, error) {
	var e entry
	if err := json.Unmarshal(raw, &e); err != nil {
		return task.Run{RunID: name}, fmt.Errorf("is no run: %w", err)
	}
	r := task.Run{RunID: name, ModuleID: e.ModuleID, ModuleName: cmp.Or(e.ModuleName, e.ModuleID), Status: task.RunStatus(strings.ToLower(e.Status)), Parameters: cmp.Or(e.Parameters, "{}")}
	if e.RunID != nil {
		r.RunID = *e.RunID
	}
	if r.Parameters == "null" {
		r.Parameters = "{}"
	}
	if e.CreatedAt != nil {
		r.CreatedAt = e.CreatedAt.UTC()
	}
	if !slices.Contains(task.RunStatuses, r.Status) {
		return r, fmt.Errorf("status: must be one of queued, running, completed, failed and cancelled, but is %q", e.Status)
	}
	if name != "" && r.RunID != name {
		return r, fmt.Errorf("run_id: is %q, but the run stands under %q", r.RunID, name)
	}
	return r, nil
}

// kept is a run as the registry keeps it.
type kept struct {
	RunID           string         `json:"run_id"`
	ModuleID        string         `json:"module_id"`
	ModuleName      string         `json:"module_name"`
	Status          task.RunStatus `json:"status"`
	CreatedAt       string         `json:"created_at"`
	StartedAt       *string        `json:"started_at"`
	CompletedAt     *string        `json:"completed_at"`
	ProgressPercent *int           `json:"progress_percent"`
	ItemsProcessed  *int64         `json:"items_processed"`
	ItemsTotal      *int64         `json:"items_total"`
	ExitCode        *int           `json:"exit_code"`
	ErrorMessage    *string        `json:"error_message"`
	Parameters      task.JSON      `json:"parameters"`
}

// Writer writes a registry. Close must be called.
type Writer struct {
	w    io.Writer
	some bool
}

// NewWriter begins a registry.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write adds a run, whose id must be unlike that of every other. Times are written with their offset, as Python reads them from 3.7 on.
func (w *Writer) Write(r task.Run) error {
	id, err := json.Marshal(r.RunID)
	if err != nil {
		return err
	}
	body, err := json.MarshalIndent(kept{
		r.RunID, r.ModuleID, r.ModuleName, r.Status, instant(r.CreatedAt), instantOf(r.StartedAt), instantOf(r.CompletedAt), r.ProgressPercent, r.ItemsProcessed, r.ItemsTotal, r.ExitCode,
		r.ErrorMessage, r.Parameters,
	}, "  ", "  ")
	if err != nil {
		return err
	}
	before := "{\n  "
	if w.some {
		before = ",\n  "
	}
	w.some = true
	_, err = fmt.Fprintf(w.w, "%s%s: %s", before, id, body)
	return err
}

// Close ends the registry. It does not close what is written to.
func (w *Writer) Close() error {
	end := "\n}\n"
	if !w.some {
		end = "{}\n"
	}
	_, err := io.WriteString(w.w, end)
	return err
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000+00:00") }

func instantOf(t *time.Time) *string {
	if t == nil {
		return nil
	}
	text := instant(*t)
	return &text
}
