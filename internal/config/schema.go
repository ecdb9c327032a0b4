package config

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/prismq/thequeue/internal/task"
)

// jsonSchema is as much of JSON Schema 2020-12 as the settings need.
type jsonSchema struct {
	Dialect              string                `json:"$schema,omitempty"` // of the whole alone
	Title                string                `json:"title,omitempty"`
	Type                 string                `json:"type"`
	Enum                 []string              `json:"enum,omitempty"`
	Default              any                   `json:"default,omitempty"` // nil: none, or one that depends on the system
	Items                *jsonSchema           `json:"items,omitempty"`
	Properties           map[string]jsonSchema `json:"properties,omitempty"`
	AdditionalProperties any                   `json:"additionalProperties,omitempty"` // false, or the *jsonSchema of every member; nil: anything
}

// Schema returns a JSON Schema (2020-12) of a configuration file: keys, types, the words that a text may be, and defaults. It comes from
// Config itself, so it names each key that Load knows and no other. What it admits may still be refused by Validate.
func Schema() ([]byte, error) {
	noEnvironment := func(string) string { return "" }
	s := schemaOf(reflect.ValueOf(Default(noEnvironment)))
	s.Dialect, s.Title = "https://json-schema.org/draft/2020-12/schema", "Configuration of The Queue"
	text, err := json.MarshalIndent(s, "", "\t")
	return append(text, '\n'), err
}

// schemaOf describes the type of v; v itself is the default.
func schemaOf(v reflect.Value) jsonSchema {
	switch v.Type() {
	case reflect.TypeFor[task.JSON]():
		return jsonSchema{Type: "object"}
	case reflect.TypeFor[task.Time]():
		return jsonSchema{Type: "string"}
	}
	switch v.Kind() {
	case reflect.Pointer:
		return schemaOf(reflect.Zero(v.Type().Elem()))
	case reflect.Struct:
		return jsonSchema{Type: "object", Properties: properties(v), AdditionalProperties: false}
	case reflect.Map:
		return jsonSchema{Type: "object", AdditionalProperties: members(v.Type())}
	case reflect.Slice:
		items := schemaOf(reflect.Zero(v.Type().Elem()))
		return jsonSchema{Type: "array", Items: &items}
	}
	s := jsonSchema{Type: scalars[v.Kind()], Enum: words(v.Type())}
	if !v.IsZero() {
		s.Default = v.Interface()
	}
	return s
}

// scalars are the kinds that kindName knows too; another one has no type, which no test lets pass.
var scalars = map[reflect.Kind]string{reflect.String: "string", reflect.Int: "integer", reflect.Float64: "number", reflect.Bool: "boolean"}

func properties(v reflect.Value) map[string]jsonSchema {
	out := map[string]jsonSchema{}
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		s := schemaOf(v.Field(i))
		if of := tag.Get("of"); of != "" {
			s.Enum = strings.Split(of, ",")
		}
		out[keyOf(tag)] = s
	}
	return out
}

// members describes the values of a map; nil: anything that JSON knows.
func members(of reflect.Type) any {
	if of.Elem().Kind() == reflect.Interface {
		return nil
	}
	s := schemaOf(newElement(of))
	return &s
}

// words lists what a text of this type may be; nil: anything.
func words(of reflect.Type) []string {
	var out []string
	switch of {
	case reflect.TypeFor[task.Strategy]():
		for _, s := range task.Strategies {
			out = append(out, string(s))
		}
	case reflect.TypeFor[task.Misfire]():
		out = []string{string(task.MisfireSkip), string(task.MisfireOnce), string(task.MisfireAll)}
	case reflect.TypeFor[task.Overlap]():
		out = []string{string(task.OverlapAllow), string(task.OverlapSkip), string(task.OverlapCancel)}
	}
	return out
}
