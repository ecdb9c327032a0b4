package task_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/prismq/thequeue/internal/task"
)

// agrees compares the quick look with the decoder of the standard library.
func agrees(t interface{ Errorf(string, ...any) }, text string) {
	want := json.Valid([]byte(text)) && utf8.ValidString(text) && !task.Deeper(text, task.MaxDepth)
	if got := task.WellFormed(text); got != want {
		t.Errorf("%q: well formed is %v, want %v", text, got, want)
	}
}

func TestTheQuickLookAgreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "\x00", "{}\x00", "tru", "true", "truex", "nul", "-", "-0", "00", "0.", ".5", "1e", "1e+", "1E-05", "+1", "0x1", `"`, `"\`, `"\u12`, `"\u12G4"`,
		`"\ud800"`, `"\x"`, "\"\t\"", "\"\x7f\"", "\"\xff\"", "\"é\"", "é", "[", "[]", "[1", "[1,", "[1,]", "[,1]", "{", `{"`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`,
		`{a:1}`, `{"a" : 1 , "b":[ {} , [] ] }`, `{"a":1}]`, `[}`, `{]`, "1 2", "\v1", "1\f", strings.Repeat("[", 64) + strings.Repeat("]", 64), strings.Repeat("[", 65) + strings.Repeat("]", 65),
	} {
		agrees(t, text)
	}
	pieces := []string{"{", "}", "[", "]", ",", ":", `"`, `"a"`, `"a":`, `\`, `\"`, `\u00e9`, `\n`, " ", "\n", "0", "1", "-", ".", "e", "+", "true", "false", "null", "é", "\xc3", "\x00", "\x1f"}
	rapid.Check(t, func(t *rapid.T) {
		agrees(t, strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 12).Draw(t, "pieces"), ""))
	})
	rapid.Check(t, func(t *rapid.T) { // something that is right, with one byte changed
		b, err := json.Marshal(map[string]any{
			rapid.String().Draw(t, "name"): rapid.String().Draw(t, "text"), "n": []any{rapid.Float64().Draw(t, "number"), nil, true, map[string]any{}},
		})
		if err != nil {
			t.Fatal(err)
		}
		agrees(t, string(b))
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		agrees(t, string(b))
	})
}

func BenchmarkCheck(b *testing.B) {
	text := task.JSON(`{"to":"someone@example.org","subject":"hello","n":[1,2.5,true],"body":"` + strings.Repeat("x", 150) + `"}`)
	for b.Loop() {
		if err := text.CheckObject(); err != nil {
			b.Fatal(err)
		}
	}
}
