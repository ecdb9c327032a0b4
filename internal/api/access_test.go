package api_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

const keysAt = "/api/queue/keys"

// key makes a key and returns its text. The first one that a rig makes is that of its administrator.
func (r *rig) key(role task.Role, types ...string) task.NewAPIKey {
	r.t.Helper()
	if all, err := r.queue.APIKeys(r.t.Context()); err != nil || len(all) == 0 && role != task.RoleAdmin {
		r.key(task.RoleAdmin)
	}
	name := strings.Join(append([]string{string(role)}, types...), " ")
	k, err := r.queue.CreateAPIKey(r.t.Context(), task.APIKeySpec{Name: name, Role: role, Types: types})
	if err != nil {
		r.t.Fatal(err)
	}
	return k
}

// bearer is the header with a key.
func bearer(k task.NewAPIKey) []string { return []string{"Authorization", "Bearer " + k.Key} }

// wants calls and reports another status than the one wanted, and an answer that does not have the text in it.
func (r *rig) wants(status int, text, method, path, body string, header ...string) {
	r.t.Helper()
	if a := r.call(method, path, body, header...); a.Code != status || !strings.Contains(a.Body.String(), text) {
		r.t.Errorf("%s %s %s: got %d, want %d with %q:\n%s", method, path, body, a.Code, status, text, a.Body)
	}
}

func TestEveryRouteHasAPermission(t *testing.T) {
	t.Parallel()
	served := map[string]bool{"POST /login": true, "POST /logout": true} // beside pages alone
	for _, route := range newRig(t, testdb.SQLite(t), api.Options{}).api.Routes() {
		if route.Method != http.MethodHead {
			served[route.Method+" "+route.Path] = true
		}
	}
	listed := map[string]bool{}
	for route, rule := range api.PermissionTable {
		listed[route] = true
		if rule.May == "" || rule.May != api.Anybody && !rule.May.Has(task.RoleAdmin) {
			t.Errorf("%s: an administrator may not do it", route)
		}
		if rule.For == api.ByTask && !strings.Contains(route, ":task_id") || rule.For == api.ByRun && !strings.Contains(route, ":run_id") ||
			rule.For == api.ByType && !strings.Contains(route, ":type") && !strings.Contains(route, ":module_id") {
			t.Errorf("%s is bounded by what its path does not have", route)
		}
	}
	if d := cmp.Diff(served, listed); d != "" {
		t.Errorf("served without a permission (-), permission without a route (+):\n%s", d)
	}
}

