package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

const (
	enqueue = "/api/queue/enqueue"
	many    = "/api/queue/enqueue/batch"
	claim   = "/api/queue/claim"
)

func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth-1) + "{}" + strings.Repeat("}", depth-1)
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path, body     string
		field, message string // of the first complaint; message is a part of it
	}{
		"Empty":               {enqueue, "  ", "body", "must not be empty"},
		"NotJSON":             {enqueue, "type=email", "body", "is not valid JSON"},
		"CutOff":              {enqueue, `{"type":"email"`, "body", "unexpected EOF"},
		"TrailingData":        {enqueue, `{"type":"email"} {}`, "body", "after top-level value"},
		"NotAnObject":         {enqueue, `["email"]`, "body", "must be a JSON object"},
		"TypeMissing":         {enqueue, `{}`, "type", "must not be empty"},
		"TypeNull":            {enqueue, `{"type":null}`, "type", "must not be empty"},
		"TypeBlank":           {enqueue, `{"type":" \t "}`, "type", "must not be empty"},
		"TypeTooLong":         {enqueue, `{"type":"` + strings.Repeat("ü", 201) + `"}`, "type", "is too long"},
		"TypeNumber":          {enqueue, `{"type":5}`, "type", "must be a string"},
		"TypeWithNUL":         {enqueue, `{"type":"a\u0000b"}`, "type", "without NUL"},
		"TypeTwice":           {enqueue, `{"type":"a","type":"b"}`, "type", "is given twice"},
		"PriorityZero":        {enqueue, `{"type":"a","priority":0}`, "priority", "between 1 and 1000"},
		"Priority1001":        {enqueue, `{"type":"a","priority":1001}`, "priority", "between 1 and 1000"},
		"PriorityText":        {enqueue, `{"type":"a","priority":"5"}`, "priority", "must be an integer"},
		"PriorityFraction":    {enqueue, `{"type":"a","priority":1.0}`, "priority", "must be an integer"},
		"PriorityHuge":        {enqueue, `{"type":"a","priority":99999999999999999999}`, "priority", "is out of range"},
		"PriorityBool":        {enqueue, `{"type":"a","priority":true}`, "priority", "must be an integer"},
		"PayloadArray":        {enqueue, `{"type":"a","payload":[1]}`, "payload", "must be a JSON object"},
		"PayloadText":         {enqueue, `{"type":"a","payload":"{}"}`, "payload", "must be a JSON object"},
		"PayloadNameTwice":    {enqueue, `{"type":"a","payload":{"x":{"y":1,"y":2}}}`, "payload.x.y", "is given twice"},
		"PayloadTooDeep":      {enqueue, `{"type":"a","payload":` + nested(65) + `}`, "payload", "must not nest deeper than 64"},
		"UnknownTooDeep":      {enqueue, `{"type":"a","other":` + nested(100_000) + `}`, "body", "must not nest deeper"},
		"InvalidUTF8":         {enqueue, "{\"type\":\"a\xff\"}", "type", "invalid UTF-8"},
		"InvalidUTF8InName":   {enqueue, "{\"payload\":{\"\xc3\x28\":1}}", "payload", "invalid UTF-8"},
		"LoneSurrogate":       {enqueue, `{"type":"a","payload":{"x":"\ud800"}}`, "payload.x", "surrogate"},
		"CompatibilityNumber": {enqueue, `{"type":"a","compatibility":5}`, "compatibility", "must be a JSON object"},
		"MaxAttempts11":       {enqueue, `{"type":"a","max_attempts":11}`, "max_attempts", "between 1 and 10"},
		"RunAfterNoTime":      {enqueue, `{"type":"a","run_after_utc":"tomorrow"}`, "run_after_utc", "is not a time"},
		"RunAfterNumber":      {enqueue, `{"type":"a","run_after_utc":5}`, "run_after_utc", "is a string in RFC 3339"},
		"KeyEmpty":            {enqueue, `{"type":"a","idempotency_key":""}`, "idempotency_key", "must not be empty"},
		"TimeoutOverflow":     {enqueue, `{"type":"a","timeout_seconds":1e999}`, "timeout_seconds", "is out of range"},
		"BatchUnknownField":   {many, `{"tasks":[{"type":"a"}],"all":true}`, "all", "is not a known field"},
		"BatchNoArray":        {many, `{"tasks":{"type":"a"}}`, "tasks", "must be an array"},
		"BatchElement":        {many, `{"tasks":[{"type":"a"},5]}`, "tasks[1]", "must be a JSON object"},
		"BatchMaxAttempts101": {many, `{"tasks":[{"type":"a","max_attempts":101}]}`, "tasks[0].max_attempts", "between 1 and 100"},
		"BatchTooMany":        {many, `{"tasks":[` + strings.Repeat(`{"type":"a"},`, 1000) + `{"type":"a"}]}`, "tasks", "1 to 1000"},
		"ClaimNobody":         {claim, `{}`, "worker_id", "must not be empty"},
		"ClaimStrategy":       {claim, `{"worker_id":"w","strategy":"best"}`, "strategy", "fifo, lifo, priority, weighted_random"},
		"ClaimMaxZero":        {claim, `{"worker_id":"w","max":0}`, "max", "between 1 and 100"},
		"ClaimLeaseZero":      {claim, `{"worker_id":"w","lease_seconds":0}`, "lease_seconds", "between 1 and 43200"},
		"ClaimLeaseTiny":      {claim, `{"worker_id":"w","lease_seconds":1e-12}`, "lease_seconds", "between 1 and 43200"},
		"ClaimLeaseHuge":      {claim, `{"worker_id":"w","lease_seconds":1e300}`, "lease_seconds", "between 1 and 43200"},
		"ClaimWaitNegative":   {claim, `{"worker_id":"w","wait_seconds":-1e300}`, "wait_seconds", "between 0 and 30"},
		"ClaimCapabilities":   {claim, `{"worker_id":"w","capabilities":[]}`, "capabilities", "must be a JSON object"},
		"ClaimTypesText":      {claim, `{"worker_id":"w","types":"a"}`, "types", "must be an array"},
		"ClaimTypesElement":   {claim, `{"worker_id":"w","types":["a",5]}`, "types[1]", "must be a string"},
		"ClaimUnknownField":   {claim, `{"worker_id":"w","Max":5}`, "Max", "is not a known field"},
		"IDText":              {"/api/queue/tasks/abc/cancel", "", "task_id", "must be an integer"},
		"IDFraction":          {"/api/queue/tasks/1.0/requeue", "", "task_id", "must be an integer"},
		"TokenMissing":        {"/api/queue/tasks/1/complete", `{"result":1}`, "lease_token", "must be given"},
		"TokenNumber":         {"/api/queue/tasks/1/release", `{"lease_token":5}`, "lease_token", "must be a string"},
		"RetryText":           {"/api/queue/tasks/1/fail", `{"lease_token":"1.a","retry":"no"}`, "retry", "must be true or false"},
		"RetryAfterNegative":  {"/api/queue/tasks/1/fail", `{"lease_token":"1.a","retry_after_seconds":-1}`, "retry_after_seconds", "between 0 and"},
		"Progress101":         {"/api/queue/tasks/1/heartbeat", `{"lease_token":"1.a","progress":101}`, "progress", "between 0 and 100"},
		"LogLevel":            {"/api/queue/tasks/1/logs", `{"lease_token":"1.a","level":"fatal","message":"x"}`, "level", "debug, info, warning, error"},
		"WorkerIDTooLong":     {"/api/queue/workers/" + strings.Repeat("w", 201) + "/heartbeat", `{}`, "worker_id", "is too long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testdb.SQLite(t), api.Options{})
			a := r.call("POST", c.path, c.body)
			var p struct {
				Detail, Instance string
				ErrorCode        string `json:"error_code"`
				Errors           []task.FieldError
			}
			if err := json.Unmarshal(a.Body.Bytes(), &p); err != nil {
				t.Fatalf("%v: %s", err, a.Body)
			}
			if a.Code != 422 || p.ErrorCode != "invalid" || a.Header().Get("Content-Type") != "application/problem+json" {
				t.Fatalf("status %d, %s: %s", a.Code, a.Header().Get("Content-Type"), a.Body)
			}
			if p.Errors[0].Field != c.field || !strings.Contains(p.Errors[0].Message, c.message) || !strings.Contains(p.Detail, c.field+": "+p.Errors[0].Message) {
				t.Errorf("want %s: …%s…, got %s", c.field, c.message, a.Body)
			}
			if stats, err := r.queue.Stats(t.Context()); err != nil || stats.TotalTasks != 0 {
				t.Errorf("stored %d tasks, %v", stats.TotalTasks, err)
			}
		})
	}
}

