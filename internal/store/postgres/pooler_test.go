package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// settings are those that a PgBouncer has to let pass by when it does not know them.
const settings = "extra_float_digits,statement_timeout,lock_timeout,idle_in_transaction_session_timeout,enable_seqscan,enable_bitmapscan,enable_sort,enable_hashjoin,enable_mergejoin,jit,plan_cache_mode"

// pooler starts a PgBouncer in front of a database, and returns the URL by which it is reached.
func pooler(t *testing.T, database, mode, more string) string {
	t.Helper()
	program, err := osexec.LookPath("pgbouncer")
	if err != nil { // Debian keeps it where only root looks
		program, err = osexec.LookPath("/usr/sbin/pgbouncer")
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("pgbouncer is missing: install the package pgbouncer")
		}
		t.Skip("needs pgbouncer: install the package pgbouncer")
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("* = host=%s port=%s user=%s", u.Hostname(), u.Port(), u.User.Username())
	if password, ok := u.User.Password(); ok {
		line += " password=" + password
	}
	config := fmt.Sprintf("[databases]\n%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nauth_type = any\nunix_socket_dir =\npool_mode = %s\n%s\n", line, port, mode, more)
	if os.Getuid() == 0 {
		config += "user = nobody\n"
	}
	path := filepath.Join(t.TempDir(), "pgbouncer.ini")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := osexec.Command(program, "-q", path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has no more to do
		_ = cmd.Wait()
	})
	u.Host = fmt.Sprintf("127.0.0.1:%d", port)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(30 * time.Second); ; {
		if c, err := net.Dial("tcp", u.Host); err == nil {
			c.Close()
			return u.String()
		}
		select {
		case <-late:
			t.Fatal("pgbouncer does not listen")
		case <-tick.C:
		}
	}
}

// Behind a pooler that shares sessions between clients the service does not start, and says why; behind one that keeps them it does.
func TestPoolersOfTransactionsAreRefused(t *testing.T) {
	t.Parallel()
	database := testdb.PostgresURL(t)
	for name, c := range map[string]struct {
		mode, more, query string
		refused           bool
	}{
		"as it is installed":             {"transaction", "", "", true},
		"transactions":                   {"transaction", "ignore_startup_parameters = " + settings, "", true},
		"transactions, nothing prepared": {"transaction", "ignore_startup_parameters = " + settings, "&default_query_exec_mode=simple_protocol", true},
		"sessions":                       {"session", "ignore_startup_parameters = " + settings, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, err := postgres.Open(t.Context(), pooler(t, database, c.mode, c.more)+c.query, postgres.Options{Serve: true, MaxConns: 4})
			if !c.refused {
				if err != nil {
					t.Fatal(err)
				}
				insert(t, st, 1, 1)
				if err := st.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			bad, ok := errors.AsType[*task.InvalidError](err)
			if !ok || bad.Fields[0].Field != "database" || !strings.Contains(err.Error(), "pool_mode = session") {
				t.Errorf("got %v", err)
			}
			if err == nil {
				st.Close()
			}
		})
	}
}

// With one connection nothing is served, and nobody waits for a second one that never comes.
func TestOneConnectionIsTooFewToServe(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	st, err := postgres.Open(ctx, testdb.PostgresURL(t), postgres.Options{Serve: true, MaxConns: 1})
	if err == nil {
		st.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "at least 2") {
		t.Errorf("got %v", err)
	}
}
