package api_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// What operators do is in the audit, from where it came; what they only looked at, and what failed, is not.
func TestOperatorsAreAudited(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{})
		forged := []string{"X-Forwarded-For", "\xff 10.0.0.1", "X-Real-Ip", "10.0.0.1"}
		r.call("POST", "/api/queue/enqueue", `{"type":"a"}`, forged...)
		r.call("PUT", "/api/queue/types/a", `{"max_concurrency":2}`, forged...)
		r.call("POST", "/api/queue/types/b%2Fc/pause", "", forged...)
		r.call("POST", "/api/queue/types/a/pause", "", append(forged, "Sec-Fetch-Site", "cross-site")...)
		r.call("POST", "/api/queue/workers/none/drain", "", forged...)
		r.call("PUT", "/api/queue/schedules/n", `{"cron":"0 3 * * *","task":{"type":"a"}}`, forged...)
		r.call("DELETE", "/api/queue/schedules/n", "", forged...)
		r.call("DELETE", "/api/queue/logs?before=2026-01-01T00:00:00Z&dry_run=true", "", forged...)
		r.step("POST", "/api/queue/operations", `{"action":"cancel","filter":"type:a","dry_run":true}`, forged...)
		if a := r.step("POST", "/api/queue/operations", `{"action":"cancel","filter":"type:a","confirm_token":"{confirm}"}`, forged...); a.Code != http.StatusAccepted {
			t.Fatalf("operation: %d %s", a.Code, a.Body)
		}
		var got []task.Audit
		all, err := st.ListAudits(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			got = append(got, task.Audit{Actor: a.Actor, Action: a.Action, Subject: a.Subject, Message: a.Message})
		}
		const actor = "API from 192.0.2.1"
		want := []task.Audit{
			{Actor: actor, Action: "operation", Message: "POST /api/queue/operations"},
			{Actor: actor, Action: "delete", Subject: "n", Message: "DELETE /api/queue/schedules/n"},
			{Actor: actor, Action: "set", Subject: "n", Message: "PUT /api/queue/schedules/n"},
			{Actor: actor, Action: "pause", Subject: "b/c", Message: "POST /api/queue/types/b%2Fc/pause"},
			{Actor: actor, Action: "set", Subject: "a", Message: "PUT /api/queue/types/a"},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("the audit (-want +got):\n%s", d)
		}
	})
}