func TestIdsThatNoTaskHas(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{})
	for _, id := range []string{"1", "0", "-5", "9223372036854775807", "9223372036854775808", "99999999999999999999999"} {
		a := r.call("GET", "/api/queue/tasks/"+id, "")
		if m := a.json(); a.Code != 404 || m["error_code"] != "not_found" || m["detail"] != "Task "+id+" not found" {
			t.Errorf("%s: %d %s", id, a.Code, a.Body)
		}
	}
}

// TestPayloadBytes sends what encoders like to change and wants every byte of it back, from each call that shows a task.
func TestPayloadBytes(t *testing.T) {
	t.Parallel()
	const payload = "{ \"n\" :\t1.000000000000000000000000000010e+400,\r\n \"i\":-0, \"big\":123456789012345678901234567890 ,\"html\":\"<a href='x'>&amp;</a>\\/\"," +
		"\"uni\":\"\\u00e9é\\ud83d\\ude00😀\u2028\", \"z\":{ }, \"a\": [ ] }"
	const compatibility = `{ "lang" : [ "<go>" , 1.50 ] }`
	const result = "[ 1.0 ,\"<&>\", { \"b\":1 , \"a\":2 } ]"
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{})
		object := `{"payload": ` + payload + ` ,"type":"a","compatibility":` + compatibility + `}`
		if a := r.call("POST", enqueue, object); a.Code != 201 {
			t.Fatal(a.Body)
		}
		if a := r.call("POST", many, `{"tasks":[ `+object+` ]}`); a.Code != 201 {
			t.Fatal(a.Body)
		}
		want := `"payload":` + payload + `,"compatibility":` + compatibility + `,`
		holds := func(a answer, n int, want string) {
			t.Helper()
			if strings.Count(a.Body.String(), want) != n {
				t.Errorf("want %d times\n%s\ngot\n%s", n, want, a.Body)
			}
		}
		holds(r.call("GET", "/api/queue/tasks", ""), 2, want)
		claimed := r.step("POST", claim, `{"worker_id":"w","max":2,"capabilities":{"lang":["<go>",1.5]}}`)
		holds(claimed, 2, want)
		holds(r.step("GET", "/api/queue/tasks/{id}", ""), 1, want)
		holds(r.step("POST", "/api/queue/tasks/{id}/complete", `{"lease_token":"{token}","result": `+result+` }`), 1, `"result":`+result+`,`)
		holds(r.step("GET", "/api/queue/tasks/{id}", ""), 1, `"result":`+result+`,`)
	})
}

