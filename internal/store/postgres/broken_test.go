package postgres_test

import (
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// proxy stands between a store and its server. Armed, it waits for the next answer of the server on a connection that was there before and ends it
// instead of passing the answer on: the server has done what it was told, and nobody knows.
type proxy struct {
	net.Listener
	server string
	conns  atomic.Int64 // accepted so far
	old    atomic.Int64 // of these were there when it was armed; 0: not armed
	silent atomic.Bool  // no answer comes any more, and the connections stay
}

func (p *proxy) arm() { p.old.Store(p.conns.Load()) }

func (p *proxy) armed() bool { return p.old.Load() > 0 }

// breaks reports whether the n-th connection is to end now. It says so once.
func (p *proxy) breaks(n int64) bool {
	old := p.old.Load()
	return n <= old && p.old.CompareAndSwap(old, 0)
}

func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, server: server}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.pass(c, p.conns.Add(1))
		}
	}()
	return p
}

func (p *proxy) pass(client net.Conn, number int64) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer server.Close() // a backend that has not been told who calls stays for a minute else, and DROP DATABASE waits for it
		io.Copy(server, client)
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := server.Read(buf)
		if err != nil || p.breaks(number) {
			return
		}
		if p.silent.Load() {
			continue
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// openThrough returns a store that reaches its database through a proxy, and another one that does not.
func openThrough(t *testing.T) (through, direct *postgres.Store, p *proxy) {
	t.Helper()
	u, err := url.Parse(testdb.PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	open := func(u string) *postgres.Store {
		st, err := postgres.Open(t.Context(), u, postgres.Options{MaxConns: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		return st
	}
	direct = open(u.String())
	p = newProxy(t, u.Host)
	u.Host = p.Addr().String()
	return open(u.String()), direct, p
}

func insertOne(t *testing.T, st *postgres.Store, key *string) (task.Task, bool, error) {
	t.Helper()
	made, err := (task.Spec{Type: "work", IdempotencyKey: key}).Task(st.Clock().Now(), task.Limits{MaxAttempts: 5, PayloadBytes: 100})
	if err != nil {
		t.Fatal(err)
	}
	return st.InsertTask(t.Context(), made)
}

func TestTheEndOfAnAttemptIsSettledByItsTokenWhenTheConnectionBreaks(t *testing.T) {
	t.Parallel()
	through, direct, p := openThrough(t)
	later := through.Clock().Now().Add(time.Hour)
	ends := map[string]func(id int64, tok task.Token) (task.Task, error){
		"complete": func(id int64, tok task.Token) (task.Task, error) {
			return through.CompleteTask(t.Context(), id, tok, nil, through.Clock().Now())
		},
		"retry": func(id int64, tok task.Token) (task.Task, error) {
			return through.FailTask(t.Context(), id, tok, store.Verdict{Message: "x", RetryAt: &later}, through.Clock().Now())
		},
		"fail": func(id int64, tok task.Token) (task.Task, error) {
			return through.FailTask(t.Context(), id, tok, store.Verdict{Message: "x", Outcome: task.Exhausted}, through.Clock().Now())
		},
		"release": func(id int64, tok task.Token) (task.Task, error) {
			return through.ReleaseTask(t.Context(), id, tok, later, through.Clock().Now())
		},
	}
	for name, end := range ends {
		insert(t, direct, 1, 1)
		claimed, tok := claimOne(t, direct)
		if _, err := end(claimed.ID, tok); err != nil { // from now on the connection knows the statement, and one answer is the whole answer
			t.Fatalf("%s: %v", name, err)
		}
		insert(t, direct, 1, 1)
		claimed, tok = claimOne(t, direct)
		p.arm()
		got, err := end(claimed.ID, tok)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := direct.GetTask(t.Context(), claimed.ID); err != nil || now.Status == task.Processing || now.Status != got.Status || !now.UpdatedAtUTC.Equal(got.UpdatedAtUTC) {
			t.Errorf("%s: answered %s, stored %s, error %v", name, got.Status, now.Status, err)
		}
		if p.armed() {
			t.Errorf("%s: no connection was broken", name)
		}
		// A second time it is not this call that ended it.
		if _, err := end(claimed.ID, tok); !errors.Is(err, task.ErrLeaseLost) {
			t.Errorf("%s again: %v, want ErrLeaseLost", name, err)
		}
	}
}

func TestAnInsertIsSettledByItsKeyWhenTheConnectionBreaks(t *testing.T) {
	t.Parallel()
	through, direct, p := openThrough(t)
	insertOne(t, through, nil) // makes the statement known
	key := "once"
	p.arm()
	stored, created, err := insertOne(t, through, &key)
	if err != nil || !created || p.armed() {
		t.Errorf("with a key: created %v, error %v, still armed %v", created, err, p.armed())
	}
	again, created, err := insertOne(t, through, &key) // and known again
	if err != nil || created || again.ID != stored.ID {
		t.Errorf("the same key: task %d, want %d, created %v, error %v", again.ID, stored.ID, created, err)
	}
	p.arm()
	if _, _, err := insertOne(t, through, nil); !errors.Is(err, task.ErrUnknown) || errors.Is(err, task.ErrBusy) {
		t.Errorf("without a key: error %v, want ErrUnknown", err)
	}
	if stats, err := direct.Stats(t.Context(), direct.Clock().Now()); err != nil || stats.TotalTasks != 3 {
		t.Errorf("%d tasks, error %v, want 3", stats.TotalTasks, err)
	}
}

func TestWhatBecameOfAClaimIsNotKnownWhenTheConnectionBreaks(t *testing.T) {
	t.Parallel()
	through, direct, p := openThrough(t)
	insert(t, direct, 3, 1)
	claimOne(t, through)
	claimOne(t, through) // the connection is tried out when it is used again for the first time
	p.arm()
	if got, err := through.ClaimTasks(t.Context(), claim(through, task.FIFO, 1)); !errors.Is(err, task.ErrUnknown) || errors.Is(err, task.ErrBusy) || len(got) > 0 {
		t.Errorf("claimed %d tasks, error %v; want ErrUnknown", len(got), err)
	}
}

func TestASetIsSettledOneByOneWhenTheConnectionBreaks(t *testing.T) {
	t.Parallel()
	through, direct, p := openThrough(t)
	const n = 8
	complete := func(h task.Task) error {
		_, err := through.CompleteTask(t.Context(), h.ID, task.Token{Fence: h.Fence, Secret: *h.LeaseSecret}, nil, through.Clock().Now())
		return err
	}
	for _, broken := range []bool{false, true} { // the first set makes the statement known
		insert(t, direct, n, 1)
		held, err := direct.ClaimTasks(t.Context(), claim(direct, task.FIFO, n))
		if err != nil || len(held) != n {
			t.Fatalf("claimed %d tasks, error %v", len(held), err)
		}
		release := through.HoldSets()
		var wg sync.WaitGroup
		for _, h := range held {
			wg.Go(func() {
				if err := complete(h); err != nil {
					t.Errorf("task %d: %v", h.ID, err)
				}
			})
		}
		await(t, n, through.EndsThatWait)
		if broken {
			p.arm()
		}
		release()
		wg.Wait()
		if p.armed() {
			t.Error("no connection was broken")
		}
		for _, h := range held {
			if err := complete(h); !errors.Is(err, task.ErrLeaseLost) {
				t.Errorf("task %d again: %v, want ErrLeaseLost", h.ID, err)
			}
		}
	}
}

func TestWhatIsReadIsReadAgainWhenTheConnectionBreaks(t *testing.T) {
	t.Parallel()
	through, direct, p := openThrough(t)
	stored := insert(t, direct, 1, 1)[0]
	for name, read := range map[string]func() error{
		"held task": func() error { _, err := through.HeldTask(t.Context(), stored.ID); return err },
		"stats":     func() error { _, err := through.Stats(t.Context(), stored.CreatedAtUTC); return err },
	} {
		for round := range 3 { // the first ones make a connection that knows the statements
			if round == 2 {
				p.arm()
			}
			if err := read(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if p.armed() {
			t.Errorf("%s: no connection was broken", name)
		}
	}
}

// A server that is stopped, or behind a network that drops everything, keeps its connections and says nothing.
func TestAServerThatDoesNotAnswerKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(testdb.PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, u.Host)
	u.Host = p.Addr().String()
	u.RawQuery += "&statement_timeout=1s&connect_timeout=1"
	st, err := postgres.Open(t.Context(), u.String(), postgres.Options{MaxConns: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	stored := insert(t, st, 2, 1)
	claimed, tok := claimOne(t, st)
	key := "k"
	calls := map[string]func() error{
		"ping":       func() error { return st.Ping(t.Context()) },
		"get":        func() error { _, err := st.GetTask(t.Context(), stored[0].ID); return err },
		"held":       func() error { _, err := st.HeldTask(t.Context(), stored[0].ID); return err },
		"list":       func() error { _, err := st.ListTasks(t.Context(), task.Filter{Limit: 1}); return err },
		"stats":      func() error { _, err := st.Stats(t.Context(), stored[0].CreatedAtUTC); return err },
		"next event": func() error { _, err := st.NextEvent(t.Context()); return err },
		"cancel": func() error {
			_, _, err := st.CancelTask(t.Context(), stored[1].ID, stored[1].CreatedAtUTC)
			return err
		},
		"insert":     func() error { _, _, err := insertOne(t, st, nil); return err },
		"with a key": func() error { _, _, err := insertOne(t, st, &key); return err },
		"batch":      func() error { return insertKeys(t.Context(), st, "a", "b") },
		"claim":      func() error { _, err := st.ClaimTasks(t.Context(), claim(st, task.FIFO, 1)); return err },
		"complete": func() error {
			_, err := st.CompleteTask(t.Context(), claimed.ID, tok, nil, st.Clock().Now())
			return err
		},
	}
	reads := []string{"ping", "get", "held", "list", "stats", "next event"}
	type answer struct {
		name string
		err  error
	}
	answers := make(chan answer, len(calls))
	p.silent.Store(true)
	for name, call := range calls {
		go func() { answers <- answer{name, call()} }()
	}
	late := time.After(20 * time.Second)
	for range calls {
		select {
		case a := <-answers:
			if !errors.Is(a.err, task.ErrBusy) && (slices.Contains(reads, a.name) || !errors.Is(a.err, task.ErrUnknown)) {
				t.Errorf("%s: got %v, want ErrBusy, or ErrUnknown of a change", a.name, a.err)
			}
		case <-late:
			t.Fatal("somebody still waits")
		}
	}
	p.silent.Store(false)
	if _, err := st.GetTask(t.Context(), stored[0].ID); err != nil {
		t.Errorf("when the server answers again: %v", err)
	}
	p.silent.Store(true)
	closed := make(chan error, 1)
	go func() { closed <- st.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Errorf("close: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Close still waits")
	}
}
