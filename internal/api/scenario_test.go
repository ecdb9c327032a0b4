package api_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// TestScenarios plays what clients do, step by step. The whole conversation is the golden file, and the same on both engines.
func TestScenarios(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(r *rig){
		"compat": compat, "cancel": cancelling, "list": listing, "life": life, "failure": failure, "batch": batch, "workers": workers, "explain": explaining, "unique": unique, "types": types, "schedules": schedules, "filter": filtering, "operations": operating, "problems": problems, "service": service, "metrics": metrics, "failures": failures, "traces": traces, "logs": logging, "backups": backingUp, "maintenance": maintaining, "runs": runs,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, st store.Store) {
				r := newRig(t, st, api.Options{Version: "1.2.3", Backups: keeper(t, st)})
				play(r)
				r.golden(name)
			})
		})
	}
}

// logging shows the log of a task from its insert to its end, and the lines of all tasks.
func logging(r *rig) {
	r.step("POST", "/api/queue/enqueue", `{"type":"a","max_attempts":2}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1"}`)
	r.step("POST", "/api/queue/tasks/{id}/start", `{"lease_token":"{token}"}`)
	r.step("POST", "/api/queue/tasks/{id}/logs", `{"lease_token":"{token}","level":"debug","message":"half WAY","details":{"percent": 50}}`)
	r.step("POST", "/api/queue/tasks/{id}/fail", `{"lease_token":"{token}","error_message":"refused","retry_after_seconds":0}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1"}`)
	r.step("POST", "/api/queue/tasks/{id}/complete", `{"lease_token":"{token}"}`)
	r.step("GET", "/api/queue/tasks/{id}/logs", "")
	r.step("GET", "/api/queue/tasks/{id}/logs?level=info&limit=2", "")
	r.step("GET", "/api/queue/logs", "")
	r.vars["{cursor}"] = r.step("GET", "/api/queue/logs?limit=2", "").Header().Get("X-Next-Cursor")
	r.step("GET", "/api/queue/logs?limit=2&cursor={cursor}", "")
	r.step("GET", "/api/queue/logs?level=warning&type=a&task={id}&since=2020-01-31T08:00:00Z&until=2999-01-31T08:00:00Z", "")
	r.step("GET", "/api/queue/logs?q=half+way", "")
	r.step("GET", "/api/queue/logs?type=b", "")
	r.step("GET", "/api/queue/logs?level=loud&since=now&limit=0&cursor=1", "", beyond, "1")
	r.step("DELETE", "/api/queue/logs", "", beyond, "1")
	r.step("DELETE", "/api/queue/logs?before=2999-01-31T08:00:00Z", "")
	r.step("DELETE", "/api/queue/logs?before=2020-01-31T08:00:00Z&dry_run=true", "")
	r.step("DELETE", "/api/queue/logs?before=2020-01-31T08:00:00Z", "")
}

// maintaining shows what is the same on both engines.
func maintaining(r *rig) {
	const at = "/api/queue/maintenance"
	r.step("POST", at+"/analyze", "")
	r.step("POST", at+"/analyze", `{"table":"workers"}`)
	r.step("POST", at+"/analyze", `{"table":"nothing"}`)
	r.step("POST", at+"/optimize", `{}`)
	r.step("POST", at+"/retention", "")
	r.step("POST", at+"/reclaim", "")
	r.step("POST", at+"/checkpoint", `{"mode":"half"}`)
	r.step("POST", at+"/vacuum", `{"full":true}`)
	r.step("POST", at+"/vacuum", `{"dry_run":true}`)
	r.step("POST", at+"/vacuum", `{"whole":true}`)
	r.step("DELETE", at+"/running", "")
	r.step("PUT", at+"/stats", "{}")
}

const beyond = "X-Test-Beyond-Document"

