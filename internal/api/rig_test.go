package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/testdb"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

func TestMain(m *testing.M) { testdb.Main(m) }

// rig is the API over a real store, with the upkeep running. Every answer that it gives is checked against the OpenAPI document.
type rig struct {
	t     *testing.T
	api   *echo.Echo
	queue *queue.Queue
	vars  map[string]string // what steps have captured: {id}, {token}
	ids   map[string]string // ids of the store by the order in which they were met, for the transcript
	out   bytes.Buffer      // the transcript
}

func newRig(t *testing.T, st store.Store, o api.Options) *rig {
	t.Helper()
	q := queue.New(st, queue.Options{})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("upkeep: %v", err)
		}
	})
	return &rig{t: t, api: api.New(q, o), queue: q, vars: map[string]string{}, ids: map[string]string{}}
}

type answer struct {
	*httptest.ResponseRecorder
	t *testing.T
}

// call sends a request and checks the answer against the document.
func (r *rig) call(method, path, body string, header ...string) answer {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	r.api.ServeHTTP(rec, req)
	if err := conforms(req, body, rec); err != nil {
		r.t.Errorf("%s %s: the answer is not what the document says: %v\n%s", method, path, err, rec.Body)
	}
	return answer{rec, r.t}
}

func (a answer) json() map[string]any {
	a.t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.Body.Bytes(), &m); err != nil {
		a.t.Fatalf("not a JSON object: %v\n%s", err, a.Body)
	}
	return m
}

// step is call, with {name} replaced by what was captured, written to the transcript. Ids and tokens of the answer become {id} and {token}.
func (r *rig) step(method, path, body string, header ...string) answer {
	r.t.Helper()
	fill := strings.NewReplacer(pairs(r.vars)...)
	a := r.call(method, fill.Replace(path), fill.Replace(body), header...)
	for name, at := range captures {
		if m := at.FindSubmatch(a.Body.Bytes()); m != nil {
			r.vars["{"+name+"}"] = string(m[1])
		}
	}
	fmt.Fprintf(&r.out, "%s %s\n%s\n→ %d\n", method, path, body, a.Code)
	for _, name := range []string{"Link", "X-Next-Cursor", "Retry-After", "Allow", "Location", "Idempotent-Replayed"} {
		if v := a.Header().Get(name); v != "" {
			r.out.WriteString(r.normal(name+": "+v) + "\n")
		}
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, a.Body.Bytes(), "", "  ") == nil {
		r.out.WriteString(r.normal(pretty.String()))
	}
	r.out.WriteString("\n\n")
	return a
}

func pairs(m map[string]string) []string {
	var out []string
	for k, v := range m {
		out = append(out, k, v)
	}
	return out
}

var (
	captures = map[string]*regexp.Regexp{
		"id":    regexp.MustCompile(`"task_id":(\d+)`),
		"token": regexp.MustCompile(`"lease_token":"([^"]+)"`),

		"operation": regexp.MustCompile(`"id":(\d+),"action"`),
		"failure":   regexp.MustCompile(`"failure_id":"([0-9a-f]{16})"`),
		"confirm":   regexp.MustCompile(`"confirm_token":"([^"]+)"`),
	}
	times    = regexp.MustCompile(`"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"`)
	tokens   = regexp.MustCompile(`("lease_token": "|"confirm_token": ")(?:\d+\.)?[0-9a-f]{32}"`)
	ages     = regexp.MustCompile(`("oldest_queued_age_seconds": |"duration_seconds": |"completed_per_minute": |"mean": |"p50": |"p95": |"p99": |"max": )[\d.e-]+`)
	taskID   = regexp.MustCompile(`("task_id": |/tasks/|[Tt]ask |"task-|cursor=|X-Next-Cursor: |"done_id": |"upper_id": )([1-9]\d*)`)
	instants = regexp.MustCompile(` \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`) // in sentences
	requests = regexp.MustCompile(`("request_id": ")[!-~]+"`)
	logID    = regexp.MustCompile(`("log_id": )\d+`)
	backups  = regexp.MustCompile(`thequeue-\d{8}T\d{6}\.\d{3}Z|"[0-9a-f]{64}"|("size_bytes": )[1-9]\d*|\.(?:db|dump)"|("schema_version": )\d+`)
	logPlace = regexp.MustCompile(`(cursor=|X-Next-Cursor: )\d{16}\.\d+`)
)

