package storetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// tellsALife has everything happen to a task that can.
func tellsALife(r *rig) {
	t := r.insert(task.Spec{MaxAttempts: ptr(2)})
	t = r.claimOne(task.Claim{Now: at(1), Lease: time.Minute})
	_, err := r.st.StartTask(r.Context(), t.ID, token(t), at(2))
	r.ok(err)
	r.log(t, task.Log{AtUTC: at(2), Level: task.Info, Message: "half way"})
	r.fail(t, retryAt(at(3)), at(3))
	t = r.claimOne(task.Claim{Now: at(4), WorkerID: "w2"})
	_, err = r.st.ReleaseTask(r.Context(), t.ID, token(t), at(5), at(5))
	r.ok(err)
	t = r.claimOne(task.Claim{Now: at(6)})
	_, err = r.st.ReleaseTask(r.Context(), t.ID, token(t), at(8.5), at(7))
	r.ok(err)
	r.promote(at(9))
	r.claimOne(task.Claim{Now: at(9), Lease: time.Second})
	r.reap(at(20))
	r.requeue(t.ID, at(21))
	t = r.claimOne(task.Claim{Now: at(22)})
	r.fail(t, verdict(`no "<&>"`, task.Rejected), at(23))
	r.requeue(t.ID, at(24))
	r.cancel(t.ID, at(25))
	r.requeue(t.ID, at(26))
	t = r.claimOne(task.Claim{Now: at(27)})
	r.cancel(t.ID, at(28))
	r.requeue(t.ID, at(29))
	t = r.claimOne(task.Claim{Now: at(30), Lease: time.Second})
	r.reap(at(40))
	t = r.claimOne(task.Claim{Now: at(41), Lease: time.Minute})
	r.complete(t, at(42))
	var got []string
	for _, l := range r.logs(t.ID) {
		details := ""
		if l.Details != nil {
			details = " " + string(*l.Details)
		}
		got = append(got, fmt.Sprintf("%g %d %s %s%s", l.AtUTC.Sub(start).Seconds(), l.Fence, l.Level, l.Message, details))
	}
	r.equal("lines", strings.Split(life, "\n"), got)

	late := r.insert(task.Spec{Type: "late", DeadlineUTC: &task.Time{Time: at(50)}})
	r.expire(at(51))
	lines := r.logs(late.ID)
	r.equal("of a task that has expired", []string{
		"Enqueued", "Expired", `{"event":"expired","outcome":"expired","error_message":"Deadline passed before the task could run"}`,
	}, []string{lines[0].Message, lines[1].Message, string(*lines[1].Details)})
}

const life = `0 0 info Enqueued {"event":"enqueued"}
1 1 info Claimed by w1 {"event":"claimed","worker_id":"w1","attempt":1,"fence":1}
2 1 info Started by w1 {"event":"started","worker_id":"w1","attempt":1,"fence":1}
2 1 info half way
3 1 warning Attempt 1 of 2 failed, another follows {"event":"retry","worker_id":"w1","attempt":1,"fence":1,"run_after_utc":"2026-01-31T08:00:03.123456Z","error_message":"again"}
4 2 info Claimed by w2 {"event":"claimed","worker_id":"w2","attempt":2,"fence":2}
5 2 info Handed back by w2 {"event":"released","worker_id":"w2","attempt":2,"fence":2,"run_after_utc":"2026-01-31T08:00:05.123456Z"}
6 3 info Claimed by w1 {"event":"claimed","worker_id":"w1","attempt":2,"fence":3}
7 3 info Snoozed by w1 {"event":"released","worker_id":"w1","attempt":2,"fence":3,"run_after_utc":"2026-01-31T08:00:08.623456Z"}
9 4 info Claimed by w1 {"event":"claimed","worker_id":"w1","attempt":2,"fence":4}
20 4 warning Lost by w1 {"event":"lost","worker_id":"w1","attempt":2,"fence":4,"error_message":"Lease expired: worker w1 did not report in time (attempt 2 of 2)"}
20 4 error Failed: exhausted {"event":"failed","worker_id":"w1","attempt":2,"fence":4,"outcome":"exhausted","error_message":"Lease expired: worker w1 did not report in time (attempt 2 of 2)"}
21 4 info Requeued by an operator {"event":"requeued","outcome":"exhausted","attempts":2}
22 5 info Claimed by w1 {"event":"claimed","worker_id":"w1","attempt":1,"fence":5}
23 5 error Failed: rejected {"event":"failed","worker_id":"w1","attempt":1,"fence":5,"outcome":"rejected","error_message":"no \"<&>\""}
24 5 info Requeued by an operator {"event":"requeued","outcome":"rejected","attempts":1}
25 5 info Cancelled {"event":"cancelled","outcome":"cancelled"}
26 5 info Requeued by an operator {"event":"requeued","outcome":"cancelled","attempts":0}
27 6 info Claimed by w1 {"event":"claimed","worker_id":"w1","attempt":1,"fence":6}
28 6 info Cancelled {"event":"cancelled","worker_id":"w1","attempt":1,"fence":6,"outcome":"cancelled"}
29 6 info Requeued by an operator {"event":"requeued","outcome":"cancelled","attempts":1}
30 7 info Claimed by w1 {"event":"claimed","worker_id":"w1","attempt":1,"fence":7}
40 7 warning Lost by w1 {"event":"lost","worker_id":"w1","attempt":1,"fence":7,"error_message":"Lease expired: worker w1 did not report in time (attempt 1 of 2)"}
41 8 info Claimed by w1 {"event":"claimed","worker_id":"w1","attempt":2,"fence":8}
42 8 info Completed by w1 {"event":"completed","worker_id":"w1","attempt":2,"fence":8}`

