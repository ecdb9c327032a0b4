package postgres

import (
	"strconv"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// Sets of operations travel as columns: one array for each field, a value for each operation. In columns of texts that may be null the empty text stands
// for null, and a column of nulls alone is nil, which costs nothing.

// column returns the array of a field.
func column[E, V any](ins []E, field func(E) V) []V {
	out := make([]V, len(ins))
	for i, in := range ins {
		out[i] = field(in)
	}
	return out
}

// texts returns the array of a field that may be missing.
func texts[E any](ins []E, field func(E) (text string, ok bool)) []string {
	var out []string
	for i, in := range ins {
		text, ok := field(in)
		if ok && out == nil {
			out = make([]string, len(ins))
		}
		if ok {
			out[i] = text
		}
	}
	return out
}

// text is the form of a value that may be missing in a column of texts.
func text[T ~string](v *T) (string, bool) {
	if v == nil {
		return "", false
	}
	return string(*v), true
}

func timeText(t *time.Time) (string, bool) {
	if t == nil {
		return "", false
	}
	return t.UTC().Format(time.RFC3339Nano), true
}

func floatText(f *float64) (string, bool) {
	if f == nil {
		return "", false
	}
	return strconv.FormatFloat(*f, 'g', -1, 64), true
}

// idArray returns an array literal.
func idArray(ids []int64) string {
	b := []byte{'{'}
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return string(append(b, '}'))
}

func laneID(l task.Lane) int64 { return l.ID }
