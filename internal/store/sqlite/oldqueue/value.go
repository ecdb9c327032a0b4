package oldqueue

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// fields reads values of one row and keeps what is wrong with them.
type fields struct {
	bad task.InvalidError
	now time.Time

	ahead bool // a time that had passed lay after now
}

// plain is a value as the column has it: the driver makes a time of a text that has exactly the form of one.
func plain(v any) any {
	if t, ok := v.(time.Time); ok {
		return t.Format(time.RFC3339Nano)
	}
	return v
}

// text reads a text of at most max bytes; nil: null or empty.
func (f *fields) text(field string, v any, max int) *string {
	switch v := plain(v).(type) {
	case nil:
		return nil
	case string:
		if v == "" {
			return nil
		}
		if msg := task.CheckText(v, max); msg != "" {
			f.bad.Add(field, "%s", msg)
			return nil
		}
		return &v
	}
	f.bad.Add(field, "must be text, but is %s", kindOf(v))
	return nil
}

// name reads a text that must not be blank, of at most max characters.
func (f *fields) name(field string, v any, max int) string {
	s, ok := plain(v).(string)
	if !ok {
		f.bad.Add(field, "must be text, but is %s", kindOf(v))
		return ""
	}
	s = strings.TrimSpace(s)
	if msg := task.CheckName(s, max); msg != "" {
		f.bad.Add(field, "%s", msg)
	}
	return s
}

// number reads a whole number from least to most.
func (f *fields) number(field string, v any, least, most int) int {
	n, ok := v.(int64)
	if !ok {
		if r, isReal := v.(float64); isReal && r == math.Trunc(r) && math.Abs(r) < 1<<53 {
			n, ok = int64(r), true
		}
	}
	if !ok {
		f.bad.Add(field, "must be a whole number, but is %s", kindOf(v))
		return least
	}
	if n < int64(least) || n > int64(most) {
		f.bad.Add(field, "must lie between %d and %d, but is %d", least, most, n)
		return least
	}
	return int(n)
}

// object reads a JSON object of at most max bytes; null and the empty text stand for {} where there may be none.
func (f *fields) object(field string, v any, max int, optional bool) task.JSON {
	if s := plain(v); optional && (s == nil || s == "") {
		return "{}"
	}
	s, ok := plain(v).(string)
	if !ok {
		f.bad.Add(field, "must be the text of a JSON object, but is %s", kindOf(v))
		return "{}"
	}
	if len(s) > max {
		f.bad.Add(field, "must not be longer than %d bytes (max_payload_bytes), but has %d", max, len(s))
		return "{}"
	}
	if err := task.JSON(s).CheckObject(); err != nil {
		f.bad.Add(field, "%s", err)
	}
	return task.JSON(s)
}

// instant reads a time; nil: there is none.
func (f *fields) instant(field string, v any) *time.Time {
	switch v := plain(v).(type) {
	case nil:
		return nil
	case string:
		if strings.TrimSpace(v) == "" {
			return nil
		}
		t, err := parseTime(v)
		if err != nil {
			f.bad.Add(field, "%s", err)
			return nil
		}
		return &t
	}
	f.bad.Add(field, "must be a time in text, but is %s", kindOf(v))
	return nil
}

// past is instant for what must have happened: nothing has happened after now.
func (f *fields) past(field string, v any) *time.Time {
	t := f.instant(field, v)
	if t != nil && t.After(f.now) {
		f.ahead = true
		return &f.now
	}
	return t
}

func kindOf(v any) string {
	switch v := plain(v).(type) {
	case nil:
		return "null"
	case int64:
		return fmt.Sprintf("the number %d", v)
	case float64:
		return fmt.Sprintf("the number %v", v)
	case bool:
		return fmt.Sprint(v)
	case []byte:
		return fmt.Sprintf("a BLOB of %d bytes", len(v))
	case string:
		return fmt.Sprintf("the text %q", short(v))
	}
	return fmt.Sprintf("%T", v)
}

// short is the beginning of a text.
func short(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
