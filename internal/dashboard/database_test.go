package dashboard_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// What the page of the maintenance does is asked first, done on both engines, and kept in the audit.
func TestTheDatabaseIsLookedAfter(t *testing.T) {
	each(t, func(r rig) {
		for _, c := range []struct{ path, question, done string }{
			{"/maintenance/checkpoint", "Make a checkpoint?", "checkpoint"}, {"/maintenance/optimize", "Optimize the database?", "optimize"}, {"/maintenance/vacuum", "Vacuum the database?", "vacuum"},
		} {
			if status, body := r.get(c.path); status != http.StatusOK || !strings.Contains(body, "<h1>"+c.question+"</h1>") {
				r.Errorf("%s: %d\n%s", c.path, status, body)
			}
			status, next := r.post(c.path, url.Values{})
			if status != http.StatusSeeOther || !strings.HasPrefix(next, "/maintenance?done=") {
				r.Fatalf("%s: %d %s", c.path, status, next)
			}
			audits, err := r.Reader().ListAudits(r.Context(), 0, 1)
			if r.ok(err); audits[0].Action != c.done {
				r.Errorf("%s: the audit has %+v", c.path, audits[0])
			}
			if status, body := r.get(next); status != http.StatusOK || !strings.Contains(body, audits[0].Message) {
				r.Errorf("%s is not shown:\n%s", audits[0].Message, body)
			}
		}
	})
}
