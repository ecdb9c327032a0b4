package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/testdb"
)

// oldRuns is a registry of the older task manager.
const oldRuns = `{
  "q": {"run_id": "q", "module_id": "video", "module_name": "Video", "status": "queued", "created_at": "2026-01-31T08:00:00.123456", "parameters": {"n": 1.50}},
  "r": {"run_id": "r", "module_id": "video", "module_name": "Video", "status": "running", "created_at": "2026-01-31T09:00:00", "started_at": "2026-01-31T09:00:01", "parameters": {}},
  "c": {"run_id": "c", "module_id": "video", "module_name": "Video", "status": "completed", "created_at": "2026-01-31T07:00:00", "exit_code": 0, "parameters": {}},
  "x": {"run_id": "x", "module_id": "audio", "module_name": "Audio", "status": "cancelled", "created_at": "2026-01-31T07:00:00", "parameters": {}}
}`

func TestRunsOfARegistryComeAndGo(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(*testing.T, *rig) string{
		"sqlite":   func(_ *testing.T, r *rig) string { return r.path("queue.db") },
		"postgres": func(t *testing.T, _ *rig) string { return testdb.PostgresURL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			db, file := database(t, r), r.write("run_history.json", oldRuns)
			const counted = "1 queued\n1 running\n1 completed\n1 cancelled\n"
			if out := r.ok("runs", "import", file, "--database", db, "--dry-run"); out != counted+"dry run: nothing was changed; would be imported: 2, of which 1 were running and begin anew; known already: 0; ended, and left where they are: 2\n" {
				t.Errorf("got %s", out)
			}
			if out := r.ok("runs", "import", file, "--database", db); out != counted+"imported: 2, of which 1 were running and begin anew; known already: 0; ended, and left where they are: 2\n" {
				t.Errorf("got %s", out)
			}
			for _, flag := range []string{"--dry-run", "--output=table"} {
				if out := r.ok("runs", "import", file, "--database", db, flag); !strings.Contains(out, "imported: 0, of which 0 were running and begin anew; known already: 2;") {
					t.Errorf("again: %s", out)
				}
			}
			list := r.ok("list", "--database", db, "-o", "json")
			if strings.Count(list, `"task_id"`) != 2 || !strings.Contains(list, `"created_at_utc":"2026-01-31T08:00:00.123456Z"`) || !strings.Contains(list, `"payload":{"n": 1.50}`) ||
				!strings.Contains(list, `"idempotency_key":"r"`) || strings.Count(list, `"status":"queued"`) != 2 {
				t.Errorf("got %s", list)
			}
			id, _, _ := strings.Cut(r.ok("enqueue", "video", "--database", db), ":")
			r.ok("cancel", id, "--database", db)
			var all, unfinished map[string]struct {
				Status, CreatedAt string
				Parameters        map[string]any
			}
			if err := json.Unmarshal([]byte(r.ok("runs", "export", "--database", db)), &all); err != nil || len(all) != 3 || all["task-"+id].Status != "cancelled" {
				t.Errorf("got %v, %v", all, err)
			}
			back := r.path("back.json")
			if out := r.ok("runs", "export", back, "--unfinished", "--database", db); out != "2 runs are in "+back+"\n" {
				t.Errorf("got %s", out)
			}
			text, err := os.ReadFile(back)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &unfinished); err != nil || len(unfinished) != 2 || unfinished["r"].Status != "queued" || unfinished["q"].Parameters["n"] != 1.5 {
				t.Errorf("got %s, %v", text, err)
			}
			for filter, want := range map[string]int{"status:failed": 0, "status:queued,failed": 2, "type:audio": 0} {
				unfinished = nil
				text := r.ok("runs", "export", "--unfinished", "--filter", filter, "--database", db)
				if err := json.Unmarshal([]byte(text), &unfinished); err != nil || len(unfinished) != want {
					t.Errorf("of %s it exports %s: %v", filter, text, err)
				}
			}
			r.fails(exitUsage, []string{"is there already"}, "runs", "export", back, "--database", db)
		})
	}
}

func TestRunsThatCannotBeReadRefuseTheImport(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	file := r.write("bad.json", strings.Replace(oldRuns, `"module_id": "audio"`, `"module_id": " "`, 1))
	r.fails(exitUsage, []string{"nothing is imported"}, "runs", "import", file, "--database", r.path("queue.db"))
	r.fails(exitUsage, []string{"no such file"}, "runs", "import", r.path("none.json"), "--database", r.path("queue.db"))
	if _, err := os.Stat(r.path("queue.db")); err == nil {
		t.Error("a database was made")
	}
}
