package postgres

import (
	"strconv"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// column returns an array literal of n values, the form in which sets of operations travel. value appends the i-th in quotes, or as it is when
// it needs none; see the append functions below.
func column(n int, value func(b []byte, i int) []byte) string {
	b := make([]byte, 0, 8*n+2)
	b = append(b, '{')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = value(b, i)
	}
	return string(append(b, '}'))
}

func appendText[T ~string](b []byte, s T) []byte {
	b = append(b, '"')
	for {
		i := strings.IndexAny(string(s), `"\`)
		if i < 0 {
			return append(append(b, s...), '"')
		}
		b = append(append(b, s[:i]...), '\\', s[i])
		s = s[i+1:]
	}
}

// appendOr appends a value, or NULL for nil.
func appendOr[T any](b []byte, v *T, appendValue func([]byte, T) []byte) []byte {
	if v == nil {
		return append(b, "NULL"...)
	}
	return appendValue(b, *v)
}

func appendInt[T int | int64](b []byte, n T) []byte { return strconv.AppendInt(b, int64(n), 10) }

func appendFloat(b []byte, f float64) []byte { return strconv.AppendFloat(b, f, 'g', -1, 64) }

func appendTime(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, time.RFC3339Nano) }

// encodeLanes returns the lanes as a JSON array of {id, n}, n being the number of ready tasks, and at most most.
func encodeLanes(lanes []task.Lane, most int) string {
	b := []byte{'['}
	for i, l := range lanes {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendInt(append(b, `{"id":`...), l.ID)
		b = append(appendInt(append(b, `,"n":`...), min(l.Ready, int64(most))), '}')
	}
	return string(append(b, ']'))
}