// Everything that a route can be asked for with, each role is let through or refused as testdata/permissions.golden says, which is the table of docs/security.md too.
func TestPermissionsOfRolesAndRoutes(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{})
	holders := map[string][]string{"nobody": nil}
	holders["admin"] = bearer(r.key(task.RoleAdmin))
	for _, role := range task.Roles[:len(task.Roles)-1] {
		holders[string(role)] = bearer(r.key(role))
	}
	order := []string{"nobody", "producer", "worker", "viewer", "operator", "admin"}
	limited := map[api.Scope]string{
		api.Everything: "no", api.ByTask: "tasks of them", api.ByRun: "runs of them", api.ByType: "those in the path", api.ByQuery: "with the parameter `type`", api.ByBody: "those in the body", api.NoTask: "yes",
	}
	out := []string{"| call | who may | a key that is limited to types |", "|---|---|---|"}
	for _, route := range slices.Sorted(maps.Keys(api.PermissionTable)) {
		method, path, _ := strings.Cut(route, " ")
		if strings.HasPrefix(path, "/log") { // which is beside the pages
			continue
		}
		var may []string
		for _, who := range order {
			filled := strings.NewReplacer(":task_id", "999999999", ":operation_id", "999999999").Replace(path)
			if path == "/api/queue/events" {
				filled += "?event=none" // which would not end else
			}
			req := httptest.NewRequestWithContext(t.Context(), method, filled, nil)
			for i := 0; i+1 < len(holders[who]); i += 2 {
				req.Header.Set(holders[who][i], holders[who][i+1])
			}
			rec := httptest.NewRecorder()
			r.api.ServeHTTP(rec, req)
			refused := http.StatusForbidden
			if who == "nobody" {
				refused = http.StatusUnauthorized
			}
			if rec.Code != refused {
				may = append(may, who)
			}
			if got, want := rec.Code != refused, who == "nobody" && api.PermissionTable[route].May == api.Anybody || api.PermissionTable[route].May.Has(task.Role(who)); got != want {
				t.Errorf("%s by %s: %d, though the table says %v", route, who, rec.Code, want)
			}
		}
		if may[0] == "nobody" {
			may = []string{"anybody"}
		}
		limit := limited[api.PermissionTable[route].For]
		if strings.HasPrefix(path, "/api/runs") {
			limit = strings.Replace(limit, "type", "module", 1)
		}
		out = append(out, fmt.Sprintf("| `%s` | %s | %s |", pathParameter.ReplaceAllString(route, "{$1}"), strings.Join(may, " "), limit))
	}
	r.out.WriteString(strings.Join(out, "\n") + "\n")
	r.golden("permissions")
	at := filepath.Join("..", "..", "docs", "security.md")
	page, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		before, rest, _ := strings.Cut(string(page), out[0])
		_, after, _ := strings.Cut(rest, "\n\n")
		page = []byte(before + r.out.String() + "\n" + after)
		err = os.WriteFile(at, page, 0o644)
	}
	if err != nil || !strings.Contains(string(page), r.out.String()) {
		t.Errorf("docs/security.md does not have the table of testdata/permissions.golden, which -update writes there: %v", err)
	}
}

func TestWithoutKeysNobodyNeedsOneAndWithThemEverybody(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{})
		r.wants(200, "total_tasks", "GET", "/api/queue/stats", "", "Authorization", "Basic eDp5")
		r.wants(422, "the first key", "POST", keysAt, `{"name":"w","role":"worker"}`)
		made := r.call("POST", keysAt, `{"name":"root","role":"admin"}`)
		if made.Code != http.StatusCreated || made.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v %s", made.Code, made.Header(), made.Body)
		}
		root := []string{"Authorization", "bearer " + made.json()["key"].(string)}
		r.wants(401, `"error_code":"unauthenticated"`, "GET", "/api/queue/stats", "")
		r.wants(401, "", "GET", "/api/queue/nothing", "")
		r.wants(401, "", "GET", "/metrics", "")
		r.wants(200, "", "GET", "/livez", "")
		r.wants(200, "", "GET", "/readyz", "")
		r.wants(200, "total_tasks", "GET", "/api/queue/stats", "", root...)
		r.wants(404, "There is no such path", "GET", "/api/queue/nothing", "", root...)
		r.wants(405, "", "POST", "/api/queue/stats", "", root...)
		r.wants(409, "root is in force", "POST", keysAt, `{"name":"root","role":"admin"}`, root...)
		if got := r.call("GET", "/api/queue/stats", "").Header().Get("WWW-Authenticate"); got != `Bearer realm="thequeue"` {
			t.Errorf("WWW-Authenticate: %q", got)
		}
		listed := r.call("GET", keysAt, "", root...).Body.String()
		if strings.Contains(listed, made.json()["key"].(string)) || strings.Contains(listed, "hash") || !strings.Contains(listed, made.json()["key_id"].(string)) {
			t.Errorf("the list of keys: %s", listed)
		}
	})
}

func TestAServerForOthersNeedsAKeyBeforeThereIsOne(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{KeysRequired: true})
	r.wants(401, "", "GET", "/api/queue/stats", "")
	r.wants(401, "", "POST", keysAt, `{"name":"root","role":"admin"}`)
	r.wants(200, "", "GET", "/livez", "")
}

