package dashboard_test

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
	"github.com/prismq/thequeue/internal/dashboard"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/testdb"
)

// directory is where the backups of a store are.
func directory(t *testing.T, st store.Store) *backup.Directory {
	t.Helper()
	d := &backup.Directory{Path: filepath.Join(t.TempDir(), "backups"), Now: st.Clock().Now}
	switch s := st.(type) {
	case *sqlite.Store:
		d.Engine = s.Backups()
	case *postgres.Store:
		d.Engine = s.Backups()
	}
	return d
}

// keeper makes the backups of a store until the test ends.
func keeper(t *testing.T, st store.Store) *backup.Keeper {
	t.Helper()
	k := backup.NewKeeper(directory(t, st), backup.Plan{}, false, slog.New(slog.DiscardHandler))
	keep(t, k)
	return k
}

func keep(t *testing.T, k *backup.Keeper) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("keeper: %v", err)
		}
	})
}

// A backup is made and verified by clicking, and the page shows it as soon as it is there.
func TestBackupsByClicking(t *testing.T) {
	t.Parallel()
	r := running(t, testdb.SQLite(t))
	b := browse(t, r.url)
	b.open("/maintenance")
	b.until("there is none", `document.querySelector("#l-backups").innerText.includes("There is none yet")`)
	b.press("Make one…", "Make a backup?")
	b.press("Leave it", "Maintenance")
	b.press("Make one…", "Make a backup?")
	b.press("Make a backup", "Maintenance")
	if got := eval[string](b, `document.querySelector(".done").innerText`); !strings.Contains(got, "Backup thequeue-20") || !strings.Contains(got, "was begun") {
		t.Errorf("the page says %q", got)
	}
	b.until("it is listed", `document.querySelector("#l-backups tbody")?.innerText.includes("not yet")`) // the page keeps itself up to date
	for _, what := range eval[[]string](b, unfit) {
		t.Error(what)
	}
	b.picture("backups")
	b.press("Verify…", "Verify backup thequeue-20")
	b.press("Verify", "Maintenance")
	if got := eval[string](b, `document.querySelector(".done").innerText`); !strings.Contains(got, "was verified: it can be restored") {
		t.Errorf("the page says %q", got)
	}
	if got := eval[string](b, `document.querySelector("#l-backups tbody").innerText`); strings.Contains(got, "not yet") || !strings.Contains(got, "thequeue-20") {
		t.Errorf("the list says %q", got)
	}
	b.clean()
	audits, err := r.Reader().ListAudits(t.Context(), 0, 10)
	if r.ok(err); len(audits) != 2 || audits[0].Action != "verify backup" || audits[1].Action != "backup" || audits[1].Subject != audits[0].Subject {
		t.Errorf("the audit is %+v", audits)
	}
}

// A scheduled backup that has failed stands on the overview, and a directory that cannot be read on the page of the maintenance.
func TestTheOverviewTellsOfAFailedBackup(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		d := directory(t, st)
		if err := os.WriteFile(d.Path, []byte("in the way"), 0o600); err != nil {
			t.Fatal(err)
		}
		k := backup.NewKeeper(d, backup.Plan{Every: time.Hour}, false, slog.New(slog.DiscardHandler))
		keep(t, k)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for late := time.After(patience); len(k.Problems()) == 0; {
			select {
			case <-late:
				t.Fatal("it does not fail")
			case <-tick.C:
			}
		}
		q := queue.New(st, queue.Options{Problems: k.Problems})
		r := rig{T: t, Queue: q, url: server(t, api.New(q, api.Options{Pages: dashboard.New(q, dashboard.Options{Backups: k})}))}
		r.alive()
		r.wantTrouble("critical", "backup_failed", "The scheduled backup of ", "/maintenance#backups")
		if status, body := r.get("/maintenance"); status != 200 || !strings.Contains(body, "The backups cannot be listed") {
			t.Errorf("%d %s", status, body)
		}
		if status, _ := r.get("/maintenance/backups/none/verify"); status == 200 {
			t.Error("one that is not there can be verified")
		}
		bare := rig{T: t, Queue: q, url: server(t, api.New(q, api.Options{Pages: dashboard.New(q, dashboard.Options{})}))}
		if status, body := bare.get("/maintenance"); status != 200 || strings.Contains(body, "Make one…") {
			t.Errorf("without backups: %d %s", status, body)
		}
		if status, _ := bare.get("/maintenance/backup"); status != 404 {
			t.Errorf("without backups: %d", status)
		}
	})
}
