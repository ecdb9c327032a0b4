package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// functions are what the templates write values with.
var functions = template.FuncMap{
	"num": func(n any) string { return num(reflect.Indirect(reflect.ValueOf(n)).Int()) }, "seconds": seconds, "secondsIn": func(v float64) string { return seconds(&v) }, "share": share, "bytes": byteSize, "since": since, "until": func(t, now time.Time) string { return since(now, t) },
	"utc": utc, "iso": func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }, "deref": deref, "pretty": pretty, "short": short, "place": place, "search": search,
	"percent": func(v float64) string { return fmt.Sprintf("%.0f", v*100) }, "rate": func(v float64) string { return fmt.Sprintf("%.3g", v) },
	"typeTasks": func(name string) string { return matching(task.Match{Types: []string{name}}) },
	"typeFailures": func(name string) string {
		return matching(task.Match{Types: []string{name}, Statuses: []task.Status{task.Failed}})
	},
	"workerTasks": func(id string) string { return matching(task.Match{Workers: []string{id}}) },
}

// num writes a whole number with commas: 1,234,567.
func num[T ~int | ~int64](n T) string {
	text := strconv.FormatInt(int64(n), 10)
	sign := ""
	if text[0] == '-' {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// seconds writes a time with about three digits; a dash for none.
func seconds(v *float64) string {
	if v == nil {
		return "–"
	}
	switch s := *v; {
	case s == 0:
		return "0 s"
	case s < 0.001:
		return fmt.Sprintf("%.2g ms", s*1000)
	case s < 1:
		return fmt.Sprintf("%.3g ms", s*1000)
	case s < 60:
		return fmt.Sprintf("%.3g s", s)
	}
	return age(time.Duration(*v * float64(time.Second)))
}

// brief writes a time in one unit, for the little room at the edge of a chart.
func brief(v float64) string {
	for _, u := range []struct {
		name string
		of   float64
	}{{"d", 86400}, {"h", 3600}, {"min", 60}} {
		if v >= u.of {
			return fmt.Sprintf("%.3g %s", v/u.of, u.name)
		}
	}
	return seconds(&v)
}

// age writes a time in its two greatest units: 3 h 12 min.
func age(d time.Duration) string {
	d = d.Round(time.Second)
	units := []struct {
		name string
		of   time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}}
	for i, u := range units {
		n := d / u.of
		if n == 0 && u.of > time.Second {
			continue
		}
		text := fmt.Sprintf("%d %s", n, u.name)
		if i+1 < len(units) {
			if m := d % u.of / units[i+1].of; m > 0 {
				text += fmt.Sprintf(" %d %s", m, units[i+1].name)
			}
		}
		return text
	}
	return "0 s"
}

// since writes how long it is from t to now, in words: 5 s ago, in 3 min.
func since(t, now time.Time) string {
	switch d := now.Sub(t); {
	case d >= time.Second:
		return age(d) + " ago"
	case d > -time.Second:
		return "now"
	default:
		return "in " + age(-d)
	}
}

func share(v *float64) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%.4g %%", *v*100)
}

func byteSize(n int64) string {
	size := float64(n)
	for _, unit := range []string{"bytes", "KiB", "MiB", "GiB"} {
		if size < 1024 {
			return fmt.Sprintf("%.4g %s", size, unit)
		}
		size /= 1024
	}
	return fmt.Sprintf("%.4g TiB", size)
}

func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// deref writes what v points to; nothing for nil.
func deref(v any) string {
	switch v := v.(type) {
	case *string:
		if v != nil {
			return *v
		}
	case *int:
		if v != nil {
			return strconv.Itoa(*v)
		}
	case *int64:
		if v != nil {
			return strconv.FormatInt(*v, 10)
		}
	case *float64:
		if v != nil {
			return strconv.FormatFloat(*v, 'g', -1, 64)
		}
	case *task.Outcome:
		if v != nil {
			return string(*v)
		}
	case *task.AttemptOutcome:
		if v != nil {
			return string(*v)
		}
	case *task.JSON:
		if v != nil {
			return string(*v)
		}
	}
	return ""
}

// shownBytes is how much of a payload or result a page shows.
const shownBytes = 64 << 10

// pretty indents JSON and leaves its numbers as they are. What is too long for a page is cut, with a word on it.
func pretty(j task.JSON) string {
	if len(j) > shownBytes {
		return strings.ToValidUTF8(string(j[:shownBytes]), "") + fmt.Sprintf("\n… cut here: %s in all; the API gives the whole", byteSize(int64(len(j))))
	}
	var buf bytes.Buffer
	if json.Indent(&buf, []byte(j), "", "  ") != nil {
		return string(j)
	}
	return buf.String()
}

// short is the first line of a text, cut where it is long.
func short(text string) string {
	const most = 120
	text, _, more := strings.Cut(text, "\n")
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	if more {
		text += " …"
	}
	return text
}

// search is the path of the list of tasks under a filter.
func search(filter string) string { return "/tasks?" + url.Values{"filter": {filter}}.Encode() }

// matching is the path of the list of the tasks that match.
func matching(m task.Match) string { return search(m.String()) }