func compat(r *rig) {
	r.step("POST", "/api/queue/enqueue", `{"type":"  email "}`)
	r.step("GET", "/api/queue/tasks/{id}", "")
	r.step("POST", "/api/queue/enqueue", `{"type":"email","priority":1,"payload":{"to":"a@b.c","n":[1,2.50]},"compatibility":{"region":"eu"},"max_attempts":10,"run_after_utc":"2999-01-31T08:00:00Z","idempotency_key":"order-1"}`)
	r.step("GET", "/api/queue/tasks/{id}", "")
	r.step("POST", "/api/queue/enqueue", `{"type":"other","idempotency_key":"order-1"}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"email","colour":"blue"}`, beyond, "1")
	r.step("POST", "/api/queue/enqueue", `{"type":"email","run_after_utc":"2999-01-31 08:00:00.5"}`, beyond, "1")
	r.step("GET", "/api/queue/tasks/{id}", "")
	r.step("POST", "/api/queue/enqueue", `{"type":"email"}`, "Idempotency-Key", "header-1")
	r.step("POST", "/api/queue/enqueue", `{"type":"email"}`, "Idempotency-Key", `"header-1"`)
	r.step("POST", "/api/queue/enqueue", `{"type":"email","idempotency_key":"body-1"}`, "Idempotency-Key", "header-1")
	r.step("POST", "/api/queue/enqueue", `{"type":"email","idempotency_key":"body-1"}`, "Idempotency-Key", "header-2")
	r.step("GET", "/api/queue/stats", "")
}

func traces(r *rig) {
	const caller, other = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
	r.step("POST", "/api/queue/enqueue", `{"type":"email","traceparent":"`+caller+`"}`, "traceparent", other)
	r.step("GET", "/api/queue/tasks/{id}", "")
	r.step("POST", "/api/queue/enqueue", `{"type":"email","priority":1}`, "traceparent", other)
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1"}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"email"}`, "traceparent", "00-nonsense")
	r.step("GET", "/api/queue/tasks/{id}", "")
	r.step("POST", "/api/queue/enqueue", `{"type":"email","traceparent":"00-nonsense"}`)
	r.step("POST", "/api/queue/enqueue/batch", `{"tasks":[{"type":"email"},{"type":"email","traceparent":"`+caller+`"}]}`, "traceparent", other)
	r.step("GET", "/api/queue/tasks?limit=2", "")
	r.step("POST", "/api/queue/enqueue/batch", `{"tasks":[{"type":"email"},{"type":"email","traceparent":"`+strings.ToUpper(caller)+`"}]}`)
	r.step("PUT", "/api/queue/schedules/nightly", `{"cron":"@daily","task":{"type":"email","traceparent":"`+caller+`"}}`, beyond, "1")
}

func cancelling(r *rig) {
	r.step("GET", "/api/queue/stats", "")
	r.step("POST", "/api/queue/enqueue", `{"type":"email"}`)
	r.step("POST", "/api/queue/tasks/{id}/cancel", "")
	r.step("POST", "/api/queue/tasks/{id}/cancel", "")
	r.step("GET", "/api/queue/tasks/{id}", "")
	r.step("POST", "/api/queue/enqueue", `{"type":"email"}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1"}`)
	r.step("POST", "/api/queue/tasks/{id}/cancel", `{"reason":"ignored"}`)
	r.step("POST", "/api/queue/tasks/{id}/heartbeat", `{"lease_token":"{token}"}`)
	r.step("POST", "/api/queue/tasks/{id}/complete", `{"lease_token":"{token}"}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"email"}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1"}`)
	r.step("POST", "/api/queue/tasks/{id}/complete", `{"lease_token":"{token}"}`)
	r.step("POST", "/api/queue/tasks/{id}/cancel", "")
	r.step("GET", "/api/queue/stats", "")
}

func listing(r *rig) {
	r.step("GET", "/api/queue/tasks", "")
	r.step("POST", "/api/queue/enqueue/batch", `{"tasks":[{"type":"a"},{"type":"b"},{"type":"a"},{"type":"a b"}]}`)
	r.step("GET", "/api/queue/tasks?limit=2", "")
	cursor := r.step("GET", "/api/queue/tasks?type=a&limit=1&status=", "", beyond, "1").Header().Get("X-Next-Cursor")
	r.vars["{cursor}"] = cursor
	r.step("GET", "/api/queue/tasks?type=a&limit=1&cursor={cursor}", "")
	r.step("GET", "/api/queue/tasks?type=a+b&status=queued", "")
	r.step("GET", "/api/queue/tasks?status=failed", "")
	r.step("GET", "/api/queue/tasks?status=running", "")
	r.step("GET", "/api/queue/tasks?limit=0&cursor=x", "")
	r.step("GET", "/api/queue/tasks?limit=1001", "")
}

