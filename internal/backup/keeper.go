package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/schedule"
	"github.com/prismq/thequeue/internal/task"
)

// DefaultBytesPerSecond is how fast a server writes a backup: what commits of the queue do not feel (measured: docs/decisions/0024).
const DefaultBytesPerSecond = 64 << 20

// againAfter is when a scheduled backup that has failed is tried again, or after a tenth of the time between two, if that is shorter.
const againAfter = 5 * time.Minute

// afterOthers is when it is tried again after somebody else was making one.
const afterOthers = 10 * time.Second

// Plan says when a server makes backups by itself. The zero value: never.
type Plan struct {
	Every time.Duration  // from the beginning of one to the next; 0: not so
	Cron  *schedule.Rule // or at these times; nil: not so
	Keep  int            // how many of those that have no name of their own are kept; 0: DefaultKeep
}

func (p Plan) set() bool { return p.Every > 0 || p.Cron != nil }

// ticksAhead is at how many ticks of a cron expression its longest time between two is looked for: those of some weeks where there is one a day.
const ticksAhead = 32

// interval is the longest time between two backups, from now on; 0: none is planned.
func (p Plan) interval(now time.Time) (longest time.Duration) {
	if p.Cron == nil {
		return p.Every
	}
	at := p.Cron.Next(now)
	for range ticksAhead {
		next := p.Cron.Next(at)
		if at.IsZero() || next.IsZero() {
			break
		}
		longest, at = max(longest, next.Sub(at)), next
	}
	return longest
}

// Keeper makes the backups of a server: by its plan, and when it is asked to. Run must be running. It is safe for concurrent use.
type Keeper struct {
	dir      *Directory
	plan     Plan
	compress bool
	log      *slog.Logger

	asked chan task.Backup // that Run is to make

	mu      sync.Mutex
	busy    bool         // asked for, or being made
	last    *task.Backup // being made, or made last, by this process
	took    time.Duration
	failed  *time.Time // since when scheduled ones fail; nil: they do not
	failure string
	later   time.Time // before that no scheduled one is tried again
	began   time.Time // when Run began
}

// NewKeeper returns the keeper of a directory.
func NewKeeper(dir *Directory, plan Plan, compress bool, log *slog.Logger) *Keeper {
	if plan.Keep == 0 {
		plan.Keep = DefaultKeep
	}
	return &Keeper{dir: dir, plan: plan, compress: compress, log: log, asked: make(chan task.Backup, 1), began: dir.Now()}
}

// Run makes backups until ctx ends. One that is being made then is given up.
func (k *Keeper) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wait := time.NewTimer(k.wait())
		select {
		case <-ctx.Done():
		case b := <-k.asked:
			if err := k.make(ctx, b); err != nil && ctx.Err() == nil {
				k.log.Error("backup", "name", b.Name, "error", err)
			}
		case <-wait.C:
			k.scheduled(ctx)
		}
		wait.Stop()
	}
	return nil
}

// longestWait bounds the time until the next look, as another process may have made a backup.
const longestWait = time.Minute

// wait is how long nothing is due.
func (k *Keeper) wait() time.Duration {
	next, ok := k.next()
	if !ok {
		return time.Hour
	}
	return min(max(next.Sub(k.dir.Now()), time.Millisecond), longestWait)
}

// next is when the next scheduled backup is due; false: never.
func (k *Keeper) next() (time.Time, bool) {
	if !k.plan.set() {
		return time.Time{}, false
	}
	newest, err := k.dir.Latest()
	k.mu.Lock()
	defer k.mu.Unlock()
	var due time.Time
	switch {
	case k.failed != nil:
		due = k.failed.Add(k.again())
	case err != nil && (k.plan.Cron == nil || !errors.Is(err, task.ErrNotFound)): // a directory that cannot be read fails at the try
		due = k.dir.Now()
	case k.plan.Cron == nil:
		due = newest.CreatedAtUTC.Add(k.plan.Every)
	case newest.CreatedAtUTC.After(k.began):
		due = k.plan.Cron.Next(newest.CreatedAtUTC)
	default:
		due = k.plan.Cron.Next(k.began)
	}
	if due.Before(k.later) {
		due = k.later
	}
	return due, true
}

func (k *Keeper) again() time.Duration {
	if k.plan.Every > 0 {
		return min(againAfter, k.plan.Every/10+time.Second)
	}
	return againAfter
}

