package store

import "fmt"

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