func filtering(r *rig) {
	r.step("POST", "/api/queue/enqueue/batch", `{"tasks":[{"type":"a","priority":5,"idempotency_key":"order-1"},{"type":"b"},{"type":"a"},{"type":"a b"}]}`)
	r.step("GET", "/api/queue/tasks?filter=priority%3C%3D10", "")
	r.vars["{cursor}"] = r.step("GET", "/api/queue/tasks?filter=type:a,b&limit=2", "").Header().Get("X-Next-Cursor")
	r.step("GET", "/api/queue/tasks?filter=type:a,b&limit=2&cursor={cursor}", "")
	r.step("GET", "/api/queue/tasks?filter=-type:a&type=b&status=queued", "")
	r.step("GET", "/api/queue/tasks?filter=-type:a&type=a", "")
	r.step("GET", "/api/queue/tasks?filter=status:failed&status=queued", "")
	r.step("GET", "/api/queue/tasks?filter=key:order-1+%22", "")
	r.step("GET", "/api/queue/tasks?filter=status:waiting&limit=0", "")
}

func operating(r *rig) {
	const all = "/api/queue/operations"
	r.step("POST", "/api/queue/enqueue/batch", `{"tasks":[{"type":"a"},{"type":"b","priority":7},{"type":"a"}]}`)
	r.step("POST", all, `{"action":"set_priority","filter":"  status:queued  type:b,a","priority":7,"dry_run":true}`)
	r.step("POST", all, `{"action":"set_priority","filter":"type:a,b status:queued","priority":8,"confirm_token":"{confirm}"}`)
	r.step("POST", all, `{"action":"set_priority","filter":"type:a,b status:queued","priority":7,"confirm_token":"{confirm}"}`)
	r.settle()
	r.step("GET", all+"/{operation}", "")
	r.step("POST", all, `{"action":"set_priority","filter":"type:a,b status:queued","priority":7,"confirm_token":"{confirm}"}`)
	r.step("POST", all+"/{operation}/cancel", "")
	r.step("POST", all, `{"action":"cancel","filter":"type:a","dry_run":true}`)
	r.step("POST", all, `{"action":"cancel","filter":"type:a","confirm_token":"{confirm}"}`)
	r.settle()
	r.step("POST", all, `{"action":"requeue","filter":"outcome:cancelled","dry_run":true}`)
	r.step("POST", all, `{"action":"requeue","filter":"outcome:cancelled","confirm_token":"{confirm}"}`)
	r.settle()
	r.step("GET", "/api/queue/tasks/{id}/logs", "")
	r.step("POST", all, `{"action":"delete","dry_run":true}`)
	r.step("POST", all, `{"action":"delete","dry_run":true,"all":true}`)
	r.step("GET", all+"?limit=2", "")
	r.step("GET", all+"/4200000000000000", "")
	r.step("GET", all+"/99999999999999999999", "")
	r.step("GET", all+"/first", "")
	r.step("POST", all+"/4200000000000000/cancel", "")
	r.step("POST", all, `{"action":"explode","filter":"status:faild","dry_run":true}`)
	r.step("POST", all, `{"action":"cancel","filter":"status:failed","dry_run":true}`)
	r.step("POST", all, `{"action":"set_priority","filter":"type:a","dry_run":true}`)
	r.step("POST", all, `{"action":"cancel","filter":"type:a","priority":3,"dry_run":true}`)
	r.step("POST", all, `{"action":"cancel","filter":"type:a"}`)
	r.step("POST", all, `{"action":"cancel","filter":"type:a","dry_run":true,"confirm_token":"x"}`)
	r.step("POST", all, `{"action":"cancel","filter":"type:a","confirm_token":"x","dryrun":true}`)
}

func enqueuedIn(t *testing.T, a answer) (n int64) {
	t.Helper()
	var points []task.Point
	if err := json.Unmarshal(a.Body.Bytes(), &points); err != nil {
		t.Fatal(err)
	}
	for _, p := range points {
		n += p.Enqueued
	}
	return n
}

