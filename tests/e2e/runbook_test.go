package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/internal/testdb"
)

// procedure brings a server into the state that a chapter of the runbook is about, and runs its commands.
type procedure struct {
	do      func(r *runbook)
	engines string // "sqlite", "postgres", or both
}

const both = "sqlite postgres"

var procedures = map[string]procedure{
	"Tasks wait, and there is no worker": {func(r *runbook) {
		r.begin("--workers", "0")
		r.enqueue("echo", nil)
		r.finish()
	}, "sqlite"},
	"Tasks wait for a worker that may take such": {func(r *runbook) {
		r.begin("--workers", "0")
		r.call("POST", "/api/queue/workers/mail-1/heartbeat", object{"types": []string{"mail"}}, http.StatusOK, nil)
		r.enqueue("echo", nil)
		r.finish()
	}, both},
	"A type is paused": {func(r *runbook) {
		r.begin()
		r.call("POST", "/api/queue/types/echo/pause", nil, http.StatusOK, nil)
		r.enqueue("echo", nil)
		r.finish()
	}, "sqlite"},
	"The backlog grows": {func(r *runbook) {
		r.begin("--workers", "0")
		r.call("POST", "/api/queue/workers/slow-1/heartbeat", object{}, http.StatusOK, nil)
		r.call("POST", "/api/queue/enqueue/batch", object{"tasks": slices.Repeat([]object{{"type": "echo"}}, 60)}, http.StatusCreated, nil)
		r.finish()
	}, "sqlite"},
	"Attempts of a type fail": {func(r *runbook) {
		r.begin("--workers", "0")
		for range 6 {
			r.fails("mail")
		}
		r.finish()
	}, "sqlite"},
	"A circuit breaker is open": {func(r *runbook) {
		r.begin("--workers", "0")
		r.call("PUT", "/api/queue/types/mail", object{"breaker": object{"failure_share": 0.5, "min_attempts": 3, "open_seconds": 600}}, http.StatusOK, nil)
		for range 3 {
			r.fails("mail")
		}
		r.finish()
	}, "sqlite"},
	"A task kills its workers": {func(r *runbook) {
		r.begin("--workers", "0")
		r.enqueue("video", nil)
		for lost := 1; lost <= 2; lost++ {
			r.claim("video-1", 1)
			eventually(r.machine.t, "the lease ends", patience, func() bool { return r.get(1).Status == "queued" })
		}
		r.finish()
	}, both},
	"Tasks hang with a worker that is gone": {func(r *runbook) {
		r.begin("--workers", "0")
		r.enqueue("echo", nil)
		r.claim("mail-3", 43200)
		r.finish()
	}, both},
	"A worker is not heard any more": {func(r *runbook) {
		r.begin("--workers", "0")
		r.call("POST", "/api/queue/workers/mail-7/heartbeat", object{}, http.StatusOK, nil)
		r.sql("UPDATE workers SET heartbeat_utc = heartbeat_utc - 3600000000", "UPDATE workers SET heartbeat_utc = heartbeat_utc - interval '1 hour'")
		r.finish()
	}, both},
	"A schedule has missed its ticks": {func(r *runbook) {
		r.begin()
		r.call("PUT", "/api/queue/schedules/reports", object{"cron": "0 * * * *", "misfire": "skip", "task": object{"type": "echo"}}, http.StatusCreated, nil)
		r.server.stop(patience)
		r.sql("UPDATE schedules SET next_tick_utc = next_tick_utc - 3 * 3600000000", "UPDATE schedules SET next_tick_utc = next_tick_utc - interval '3 hours'")
		r.begin()
		r.finish()
	}, both},
	"The server does not start: another has the database": {func(r *runbook) {
		r.begin()
		r.finish()
	}, "sqlite"},
	"The server does not start: the port is taken": {func(r *runbook) {
		r.begin()
		r.finish()
	}, "sqlite"},
	"The server does not start: the schema is newer": {func(r *runbook) {
		r.machine.ok("migrate", "up", "--database", r.database)
		r.machine.ok("backup", "create", "--database", r.database)
		r.sql("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)", "")
		r.finish()
	}, "sqlite"},
	"The file is damaged": {damagedFile, "sqlite"},
	"The disk is full":    {fullDisk, "sqlite"},
	"The write-ahead log grows": {func(r *runbook) {
		r.begin("--workers", "0")
		db := r.open()
		tx, err := db.BeginTx(r.machine.t.Context(), &sql.TxOptions{ReadOnly: true})
		if err != nil {
			r.machine.t.Fatal(err)
		}
		defer tx.Rollback() // it has changed nothing
		var n int
		if err := tx.QueryRow("SELECT count(*) FROM task_queue").Scan(&n); err != nil {
			r.machine.t.Fatal(err)
		}
		r.enqueue("echo", nil)
		r.next()
		if err := tx.Rollback(); err != nil {
			r.machine.t.Fatal(err)
		}
		r.finish()
	}, "sqlite"},
	"Backups fail": {func(r *runbook) {
		r.machine.write("queue.db.backups", "")
		r.machine.env = append(r.machine.env, "PRISMQ_BACKUPS_EVERY=1h")
		r.begin()
		r.finish()
	}, "sqlite"},
	"Going back to a backup": {func(r *runbook) {
		r.begin("--workers", "0")
		r.enqueue("echo", nil)
		r.enqueue("echo", nil)
		r.machine.ok("backup", "create", "before", "--database", r.database)
		r.enqueue("mistake", nil)
		r.finish()
	}, both},
	"The server was killed": {func(r *runbook) {
		r.begin("--workers", "0")
		r.enqueue("echo", nil)
		r.claim("w", 1)
		r.server.kill()
		r.finish()
	}, both},
	"PostgreSQL is down": {databaseDown, "postgres"},
	"A move was broken off": {func(r *runbook) {
		r.begin()
		r.sql("INSERT INTO store_move (move_id, state, peer, since_utc) VALUES ('m', 'fenced', 'postgres://db.example/queue', 1)",
			"INSERT INTO store_move (move_id, state, peer, since_utc) VALUES ('m', 'fenced', '/srv/queue.db', now()); SELECT move_triggers(true, true)")
		r.finish()
	}, both},
	"The store has been moved": {func(r *runbook) {
		r.begin()
		r.reaches(r.enqueue("echo", nil), "completed")
		r.machine.ok("move", "--from", r.database, "--to", r.path("new.db"))
		r.finish()
	}, both},
	"The clock has jumped": {func(r *runbook) {
		r.begin()
		r.reaches(r.enqueue("echo", nil), "completed")
		r.server.stop(patience)
		r.sql("UPDATE task_queue SET created_at_utc = created_at_utc + 3600000000, updated_at_utc = updated_at_utc + 3600000000, finished_at_utc = finished_at_utc + 3600000000", "")
		r.begin()
		r.finish()
	}, "sqlite"},
}

