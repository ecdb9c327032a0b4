package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stored is what the tests read of a backup.
type stored struct {
	Name string `json:"name"`
	File string `json:"file"`
}

func (m *machine) backups(database string) (list []stored) {
	m.t.Helper()
	if err := json.Unmarshal([]byte(m.ok("backup", "list", "--database", database, "-o", "json")), &list); err != nil {
		m.t.Fatal(err)
	}
	return list
}

// total is how many tasks are in a database.
func (m *machine) total(database string) (n int) {
	m.t.Helper()
	var s struct {
		Total int `json:"total_tasks"`
	}
	if err := json.Unmarshal([]byte(m.ok("stats", "--database", database, "-o", "json")), &s); err != nil {
		m.t.Fatal(err)
	}
	return s.Total
}

// lines are tasks that take some room.
func lines(n int) string {
	var b strings.Builder
	for range n {
		fmt.Fprintf(&b, `{"type":"a","payload":{"x":%q}}`+"\n", strings.Repeat("x", 16<<10))
	}
	return b.String()
}

// TestABackupIsKilled: nothing of a backup that is killed while it is made is in the list, and the next one is made as ever.
func TestABackupIsKilled(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	database := m.path("queue.db")
	dir := database + ".backups"
	m.ok("migrate", "up", "--database", database)
	m.ok("enqueue", "--database", database, "--file", m.write("tasks.jsonl", lines(200)))
	m.ok("backup", "create", "whole", "--database", database)
	for i, compress := range []string{"--no-compress", "--compress", "--no-compress"} {
		p := m.start("backup", "create", fmt.Sprintf("killed-%d", i), compress, "--rate", "1", "--database", database)
		p.until("it is being made", func() bool {
			found, err := filepath.Glob(filepath.Join(dir, ".partial-killed-*"))
			if err != nil || len(found) == 0 {
				return false
			}
			info, err := os.Stat(found[0])
			return err == nil && info.Size() >= int64(1+i)<<19
		})
		p.kill()
		if p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("it was not killed: %s", p.cmd.ProcessState)
		}
		if list := m.backups(database); len(list) != 1 || list[0].Name != "whole" {
			t.Errorf("half a backup is listed: %v", list)
		}
	}
	m.ok("backup", "create", "next", "--database", database)
	m.ok("backup", "verify", "next", "--database", database)
	if left, err := filepath.Glob(filepath.Join(dir, ".partial-*")); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// TestARestoreIsKilled: at whatever moment a restore is killed, the database is the old or the new one, and whole.
func TestARestoreIsKilled(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	seed := newSeed(t)
	r := rand.New(rand.NewPCG(seed, 1))
	database := m.path("queue.db")
	m.ok("migrate", "up", "--database", database)
	m.ok("enqueue", "--database", database, "--file", m.write("tasks.jsonl", lines(300)))
	m.ok("backup", "create", "new", "--compress", "--database", database)
	m.ok("enqueue", "b", "--database", database)
	const old, restored = 301, 300
	m.ok("backup", "create", "old", "--database", database)
	begun := time.Now()
	m.ok("backup", "restore", "new", "--yes", "--database", database)
	took := time.Since(begun)
	seen := map[int]int{}
	kept := func() int {
		found, err := filepath.Glob(m.path("queue.db.replaced-*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	for i := range 12 {
		m.ok("backup", "restore", "old", "--yes", "--database", database)
		before := kept()
		p := m.start("backup", "restore", "new", "--yes", "--database", database)
		at := time.Duration(r.Int64N(int64(took))) // somewhere in the time that a whole one takes
		if i%3 == 0 {                              // or when the old file has just been kept, and the new one is about to take its place
			p.until("the old file is kept", func() bool { return kept() > before })
			at = 0
		}
		ctx, stop := context.WithTimeout(t.Context(), at)
		select {
		case <-p.ended:
		case <-ctx.Done():
		}
		stop()
		p.kill()
		checkFile(t, database)
		n := m.total(database)
		if seen[n]++; n != old && n != restored {
			t.Errorf("%d tasks after a kill at %s, want %d or %d", n, at, old, restored)
		}
	}
	t.Logf("a whole one takes %s; tasks after a kill: %v", took, seen)
	if seen[old] == 0 {
		t.Error("no restore was killed before its end: the test proves nothing")
	}
	m.ok("backup", "restore", "new", "--yes", "--database", database)
	if left, err := filepath.Glob(m.path(".queue.db.restoring*")); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	s := m.serve(database, "--workers", "0")
	s.stop(soon)
}
