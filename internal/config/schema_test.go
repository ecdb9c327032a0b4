package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/task"
)

// published returns the schema in the docs, as a validator.
func published(t *testing.T) *openapi3.Schema {
	t.Helper()
	text, err := os.ReadFile("../../docs/config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s openapi3.Schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

func TestTheSchemaInTheDocsIsThatOfTheSettings(t *testing.T) {
	t.Parallel()
	kept, err := os.ReadFile("../../docs/config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	want, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), strings.ReplaceAll(string(kept), "\r\n", "\n")); diff != "" {
		t.Errorf("the settings have changed: go run ./cmd/thequeue config schema > docs/config.schema.json\n%s", diff)
	}
}

// admits returns what the schema says of a file's tree.
func admits(t *testing.T, s *openapi3.Schema, tree any) error {
	t.Helper()
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return s.VisitJSON(value, openapi3.EnableJSONSchema2020())
}

func treeOf(t *testing.T, name, text string) any {
	t.Helper()
	parse, err := parserOf(name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc.tree
}

func TestTheSchemaAdmitsEveryExample(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../docs/examples/*.*")
	if err != nil || len(files) < 7 {
		t.Fatalf("found %v, %v", files, err)
	}
	s := published(t)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := admits(t, s, treeOf(t, file, string(text))); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestTheSchemaRefusesWhatLoadRefuses(t *testing.T) {
	t.Parallel()
	s := published(t)
	for _, text := range []string{
		"worker: w1", "workers: two", "workers: 1.5", "worker_id: 7", "capabilities: [1]", "scheduling_strategy: random", "log_level: loud", "log_format: xml",
		"allowed_hosts: [1]", "lease_duration_seconds: long", "retry: {a: {factor: 2}}", "retry: {a: 5}", "handlers: {run: {}}", "handlers: {exec: {a: {command: x}}}",
		"handlers: {exec: {a: {env: {A: 1}}}}", "handlers: {http: {a: {method: GET}}}",
		"schedules: {a: 5}", "schedules: {a: {every: 5}}", "schedules: {a: {misfire: later}}", "schedules: {a: {overlap: queue}}", "schedules: {a: {task: {colour: blue}}}", "schedules: {a: {task: {payload: [1]}}}",
		"tracing: {sample_ratio: all}", "backups: {keep: many}", "backups: {compress: 1}", "backups: {where: x}", "tracing: {endpoint: x}", "schedules: {a: {paused: 1}}", "schedules: {a: {max_misfires: 1.5}}",
	} {
		tree := treeOf(t, "c.yaml", text)
		if err := admits(t, s, tree); err == nil {
			t.Errorf("%s: the schema admits it", text)
		}
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(Source{File: path, Getenv: func(string) string { return "" }}); err == nil {
			t.Errorf("%s: Load admits it", text)
		}
	}
}

func TestEveryPartOfTheSchemaHasAType(t *testing.T) {
	t.Parallel()
	checkTypes(t, "", published(t))
}

func checkTypes(t *testing.T, path string, s *openapi3.Schema) {
	t.Helper()
	if s.Type == nil || !slices.Contains([]string{"object", "array", "string", "integer", "number", "boolean"}, s.Type.Slice()[0]) {
		t.Errorf("%s has the type %v", path, s.Type)
	}
	for name, p := range s.Properties {
		checkTypes(t, path+"."+name, p.Value)
	}
	if s.Items != nil {
		checkTypes(t, path+"[]", s.Items.Value)
	}
	if member := s.AdditionalProperties.Schema; member != nil {
		checkTypes(t, path+".*", member.Value)
	}
}

func TestEveryStrategyHasAnExample(t *testing.T) {
	t.Parallel()
	for _, strategy := range task.Strategies {
		files, err := filepath.Glob("../../docs/examples/" + string(strategy) + ".*")
		if err != nil || len(files) != 1 {
			t.Errorf("%s: found %v, %v", strategy, files, err)
			continue
		}
		c, err := Load(Source{File: files[0], Getenv: func(string) string { return "" }, Need: []string{"worker_id"}})
		if err != nil || c.SchedulingStrategy != strategy {
			t.Errorf("%s: got %s, %v", files[0], c.SchedulingStrategy, err)
		}
	}
}
