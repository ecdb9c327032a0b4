package postgres

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
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
	MaxConns int          // connections for everything but lists and sets, which have 4 and 2 of their own; 0: 16
	Log      *slog.Logger // nil: discards
}

const (
	defaultConns = 16
	listConns    = 4
	// connectTimeout bounds one attempt to connect, unless the URL says connect_timeout.
	connectTimeout = 5 * time.Second
)

// timeouts are what the server enforces on each session, unless the URL says otherwise. A statement that meets one of them has changed nothing.
var timeouts = map[string]string{"statement_timeout": "15s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s"}

// Store is a PostgreSQL database.
type Store struct {
	db, setDB, listDB *sql.DB
	q, sets, lists    *postgresdb.Queries // on these

	clock     *databaseClock
	lanes     lanes
	inserts   gatherer[task.Task, int64]
	claims    gatherer[task.Claim, []task.Task]
	ends      gatherer[end, task.Task]
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
	if err := migrate(ctx, cfg, o.Migrate); err != nil {
		return nil, classify(ctx, "open PostgreSQL", err)
	}
	machine := clock.NewSystem(time.Time{})
	s := &Store{
		cfg: cfg, db: connect(lookups(cfg), o.MaxConns), setDB: connect(hasty(lookups(cfg)), setsAtOnce), listDB: connect(cfg, listConns),
		clock: &databaseClock{base: machine}, announcer: newAnnouncer(cfg, machine, o.Log),
	}
	s.q, s.sets, s.lists = postgresdb.New(s.db), postgresdb.New(s.setDB), postgresdb.New(s.listDB)
	s.gather()
	if err := s.clock.measure(ctx, s.q); err != nil {
		return nil, errors.Join(classify(ctx, "open PostgreSQL", err), s.disconnect())
	}
	running, cancel := context.WithCancel(context.Background())
	var beside sync.WaitGroup
	beside.Go(func() { s.clock.run(running, s.q, o.Log) })
	beside.Go(func() { s.announcer.run(running) })
	s.stop = func() { cancel(); beside.Wait() }
	return s, nil
}

func (s *Store) disconnect() error {
	return errors.Join(s.db.Close(), s.setDB.Close(), s.listDB.Close(), s.announcer.db.Close())
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
	for _, name := range []string{"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"} {
		cfg.RuntimeParams[name] = "off"
	}
	cfg.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	return cfg
}

// hasty makes statements give up on a lock soon.
func hasty(cfg *pgx.ConnConfig) *pgx.ConnConfig {
	cfg.RuntimeParams["lock_timeout"] = hastyLock
	return cfg
}

// connect returns a pool. Nothing is dialled before it is needed.
func connect(cfg *pgx.ConnConfig, maxConns int) *sql.DB {
	db := stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(inUTC))
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

// migrate uses connections of its own, whose statements may take as long as they need.
func migrate(ctx context.Context, cfg *pgx.ConnConfig, up bool) (err error) {
	s, done, err := openSchema(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if up {
		return s.Up(ctx)
	}
	return s.Check(ctx)
}

func openSchema(ctx context.Context, cfg *pgx.ConnConfig) (*schema.Schema, func() error, error) {
	cfg = cfg.Copy()
	for name := range timeouts {
		cfg.RuntimeParams[name] = "0"
	}
	db := connect(cfg, 2)
	err := checkEncoding(ctx, db)
	if err == nil {
		var s *schema.Schema
		if s, err = schema.New(schema.Postgres, db); err == nil {
			return s, db.Close, nil
		}
	}
	return nil, nil, errors.Join(err, db.Close())
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
	s.inserts = gatherer[task.Task, int64]{gate: gate, one: s.insertOne, many: s.insertMany, settle: s.settleInsert,
		size: func(t task.Task) int { return len(t.Payload) + len(t.Compatibility) }, most: maxSetBytes}
	s.claims = gatherer[task.Claim, []task.Task]{gate: gate, one: s.claimOne, many: s.claimMany,
		size: func(c task.Claim) int { return c.Max }, most: maxWanted}
	s.ends = gatherer[end, task.Task]{gate: gate, one: s.endOne, many: s.endMany, settle: s.settleEnd, size: end.size, most: maxSetBytes}
}

// queries are those on the connections for sets, or those where a statement may take its time.
func (s *Store) queries(haste bool) *postgresdb.Queries {
	if haste {
		return s.sets
	}
	return s.q
}

// Ping returns nil when the database answers.
func (s *Store) Ping(ctx context.Context) error {
	_, err := do(ctx, s, "ping", func() (struct{}, error) { return struct{}{}, s.db.PingContext(ctx) })
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

// do runs one operation while the store is open and gives its error the words of package task. What the database gave up and undid for a
// reason that passes is tried again.
func do[T any](ctx context.Context, s *Store, what string, run func() (T, error)) (T, error) {
	var none T
	s.open.RLock()
	defer s.open.RUnlock()
	if s.closed {
		return none, task.ErrStopped
	}
	for try := 1; ; try++ {
		v, err := run()
		if err == nil {
			return v, nil
		}
		if try == maxTries || ctx.Err() != nil || !undone(err) {
			return none, classify(ctx, what, err)
		}
	}
}

// inTx runs fn in one transaction, which is committed unless fn fails.
func inTx[T any](ctx context.Context, db *sql.DB, o *sql.TxOptions, fn func(*postgresdb.Queries) (T, error)) (T, error) {
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
