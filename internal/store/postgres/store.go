package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/prismq/thequeue/db/postgresdb"
	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// Options are settings of a store that have good defaults.
type Options struct {
	Migrate  bool         // bring the schema to the version of this binary; else another version is refused
	Serve    bool         // the store is to be served: one that has been moved elsewhere is refused with task.ErrMoved
	MaxConns int          // connections for everything but lists and sets, which have 4 and 2 of their own, at least 2 to serve; 0: 16
	Log      *slog.Logger // nil: discards
}

const (
	defaultConns = 16
	servedConns  = 2 // the fewest to serve with: whether there is a pooler before the server two of them tell together
	listConns    = 4
	// lookTimeout bounds the reading of one row, for a server that does not answer. What may take longer has the time of a statement and answerTime.
	lookTimeout = 5 * time.Second
	answerTime  = 2 * time.Second
	// connectTimeout bounds one attempt to connect, unless the URL says connect_timeout.
	connectTimeout = 5 * time.Second
)

// keepAlive finds within a minute that the machine of the server is gone, also where this side has nothing to send.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// timeouts are what the server enforces on each session, unless the URL says otherwise. A statement that meets one of them has changed nothing.
var timeouts = map[string]string{"statement_timeout": "15s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s"}

// Store is a PostgreSQL database.
type Store struct {
	db, setDB, listDB *sql.DB
	q, sets, lists    *postgresdb.Queries // on these

	patience  time.Duration // how long one operation may take; 0: there is no limit
	clock     *databaseClock
	lanes     lanes
	tally     store.Tally
	inserts   gatherer[task.Task, int64]
	claims    gatherer[task.Claim, []task.Task]
	ends      gatherer[end, task.Task]
	standby   store.Standby // for tasks in quarantine
	announcer *announcer
	cfg       *pgx.ConnConfig
	stop      func() // ends what runs beside the operations, and waits for it

	open   sync.RWMutex // held for reading by every operation
	closed bool
}

var _ store.Store = (*Store)(nil)

// Open connects to the database that the URL names (postgres://… or key=value pairs). Errors do not contain the password. ErrBusy when
// the server cannot be reached, *task.InvalidError about the field database when the URL or the encoding will not do, schema.ErrNewer and schema.ErrOlder as the options say.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	cfg, err := configure(url)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxConns == 0 {
		o.MaxConns = defaultConns
	}
	if o.Serve && o.MaxConns < servedConns {
		return nil, fmt.Errorf("open PostgreSQL: %d connection is too few to serve: MaxConns must be at least %d, or 0 for %d", o.MaxConns, servedConns, defaultConns)
	}
	machine := clock.NewSystem(time.Time{})
	s := &Store{
		cfg: cfg, db: connect(lookups(cfg), o.MaxConns), setDB: connect(hasty(lookups(cfg)), setsAtOnce), listDB: connect(ordered(cfg), listConns),
		clock: &databaseClock{base: machine}, announcer: newAnnouncer(cfg, machine, o.Log),
	}
	s.q, s.sets, s.lists = postgresdb.New(s.db), postgresdb.New(s.setDB), postgresdb.New(s.listDB)
	if o.Serve {
		err = s.checkSession(ctx)
	}
	if err == nil {
		err = s.clock.measure(ctx, s.q) // from here on the tables stay
	}
	if err == nil {
		err = s.describe(ctx)
	}
	if err == nil {
		err = migrate(ctx, cfg, o.Migrate, func(m *schema.Schema) error { return m.AllowServe(ctx, o.Serve) })
	}
	if err == nil {
		err = s.checkMove(ctx, o.Serve)
	}
	if err != nil {
		return nil, errors.Join(classify(ctx, "open PostgreSQL", pooled(err)), s.disconnect())
	}
	s.gather()
	running, cancel := context.WithCancel(context.Background())
	var beside sync.WaitGroup
	beside.Go(func() { s.clock.run(running, s.q, o.Log) })
	beside.Go(func() { s.announcer.run(running) })
	s.stop = func() { cancel(); beside.Wait() }
	return s, nil
}

// describe asks how long the server lets a statement take.
func (s *Store) describe(ctx context.Context) error {
	session, err := s.q.DescribeSession(ctx)
	if session.StatementTimeoutMs > 0 {
		s.patience = time.Duration(session.StatementTimeoutMs)*time.Millisecond + answerTime
	}
	return err
}

// disconnect closes the connections. Each says goodbye and waits for the answer of the server, one after the other; where none comes they are
// left to the end of the process.
func (s *Store) disconnect() error {
	closed := make(chan error, 1)
	go func() { closed <- errors.Join(s.db.Close(), s.setDB.Close(), s.listDB.Close(), s.announcer.db.Close()) }()
	select {
	case err := <-closed:
		return err
	case <-time.After(lookTimeout):
		return nil
	}
}