// normal hides what differs from run to run and from engine to engine: times, tokens and the numbers that ids begin with.
func (r *rig) normal(s string) string {
	s = instants.ReplaceAllString(times.ReplaceAllString(s, `"<time>"`), " <time>")
	s = requests.ReplaceAllString(s, `$1<request>"`)
	s = backups.ReplaceAllStringFunc(s, func(m string) string {
		switch {
		case m[0] == '.':
			return `.<file>"`
		case strings.HasPrefix(m, "thequeue"):
			return "<name>"
		case strings.Contains(m, ": "):
			before, _, _ := strings.Cut(m, ": ")
			return before + `: "<number>"`
		}
		return `"<sum>"`
	})
	s = tokens.ReplaceAllString(s, `$1<token>"`)
	s = ages.ReplaceAllString(s, `$1"<age>"`)
	s = logPlace.ReplaceAllString(logID.ReplaceAllString(s, `$1"<log id>"`), "$1<place>")
	return taskID.ReplaceAllStringFunc(s, func(m string) string {
		parts := taskID.FindStringSubmatch(m)
		if len(parts[2]) > 15 {
			return m // no store has come so far: the test made it up
		}
		if r.ids[parts[2]] == "" {
			r.ids[parts[2]] = "#" + strconv.Itoa(len(r.ids)+1)
		}
		return parts[1] + r.ids[parts[2]]
	})
}

// settle does the rest of the operation in {operation}.
func (r *rig) settle() {
	r.t.Helper()
	path := "/api/queue/operations/" + r.vars["{operation}"]
	for {
		a := r.call("GET", path, "")
		if a.Code != http.StatusOK {
			r.t.Fatalf("%s: %d %s", path, a.Code, a.Body)
		}
		if a.json()["status"] != "running" {
			return
		}
		if _, err := r.queue.WorkOperation(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// golden compares the transcript with the file, or writes it.
func (r *rig) golden(name string) {
	r.t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, r.out.Bytes(), 0o644); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), r.out.String()); diff != "" {
		r.t.Errorf("%s differs (-want +got); run with -update when this is meant:\n%s", path, diff)
	}
}

// contract is the OpenAPI document, with every object of an answer closed: a field that the document does not name is an error.
var contract = sync.OnceValues(func() (routers.Router, error) {
	doc, err := loadDocument()
	if err != nil {
		return nil, err
	}
	for _, s := range doc.Components.Schemas {
		closeSchema(s)
	}
	return legacy.NewRouter(doc)
})

func loadDocument() (*openapi3.T, error) {
	b, err := os.ReadFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(b)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background(), openapi3.EnableExamplesValidation())
}

// closeSchema takes the parts of a composed object together and lets it have no other fields. Requests of the compat endpoints are read
// with the same schemas, but the tests send their unknown fields without asking the document.
func closeSchema(ref *openapi3.SchemaRef) {
	s := ref.Value
	for _, part := range s.AllOf {
		if s.Properties == nil {
			s.Properties = openapi3.Schemas{}
		}
		for name, p := range part.Value.Properties {
			s.Properties[name] = p
		}
		s.Required = append(s.Required, part.Value.Required...)
	}
	if s.AllOf != nil {
		s.AllOf, s.Type = nil, &openapi3.Types{"object"}
	}
	if s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil && len(s.Properties) > 0 {
		no := false
		s.AdditionalProperties.Has = &no
	}
}

// conforms checks an answer against the document, and the request too when it was accepted. Paths that the document does not know must
// be answered 404 or 405, or 401 to those without a key.
func conforms(req *http.Request, body string, rec *httptest.ResponseRecorder) error {
	router, err := contract()
	if err != nil {
		return err
	}
	route, params, err := router.FindRoute(req)
	if err != nil {
		if rec.Code == http.StatusUnauthorized || rec.Code == http.StatusNotFound || rec.Code == http.StatusMethodNotAllowed {
			return nil
		}
		return err
	}
	req.Body = io.NopCloser(strings.NewReader(body))
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	if rec.Code < 300 && req.Header.Get("X-Test-Beyond-Document") == "" {
		if err := openapi3filter.ValidateRequest(req.Context(), in); err != nil {
			return fmt.Errorf("request: %w", err)
		}
	}
	return validate(in, rec.Code, rec.Header(), rec.Body.Bytes())
}

func validate(in *openapi3filter.RequestValidationInput, status int, header http.Header, body []byte) error {
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: status, Header: header}
	out.SetBodyBytes(body)
	out.Options = &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: strings.HasPrefix(header.Get("Content-Type"), "text/html")}
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		if e, ok := errors.AsType[*openapi3.SchemaError](err); ok {
			return fmt.Errorf("%v: %s", e.JSONPointer(), e.Reason)
		}
		return err
	}
	return nil
}
