package api

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/prismq/thequeue/internal/task"
)

// FuzzBody: whatever comes as the body of a request, it is read as what a call wants, or refused with the field that is wrong.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"type":"mail","payload":{"a":1.50},"priority":5}`, `{"tasks":[{"type":"a"},{"type":"b","run_after_utc":"2026-01-31T08:00:00Z"}]}`, `{"worker_id":"w","wait_seconds":1e999}`,
		`{"lease_token":"1.ab","result":[null]}`, `{"lease_token":1}`, `{"a":1,"a":2}`, "{\"type\":\"\xff\"}", `{"type":"\ud800"}`, strings.Repeat(`{"a":`, 80), strings.Repeat("[", 100), "", " ", "null", "[]", `{"name":"n","role":"boss","types":null}`, `{"deadline_utc":"0000-00-00"}`, `{"action":"cancel","filter":"x","all":true}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var batch struct {
			Tasks []task.Spec `json:"tasks"`
		}
		for _, into := range []any{new(task.Spec), &batch, new(beatRequest), new(completeRequest), new(failRequest), new(releaseRequest), new(logRequest), new(task.TypeRules), new(task.ScheduleSpec), new(task.APIKeySpec)} {
			err := unmarshal(body, into, json.RejectUnknownMembers(true))
			if err == nil {
				continue
			}
			bad, ok := errors.AsType[*task.InvalidError](err)
			if !ok || len(bad.Fields) != 1 || bad.Fields[0].Field == "" || bad.Fields[0].Message == "" {
				t.Fatalf("%T of %q: %v", into, body, err)
			}
		}
	})
}

// FuzzLocalPath: after a login nobody is led to another server.
func FuzzLocalPath(f *testing.F) {
	for _, seed := range []string{"/", "/tasks?status=failed", "//evil.example", `/\evil.example`, "https://evil.example", "/%2f/evil.example", "/\t/evil.example", "javascript:alert(1)", "/./\\x", "?x", "/..//evil.example"} {
		f.Add(seed)
	}
	here, err := url.Parse("https://queue.example/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		to := LocalPath(text)
		u, err := here.Parse(to)
		if err != nil || u.Host != here.Host || u.Scheme != here.Scheme || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") {
			t.Errorf("%q leads to %q: %v, error %v", text, to, u, err)
		}
	})
}
