package runfile

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/task"
)

func TestReadTakesEveryFormOfARegistry(t *testing.T) {
	t.Parallel()
	const first = `{"run_id":"a","module_id":"m","status":"QUEUED","parameters":{"n": 1.50},"created_at":"2026-01-31T08:00:00.5","colour":"blue"}`
	const second = `{"module_id":"m","module_name":"Module","status":"running","created_at":"2026-01-31T09:00:00+02:00","parameters":null}`
	want := []task.Run{
		{RunID: "b", ModuleID: "m", ModuleName: "Module", Status: task.RunRunning, Parameters: "{}", CreatedAt: time.Date(2026, 1, 31, 7, 0, 0, 0, time.UTC)},
		{RunID: "a", ModuleID: "m", ModuleName: "m", Status: task.RunQueued, Parameters: `{"n": 1.50}`, CreatedAt: time.Date(2026, 1, 31, 8, 0, 0, 500e6, time.UTC)},
	}
	withID := strings.Replace(second, "{", `{"run_id":"b",`, 1)
	for _, text := range []string{
		`{"a":` + first + `,"b":` + second + `}`, "\xef\xbb\xbf[" + first + "," + withID + "]", `{"total":2,"runs":[` + first + "," + withID + `],"limit":50}`,
	} {
		runs, bad, err := Read(strings.NewReader(text))
		if diff := cmp.Diff(want, runs); diff != "" || len(bad) > 0 || err != nil {
			t.Errorf("%s: %v, %v (-want +got):\n%s", text, bad, err, diff)
		}
	}
}

func TestReadTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	runs, bad, err := Read(strings.NewReader(`{"a":{"status":"lost"},"b":{"run_id":"c","status":"queued"},"d":[],"e":{"module_id":"m","status":"failed","created_at":"yesterday"}}`))
	if err != nil || len(runs) != 0 || len(bad) != 4 || bad[0].RunID != "a" || !strings.Contains(bad[1].Reason, `stands under "b"`) {
		t.Errorf("got %v, %v, %v", runs, bad, err)
	}
	for _, text := range []string{"", "7", `{"a":`, `"text"`, "[1", `{"runs":[]`, `{"runs":[]}{}`, "{}[]", "[][]", `{"runs":[],"a":{}}`, `{"a":{},"runs":[]}`} {
		if _, _, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 8, 0, 0, 123456000, time.UTC)
	want := []task.Run{
		{RunID: `a"<b>`, ModuleID: "m", ModuleName: "M", Status: task.RunQueued, Parameters: `{"n":1.50}`, CreatedAt: at},
		{RunID: "c", ModuleID: "m", ModuleName: "M", Status: task.RunFailed, Parameters: "{}", CreatedAt: at.Add(time.Second)},
	}
	var text strings.Builder
	w := NewWriter(&text)
	for _, r := range want {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, bad, err := Read(strings.NewReader(text.String()))
	for i := range got {
		got[i].Parameters = task.JSON(strings.Join(strings.Fields(string(got[i].Parameters)), ""))
	}
	if diff := cmp.Diff(want, got); diff != "" || len(bad) > 0 || err != nil {
		t.Errorf("%s: %v, %v (-want +got):\n%s", text.String(), bad, err, diff)
	}
	text.Reset()
	if err := NewWriter(&text).Close(); err != nil || text.String() != "{}\n" {
		t.Errorf("an empty registry is %q: %v", text.String(), err)
	}
}