func TestWhatIsNoKeyThatIsInForceOpensNothing(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{})
		root := bearer(r.key(task.RoleAdmin))
		k := r.key(task.RoleViewer)
		r.wants(200, "", "GET", "/api/queue/stats", "", bearer(k)...)
		other := k.Key[:len(k.Key)-1] + "A"
		if other == k.Key {
			other = k.Key[:len(k.Key)-1] + "B"
		}
		for what, header := range map[string][]string{
			"another secret": {"Authorization", "Bearer " + other}, "another id": {"Authorization", "Bearer tq_aaaaaaaaaaaa" + k.Key[15:]}, "no scheme": {"Authorization", k.Key},
			"another scheme": {"Authorization", "Basic " + k.Key}, "nothing": {"Authorization", ""}, "a long text": {"Authorization", "Bearer " + strings.Repeat("a", 10000)}, "a query": {"X-Api-Key", k.Key},
		} {
			if a := r.call("GET", "/api/queue/stats?api_key="+k.Key, "", header...); a.Code != http.StatusUnauthorized {
				t.Errorf("%s: %d", what, a.Code)
			}
		}
		second := r.call("POST", keysAt+"/"+k.KeyID+"/rotate", "", root...)
		if second.Code != http.StatusCreated || second.json()["name"] != "viewer" || second.json()["role"] != "viewer" {
			t.Fatalf("rotate: %d %s", second.Code, second.Body)
		}
		now := []string{"Authorization", "Bearer " + second.json()["key"].(string)}
		r.wants(401, "", "GET", "/api/queue/stats", "", bearer(k)...)
		r.wants(200, "", "GET", "/api/queue/stats", "", now...)
		id := second.json()["key_id"].(string)
		r.wants(409, "in force", "DELETE", keysAt+"/"+id, "", root...)
		r.wants(200, `"revoked_at_utc":"2`, "POST", keysAt+"/"+id+"/revoke", "", root...)
		r.wants(401, "", "GET", "/api/queue/stats", "", now...)
		r.wants(409, "not in force any more", "POST", keysAt+"/"+id+"/rotate", "", root...)
		r.wants(204, "", "DELETE", keysAt+"/"+id, "", root...)
		r.wants(404, "Key "+id+" not found", "POST", keysAt+"/"+id+"/revoke", "", root...)
		overlap := r.key(task.RoleWorker)
		r.wants(422, "overlap_seconds", "POST", keysAt+"/"+overlap.KeyID+"/rotate", `{"overlap_seconds":-1}`, root...)
		r.wants(201, "", "POST", keysAt+"/"+overlap.KeyID+"/rotate", `{"overlap_seconds":3600,"expires_in_seconds":60}`, root...)
		r.wants(409, "was replaced by", "POST", keysAt+"/"+overlap.KeyID+"/rotate", "", root...)
		r.wants(422, "worker_id", "POST", claim, `{"worker_id":""}`, bearer(overlap)...)
	})
}

