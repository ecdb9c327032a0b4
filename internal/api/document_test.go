package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/testdb"
)

var pathParameter = regexp.MustCompile(`:(\w+)`)

func TestDocumentAndRoutesAreTheSame(t *testing.T) {
	t.Parallel()
	doc, err := loadDocument()
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			documented[method+" "+path] = true
		}
	}
	served := map[string]bool{}
	for _, route := range newRig(t, testdb.SQLite(t), api.Options{}).api.Routes() {
		if route.Method == http.MethodHead {
			continue // answered as GET is, without the body
		}
		served[route.Method+" "+pathParameter.ReplaceAllString(route.Path, "{$1}")] = true
	}
	if diff := cmp.Diff(documented, served); diff != "" {
		t.Errorf("documented but not served (-), served but not documented (+):\n%s", diff)
	}
}

func TestDocumentIsServed(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{})
	a := r.call("GET", "/openapi.json", "")
	source, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var fromYAML, fromJSON any
	if err := yaml.Unmarshal(source, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(a.Body.Bytes(), &fromJSON); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	var want any
	if err := json.Unmarshal(again, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, fromJSON); diff != "" {
		t.Errorf("the JSON is not the YAML:\n%s", diff)
	}
	doc, err := openapi3.NewLoader().LoadFromData(a.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPageListsEveryOperation(t *testing.T) {
	t.Parallel()
	doc, err := loadDocument()
	if err != nil {
		t.Fatal(err)
	}
	a := newRig(t, testdb.SQLite(t), api.Options{}).call("GET", "/api", "")
	page := a.Body.String()
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if !strings.Contains(page, `<span class="method">`+method+`</span> `+path+`</code> – `+op.Summary) {
				t.Errorf("%s %s is not on the page", method, path)
			}
		}
	}
	for _, want := range []string{`<tr id="lease_lost"><td><code>lease_lost</code></td><td>409</td>`, `<code>lease_token</code></td><td>string, required</td>`} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is not on the page", want)
		}
	}
	if strings.Contains(page, "src=") || strings.Contains(page, "<link") || strings.Contains(page, "http://") || !strings.HasPrefix(a.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("the page loads something from elsewhere:\n%s", page)
	}
}

// TestContractCanFail shows that the check of every answer notices a field too many, one too few and one of another type.
func TestContractCanFail(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{})
	r.step("POST", enqueue, `{"type":"a","payload":{"anything":1}}`)
	for _, c := range []struct{ method, path, body, old, new string }{
		{"GET", "/api/queue/tasks/{id}", "", `"fence":0`, `"fence":0,"surprise":1`},
		{"GET", "/api/queue/tasks/{id}", "", `"outcome":null,`, ``},
		{"GET", "/api/queue/tasks/{id}", "", `"priority":100`, `"priority":"100"`},
		{"GET", "/api/queue/tasks/{id}", "", `"outcome":null`, `"outcome":"lucky"`},
		{"GET", "/api/queue/tasks", "", `"fence":0`, `"fence":0,"surprise":1`},
		{"GET", "/api/queue/tasks/abc", "", `"field":`, `"surprise":1,"field":`},
		{"GET", "/api/queue/stats", "", `"total_tasks":1`, `"total_tasks":1,"surprise":1`},
		{"POST", claim, `{"worker_id":"w"}`, `"lease_token":`, `"surprise":1,"lease_token":`},
	} {
		path := strings.ReplaceAll(c.path, "{id}", r.vars["{id}"])
		a := r.call(c.method, path, c.body)
		req := httptest.NewRequestWithContext(t.Context(), c.method, path, nil)
		router, err := contract()
		if err != nil {
			t.Fatal(err)
		}
		route, params, err := router.FindRoute(req)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(a.Body.String(), c.old, c.new, 1)
		if changed == a.Body.String() {
			t.Fatalf("%q is not in %s", c.old, a.Body)
		}
		in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route}
		if err := validate(in, a.Code, a.Header(), []byte(changed)); err == nil {
			t.Errorf("%s %s passed with %q in place of %q", c.method, c.path, c.new, c.old)
		}
	}
}
