package task

import "fmt"

// MoveState is where a store stands in its move to another database.
type MoveState string

const (
	MoveLeaving  MoveState = "leaving"  // it is being copied, in use
	MoveFenced   MoveState = "fenced"   // the last of it is being copied: it takes no changes
	MoveLeft     MoveState = "left"     // it has been moved: it takes no changes any more
	MoveArriving MoveState = "arriving" // it is being filled, and of no use yet
	MoveArrived  MoveState = "arrived"  // it has been filled, and is in use
)

// MovedError is an ErrMoved with the other database.
type MovedError struct {
	State MoveState // MoveFenced, MoveLeft or MoveArriving
	Peer  string    // the other database, without a password
}

func (e *MovedError) Error() string {
	switch e.State {
	case MoveArriving:
		return fmt.Sprintf("a move from %s into this database has not come to its end: run the same `thequeue move` again, or make this database anew", e.Peer)
	case MoveFenced:
		return fmt.Sprintf("the store is being moved to %s and takes no changes until that is done; a move that was broken off goes on with the same `thequeue move`, or is taken back with `thequeue move --undo`", e.Peer)
	default:
		return fmt.Sprintf("the store has been moved to %s: use that, or take the move back with `thequeue move --undo`", e.Peer)
	}
}

// Is reports whether target is ErrMoved.
func (e *MovedError) Is(target error) bool { return target == ErrMoved }

// Allow returns a *MovedError where a store in this state is not to be used: at all, or to be served.
func (s MoveState) Allow(serve bool, peer string) error {
	if s == MoveArriving || serve && s.Refuses() {
		return &MovedError{State: s, Peer: peer}
	}
	return nil
}

// Refuses reports whether a store in this state takes no changes.
func (s MoveState) Refuses() bool { return s == MoveFenced || s == MoveLeft || s == MoveArriving }