func metrics(r *rig) {
	r.step("GET", "/api/queue/metrics", "")
	r.step("POST", "/api/queue/enqueue/batch", `{"tasks":[{"type":"a"},{"type":"b"}]}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1","types":["a"]}`)
	r.step("POST", "/api/queue/tasks/{id}/complete", `{"lease_token":"{token}"}`)
	r.step("GET", "/api/queue/metrics?window=1h", "")
	r.step("GET", "/api/queue/metrics?window=7d&type=b", "")
	r.step("GET", "/api/queue/metrics?type=none", "")
	r.step("GET", "/api/queue/metrics?window=soon", "")
	r.step("GET", "/api/queue/metrics?window=91d", "")
	r.step("GET", "/api/queue/metrics?window=5s", "")
	if a := r.call("GET", "/api/queue/metrics/history?window=1h", ""); a.Code != http.StatusOK || enqueuedIn(r.t, a) != 2 { // in one minute or two: not for the transcript
		r.t.Errorf("history: %d %s", a.Code, a.Body)
	}
	r.step("GET", "/api/queue/metrics/history?type=none", "")
	r.step("GET", "/api/queue/metrics/history?window=0m", "")
}

func failures(r *rig) {
	const all = "/api/queue/failures"
	failOne := func(typ, message, retry string) {
		r.step("POST", "/api/queue/claim", `{"worker_id":"w1","types":["`+typ+`"]}`)
		r.step("POST", "/api/queue/tasks/{id}/fail", `{"lease_token":"{token}","error_message":"`+message+`","retry":`+retry+`}`)
	}
	r.step("GET", all, "")
	r.step("POST", "/api/queue/enqueue/batch", `{"tasks":[{"type":"a"},{"type":"b"},{"type":"a"},{"type":"c"}]}`)
	failOne("a", "no user 17 at 10.0.0.1:80", "false")
	failOne("b", "no user 4711 at 10.0.0.2:81", "false")
	failOne("a", "no user 18 at [::1]:80", "true")
	failOne("c", "out of paper", "true")
	r.step("GET", all, "")
	r.step("GET", all+"?type=b&limit=1", "")
	r.step("GET", all+"?type=d", "")
	r.step("GET", all+"/{failure}", "")
	r.step("GET", "/api/queue/tasks?filter=failure:{failure}", "")
	r.step("POST", all+"/{failure}/requeue", `{"dry_run":true}`)
	r.step("POST", all+"/{failure}/requeue", `{"dry_run":true,"confirm_token":"x"}`)
	r.step("POST", all+"/{failure}/requeue", `{"confirm_token":"x"}`)
	r.step("POST", all+"/{failure}/requeue", `{"confirm_token":"{confirm}"}`)
	r.settle()
	failOne("b", "no user 9 at 10.0.0.2:81", "false")
	r.step("POST", all+"/{failure}/requeue", "")
	r.settle()
	r.step("GET", all+"/{failure}", "")
	r.step("POST", all+"/{failure}/dismiss", "")
	r.step("POST", all+"/{failure}/dismiss", "")
	r.step("GET", all+"/{failure}", "")
	r.step("POST", all+"/{failure}/requeue", "")
	r.step("GET", all+"/first", "")
	r.step("GET", all+"?limit=0", "")
	r.step("GET", "/api/queue/tasks?filter=failure:17", "")
}

func life(r *rig) {
	r.step("POST", "/api/queue/enqueue", `{"type":"resize","payload":{"file":"a.png"},"compatibility":{"gpu":true,"memory":{"min":4}}}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1"}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1","types":["resize"],"capabilities":{"gpu":true,"memory":8},"strategy":"fifo","max":10,"lease_seconds":90.5,"wait_seconds":0}`)
	r.step("POST", "/api/queue/tasks/{id}/start", `{"lease_token":"{token}"}`)
	r.step("POST", "/api/queue/tasks/{id}/heartbeat", `{"lease_token":"{token}","lease_seconds":120,"progress":40,"message":"half <way>"}`)
	r.step("POST", "/api/queue/tasks/{id}/logs", `{"lease_token":"{token}","level":"info","message":"opened","details":{"bytes":12345678901234567890}}`)
	r.step("POST", "/api/queue/tasks/{id}/logs", `{"lease_token":"{token}","level":"warning","message":"slow"}`)
	r.step("GET", "/api/queue/tasks/{id}/attempts", "")
	r.step("POST", "/api/queue/tasks/{id}/complete", `{"lease_token":"{token}","result":{"width":640,"ratio":1.50}}`)
	r.step("POST", "/api/queue/tasks/{id}/complete", `{"lease_token":"{token}"}`)
	r.step("GET", "/api/queue/tasks/{id}", "")
	r.step("GET", "/api/queue/tasks/{id}/attempts", "")
	r.step("GET", "/api/queue/tasks/{id}/logs?level=warning", "")
	r.step("POST", "/api/queue/tasks/{id}/requeue", "")
	r.step("DELETE", "/api/queue/tasks/{id}", "")
	r.step("GET", "/api/queue/tasks/{id}", "")
	r.step("DELETE", "/api/queue/tasks/{id}", "")
	r.step("GET", "/api/queue/stats", "")
}

