package sqlite

import (
	"cmp"
	"context"
	"time"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/task"
)

// rule is what holds for all lanes of one type. While it is closed none of them is in a view, so that claims never meet them.
type rule struct {
	settings
	taskType string
	lanes    []*lane
	held     int64 // tasks of these lanes in processing
	shut     bool  // the rate or the breaker lets no task be claimed; the next claim after its time opens it
	spent    bool  // the claim under way has taken tokens
}

// settings is what operators have set for a type, and what has become of it. The zero value sets nothing.
type settings struct {
	paused bool
	most   int64           // tasks in processing; 0: no limit
	rate   *task.RateLimit // nil: none
	open   *time.Time      // from when on the rate has a token; nil: it is full
	lease  time.Duration   // of claims that do not say; 0: the default
	perKey *task.KeyRules  // nil: none
	broken *time.Time      // until when the breaker stops claims; after that one task at a time is tried. nil: it does not
}

func settingsOf(t sqlitedb.Type) settings {
	s := settings{paused: t.Paused, rate: t.RateLimit, open: t.RateOpenUTC, broken: t.BreakerUntilUTC}
	if t.MaxConcurrency != nil {
		s.most = int64(*t.MaxConcurrency)
	}
	s.lease, s.perKey = task.Type(t).Lease(0), t.PerKey
	return s
}

// limit is how many tasks may be held; 0: any number.
func (s settings) limit() int64 {
	if s.broken != nil {
		return 1
	}
	return s.most
}

// leaseOf is how long a task lasts that the claim takes.
func (s settings) leaseOf(c task.Claim) time.Duration {
	return cmp.Or(c.Lease, s.lease, task.DefaultLease)
}

// opensAt is the time from which on the rate and the breaker let a task be claimed; the zero time: always.
func (s settings) opensAt() (at time.Time) {
	if s.rate != nil && s.open != nil {
		at = *s.open
	}
	if s.broken != nil && s.broken.After(at) {
		at = *s.broken
	}
	return at
}

// allows reports whether tasks of the type may be claimed now.
func (r *rule) allows() bool {
	limit := r.limit()
	return !r.paused && !r.shut && (limit == 0 || r.held < limit)
}

// rule returns the rule of a type, making one that sets nothing when it is new.
func (s *state) rule(taskType string) *rule {
	r, ok := s.rules[taskType]
	if !ok {
		r = &rule{taskType: taskType}
		s.rules[taskType] = r
	}
	return r
}

// put changes the settings of a type in the operation under way.
func (s *state) put(t sqlitedb.Type) {
	r := s.rule(t.Type)
	s.changes = append(s.changes, change{rule: r, was: r.settings})
	s.set(r, settingsOf(t))
}

func (s *state) set(r *rule, to settings) {
	was := r.allows()
	r.settings, r.spent = to, false
	s.shutOrOpen(r)
	s.turned(r, was)
}

// shutOrOpen shuts a type whose rate or breaker may have something against claims. The next claim, which has the time, looks whether they have.
func (s *state) shutOrOpen(r *rule) {
	if r.shut = !r.opensAt().IsZero(); r.shut {
		s.timed[r] = true
	} else {
		delete(s.timed, r)
	}
}

// reopen opens the types that were shut and whose time has come.
func (s *state) reopen(now time.Time) {
	for r := range s.timed {
		if !r.opensAt().After(now) {
			delete(s.timed, r)
			was := r.allows()
			r.shut = false
			s.turned(r, was)
		}
	}
}

// spend takes a token of the type for a task that is claimed at now.
func (s *state) spend(r *rule, now time.Time) {
	if r.rate == nil {
		return
	}
	s.changes = append(s.changes, change{rule: r, was: r.settings})
	was := r.allows()
	open := r.rate.Spend(r.open, now, 1)
	r.open, r.spent = &open, true
	if open.After(now) {
		r.shut = true
		s.timed[r] = true
	}
	s.turned(r, was)
}

// keepRates stores what a claim has spent.
func (x tx) keepRates(ctx context.Context, taken []task.Task) error {
	for _, t := range taken {
		r := x.lanes[t.LaneID].rule
		if !r.spent {
			continue
		}
		r.spent = false
		if err := x.hot.SpendRate(ctx, sqlitedb.SpendRateParams{Open: *r.open, Type: r.taskType}); err != nil {
			return err
		}
	}
	return nil
}

// turned enters the lanes of a type whose rule has opened, and takes out those of one that has closed.
func (s *state) turned(r *rule, was bool) {
	if is := r.allows(); is != was {
		for _, l := range r.lanes {
			if l.claimable() {
				s.activate(l)
			} else {
				s.deactivate(l)
			}
		}
	}
}
