package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// TestSIGHUPReloadsTheConfiguration changes the file under a server and under a worker elsewhere.
func TestSIGHUPReloadsTheConfiguration(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	file := func(name, says string) string {
		return m.write(name, fmt.Sprintf("worker_id: w-%s\nlog_level: info\nhandlers: {exec: {%s: {command: [/bin/echo, %s]}}}\n", name, strings.TrimSuffix(name, ".yaml"), says))
	}
	s := m.serve("", "--config", file("here.yaml", "one"))
	w := m.start("work", "--server", s.url, "--config", file("there.yaml", "one"))
	says := func(taskType, want string) {
		t.Helper()
		if got := s.reaches(s.enqueue(taskType, object{}), "completed"); string(got.Result) != `"`+want+`"` {
			t.Errorf("%s says %s, want %s", taskType, got.Result, want)
		}
	}
	for name, p := range map[string]*process{"here": s.process, "there": w} {
		says(name, "one")
		file(name+".yaml", "two")
		p.signal(syscall.SIGHUP)
		p.until("the configuration is reloaded", func() bool { return strings.Contains(p.stderr.String(), "configuration reloaded") })
		says(name, "two")
		m.write(name+".yaml", "workers: many\nlog_level: loud\n")
		p.signal(syscall.SIGHUP)
		p.until("it says what is wrong", func() bool {
			said := p.stderr.String()
			return strings.Contains(said, "not in force") && strings.Contains(said, "workers: ") && strings.Contains(said, "log_level: ")
		})
		says(name, "two")
	}
	w.stop(soon)
	s.stop(soon)
}