func failure(r *rig) {
	r.step("POST", "/api/queue/enqueue/batch", `{"tasks":[{"type":"flaky","max_attempts":100,"timeout_seconds":1.5,"deadline_utc":"2999-01-01T00:00:00Z","retry_policy":{"initial_seconds":0,"jitter":0}}]}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1"}`)
	r.step("POST", "/api/queue/tasks/{id}/release", `{"lease_token":"{token}"}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1","wait_seconds":10}`)
	r.step("POST", "/api/queue/tasks/{id}/fail", `{"lease_token":"{token}","error_message":"no route to host","retry_after_seconds":3600}`)
	r.step("POST", "/api/queue/tasks/{id}/requeue", "")
	r.step("DELETE", "/api/queue/tasks/{id}", "")
	r.step("POST", "/api/queue/tasks/{id}/cancel", "")
	r.step("POST", "/api/queue/tasks/{id}/requeue", "")
	r.step("POST", "/api/queue/claim", `{"worker_id":"w2","wait_seconds":10}`)
	r.step("POST", "/api/queue/tasks/{id}/fail", `{"lease_token":"{token}","error_message":"no such address","retry":false}`)
	r.step("GET", "/api/queue/tasks/{id}/attempts", "")
	r.step("POST", "/api/queue/tasks/{id}/fail", `{"lease_token":"{token}","error_message":"again"}`)
}

func types(r *rig) {
	r.step("GET", "/api/queue/types", "")
	r.step("GET", "/api/queue/types/email", "")
	r.step("POST", "/api/queue/types/email/pause", "")
	r.step("POST", "/api/queue/enqueue", `{"type":"email"}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"a/b c"}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1","types":["email"]}`)
	r.step("PUT", "/api/queue/types/email", `{}`)
	r.step("PUT", "/api/queue/types/email", `{"paused":false,"colour":"blue"}`)
	r.step("POST", "/api/queue/types/email/resume", "")
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1","types":["email"]}`)
	r.step("PUT", "/api/queue/types/a%2Fb%20c", `{"paused":true}`)
	r.step("POST", "/api/queue/types/%20/pause", "")
	r.step("PUT", "/api/queue/types/email", `{"max_concurrency":0}`)
	r.step("PUT", "/api/queue/types/email", `{"max_concurrency":1,"max_attempts":3,"retry_policy":{"jitter":0},"timeout_seconds":2.5,"max_payload_bytes":1000,"payload_schema":{"required":["to"]}}`)
	r.step("PUT", "/api/queue/types/slow", `{"rate_limit":{"tasks":0},"breaker":{"failure_share":2}}`)
	r.step("PUT", "/api/queue/types/slow", `{"rate_limit":{"tasks":1,"per_seconds":0,"burst":0},"per_key":{"rate_limit":{"tasks":1,"burst":0}},"breaker":{"failure_share":0,"min_attempts":0,"window_seconds":0,"open_seconds":0}}`)
	r.step("PUT", "/api/queue/types/slow", `{"rate_limit":{"tasks":1,"bursts":5}}`)
	r.step("PUT", "/api/queue/types/slow", `{"breaker":{"min_attempts":"20"}}`)
	r.step("PUT", "/api/queue/types/slow", `{"payload_schema":{"$ref":"#"}}`)
	r.step("PUT", "/api/queue/types/slow", `{"lease_seconds":0.5,"retention":{"completed_seconds":0,"failed_seconds":1e10}}`)
	r.step("PUT", "/api/queue/types/slow", `{"lease_seconds":90,"retention":{"completed_seconds":3600}}`)
	r.step("PUT", "/api/queue/types/slow", `{"per_key":{"max_concurrency":0,"rate_limit":{"tasks":0},"weights":{"a":0," ":1}}}`)
	r.step("PUT", "/api/queue/types/slow", `{"per_key":{"max_concurrency":1,"rate_limit":{"tasks":5},"weights":{"a":2}}}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"slow","concurrency_key":""}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"slow","concurrency_key":"tenant 1"}`)
	r.step("PUT", "/api/queue/types/slow", `{"rate_limit":{"tasks":10},"breaker":{"open_seconds":5}}`)
	r.step("PUT", "/api/queue/types/email", `{"retry_policy":{"jitter":0,"colour":1},"timeout_seconds":0,"max_attempts":101,"payload_schema":{"type":"text"}}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"email"}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"email","payload":{"to":"x"}}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1","types":["email"]}`)
	r.step("GET", "/api/queue/types", "")
}