// A key of one node that is revoked on another opens nothing a second later: neither a new call nor one that waits.
func TestARevokedKeyStopsWithinASecondOnAllNodes(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		here := newRig(t, st, api.Options{})
		there := &rig{t: t, queue: queue.New(st, queue.Options{}), vars: map[string]string{}, ids: map[string]string{}}
		there.api = api.New(there.queue, api.Options{})
		here.key(task.RoleAdmin)
		k := here.key(task.RoleWorker)
		v := here.key(task.RoleViewer)
		there.wants(422, "", "POST", claim, `{"worker_id":""}`, bearer(k)...)
		claimed, streamed := make(chan int, 1), make(chan struct{})
		begun := make(chan struct{})
		go func() {
			close(begun)
			claimed <- there.call("POST", claim, `{"worker_id":"w","wait_seconds":30}`, bearer(k)...).Code
		}()
		stream := flushed{httptest.NewRecorder(), make(chan struct{}, 1)}
		go func() {
			defer close(streamed)
			req := httptest.NewRequestWithContext(t.Context(), "GET", "/api/queue/events", nil)
			req.Header.Set("Authorization", "Bearer "+v.Key)
			there.api.ServeHTTP(stream, req)
		}()
		<-begun
		<-stream.first
		for _, id := range []string{k.KeyID, v.KeyID} {
			if _, err := here.queue.RevokeAPIKey(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		here.wants(401, "", "POST", claim, `{"worker_id":""}`, bearer(k)...) // here at once
		over := time.After(time.Second)
		for there.call("POST", claim, `{"worker_id":""}`, bearer(k)...).Code != http.StatusUnauthorized {
			select {
			case <-over:
				t.Fatal("it opens after a second")
			case <-time.After(20 * time.Millisecond):
			}
		}
		patience := time.After(10 * time.Second) // a loaded machine; api.RecheckEvery bounds it
		for range 2 {
			select {
			case code := <-claimed:
				if code != http.StatusUnauthorized {
					t.Errorf("the claim that waited was answered %d", code)
				}
			case <-streamed:
				streamed = nil
			case <-patience:
				t.Fatal("who waits waits on")
			}
		}
		if api.RecheckEvery > time.Second/2 {
			t.Errorf("who waits is asked for every %v", api.RecheckEvery)
		}
	})
}

// unreadable is a store that keys cannot be read from once it is shut.
type unreadable struct {
	store.Store
	shut atomic.Bool
}

func (u *unreadable) GetAPIKey(ctx context.Context, keyID string) (task.APIKey, error) {
	if u.shut.Load() {
		return task.APIKey{}, task.ErrBusy
	}
	return u.Store.GetAPIKey(ctx, keyID)
}

// Who waits under a key does not wait on for as long as nobody can tell whether the key was revoked.
func TestWhoWaitsIsLeftWhenKeysCannotBeRead(t *testing.T) {
	t.Parallel()
	st := &unreadable{Store: testdb.SQLite(t)}
	r := newRig(t, st, api.Options{})
	root := r.key(task.RoleAdmin)
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	stream, ended := flushed{httptest.NewRecorder(), make(chan struct{}, 1)}, make(chan struct{})
	go func() {
		defer close(ended)
		req := httptest.NewRequestWithContext(ctx, "GET", "/api/queue/events", nil)
		req.Header.Set("Authorization", "Bearer "+root.Key)
		r.api.ServeHTTP(stream, req)
	}()
	<-stream.first
	st.shut.Store(true)
	if <-ended; ctx.Err() != nil {
		t.Error("the stream goes on")
	}
}