// configure reads the URL and adds what it does not say. What is wrong with it is a *task.InvalidError without its text.
func configure(url string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, task.Invalid("database", "is not the URL of a PostgreSQL database: %s", withoutURL(err))
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	cfg.DialFunc = (&net.Dialer{KeepAliveConfig: keepAlive}).DialContext
	params := cfg.RuntimeParams
	params["client_encoding"] = "UTF8" // a role may have another one
	if params["application_name"] == "" {
		params["application_name"] = "thequeue"
	}
	for name, value := range timeouts {
		if params[name] == "" {
			params[name] = value
		}
	}
	return cfg, nil
}

// lookups adds what keeps the planner at what each statement of the service is: a few rows found through an index. It would else plan for what the tables
// hold at the moment, which for a queue may be nothing, and keep that plan when there are millions; and it would plan most statements again at each call.
func lookups(cfg *pgx.ConnConfig) *pgx.ConnConfig {
	cfg = cfg.Copy()
	for _, name := range []string{"enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_hashjoin", "enable_mergejoin", "jit"} {
		cfg.RuntimeParams[name] = "off"
	}
	cfg.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	return cfg
}

// ordered adds what keeps the planner at what a list is: the first rows of an index in its order. It would else, where it believes that there are few, read
// all that match and sort them. Which index it is may depend on the status asked for, so plans are not generic.
func ordered(cfg *pgx.ConnConfig) *pgx.ConnConfig {
	cfg = cfg.Copy()
	for _, name := range []string{"enable_seqscan", "enable_bitmapscan", "jit"} {
		cfg.RuntimeParams[name] = "off"
	}
	return cfg
}

// hasty makes statements give up on a lock soon.
func hasty(cfg *pgx.ConnConfig) *pgx.ConnConfig {
	cfg.RuntimeParams["lock_timeout"] = hastyLock
	return cfg
}

// connect returns a pool whose sessions say that the tables are in use, so that nobody takes them away. Nothing is dialled before it is needed.
func connect(cfg *pgx.ConnConfig, maxConns int) *sql.DB {
	return pool(cfg, maxConns, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SELECT pg_advisory_lock_shared($1)", schema.InUseLock)
		return errors.Join(err, inUTC(ctx, c))
	})
}

func pool(cfg *pgx.ConnConfig, maxConns int, prepare func(context.Context, *pgx.Conn) error) *sql.DB {
	db := stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(prepare))
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour)
	return db
}

// inUTC makes a connection return times in UTC rather than in the zone of this machine.
func inUTC(_ context.Context, c *pgx.Conn) error {
	c.TypeMap().RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC}})
	return nil
}

