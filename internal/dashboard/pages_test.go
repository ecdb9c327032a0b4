package dashboard_test

import (
	"fmt"
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

// limits is the form of a type with one limit.
func limits(name, value string) url.Values {
	form := url.Values{}
	for _, all := range []string{"max_concurrency", "rate_count", "rate_seconds", "max_attempts", "timeout_seconds", "lease_seconds"} {
		form.Set(all, "")
	}
	form.Set(name, value)
	return form
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
			{"/tasks/1/cancel", url.Values{}, http.StatusConflict, "Task 1 is completed already"},
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
			{"/types/mail", limits("rate_count", "3"), http.StatusUnprocessableEntity, "needs both numbers"},
			{"/types/mail", url.Values{}, http.StatusUnprocessableEntity, "max_concurrency: is missing"},
			{"/types/mail", limits("max_concurrency", "0"), http.StatusUnprocessableEntity, "must lie between 1 and"},
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

// A form that is no form, too long or broken changes nothing.
func TestFormsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	r := serve(t, testdb.SQLite(t), nil, queue.Options{})
	r.enqueue(task.Spec{Type: "mail"})
	_, err := r.PutType(t.Context(), "mail", task.TypeRules{MaxConcurrency: new(3)})
	r.ok(err)
	for name, c := range map[string]struct{ contentType, body, words string }{
		"no type":   {"", "max_concurrency=", "must be a form"},
		"multipart": {"multipart/form-data; boundary=x", "--x--", "must be a form"},
		"broken":    {"application/x-www-form-urlencoded", "max_concurrency=%zz", "cannot be read as a form"},
		"too long":  {"application/x-www-form-urlencoded", "max_concurrency=" + strings.Repeat("1", 4<<20), "longer than the limit of 3145728 bytes"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/types/mail", strings.NewReader(c.body))
		r.ok(err)
		req.Header = http.Header{"Accept": {"text/html"}}
		if c.contentType != "" {
			req.Header.Set("Content-Type", c.contentType)
		}
		resp, err := http.DefaultClient.Do(req)
		r.ok(err)
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(body), c.words) {
			t.Errorf("%s: %d\n%s", name, resp.StatusCode, body)
		}
	}
	if got, err := r.Type(t.Context(), "mail"); err != nil || got.MaxConcurrency == nil || *got.MaxConcurrency != 3 {
		t.Errorf("the type is %+v, %v", got, err)
	}
}

// Numbers of a rate leave its burst as it was, and one that was never set follows them.
func TestABurstStaysWhenTheRateOfATypeIsChanged(t *testing.T) {
	each(t, func(r rig) {
		form := url.Values{"rate_count": {"7"}, "rate_seconds": {"2"}}
		for _, empty := range []string{"max_concurrency", "max_attempts", "timeout_seconds", "lease_seconds"} {
			form.Set(empty, "")
		}
		for name, burst := range map[string][2]int{"set": {9, 9}, "not-set": {0, 7}} {
			_, err := r.PutType(r.Context(), name, task.TypeRules{RateLimit: &task.RateLimit{Tasks: 5, PerSeconds: 1, Burst: burst[0]}})
			r.ok(err)
			if status, body := r.post("/types/"+name, form); status != http.StatusSeeOther {
				r.Fatalf("%d: %s", status, body)
			}
			got, err := r.Type(r.Context(), name)
			if r.ok(err); *got.RateLimit != (task.RateLimit{Tasks: 7, PerSeconds: 2, Burst: burst[1]}) {
				r.Errorf("the rate is %+v, want a burst of %d", got.RateLimit, burst[1])
			}
		}
		form.Set("rate_seconds", "0")
		if status, body := r.post("/types/set", form); status != http.StatusUnprocessableEntity || !strings.Contains(body, "the seconds must be more than 0") {
			r.Errorf("%d: %s", status, body)
		}
	})
}

// Who acts is not what a header says, and the audit can be read to its end.
func TestTheAuditIsRead(t *testing.T) {
	each(t, func(r rig) {
		r.enqueue(task.Spec{Type: "mail"})
		for range shownAudits/2 + 1 {
			for _, action := range []string{"pause", "resume"} {
				req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, r.url+"/types/mail/"+action, nil)
				r.ok(err)
				req.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "X-Forwarded-For": {"\xff somebody"}, "Accept": {"text/html"}}
				resp, err := http.DefaultClient.Do(req)
				r.ok(err)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK || !strings.Contains(resp.Request.URL.RawQuery, "done=") {
					r.Fatalf("%s: %d at %s", action, resp.StatusCode, resp.Request.URL)
				}
			}
		}
		const row = "<td>dashboard from 127.0.0.1</td>"
		_, body := r.get("/maintenance")
		if n := strings.Count(body, row); n != shownAudits {
			r.Errorf("%d rows", n)
		}
		_, rest, ok := strings.Cut(body, `href="/maintenance?cursor=`)
		if !ok {
			r.Fatal("no older rows")
		}
		cursor, _, _ := strings.Cut(rest, "#")
		if _, body = r.get("/maintenance?cursor=" + cursor); strings.Count(body, row) != 2 {
			r.Errorf("older rows:\n%s", body)
		}
	})
}

const shownAudits = 100

// Of a long log the newest lines are shown, and of many attempts the last.
func TestOfALongHistoryTheEndIsShown(t *testing.T) {
	each(t, func(r rig) {
		id := r.enqueue(task.Spec{Type: "mail"}).ID
		l := r.claim("w1")
		for i := range 510 {
			_, err := r.AppendLog(r.Context(), id, l.LeaseToken, task.Log{Level: task.Info, Message: fmt.Sprintf("line %d.", i)})
			r.ok(err)
		}
		_, err := r.Release(r.Context(), id, l.LeaseToken, 0)
		r.ok(err)
		for i := range 205 {
			l = r.claim(fmt.Sprintf("worker-%d.", i))
			_, err := r.Release(r.Context(), id, l.LeaseToken, 0)
			r.ok(err)
		}
		_, body := r.get("/tasks/1")
		if strings.Contains(body, "line 1.") || !strings.Contains(body, "worker-204.") || strings.Contains(body, ">worker-3.<") || !strings.Contains(body, "There were 6 before these") {
			r.Errorf("the page is\n%.3000s", body)
		}
	})
}
