package app

import (
	"io"
	"log/slog"

	"github.com/prismq/thequeue/internal/worker"
)

// NewGuard returns the guard of a process whose program, by absolute path, calls KeepGuard when it is run with these arguments.
func NewGuard(log *slog.Logger, program string, args ...string) *worker.Guard {
	return &worker.Guard{Command: append([]string{program}, args...), Log: log}
}

// KeepGuard is what the process of a guard does until r, its standard input, ends.
func KeepGuard(r io.Reader) error { return worker.KeepGuard(r) }
