package app

import (
	"errors"
	"slices"
	"testing"

	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/task"
)

func TestEveryHandlerThatCannotRunIsNamed(t *testing.T) {
	t.Parallel()
	cfg := config.Default(func(string) string { return "" })
	cfg.Handlers.Exec = map[string]config.Exec{
		"a": {Command: []string{"/no/such/program"}}, "b": {Command: []string{"/no/such/other"}, Dir: "/no/such/directory"}, "c": {Command: []string{"/no/such/third"}},
	}
	_, err := handlersOf(cfg, nil)
	bad, ok := errors.AsType[*task.InvalidError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	var fields []string
	for _, f := range bad.Fields {
		fields = append(fields, f.Field)
	}
	want := []string{"handlers.exec.a.command", "handlers.exec.b.command", "handlers.exec.b.dir", "handlers.exec.c.command"}
	if !slices.Equal(fields, want) {
		t.Errorf("got %q, want %q", fields, want)
	}
}
