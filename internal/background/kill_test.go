package background_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/background"
	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

const (
	childServer = "BACKGROUND_TEST_SERVER" // the address of the server, in the environment of a process that a test starts
	childStarts = "BACKGROUND_TEST_STARTS" // set: it starts runs that do not end; else it resumes and completes them
	killedRuns  = 20
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childServer); url != "" {
		if err := child(url, os.Getenv(childStarts) != ""); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	testdb.Main(m)
}

// child is a process with runs, which tells of each that begins.
func child(url string, starts bool) error {
	c, err := client.New(url, client.Options{})
	if err != nil {
		return err
	}
	work := func(_ context.Context, r *background.Running) (*task.JSON, error) {
		fmt.Println("begun", r.RunID)
		if starts {
			select {}
		}
		return new(task.JSON(`{"resumed":true}`)), nil
	}
	m, err := background.New(background.Options{Queue: background.Remote(c), WorkerID: "the one", Handlers: map[string]background.Work{"module": work}})
	if err != nil {
		return err
	}
	for i := range killedRuns {
		if starts {
			if _, err := m.StartTask(task.Run{RunID: fmt.Sprint("run ", i), ModuleID: "module"}, work); err != nil {
				return err
			}
		}
	}
	return m.Run(context.Background())
}

// begin starts such a process and returns when all of its runs have begun.
func begin(t *testing.T, url, starts string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childServer+"="+url, childStarts+"="+starts)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	begun := map[string]bool{}
	for lines := bufio.NewScanner(out); len(begun) < killedRuns && lines.Scan(); {
		id, ok := strings.CutPrefix(lines.Text(), "begun ")
		if !ok {
			t.Errorf("it says %q", lines.Text())
		}
		begun[id] = true
	}
	if len(begun) < killedRuns {
		t.Fatalf("only %d runs have begun: %v", len(begun), cmd.Wait())
	}
	return cmd
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// TestKilledProcessesLoseNothing kills a process in the middle of its runs; the next one resumes and completes them all, and knows it at once: their leases have not ended.
func TestKilledProcessesLoseNothing(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		s := httptest.NewServer(api.New(serve(t, st), api.Options{}))
		defer s.Close()
		kill(begin(t, s.URL, "1"))
		second := begin(t, s.URL, "")
		defer kill(second)
		c, err := client.New(s.URL, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range killedRuns {
			id := fmt.Sprint("run ", i)
			status, err := c.FollowRun(t.Context(), id, func(task.RunLog) error { return nil })
			if err != nil || status != task.RunCompleted {
				t.Errorf("%s is %s: %v", id, status, err)
			}
			if got := find(t, background.Remote(c), id); got.Attempts != 2 || got.Result == nil || *got.Result != `{"resumed":true}` {
				t.Errorf("got %+v", got)
			}
		}
	})
}
