package storetest

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

var databaseBehaviours = []behaviour{
	{"StatsNameEveryTable", statsNameEveryTable},
	{"CheckpointTakesEveryMode", checkpointTakesEveryMode},
	{"VacuumGivesBackWhatIsFree", vacuumGivesBackWhatIsFree},
	{"VacuumStopsEarly", vacuumStopsEarly},
	{"FullVacuumKeepsEverything", fullVacuumKeepsEverything},
	{"AnalyzeIsOfOneOrAllOrTheOutdated", analyzeIsOfOneOrAllOrTheOutdated},
	{"AnalyzeStopsEarly", analyzeStopsEarly},
	{"IntegrityIsCheckedOrSaidNotToBe", integrityIsCheckedOrSaidNotToBe},
}

// progress keeps what was told, and reports what must not be.
type progress struct {
	*rig
	all []task.Progress
}

func (p *progress) tell(now task.Progress) {
	p.Helper()
	if now.Total < 1 || now.Done < 0 || now.Done > now.Total {
		p.Errorf("impossible progress: %+v", now)
	}
	if n := len(p.all); n > 0 && p.all[n-1].Total == now.Total && p.all[n-1].Done > now.Done {
		p.Errorf("progress goes back from %+v to %+v", p.all[n-1], now)
	}
	p.all = append(p.all, now)
}

func (r *rig) sizes() task.DatabaseStats {
	r.Helper()
	d, err := r.st.DatabaseStats(r.Context())
	r.ok(err)
	return d
}

// hollow leaves pages behind that hold nothing.
func (r *rig) hollow() (kept task.Task) {
	r.Helper()
	kept = r.insert(task.Spec{Type: "kept", Payload: task.JSON(`{"x":"kept"}`)})
	for _, t := range r.insertMany(100, task.Spec{Type: "gone", Payload: task.JSON(`{"x":"` + strings.Repeat("x", 25_000) + `"}`)}) {
		_, _, err := r.st.CancelTask(r.Context(), t.ID, start)
		r.ok(err)
	}
	for after, more := int64(0), true; more; more = after > 0 {
		var err error
		_, after, err = r.st.PurgeTasks(r.Context(), "gone", task.Failed, at(1), after, 500)
		r.ok(err)
	}
	return kept
}

func statsNameEveryTable(r *rig) {
	r.insertMany(3, task.Spec{})
	d := r.sizes()
	var names []string
	for _, t := range d.Tables {
		names = append(names, t.Name)
		if d.Engine == "sqlite" && t.Name == "task_queue" && (t.Rows == nil || *t.Rows != 3 || t.Estimated) {
			r.Errorf("task_queue has %+v", t)
		}
		if d.Engine == "postgres" && (t.Bytes == nil || *t.Bytes <= 0 || t.DeadRows == nil) {
			r.Errorf("sizes of %s: %+v", t.Name, t)
		}
	}
	r.equal("tables", store.Tables, names)
	if d.Version == "" || d.Bytes <= 0 || d.PageBytes <= 0 || d.Running != nil {
		r.Errorf("sizes: %+v", d)
	}
	if d.Engine == "sqlite" && (*d.AutoVacuum != "incremental" || *d.Pages*d.PageBytes != d.Bytes || *d.WALBytes <= 0 || *d.DiskFree <= 0) {
		r.Errorf("sizes of a file: %+v", d)
	}
}

func checkpointTakesEveryMode(r *rig) {
	r.insert(task.Spec{})
	for _, mode := range task.CheckpointModes {
		c, err := r.st.Checkpoint(r.Context(), mode)
		r.ok(err)
		switch {
		case c.Mode != mode || c.Busy:
			r.Errorf("%s: %+v", mode, c)
		case c.LogPages == nil && c.Note == "":
			r.Errorf("%s: neither pages nor a note: %+v", mode, c)
		case c.LogPages != nil && *c.LogPages != *c.CheckpointedPages:
			r.Errorf("%s: %d of %d pages", mode, *c.CheckpointedPages, *c.LogPages)
		}
		if r.insert(task.Spec{}); mode == task.CheckpointPassive && c.LogPages != nil && *c.LogPages == 0 {
			r.Error("nothing was in the log")
		}
	}
	if d := r.sizes(); d.Engine == "sqlite" {
		_, err := r.st.Checkpoint(r.Context(), task.CheckpointTruncate)
		r.ok(err)
		if d = r.sizes(); *d.WALBytes != 0 {
			r.Errorf("the log has %d bytes after truncate", *d.WALBytes)
		}
	}
	_, err := r.st.Checkpoint(r.Context(), "half")
	if _, ok := errors.AsType[*task.InvalidError](err); !ok {
		r.Errorf("an unknown mode: %v", err)
	}
}

func vacuumGivesBackWhatIsFree(r *rig) {
	kept := r.hollow()
	p := &progress{rig: r}
	v, err := r.st.Vacuum(r.Context(), p.tell)
	r.ok(err)
	if v.Stopped || v.Full || v.BytesAfter <= 0 || len(p.all) == 0 {
		r.Errorf("got %+v after %v", v, p.all)
	}
	if v.FreePages != nil && (*v.FreePages != 0 || *v.FreedPages < 500 || v.BytesBefore-v.BytesAfter < 2<<20) {
		r.Errorf("%d pages given back, %d left, %d bytes less", *v.FreedPages, *v.FreePages, v.BytesBefore-v.BytesAfter)
	}
	if got := r.claimOne(task.Claim{}); got.ID != kept.ID {
		r.Errorf("claimed task %d, want %d", got.ID, kept.ID)
	}
}