func batch(r *rig) {
	r.step("POST", "/api/queue/enqueue/batch", `{"tasks":[{"type":"a","idempotency_key":"k1"},{"type":"b","priority":7},{"type":"a","idempotency_key":"k1"}]}`)
	r.step("POST", "/api/queue/enqueue/batch", `{"tasks":[{"type":"a"},{"type":" "},{"type":"a"},{"type":"a","priority":1001,"payload":[]}]}`)
	r.step("POST", "/api/queue/enqueue/batch", `{"tasks":[{"type":"a"},{"type":"a","priority":"5"}]}`)
	r.step("POST", "/api/queue/enqueue/batch", `{"tasks":[{"type":"a"},{"type":"a","prio":5}]}`)
	r.step("POST", "/api/queue/enqueue/batch", `{"tasks":[]}`)
	r.step("POST", "/api/queue/enqueue/batch", `{}`)
	r.step("GET", "/api/queue/stats", "")
}

func unique(r *rig) {
	r.step("POST", "/api/queue/enqueue", `{"type":"email","unique_key":"ada"}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"email","unique_key":"ada"}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"email","unique_key":"ada","idempotency_key":"order-1"}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"sms","unique_key":"ada","idempotency_key":"order-1"}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"sms","unique_key":"ada","idempotency_key":"order-1"}`)
	r.step("POST", "/api/queue/enqueue/batch", `{"tasks":[{"type":"email","unique_key":"ada","unique_scope":"queued"},{"type":"email","unique_key":"bob","unique_scope":"period","unique_period_seconds":60},{"type":"email","unique_key":"bob"},{"type":"email"}]}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1","strategy":"fifo"}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"email","unique_key":"ada","unique_scope":"queued"}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"email","unique_key":"","unique_scope":"ever"}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"email","unique_scope":"live","unique_period_seconds":1}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"email","unique_key":"x","unique_scope":"period"}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"email","unique_key":"x","unique_period_seconds":5}`)
	r.step("PUT", "/api/queue/schedules/nightly", `{"cron":"30 2 * * *","task":{"type":"email","unique_key":"x"}}`)
}

func explaining(r *rig) {
	r.step("POST", "/api/queue/enqueue", `{"type":"email","compatibility":{"gpu":true,"memory":{"min":8}}}`)
	r.step("GET", "/api/queue/tasks/{id}/explain", "")
	r.step("GET", "/api/queue/stranded", "")
	r.step("POST", "/api/queue/workers/w1/heartbeat", `{"capabilities":{"memory":4},"types":["email"]}`)
	r.step("GET", "/api/queue/tasks/{id}/explain", "")
	r.step("GET", "/api/queue/stranded", "")
	r.step("POST", "/api/queue/workers/w1/heartbeat", `{"capabilities":{"gpu":true,"memory":16}}`)
	r.step("POST", "/api/queue/types/email/pause", "")
	r.step("GET", "/api/queue/tasks/{id}/explain", "")
	r.step("POST", "/api/queue/types/email/resume", "")
	r.step("GET", "/api/queue/tasks/{id}/explain", "")
	r.step("GET", "/api/queue/stranded", "")
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1","types":["email"],"capabilities":{"gpu":true,"memory":16}}`)
	r.step("GET", "/api/queue/tasks/{id}/explain", "")
	r.step("POST", "/api/queue/tasks/{id}/complete", `{"lease_token":"{token}"}`)
	r.step("GET", "/api/queue/tasks/{id}/explain", "")
	r.step("GET", "/api/queue/tasks/999/explain", "")
	r.step("GET", "/api/queue/tasks/x/explain", "")
}

