package config

import (
	"maps"
	"os"
	"slices"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/worker"
)

// Found returns a *task.InvalidError with every program and directory of a command that this machine does not have, or nil. A file that is to be used elsewhere may name such.
func (h Handlers) Found() error {
	var bad task.InvalidError
	h.find(&bad)
	return bad.OrNil()
}

func (h Handlers) find(bad *task.InvalidError) {
	for _, name := range slices.Sorted(maps.Keys(h.Exec)) {
		e, field := h.Exec[name], "handlers.exec."+name
		if len(e.Command) > 0 && e.Command[0] != "" {
			if _, err := worker.FindProgram(e.Command[0]); err != nil {
				bad.Add(field+".command", "%s", err)
			}
		}
		if info, err := os.Stat(e.Dir); e.Dir != "" && (err != nil || !info.IsDir()) {
			bad.Add(field+".dir", "there is no directory %s", e.Dir)
		}
	}
}
