package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/db/postgressets"
	"github.com/prismq/thequeue/internal/task"
)

const (
	// announceEvery is the least time between two announcements: a NOTIFY takes a lock on the server that all others need too.
	announceEvery = 5 * time.Millisecond
	// countListenersEvery is how often an announcer looks whether anybody listens. With nobody there it sends nothing.
	countListenersEvery = time.Second
	// maxAnnounced is how many lanes one announcement names; a payload holds 8,000 bytes.
	maxAnnounced = 200
	// listenAgain is the pause after a listening connection has broken.
	listenAgain = time.Second
)

// announcer tells other processes which lanes have got tasks to claim. That is a hint: nobody waits for it and a lost one does no harm.
type announcer struct {
	node  string // the name of this process among those that listen
	db    *sql.DB
	clock task.Clock
	log   *slog.Logger

	mu    sync.Mutex
	ready map[int64]int // tasks by lane, not yet announced
	any   bool          // there may be more in any lane
	news  chan struct{} // holds one: there is something to announce
}

func newAnnouncer(cfg *pgx.ConnConfig, clock task.Clock, log *slog.Logger) *announcer {
	cfg = cfg.Copy()
	cfg.RuntimeParams["synchronous_commit"] = "off" // nothing is stored
	return &announcer{node: rand.Text(), db: connect(cfg, 1), clock: clock, log: log, ready: make(map[int64]int), news: make(chan struct{}, 1)}
}

// listensAs is the name of the session on which a process listens.
func listensAs(node string) string { return "thequeue listens " + node }

// announce notes the tasks that can be claimed now.
func (s *Store) announce(ts ...task.Task) {
	a := s.announcer
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range ts {
		if t.Status == task.Queued && t.Ready {
			a.ready[t.LaneID]++
		}
	}
	if len(a.ready) > 0 {
		a.ring()
	}
}

// AnnounceRoom tells other processes that one more task of the lane of t may be claimed, now that t has ended.
func (s *Store) AnnounceRoom(t task.Task) {
	a := s.announcer
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ready[t.LaneID]++
	a.ring()
}

// announceAny lets every claim that waits look for itself.
func (s *Store) announceAny() {
	a := s.announcer
	a.mu.Lock()
	defer a.mu.Unlock()
	a.any = true
	a.ring()
}

func (a *announcer) ring() {
	select {
	case a.news <- struct{}{}:
	default:
	}
}

// take returns what is to be announced.
func (a *announcer) take() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() { clear(a.ready); a.any = false }()
	if a.any {
		return encodeAnnouncement(a.node, nil)
	}
	return encodeAnnouncement(a.node, a.ready)
}

// run announces until ctx ends.
func (a *announcer) run(ctx context.Context) {
	q := postgresdb.New(a.db)
	var listeners int64
	var counted time.Time
	for pause := announceEvery; ; sleep(ctx, pause) {
		select {
		case <-ctx.Done():
			return
		case <-a.news:
		}
		payload := a.take()
		err := a.announce(ctx, q, payload, &listeners, &counted)
		if pause = announceEvery; err != nil && ctx.Err() == nil {
			a.log.Debug("announce tasks", "error", err)
			pause = listenAgain
		}
	}
}

func (a *announcer) announce(ctx context.Context, q *postgresdb.Queries, payload string, listeners *int64, counted *time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, setTimeout)
	defer cancel()
	if now := a.clock.Now(); now.Sub(*counted) >= countListenersEvery {
		var err error
		if *listeners, err = q.CountListeners(ctx, listensAs(a.node)); err != nil {
			return err
		}
		*counted = now
	}
	if *listeners == 0 {
		return nil
	}
	return q.Announce(ctx, payload)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// encodeAnnouncement returns the node and lane:tasks for each lane. No lane stands for any.
func encodeAnnouncement(node string, ready map[int64]int) string {
	var b strings.Builder
	b.WriteString(node)
	if len(ready) > maxAnnounced {
		return b.String()
	}
	for lane, n := range ready {
		b.WriteString(" " + strconv.FormatInt(lane, 10) + ":" + strconv.Itoa(n))
	}
	return b.String()
}

// parseAnnouncement leaves out what it cannot read.
func parseAnnouncement(payload string) (node string, ready map[int64]int64) {
	words := strings.Fields(payload)
	if len(words) == 0 {
		return "", nil
	}
	ready = make(map[int64]int64)
	for _, w := range words[1:] {
		lane, n, _ := strings.Cut(w, ":")
		id, badID := strconv.ParseInt(lane, 10, 64)
		count, badCount := strconv.ParseInt(n, 10, 64)
		if badID == nil && badCount == nil {
			ready[id] = count
		}
	}
	return words[0], ready
}

// Listen calls woken with the lanes in which other processes have made tasks ready, Ready being how many, until ctx ends; nil lanes stand for any.
// It keeps a connection of its own, and connects again when that breaks. What is announced meanwhile is missed.
func (s *Store) Listen(ctx context.Context, woken func([]task.Lane)) {
	for ctx.Err() == nil {
		err := s.listen(ctx, woken)
		if errors.Is(err, task.ErrStopped) {
			return
		}
		if ctx.Err() == nil {
			s.announcer.log.Debug("listen to other processes", "error", err)
			sleep(ctx, listenAgain)
		}
	}
}

func (s *Store) listen(ctx context.Context, woken func([]task.Lane)) (err error) {
	cfg := s.cfg.Copy()
	cfg.RuntimeParams["application_name"] = listensAs(s.announcer.node)
	db := connect(cfg, 1)
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() // the pool is closed next
	if err := postgresdb.New(conn).Listen(ctx); err != nil {
		return err
	}
	return conn.Raw(func(c any) error {
		for {
			n, err := c.(*stdlib.Conn).Conn().WaitForNotification(ctx)
			if err == nil {
				err = s.heard(ctx, n.Payload, woken)
			}
			if err != nil {
				return err
			}
		}
	})
}

// heard passes an announcement of another process on.
func (s *Store) heard(ctx context.Context, payload string, woken func([]task.Lane)) error {
	node, ready := parseAnnouncement(payload)
	if node == s.announcer.node {
		return nil
	}
	if len(ready) == 0 {
		woken(nil)
		return nil
	}
	ids := make([]int64, 0, len(ready))
	for id := range ready {
		ids = append(ids, id)
	}
	lanes, err := search(ctx, s, "read lanes", func(ctx context.Context) ([]task.Lane, error) {
		return onPgx(ctx, s.db, func(q *postgressets.Queries) ([]task.Lane, error) { return s.lanesByID(ctx, q, ids) })
	})
	if err != nil {
		return err
	}
	for i := range lanes {
		lanes[i].Ready = ready[lanes[i].ID]
	}
	if len(lanes) > 0 {
		woken(lanes)
	}
	return nil
}
