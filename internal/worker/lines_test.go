//go:build unix

package worker_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/worker"
)

// logOf returns what workers have written to the log of a task.
func (q reported) logOf(t *testing.T, id int64) (messages []string) {
	t.Helper()
	list, err := q.Reader().ListLogs(t.Context(), task.LogFilter{TaskID: id, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		if l.Event != nil {
			continue
		}
		if l.Level != task.Info {
			t.Errorf("%q is of level %s", l.Message, l.Level)
		}
		messages = append(messages, l.Message)
	}
	return messages
}

func saying(t *testing.T, script string) map[string]worker.Handler {
	t.Helper()
	h, err := worker.Exec(worker.ExecCommand{Type: "job", Command: []string{"/bin/sh", "-c", script}})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]worker.Handler{"job": h}
}

// soonest waits until the answer is yes.
func soonest(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.After(20 * time.Second); !is(); {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-end:
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

func TestWhatACommandSaysIsInTheLogWhileItRuns(t *testing.T) {
	t.Parallel()
	q := realQueue(t)
	// It goes on only when what it has said is in the log.
	gate := t.TempDir() + "/gate"
	start(t, q, worker.Options{Handlers: saying(t, `printf 'one\ntwo\n\377three' >&2; while ! [ -e `+gate+` ]; do sleep 0.05; done; printf ' and more' >&2; echo '"done"'`)})
	id := enqueue(t, q, task.Spec{Type: "job"}).ID
	soonest(t, "whole lines are in the log", func() bool { return len(q.logOf(t, id)) > 0 })
	if got := q.get(t, id); got.Status != task.Processing {
		t.Fatalf("the task is %s", got.Status)
	}
	if got := q.logOf(t, id); len(got) != 1 || got[0] != "one\ntwo" {
		t.Errorf("log %q", got)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	soonest(t, "the task ends", func() bool { return q.get(t, id).Status.Ended() })
	if got := q.logOf(t, id); strings.Join(got, "|") != "one\ntwo|three and more" {
		t.Errorf("log %q", got)
	}
	if got := look(q.get(t, id)); got.Status != task.Completed || got.Result != `"done"` {
		t.Errorf("got %+v", got)
	}
}

func TestTheLogOfACommandIsBounded(t *testing.T) {
	t.Parallel()
	q := realQueue(t)
	start(t, q, worker.Options{Handlers: saying(t, `head -c 5000000 /dev/zero | tr '\0' x >&2; echo >&2; echo last >&2; exit 3`)})
	id := enqueue(t, q, task.Spec{Type: "job", MaxAttempts: new(1)}).ID
	soonest(t, "the task ends", func() bool { return q.get(t, id).Status.Ended() })
	log := q.logOf(t, id)
	total := 0
	for _, m := range log {
		if len(m) > 17<<10 {
			t.Errorf("an entry has %d bytes", len(m))
		}
		total += len(m)
	}
	if total < 200<<10 || total > 1<<20+1<<10 {
		t.Errorf("the log has %d bytes in %d entries", total, len(log))
	}
	if last := log[len(log)-1]; !strings.Contains(last, "bytes more were not kept]") {
		t.Errorf("the last entry is %.100q", last)
	}
	if got := look(q.get(t, id)); !strings.Contains(got.Error, "exit status 3") || !strings.HasSuffix(got.Error, "last") {
		t.Errorf("error %.100q", got.Error)
	}
}
