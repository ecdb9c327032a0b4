package dashboard_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/dashboard"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// key makes a key; the first one is an administrator's.
func (r rig) key(role task.Role, types ...string) string {
	r.Helper()
	k, err := r.CreateAPIKey(r.Context(), task.APIKeySpec{Name: strings.Join(append([]string{string(role)}, types...), " "), Role: role, Types: types})
	r.ok(err)
	return k.Key
}

// as asks as a browser does that has a key, and returns the answer with its body read.
func (r rig) as(key, method, path, form string, header ...string) (*http.Response, string) {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, r.url+path, strings.NewReader(form))
	r.ok(err)
	req.Header.Set("Accept", "text/html")
	if key != "" {
		req.AddCookie(&http.Cookie{Name: api.KeyCookie, Value: key})
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(req)
	r.ok(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	r.ok(err)
	return resp, string(b)
}

var form = []string{"Content-Type", "application/x-www-form-urlencoded"}

func TestEveryPageHasAPermission(t *testing.T) {
	t.Parallel()
	q := queue.New(testdb.SQLite(t), queue.Options{})
	pages := dashboard.New(q, dashboard.Options{})
	served := map[string]bool{}
	for _, route := range api.New(q, api.Options{Pages: pages}).Routes() {
		served[route.Method+" "+route.Path] = route.Method != http.MethodHead
	}
	for _, route := range api.New(q, api.Options{}).Routes() {
		delete(served, route.Method+" "+route.Path)
	}
	delete(served, "POST /login") // of the API, in whose table they are
	delete(served, "POST /logout")
	listed := map[string]bool{}
	for route := range pages.Permissions() {
		listed[route] = true
	}
	maps.DeleteFunc(served, func(_ string, get bool) bool { return !get })
	if d := cmp.Diff(served, listed); d != "" {
		t.Errorf("served without a permission (-), permission without a page (+):\n%s", d)
	}
}

func TestPermissionsOfRolesAndPages(t *testing.T) {
	t.Parallel()
	st := testdb.SQLite(t)
	r := serve(t, st, nil, queue.Options{})
	keys := map[task.Role]string{"": ""}
	for _, role := range slices.Backward(task.Roles) { // the administrator first
		keys[role] = r.key(role)
	}
	param := regexp.MustCompile(`:\w+|\*`)
	for route, rule := range dashboard.New(r.Queue, dashboard.Options{}).Permissions() {
		method, path, _ := strings.Cut(route, " ")
		path = param.ReplaceAllString(path, "999999999")
		for role, key := range keys {
			resp, _ := r.as(key, method, path, "")
			refused := resp.StatusCode == http.StatusForbidden
			if role == "" {
				refused = resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusSeeOther && strings.HasPrefix(resp.Header.Get("Location"), "/login?next=%2F")
			}
			if want := rule.May == api.Anybody || role != "" && rule.May.Has(role); want == refused {
				t.Errorf("%s by %q: %s, though the table says %v", route, role, resp.Status, want)
			}
		}
	}
}

// What was done is shown to who may look at everything, and on no page that anybody gets.
func TestWhatWasDoneIsShownToNobodyWithoutAKey(t *testing.T) {
	t.Parallel()
	r := serve(t, testdb.SQLite(t), nil, queue.Options{})
	admin, producer, limited := r.key(task.RoleAdmin), r.key(task.RoleProducer), r.key(task.RoleViewer, "mail")
	r.as(admin, "POST", "/types/secret.type/pause", "", form...)
	audits, err := r.Reader().ListAudits(r.Context(), 0, 1)
	r.ok(err)
	done := fmt.Sprintf("done=%d", audits[0].AuditID)
	if _, page := r.as(admin, "GET", "/types?"+done, ""); strings.Count(page, "secret.type") < 2 {
		t.Errorf("an administrator is not told what was done:\n%s", page)
	}
	for _, ask := range []struct{ key, method, path string }{
		{"", "GET", "/login?"}, {producer, "GET", "/login?"}, {"", "POST", "/login?"}, {"", "POST", "/types/x/pause?"}, {"", "GET", "/nothing?"},
		{producer, "GET", "/types?"}, {limited, "GET", "/types?"}, {limited, "GET", "/nothing?"},
	} {
		if resp, page := r.as(ask.key, ask.method, ask.path+done, "", form...); strings.Contains(page, "secret.type") {
			t.Errorf("%s %s by %.15q tells of the audit: %s", ask.method, ask.path, ask.key, resp.Status)
		}
	}
}

func TestLogin(t *testing.T) {
	each(t, func(r rig) {
		if resp, _ := r.as("", "GET", "/login", ""); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/" {
			t.Errorf("where nobody needs a key: %s %s", resp.Status, resp.Header.Get("Location"))
		}
		admin, producer, limited := r.key(task.RoleAdmin), r.key(task.RoleProducer), r.key(task.RoleViewer, "mail")
		resp, _ := r.as("", "GET", "/tasks?status=failed", "")
		at := resp.Header.Get("Location")
		if resp.StatusCode != http.StatusSeeOther || at != "/login?next=%2Ftasks%3Fstatus%3Dfailed" {
			t.Fatalf("without a key: %s %s", resp.Status, at)
		}
		if _, page := r.as("", "GET", at, ""); !strings.Contains(page, `<input type="hidden" name="next" value="/tasks?status=failed">`) || !strings.Contains(page, `type="password"`) {
			t.Errorf("the form is not there:\n%s", page)
		}
		enter := func(key, next string, header ...string) (*http.Response, string) {
			return r.as("", "POST", "/login", url.Values{"key": {key}, "next": {next}}.Encode(), append(header, form...)...)
		}
		for key, want := range map[string]string{"tq_x": "This is no key that is in force.", producer: "need a key with the role viewer", limited: "need a key with the role viewer"} {
			resp, page := enter(key, "/types")
			if resp.StatusCode < 400 || resp.Header.Get("Set-Cookie") != "" || !strings.Contains(page, want) || !strings.Contains(page, `value="/types"`) || strings.Contains(page, key[3:]) && len(key) > 4 {
				t.Errorf("%s %s: %s\n%s", key, want, resp.Status, page)
			}
		}
		if resp, _ := enter(admin, "/", "Sec-Fetch-Site", "cross-site"); resp.StatusCode != http.StatusForbidden || resp.Header.Get("Set-Cookie") != "" {
			t.Errorf("another site logs in: %s", resp.Status)
		}
		for next, want := range map[string]string{"/types?x=1": "/types?x=1", "//evil.example/": "/", "https://evil.example/": "/", `/\evil.example`: "/", "": "/", "javascript:alert(1)": "/", "/a\nb": "/"} {
			resp, _ := enter(admin, next)
			if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != want {
				t.Errorf("on to %q: %s %s", next, resp.Status, resp.Header.Get("Location"))
			}
		}
		resp, _ = enter(" "+admin+"\n", "/")
		if got := resp.Header.Get("Set-Cookie"); got != api.KeyCookie+"="+admin+"; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict" {
			t.Errorf("cookie %q", got)
		}
		if resp, _ = enter(admin, "/", "X-Forwarded-Proto", "https"); !strings.Contains(resp.Header.Get("Set-Cookie"), "; Secure") {
			t.Errorf("behind TLS: cookie %q", resp.Header.Get("Set-Cookie"))
		}
		if resp, page := r.as(admin, "GET", "/", ""); resp.StatusCode != http.StatusOK || !strings.Contains(page, `action="/logout"`) || !strings.Contains(page, "<span>admin</span>") {
			t.Errorf("with the cookie: %s\n%s", resp.Status, page)
		}
		resp, _ = r.as(admin, "POST", "/logout", "")
		if got := resp.Header.Get("Set-Cookie"); resp.Header.Get("Location") != "/login" || !strings.HasPrefix(got, api.KeyCookie+"=; ") || !strings.Contains(got, "Max-Age=0") {
			t.Errorf("logged out: %s, cookie %q", resp.Header.Get("Location"), got)
		}
		if resp, _ := r.as(admin, "POST", "/types/a/pause", "", form...); resp.StatusCode != http.StatusSeeOther {
			t.Errorf("an action: %s", resp.Status)
		}
		audits, err := r.Reader().ListAudits(r.Context(), 0, 1)
		r.ok(err)
		if len(audits) != 1 || audits[0].Actor != "admin by dashboard from 127.0.0.1" {
			t.Errorf("the audit %+v", audits)
		}
	})
}

func TestRolesHideWhatTheyMayNot(t *testing.T) {
	t.Parallel()
	st := testdb.SQLite(t)
	r := serve(t, st, nil, queue.Options{})
	r.enqueue(task.Spec{Type: "mail"})
	r.claim("w", "mail")
	operator, viewer := r.key(task.RoleAdmin), r.key(task.RoleViewer)
	changes := regexp.MustCompile(`(?:…|New task)</a>|method="post" action="(?:[^l/]|/[^l]|/l[^o])`)
	for _, path := range []string{"/", "/tasks", "/tasks/1", "/types", "/types/mail", "/workers", "/workers/w", "/maintenance"} {
		if _, page := r.as(viewer, "GET", path, ""); changes.MatchString(page) || !strings.Contains(page, "<main") {
			t.Errorf("%s shows a viewer %q", path, changes.FindAllString(page, -1))
		}
		if resp, page := r.as(operator, "GET", path, ""); path != "/" && path != "/workers" && !changes.MatchString(page) || resp.StatusCode != http.StatusOK {
			t.Errorf("%s shows an operator no action", path)
		}
	}
}
