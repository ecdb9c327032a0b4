package postgres

import (
	"strconv"
	"strings"

	"github.com/prismq/thequeue/internal/task"
)

// encodeArray returns the strings as an array literal.
func encodeArray(list []string) string {
	b := []byte{'{'}
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		for j := range len(s) {
			if s[j] == '"' || s[j] == '\\' {
				b = append(b, '\\')
			}
			b = append(b, s[j])
		}
		b = append(b, '"')
	}
	return string(append(b, '}'))
}

// encodeLanes returns the lanes as a JSON array of {id, n}, n being the number of ready tasks, and at most most.
func encodeLanes(lanes []task.Lane, most int) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, l := range lanes {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"id":` + strconv.FormatInt(l.ID, 10) + `,"n":` + strconv.FormatInt(min(l.Ready, int64(most)), 10) + `}`)
	}
	b.WriteByte(']')
	return b.String()
}

// encodeIDs returns the ids as a JSON array.
func encodeIDs(ids []int64) string {
	b := []byte{'['}
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, id, 10)
	}
	return string(append(b, ']'))
}