func TestKeysThatAreLimitedToTypes(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{})
		root := bearer(r.key(task.RoleAdmin))
		producer, worker := bearer(r.key(task.RoleProducer, "mail.*", "sms")), bearer(r.key(task.RoleWorker, "mail.*"))
		viewer, operator := bearer(r.key(task.RoleViewer, "mail.*")), bearer(r.key(task.RoleOperator, "mail.*"))
		foreign := r.step("POST", enqueue, `{"type":"video"}`, root...).json()
		foreignTask := fmt.Sprintf("/api/queue/tasks/%.0f", foreign["task_id"])

		r.wants(201, "", "POST", enqueue, `{"type":"sms"}`, producer...)
		own := r.step("POST", enqueue, `{"type":" mail.send "}`, producer...).json()
		ownTask := fmt.Sprintf("/api/queue/tasks/%.0f", own["task_id"])
		r.wants(403, `mail.*, sms, and \"video\" does not`, "POST", enqueue, `{"type":"video"}`, producer...)
		r.wants(403, "", "POST", many, `{"tasks":[{"type":"sms"},{"type":"video"}]}`, producer...)
		r.wants(201, "", "POST", many, `{"tasks":[{"type":"sms"},{"type":"mail.x"}]}`, producer...)
		for _, part := range []string{"", "/attempts", "/explain", "/logs"} {
			r.wants(200, "", "GET", ownTask+part, "", producer...)
			r.wants(404, "not found", "GET", foreignTask+part, "", producer...)
			r.wants(404, "not found", "GET", foreignTask+part, "", worker...)
		}
		r.wants(404, "not found", "GET", foreignTask+"/events", "", viewer...)
		r.wants(404, "not found", "POST", foreignTask+"/cancel", "", producer...)
		r.wants(404, "not found", "DELETE", foreignTask, "", operator...)
		r.wants(404, "not found", "POST", foreignTask+"/requeue", "", operator...)
		r.wants(200, "queued", "GET", foreignTask, "", root...)

		r.wants(403, "name one by the parameter type", "GET", "/api/queue/tasks", "", viewer...)
		r.wants(403, "", "GET", "/api/queue/tasks?type=video", "", viewer...)
		r.wants(403, "", "GET", "/api/queue/tasks?type=video&type=mail.send", "", viewer...)
		r.wants(403, "", "GET", "/api/queue/events?type=mail.send,video", "", viewer...)
		r.wants(403, "", "GET", "/api/queue/events?type=mail.send&type=video", "", viewer...)
		r.wants(403, "", "GET", "/api/queue/logs?type=video", "", viewer...)
		r.wants(200, "mail.send", "GET", "/api/queue/tasks?type=mail.send", "", viewer...)
		r.wants(200, "", "GET", "/api/queue/logs?type=mail.send", "", viewer...)
		r.wants(403, "this is about all", "GET", "/api/queue/stats", "", viewer...)
		r.wants(200, "", "GET", "/api/queue/types/mail.send", "", viewer...)
		r.wants(403, "", "GET", "/api/queue/types/video", "", viewer...)
		r.wants(200, "", "POST", "/api/queue/types/mail.send/pause", "", operator...)
		r.wants(200, "", "POST", "/api/queue/types/mail.send/resume", "", operator...)
		r.wants(403, "", "PUT", "/api/queue/types/video", `{}`, operator...)
		r.wants(403, "", "POST", "/api/queue/operations", `{"action":"cancel","all":true,"dry_run":true}`, operator...)

		r.wants(202, "", "POST", "/api/modules/mail.send/run", `{"run_id":"own"}`, producer...)
		r.wants(403, "", "POST", "/api/modules/video/run", `{"run_id":"other"}`, producer...)
		r.wants(202, "", "POST", "/api/modules/video/run", `{"run_id":"foreign","parameters":{"secret":1}}`, root...)
		for path, body := range map[string]string{
			"/api/modules/mail.send/run": `{"run_id":"foreign"}`,
			enqueue:                      `{"type":"sms","idempotency_key":"foreign"}`,
			many:                         `{"tasks":[{"type":"mail.new"},{"type":"sms","idempotency_key":"foreign"}]}`,
		} {
			a := r.call("POST", path, body, producer...)
			if text := a.Body.String(); a.Code != 403 || !strings.Contains(text, "this idempotency key is in use") || strings.Contains(text, "video") || strings.Contains(text, "task_id") {
				t.Errorf("POST %s with the key of a task of another type: %d %s", path, a.Code, text)
			}
		}
		if a := r.call("GET", "/api/queue/tasks?type=mail.new", "", root...); a.Body.String() != "[]" {
			t.Errorf("a batch that was refused has stored %s", a.Body)
		}
		r.wants(201, "", "POST", many, `{"tasks":[{"type":"sms","idempotency_key":"mine"}]}`, producer...)
		r.wants(201, `"created":false`, "POST", many, `{"tasks":[{"type":"sms","idempotency_key":"mine"}]}`, producer...)
		r.wants(200, "mail.send", "GET", "/api/runs/own", "", producer...)
		r.wants(403, "name one by the parameter module", "GET", "/api/runs", "", viewer...)
		r.wants(403, "", "GET", "/api/runs?module=video", "", viewer...)
		r.wants(200, "own", "GET", "/api/runs?module_id=mail.send", "", viewer...)
		for _, call := range []string{"GET ", "GET /logs", "GET /logs/stream", "DELETE ", "POST /cancel"} {
			method, part, _ := strings.Cut(call, " ")
			r.wants(404, "not found", method, "/api/runs/foreign"+part, "", producer...)
		}

		r.wants(403, "name those to claim by types", "POST", claim, `{"worker_id":"w"}`, worker...)
		r.wants(403, "", "POST", claim, `{"worker_id":"w","types":["mail.send","video"]}`, worker...)
		lease := r.step("POST", claim, `{"worker_id":"w","types":["mail.send"]}`, worker...)
		if !strings.Contains(lease.Body.String(), `"type":"mail.send"`) {
			t.Fatalf("claim: %s", lease.Body)
		}
		for _, call := range []string{"start", "heartbeat", "complete", "fail", "release", "logs"} { // not even that its lease is another's
			r.wants(404, "not found", "POST", foreignTask+"/"+call, `{"lease_token":"x","error_message":"x","message":"x"}`, worker...)
		}
		r.wants(200, "completed", "POST", ownTask+"/complete", `{"lease_token":"`+r.vars["{token}"]+`"}`, worker...)
	})
}

