package task

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// NotRead says for people what keeps JSON from being read: err is that of github.com/go-json-experiment/json. What is wrong with a member is about its name, like
// tasks[3].priority, and what is wrong with all of it about whole.
func NotRead(err error, whole string) *InvalidError {
	if e, ok := errors.AsType[*jsonv2.SemanticError](err); ok {
		return Invalid(fieldName(e.JSONPointer, whole), "%s", semantic(e))
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return Invalid(fieldName(e.JSONPointer, whole), "%s", syntactic(e))
	}
	return Invalid(whole, "is not valid JSON")
}

// fieldName writes a pointer as people do: /tasks/3/priority becomes tasks[3].priority, the whole is called as given.
func fieldName(p jsontext.Pointer, whole string) string {
	var name strings.Builder
	for token := range p.Tokens() {
		switch _, err := strconv.ParseUint(token, 10, 32); {
		case err == nil && name.Len() > 0:
			name.WriteString("[" + token + "]")
		case name.Len() > 0:
			name.WriteString("." + token)
		default:
			name.WriteString(token)
		}
		if name.Len() > 200 {
			return strings.ToValidUTF8(name.String()[:200], "") + "…"
		}
	}
	if name.Len() == 0 {
		return whole
	}
	return name.String()
}

func semantic(e *jsonv2.SemanticError) string {
	switch {
	case errors.Is(e.Err, jsonv2.ErrUnknownName):
		return "is not a known field"
	case errors.Is(e.Err, strconv.ErrRange):
		return "is out of range"
	case e.GoType == nil:
		return "has the wrong type"
	case e.GoType == reflect.TypeFor[Time]() && e.Err != nil:
		return e.Err.Error()
	}
	switch e.GoType.Kind() {
	case reflect.String:
		return "must be a string"
	case reflect.Bool:
		return "must be true or false"
	case reflect.Int, reflect.Int64:
		return "must be an integer"
	case reflect.Float64:
		return "must be a number"
	case reflect.Slice:
		return "must be an array"
	}
	return "must be a JSON object"
}

func syntactic(e *jsontext.SyntacticError) string {
	if errors.Is(e.Err, jsontext.ErrDuplicateName) {
		return "is given twice"
	}
	return fmt.Sprintf("is not valid JSON at byte %d: %s", e.ByteOffset, e.Err)
}
