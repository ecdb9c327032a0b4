package oldqueue

import (
	"fmt"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// offsets are forms of times beside those that task.ParseTime reads, with T for any mark between date and time: the offset has no colon, or is one of hours.
var offsets = []string{"2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999Z07"}

var epoch = time.Unix(0, 0).UTC()

// parseTime reads a time as SQLite and Python write it: 2026-01-31 08:00:00 or with T in the middle, with a fraction or without, with an offset, with Z, or without either, which is UTC.
// It must lie in the years 1970 to 9999.
func parseTime(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	t, err := task.ParseTime(text)
	for i := 0; err != nil && i < len(offsets); i++ {
		if with, wrong := time.Parse(offsets[i], strings.Replace(text, " ", "T", 1)); wrong == nil {
			t, err = task.Time{Time: with.UTC().Truncate(time.Microsecond)}, nil
		}
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time like 2026-01-31 08:00:00 or 2026-01-31T08:00:00+00:00", short(text))
	}
	if t.Before(epoch) || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%q does not lie in the years 1970 to 9999", short(text))
	}
	return t.Time, nil
}
