package main

import (
	"runtime"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/worker"
)

// guardCmd is run by serve and work, not by people.
type guardCmd struct{}

func (*guardCmd) Run(s *session) error { return app.KeepGuard(s.stdin) }

// guard returns the guard of commands, which is this program run once more; nil where this program is not known, and on Windows, which needs none.
func (s *session) guard(o app.Options) *worker.Guard {
	if s.program == "" || runtime.GOOS == "windows" {
		return nil
	}
	return app.NewGuard(o.Log, s.program, "guard")
}
