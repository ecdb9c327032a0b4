package e2e

import (
	"database/sql"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/testdb"
)

// TestProcessesThatStartTogetherMigrateOnce runs several migrations at once on a database with nothing in it.
func TestProcessesThatStartTogetherMigrateOnce(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, driver, source, database string) {
		m := newMachine(t)
		var ps []*process
		for range 3 {
			ps = append(ps, m.start("migrate", "up", "--database", database))
		}
		for _, p := range ps {
			if code := p.wait(2 * time.Minute); code != 0 || !strings.Contains(p.stdout.String(), "has version ") {
				t.Errorf("it ended with %d: %s%s", code, p.stdout.String(), p.stderr.String())
			}
		}
		var all []schema.Migration
		if err := json.Unmarshal([]byte(m.ok("migrate", "status", "--database", database, "-o", "json")), &all); err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if !s.Applied {
				t.Errorf("%d %s is not applied", s.Version, s.Title)
			}
		}
		db, err := sql.Open(driver, source)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var rows, versions int
		if err := db.QueryRow("SELECT count(*), count(DISTINCT version_id) FROM goose_db_version").Scan(&rows, &versions); err != nil || rows != versions || versions != len(all)+1 {
			t.Errorf("%d records of %d versions, want one of each of %d, %v", rows, versions, len(all)+1, err)
		}
		s := m.serve(database, "--workers", "0")
		if out := m.ok("migrate", "up", "--database", database); !strings.Contains(out, "has version ") {
			t.Errorf("beside a server: %s", out)
		}
		m.ok("migrate", "status", "--database", database)
		if r := m.run("migrate", "down", "--database", database); r.code == 0 {
			t.Errorf("down beside a server: %s", r.stdout)
		}
		if driver == "sqlite3" { // a PostgreSQL for tests has fsync off, which validate says
			m.ok("validate", "--database", database)
		}
		m.ok("fsck", "--database", database)
		s.stop(patience)
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "queue.db")
		check(t, "sqlite3", "file:"+path, path)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		url := testdb.EmptyPostgresURL(t)
		check(t, "pgx", url, url)
	})
}
