package dashboard_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// A page of another site can do nothing here, whatever it sends.
func TestAnotherSiteCanDoNothing(t *testing.T) {
	t.Parallel()
	r := serve(t, testdb.SQLite(t), nil, queue.Options{})
	id := r.enqueue(task.Spec{Type: "mail"}).ID
	for _, header := range []http.Header{{"Sec-Fetch-Site": {"cross-site"}}, {"Origin": {"https://evil.example"}}} {
		for _, path := range []string{"/tasks/1/cancel", "/types/mail/pause", "/types/mail", "/tasks/new", "/operations/preview", "/workers/cleanup"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+path, strings.NewReader("type=mail&action=cancel&filter=type:mail"))
			r.ok(err)
			req.Header = header.Clone()
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Accept", "text/html")
			resp, err := http.DefaultClient.Do(req)
			r.ok(err)
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "<h1>Cross-origin request</h1>") {
				t.Errorf("%s %v: %d\n%s", path, header, resp.StatusCode, body)
			}
		}
	}
	if got, err := r.Reader().GetTask(t.Context(), id); err != nil || got.Status != task.Queued {
		t.Errorf("the task is %+v, %v", got, err)
	}
	if n, err := r.Reader().ListAudits(t.Context(), 0, 10); err != nil || len(n) != 0 {
		t.Errorf("the audit has %v, %v", n, err)
	}
}

// Programs get JSON where people get a page.
func TestErrorsArePagesForPeopleAlone(t *testing.T) {
	each(t, func(r rig) {
		if status, body := r.get("/tasks/99"); status != http.StatusNotFound || !strings.Contains(body, "Task 99 not found") || !strings.Contains(body, "<!doctype html>") {
			r.Errorf("a person: %d %s", status, body)
		}
		if status, body := r.get("/api/queue/tasks/99"); status != http.StatusNotFound || !strings.HasPrefix(body, "{") {
			r.Errorf("the API: %d %s", status, body)
		}
		resp, err := http.Get(r.url + "/tasks/99")
		r.ok(err)
		resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
			r.Errorf("a program: %s", got)
		}
	})
}

// What cannot be done is said, and changes nothing.
func TestActionsThatCannotBeDone(t *testing.T) {
	each(t, func(r rig) {
		r.enqueue(task.Spec{Type: "mail"})
		l := r.claim("w1")
		_, err := r.Complete(r.Context(), l.ID, l.LeaseToken, nil)
		r.ok(err)
		for _, c := range []struct {
			path   string
			form   url.Values
			status int
			words  string
		}{
			{"/tasks/1/cancel", url.Values{}, http.StatusConflict, "task 1 is completed already"},
			{"/tasks/1/requeue", url.Values{}, http.StatusConflict, "completed"},
			{"/tasks/77/cancel", url.Values{}, http.StatusNotFound, "Task 77 not found"},
			{"/tasks/x/cancel", url.Values{}, http.StatusNotFound, "not found"},
			{"/workers/nobody/drain", url.Values{}, http.StatusNotFound, "Worker nobody not found"},
			{"/schedules/none/pause", url.Values{}, http.StatusNotFound, "Schedule none not found"},
			{"/operations/9/cancel", url.Values{}, http.StatusNotFound, "Operation 9 not found"},
			{"/failures/0123456789abcdef/requeue", url.Values{}, http.StatusNotFound, "not found"},
			{"/operations", url.Values{"action": {"cancel"}, "filter": {"type:mail"}, "confirm_token": {"no"}}, http.StatusConflict, "confirm token"},
			{"/operations/preview", url.Values{"action": {"explode"}, "filter": {"type:mail"}}, http.StatusUnprocessableEntity, "unknown action"},
			{"/operations/preview", url.Values{"action": {"cancel"}}, http.StatusUnprocessableEntity, "must have a condition"},
			{"/operations/preview", url.Values{"action": {"set_priority"}, "filter": {"type:mail"}, "priority": {"high"}}, http.StatusUnprocessableEntity, "whole number"},
			{"/tasks/new", url.Values{"type": {""}, "payload": {"[1]"}, "delay": {"soon"}}, http.StatusUnprocessableEntity, "length of time"},
			{"/tasks/new", url.Values{"type": {""}, "payload": {"[1]"}}, http.StatusUnprocessableEntity, "must not be empty"},
			{"/types/mail", url.Values{"rate_count": {"3"}}, http.StatusUnprocessableEntity, "needs both numbers"},
			{"/types/mail", url.Values{"max_concurrency": {"0"}}, http.StatusUnprocessableEntity, "must lie between 1 and"},
		} {
			if status, body := r.post(c.path, c.form); status != c.status || !strings.Contains(body, c.words) {
				r.Errorf("%s %v: %d, want %d with %q\n%s", c.path, c.form, status, c.status, c.words, body)
			}
		}
		if audits, err := r.Reader().ListAudits(r.Context(), 0, 10); err != nil || len(audits) != 0 {
			r.Errorf("the audit has %v, %v", audits, err)
		}
		ts, err := r.Reader().ListTasks(r.Context(), task.Filter{Limit: 10})
		if r.ok(err); len(ts) != 1 {
			r.Errorf("%d tasks", len(ts))
		}
	})
}

// The pages of a list go on where the one before ended, whatever the filter.
func TestListGoesOn(t *testing.T) {
	each(t, func(r rig) {
		for range 120 {
			r.enqueue(task.Spec{Type: "mail"})
		}
		for _, filter := range []string{"", "type:mail", "status:queued type:mail", "priority>=1"} {
			path, seen, pages := "/tasks?filter="+url.QueryEscape(filter), 0, 0
			for path != "" && pages < 10 {
				status, body := r.get(path)
				if status != http.StatusOK {
					r.Fatalf("%s: %d\n%s", path, status, body)
				}
				pages++
				seen += strings.Count(body, `<td class="n"><a href="/tasks/`)
				_, rest, ok := strings.Cut(body, `<a href="/tasks?cursor=`)
				if path = ""; ok {
					next, _, _ := strings.Cut(rest, `"`)
					path = "/tasks?cursor=" + strings.ReplaceAll(next, "&amp;", "&")
				}
			}
			if seen != 120 || pages != 3 {
				r.Errorf("%q: %d tasks on %d pages", filter, seen, pages)
			}
		}
	})
}
