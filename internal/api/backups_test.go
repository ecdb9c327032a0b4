package api_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/testdb"
)

// keeper makes the backups of a store until the test ends.
func keeper(t *testing.T, st store.Store) *backup.Keeper {
	t.Helper()
	d := &backup.Directory{Path: filepath.Join(t.TempDir(), "backups"), Now: st.Clock().Now}
	switch s := st.(type) {
	case *sqlite.Store:
		d.Engine = s.Backups()
	case *postgres.Store:
		d.Engine = s.Backups()
	}
	k := backup.NewKeeper(d, backup.Plan{}, false, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("keeper: %v", err)
		}
	})
	return k
}

// made waits until a backup is made.
func (r *rig) made(name string) {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(time.Minute); r.call("GET", "/api/queue/backups/"+name, "").json()["state"] == "running"; {
		select {
		case <-late:
			r.t.Fatalf("backup %s is not made", name)
		case <-tick.C:
		}
	}
}

// backingUp makes backups, looks at them and verifies one.
func backingUp(r *rig) {
	const all = "/api/queue/backups"
	r.step("POST", "/api/queue/enqueue", `{"type":"a"}`)
	r.step("GET", all, "")
	r.step("POST", all, `{"name":"first"}`)
	r.made("first")
	r.step("GET", all+"/first", "")
	r.step("POST", all+"/first/verify", "")
	r.step("POST", all, `{"name":"first"}`)
	name, _ := r.call("POST", all, "").json()["name"].(string)
	if !strings.HasPrefix(name, "thequeue-20") {
		r.t.Errorf("one without a name is called %q", name)
	}
	r.made(name)
	r.vars["{name}"] = name
	r.step("GET", all, "")
	r.step("GET", all+"/none", "")
	r.step("POST", all+"/none/verify", "")
	r.step("POST", all, `{"name":"../x"}`, beyond, "1")
	r.step("POST", all, `{"path":"x"}`, beyond, "1")
	r.step("GET", all+"/a%20b", "", beyond, "1")
	audits, err := r.queue.Reader().ListAudits(r.t.Context(), 0, 10)
	if err != nil || len(audits) != 3 || audits[0].Subject != name || audits[1].Action != "verify backup" || audits[2].Subject != "first" {
		r.t.Errorf("the audit is %+v, %v", audits, err)
	}
}

// What is wrong with a backup is an answer of its own, and a server without backups says so.
func TestABackupThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		k := keeper(t, st)
		r := newRig(t, st, api.Options{Backups: k})
		r.call("POST", "/api/queue/backups", `{"name":"a"}`)
		r.made("a")
		b, err := k.Get("a")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(k.Path(), b.File), b.SizeBytes-1000); err != nil {
			t.Fatal(err)
		}
		if a := r.call("POST", "/api/queue/backups/a/verify", ""); a.Code != 409 || a.json()["error_code"] != "backup_unusable" || !strings.Contains(a.json()["detail"].(string), "the SHA-256 of") {
			t.Errorf("%d %s", a.Code, a.Body)
		}
		bare := newRig(t, st, api.Options{})
		for _, call := range [][2]string{{"GET", "/api/queue/backups"}, {"POST", "/api/queue/backups"}, {"POST", "/api/queue/backups/a/verify"}} {
			if a := bare.call(call[0], call[1], ""); a.Code != 409 || a.json()["detail"] != "This server makes no backups" {
				t.Errorf("%s: %d %s", call, a.Code, a.Body)
			}
		}
	})
}
