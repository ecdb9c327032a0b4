package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/testdb"
)

const maintenance = "/api/queue/maintenance"

// What differs from engine to engine is as the document says all the same; each change is in the audit, and what was only looked at is not.
func TestMaintenanceOverTheAPI(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{})
		for _, c := range []struct{ method, path, body, has string }{
			{"GET", "/stats", "", `"tables"`},
			{"POST", "/checkpoint", "", `"mode":"passive"`},
			{"POST", "/checkpoint", `{"mode":"truncate"}`, `"mode":"truncate"`},
			{"POST", "/vacuum", `{"full":true,"dry_run":true}`, `"needs_bytes"`},
			{"POST", "/vacuum", "", `"bytes_after"`},
			{"POST", "/integrity-check", "", `"problems":[]`},
			{"POST", "/optimize", `{"full":true}`, `"checkpoint":{`},
		} {
			if a := r.call(c.method, maintenance+c.path, c.body); a.Code != http.StatusOK || !strings.Contains(a.Body.String(), c.has) {
				t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, a.Code, a.Body)
			}
		}
		var actions []string
		audits, err := st.ListAudits(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range audits {
			actions = append(actions, a.Action)
		}
		if got := strings.Join(actions, ","); got != "optimize,integrity check,vacuum,checkpoint,checkpoint" {
			t.Errorf("the audit has %s", got)
		}
	})
}

// Who accepts a stream is told how far it has come; with an Idempotency-Key there is one answer, which can be given again.
func TestMaintenanceTellsHowFarItHasCome(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{})
		accept := []string{"Accept", "text/event-stream"}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, maintenance+"/analyze", nil)
		req.Header.Set(accept[0], accept[1])
		stream := httptest.NewRecorder()
		r.api.ServeHTTP(stream, req)
		events := strings.Split(strings.TrimSpace(stream.Body.String()), "\n\n")
		if first, last := events[0], events[len(events)-1]; len(events) < 3 || !strings.HasPrefix(first, "event: progress\ndata: {\"step\":\"api_keys\",\"done\":0,\"total\":") || !strings.HasPrefix(last, "event: done\ndata: {\"tables\":[") {
			t.Errorf("%d events: %s", len(events), stream.Body)
		}
		if a := r.call("POST", maintenance+"/analyze", `{"table":"nothing"}`, accept...); a.Code != http.StatusUnprocessableEntity {
			t.Errorf("what is wrong before it has begun: %d %s", a.Code, a.Body)
		}
		a := r.call("POST", maintenance+"/analyze", "", append(accept, "Idempotency-Key", "once")...)
		again := r.call("POST", maintenance+"/analyze", "", append(accept, "Idempotency-Key", "once")...)
		if !strings.HasPrefix(a.Body.String(), `{"tables":[`) || again.Body.String() != a.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
			t.Errorf("with a key: %s, and then %s", a.Body, again.Body)
		}
	})
}

// A server watches who waits for maintenance, which ends when nobody does.
func TestMaintenanceIsWaitedFor(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{maintenance + "/vacuum": true, "/api/queue/claim": true, "/api/queue/enqueue": false} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := api.Waits(req); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}