// A browser sends its cookie unasked, so that it counts for looking alone. What another caller was answered under an Idempotency-Key is not given to one who guesses it.
func TestACookieAndAnIdempotencyKeyAreNoKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{})
	root, producer := r.key(task.RoleAdmin), r.key(task.RoleProducer)
	cookie := []string{"Cookie", api.KeyCookie + "=" + root.Key}
	r.wants(200, "", "GET", "/api/queue/stats", "", cookie...)
	r.wants(401, "", "POST", enqueue, `{"type":"a"}`, cookie...)
	r.wants(401, "", "GET", "/api/queue/stats", "", append(cookie, "Authorization", "Bearer x")...)

	r.wants(201, "", "POST", enqueue, `{"type":"a"}`, append(bearer(root), "Idempotency-Key", "k")...)
	r.wants(422, "idempotency_key_reused", "POST", enqueue, `{"type":"a"}`, append(bearer(producer), "Idempotency-Key", "k")...)
	r.wants(403, "", "POST", "/api/queue/types/a/pause", "", append(bearer(producer), "Idempotency-Key", "p")...)
	r.wants(200, "", "POST", "/api/queue/types/a/pause", "", append(bearer(root), "Idempotency-Key", "p")...)

	body := `{"name":"n","role":"viewer"}` // no answer with a key is kept
	r.wants(201, "", "POST", keysAt, body, append(bearer(root), "Idempotency-Key", "new")...)
	r.wants(409, "", "POST", keysAt, body, append(bearer(root), "Idempotency-Key", "new")...)
}

func TestWrongKeysAreNotLookedAtForEver(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.SQLite(t), api.Options{})
	used, unused := r.key(task.RoleAdmin), r.key(task.RoleViewer)
	r.wants(200, "", "GET", "/api/queue/stats", "", bearer(used)...)
	wrong := []string{"Authorization", "Bearer tq_aaaaaaaaaaaa_" + strings.Repeat("x", 43)}
	for range api.MaxGuesses {
		r.wants(401, "", "GET", "/api/queue/stats", "", wrong...)
	}
	a := r.call("GET", "/api/queue/stats", "", wrong...)
	if a.Code != http.StatusTooManyRequests || a.Header().Get("Retry-After") != "60" {
		t.Errorf("%d, Retry-After %q", a.Code, a.Header().Get("Retry-After"))
	}
	r.wants(429, "too_many_guesses", "GET", "/api/queue/stats", "", bearer(unused)...)
	r.wants(200, "", "GET", "/api/queue/stats", "", bearer(used)...)
	r.wants(200, "", "GET", "/livez", "")
}