func TestStaleTokenChangesNothing(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{})
		r.step("POST", enqueue, `{"type":"a"}`)
		r.step("POST", claim, `{"worker_id":"w1"}`)
		stale := r.vars["{token}"]
		r.step("POST", "/api/queue/tasks/{id}/release", `{"lease_token":"{token}"}`)
		r.step("POST", claim, `{"worker_id":"w2","wait_seconds":10}`)
		before := r.step("GET", "/api/queue/tasks/{id}", "").Body.String()
		for call, rest := range map[string]string{
			"start": "", "heartbeat": "", "complete": "", "release": "", "fail": `,"error_message":"x"`, "logs": `,"level":"info","message":"x"`,
		} {
			for _, token := range []string{stale, "2." + strings.Repeat("0", 32), "nonsense"} {
				a := r.step("POST", "/api/queue/tasks/{id}/"+call, `{"lease_token":"`+token+`"`+rest+`}`)
				if a.Code != 409 || a.json()["error_code"] != "lease_lost" {
					t.Errorf("%s with %q: %d %s", call, token, a.Code, a.Body)
				}
				if a := r.step("POST", "/api/queue/tasks/999/"+call, `{"lease_token":"`+token+`"`+rest+`}`); a.Code != 404 {
					t.Errorf("%s with %q of no task: %d %s", call, token, a.Code, a.Body)
				}
			}
		}
		if after := r.step("GET", "/api/queue/tasks/{id}", "").Body.String(); after != before {
			t.Errorf("the task changed from\n%s\nto\n%s", before, after)
		}
	})
}

// endless is a body that never ends and counts what was read of it.
type endless struct{ read int64 }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	e.read += int64(len(b))
	return len(b), nil
}