// walk has things happen to one task at random, and notes what its log is to say. The clock stands still or goes back a little, as those of several servers do.
type walk struct {
	*rig
	rnd  *rand.Rand
	task task.Task
	now  float64
	want []string // names of events, and words of workers
}

func (w *walk) tick() time.Time {
	w.now += []float64{0, 0, 0.000001, -0.002, 0.5}[w.rnd.IntN(5)]
	return at(w.now)
}

func (w *walk) step() {
	t, events := w.task, []task.EventName(nil)
	switch {
	case t.Status == task.Failed:
		w.requeue(t.ID, w.tick())
		events = append(events, task.EventRequeued)
	case t.Status == task.Queued && w.rnd.IntN(6) == 0:
		w.cancel(t.ID, w.tick())
		events = append(events, task.EventCancelled)
	case t.Status == task.Queued:
		w.now = max(w.now, t.RunAfterUTC.Sub(start).Seconds()+0.001)
		w.promote(at(w.now))
		if len(w.claim(task.Claim{Now: at(w.now), Lease: time.Second, WorkerID: fmt.Sprint("w", w.rnd.IntN(3))})) > 0 {
			events = append(events, task.EventClaimed)
		}
	default:
		switch w.rnd.IntN(8) {
		case 0:
			_, err := w.st.StartTask(w.Context(), t.ID, token(t), w.tick())
			w.ok(err)
			events = append(events, task.EventStarted)
		case 1:
			w.fail(t, retryAt(at(w.now)), w.tick())
			events = append(events, task.EventRetry)
		case 2:
			w.release(t, w.tick())
			events = append(events, task.EventReleased)
		case 3:
			w.fail(t, verdict("no", task.Exhausted), w.tick())
			events = append(events, task.EventFailed)
		case 4:
			w.now += 2
			w.reap(at(w.now))
			if events = append(events, task.EventLost); t.Attempts == t.MaxAttempts {
				events = append(events, task.EventFailed)
			}
		case 5:
			w.cancel(t.ID, w.tick())
			events = append(events, task.EventCancelled)
		default:
			words := fmt.Sprint("word ", len(w.want))
			w.log(t, task.Log{AtUTC: w.tick(), Level: task.Levels[w.rnd.IntN(4)], Message: words})
			w.want = append(w.want, words)
		}
	}
	for _, e := range events {
		w.want = append(w.want, string(e))
	}
	w.task = w.get(t.ID)
}

// lineName is what walk calls a line.
func lineName(l task.Log) string {
	if l.Event != nil {
		return string(*l.Event)
	}
	return l.Message
}

