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
	State MoveState // MoveLeaving, MoveFenced, MoveLeft or MoveArriving
	Peer  string    // the other database, without a password
}

func (e *MovedError) Error() string {
	switch e.State {
	case MoveArriving:
		return fmt.Sprintf("a move from %s into this database has not come to its end: run the same `thequeue move` again, or make this database anew", e.Peer)
	case MoveLeaving:
		return fmt.Sprintf("the store is being moved to %s: wait for the end of the move, or take it back with `thequeue move --undo`", e.Peer)
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

// Restored tells what has to be known where a backup of a store in this state has been restored; empty: nothing.
func (s MoveState) Restored(peer string) string {
	switch s {
	case MoveLeaving:
		return fmt.Sprintf("The backup was made while the store was being moved to %s. What is restored is not on the move any more. To move it, fill another database, or make that one anew: what it holds is of another state.", peer)
	case MoveFenced:
		return fmt.Sprintf("The backup was made at the end of a move to %s, so what is restored takes no changes. Use that database if it is in use, else take the move back with `thequeue move --undo`.", peer)
	case MoveLeft:
		return fmt.Sprintf("The backup is of a store that had been moved to %s, so what is restored takes no changes. Use that database, or take the move back with `thequeue move --undo` if this one is to be used in its place.", peer)
	case MoveArriving:
		return fmt.Sprintf("The backup is of a database that was being filled from %s and was not whole, so it cannot be served. Restore another one.", peer)
	default:
		return ""
	}
}
