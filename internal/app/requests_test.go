package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/testdb"
)

// Whoever writes a line while a request is handled, the line has the id of that request, and no other line has.
func TestLinesAboutARequestHaveItsID(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default(func(string) string { return "" })
	cfg.Workers = 0
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log lines
	ended := make(chan error, 1)
	st := testdb.SQLite(t)
	go func() {
		ended <- serve(ctx, ln, st, cfg, Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	}()
	post := func(id, body string) (answer struct {
		Token string `json:"confirm_token"`
	}) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+ln.Addr().String()+"/api/queue/operations", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Request-Id", id)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode >= 300 || resp.Header.Get("X-Request-Id") != id {
			t.Fatalf("%s %v, error %v", resp.Status, resp.Header, err)
		}
		return answer
	}
	token := post("look-1", `{"action":"cancel","all":true,"dry_run":true}`).Token
	post("start-2", `{"action":"cancel","all":true,"confirm_token":"`+token+`"}`)
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(log.String()) {
		want := ""
		switch {
		case strings.Contains(line, `msg="operation started"`), strings.Contains(line, "msg=audit"), strings.Contains(line, "msg=request") && strings.Contains(line, "status=202"):
			want = "request_id=start-2"
		case strings.Contains(line, "msg=request"):
			want = "request_id=look-1"
		}
		if n := strings.Count(line, "request_id="); !strings.Contains(line, want) || want != "" && n != 1 || want == "" && n != 0 {
			t.Errorf("want %q once in %s", want, line)
		}
	}
	if n := strings.Count(log.String(), "request_id="); n != 4 {
		t.Errorf("%d lines have an id, want 4:\n%s", n, log.String())
	}
}
