package dbcopy

import (
	"context"
	"reflect"
)

// table is a table of one side, within a transaction. A row is a value of the type that sqlitecopy has for it, whatever the engine: the generated packages differ
// in their names alone.
type table struct {
	name  string
	paste func(ctx context.Context, rows []any) error

	// Of a short table: pages in the order of its keys, the key of a row as text, and the removal of a row.
	page func(ctx context.Context, skip int64) ([]any, error)
	key  func(row any) string
	cut  func(ctx context.Context, row any) error

	// Of a spanned table: its first and last place, 0 and 0 where it has no rows, the rows above one place and not above another, and how many places are read at once.
	bounds func(ctx context.Context) (lowest, highest int64, err error)
	within func(ctx context.Context, after, upto int64) ([]any, error)
	step   int64

	// Of a long table: the rows of some tasks, or the answers with some keys.
	ofTasks func(ctx context.Context, ids []int64) ([]any, error)
	ofKeys  func(ctx context.Context, keys []string) ([]any, error)
}

// all reads a short table.
func (t table) all(ctx context.Context, each func(row any) error) error {
	for skip := int64(0); ; {
		rows, err := t.page(ctx, skip)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := each(r); err != nil {
				return err
			}
		}
		if len(rows) == 0 {
			return nil
		}
		skip += int64(len(rows))
	}
}

// as returns a value in another type with the same fields.
func as[To any](v any) To { return reflect.ValueOf(v).Convert(reflect.TypeFor[To]()).Interface().(To) }

// boxed returns rows as those of the type To.
func boxed[To, From any](rows []From, err error) ([]any, error) {
	out := make([]any, len(rows))
	for i, r := range rows {
		out[i] = as[To](r)
	}
	return out, err
}

// unboxed returns rows as those of the type To.
func unboxed[To any](rows []any) []To {
	out := make([]To, len(rows))
	for i, r := range rows {
		out[i] = as[To](r)
	}
	return out
}

// pages returns the page function of a query.
func pages[To, From any](query func(context.Context, int64) ([]From, error)) func(context.Context, int64) ([]any, error) {
	return func(ctx context.Context, skip int64) ([]any, error) { return boxed[To](query(ctx, skip)) }
}

// cutting returns the cut function of a statement, whose parameters are those that of takes from a row.
func cutting[Row, Params any](statement func(context.Context, Params) error, of func(Row) Params) func(context.Context, any) error {
	return func(ctx context.Context, row any) error { return statement(ctx, of(row.(Row))) }
}

// step is a task or an answer to copy, and about how many bytes it has.
type step[K any] struct {
	key   K
	bytes int64
}

// rows are the tables of one side within a transaction, in an order in which a row refers to none that comes later.
type rows struct {
	short   []table // each of them is held in memory
	spanned []table // audit and metrics, which are read in parts; the place of a row is its id, or its time in microseconds
	tasks   []table // the tasks, then what belongs to them
	answers table

	lastTask   func(ctx context.Context) (int64, error)
	taskIDs    func(ctx context.Context, after, last int64) ([]step[int64], error)
	answerKeys func(ctx context.Context, after string) ([]step[string], error)
	// The sizes of some tasks, with all that belongs to them, or of some answers: of those that are there.
	taskSizes   func(ctx context.Context, ids []int64) ([]step[int64], error)
	answerSizes func(ctx context.Context, keys []string) ([]step[string], error)
	cutTasks    func(ctx context.Context, ids []int64) error
	cutAnswers  func(ctx context.Context, keys []string) error
	count       func(ctx context.Context) (map[string]int64, error) // of the long tables

	sequences func(ctx context.Context) (map[string]int64, error) // the greatest id that a table has ever given
	raise     func(ctx context.Context, table string, id int64) error

	move      func(ctx context.Context) (Status, error) // the zero Status where there is none
	setCopied func(ctx context.Context, p progress) error
	changes   func(ctx context.Context, since int64) ([]change, error)
	// The tasks of a range, and the answers, that have changed since.
	tasksChanged   func(ctx context.Context, since, after, last int64) ([]int64, error)
	answersChanged func(ctx context.Context, since int64) ([]string, error)
}

// change is a task, or an answer, that has changed.
type change struct {
	seq    int64
	taskID *int64
	key    *string
}

// side is a database that is open for a move.
type side interface {
	place() string // for people, without a password
	// see runs do on one snapshot.
	see(ctx context.Context, do func(*rows) error) error
	// fill runs do in one transaction, which is committed unless do fails. Only where the store arrives.
	fill(ctx context.Context, do func(*rows) error) error
	// enter notes a new move, or the next state of one, and has changes noted, or refused, as the state wants.
	enter(ctx context.Context, s Status) error
	// forget takes changes away that have been followed and, with all, every one.
	forget(ctx context.Context, followed []change) error
	// remove takes away all that is known of the move.
	remove(ctx context.Context) error
	// settle prepares the database for queries, when most of its rows are there.
	settle(ctx context.Context) error
	close() error
}