// TestRunbook carries out what docs/runbook.md says.
func TestRunbook(t *testing.T) {
	t.Parallel()
	page := readRunbook(t)
	for _, title := range slices.Sorted(maps.Keys(page)) {
		p, ok := procedures[title]
		if !ok {
			t.Errorf("no procedure carries out %q", title)
			continue
		}
		for _, engine := range strings.Fields(p.engines) {
			t.Run(title+"/"+engine, func(t *testing.T) {
				t.Parallel()
				r := &runbook{machine: newMachine(t), database: "queue.db", title: title, left: page[title]}
				if engine == "postgres" {
					r.database = testdb.PostgresURL(t)
				}
				if p.do(r); len(r.left) > 0 {
					t.Errorf("%d blocks were not run", len(r.left))
				}
			})
		}
	}
	for title := range procedures {
		if page[title] == nil {
			t.Errorf("the page has nothing of %q", title)
		}
	}
}

// claim has a worker claim a task.
func (r *runbook) claim(worker string, seconds int, types ...string) (id int64, token string) {
	r.machine.t.Helper()
	body := object{"worker_id": worker, "lease_seconds": seconds}
	if len(types) > 0 {
		body["types"] = types
	}
	var got struct {
		Tasks []struct {
			TaskID     int64  `json:"task_id"`
			LeaseToken string `json:"lease_token"`
		}
	}
	eventually(r.machine.t, "a task can be claimed", patience, func() bool {
		r.call("POST", "/api/queue/claim", body, http.StatusOK, &got)
		return len(got.Tasks) > 0
	})
	return got.Tasks[0].TaskID, got.Tasks[0].LeaseToken
}

// fails has a task of a type fail for good.
func (r *runbook) fails(taskType string) {
	r.machine.t.Helper()
	r.call("POST", "/api/queue/enqueue", object{"type": taskType, "max_attempts": 1}, http.StatusCreated, nil)
	id, token := r.claim("w", 60, taskType)
	r.call("POST", fmt.Sprintf("/api/queue/tasks/%d/fail", id), object{"lease_token": token, "error_message": "connection to mail.example.org refused"}, http.StatusOK, nil)
}

