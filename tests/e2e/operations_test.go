package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// operation is how far a change of many tasks has come.
type operation struct {
	ID      int64  `json:"id"`
	Status  string `json:"status"`
	Matched int    `json:"matched"`
	Changed int    `json:"changed"`
	Skipped int    `json:"skipped"`
	Failed  int    `json:"failed"`
	DoneID  int64  `json:"done_id"`
}

// TestAnOperationSurvivesTheKillOfItsServer kills the server in the middle of an operation, again and again, until it is done.
func TestAnOperationSurvivesTheKillOfItsServer(t *testing.T) {
	t.Parallel()
	onEachEngine(t, func(t *testing.T, database string) {
		const tasks = 20_000
		m := newMachine(t)
		serve := func() server { return m.serve(database, "--workers", "0", "--log-level", "error") }
		s := serve()
		var lines strings.Builder
		for i := range tasks {
			fmt.Fprintf(&lines, `{"type":%q}`+"\n", []string{"mail", "sms"}[i%2])
		}
		m.ok("enqueue", "--server", s.url, "--file", m.write("many.jsonl", lines.String()))

		body := object{"action": "cancel", "filter": "type:mail"}
		var proposal struct {
			Matched int    `json:"matched"`
			Token   string `json:"confirm_token"`
		}
		dry := object{"dry_run": true, "action": body["action"], "filter": body["filter"]}
		s.call("POST", "/api/queue/operations", dry, http.StatusOK, &proposal)
		if proposal.Matched != tasks/2 {
			t.Fatalf("%d tasks match", proposal.Matched)
		}
		body["confirm_token"] = proposal.Token
		var o operation
		s.call("POST", "/api/queue/operations", body, http.StatusAccepted, &o)
		path := fmt.Sprintf("/api/queue/operations/%d", o.ID)
		late := s.enqueue("mail", nil)

		cut := 0
		for kills := 0; o.Status == "running" && kills < 3; kills++ {
			before := o.DoneID
			eventually(t, "the operation goes on", patience, func() bool {
				s.call("GET", path, nil, http.StatusOK, &o)
				return o.Status != "running" || o.DoneID > before
			})
			if o.Status == "running" {
				cut++
			}
			s.kill()
			s = serve()
			s.call("GET", path, nil, http.StatusOK, &o)
		}
		if cut == 0 {
			t.Error("the operation was done before it could be cut off")
		}
		eventually(t, "the operation is done", time.Minute, func() bool {
			s.call("GET", path, nil, http.StatusOK, &o)
			return o.Status != "running"
		})
		if o.Status != "completed" || o.Matched != tasks/2 || o.Changed != tasks/2 || o.Skipped+o.Failed != 0 {
			t.Errorf("got %+v", o)
		}
		if got := s.stats(); got.Failed != tasks/2 || got.Queued != tasks/2+1 {
			t.Errorf("got %+v", got)
		}
		if got := s.get(late); got.Status != "queued" {
			t.Errorf("the task that came later is %s", got.Status)
		}
		for _, v := range s.list("filter=status:failed")[:5] {
			var logs []struct {
				Message string `json:"message"`
			}
			s.call("GET", fmt.Sprintf("/api/queue/tasks/%d/logs", v.TaskID), nil, http.StatusOK, &logs)
			var said []string
			for _, l := range logs {
				said = append(said, l.Message)
			}
			if want := []string{"Enqueued", "Cancelled by an operator", "Cancelled"}; !slices.Equal(said, want) {
				t.Errorf("the log of task %d says %q, want %q", v.TaskID, said, want)
			}
		}
	})
}
