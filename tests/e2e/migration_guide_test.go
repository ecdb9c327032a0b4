package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// registry writes a registry of the older task manager with so many runs of each status.
func (m *machine) registry(name string, each int) string {
	m.t.Helper()
	runs := map[string]any{}
	for i, status := range []string{"queued", "running", "completed", "failed", "cancelled"} {
		for n := range each {
			id := fmt.Sprint(name, i*each+n)
			runs[id] = map[string]any{
				"run_id": id, "module_id": "convert", "module_name": "Convert", "status": status, "created_at": "2026-01-31T08:00:00.5", "parameters": map[string]any{"pages": n},
			}
		}
	}
	b, err := json.Marshal(runs)
	if err != nil {
		m.t.Fatal(err)
	}
	return m.write(name+".json", string(b))
}

// TestMigrationGuide runs the scripts of docs/migration-guide.md: a fresh system, one that is running, and the way back.
func TestMigrationGuide(t *testing.T) {
	t.Parallel()
	python := programs(t, "python3", "curl", "sed")[0]
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	onEachEngine(t, func(t *testing.T, database string) {
		m := newMachine(t)
		script := func(name string, args ...string) string {
			t.Helper()
			cmd := exec.CommandContext(t.Context(), filepath.Join(root, "docs", "examples", "migration", name), args...)
			cmd.Dir, cmd.WaitDelay = m.home, patience
			cmd.Env = []string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + m.home, "TMPDIR=" + m.home, "THEQUEUE=" + binary, "DATABASE=" + database, "PYTHON=" + python,
				"PYTHONPATH=" + filepath.Join(root, "clients", "python"), "PYTHONDONTWRITEBYTECODE=1",
			}
			noOrphan(cmd)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v:\n%s", name, err, out)
			}
			return string(out)
		}
		if out := script("fresh.sh"); out != "completed=5\nfresh: 5 runs have completed in the queue\n" {
			t.Errorf("got %s", out)
		}
		if out := script("running.sh", m.registry("old", 10)); !strings.HasSuffix(out, "\nrunning: 25 runs have completed in the queue") {
			t.Errorf("got %s", out)
		}
		m.ok("runs", "import", m.registry("later", 10), "--database", database)
		out := script("disaster.sh", m.path("back.json"))
		took := regexp.MustCompile(`(?s)^20 runs are in .*\ncompleted=20\ndisaster: back in memory after (\d+) ms\n$`).FindStringSubmatch(out)
		if took == nil {
			t.Fatalf("got %s", out)
		}
		if ms, err := strconv.Atoi(took[1]); err != nil || ms > 60_000 {
			t.Errorf("the way back took %s ms", took[1])
		}
		t.Logf("the way back took %s ms", took[1])
	})
}
