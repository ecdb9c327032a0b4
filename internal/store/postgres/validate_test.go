package postgres_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/testdb"
)

// TestObjectsAreThoseOfTheNewestSchema compares what validate looks for with what the migrations make.
func TestObjectsAreThoseOfTheNewestSchema(t *testing.T) {
	t.Parallel()
	st, _ := open(t, "")
	all, err := postgresdb.New(st.DB()).ListObjects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(all, func(o string) bool { return strings.Contains(o, "goose") })
	slices.Sort(got)
	if *update {
		if err := os.WriteFile(filepath.Join("..", "..", "schema", "objects", "postgres.txt"), []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(schema.Objects(schema.Postgres), got); d != "" {
		t.Errorf("run with -update when this is meant (-want +got):\n%s", d)
	}
}

// checksIn returns the checks in a state by name, with what they say.
func checksIn(c store.Checks, state store.CheckState) map[string]string {
	out := map[string]string{}
	for _, k := range c {
		if k.State == state {
			out[k.Name] = k.Message + "; " + k.Remedy
		}
	}
	return out
}

// withSetting adds a parameter to the URL of a database.
func withSetting(t *testing.T, database, name, value string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

func TestValidateOfAHealthyDatabaseChangesNothing(t *testing.T) {
	t.Parallel()
	st, conn := open(t, "")
	at := conn.Config().ConnString()
	insert(t, st, 1, 1)
	sums := func() postgresdb.SumCountsRow {
		t.Helper()
		s, err := postgresdb.New(st.DB()).SumCounts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := sums()
	c := postgres.Validate(t.Context(), at)
	failed := checksIn(c, store.CheckFailed)
	for _, ofTheServer := range []string{"settings.fsync", "settings.full_page_writes", "settings.synchronous_commit"} { // one for tests may have these off
		delete(failed, ofTheServer)
	}
	if len(failed) > 0 {
		t.Errorf("failed: %v", failed)
	}
	ok := checksIn(c, store.CheckOK)
	for _, name := range []string{"connection", "settings.server_version", "settings.server_encoding", "settings.TimeZone", "database", "clock", "schema", "schema.objects", "plans", "round_trip"} {
		if ok[name] == "" {
			t.Errorf("%s is not among those that are well: %v", name, c)
		}
	}
	if got := sums(); got.Tasks != before.Tasks {
		t.Errorf("there are %+v after %+v: validate has left something", got, before)
	}
	var lanes int
	if err := st.DB().QueryRowContext(t.Context(), "SELECT count(*) FROM lanes WHERE type = $1", store.ValidateType).Scan(&lanes); err != nil || lanes != 0 {
		t.Errorf("%d lanes of validate are left, %v", lanes, err)
	}
}

func TestValidateListsEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		plant    []string
		settings map[string]string
		state    store.CheckState
		want     map[string]string
	}{
		{"objects", []string{"DROP INDEX task_queue_lease", "ALTER TABLE task_queue DISABLE TRIGGER task_queue_guard", "DROP VIEW v_task_log",
			"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'task_queue_deadline'::regclass"}, nil, store.CheckFailed, map[string]string{
			"schema.index.task_queue_lease": "is missing", "schema.trigger.task_queue_guard": "switched off", "schema.view.v_task_log": "is missing", "schema.index.task_queue_deadline": "not valid",
		}},
		{"plan", []string{"DROP INDEX task_queue_ready", "DROP INDEX task_queue_key_ready"}, nil, store.CheckFailed, map[string]string{
			"schema.index.task_queue_ready": "is missing", "schema.index.task_queue_key_ready": "is missing", "plan.claim.priority": "reads the whole table", "plan.claim.oldest": "reads the whole table",
			"plan.claim.newest": "reads the whole table", "plan.work": "reads the whole table",
		}},
		{"older", []string{"DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)"}, nil, store.CheckFailed, map[string]string{"schema": "thequeue migrate up"}},
		{"newer", []string{"INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)"}, nil, store.CheckFailed, map[string]string{"schema": "use the newer binary"}},
		{"foreign", []string{"DROP TABLE goose_db_version"}, nil, store.CheckFailed, map[string]string{"schema": "no migration was ever applied"}},
		{"round trip", []string{"CREATE TRIGGER no BEFORE UPDATE ON task_queue FOR EACH ROW WHEN (NEW.status = 'completed') EXECUTE FUNCTION task_queue_refuse('not today')"}, nil, store.CheckFailed,
			map[string]string{"round_trip": "complete: "}},
		{"settings", nil, map[string]string{"synchronous_commit": "off", "default_transaction_read_only": "on"}, store.CheckFailed, map[string]string{
			"settings.synchronous_commit": "acknowledged tasks may be lost", "settings.transaction_read_only": "nothing can be stored", "round_trip": "read-only",
		}},
		{"timeouts", nil, map[string]string{"statement_timeout": "0", "lock_timeout": "0"}, store.CheckWarning, map[string]string{"settings.statement_timeout": "without end", "settings.lock_timeout": "without end"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			database := testdb.PostgresURL(t)
			conn, err := pgx.Connect(t.Context(), database)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			for _, s := range c.plant {
				if _, err := conn.Exec(t.Context(), s); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
			}
			for name, value := range c.settings {
				database = withSetting(t, database, name, value)
			}
			got := checksIn(postgres.Validate(t.Context(), database), c.state)
			for name, says := range got {
				if want := c.want[name]; !strings.Contains(says, want) || want == "" && !strings.HasPrefix(name, "settings.") {
					t.Errorf("%s says %q, want %q in it", name, says, want)
				}
			}
			for name := range c.want {
				if got[name] == "" {
					t.Errorf("%s is not %s: %v", name, c.state, got)
				}
			}
		})
	}
}

func TestValidateOfAServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	got := checksIn(postgres.Validate(t.Context(), "postgres://ada:s3cr3t@127.0.0.1:1/tasks?connect_timeout=2"), store.CheckFailed)
	if says := got["connection"]; len(got) != 1 || !strings.Contains(says, "127.0.0.1") || strings.Contains(fmt.Sprint(got), "s3cr3t") {
		t.Errorf("got %v", got)
	}
}