func TestLongPollsAndStreamsAreCapped(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{MaxWaiting: 2, MaxWaitingOfOne: 1})
		one, two, three := bearer(r.key(task.RoleAdmin)), bearer(r.key(task.RoleWorker)), bearer(r.key(task.RoleViewer))
		ctx, stop := context.WithCancel(t.Context())
		waits := func(w http.ResponseWriter, method, path, body string, header []string) (ended chan struct{}) {
			ended = make(chan struct{})
			req := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
			req.Header.Set(header[0], header[1])
			go func() { defer close(ended); r.api.ServeHTTP(w, req) }()
			return ended
		}
		refused := func(method, path, body string, header []string) {
			t.Helper()
			a := r.call(method, path, body, header...)
			if a.Code != http.StatusTooManyRequests || a.Header().Get("Retry-After") != "5" || !strings.Contains(a.Body.String(), "too_many_waiting") {
				t.Errorf("%s %s: %d %v %s", method, path, a.Code, a.Header(), a.Body)
			}
		}
		const short, long = `{"worker_id":"x","wait_seconds":0.001}`, `{"worker_id":"w","wait_seconds":30}`
		begun := flushed{httptest.NewRecorder(), make(chan struct{}, 1)}
		first := waits(begun, "GET", "/api/queue/events", "", one)
		<-begun.first
		refused("POST", claim, short, one)
		r.wants(200, "", "POST", claim, `{"worker_id":"x"}`, one...) // which does not wait
		second := waits(httptest.NewRecorder(), "POST", claim, long, two)
		for end := time.After(10 * time.Second); r.call("GET", "/api/queue/workers/w", "", one...).Code != http.StatusOK; { // where it is entered after it was let in
			select {
			case <-end:
				t.Fatal("the claim has not begun")
			case <-time.After(5 * time.Millisecond):
			}
		}
		refused("POST", claim, short, two)
		refused("GET", "/api/queue/events", "", three) // of all there are enough
		stop()
		<-first
		<-second
		r.wants(200, "", "POST", claim, short, two...)
	})
}

// More claims and streams than the store has connections wait, and nobody else does for them.
func TestWhoWaitsHoldsNoConnection(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		r := newRig(t, st, api.Options{})
		ctx, stop := context.WithCancel(t.Context())
		const each = 50
		var all sync.WaitGroup
		for i := range each {
			begun := flushed{httptest.NewRecorder(), make(chan struct{}, 1)}
			all.Go(func() { r.api.ServeHTTP(begun, httptest.NewRequestWithContext(ctx, "GET", "/api/queue/events", nil)) })
			<-begun.first
			body := fmt.Sprintf(`{"worker_id":"w%d","wait_seconds":30}`, i)
			all.Go(func() {
				r.api.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "POST", claim, strings.NewReader(body)))
			})
		}
		for end := time.After(30 * time.Second); strings.Count(r.call("GET", "/api/queue/workers", "").Body.String(), `"worker_id":"w`) < each; {
			select {
			case <-end:
				t.Fatal("not all wait")
			case <-time.After(5 * time.Millisecond):
			}
		}
		r.wants(201, "queued", "POST", enqueue, `{"type":"a"}`)
		r.wants(200, `"total_tasks":1`, "GET", "/api/queue/stats", "")
		stop()
		all.Wait()
	})
}

// flushed tells when the first piece of an answer is given to the network.
type flushed struct {
	*httptest.ResponseRecorder
	first chan struct{}
}

func (f flushed) Flush() {
	f.ResponseRecorder.Flush()
	select {
	case f.first <- struct{}{}:
	default:
	}
}