// scheduled makes the backup that is due, and deletes those that are too many.
func (k *Keeper) scheduled(ctx context.Context) {
	due, ok := k.next()
	if !ok || due.After(k.dir.Now()) {
		return
	}
	b, err := k.begin("")
	if err == nil {
		err = k.make(ctx, b)
	}
	if err == nil {
		if _, left := k.dir.Prune(k.plan.Keep, true, false); left != nil { // no reason for another backup
			k.log.Error("delete old backups", "error", left)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if ctx.Err() != nil || errors.Is(err, task.ErrConflict) { // somebody else is making one
		k.later = k.dir.Now().Add(afterOthers)
		return
	}
	if err == nil {
		k.failed = nil
		return
	}
	k.log.Error("scheduled backup", "error", err)
	now := k.dir.Now()
	k.failed, k.failure = &now, err.Error()
}

// Start begins a backup and returns it as it is being made; Get tells what becomes of it. An empty name: Stamp. ErrConflict while another is being made, or
// when there is one of the name.
func (k *Keeper) Start(name string) (task.Backup, error) {
	b, err := k.begin(name)
	if err == nil {
		k.asked <- b
	}
	return b, err
}

// begin notes that a backup is going to be made.
func (k *Keeper) begin(name string) (task.Backup, error) {
	if name != "" {
		if err := known(name); err != nil {
			return task.Backup{}, err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy {
		return task.Backup{}, fmt.Errorf("%w: backup %s is being made: wait until it is done", task.ErrConflict, k.last.Name)
	}
	b := task.Backup{Name: name, State: task.BackupRunning, CreatedAtUTC: k.dir.Now().UTC(), Compressed: k.compress && !k.dir.Engine.Packed()}
	if name == "" {
		b.Name = Stamp(b.CreatedAtUTC)
	}
	if _, err := k.dir.Get(b.Name); err == nil {
		return task.Backup{}, fmt.Errorf("%w: there is a backup %s already: choose another name", task.ErrConflict, b.Name)
	} else if !errors.Is(err, task.ErrNotFound) {
		return task.Backup{}, err
	}
	if b.File = b.Name + k.dir.Engine.Suffix(); b.Compressed {
		b.File += packed
	}
	k.busy, k.last = true, &b
	return b, nil
}

// make makes what has been begun.
func (k *Keeper) make(ctx context.Context, b task.Backup) error {
	began := clock.Wall()
	made, err := k.dir.Create(ctx, Options{Name: b.Name, Compress: k.compress, BytesPerSecond: DefaultBytesPerSecond, Progress: func(done, total int64) {
		if total > 0 {
			k.progress(int(min(done*95/total, 95)))
		}
	}})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy = false
	if err != nil {
		message := err.Error()
		b.State, b.ErrorMessage = task.BackupFailed, &message
		k.last = &b
		return err
	}
	k.last, k.took = &made, clock.Wall().Sub(began)
	k.log.Info("backup made", "name", made.Name, "bytes", made.SizeBytes, "seconds", k.took.Seconds())
	return nil
}

func (k *Keeper) progress(percent int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := *k.last
	now.Progress = percent
	k.last = &now
}

// List returns the backups that are whole, newest first.
func (k *Keeper) List() ([]task.Backup, error) { return k.dir.List() }

// Get returns a backup: one that is whole, or being made, or, of those that have failed, the last.
func (k *Keeper) Get(name string) (task.Backup, error) {
	last := k.Last()
	if last != nil && last.Name == name && last.State == task.BackupRunning { // until another can be begun
		return *last, nil
	}
	b, err := k.dir.Get(name)
	if errors.Is(err, task.ErrNotFound) && last != nil && last.Name == name && last.State == task.BackupFailed {
		return *last, nil
	}
	return b, err
}

// Last returns the backup that is being made, or was made last, by this process; nil: none was.
func (k *Keeper) Last() *task.Backup {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last
}

// Verify is that of Directory.
func (k *Keeper) Verify(ctx context.Context, name string) (task.Backup, error) {
	return k.dir.Verify(ctx, name, DefaultBytesPerSecond, nil)
}

// Path is where the backups are.
func (k *Keeper) Path() string { return k.dir.Path }

// State is how backups do.
type State struct {
	Newest  *task.Backup  // nil: there is none
	Count   int           // of backups that are whole
	Bytes   int64         // of all of them
	Failing bool          // the last scheduled one has failed
	Took    time.Duration // the last that this process has made; 0: none
	Every   time.Duration // the longest time between two scheduled ones; 0: none is planned
}

// State reads the directory.
func (k *Keeper) State() (State, error) {
	list, err := k.dir.List()
	if err != nil {
		return State{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s := State{Count: len(list), Failing: k.failed != nil, Took: k.took, Every: k.plan.interval(k.dir.Now())}
	for _, b := range list {
		s.Bytes += b.SizeBytes
	}
	if len(list) > 0 {
		s.Newest = &list[0]
	}
	return s, nil
}

// Problems are what is wrong with scheduled backups.
func (k *Keeper) Problems() []task.Problem {
	k.mu.Lock()
	failed, failure := k.failed, k.failure
	k.mu.Unlock()
	if failed == nil {
		return nil
	}
	newest := "There is none"
	if b, err := k.dir.Latest(); err == nil {
		newest = fmt.Sprintf("The newest is %s of %s", b.Name, b.CreatedAtUTC.Format(time.RFC3339))
	}
	return []task.Problem{{Code: task.ProblemBackupFailed, Severity: task.Ill, Message: fmt.Sprintf("The scheduled backup of %s failed: %s. %s. It is tried again by itself.", failed.UTC().Format(time.RFC3339), failure, newest)}}
}
