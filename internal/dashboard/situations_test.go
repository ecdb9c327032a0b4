package dashboard_test

import (
	"context"
	"html"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// wantTrouble reports unless the overview tells one problem, and tells it first: its code and severity, the words, and the link to where it can be dealt with.
func (r rig) wantTrouble(severity, code, words, link string) {
	r.Helper()
	status, body := r.get("/")
	if status != http.StatusOK {
		r.Fatalf("overview: %d %s", status, body)
	}
	_, list, ok := strings.Cut(body, `<ul class="problems"`)
	if !ok {
		r.Fatalf("the overview tells no problem:\n%s", body)
	}
	if before, _, _ := strings.Cut(body, `<ul class="problems"`); strings.Contains(before, "tiles") {
		r.Error("the problems do not come first")
	}
	list, _, _ = strings.Cut(list, "</ul>")
	list = html.UnescapeString(list)
	if n := strings.Count(list, "<li"); n != 1 {
		r.Errorf("%d problems, want one:\n%s", n, list)
	}
	for _, want := range []string{"<strong>" + severity + "</strong>", code, words, `href="` + link + `"`} {
		if !strings.Contains(list, want) {
			r.Errorf("the overview does not say %q:\n%s", want, list)
		}
	}
}

func (r rig) alive() {
	r.Helper()
	_, err := r.WorkerHeartbeat(r.Context(), "alive", nil, nil)
	r.ok(err)
}

// The overview alone tells what is wrong in each of these situations, and where to go.
func TestOverviewTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, situation := range map[string]func(r rig){
		"nothing": func(r rig) {
			r.alive()
			if _, body := r.get("/"); !strings.Contains(body, "Nothing is wrong.") || strings.Contains(body, `class="problems"`) {
				r.Errorf("a quiet queue:\n%s", body)
			}
		},
		"no workers": func(r rig) {
			r.enqueue(task.Spec{Type: "mail"})
			r.wantTrouble("critical", "no_workers", "1 task is due, and no worker takes any", "/workers")
		},
		"poison task": func(r rig) {
			r.enqueue(task.Spec{Type: "mail"})
			for range 2 {
				r.claim("w")
				r.clock.advance(time.Minute + time.Second)
				_, err := r.Upkeep(r.Context())
				r.ok(err)
			}
			r.wantTrouble("warning", "poison_task", "Task 1 of type mail has lost 2 workers", "/tasks/1")
		},
		"paused type": func(r rig) {
			r.alive()
			r.enqueue(task.Spec{Type: "mail/<b>"})
			_, err := r.PauseType(r.Context(), "mail/<b>")
			r.ok(err)
			r.wantTrouble("warning", "type_paused", "Type mail/<b> is paused, and 1 of its tasks waits", "/types/mail%2F%3Cb%3E")
		},
		"growing backlog": func(r rig) {
			r.alive()
			for range 100 {
				r.enqueue(task.Spec{Type: "mail"})
			}
			r.wantTrouble("warning", "backlog_growing", "100 tasks came in and 0 were done", "/types")
		},
		"failing type": func(r rig) {
			for range 5 {
				r.enqueue(task.Spec{Type: "mail", MaxAttempts: new(1)})
				l := r.claim("w")
				_, err := r.Fail(r.Context(), l.ID, l.LeaseToken, task.Failure{Message: "no"})
				r.ok(err)
			}
			r.wantTrouble("warning", "type_failing", "Of type mail 5 of 5 attempts have failed", "/tasks?filter=status%3Afailed+type%3Amail")
		},
		"stale worker": func(r rig) {
			r.enqueue(task.Spec{Type: "mail"})
			_, err := r.Claim(r.Context(), task.Claim{WorkerID: "gone", Lease: time.Hour})
			r.ok(err)
			r.clock.advance(6 * time.Minute)
			r.alive()
			r.wantTrouble("warning", "worker_stale", "Worker gone was not heard for 6m", "/workers/gone")
		},
		"missed schedule": func(r rig) {
			_, _, err := r.PutSchedule(r.Context(), "nightly", task.ScheduleSpec{Cron: "0 3 * * *", Task: task.Spec{Type: "report"}})
			r.ok(err)
			r.clock.advance(24 * time.Hour)
			r.wantTrouble("critical", "schedule_missed", "The tick of schedule nightly", "/schedules/nightly")
		},
	} {
		t.Run(name, func(t *testing.T) { each(t, situation) })
	}
}

// fullDisk is a store on a disk that is nearly full.
type fullDisk struct{ store.Store }

func (fullDisk) Vitals(context.Context) (store.Vitals, error) {
	return store.Vitals{File: &store.FileVitals{FreeBytes: 100 << 20, DiskBytes: 20 << 30}}, nil
}

func TestOverviewTellsThatTheDiskIsNearlyFull(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := serve(t, fullDisk{st}, nil, queue.Options{})
		r.wantTrouble("critical", "disk_low", "The disk of the database has 100 MiB left of 20480", "/maintenance")
	})
}

// With its first task a queue has more to show than how to begin.
func TestOverviewTeachesTheFirstCommand(t *testing.T) {
	each(t, func(r rig) {
		const lesson = "thequeue enqueue echo --payload"
		if _, body := r.get("/"); !strings.Contains(body, lesson) {
			r.Errorf("an empty queue teaches nothing:\n%s", body)
		}
		if _, body := r.get("/tasks"); !strings.Contains(body, lesson) {
			r.Errorf("an empty list teaches nothing:\n%s", body)
		}
		r.enqueue(task.Spec{Type: "echo"})
		for _, path := range []string{"/", "/tasks"} {
			if _, body := r.get(path); strings.Contains(body, lesson) {
				r.Errorf("%s still teaches", path)
			}
		}
	})
}