func workers(r *rig) {
	r.step("GET", "/api/queue/workers", "")
	r.step("POST", "/api/queue/workers/w%2F1/heartbeat", `{"capabilities":{"gpu":[1,2]},"types":["a","b"]}`)
	r.step("POST", "/api/queue/workers/w%2F1/heartbeat", `{}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"über 2"}`)
	r.step("GET", "/api/queue/workers", "")
	r.step("GET", "/api/queue/workers/w%2F1", "")
	r.step("GET", "/api/queue/workers/%C3%BCber%202", "")
	r.step("POST", "/api/queue/workers/w%2F1/drain", "")
	r.step("POST", "/api/queue/claim", `{"worker_id":"w/1","types":["a","b"],"capabilities":{"gpu":[1,2]}}`)
	r.step("POST", "/api/queue/workers/w%2F1/heartbeat", `{}`)
	r.step("POST", "/api/queue/workers/w%2F1/resume", "")
	r.step("POST", "/api/queue/workers/none/drain", "")
	r.step("DELETE", "/api/queue/workers/w%2F1", "")
	r.step("DELETE", "/api/queue/workers/w%2F1", "")
	r.step("GET", "/api/queue/workers/w%2F1", "")
	r.step("POST", "/api/queue/workers/w3/heartbeat", `{"capabilities":[],"types":[""]}`)
	r.step("POST", "/api/queue/workers/w3/heartbeat", `{"capability":{}}`)
	r.step("POST", "/api/queue/enqueue", `{"type":"held"}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"holder","types":["held"],"lease_seconds":3600}`)
	r.step("GET", "/api/queue/workers/holder", "")
	r.step("GET", "/api/queue/workers?state=stale", "")
	r.step("GET", "/api/queue/workers?state=dead", "")
	r.step("POST", "/api/queue/workers/holder/reclaim", "")
	r.step("POST", "/api/queue/workers/none/reclaim", "")
	r.step("GET", "/api/queue/tasks/{id}/attempts", "")
	r.step("POST", "/api/queue/workers/cleanup", `{"older_than_seconds":60}`)
	r.step("POST", "/api/queue/workers/cleanup", `{"older_than_seconds":-1}`)
	r.step("POST", "/api/queue/workers/cleanup", `{"older":1}`)
}

func problems(r *rig) {
	r.step("GET", "/api/queue/tasks/4200000000000000", "")
	r.step("POST", "/api/queue/tasks/4200000000000000/cancel", "")
	r.step("POST", "/api/queue/tasks/4200000000000000/complete", `{"lease_token":"1.0123456789abcdef0123456789abcdef"}`)
	r.step("POST", "/api/queue/tasks/4200000000000000/complete", `{"lease_token":""}`)
	r.step("GET", "/api/queue/tasks/4200000000000000/logs", "")
	r.step("GET", "/api/queue/tasks/4200000000000000/attempts", "")
	r.step("POST", "/api/queue/enqueue", `{"type":"","priority":0,"max_attempts":11}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1","strategy":"random"}`)
	r.step("GET", "/api/queue/nowhere", "")
	r.step("PUT", "/api/queue/tasks/1", "{}")
	r.step("POST", "/api/queue/enqueue", "type=email", "Content-Type", "application/x-www-form-urlencoded")
	r.step("POST", "/api/queue/enqueue", `{"type":"email"}`, "Sec-Fetch-Site", "cross-site")
}

func service(r *rig) {
	r.step("GET", "/livez", "")
	r.step("GET", "/readyz", "")
}

