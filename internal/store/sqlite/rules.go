package sqlite

import "github.com/prismq/thequeue/db/sqlitedb"

// rule is what holds for all lanes of one type. While it is closed none of them is in a view, so that claims never meet them.
type rule struct {
	settings
	lanes []*lane
	held  int64 // tasks of these lanes in processing
}

// settings is what operators have set for a type. The zero value sets nothing.
type settings struct {
	paused bool
	most   int64 // tasks in processing; 0: no limit
}

func settingsOf(t sqlitedb.Type) settings {
	s := settings{paused: t.Paused}
	if t.MaxConcurrency != nil {
		s.most = int64(*t.MaxConcurrency)
	}
	return s
}

// open reports whether tasks of the type may be claimed now.
func (r *rule) open() bool { return !r.paused && (r.most == 0 || r.held < r.most) }

// rule returns the rule of a type, making one that sets nothing when it is new.
func (s *state) rule(taskType string) *rule {
	r, ok := s.rules[taskType]
	if !ok {
		r = &rule{}
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
	was := r.open()
	r.settings = to
	s.turned(r, was)
}

// turned enters the lanes of a type whose rule has opened, and takes out those of one that has closed.
func (s *state) turned(r *rule, was bool) {
	if is := r.open(); is != was {
		for _, l := range r.lanes {
			if l.claimable() {
				s.activate(l)
			} else {
				s.deactivate(l)
			}
		}
	}
}
