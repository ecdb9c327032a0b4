package storetest

import (
	"slices"

	"github.com/prismq/thequeue/internal/task"
)

var listBehaviours = []behaviour{
	{"AreNewestFirst", listsNewestFirst},
	{"FilterByStatusAndType", listsFilter},
	{"MixTheLanesOfATypeInTheOrderOfIDs", listsMixLanes},
	{"AreEmptyWhenNothingMatches", listsEmpty},
	{"PageByTheLastIDWhileTasksArrive", listsPage},
}

func listsNewestFirst(r *rig) {
	want := r.insertMany(10, task.Spec{})
	slices.Reverse(want)
	r.equal("tasks", want, r.list(task.Filter{Limit: 100}))
	r.equal("first three", want[:3], r.list(task.Filter{Limit: 3}))
	r.equal("below", want[4:], r.list(task.Filter{Before: want[3].ID, Limit: 100}))
	r.equal("two below", want[4:6], r.list(task.Filter{Before: want[3].ID, Limit: 2}))
}

func listsFilter(r *rig) {
	var all []task.Task
	for range 2 {
		for _, s := range states {
			all = append(all, s.reach(r))
		}
	}
	for i := range all {
		all[i] = r.get(all[i].ID)
	}
	slices.Reverse(all)
	for _, status := range append(task.Statuses, "") {
		for _, kind := range []string{"", "ready", "expired", "none", "Ready"} {
			for _, before := range []int64{0, all[3].ID} {
				var want []task.Task
				for _, t := range all {
					if (status == "" || t.Status == status) && (kind == "" || t.Type == kind) && (before == 0 || t.ID < before) {
						want = append(want, t)
					}
				}
				f := task.Filter{Status: status, Type: kind, Before: before, Limit: 100}
				r.equal("tasks", ids(want), ids(r.list(f)))
				f.Limit = 1
				r.equal("first task", ids(want[:min(1, len(want))]), ids(r.list(f)))
			}
		}
	}
	r.equal("tasks", all, r.list(task.Filter{Limit: 100}))
}

// listsMixLanes spreads three types over four priorities and every status, and reads each list in pages.
func listsMixLanes(r *rig) {
	types := []string{"a", "b", "c"}
	spec := func(i int) task.Spec { return task.Spec{Type: types[i%7%3], Priority: ptr(1 + i*i%4)} }
	for i := range 60 {
		switch s := spec(i); i * 11 % 5 {
		case 0:
			r.insert(s)
		case 1:
			s.RunAfterUTC = &task.Time{Time: at(3600)}
			r.insert(s)
		case 2:
			r.cancel(r.insert(s).ID, start)
		default:
			t := r.insert(s)
			for _, held := range r.claim(task.Claim{Types: []string{s.Type}, Strategy: task.LIFO}) {
				r.equal("claimed", t.ID, held.ID)
				if i%5 != 3 {
					r.complete(held, start)
				}
			}
		}
	}
	all := r.list(task.Filter{Limit: 1000})
	r.equal("tasks", 60, len(all))
	for _, status := range append(task.Statuses, "") {
		for _, kind := range append(types, "") {
			var want, got []task.Task
			for _, t := range all {
				if (status == "" || t.Status == status) && (kind == "" || t.Type == kind) {
					want = append(want, t)
				}
			}
			f := task.Filter{Status: status, Type: kind, Limit: 4}
			for page := r.list(f); len(page) > 0; page = r.list(f) {
				r.equal("full page", min(f.Limit, len(want)-len(got)), len(page))
				got = append(got, page...)
				f.Before = page[len(page)-1].ID
			}
			r.equal("tasks of "+string(status)+" "+kind, ids(want), ids(got))
		}
	}
}

func listsEmpty(r *rig) {
	r.equal("tasks", 0, len(r.list(task.Filter{Limit: 10})))
	t := r.insert(task.Spec{})
	r.equal("completed tasks", 0, len(r.list(task.Filter{Status: task.Completed, Limit: 10})))
	r.equal("tasks below the first", 0, len(r.list(task.Filter{Before: t.ID, Limit: 10})))
}

func listsPage(r *rig) {
	want := r.insertMany(25, task.Spec{})
	slices.Reverse(want)
	var got []task.Task
	f := task.Filter{Limit: 10}
	for {
		page := r.list(f)
		got = append(got, page...)
		if len(page) < f.Limit {
			break
		}
		f.Before = page[len(page)-1].ID
		r.insertMany(3, task.Spec{})
	}
	r.equal("tasks", ids(want), ids(got))
}
