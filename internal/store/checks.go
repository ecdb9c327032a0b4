package store

import (
	"fmt"

	"github.com/prismq/thequeue/internal/task"
)

// CheckState is how a check has ended.
type CheckState string

const (
	CheckOK      CheckState = "ok"
	CheckWarning CheckState = "warning" // the service works, but not as well or as safely as it might
	CheckFailed  CheckState = "failed"  // the service does not work, or may lose what it has acknowledged
	CheckSkipped CheckState = "skipped" // there was nothing to look at, or another check has failed that comes first
)

// Check is one thing about a database that was looked at, and what was found.
type Check struct {
	Name    string     `json:"name"` // what was looked at, as in pragma.synchronous
	State   CheckState `json:"state"`
	Message string     `json:"message"`
	Remedy  string     `json:"remedy,omitempty"` // what to do; empty: nothing
}

// Checks are in the order in which they were done.
type Checks []Check

// OK adds what is as it must be.
func (c *Checks) OK(name, format string, args ...any) { c.add(name, CheckOK, "", format, args) }

// Skip adds what was not looked at, and why.
func (c *Checks) Skip(name, format string, args ...any) { c.add(name, CheckSkipped, "", format, args) }

// Warn adds what should be otherwise.
func (c *Checks) Warn(name, remedy, format string, args ...any) {
	c.add(name, CheckWarning, remedy, format, args)
}

// Fail adds what must be otherwise.
func (c *Checks) Fail(name, remedy, format string, args ...any) {
	c.add(name, CheckFailed, remedy, format, args)
}

func (c *Checks) add(name string, state CheckState, remedy, format string, args []any) {
	*c = append(*c, Check{Name: name, State: state, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

// Moved adds what is known of a move of the store, state being empty where that is nothing, and reports whether the store takes changes.
func (c *Checks) Moved(state task.MoveState, peer string) bool {
	refused := &task.MovedError{State: state, Peer: peer}
	switch state {
	case "":
		c.OK("move", "the store is where it was made")
	case task.MoveArrived:
		c.OK("move", "the store has been moved here from %s", peer)
	case task.MoveLeaving:
		c.Warn("move", "wait for its end, or go on with the same thequeue move, or take it back with thequeue move --undo", "the store is being moved to %s; what changes is noted until that is done", peer)
	case task.MoveFenced:
		c.Fail("move", "go on with the same thequeue move, or take it back with thequeue move --undo", "%s", refused)
	case task.MoveLeft:
		c.Fail("move", "name the other database, or take the move back with thequeue move --undo", "%s", refused)
	default:
		c.Fail("move", "go on with the same thequeue move, or make this database anew", "%s", refused)
	}
	return !state.Refuses()
}

// Count returns how many checks have ended so.
func (c Checks) Count(state CheckState) (n int) {
	for _, k := range c {
		if k.State == state {
			n++
		}
	}
	return n
}

// ValidateType is the type of the task with which validate tries a database, in a transaction that is undone.
const ValidateType = "thequeue.validate"