func TestBodyTooLarge(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{})
	for name, c := range map[string]struct {
		path     string
		declared int64 // -1: not
		most     int64 // that may be read
	}{
		"Declared":      {enqueue, 10 << 20, 0},
		"Streamed":      {enqueue, -1, 1<<20 + 64<<10},
		"Lease":         {"/api/queue/tasks/1/complete", 10 << 20, 0},
		"BatchDeclared": {many, 17 << 20, 0},
		"BatchStreamed": {many, -1, 16<<20 + 64<<10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := &endless{}
			req := httptest.NewRequestWithContext(t.Context(), "POST", c.path, io.NopCloser(body))
			req.ContentLength = c.declared
			req.Header.Set("Content-Type", "application/json; charset=utf-8")
			rec := httptest.NewRecorder()
			r.api.ServeHTTP(rec, req)
			if rec.Code != 413 || !strings.Contains(rec.Body.String(), `"error_code":"body_too_large"`) || !strings.Contains(rec.Body.String(), "bytes") {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
			if body.read > c.most {
				t.Errorf("read %d bytes, want at most %d", body.read, c.most)
			}
			if err := conforms(req, "", rec); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLimitsCanBeSet(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{MaxBodyBytes: 100, MaxBatchBodyBytes: 200})
	body := func(n int) string { return `{"type":"a","payload":{"x":"` + strings.Repeat("x", n-31) + `"}}` }
	if got := len(body(100)); got != 100 {
		t.Fatalf("the test makes bodies of %d bytes", got)
	}
	for n, want := range map[int]int{100: 201, 101: 413} {
		if a := r.call("POST", enqueue, body(n)); a.Code != want {
			t.Errorf("%d bytes: %d %s", n, a.Code, a.Body)
		}
	}
	if a := r.call("POST", many, `{"tasks":[`+body(120)+`]}`); a.Code != 201 {
		t.Errorf("batch: %d %s", a.Code, a.Body)
	}
}

func TestErrorTable(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	r := newRig(t, testdb.SQLite(t), api.Options{Log: slog.New(slog.NewTextHandler(&logged, nil))})
	secret := "secret of the driver"
	for _, c := range []struct {
		err    error
		status int
		code   string
		retry  string
	}{
		{task.ErrNotFound, 404, "not_found", ""},
		{task.ErrLeaseLost, 409, "lease_lost", ""},
		{task.ErrInFlight, 409, "idempotency_in_flight", "1"},
		{task.ErrKeyReused, 422, "idempotency_key_reused", ""},
		{task.ErrBusy, 503, "busy", "1"},
		{fmt.Errorf("%w: %w", task.ErrUnknown, context.DeadlineExceeded), 503, "result_unknown", "1"},
		{task.ErrStopped, 503, "stopping", "1"},
		{context.DeadlineExceeded, 503, "busy", "1"},
		{context.Canceled, 503, "stopping", "1"},
		{task.ErrGone, 503, "not_ready", "1"},
		{&task.MovedError{State: task.MoveLeft, Peer: "postgres://db/queue"}, 503, "moved", "1"},
		{task.ErrFull, 507, "disk_full", ""},
		{errors.New("broken"), 500, "internal", ""},
	} {
		path := fmt.Sprintf("/test/%d/%s", c.status, c.code)
		r.api.GET(path, func(echo.Context) error { return fmt.Errorf("%s: %w", secret, c.err) })
		req := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
		req.Header.Set("X-Request-ID", "request-7")
		rec := httptest.NewRecorder()
		logged.Reset()
		r.api.ServeHTTP(rec, req)
		if rec.Code != c.status || !strings.Contains(rec.Body.String(), `"error_code":"`+c.code+`"`) || rec.Header().Get("Retry-After") != c.retry {
			t.Errorf("%v: %d, Retry-After %q: %s", c.err, rec.Code, rec.Header().Get("Retry-After"), rec.Body)
		}
		if strings.Contains(rec.Body.String(), secret) || rec.Header().Get("X-Request-ID") != "request-7" {
			t.Errorf("%v: %v %s", c.err, rec.Header(), rec.Body)
		}
		if got := strings.Contains(logged.String(), secret) && strings.Contains(logged.String(), "request-7"); got != (c.status == 500) {
			t.Errorf("%v: logged %q", c.err, logged.String())
		}
	}
}

func TestPanicBecomesAnAnswer(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	r := newRig(t, testdb.SQLite(t), api.Options{Log: slog.New(slog.NewTextHandler(&logged, nil))})
	r.api.GET("/panic", func(echo.Context) error { panic("secret of the handler") })
	rec := httptest.NewRecorder()
	r.api.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/panic", nil))
	id := rec.Header().Get("X-Request-ID")
	if rec.Code != 500 || strings.Contains(rec.Body.String(), "secret") || strings.Contains(rec.Body.String(), "goroutine") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if got := logged.String(); id == "" || !strings.Contains(got, id) || !strings.Contains(got, "secret of the handler") || !strings.Contains(got, "input_test.go") {
		t.Errorf("request %q, logged %q", id, got)
	}
}

func TestReadyFollowsTheStoreAndTheOption(t *testing.T) {
	t.Parallel()
	notYet := errors.New("warming up")
	r := newRig(t, testdb.SQLite(t), api.Options{Ready: func(context.Context) error { return notYet }})
	if a := r.call("GET", "/readyz", ""); a.Code != 503 || a.json()["error_code"] != "not_ready" || a.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	if a := r.call("GET", "/livez", ""); a.Code != 200 {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	st := testdb.SQLite(t)
	closed := newRig(t, st, api.Options{})
	if a := closed.call("GET", "/readyz", ""); a.Code != 200 {
		t.Fatalf("%d %s", a.Code, a.Body)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	for method, path := range map[string]string{"GET": "/readyz", "POST": enqueue} {
		if a := closed.call(method, path, `{"type":"a"}`); a.Code != 503 || a.json()["error_code"] != "stopping" {
			t.Errorf("%s: %d %s", path, a.Code, a.Body)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{})
	seen := map[string]bool{}
	for _, c := range []struct {
		sent string
		kept bool
	}{{"abc-1", true}, {"!~" + strings.Repeat("x", 126), true}, {"", false}, {"a b", false}, {"ü", false}, {strings.Repeat("x", 129), false}, {"", false}} {
		a := r.call("GET", "/api/queue/tasks/0", "", "X-Request-ID", c.sent)
		got := a.Header().Get("X-Request-ID")
		if got == "" || seen[got] || (got == c.sent) != c.kept {
			t.Errorf("sent %q, got %q", c.sent, got)
		}
		if in := a.json()["request_id"]; in != got {
			t.Errorf("%q in the header, %q in the body", got, in)
		}
		seen[got] = true
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := newRig(t, testdb.SQLite(t), api.Options{Log: log})
	r.call("GET", "/api/queue/tasks/7", "", "X-Request-ID", "abc")
	for _, want := range []string{"level=DEBUG", "method=GET", "path=/api/queue/tasks/7", "status=404", "request_id=abc", "duration="} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("%s is missing in %q", want, logged.String())
		}
	}
	if n := strings.Count(logged.String(), "\n"); n != 1 || strings.Count(logged.String(), "request_id=") != 1 {
		t.Errorf("%d lines: %s", n, logged.String())
	}
}

func TestContentTypes(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{})
	for contentType, want := range map[string]int{
		"": 201, "application/json": 201, "application/json; charset=UTF-8": 201, "application/vnd.queue+json": 201, "Application/JSON": 201,
		"text/plain": 415, "multipart/form-data; boundary=x": 415, "application/x-www-form-urlencoded": 415, "nonsense;;": 415,
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, enqueue, strings.NewReader(`{"type":"a"}`))
		req.Header.Set("Content-Type", contentType)
		rec := httptest.NewRecorder()
		r.api.ServeHTTP(rec, req)
		if rec.Code != want {
			t.Errorf("%q: %d %s", contentType, rec.Code, rec.Body)
		}
	}
}

func TestOnlyKnownHostsAreServed(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{Hosts: []string{"queue.example.com"}})
	for host, want := range map[string]int{
		"127.0.0.1:8000": 200, "[::1]:8000": 200, "::1": 200, "localhost": 200, "LOCALHOST:8000": 200, "localhost.": 200, "192.168.7.9:80": 200, "": 200,
		"queue.example.com": 200, "Queue.Example.com:443": 200, "evil.example:8000": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403, "x.queue.example.com": 403,
	} {
		req := httptest.NewRequestWithContext(t.Context(), "GET", "/livez", nil)
		req.Host = host
		rec := httptest.NewRecorder()
		r.api.ServeHTTP(rec, req)
		if rec.Code != want || want == 403 && !strings.Contains(rec.Body.String(), `"error_code":"unknown_host"`) {
			t.Errorf("%q: got %d, want %d", host, rec.Code, want)
		}
	}
}

func TestAQueryThatCannotBeReadIsNotLeftOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{})
	for _, query := range []string{"limit=1;status=queued", "type=%zz"} {
		a := r.call("GET", "/api/queue/tasks?"+query, "")
		if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.Body.String(), `"query"`) {
			t.Errorf("%s: %d %s", query, a.Code, a.Body)
		}
	}
}

func TestHealthAnswersHEAD(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{})
	for _, path := range []string{"/livez", "/readyz"} {
		a := httptest.NewRecorder()
		r.api.ServeHTTP(a, httptest.NewRequestWithContext(t.Context(), "HEAD", path, nil))
		if a.Code != http.StatusOK {
			t.Errorf("%s: %d", path, a.Code)
		}
	}
}
