package dbcopy

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/prismq/thequeue/db/sqlitecopy"
	"github.com/prismq/thequeue/internal/task"
)

// Status is what a store knows of its move.
type Status struct {
	ID    string // the same on both sides; empty: there is no move
	State task.MoveState
	Peer  string // the other side, without a password
	Since time.Time

	copied progress // where the store arrives
	fresh  bool     // what was noted before is of another move
}

// progress is how far a copy has come; the other side keeps it in the transactions that write the rows.
type progress struct {
	Begun     bool   `json:"begun,omitempty"`      // LastTask is known
	LastTask  int64  `json:"last_task,omitempty"`  // of the first pass; later ones are among the changes
	Task      int64  `json:"task,omitempty"`       // the tasks up to this one are there
	Answer    string `json:"answer,omitempty"`     // the answers up to this one are there
	TasksDone bool   `json:"tasks_done,omitempty"` // the first pass over the tasks is over
	Passed    bool   `json:"passed,omitempty"`     // the first pass is over
	Change    int64  `json:"change,omitempty"`     // the changes up to this one have been followed
}

func (p progress) text() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // numbers and texts have a form
	}
	return string(text)
}

// status reads a row of store_move; sql.ErrNoRows stands for none.
func status(m sqlitecopy.StoreMove, err error) (Status, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return Status{}, nil
	}
	s := Status{ID: m.MoveID, State: m.State, Peer: m.Peer, Since: m.SinceUTC}
	if err == nil {
		err = json.Unmarshal([]byte(m.Copied), &s.copied)
	}
	return s, err
}

// follows returns an error where this is not the next state of the move that a store knows: it has been taken back, or another one has begun, and changes may not
// have been noted.
func (s Status) follows(known Status) error {
	if !s.fresh && s.ID != known.ID {
		return fmt.Errorf("%w: the move was taken back meanwhile, or another one has begun", task.ErrConflict)
	}
	return nil
}

// maxChanges bounds the changes that are followed in one pass.
const maxChanges = 200_000

func changesOf(list []sqlitecopy.MoveChange) []change {
	out := make([]change, len(list))
	for i, c := range list {
		out[i] = change{seq: c.Seq, taskID: c.TaskID, key: c.RequestKey}
	}
	return out
}

// steps returns the rows of a query as steps.
func steps[K, Row any](list []Row, err error, of func(Row) step[K]) ([]step[K], error) {
	out := make([]step[K], len(list))
	for i, r := range list {
		out[i] = of(r)
	}
	return out, err
}

func longCounts(c sqlitecopy.CountLongTablesRow) map[string]int64 {
	return map[string]int64{
		"task_queue": c.Tasks, "task_attempts": c.Attempts, "task_logs": c.Logs, "schedule_ticks": c.Ticks,
		"task_unique_keys": c.UniqueKeys, "http_answers": c.Answers,
	}
}
