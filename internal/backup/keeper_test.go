package backup_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/schedule"
	"github.com/prismq/thequeue/internal/task"
)

// hand is a clock that is moved by hand.
type hand struct {
	mu  sync.Mutex
	now time.Time
}

func (h *hand) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hand) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// eventually asks every few milliseconds until the answer is yes.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for !is() {
		select {
		case <-late:
			t.Fatalf("%s: not in time", what)
		case <-tick.C:
		}
	}
}

// keep runs a keeper until the test ends, or what is returned is called.
func keep(t *testing.T, k *backup.Keeper) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (r *rig) has(want ...string) func() bool {
	return func() bool {
		list, err := r.List()
		return err == nil && slices.Equal(names(list), want)
	}
}

// A server makes the first backup at once, the next when the time since the newest is over, also over a restart, and keeps the newest of its own.
func TestBackupsAreMadeByTheirPlan(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	clock := &hand{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	r.Now = clock.Now
	plan := backup.Plan{Every: time.Hour, Keep: 2}
	again := func() func() {
		return keep(t, backup.NewKeeper(r.Directory, plan, false, slog.New(slog.DiscardHandler)))
	}
	stop := again()
	eventually(t, "the first is made", r.has("thequeue-20260301T120000.000Z"))
	stop()
	r.create(backup.Options{Name: "mine"})
	clock.advance(59 * time.Minute)
	k := backup.NewKeeper(r.Directory, plan, false, slog.New(slog.DiscardHandler))
	stop = keep(t, k)
	if _, err := k.Start("asked"); err != nil { // and by then the plan has been looked at
		t.Fatal(err)
	}
	eventually(t, "the one that was asked for is made", r.has("asked", "thequeue-20260301T120000.000Z", "mine"))
	stop()
	for range 2 {
		clock.advance(time.Hour)
		stop = again()
		at := "thequeue-" + clock.Now().Format("20060102T150405.000Z")
		eventually(t, at, func() bool { b, err := r.Latest(); return err == nil && b.Name == at })
		stop()
	}
	eventually(t, "the oldest of its own is gone, those of people stay", r.has("thequeue-20260301T145900.000Z", "thequeue-20260301T135900.000Z", "asked", "mine"))
}

func TestBackupsAreMadeAtTimesOfACronExpression(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	clock := &hand{now: time.Date(2026, 3, 1, 2, 59, 59, 990e6, time.UTC)}
	r.Now = clock.Now
	rule, err := schedule.Parse("0 3 * * *", time.UTC)
	r.ok(err)
	k := backup.NewKeeper(r.Directory, backup.Plan{Cron: &rule}, false, slog.New(slog.DiscardHandler))
	keep(t, k)
	if list, err := r.List(); err != nil || len(list) != 0 {
		t.Errorf("before its time: %v, %v", list, err)
	}
	clock.advance(20 * time.Millisecond)
	eventually(t, "it is made", r.has("thequeue-20260301T030000.010Z"))
}

// A scheduled backup that fails is a problem until one has been made; one that was asked for says itself what has become of it.
func TestAFailedBackupIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	clock := &hand{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	r.Now = clock.Now
	r.ok(os.WriteFile(r.Path, []byte("in the way"), 0o600))
	k := backup.NewKeeper(r.Directory, backup.Plan{Every: time.Minute}, false, slog.New(slog.DiscardHandler))
	if p := k.Problems(); len(p) != 0 {
		t.Errorf("before the first: %v", p)
	}
	stop := keep(t, k)
	eventually(t, "it fails", func() bool { return len(k.Problems()) == 1 })
	p := k.Problems()[0]
	if p.Code != task.ProblemBackupFailed || p.Severity != task.Ill || !strings.Contains(p.Message, "of 2026-03-01T12:00:00Z failed: ") || !strings.Contains(p.Message, r.Path) || !strings.Contains(p.Message, "There is none") {
		t.Errorf("got %+v", p)
	}
	stop()
	r.ok(os.Remove(r.Path))
	r.ok(os.Mkdir(r.Path, 0o700))
	clock.advance(10 * time.Second)
	keep(t, k)
	eventually(t, "it is made", func() bool { return len(k.Problems()) == 0 })
	if s, err := k.State(); err != nil || s.Count != 1 || s.Failing || s.Newest == nil || s.Bytes != s.Newest.SizeBytes || s.Took <= 0 {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestABackupThatIsAskedForIsFollowed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	k := backup.NewKeeper(r.Directory, backup.Plan{}, true, slog.New(slog.DiscardHandler))
	b, err := k.Start("a")
	if r.ok(err); b.State != task.BackupRunning || b.File != "a.db.zst" {
		t.Errorf("got %+v", b)
	}
	if got, err := k.Get("a"); err != nil || got != b {
		t.Errorf("got %+v, %v", got, err)
	}
	if list, err := k.List(); err != nil || len(list) != 0 {
		t.Errorf("it counts as whole: %v, %v", list, err)
	}
	if _, err := k.Start("b"); !errors.Is(err, task.ErrConflict) || !strings.Contains(err.Error(), "backup a is being made") {
		t.Errorf("a second one: %v", err)
	}
	keep(t, k)
	eventually(t, "it is whole", func() bool { b, err := k.Get("a"); return err == nil && b.State == task.BackupComplete })
	if _, err := k.Start("a"); !errors.Is(err, task.ErrConflict) {
		t.Errorf("the same name: %v", err)
	}
	r.stop() // nothing of the file can be had any more
	r.ok(os.Remove(r.database))
	_, err = k.Start("c")
	r.ok(err)
	eventually(t, "it fails", func() bool {
		b, err := k.Get("c")
		return err == nil && b.State == task.BackupFailed && b.ErrorMessage != nil
	})
	if _, err := k.Get("d"); !errors.Is(err, task.ErrNotFound) {
		t.Errorf("one that never was: %v", err)
	}
}