// open opens the database beside whoever has it. No trigger of SQLite stands in the way.
func (r *runbook) open() *sql.DB {
	r.machine.t.Helper()
	db, err := driver.Open("file:"+r.path("queue.db")+"?_pragma=busy_timeout(5000)", func(c *sqlite3.Conn) error {
		_, err := c.Config(sqlite3.DBCONFIG_ENABLE_TRIGGER, false)
		return err
	})
	if strings.Contains(r.database, "://") {
		db, err = sql.Open("pgx", r.database)
	}
	if err != nil {
		r.machine.t.Fatal(err)
	}
	r.machine.t.Cleanup(func() { db.Close() })
	return db
}

// sql changes the database behind the back of the server, in the words of its engine.
func (r *runbook) sql(lite, pg string) {
	r.machine.t.Helper()
	db := r.open()
	defer db.Close()
	text := lite
	if strings.Contains(r.database, "://") {
		text = pg
	}
	for s := range strings.SplitSeq(text, "; ") {
		if _, err := db.ExecContext(r.machine.t.Context(), s); err != nil {
			r.machine.t.Fatalf("%s: %v", s, err)
		}
	}
}

// damagedFile writes over pages of the file, behind a backup of it.
func damagedFile(r *runbook) {
	t := r.machine.t
	r.begin("--workers", "0")
	r.call("POST", "/api/queue/enqueue/batch", object{"tasks": slices.Repeat([]object{{"type": "echo", "payload": object{"x": strings.Repeat("x", 1000)}}}, 500)}, http.StatusCreated, nil)
	r.machine.ok("backup", "create", "--database", r.path("queue.db"))
	r.server.stop(patience)
	f, err := os.OpenFile(r.path("queue.db"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	info, err := f.Stat()
	if err != nil || info.Size() < 150*page {
		t.Fatalf("the file is too short: %v, %v", info, err)
	}
	if _, err := f.WriteAt([]byte(strings.Repeat("?", 10*page)), info.Size()-20*page); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r.begin("--workers", "0")
	r.finish()
}

// fullDisk has the home directory on a disk of its own, and fills it to the last byte.
func fullDisk(r *runbook) {
	t := r.machine.t
	mountSmall(t, r.home, "8192")
	r.begin("--workers", "0")
	fill := func() {
		f, err := os.OpenFile(r.path("filler"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		for n := 64 << 10; n > 0; n /= 2 {
			for err == nil {
				_, err = f.Write(make([]byte, n))
			}
			err = nil
		}
		f.Close() // it is full, as it must be
	}
	fill()
	for full := false; !full; { // what the log has room for still goes in
		a, err := send(t.Context(), "POST", r.url+"/api/queue/enqueue", object{"type": "echo"})
		if err != nil || a.status != http.StatusCreated && a.status != http.StatusInsufficientStorage {
			t.Fatalf("%v %d %s", err, a.status, a.body)
		}
		full = a.status == http.StatusInsufficientStorage
	}
	fill()
	r.finish()
}

// databaseDown has the server reach PostgreSQL through a door that is shut for a while.
func databaseDown(r *runbook) {
	t := r.machine.t
	u, err := url.Parse(r.database)
	if err != nil {
		t.Fatal(err)
	}
	d := newDoor(t, u.Host)
	u.Host = d.listener.Addr().String()
	r.database = u.String()
	r.begin()
	d.set(false)
	r.next()
	d.set(true)
	r.finish()
}

// door passes connections on to a server while it is open.
type door struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	open     bool
	conns    []net.Conn
}

func newDoor(t *testing.T, to string) *door {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{listener: l, to: to, open: true}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { d.pass(t.Context(), c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		d.set(false)
		serving.Wait()
	})
	return d
}

// set opens the door, or shuts it behind those who are inside.
func (d *door) set(open bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open = open; !open {
		for _, c := range d.conns {
			c.Close()
		}
		d.conns = nil
	}
}

func (d *door) pass(ctx context.Context, c net.Conn) {
	defer c.Close()
	up, err := new(net.Dialer).DialContext(ctx, "tcp", d.to)
	if err != nil {
		return
	}
	defer up.Close()
	d.mu.Lock()
	if !d.open {
		d.mu.Unlock()
		return
	}
	d.conns = append(d.conns, c, up)
	d.mu.Unlock()
	go func() { io.Copy(up, c); up.Close() }()
	io.Copy(c, up)
}
