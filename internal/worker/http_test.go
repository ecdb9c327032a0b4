package worker_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/worker"
)

// endpoint serves the function and returns the handler that calls it.
func endpoint(t *testing.T, c worker.HTTPCall, serve http.HandlerFunc) worker.Handler {
	t.Helper()
	srv := httptest.NewServer(serve)
	t.Cleanup(srv.Close)
	c.Type, c.URL = "job", srv.URL+"/hook"
	h, err := worker.HTTP(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHTTPPostsThePayload(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	h := endpoint(t, worker.HTTPCall{Headers: map[string]string{"Authorization": "Bearer x", "X-Thequeue-Task-Id": "1"}}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got["request"], got["body"] = r.Method+" "+r.URL.Path, string(body)
		for _, name := range []string{"Content-Type", "Authorization", "Idempotency-Key", "X-Thequeue-Task-Id", "X-Thequeue-Fence", "X-Thequeue-Attempt"} {
			got[name] = r.Header.Get(name)
		}
	})
	if _, err := h.Handle(t.Context(), attempt(`{"a": 1.50}`)); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"request": "POST /hook", "body": `{"a": 1.50}`, "Content-Type": "application/json", "Authorization": "Bearer x",
		"Idempotency-Key": "42-7", "X-Thequeue-Task-Id": "42", "X-Thequeue-Fence": "7", "X-Thequeue-Attempt": "3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHTTPAnswers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3000)
	for name, test := range map[string]struct {
		status  int
		headers map[string]string
		body    string
		result  string
		err     string
		retry   string
	}{
		"JSON":           {status: 200, body: ` {"a": 1} `, result: `{"a": 1}`},
		"Text":           {status: 202, body: "done\n", result: `"done"`},
		"Empty":          {status: 204, result: "none"},
		"NotFound":       {status: 404, body: "no such hook", err: "HTTP status 404 Not Found: no such hook"},
		"LongError":      {status: 500, body: long, err: "HTTP status 500 Internal Server Error: " + long[:2048]},
		"Redirect":       {status: 302, headers: map[string]string{"Location": "/elsewhere"}, err: "HTTP status 302 Found"},
		"Seconds":        {status: 429, headers: map[string]string{"Retry-After": "90"}, err: "snoozed for 1m30s", retry: "1m30s"},
		"Date":           {status: 503, headers: map[string]string{"Date": "Fri, 31 Dec 1999 23:59:00 GMT", "Retry-After": "Sat, 01 Jan 2000 00:00:00 GMT"}, err: "snoozed for 1m0s", retry: "1m0s"},
		"Century":        {status: 503, headers: map[string]string{"Retry-After": "2000000000"}, err: "snoozed for 24h0m0s", retry: "24h0m0s"},
		"Ages":           {status: 503, headers: map[string]string{"Retry-After": "99999999999999999999999"}, err: "snoozed for 24h0m0s", retry: "24h0m0s"},
		"Now":            {status: 503, headers: map[string]string{"Retry-After": "0"}, err: "snoozed for 1s", retry: "1s"},
		"Past":           {status: 503, headers: map[string]string{"Date": "Sat, 01 Jan 2000 00:00:00 GMT", "Retry-After": "Fri, 31 Dec 1999 23:59:00 GMT"}, err: "snoozed for 1s", retry: "1s"},
		"Nonsense":       {status: 503, headers: map[string]string{"Retry-After": "soon"}, err: "HTTP status 503 Service Unavailable"},
		"OtherRetryText": {status: 500, headers: map[string]string{"Retry-After": "90"}, err: "HTTP status 500 Internal Server Error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := endpoint(t, worker.HTTPCall{}, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/hook" {
					t.Errorf("followed to %s", r.URL.Path)
				}
				for name, value := range test.headers {
					w.Header().Set(name, value)
				}
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			})
			result, err := h.Handle(t.Context(), attempt("{}"))
			if test.err == "" {
				if err != nil || text(result) != test.result {
					t.Errorf("%s, %v, want %s", text(result), err, test.result)
				}
				return
			}
			if err == nil || err.Error() != test.err || worker.Rejected(err) {
				t.Errorf("%v, want %s, not rejected", err, test.err)
			}
			retry := ""
			if d, ok := worker.RetryIn(err); ok {
				retry = d.String()
			}
			if worker.Released(err) != (retry != "") {
				t.Errorf("%v: handed back: %v", err, worker.Released(err))
			}
			if retry != test.retry {
				t.Errorf("retry after %q, want %q", retry, test.retry)
			}
		})
	}
}

