package config

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad: whatever stands in a file of settings, of whatever format, it is read, or refused with what is wrong.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", "{}", `{"worker_id":"w1","capabilities":{"gpu":true},"retry":{"mail":{"max_seconds":60}}}`, "worker_id: w1\nhandlers:\n  exec:\n    a: {command: [/bin/true]}\n", "addr = \"127.0.0.1:0\"\n[tls]\ncert_file = \"c\"\n",
		"a: &a [*a]\n", "? {}\n: 1\n", "types:\n  a: {max_concurrency: 1e400}\n", "[schedules.a]\ncron = \"* * * * *\"\n", `{"webhooks":{"":{"url":":"}}}`, "\ufeffworkers: 2", "workers: 0x1F", "---\n---\n", `{"types":{"a":null}}`, "<<: 1\n",
	} {
		for format := range 3 {
			f.Add(seed, uint8(format))
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string, format uint8) {
		path := filepath.Join(dir, "c"+[]string{".json", ".yaml", ".toml"}[format%3])
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(Source{File: path, Getenv: func(string) string { return "" }})
		if err == nil && c.Validate() != nil {
			t.Errorf("%q is loaded, though %v", text, c.Validate())
		}
	})
}