func schedules(r *rig) {
	const at = "/api/queue/schedules"
	r.step("GET", at, "")
	r.step("PUT", at+"/new%2Fyear", `{"cron":"0 0 1 1 *","task":{"type":"email","payload":{"to":"a@b.c"}}}`)
	r.step("PUT", at+"/new%2Fyear", `{"cron":"0 0 1 1 *","task":{"type":"email","payload":{"to":"a@b.c"}}}`)
	r.step("PUT", at+"/new%2Fyear", `{"cron":"@yearly","timezone":"Asia/Kathmandu","task":{"type":"email","priority":5,"max_attempts":3,"timeout_seconds":1.5,"retry_policy":{"multiplier":3},"compatibility":{"region":"eu"}},"misfire":"all","max_misfires":3,"overlap":"skip","jitter_seconds":90,"paused":true}`)
	r.step("PUT", at+"/a", `{"cron":"0 0 0 1 1 ?","task":{"type":"other"}}`)
	r.step("GET", at, "")
	r.step("GET", at+"/a", "")
	r.step("GET", at+"/a/preview?n=2", "")
	r.step("POST", at+"/a/pause", "")
	r.step("POST", at+"/a/pause", "")
	r.step("POST", at+"/a/resume", "")
	r.step("DELETE", at+"/a", "")
	for _, call := range []string{"GET /a", "DELETE /a", "POST /a/pause", "POST /a/resume", "GET /a/preview"} {
		method, path, _ := strings.Cut(call, " ")
		r.step(method, at+path, "")
	}
	r.step("GET", at+"/new%2Fyear/preview?n=1001", "")
	r.step("PUT", at+"/b", `{"cron":"0 0 30 2 *","timezone":"Mars","task":{"type":"","run_after_utc":"2026-01-31T08:00:00Z"},"misfire":"later","overlap":"queue","jitter_seconds":-1,"max_misfires":0}`)
	r.step("PUT", at+"/b", `{"cron":"* * * * *","task":{"type":"a"},"colour":"blue"}`)
	r.step("PUT", at+"/b", `{"cron":"* * * * *","task":{"type":"a","colour":"blue"}}`)
	r.step("PUT", at+"/b", `{"cron":"* * * * *","task":{"type":"a","priority":"high"}}`)
	r.step("PUT", at+"/b", `{}`)
}

// runs shows tasks as runs of modules, from their start to each of their ends.
func runs(r *rig) {
	r.step("GET", "/api/runs", "")
	r.step("POST", "/api/modules/youtube/run", `{"parameters":{"max_results": 50, "rate": 1.50},"run_id":"run ✓/1","save_config":true}`, beyond, "1")
	const one = "/api/runs/run%20%E2%9C%93%2F1"
	r.step("GET", one, "")
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1"}`)
	r.step("POST", "/api/queue/tasks/{id}/heartbeat", `{"lease_token":"{token}","progress":30,"message":"15/50 videos"}`)
	r.step("POST", "/api/queue/tasks/{id}/logs", `{"lease_token":"{token}","level":"warning","message":"one is private"}`)
	r.step("GET", one, "")
	r.step("GET", "/api/runs?status=running&module=youtube", "")
	r.step("POST", "/api/queue/tasks/{id}/complete", `{"lease_token":"{token}","result":{"items_processed":49,"items_total":50}}`)
	r.step("GET", one, "")
	r.step("GET", one+"/logs", "")
	r.step("GET", one+"/logs?tail=2", "")
	r.step("GET", one+"/logs?since=2999-01-31T08:00:00Z", "")
	r.step("POST", one+"/cancel", "")
	r.step("POST", "/api/modules/youtube/run", `{"parameters":{},"run_id":"run ✓/1"}`)
	r.step("POST", "/api/modules/tiktok/run", "", "Idempotency-Key", "two")
	r.step("POST", "/api/runs/two/cancel", "")
	r.step("DELETE", "/api/runs/two", "")
	r.step("POST", "/api/modules/tiktok/run", `{"run_id":"three"}`)
	r.step("POST", "/api/queue/claim", `{"worker_id":"w1"}`)
	r.step("POST", "/api/queue/tasks/{id}/fail", `{"lease_token":"{token}","error_message":"no","retry":false}`)
	r.step("GET", "/api/runs/three", "")
	id := strconv.Itoa(int(r.step("POST", "/api/queue/enqueue", `{"type":"email"}`).json()["task_id"].(float64)))
	r.vars["{number}"] = id
	r.step("GET", "/api/runs/task-{number}", "")
	r.step("GET", "/api/runs?limit=2", "")
	r.step("GET", "/api/runs?limit=2&offset=3", "")
	r.step("GET", "/api/runs?module_id=tiktok&status=failed", "")
	r.step("GET", "/api/runs?status=cancelled", "")
	r.step("GET", "/api/runs?module=email", "")
	r.step("GET", "/api/runs/none", "")
	r.step("GET", "/api/runs/none/logs", "")
	r.step("GET", "/api/runs/none/logs/stream", "")
	r.step("GET", "/api/runs?status=processing&limit=101&offset=10001&module=a&module_id=b", "", beyond, "1")
	r.step("GET", one+"/logs?tail=0&since=now", "", beyond, "1")
	r.step("POST", "/api/modules/youtube/run", `{"parameters":[],"run_id":""}`, beyond, "1")
}
