package background

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/prismq/thequeue/internal/task"
)

// Route says where the runs of a module go.
type Route string

// The routes.
const (
	InMemory Route = "in-memory"
	InQueue  Route = "queue"
	Shadow   Route = "shadow" // in memory, and a task beside each run does in the queue what the run would have done there
)

var routes = []Route{InMemory, InQueue, Shadow}

// Routes says where the runs of each module go. The package for Python reads the same file.
type Routes struct {
	Queue   string           `json:"queue"`   // the address of the server; needed where anything goes to the queue
	Default Route            `json:"default"` // of modules that are not named; empty: in-memory
	Modules map[string]Route `json:"modules"`
}

// Route returns where runs of a module go.
func (r Routes) Route(module string) Route {
	if to, ok := r.Modules[module]; ok {
		return to
	}
	return r.Default
}

// goes reports whether runs of any module go this way.
func (r Routes) goes(to Route) bool {
	return r.Default == to || slices.Contains(slices.Collect(maps.Values(r.Modules)), to)
}

// ReadRoutes reads a JSON file with the keys queue, default and modules. An *task.InvalidError has everything that is wrong with it.
func ReadRoutes(path string) (Routes, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Routes{}, fmt.Errorf("read routes: %w", err)
	}
	r := Routes{Default: InMemory}
	dec := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return Routes{}, fmt.Errorf("read routes: %s: %w", path, err)
	}
	if dec.More() {
		return Routes{}, fmt.Errorf("read routes: %s: %w", path, errors.New("must be one JSON object"))
	}
	if err := r.check(); err != nil {
		return Routes{}, fmt.Errorf("read routes: %s: %w", path, err)
	}
	return r, nil
}

func (r Routes) check() error {
	var bad task.InvalidError
	look := func(name string, to Route) {
		if !slices.Contains(routes, to) {
			bad.Add(name, "must be one of in-memory, queue and shadow")
		} else if to != InMemory && r.Queue == "" {
			bad.Add("queue", "is missing, and %s is %s", name, to)
		}
	}
	look("default", r.Default)
	for _, m := range slices.Sorted(maps.Keys(r.Modules)) {
		look("modules."+m, r.Modules[m])
	}
	return bad.OrNil()
}
