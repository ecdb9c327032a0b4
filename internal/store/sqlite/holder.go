package sqlite

import (
	"fmt"
	"os"
	"regexp"
	"strconv"

	"github.com/gofrs/flock"
)

// lockSuffix ends the name of the file that says, beside the database, that a server has it, or a command that must be alone.
const lockSuffix = ".lock"

// Who may have the lock, by the command that takes it.
const (
	byServe   = "serve"
	byMigrate = "migrate"
	byMove    = "move"
	byRestore = "backup restore"
	byVacuum  = "maintenance vacuum --full"
	byAnalyze = "maintenance analyze"
)

// servedError is an ErrServed that says who has the file.
type servedError struct {
	command string // empty: nobody knows
	pid     int
}

func (e *servedError) Error() string {
	switch e.command {
	case "":
		return ErrServed.Error()
	case byServe:
		return fmt.Sprintf("%s (process %d)", ErrServed, e.pid)
	}
	return fmt.Sprintf("thequeue %s (process %d) has the database open, alone until it ends", e.command, e.pid)
}

// Is reports whether target is ErrServed.
func (e *servedError) Is(target error) bool { return target == ErrServed }

// hold takes the lock of the file at path for a command, and notes in its file who has it. ErrServed while somebody else has it.
func hold(path, command string) (*flock.Flock, error) {
	l := flock.New(path + lockSuffix)
	ok, err := l.TryLock()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, holder(path)
	}
	// Who cannot write there is taken for a server: it is a word for people alone.
	_ = os.WriteFile(path+lockSuffix, fmt.Appendf(nil, "%d %s\n", os.Getpid(), command), 0o600)
	return l, nil
}

// letGo gives the lock back. Nobody is noted any more: whoever reads it later would take it for the one who has it then.
func letGo(l *flock.Flock) error {
	if l.Locked() {
		_ = os.Truncate(l.Path(), 0) // a word for people alone, as above
	}
	return l.Unlock()
}

// held is what stands in the file of a lock.
var held = regexp.MustCompile(`^(\d{1,9}) ([a-z -]{1,40})\n$`)

// holder reads who has the lock; nobody where that is a process that is gone, and another one has not noted itself yet.
func holder(path string) *servedError {
	text, err := os.ReadFile(path + lockSuffix)
	if err != nil {
		return &servedError{}
	}
	m := held.FindSubmatch(text)
	if m == nil {
		return &servedError{}
	}
	pid, _ := strconv.Atoi(string(m[1])) // they are digits
	if gone(pid) {
		return &servedError{}
	}
	return &servedError{command: string(m[2]), pid: pid}
}