func TestHTTPCutsALongAnswer(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	h := endpoint(t, worker.HTTPCall{}, func(w http.ResponseWriter, _ *http.Request) {
		defer close(gone)
		for { // until the caller hangs up
			if _, err := io.WriteString(w, strings.Repeat("<ab>", 1024)); err != nil {
				return
			}
		}
	})
	result, err := h.Handle(t.Context(), attempt("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if len(*result) > 1<<20 || len(*result) < 1<<19 || !strings.HasSuffix(string(*result), `\n[cut: a result holds 1048576 bytes]"`) {
		t.Errorf("%d bytes, ends in %s", len(*result), (*result)[len(*result)-60:])
	}
	<-gone
}

func TestHTTPEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		limit time.Duration
		body  bool // the server hangs in the body, not before the header
		want  error
	}{
		"Timeout":       {limit: 50 * time.Millisecond, want: worker.ErrTimeout},
		"TimeoutInBody": {limit: 50 * time.Millisecond, body: true, want: worker.ErrTimeout},
		"Cancelled":     {want: worker.ErrCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			called, over := make(chan struct{}), make(chan struct{})
			h := endpoint(t, worker.HTTPCall{Timeout: test.limit}, func(w http.ResponseWriter, _ *http.Request) {
				if test.body {
					w.(http.Flusher).Flush()
				}
				close(called)
				<-over
			})
			t.Cleanup(func() { close(over) })
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if test.limit == 0 {
				go func() { <-called; cancel(worker.ErrCancelled) }()
			}
			if _, err := h.Handle(ctx, attempt("{}")); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

func TestHTTPRefusesWhatIsNoURL(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"", "localhost:80/x", "ftp://host/x", "http:///x", "http://%zz"} {
		if _, err := worker.HTTP(worker.HTTPCall{Type: "job", URL: u}); err == nil {
			t.Errorf("%q was taken", u)
		}
	}
}

func TestSleep(t *testing.T) {
	t.Parallel()
	for payload, want := range map[task.JSON]string{
		`{}`:                            "1s <nil>",
		`{"seconds": 0.5}`:              "500ms <nil>",
		`{"seconds": 0, "fail": "bad"}`: "0s bad",
		`{"seconds": 3601}`:             "0s payload: seconds must lie between 0 and 3600",
		`{"seconds": 30}`:               "20s timed out after 20s",
	} {
		t.Run(string(payload), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				start := time.Now()
				ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Second, fmt.Errorf("%w after 20s", worker.ErrTimeout))
				defer cancel()
				_, err := worker.Sleep.Handle(ctx, attempt(payload))
				if got := fmt.Sprint(time.Since(start), " ", err); got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		})
	}
	if _, err := worker.Sleep.Handle(t.Context(), attempt(`{"seconds": "x"}`)); !worker.Rejected(err) {
		t.Errorf("%v, want it rejected", err)
	}
}

func TestEcho(t *testing.T) {
	t.Parallel()
	if result, err := worker.Echo.Handle(t.Context(), attempt(`{"a": 1.0}`)); err != nil || text(result) != `{"a": 1.0}` {
		t.Errorf("%s, %v", text(result), errors.Unwrap(err))
	}
}

// A name may lead anywhere. Only the address that is dialled counts, and a server on it must not be reached.
func TestHTTPReachesOnlyWhatItMay(t *testing.T) {
	t.Parallel()
	reached := make(chan string, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.Host }))
	t.Cleanup(srv.Close)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	machine, err := os.Hostname() // resolves to an address of this machine, by its hosts file
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		host    string
		allowed []string
		may     bool
	}{
		{"127.0.0.1", nil, true}, // written down
		{"localhost", nil, true},
		{"[::ffff:127.0.0.1]", nil, true},
		{"ip6-localhost", nil, false},
		{"localhost.", nil, false},
		{machine, nil, false},
		{machine, []string{"192.168.77.0/24"}, false},
		{machine, []string{"0.0.0.0/0", "::/0"}, true},
	} {
		if _, err := net.DefaultResolver.LookupHost(t.Context(), strings.Trim(test.host, "[]")); err != nil {
			t.Logf("%s has no address here", test.host)
			continue
		}
		c := worker.HTTPCall{Type: "job", URL: "http://" + test.host + ":" + port}
		for _, p := range test.allowed {
			c.AllowNetworks = append(c.AllowNetworks, netip.MustParsePrefix(p))
		}
		h, err := worker.HTTP(c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Handle(t.Context(), attempt("{}"))
		if test.may {
			// Whether the server listens on the address that the name has is another matter.
			if err != nil && strings.Contains(err.Error(), "allow_networks") {
				t.Errorf("%s, allowed %v: %v", test.host, test.allowed, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "allow_networks") || worker.Rejected(err) {
			t.Errorf("%s, allowed %v: got %v, want to be told of allow_networks", test.host, test.allowed, err)
		}
	}
	for range len(reached) {
		if host := <-reached; strings.HasPrefix(host, "ip6-localhost") || strings.HasPrefix(host, "localhost.") {
			t.Errorf("the server was reached as %s", host)
		}
	}
}

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1:248:1893:25c8:1946": true, "::ffff:93.184.216.34": true, "172.15.255.255": true, "172.32.0.1": true, "100.128.0.1": true,
		"127.0.0.1": false, "127.8.8.8": false, "10.1.2.3": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.0.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"100.127.255.255": false, "0.0.0.0": false, "0.1.2.3": false, "224.0.0.1": false, "239.1.1.1": false, "240.0.0.1": false, "255.255.255.255": false, "192.0.2.1": false,
		"198.51.100.1": false, "203.0.113.1": false, "198.18.0.1": false, "192.0.0.8": false, "::1": false, "::": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd12::1": false,
		"ff02::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::7f00:1": false, "64:ff9b::7f00:1": false, "64:ff9b:1::1": false, "2002:7f00:1::": false, "2001:db8::1": false,
		"2001::1": false, "fec0::1": false, "100::1": false,
	} {
		if got := worker.Public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is public: %v, want %v", address, got, want)
		}
	}
}

// The signature is computed anew here, by the words of the specification.
func TestHTTPSignsRequests(t *testing.T) {
	t.Parallel()
	old, err := worker.ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") // of the specification's examples
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := worker.ParseSecret("whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	var got http.Header
	now := time.Unix(1769846400, 999)
	h := endpoint(t, worker.HTTPCall{Secrets: [][]byte{fresh, old}, Now: func() time.Time { return now }, Headers: map[string]string{"Webhook-Id": "mine"}}, func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
	if _, err := h.Handle(t.Context(), attempt(`{"a": 1.50}`)); err != nil {
		t.Fatal(err)
	}
	want := ""
	for i, secret := range [][]byte{bytes.Repeat([]byte{7}, 32), mustDecode(t, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")} {
		mac := hmac.New(sha256.New, secret)
		io.WriteString(mac, `task_42.1769846400.{"a": 1.50}`)
		want += []string{"", " "}[i] + "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	if got.Get("Webhook-Id") != "task_42" || got.Get("Webhook-Timestamp") != "1769846400" || got.Get("Webhook-Signature") != want {
		t.Errorf("got %v, want the signature %s", got, want)
	}
	for _, bad := range []string{"", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8G", "whsec_!", "whsec_" + strings.Repeat("A", 100)} {
		if _, err := worker.ParseSecret(bad); err == nil {
			t.Errorf("%q is taken for a secret", bad)
		}
	}
}

func mustDecode(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
