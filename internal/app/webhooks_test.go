package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/task"
)

const hookKey = "0123456789abcdef0123456789abcdef"

// hooked is one request that a webhook got.
type hooked struct {
	header http.Header
	body   string
}

// hook is a server that refuses the first requests.
func hook(t *testing.T, refuse int) (url string, got <-chan hooked) {
	t.Helper()
	requests := make(chan hooked, 64)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if refuse > 0 {
			refuse--
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		requests <- hooked{r.Header, string(body)}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, requests
}

// withHooks starts a server with webhooks and returns a client of it, and what ends it.
func withHooks(t *testing.T, cfg config.Config) (*client.Client, func()) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	addr, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- Serve(ctx, cfg, Options{Log: slog.New(slog.DiscardHandler), Ready: func(a string) { addr <- a }})
	}()
	done := func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		ended <- nil
	}
	select {
	case a := <-addr:
		c, err := client.New("http://"+a, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(); done() })
		return c, done
	case err := <-ended:
		t.Fatal(err)
		return nil, nil
	}
}

func hookConfig(t *testing.T, hooks map[string]config.Webhook) config.Config {
	t.Helper()
	cfg := config.Default(func(string) string { return "" })
	cfg.Database, cfg.Addr, cfg.WorkerID, cfg.Webhooks = filepath.Join(t.TempDir(), "queue.db"), "127.0.0.1:0", "w", hooks
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// next returns the next request, checked against the signature.
func next(t *testing.T, got <-chan hooked) (h hooked, d delivery) {
	t.Helper()
	select {
	case h = <-got:
	case <-time.After(20 * time.Second):
		t.Fatal("no request came")
	}
	mac := hmac.New(sha256.New, []byte(hookKey))
	mac.Write([]byte(h.header.Get("Webhook-Id") + "." + h.header.Get("Webhook-Timestamp") + "." + h.body))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); h.header.Get("Webhook-Signature") != want {
		t.Errorf("signature %q, want %q", h.header.Get("Webhook-Signature"), want)
	}
	if err := json.Unmarshal([]byte(h.body), &d); err != nil {
		t.Fatal(err)
	}
	return h, d
}

// A webhook is told of the events and types that it wants, signed, until it has taken them, and of nothing else.
func TestWebhooksAreToldUntilTheyHaveIt(t *testing.T) {
	t.Parallel()
	url, got := hook(t, 1)
	cfg := hookConfig(t, map[string]config.Webhook{"mine": {
		URL: url, Events: []string{"completed", "cancelled"}, Types: []string{"echo", "other"}, AllowNetworks: []string{"127.0.0.0/8"},
		Secrets: []string{"whsec_" + base64.StdEncoding.EncodeToString([]byte(hookKey))}, Headers: map[string]string{"X-Source": "queue"},
	}})
	cfg.Types = map[string]task.TypeRules{"webhook.mine": {RetryPolicy: new(task.JSON(`{"initial_seconds":0.01}`))}}
	c, _ := withHooks(t, cfg)
	made, err := c.EnqueueBatch(t.Context(), []task.Spec{{Type: "sleep"}, {Type: "echo"}, {Type: "other"}})
	if err != nil {
		t.Fatal(err)
	}
	h, d := next(t, got)
	if d.Type != "task.completed" || d.Data.TaskID != made[1].TaskID || d.Data.Type != "echo" || h.header.Get("X-Source") != "queue" || !strings.HasPrefix(h.header.Get("Webhook-Id"), "task_") {
		t.Errorf("got %+v with %v", d, h.header)
	}
	if _, _, err := c.Cancel(t.Context(), made[2].TaskID); err != nil {
		t.Fatal(err)
	}
	if _, d := next(t, got); d.Type != "task.cancelled" || d.Data.TaskID != made[2].TaskID || d.Data.Status != task.Failed {
		t.Errorf("got %+v", d)
	}
	select {
	case h := <-got:
		t.Errorf("told of more: %s", h.body)
	default:
	}
}

// What ends while the server stops is delivered by the next one.
func TestWebhooksLearnOfWhatEndsAtTheStop(t *testing.T) {
	t.Parallel()
	url, got := hook(t, 0)
	cfg := hookConfig(t, map[string]config.Webhook{"mine": {URL: url, AllowNetworks: []string{"127.0.0.1"}, Secrets: []string{"whsec_" + base64.StdEncoding.EncodeToString([]byte(hookKey))}}})
	c, stop := withHooks(t, cfg)
	if _, err := c.EnqueueBatch(t.Context(), []task.Spec{{Type: "sleep", Payload: `{"seconds":1}`}}); err != nil {
		t.Fatal(err)
	}
	for held := int64(0); held == 0; {
		st, err := c.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = st.ProcessingTasks
	}
	stop() // the task has its grace
	select {
	case h := <-got:
		t.Fatalf("told before the next server: %s", h.body)
	default:
	}
	c, _ = withHooks(t, cfg)
	if _, d := next(t, got); d.Type != "task.completed" || d.Data.TaskID != 1 {
		t.Errorf("got %+v", d)
	}
	rules, err := c.Type(t.Context(), "webhook.mine")
	if err != nil || rules.Breaker == nil || *rules.MaxAttempts != 10 || rules.Retention == nil {
		t.Errorf("%+v, %v", rules, err)
	}
}