// pagesExactly reads the log of a task page by page while it grows, by some readers, of which one wants one level alone: each gets every line once and in order.
func pagesExactly(r *rig) {
	for seed := range uint64(8) {
		w := &walk{rig: r, rnd: rand.New(rand.NewPCG(seed, 2)), task: r.insertAt(task.Spec{MaxAttempts: ptr(3)}, start), want: []string{"enqueued"}}
		type reader struct {
			level task.Level
			after int64
			got   []task.Log
		}
		readers := []*reader{{}, {}, {level: task.Info}, {level: task.Warning}}
		read := func(p *reader, limit int) int {
			ls, err := r.st.ListLogs(r.Context(), task.LogFilter{TaskID: w.task.ID, After: p.after, Level: p.level, Limit: limit})
			r.ok(err)
			for _, l := range ls {
				if l.LogID <= p.after {
					r.Fatalf("seed %d: line %d comes after %d", seed, l.LogID, p.after)
				}
				p.after = l.LogID
			}
			p.got = append(p.got, ls...)
			return len(ls)
		}
		for range 60 {
			w.step()
			if p := readers[w.rnd.IntN(len(readers))]; w.rnd.IntN(3) > 0 {
				read(p, 1+w.rnd.IntN(4))
			}
			if w.task.Status == task.Processing && w.rnd.IntN(40) == 0 {
				break
			}
		}
		if w.task.Status == task.Processing {
			r.complete(w.task, w.tick())
			w.want = append(w.want, "completed")
		}
		all := r.logs(w.task.ID)
		var names []string
		for _, l := range all {
			names = append(names, lineName(l))
		}
		r.equal(fmt.Sprint("lines of seed ", seed), w.want, names)
		for _, p := range readers {
			for limit := 1; read(p, limit) == limit; limit = 1 + w.rnd.IntN(4) {
			}
			var want []task.Log
			for _, l := range all {
				if p.level == "" || l.Level == p.level {
					want = append(want, l)
				}
			}
			r.equal(fmt.Sprintf("pages of seed %d, level %q", seed, p.level), want, p.got)
		}
		if w.task.Status == task.Queued {
			r.cancel(w.task.ID, at(w.now)) // so that it is not claimed in the place of the next
		}
	}
}

// listsRecent pages through the lines of all tasks by every filter.
func listsRecent(r *rig) {
	var all []task.RecentLog // newest first
	for i := range 12 {
		kind := []string{"a", "b", "c"}[i%3]
		t := r.running(task.Spec{Type: kind})
		for n := range 2 {
			l := r.log(t, task.Log{AtUTC: at(float64(10 + i/2)), Level: task.Levels[(i+n)%4], Message: fmt.Sprint("Line ", i, n)})
			all = append(all, task.RecentLog{Log: l, Type: kind})
		}
		r.complete(t, at(20))
	}
	slices.SortFunc(all, func(a, b task.RecentLog) int {
		return cmp.Or(cmp.Compare(b.LogID, a.LogID), cmp.Compare(b.TaskID, a.TaskID))
	})
	one := all[5].TaskID
	for _, f := range []task.RecentLogFilter{
		{}, {Level: task.Error}, {Type: "b"}, {Type: "none"}, {Word: "LINE 1"}, {TaskID: one}, {TaskID: one, Level: task.Debug}, {Since: at(12), Until: at(14)}, {Since: at(12), Type: "c", Level: task.Info}, {Until: at(11), TaskID: one},
	} {
		var want []task.RecentLog
		for _, l := range all {
			when := time.UnixMicro(l.LogID)
			if (f.Level == "" || f.Level == l.Level) && (f.Type == "" || f.Type == l.Type) && (f.TaskID == 0 || f.TaskID == l.TaskID) && !when.Before(f.Since) &&
				(f.Until.IsZero() || when.Before(f.Until)) && strings.Contains(strings.ToLower(l.Message), strings.ToLower(f.Word)) {
				want = append(want, l)
			}
		}
		for _, limit := range []int{1, 3, 100} {
			f := f
			f.Limit = limit
			var got []task.RecentLog
			for more := true; more; {
				page, next, err := r.st.ListRecentLogs(r.Context(), f)
				r.ok(err)
				if got = append(got, page...); len(page) > limit {
					r.Errorf("%d lines, want %d at most", len(page), limit)
				}
				if more = next != nil; more {
					f.Before = *next
				}
			}
			r.equal(fmt.Sprintf("%+v", f), want, got)
		}
	}
}

// purgesLogs deletes old lines in steps, and leaves what a task tells of itself.
func purgesLogs(r *rig) {
	t := r.running(task.Spec{})
	for i := range 20 {
		r.log(t, task.Log{AtUTC: at(float64(10 + i)), Level: task.Levels[i%4], Message: fmt.Sprint(i)})
	}
	n, err := r.st.CountLogs(r.Context(), at(22))
	r.ok(err)
	r.equal("counted", int64(12), n)
	total := 0
	for {
		n, err := r.st.PurgeLogs(r.Context(), at(22), 2)
		if r.ok(err); n == 0 {
			break
		}
		if total += n; n > 2 {
			r.Errorf("%d lines in one step, want 2 at most", n)
		}
	}
	r.equal("deleted", 12, total)
	r.equal("left", 8, len(r.written(t.ID)))
	r.complete(t, at(40))
	r.equal("told", []task.EventName{task.EventEnqueued, task.EventClaimed, task.EventCompleted}, r.told(t.ID))
}