// stopping ends the context that it returns when it is told for the first time.
func (r *rig) stopping() (ctx context.Context, tell func(task.Progress)) {
	ctx, stop := context.WithCancel(r.Context())
	r.Cleanup(stop)
	return ctx, func(task.Progress) { stop() }
}

func vacuumStopsEarly(r *rig) {
	r.hollow()
	v, err := r.st.Vacuum(r.stopping())
	r.ok(err)
	if !v.Stopped || v.FreePages != nil && *v.FreePages == 0 {
		r.Errorf("got %+v", v)
	}
	if v, err = r.st.Vacuum(r.Context(), func(task.Progress) {}); err != nil || v.Stopped || v.FreePages != nil && *v.FreePages != 0 {
		r.Errorf("the next one: %+v, %v", v, err)
	}
}

func fullVacuumKeepsEverything(r *rig) {
	kept := r.hollow()
	cost, err := r.st.VacuumCost(r.Context())
	r.ok(err)
	if cost.Bytes <= 0 || cost.NeedsBytes <= 0 || cost.EstimatedSeconds <= 0 || cost.Message == "" {
		r.Errorf("the cost is %+v", cost)
	}
	v, err := r.st.FullVacuum(r.Context(), (&progress{rig: r}).tell)
	r.ok(err)
	if v.Stopped || !v.Full || v.FreePages != nil && (*v.FreePages != 0 || v.BytesBefore-v.BytesAfter < 2<<20) {
		r.Errorf("got %+v", v)
	}
	for _, t := range r.sizes().Tables {
		if t.Name == "task_queue" && t.DeadRows != nil && *t.Bytes > 400<<10 {
			r.Errorf("task_queue has %d bytes", *t.Bytes)
		}
	}
	if got := r.claimOne(task.Claim{}); got.ID != kept.ID || got.Payload != kept.Payload {
		r.Errorf("claimed task %d with %s, want %d", got.ID, got.Payload, kept.ID)
	}
	if r.insert(task.Spec{}).ID <= kept.ID {
		r.Error("an id was given again")
	}
}

func analyzeIsOfOneOrAllOrTheOutdated(r *rig) {
	quiet := func(task.Progress) {}
	r.insert(task.Spec{})
	a, err := r.st.Analyze(r.Context(), "", quiet)
	r.ok(err)
	r.insertMany(1000, task.Spec{})
	if a, err = r.st.Analyze(r.Context(), store.OutdatedTables, quiet); err != nil || !slices.Contains(a.Tables, "task_queue") && r.sizes().Engine == "sqlite" { // PostgreSQL tells its other sessions of changes with a delay
		r.Errorf("outdated are %q, %v", a.Tables, err)
	}
	p := &progress{rig: r}
	a, err = r.st.Analyze(r.Context(), "", p.tell)
	r.ok(err)
	r.equal("tables", store.Tables, a.Tables)
	if len(p.all) < 2 || a.Stopped {
		r.Errorf("got %+v after %v", a, p.all)
	}
	if a, err = r.st.Analyze(r.Context(), store.OutdatedTables, quiet); err != nil || len(a.Tables) > 0 {
		r.Errorf("outdated after all were analyzed: %q, %v", a.Tables, err)
	}
	if a, err = r.st.Analyze(r.Context(), "workers", quiet); err != nil || len(a.Tables) != 1 || a.Tables[0] != "workers" {
		r.Errorf("of one: %q, %v", a.Tables, err)
	}
	_, err = r.st.Analyze(r.Context(), "nothing; DROP TABLE workers", quiet)
	if bad, ok := errors.AsType[*task.InvalidError](err); !ok || bad.Fields[0].Field != "table" {
		r.Errorf("of an unknown one: %v", err)
	}
}

func analyzeStopsEarly(r *rig) {
	ctx, tell := r.stopping()
	a, err := r.st.Analyze(ctx, "", tell)
	r.ok(err)
	if !a.Stopped || len(a.Tables) >= len(store.Tables) {
		r.Errorf("got %+v", a)
	}
}

func integrityIsCheckedOrSaidNotToBe(r *rig) {
	r.insertMany(100, task.Spec{})
	p := &progress{rig: r}
	c, err := r.st.CheckIntegrity(r.Context(), p.tell)
	r.ok(err)
	if len(c.Problems) > 0 || c.Stopped {
		r.Errorf("got %+v", c)
	}
	if c.OK == nil && c.Note == "" || c.OK != nil && (!*c.OK || !slices.Equal(c.Checked, store.Tables) || len(p.all) == 0) {
		r.Errorf("got %+v after %v", c, p.all)
	}
	ctx, tell := r.stopping()
	if c, err = r.st.CheckIntegrity(ctx, tell); err != nil || c.Note == "" && (!c.Stopped || c.OK != nil) {
		r.Errorf("stopped: %+v, %v", c, err)
	}
}
