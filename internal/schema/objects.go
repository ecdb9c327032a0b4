package schema

import (
	"embed"
	"slices"
	"strings"
)

// objects holds what the newest version of the schema consists of on each engine, by kind and name, one a line: index task_queue_ready.
// The tests of the stores write it with -update.
//
//go:embed objects/*.txt
var objects embed.FS

// Objects returns what the newest version of the schema consists of, by kind and name, sorted.
func Objects(e Engine) []string {
	text, err := objects.ReadFile("objects/" + string(e) + ".txt")
	if err != nil {
		panic(err) // the binary was built without it
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// Missing returns what the newest version has beside what there is, in the words of Objects.
func (s *Schema) Missing(there []string) (out []string) {
	for _, o := range Objects(s.engine) {
		if !slices.Contains(there, o) {
			out = append(out, o)
		}
	}
	return out
}
