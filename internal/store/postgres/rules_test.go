package postgres_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/storetest"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// twoNodes returns two stores on one fresh database.
func twoNodes(t *testing.T) [2]*postgres.Store {
	t.Helper()
	u, err := url.Parse(testdb.PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	var nodes [2]*postgres.Store
	for i := range nodes {
		if nodes[i], err = postgres.Open(t.Context(), u.String(), postgres.Options{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nodes[i].Close() })
	}
	return nodes
}

// A claim that began before a pause may still take what it has seen, so the pause is not answered before that claim is.
func TestAPauseWaitsForTheClaimsUnderWay(t *testing.T) {
	t.Parallel()
	st, other := open(t, "")
	insert(t, st, 5, 1)
	exec(t, other, "BEGIN")
	exec(t, other, `UPDATE task_queue SET status = 'processing', ready = false, attempts = 1, fence = 1, lease_secret = 's', locked_by = 'w', last_worker_id = 'w',
		lease_until_utc = now(), reserved_at_utc = now() WHERE id = (SELECT min(id) FROM task_queue)`)
	paused := make(chan error, 1)
	go func() {
		_, err := st.PauseType(t.Context(), "work", true, st.Clock().Now())
		paused <- err
	}()
	for looked := false; !looked; { // for what is under way, after it has been committed
		select {
		case err := <-paused:
			t.Fatalf("the pause was answered before the claim: %v", err)
		default:
		}
		if err := st.ListDB().QueryRowContext(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE '-- name: ListTaskWriters%')").Scan(&looked); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := st.GetType(t.Context(), "work"); err != nil || !got.Paused || got.ProcessingTasks != 0 {
		t.Errorf("before the claim is committed: %+v, %v", got, err)
	}
	exec(t, other, "COMMIT")
	if err := <-paused; err != nil {
		t.Fatal(err)
	}
	if got, err := st.GetType(t.Context(), "work"); err != nil || got.ProcessingTasks != 1 {
		t.Errorf("%d tasks are held when the pause is answered, want 1; %v", got.ProcessingTasks, err)
	}
}

// Nodes that claim at once lock the type, so that none takes what the other has room for.
func TestALimitHoldsOverAllNodes(t *testing.T) {
	t.Parallel()
	nodes := twoNodes(t)
	storetest.CheckLimit(t, nodes[0], nodes[1])
}

func TestARateHoldsOverAllNodes(t *testing.T) {
	t.Parallel()
	nodes := twoNodes(t)
	storetest.CheckRate(t, nodes[0], nodes[1])
}

func TestTheLimitOfAKeyHoldsOverAllNodes(t *testing.T) {
	t.Parallel()
	nodes := twoNodes(t)
	storetest.CheckKeys(t, nodes[0], nodes[1])
}

// Another claim of the same worker is taking the task in quarantine: this one waits for it, and then takes nothing beside it.
func TestClaimsOfOneWorkerWaitForEachOtherInQuarantine(t *testing.T) {
	t.Parallel()
	st, other := open(t, "")
	insert(t, st, 3, 1)
	exec(t, other, "UPDATE task_queue SET lost = 2 WHERE id = (SELECT min(id) FROM task_queue)")
	exec(t, other, "BEGIN")
	exec(t, other, "SELECT pg_advisory_xact_lock(hashtextextended('quarantine', 0) # hashtextextended('w', 0))")
	exec(t, other, `UPDATE task_queue SET status = 'processing', ready = false, attempts = 1, fence = 1, lease_secret = 's', locked_by = 'w', last_worker_id = 'w',
		lease_until_utc = now(), reserved_at_utc = now() WHERE lost = 2`)
	claimed := make(chan int, 1)
	go func() {
		ts, err := st.ClaimTasks(t.Context(), claim(st, task.FIFO, 3))
		if err != nil {
			t.Errorf("claim: %v", err)
		}
		claimed <- len(ts)
	}()
	awaitBlocked(t, st, 1)
	exec(t, other, "COMMIT")
	if n := <-claimed; n != 0 {
		t.Errorf("%d tasks beside the one in quarantine", n)
	}
}

// The slots of one worker may ask different nodes; none gives it a task beside one in quarantine.
func TestQuarantineHoldsOverAllNodes(t *testing.T) {
	t.Parallel()
	nodes := twoNodes(t)
	storetest.CheckQuarantine(t, nodes[0], nodes[1])
}

// A claim on another node that goes on while a type is paused takes nothing from the answer of the pause on.
func TestAPauseHoldsOnEveryNode(t *testing.T) {
	t.Parallel()
	nodes := twoNodes(t)
	insert(t, nodes[0], 2000, 1)
	const kind = "work"
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 16)
	for i := range cap(ended) {
		go func() {
			st := nodes[1]
			for ctx.Err() == nil {
				if _, err := st.ClaimTasks(t.Context(), claim(st, task.Strategies[i%4], 1)); err != nil {
					ended <- err
					return
				}
			}
			ended <- nil
		}()
	}
	for range 40 {
		var held [2]int64
		if _, err := nodes[0].PauseType(t.Context(), kind, true, nodes[0].Clock().Now()); err != nil {
			t.Fatal(err)
		}
		for i := range held {
			got, err := nodes[0].GetType(t.Context(), kind)
			if err != nil {
				t.Fatal(err)
			}
			held[i] = got.ProcessingTasks
			for range 5 { // the others go on
				if _, err := nodes[1].ListTypes(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if held[0] != held[1] {
			t.Fatalf("I12: %d tasks were held when the pause was answered, %d later", held[0], held[1])
		}
		if _, err := nodes[0].PauseType(t.Context(), kind, false, nodes[0].Clock().Now()); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// What lets more be claimed is announced to other nodes. An announcement may be lost before they are known to listen, so it is made again.
func TestRoomAndResumedTypesAreAnnouncedToOtherNodes(t *testing.T) {
	t.Parallel()
	nodes := twoNodes(t)
	stored := insert(t, nodes[0], 1, 1)[0]
	heard := make(chan []task.Lane, 100)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		nodes[1].Listen(ctx, func(lanes []task.Lane) {
			select {
			case heard <- lanes:
			default: // enough
			}
		})
	}()
	defer func() { stop(); <-ended }()
	until := func(what string, announce func(), fits func([]task.Lane) bool) {
		t.Helper()
		again, late := time.NewTicker(20*time.Millisecond), time.After(20*time.Second)
		defer again.Stop()
		for {
			select {
			case lanes := <-heard:
				if fits(lanes) {
					return
				}
			case <-again.C:
				announce()
			case <-late:
				t.Fatalf("the other node does not hear of %s", what)
			}
		}
	}
	until("room for one more", func() { nodes[0].AnnounceRoom(stored) }, func(lanes []task.Lane) bool {
		return len(lanes) == 1 && lanes[0].ID == stored.LaneID && lanes[0].Ready > 0
	})
	until("a type that is resumed", func() {
		if _, err := nodes[0].PauseType(t.Context(), "work", false, nodes[0].Clock().Now()); err != nil {
			t.Error(err)
		}
	}, func(lanes []task.Lane) bool { return lanes == nil })
}
