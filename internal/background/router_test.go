package background_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/background"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

func TestRoutesAreReadAndChecked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "routing.json")
	read := func(text string) (background.Routes, error) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return background.ReadRoutes(path)
	}
	r, err := read(`{"queue":"http://127.0.0.1:8000","default":"shadow","modules":{"a":"queue","b":"in-memory"}}`)
	if err != nil || r.Route("a") != background.InQueue || r.Route("b") != background.InMemory || r.Route("c") != background.Shadow {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err := read(`{}`); err != nil || r.Route("a") != background.InMemory {
		t.Errorf("got %+v, %v", r, err)
	}
	_, err = read(`{"default":"somewhere","modules":{"a":"queue","b":"nowhere"}}`)
	if diff := cmp.Diff([]string{"default", "queue", "modules.b"}, fields(err)); diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, text := range []string{"", "[]", "{", `{"colour":"blue"}`, "{}{}"} {
		if _, err := read(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

// A process that gets no name for the queue says so at once.
func TestARouterThatCannotBeginEnds(t *testing.T) {
	place := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(place, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, place)
	}
	q := background.Local(serve(t, testdb.SQLite(t)))
	x, err := background.NewRouter(background.Routes{Modules: map[string]background.Route{"m": background.InQueue}}, background.Options{Queue: q})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if err := x.Run(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("it ended with %v, and the wait with %v", err, ctx.Err())
	}
}

// Where nothing goes into the queue, and where only shadows do, nobody claims runs there.
func TestARouterIsAWorkerOnlyWhereItsRoutesGo(t *testing.T) {
	t.Parallel()
	eachQueue(t, func(t *testing.T, b backend) {
		for to, want := range map[background.Route][]string{background.InMemory: nil, background.Shadow: {"-shadow"}} {
			o := b(t)
			seen := &beats{Queue: o.Queue, ids: make(chan string, 8)}
			o.Queue, o.WorkerID = seen, string(to)+t.Name()
			x, err := background.NewRouter(background.Routes{Modules: map[string]background.Route{"m": to}}, o)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- x.Run(ctx) }()
			if _, err := x.StartTask(task.Run{RunID: t.Name() + string(to), ModuleID: "m"}, func(context.Context, *background.Running) (*task.JSON, error) { return nil, nil }); err != nil {
				t.Fatal(err)
			}
			wait, give := context.WithTimeout(t.Context(), patience)
			defer give()
			if err := errors.Join(x.WaitAll(wait), x.WaitShadows(wait)); err != nil {
				t.Fatal(err)
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			close(seen.ids)
			var got []string
			for id := range seen.ids {
				got = append(got, strings.TrimPrefix(id, o.WorkerID))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: workers (-want +got):\n%s", to, diff)
			}
		}
	})
}

// beats notes who says that it lives.
type beats struct {
	background.Queue
	ids chan string
}

func (b *beats) WorkerHeartbeat(ctx context.Context, workerID string, capabilities *task.JSON, types []string) (task.Pulse, error) {
	b.ids <- workerID
	return b.Queue.WorkerHeartbeat(ctx, workerID, capabilities, types)
}

func TestEachModuleGoesItsWayAndShadowsEndAsTheirRunsDo(t *testing.T) {
	t.Parallel()
	eachQueue(t, func(t *testing.T, b backend) {
		o := b(t)
		x, err := background.NewRouter(background.Routes{Modules: map[string]background.Route{"q": background.InQueue, "s": background.Shadow}}, o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- x.Run(ctx) }()
		well := func(context.Context, *background.Running) (*task.JSON, error) { return nil, nil }
		start := func(id, module string, parameters task.JSON, work background.Work) {
			t.Helper()
			if _, err := x.StartTask(task.Run{RunID: id, ModuleID: module, Parameters: parameters}, work); err != nil {
				t.Fatal(err)
			}
		}
		start("in queue", "q", "", well)
		start("in memory", "other", "", well)
		start("good", "s", `{"n":1}`, well)
		start("bad", "s", "", func(context.Context, *background.Running) (*task.JSON, error) { return nil, errors.New("no") })
		start("long", "s", task.JSON(`{"text":"`+strings.Repeat("x", 1_100_000)+`"}`), well)
		start("cancelled", "s", "", func(ctx context.Context, _ *background.Running) (*task.JSON, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		wait, give := context.WithTimeout(t.Context(), patience)
		defer give()
		if ok, err := x.CancelTask(wait, "cancelled"); !ok || err != nil {
			t.Errorf("cancelled: %v, %v", ok, err)
		}
		if err := errors.Join(x.WaitAll(wait), x.WaitShadows(wait)); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]task.RunStatus{
			"in queue": task.RunCompleted, "shadow:good": task.RunCompleted, "shadow:bad": task.RunFailed, "shadow:cancelled": task.RunCancelled,
		} {
			if got := find(t, o.Queue, id); got.RunStatus() != want {
				t.Errorf("%s is %s, want %s", id, got.RunStatus(), want)
			}
		}
		for _, id := range []string{"in memory", "good", "shadow:in memory", "shadow:long"} {
			if _, err := o.Queue.Find(t.Context(), id); !errors.Is(err, task.ErrNotFound) {
				t.Errorf("%s is in the queue: %v", id, err)
			}
		}
		if got := find(t, o.Queue, "shadow:good"); got.Type != "shadow:s" || got.Payload != `{"n":1}` {
			t.Errorf("got %+v", got)
		}
		if run, ok := x.GetRun("good"); !ok || run.Status != task.RunCompleted || x.ActiveTaskCount() != 0 {
			t.Errorf("got %+v", run)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		ds := x.Differences()
		if len(ds) != 1 || ds[0].RunID != "long" || ds[0].Run != task.RunCompleted || ds[0].Shadow != task.RunFailed || !strings.Contains(ds[0].Reason, "payload") {
			t.Errorf("differences: %+v", ds)
		}
		if n := x.Shadows(); n != 0 {
			t.Errorf("%d shadows are kept", n)
		}
		for range 1_000 {
			x.Differ(background.Difference{RunID: "later"})
		}
		if ds := x.Differences(); len(ds) != 1_000 || ds[0].RunID != "later" {
			t.Errorf("%d differences are kept, the first of %q", len(ds), ds[0].RunID)
		}
	})
}