// migrate uses connections of its own, whose statements may take as long as they need. What is to be brought up is changed only if allowed says so.
func migrate(ctx context.Context, cfg *pgx.ConnConfig, up bool, allowed func(*schema.Schema) error) (err error) {
	s, done, err := openSchema(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if !up {
		return s.Check(ctx)
	}
	if err := allowed(s); err != nil {
		return err
	}
	return s.Up(ctx)
}

func openSchema(ctx context.Context, cfg *pgx.ConnConfig) (*schema.Schema, func() error, error) {
	cfg = cfg.Copy()
	for name := range timeouts {
		cfg.RuntimeParams[name] = "0"
	}
	db := pool(cfg, 2, inUTC) // one holds a lock while the other migrates
	err := checkEncoding(ctx, db)
	if err == nil {
		var s *schema.Schema
		if s, err = schema.New(schema.Postgres, db); err == nil {
			return s, db.Close, nil
		}
	}
	return nil, nil, errors.Join(pooled(err), db.Close())
}

// checkEncoding refuses a database that cannot hold every text, or that would take bytes which are none. It is the first question asked.
func checkEncoding(ctx context.Context, db *sql.DB) error {
	session, err := postgresdb.New(db).DescribeSession(ctx)
	if err == nil && session.Encoding != "UTF8" {
		err = task.Invalid("database", "has the encoding %s and must have UTF8: make another with CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'", session.Encoding)
	}
	return err
}

// OpenSchema opens the database for its migrations alone; done closes it. ErrBusy when the server cannot be reached.
func OpenSchema(ctx context.Context, url string) (s *schema.Schema, done func() error, err error) {
	cfg, err := configure(url)
	if err != nil {
		return nil, nil, err
	}
	if s, done, err = openSchema(ctx, cfg); err != nil {
		return nil, nil, classify(ctx, "open PostgreSQL", err)
	}
	return s, done, nil
}

// gather sets up what is done in sets.
func (s *Store) gather() {
	gate := make(chan struct{}, setsAtOnce)
	s.inserts = gatherer[task.Task, int64]{gate: gate, longest: s.patience, tell: s.tally.Committed, now: s.clock.Now, one: s.insertOne, many: s.insertMany, settle: s.settleInsert,
		size: func(t task.Task) int { return len(t.Payload) + len(t.Compatibility) }, most: maxSetBytes}
	s.claims = gatherer[task.Claim, []task.Task]{gate: gate, longest: s.patience, tell: s.tally.Committed, now: s.clock.Now, one: s.claimOne, many: s.claimMany,
		size: func(c task.Claim) int { return c.Max }, most: maxWanted}
	s.ends = gatherer[end, task.Task]{gate: gate, longest: s.patience, tell: s.tally.Committed, now: s.clock.Now, one: s.endOne, many: s.endMany, settle: s.settleEnd, size: end.size, most: maxSetBytes}
}

// queries are those on the connections for sets, or those where a statement may take its time.
func (s *Store) queries(haste bool) *postgresdb.Queries {
	if haste {
		return s.sets
	}
	return s.q
}

// poolFor is queries for what runs on pgx.
func (s *Store) poolFor(haste bool) *sql.DB {
	if haste {
		return s.setDB
	}
	return s.db
}

// Ping returns nil when the database answers, within lookTimeout, and takes changes.
func (s *Store) Ping(ctx context.Context) error {
	_, err := look(ctx, s, "ping", func(ctx context.Context) (struct{}, error) { return struct{}{}, s.checkMove(ctx, true) })
	return err
}

// Clock is the clock of the database.
func (s *Store) Clock() task.Clock { return s.clock }

// Close waits for what is under way and closes the connections. It is safe to call twice.
func (s *Store) Close() error {
	s.open.Lock()
	defer s.open.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.stop()
	return s.disconnect()
}

// maxTries bounds how often an operation is tried that the database gives up.
const maxTries = 5

// do runs one change while the store is open and gives its error the words of package task. What the database gave up and undid for a reason
// that passes is tried again. ErrUnknown when the answer did not come.
func do[T any](ctx context.Context, s *Store, what string, run func(context.Context) (T, error)) (T, error) {
	return operate(ctx, s, kind{what: what, longest: s.patience}, run)
}

// look is do for one row that is read: it must come soon, and may be asked for again when the answer did not come.
func look[T any](ctx context.Context, s *Store, what string, run func(context.Context) (T, error)) (T, error) {
	return operate(ctx, s, kind{what: what, reads: true, longest: lookTimeout}, run)
}

// search is look for what may take as long as a statement may.
func search[T any](ctx context.Context, s *Store, what string, run func(context.Context) (T, error)) (T, error) {
	return operate(ctx, s, kind{what: what, reads: true, longest: s.patience}, run)
}

// kind of operation.
type kind struct {
	what    string
	reads   bool
	longest time.Duration // 0: there is no limit
}

func operate[T any](ctx context.Context, s *Store, k kind, run func(context.Context) (T, error)) (T, error) {
	var none T
	s.open.RLock()
	defer s.open.RUnlock()
	if s.closed {
		return none, task.ErrStopped
	}
	within, cancel := limit(ctx, k.longest)
	defer cancel()
	for try := 1; ; try++ {
		v, err := run(within)
		if err == nil {
			return v, nil
		}
		unread := k.reads && (unsettled(err) || pgconn.SafeToRetry(err) && unreachable(err) == "")
		if try == maxTries || within.Err() != nil || !undone(err) && !unread {
			if unread && ctx.Err() == nil {
				return none, fmt.Errorf("%s: %w: %w", k.what, task.ErrBusy, err)
			}
			return none, s.tally.Saw(classify(ctx, k.what, err))
		}
		if sqlState(err) == foreignKeyViolation {
			s.lanes.forget()
		}
	}
}

// limit returns a context that ends after d, if d is not 0.
func limit(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// beginner is a pool or a connection.
type beginner interface {
	BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error)
}

// inTx runs fn in one transaction, which is committed unless fn fails.
func inTx[T any](ctx context.Context, db beginner, o *sql.TxOptions, fn func(*postgresdb.Queries) (T, error)) (T, error) {
	var none T
	tx, err := db.BeginTx(ctx, o)
	if err != nil {
		return none, err
	}
	defer tx.Rollback() // after Commit it does nothing; a connection that cannot roll back is closed, which does
	v, err := fn(postgresdb.New(tx))
	if err != nil {
		return none, err
	}
	if err := tx.Commit(); err != nil {
		return none, err
	}
	return v, nil
}

// snapshot is for reads of more than one statement that must agree.
var snapshot = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
