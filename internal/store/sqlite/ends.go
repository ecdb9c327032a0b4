package sqlite

import "slices"

// maxEnds is how many ids are kept of each end of a lane.
const maxEnds = 64

// ends are ids of ready tasks at one end of a lane, ascending and without a gap: every ready task of the lane that lies between two
// of them is one of them, and none lies beyond the end. Empty: nothing is known.
type ends []int64

// addOldest notes that a task has become ready in a lane that had so many ready ones; e are the first of them. It reports whether
// the task is among the first that are known.
func (e *ends) addOldest(id, ready int64) bool {
	n := len(*e)
	i, _ := slices.BinarySearch(*e, id)
	if i == n && (int64(n) != ready || n >= maxEnds) { // behind those known, and not known to be next
		return false
	}
	*e = slices.Insert(*e, i, id)
	if n >= maxEnds {
		*e = (*e)[:n]
	}
	return true
}

// addNewest is addOldest for the last ready tasks of a lane; dropped is one that is not known any more, 0 for none.
func (e *ends) addNewest(id int64) (known bool, dropped int64) {
	i, _ := slices.BinarySearch(*e, id)
	if i == 0 { // before those known, or nothing is known
		return false, 0
	}
	*e = slices.Insert(*e, i, id)
	if len(*e) > maxEnds {
		dropped = (*e)[0]
		*e = (*e)[1:]
	}
	return true, dropped
}

// remove notes that a task is not ready any more.
func (e *ends) remove(id int64) {
	switch i, found := slices.BinarySearch(*e, id); {
	case !found:
	case i == 0:
		*e = (*e)[1:]
	default:
		*e = slices.Delete(*e, i, i+1)
	}
}

func (e ends) has(id int64) bool {
	_, found := slices.BinarySearch(e, id)
	return found
}
