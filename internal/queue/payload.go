package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// maxSchemaBytes is the longest JSON Schema of a type.
	maxSchemaBytes = 64 << 10
	// maxComplaints bounds what is said of one payload.
	maxComplaints = 20
)

// payloadSchema is the compiled JSON Schema of a type, or why it could not be compiled.
type payloadSchema struct {
	text   task.JSON
	schema *jsonschema.Schema
	err    error
}

// compileSchema reads a JSON Schema, of draft 2020-12 where it does not say. It never loads anything from elsewhere.
func compileSchema(text task.JSON) payloadSchema {
	s := payloadSchema{text: text}
	if len(text) > maxSchemaBytes {
		s.err = fmt.Errorf("must not be longer than %d bytes", maxSchemaBytes)
		return s
	}
	if s.err = text.CheckObject(); s.err != nil {
		return s
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		s.err = err
		return s
	}
	if where, ok := unbearable(doc, nil); ok {
		s.err = fmt.Errorf("is not a JSON Schema: the exponent of %s must lie between -%d and %[2]d", fieldAt("payload_schema", where), maxExponent)
		return s
	}
	const at = "urn:thequeue:payload"
	c := jsonschema.NewCompiler()
	c.UseLoader(nothing{})
	if s.err = c.AddResource(at, doc); s.err == nil {
		s.schema, s.err = c.Compile(at)
	}
	if s.err != nil {
		s.err = fmt.Errorf("is not a JSON Schema: %s", firstLine(s.err))
	}
	return s
}

// checkSchema says what is wrong with a schema that is to be set, nil for nothing. One that is set already may be without end: it was taken before that was looked at, and
// its type goes on as it has. The library tells of a payload that comes back to the same schema.
func checkSchema(text task.JSON) error {
	s := compileSchema(text)
	if s.err != nil {
		return s.err
	}
	return endless(s.schema)
}

// firstLine says what an error of the library says, without where it thinks that this happened.
func firstLine(err error) string {
	if bad, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		err = bad.Err
	}
	if bad, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		found := complaints(bad, "", nil)
		return strings.TrimPrefix(found[0].Field+" "+found[0].Message, ".")
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

// nothing loads no document.
type nothing struct{}

func (nothing) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is not loaded: a schema must hold all that it refers to", url)
}

// check returns an InvalidError that names the fields of the payload which are not as the schema wants them.
func (s payloadSchema) check(payload task.JSON) error {
	if s.err != nil {
		return task.Invalid("payload", "cannot be checked: the schema of its type %s", s.err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(payload)))
	if err != nil {
		return task.Invalid("payload", "%s", err)
	}
	if at, ok := unbearable(doc, nil); ok {
		return task.Invalid(fieldAt("payload", at), "is a number that no schema is checked against: its exponent must lie between -%d and %[1]d", maxExponent)
	}
	if bad, ok := errors.AsType[*jsonschema.ValidationError](s.schema.Validate(doc)); ok {
		return &task.InvalidError{Fields: onceEach(complaints(bad, "payload", nil))}
	}
	return nil
}

// onceEach names each field once, with all that is wrong with it.
func onceEach(all []task.FieldError) []task.FieldError {
	out := make([]task.FieldError, 0, len(all))
	for _, f := range all {
		switch at := slices.IndexFunc(out, func(o task.FieldError) bool { return o.Field == f.Field }); {
		case at < 0:
			out = append(out, f)
		case !slices.Contains(strings.Split(out[at].Message, "; "), f.Message):
			out[at].Message += "; " + f.Message
		}
	}
	return out
}

// maxExponent bounds the exponent of a number that is compared: the library works with all digits of it, 10^n of which for an exponent of n digits.
const maxExponent = 400

// unbearable finds a number with a greater exponent, and the place of it.
func unbearable(v any, at []string) (place []string, found bool) {
	switch v := v.(type) {
	case json.Number:
		_, exponent, has := strings.Cut(strings.ToLower(v.String()), "e")
		if !has {
			return nil, false
		}
		n, err := strconv.Atoi(exponent)
		return at, err != nil || n > maxExponent || n < -maxExponent
	case []any:
		for i, e := range v {
			if place, found := unbearable(e, append(at, strconv.Itoa(i))); found {
				return place, true
			}
		}
	case map[string]any:
		for name, e := range v {
			if place, found := unbearable(e, append(at, name)); found {
				return place, true
			}
		}
	}
	return nil, false
}

// complaints appends what is at the bottom of a complaint: the fields that are wrong, and how.
func complaints(e *jsonschema.ValidationError, root string, to []task.FieldError) []task.FieldError {
	for _, cause := range e.Causes {
		to = complaints(cause, root, to)
	}
	if len(e.Causes) == 0 && len(to) < maxComplaints {
		to = append(to, task.FieldError{Field: fieldAt(root, e.InstanceLocation), Message: e.ErrorKind.LocalizedString(message.NewPrinter(language.English))})
	}
	return to
}

// fieldAt writes a place as people do: payload.items[3].name.
func fieldAt(root string, tokens []string) string {
	for _, t := range tokens {
		if strings.Trim(t, "0123456789") == "" && t != "" {
			root += "[" + t + "]"
		} else {
			root += "." + t
		}
	}
	return root
}
