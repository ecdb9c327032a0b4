package queue

import (
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxApplied is how many schemas may be applied to one value. A schema that names another one twice, which does the same, and so on, comes within a page to a number for which no
// time is enough.
const maxApplied = 100_000

// endless says why the check of a value would never end: a schema comes back to itself for one and the same value, or so many are applied to it. Nil: it does. Every keyword is taken for one that
// is followed: whether an if holds is not known before there is a payload.
func endless(root *jsonschema.Schema) error {
	f := follower{applied: make(map[*jsonschema.Schema]int)}
	seen := map[*jsonschema.Schema]bool{root: true}
	for todo := []*jsonschema.Schema{root}; len(todo) > 0; {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if err := f.follow(s); err != nil {
			return err
		}
		for _, next := range append(sameValue(s), inside(s)...) {
			if !seen[next] {
				seen[next] = true
				todo = append(todo, next)
			}
		}
	}
	return nil
}

// follower counts the schemas that are applied to the value of each.
type follower struct {
	applied map[*jsonschema.Schema]int
	way     []*jsonschema.Schema // which have led to the one that is looked at
}

func (f *follower) follow(s *jsonschema.Schema) error {
	if f.applied[s] > 0 {
		return nil
	}
	if at := slices.Index(f.way, s); at >= 0 {
		over := ""
		for _, on := range f.way[at+1:] {
			over += " over " + place(on)
		}
		return fmt.Errorf("refers to itself without end: %s leads%s back to itself for one and the same value; only what lies inside the value, under properties or items, may be checked by a schema again", place(s), over)
	}
	f.way = append(f.way, s)
	n := 1
	for _, next := range sameValue(s) {
		if err := f.follow(next); err != nil {
			return err
		}
		if n += f.applied[next]; n > maxApplied {
			return fmt.Errorf("would take too long: at %s more than %d schemas are applied to one value; name each once", place(s), maxApplied)
		}
	}
	f.way = f.way[:len(f.way)-1]
	f.applied[s] = n
	return nil
}

// place is where a schema stands, from the root of all.
func place(s *jsonschema.Schema) string {
	_, at, _ := strings.Cut(s.Location, "#")
	return "#" + at
}

// sameValue returns the schemas that a schema applies to the value that it is applied to itself.
func sameValue(s *jsonschema.Schema) []*jsonschema.Schema {
	out := []*jsonschema.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else}
	if s.DynamicRef != nil {
		out = append(out, s.DynamicRef.Ref)
	}
	out = slices.Concat(out, s.AllOf, s.AnyOf, s.OneOf)
	for _, name := range sortedKeys(s.DependentSchemas) {
		out = append(out, s.DependentSchemas[name])
	}
	for _, name := range sortedKeys(s.Dependencies) {
		out = appendSchemas(out, s.Dependencies[name])
	}
	return slices.DeleteFunc(out, func(s *jsonschema.Schema) bool { return s == nil })
}

// inside returns the schemas that a schema applies to what lies inside its value.
func inside(s *jsonschema.Schema) []*jsonschema.Schema {
	out := []*jsonschema.Schema{s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema}
	for _, name := range sortedKeys(s.Properties) {
		out = append(out, s.Properties[name])
	}
	for _, p := range s.PatternProperties {
		out = append(out, p)
	}
	out = appendSchemas(appendSchemas(appendSchemas(out, s.AdditionalProperties), s.Items), s.AdditionalItems)
	out = append(out, s.PrefixItems...)
	return slices.DeleteFunc(out, func(s *jsonschema.Schema) bool { return s == nil })
}

// appendSchemas appends what a keyword holds that may be other things than a schema.
func appendSchemas(to []*jsonschema.Schema, keyword any) []*jsonschema.Schema {
	switch k := keyword.(type) {
	case *jsonschema.Schema:
		return append(to, k)
	case []*jsonschema.Schema:
		return append(to, k...)
	}
	return to
}