// Neither what the server writes nor what it answers has a key in it, but for the answer that shows a new one; the audit says who it was.
func TestKeysAreInNoLogAnswerOrAudit(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		var log bytes.Buffer
		q := queue.New(st, queue.Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		r := &rig{t: t, queue: q, vars: map[string]string{}, ids: map[string]string{}}
		r.api = api.New(q, api.Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		root := r.key(task.RoleAdmin)
		var answers strings.Builder
		say := func(method, path, body string, header ...string) answer {
			a := r.call(method, path, body, header...)
			fmt.Fprintln(&answers, a.Header(), a.Body)
			return a
		}
		say("POST", "/api/queue/types/a/pause", "", bearer(root)...)
		say("GET", "/api/queue/nothing", "", bearer(root)...)
		say("GET", "/api/queue/tasks?limit=x", "", bearer(root)...)
		say("GET", "/api/queue/stats", "", "Authorization", "Bearer "+root.Key+"x")
		say("GET", "/api/queue/stats", "", "Cookie", api.KeyCookie+"="+root.Key)
		made := r.call("POST", keysAt, `{"name":"shop","role":"producer"}`, bearer(root)...).json()
		say("GET", keysAt, "", bearer(root)...)
		say("POST", fmt.Sprintf("%s/%s/revoke", keysAt, made["key_id"]), "", bearer(root)...)
		audits, err := st.ListAudits(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "an API key that is none in force"); n != 1 || !strings.Contains(log.String(), "address=192.0.2.1") {
			t.Errorf("%d lines about a wrong key:\n%s", n, log.String())
		}
		for _, secret := range []string{root.Key[16:], made["key"].(string)[16:]} {
			for what, text := range map[string]string{"log": log.String(), "answers": answers.String(), "audit": fmt.Sprint(audits)} {
				if strings.Contains(text, secret) {
					t.Errorf("a key is in the %s:\n%s", what, text)
				}
			}
		}
		var got []string
		for _, a := range audits {
			got = append(got, a.Actor+": "+a.Action+" "+a.Subject)
		}
		by := "admin by API from 192.0.2.1: "
		shop := fmt.Sprintf("shop %s", made["key_id"])
		if d := cmp.Diff([]string{by + "revoke key " + shop, by + "create key " + shop, by + "pause a"}, got); d != "" {
			t.Errorf("the audit (-want +got):\n%s", d)
		}
	})
}

func TestTheLastUseOfAKeyIsNoted(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		q := queue.New(st, queue.Options{})
		r := &rig{t: t, queue: q, api: api.New(q, api.Options{}), vars: map[string]string{}, ids: map[string]string{}}
		root := r.key(task.RoleAdmin)
		r.wants(200, "", "GET", "/api/queue/stats", "", bearer(root)...)
		if _, err := q.Upkeep(t.Context()); err != nil {
			t.Fatal(err)
		}
		k, err := st.GetAPIKey(t.Context(), root.KeyID)
		if err != nil || k.LastUsedAtUTC == nil || k.LastUsedAtUTC.Before(k.CreatedAtUTC) {
			t.Errorf("%+v, error %v", k, err)
		}
	})
}

// What operators and administrators change is in the audit: each of their routes says so.
func TestEveryActionOfAnOperatorIsAudited(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("routes.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.NewReplacer(`(maintenancePath+"`, `("/maintenance`, "(runningPath", `("/maintenance/running"`, `(keysPath+"`, `("/keys`, "(keysPath", `("/keys"`).Replace(string(source))
	for route, rule := range api.PermissionTable {
		method, path, _ := strings.Cut(route, " ")
		if method == http.MethodGet || rule.May != api.Operates && rule.May != api.Administers {
			continue
		}
		registered := method + `("` + strings.TrimPrefix(path, "/api/queue") + `", s.audited`
		if !strings.Contains(lines, registered) {
			t.Errorf("%s is not registered as what is audited", route)
		}
	}
}
