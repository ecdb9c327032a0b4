package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/prismq/thequeue/internal/task"
)

// reader lays the tree of a file over settings and notes whatever does not fit.
type reader struct {
	bad  *task.InvalidError
	line func(path []string) int // of a key; 0: not known
}

func (r reader) read(dst reflect.Value, tree any, path []string) {
	switch {
	case tree != nil && ofMembers(dst.Type()):
		if _, ok := tree.(map[string]any); !ok {
			r.complain(path, "must be an object with keys")
			return
		}
		dst.Set(reflect.New(dst.Type().Elem()))
		r.read(dst.Elem(), tree, path)
	case dst.Type() == reflect.TypeFor[task.Capabilities](), dst.Kind() == reflect.Map && dst.Type().Elem().Kind() == reflect.String:
		r.set(dst, tree, path)
	case dst.Kind() == reflect.Struct:
		for key, value := range r.object(tree, path) {
			field, optional := fieldNamed(dst, key)
			if !field.IsValid() {
				r.complain(with(path, key), "unknown key")
				continue
			}
			if r.read(field, value, with(path, key)); optional && isZero(value) {
				refuse(field)
			}
		}
	case dst.Kind() == reflect.Map:
		dst.Set(reflect.MakeMap(dst.Type()))
		for key, value := range r.object(tree, path) {
			element := newElement(dst.Type())
			r.read(element, value, with(path, key))
			dst.SetMapIndex(reflect.ValueOf(key), element)
		}
	default:
		r.set(dst, tree, path)
	}
}

// object yields the members of an object in the order of their names. A null is an empty object.
func (r reader) object(tree any, path []string) func(yield func(string, any) bool) {
	m, ok := tree.(map[string]any)
	if !ok && tree != nil {
		r.complain(path, "must be an object with keys")
	}
	return func(yield func(string, any) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}

func (r reader) set(dst reflect.Value, value any, path []string) {
	text, err := json.Marshal(value)
	if err != nil {
		r.complain(path, "must be a value that JSON knows")
	} else if msg := setJSON(dst, text); msg != "" {
		r.complain(path, msg)
	}
}

func (r reader) complain(path []string, msg string) {
	if n := r.line(path); n > 0 {
		msg += fmt.Sprintf(" (line %d)", n)
	}
	field := strings.Join(path, ".")
	if field == "" {
		field = "the file"
	}
	r.bad.Add(field, "%s", msg)
}

// setJSON sets dst from a JSON value, or leaves it and says what was expected. A null leaves it too.
func setJSON(dst reflect.Value, text []byte) string {
	if c, ok := dst.Addr().Interface().(*task.Capabilities); ok {
		parsed, err := task.ParseCapabilities(task.JSON(text))
		if err != nil {
			return err.Error()
		}
		*c = parsed
		return ""
	}
	value := reflect.New(dst.Type())
	value.Elem().Set(dst)
	if err := json.Unmarshal(text, value.Interface()); err != nil {
		return "must be " + kindName(dst.Type())
	}
	dst.Set(value.Elem())
	return ""
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kindName(t.Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.Struct:
		return "a time like 2026-01-31T08:00:00Z"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list of texts"
	case reflect.Map:
		return "an object of texts"
	}
	return "a text"
}

// ofMembers reports whether a pointer leads to a struct that is an object in files, and not one value.
func ofMembers(t reflect.Type) bool {
	return t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct && t.Elem() != reflect.TypeFor[task.Time]()
}

// fieldNamed returns the field of a struct with this key, or the zero Value, and whether its zero stands for what is left out.
func fieldNamed(s reflect.Value, key string) (field reflect.Value, optional bool) {
	for i := range s.NumField() {
		if tag := s.Type().Field(i).Tag; key != "" && keyOf(tag) == key {
			return s.Field(i), strings.HasSuffix(tag.Get("json"), ",omitzero")
		}
	}
	return reflect.Value{}, false
}

// isZero reports whether a value is the number 0, in whatever way a format has read it.
func isZero(value any) bool {
	text, err := json.Marshal(value)
	if err != nil {
		return false
	}
	n, err := strconv.ParseFloat(string(text), 64)
	return err == nil && n == 0
}

// refuse has a number that was given as 0 be refused like any other that does not fit, rather than be taken for one that is left out.
func refuse(field reflect.Value) {
	if field.CanInt() {
		field.SetInt(-1)
	} else if field.CanFloat() {
		field.SetFloat(-1)
	}
}

// keyOf returns the key of a field in files. What comes in requests too is named by its JSON.
func keyOf(tag reflect.StructTag) string {
	name, _, _ := strings.Cut(tag.Get("json"), ",")
	return cmp.Or(tag.Get("conf"), name)
}

// newElement returns what an element of a map has before anything is said of it.
func newElement(of reflect.Type) reflect.Value {
	element := reflect.New(of.Elem()).Elem()
	if b, ok := element.Addr().Interface().(*task.Backoff); ok {
		*b = task.DefaultBackoff
	}
	return element
}

func with(path []string, key string) []string { return append(slices.Clone(path), key) }
