package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// field is one of the places of an expression.
type field struct {
	name     string
	min, max int
	names    []string // of the values from min on; nil: they have none
	day      bool     // ? stands for * here
	sunday   bool     // 7 stands for 0 here
}

var fields = []field{
	{name: "second", max: 59}, {name: "minute", max: 59}, {name: "hour", max: 23}, {name: "day of the month", min: 1, max: 31, day: true},
	{name: "month", min: 1, max: 12, names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{name: "day of the week", max: 6, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}, day: true, sunday: true},
}

// read returns the text of the field with each value that it means, or * for every one. What means nothing, or less than it seems to, is an error with the remedy.
func (f field) read(text string) (string, error) {
	items := strings.Split(strings.ToLower(text), ",")
	if full := slices.DeleteFunc(slices.Clone(items), func(item string) bool { return item == "" }); len(full) == 0 {
		return "", f.wrong(text, "is an empty list: write a number, or *")
	} else if len(full) < len(items) {
		return "", f.wrong(text, "has an empty place in its list: write %s", strings.Join(full, ","))
	}
	var all []string
	for i, item := range items {
		if item == "*" || item == "?" || item == "*/1" {
			if item == "?" && !f.day {
				return "", f.wrong(text, "can be ? only as a day: write *")
			}
			if len(items) > 1 {
				return "", f.wrong(text, "names every one by %s: leave the others out", item)
			}
			return "*", nil
		}
		values, err := f.values(item)
		if err != nil {
			return "", f.wrong(text, "%s", err)
		}
		if twice := slices.IndexFunc(items[:i], func(before string) bool { others, _ := f.values(before); return slices.Equal(others, values) }); twice >= 0 {
			return "", f.wrong(text, "says the same by %s and %s: leave one of them out", items[twice], item)
		}
		all = append(all, values...)
	}
	return strings.Join(all, ","), nil
}

func (f field) wrong(text, format string, args ...any) error {
	return fmt.Errorf("has the %s %q, which %s", f.name, text, fmt.Sprintf(format, args...))
}

// values returns what one item of a list means: a number, a range, or one of these or * with a step.
func (f field) values(item string) ([]string, error) {
	span, stepText, stepped := strings.Cut(item, "/")
	step := 1
	if stepped {
		var err error
		if step, err = strconv.Atoi(stepText); err != nil || step < 1 || stepText[0] == '+' {
			return nil, fmt.Errorf("has the step %q: write a positive number behind the /", stepText)
		}
	}
	from, to, err := f.span(span, stepped)
	if err != nil {
		return nil, err
	}
	var out []string
	for v := from; v <= to; v += min(step, to+1) {
		if f.sunday && v == 7 {
			out = append(out, "0")
		} else {
			out = append(out, strconv.Itoa(v))
		}
	}
	if stepped && len(out) == 1 {
		return nil, fmt.Errorf("takes with %s a step past the end, and means %s alone: write %[2]s, or a shorter step", item, out[0])
	}
	return out, nil
}

// span reads the first and last value of an item without its step. A number with a step goes on to the end.
func (f field) span(text string, stepped bool) (from, to int, err error) {
	if text == "*" {
		return f.min, f.max, nil
	}
	first, last, ranged := strings.Cut(text, "-")
	if from, err = f.value(first); err != nil {
		return 0, 0, err
	}
	switch to = from; {
	case ranged:
		if to, err = f.value(last); err != nil {
			return 0, 0, err
		}
	case stepped:
		to = f.max
	}
	if f.sunday && from == 7 && to < 7 {
		from = 0
	}
	if from > to {
		return 0, 0, fmt.Errorf("goes backwards: write %d-%d,%d-%d", from, f.max, f.min, to)
	}
	return from, to, nil
}

func (f field) value(text string) (int, error) {
	if at := slices.Index(f.names, text); at >= 0 {
		return f.min + at, nil
	}
	most := f.max
	if f.sunday {
		most = 7
	}
	n, err := strconv.Atoi(text)
	if errors.Is(err, strconv.ErrRange) || err == nil && (n < f.min || n > most) {
		return 0, fmt.Errorf("must lie between %d and %d", f.min, most)
	}
	if err != nil || text[0] == '+' {
		known := ""
		if f.names != nil {
			known = fmt.Sprintf(" or a name from %s to %s", f.names[0], f.names[len(f.names)-1])
		}
		return 0, fmt.Errorf("must be made of numbers from %d to %d%s, of *, ranges like %[1]d-%[2]d, steps like */5 and lists of these", f.min, most, known)
	}
	return n, nil
}
