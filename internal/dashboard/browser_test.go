package dashboard_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// populate fills the queue with something for each page.
func (r rig) populate() {
	r.Helper()
	ctx := r.Context()
	for i := range 3 {
		r.enqueue(task.Spec{Type: "mail", Payload: task.JSON(fmt.Sprintf(`{"to":"a%d@example.com","n":12345678901234567890}`, i))})
		l := r.claim("w1", "mail")
		_, err := r.AppendLog(ctx, l.ID, l.LeaseToken, task.Log{Level: task.Info, Message: "sent"})
		r.ok(err)
		_, err = r.Complete(ctx, l.ID, l.LeaseToken, new(task.JSON(`{"ok":true}`)))
		r.ok(err)
	}
	r.enqueue(task.Spec{Type: "report", MaxAttempts: new(1)})
	l := r.claim("w2", "report")
	_, err := r.Fail(ctx, l.ID, l.LeaseToken, task.Failure{Message: "connection to 10.0.0.7:5432 timed out"})
	r.ok(err)
	r.enqueue(task.Spec{Type: "video"})
	l = r.claim("w3", "video")
	_, err = r.Heartbeat(ctx, l.ID, l.LeaseToken, task.Beat{Progress: new(40), Lease: r.lease, Message: new("encoding")})
	r.ok(err)
	r.enqueue(task.Spec{Type: "mail", RunAfterUTC: &task.Time{Time: r.Now().Add(time.Hour)}})
	_, err = r.PauseType(ctx, "report")
	r.ok(err)
	r.enqueue(task.Spec{Type: "report"})
	_, _, err = r.PutSchedule(ctx, "nightly", task.ScheduleSpec{Cron: "0 3 * * *", Timezone: "Europe/Berlin", Task: task.Spec{Type: "report", Payload: `{"of":"day"}`}})
	r.ok(err)
}

// every is each page of a populated queue with what its heading says.
var every = []struct{ name, path, heading string }{
	{"overview", "/", "Overview"}, {"overview-24h", "/?window=24h", "Overview"}, {"overview-7d", "/?window=7d", "Overview"},
	{"tasks", "/tasks", "Tasks"}, {"tasks-filter", "/tasks?filter=status%3Afailed", "Tasks"}, {"tasks-wrong", "/tasks?filter=statuss%3Afailed", "Tasks"},
	{"task-completed", "/tasks/1", "Task 1"}, {"task-failed", "/tasks/4", "Task 4"}, {"task-running", "/tasks/5", "Task 5"}, {"task-scheduled", "/tasks/6", "Task 6"}, {"task-new", "/tasks/new?from=1", "Task 1, edited"},
	{"task-cancel", "/tasks/6/cancel", "Cancel task 6?"},
	{"types", "/types", "Types"}, {"type", "/types/mail", "Type mail"}, {"workers", "/workers", "Workers"}, {"worker", "/workers/w3", "Worker w3"},
	{"schedules", "/schedules", "Schedules"}, {"schedule", "/schedules/nightly", "Schedule nightly"}, {"operations", "/operations", "Operations"},
	{"failures", "/failures", "Failures"}, {"maintenance", "/maintenance", "Maintenance"}, {"maintenance-vacuum", "/maintenance/vacuum", "Vacuum the database?"}, {"not-found", "/tasks/999", "Not found"}, {"no-such-page", "/nothing", "Not found"},
}

// unfit finds what keeps people from a page: controls without a name, pictures without a text, headings that skip, and text whose contrast with its ground is below the 4.5 to 1 of WCAG 2.2.
const unfit = `(() => {
  const out = [];
  if (document.documentElement.lang !== "en") out.push("no language");
  if (document.querySelectorAll("h1").length !== 1) out.push("h1: " + document.querySelectorAll("h1").length);
  if (!document.title) out.push("no title");
  for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
    if (e.labels.length === 0 && !e.getAttribute("aria-label")) out.push("no label: " + e.name);
  for (const e of document.querySelectorAll("a, button, summary"))
    if (!e.innerText.trim() && !e.getAttribute("aria-label") && !e.hidden) out.push("no name: " + e.outerHTML);
  for (const e of document.querySelectorAll("img")) if (!e.hasAttribute("alt")) out.push("no alt: " + e.src);
  for (const e of document.querySelectorAll("svg")) if (!e.getAttribute("aria-label") && e.getAttribute("aria-hidden") !== "true") out.push("no name: svg");
  for (const e of document.querySelectorAll("progress")) if (!e.getAttribute("aria-label")) out.push("no name: progress");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of ids) if (ids.filter((i) => i === id).length > 1) out.push("twice: " + id);
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (c) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); const d = canvas.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255]; };
  const light = ([r, g, b]) => { const f = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] > 0.99) return c; } return [255, 255, 255, 1]; };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || e.closest("script, title, option, progress, .skip, [hidden]")) continue;
    const style = getComputedStyle(e), fore = rgba(e.closest("svg") ? style.fill : style.color), a = light(fore), b = light(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) out.push("contrast " + ratio.toFixed(2) + ": " + walk.currentNode.data.trim().slice(0, 40));
  }
  return out;
})()`

// Every page is shown by a browser without anything that its policy refuses, can be used with a keyboard and a screen reader, and can be read, light and dark.
func TestPagesInABrowser(t *testing.T) {
	t.Parallel()
	r := running(t, testdb.SQLite(t))
	r.populate()
	b := browse(t, r.url)
	for _, p := range every {
		b.open(p.path)
		if got := eval[string](b, `document.querySelector("h1").innerText`); !strings.Contains(got, p.heading) {
			t.Errorf("%s: the heading is %q, want %q", p.path, got, p.heading)
		}
		for _, scheme := range []string{"light", "dark"} {
			b.scheme(scheme)
			for _, what := range eval[[]string](b, unfit) {
				t.Errorf("%s, %s: %s", p.path, scheme, what)
			}
			b.picture(p.name + "-" + scheme)
		}
		if wide := eval[float64](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
			t.Errorf("%s is %g pixels too wide", p.path, wide)
		}
		b.clean()
	}
}

// unfit must find what it is there for.
func TestUnfitPagesAreFound(t *testing.T) {
	t.Parallel()
	r := running(t, testdb.SQLite(t))
	b := browse(t, r.url)
	b.open("/tasks/new")
	eval[bool](b, `(() => {
	  const main = document.querySelector("main");
	  main.insertAdjacentHTML("beforeend", '<h1>again</h1><input name="nameless"><a href="/"></a><img src="/assets/icon.svg"><p id="pale">pale</p><p id="pale">twice</p>');
	  document.getElementById("pale").style.setProperty("color", "#aaa");
	  return true;
	})()`)
	found := strings.Join(eval[[]string](b, unfit), "\n")
	for _, want := range []string{"h1: 2", "no label: nameless", "no name: <a", "no alt:", "contrast 2", "twice: pale"} {
		if !strings.Contains(found, want) {
			t.Errorf("%q was not found in:\n%s", want, found)
		}
	}
}

// What operators do by clicking is done, shown, and kept in the audit.
func TestOperatorsClick(t *testing.T) {
	t.Parallel()
	r := running(t, testdb.SQLite(t))
	r.populate()
	b := browse(t, r.url)
	said := func(words string) {
		t.Helper()
		if got := eval[string](b, `document.querySelector(".done")?.innerText || ""`); !strings.Contains(got, words) {
			t.Errorf("the page says %q, want %q", got, words)
		}
		b.clean()
	}
	status := func(id int64, want task.Status) {
		t.Helper()
		got, err := r.Reader().GetTask(t.Context(), id)
		if r.ok(err); got.Status != want {
			t.Errorf("task %d is %s, want %s", id, got.Status, want)
		}
	}

	b.open("/")
	b.press("The type", "Type report")
	b.press("Resume…", "Resume type report?")
	b.press("Leave it", "Type report")
	if got, err := r.Type(t.Context(), "report"); err != nil || !got.Paused {
		t.Errorf("asking has changed the type: %+v, %v", got, err)
	}
	b.press("Resume…", "Resume type report?")
	b.press("Resume", "Type report")
	said("Type report was resumed")
	if got, err := r.Type(t.Context(), "report"); err != nil || got.Paused {
		t.Errorf("the type is %+v, %v", got, err)
	}
	b.do(chromedp.SetValue("#max_concurrency", "three"))
	b.press("Set the limits", "Type report")
	if got := eval[string](b, `document.querySelector(".wrong").innerText`); !strings.Contains(got, "must be a whole number") || eval[string](b, `document.querySelector("#max_concurrency").value`) != "three" {
		t.Errorf("a word for a number: %q", got)
	}
	b.do(chromedp.SetValue("#max_concurrency", "3"), chromedp.SetValue("#rate_count", "10"), chromedp.SetValue("#rate_seconds", "60"))
	b.press("Set the limits", "Type report")
	said("3 tasks at once, 10 tasks in 60 seconds")
	if got, err := r.Type(t.Context(), "report"); err != nil || *got.MaxConcurrency != 3 || got.RateLimit.Tasks != 10 || got.RateLimit.PerSeconds != 60 {
		t.Errorf("the type is %+v, %v", got, err)
	}

	b.press("Failures", "Failures")
	if text := b.shown(); !strings.Contains(text, "connection to <address> timed out") || !strings.Contains(text, "connection to 10.0.0.7:5432 timed out") {
		t.Errorf("the reason is not shown:\n%s", text)
	}
	b.press("Requeue…", "Requeue these failures?")
	b.press("Leave it", "Failures")
	b.press("Dismiss…", "Dismiss these failures?")
	b.press("Dismiss", "Failures")
	said("they come back when they happen again")
	b.until("nothing is left", `document.querySelector("#l-failures").innerText.includes("Nothing has failed")`)

	b.press("Tasks", "Tasks")
	b.do(chromedp.SetValue("#filter", "status:failed"))
	b.press("Show", "Tasks")
	b.press("4", "Task 4")
	b.press("Requeue…", "Requeue task 4?")
	b.press("Requeue", "Task 4")
	said("Task 4 was queued again")
	status(4, task.Queued)
	b.press("Cancel…", "Cancel task 4?")
	b.press("Cancel", "Task 4")
	said("Task 4 was cancelled")
	status(4, task.Failed)
	b.press("Edit as new…", "Task 4, edited")
	b.do(chromedp.SetValue("#payload", `{"again": 12345678901234567890}`), chromedp.SetValue("#priority", "0"))
	b.press("Enqueue", "Task 4, edited")
	if got := eval[string](b, `document.querySelector(".wrong").innerText`); !strings.Contains(got, "must lie between 1 and 1000") {
		t.Errorf("priority 0: %q", got)
	}
	b.do(chromedp.SetValue("#priority", "7"))
	b.press("Enqueue", "Task 8")
	said("Task 8 was enqueued, as a copy of task 4")
	if got, err := r.Reader().GetTask(t.Context(), 8); err != nil || got.Type != "report" || got.Priority != 7 || got.Payload != `{"again": 12345678901234567890}` || got.MaxAttempts != 1 {
		t.Errorf("the copy is %+v, %v", got, err)
	}
	b.open("/tasks/4")
	b.press("Delete…", "Delete task 4?")
	b.press("Delete", "Tasks")
	said("Task 4 was deleted")

	b.do(chromedp.SetValue("#filter", "type:mail status:queued"))
	b.press("Show", "Tasks")
	b.do(chromedp.SetValue("#action", "cancel"))
	b.press("Dry run…", "Cancel tasks: dry run")
	status(6, task.Queued)
	b.press("Cancel 1", "Operation")
	said("cancel what matches status:queued type:mail")
	b.until("the operation is done", `document.querySelector("h1 .badge").innerText === "completed"`) // the page keeps itself up to date
	status(6, task.Failed)

	b.open("/workers/w3")
	b.press("Drain…", "Drain worker w3?")
	b.press("Drain", "Worker w3")
	said("was told to take nothing new")
	b.press("Take its tasks back…", "Take back the tasks of worker w3?")
	b.press("Take back the tasks of", "Worker w3")
	said("1 tasks of worker w3 were taken back")
	status(5, task.Queued)
	b.press("Remove…", "Remove worker w3?")
	b.press("Remove", "Workers")
	said("Worker w3 was taken off the registry")

	b.open("/schedules/nightly")
	b.press("Pause…", "Pause schedule nightly?")
	b.press("Pause", "Schedule nightly")
	said("Schedule nightly was paused")
	b.press("Delete…", "Delete schedule nightly?")
	b.press("Delete", "Schedules")
	said("Schedule nightly was deleted")

	b.press("Maintenance", "Maintenance")
	b.press("Checkpoint…", "Make a checkpoint?")
	b.press("Leave it", "Maintenance")
	b.press("Checkpoint…", "Make a checkpoint?")
	b.press("Make it", "Maintenance")
	said("The write-ahead log was copied into the database and emptied")
	b.press("Optimize…", "Optimize the database?")
	b.press("Optimize", "Maintenance")
	said("tables were analyzed that had changed much")
	b.press("Vacuum…", "Vacuum the database?")
	b.press("Vacuum", "Maintenance")
	said("pages that held nothing were given back to the disk")
	audits, err := r.Reader().ListAudits(t.Context(), 0, 100)
	if r.ok(err); len(audits) != 16 {
		t.Errorf("%d rows in the audit: %+v", len(audits), audits)
	}
	text := b.shown()
	for _, a := range audits {
		if !strings.Contains(text, a.Message) || !strings.HasPrefix(a.Actor, "dashboard from 127.0.0.1") {
			t.Errorf("the audit does not show %+v", a)
		}
	}
	b.picture("audit")
}

// A page keeps itself up to date, leaves alone what somebody uses, and can be stopped.
func TestPagesAreLive(t *testing.T) {
	t.Parallel()
	r := running(t, testdb.SQLite(t))
	r.enqueue(task.Spec{Type: "mail"})
	b := browse(t, r.url)
	b.open("/tasks/1")
	b.until("it is live", `document.getElementById("live").innerText === "live" && !document.getElementById("live").hidden`)
	l := r.claim("w1")
	b.until("the task runs", `document.querySelector("h1 .badge").innerText === "processing"`)
	_, err := r.AppendLog(t.Context(), l.ID, l.LeaseToken, task.Log{Level: task.Warning, Message: "nearly there"})
	r.ok(err)
	b.until("the line of its log is there", `document.querySelector("#l-logs").innerText.includes("nearly there")`)
	b.do(chromedp.Click("#live"))
	if got := eval[string](b, `document.getElementById("live").innerText`); got != "paused" {
		t.Errorf("stopped, it says %q", got)
	}
	_, err = r.Complete(t.Context(), l.ID, l.LeaseToken, nil)
	r.ok(err)
	b.do(chromedp.Click("#live"))
	b.until("the task is completed", `document.querySelector("h1 .badge").innerText === "completed"`)
	b.clean()

	b.open("/")
	b.until("the overview counts it", `document.querySelector("#l-figures").innerText.includes("1\ncompleted")`)
	r.enqueue(task.Spec{Type: "mail"})
	b.until("the overview counts the next", `document.querySelector("#l-figures").innerText.includes("1\nready")`)
	b.clean()
}

// A page that nobody sees holds no stream and is not read again; one that is seen again catches up.
func TestAHiddenPageHoldsNoStream(t *testing.T) {
	t.Parallel()
	r := running(t, testdb.SQLite(t))
	r.enqueue(task.Spec{Type: "mail"})
	b := browse(t, r.url)
	b.open("/tasks/1")
	streams := func(want int64) {
		t.Helper()
		await(t, fmt.Sprintf("%d streams are open", want), func() bool { return r.streams.Load() == want })
	}
	streams(1)
	hide := func(hidden bool) {
		eval[bool](b, fmt.Sprintf(`(Object.defineProperty(document, "hidden", {configurable: true, get: () => %t}), document.dispatchEvent(new Event("visibilitychange")))`, hidden))
	}
	hide(true)
	streams(0)
	r.claim("w1")
	if got := eval[string](b, `document.querySelector("h1 .badge").innerText`); got != "queued" {
		t.Errorf("hidden, the page says %q", got)
	}
	hide(false)
	streams(1)
	b.until("the page has caught up", `document.querySelector("h1 .badge").innerText === "processing"`)
	b.clean()
}

// What has been scrolled stays where it was when the page is brought up to date.
func TestWhatWasScrolledStays(t *testing.T) {
	t.Parallel()
	r := running(t, testdb.SQLite(t))
	r.enqueue(task.Spec{Type: "mail"})
	l := r.claim("w1")
	for i := range 150 {
		_, err := r.AppendLog(t.Context(), l.ID, l.LeaseToken, task.Log{Level: task.Info, Message: fmt.Sprintf("line %d", i)})
		r.ok(err)
	}
	b := browse(t, r.url)
	b.open("/tasks/1")
	b.until("it is live", `document.getElementById("live").innerText === "live"`)
	const log = `document.querySelector("#l-logs .log, #l-logs.log")`
	if got := eval[float64](b, `(`+log+`.scrollTop = 300, `+log+`.scrollTop)`); got != 300 {
		t.Fatalf("the log is scrolled to %g", got)
	}
	_, err := r.AppendLog(t.Context(), l.ID, l.LeaseToken, task.Log{Level: task.Info, Message: "the last line"})
	r.ok(err)
	b.until("the new line is there", log+`.innerText.includes("the last line")`)
	if got := eval[float64](b, log+`.scrollTop`); got != 300 {
		t.Errorf("after that the log is scrolled to %g, want 300", got)
	}
	b.clean()
}

// The keys lead where they say.
func TestKeys(t *testing.T) {
	t.Parallel()
	r := running(t, testdb.SQLite(t))
	for range 3 {
		r.enqueue(task.Spec{Type: "mail"})
	}
	b := browse(t, r.url)
	b.open("/")
	b.do(chromedp.KeyEvent("\t"))
	if got := eval[string](b, `document.activeElement.innerText`); got != "Skip to content" {
		t.Errorf("the first stop is %q", got)
	}
	if eval[string](b, `getComputedStyle(document.activeElement).outlineStyle`) == "none" {
		t.Error("where the keyboard stands cannot be seen")
	}
	b.do(chromedp.KeyEvent("g"), chromedp.KeyEvent("t"))
	b.until("the tasks are shown", `location.pathname === "/tasks" && document.readyState === "complete"`)
	b.do(chromedp.KeyEvent("j"), chromedp.KeyEvent("j"))
	if got := eval[string](b, `document.activeElement.innerText`); got != "2" {
		t.Errorf("two rows down is %q", got)
	}
	b.do(chromedp.KeyEvent("k"), chromedp.KeyEvent("/"))
	if got := eval[string](b, `document.activeElement.id`); got != "filter" {
		t.Errorf("/ leads to %q", got)
	}
	eval[string](b, `document.activeElement.value = ""`)
	b.do(chromedp.SendKeys("#filter", "type:mail g t\r"))
	b.until("the filter is used", `location.search.startsWith("?filter=type%3Amail")`)
	b.do(chromedp.Click("#keys"), chromedp.KeyEvent("/"))
	if got := eval[string](b, `document.activeElement.id + " " + document.getElementById("keys").innerText`); got != "keys off" {
		t.Errorf("turned off, / leads to %q", got)
	}
	b.open("/types") // the browser remembers it
	b.do(chromedp.KeyEvent("g"), chromedp.KeyEvent("t"), chromedp.Click("#keys"))
	if got := eval[string](b, `location.pathname + " " + document.getElementById("keys").innerText`); got != "/types on" {
		t.Errorf("turned off and on, the page is %q", got)
	}
	b.clean()
}

// hostile are texts that have broken pages of others: markup, scripts, templates, directions, controls, and what is long.
var hostile = []string{
	`<script>window.hacked=1</script>`, `"><script>window.hacked=1</script>`, `'><img src=x onerror=window.hacked=1>`, `<img src=x onerror="window.hacked=1">`, `<svg onload=window.hacked=1>`,
	`</title><script>window.hacked=1</script>`, `</textarea><script>window.hacked=1</script>`, `</pre><b>bold</b>`, `</style><script>window.hacked=1</script>`, `<!-- comment`,
	`]]>`, `{{.}}`, `{{template "body"}}`, `${window.hacked=1}`, `javascript:window.hacked=1`, `data:text/html,<script>window.hacked=1</script>`, `" onmouseover="window.hacked=1`, `' autofocus onfocus='window.hacked=1`,
	`&lt;b&gt;`, `&amp;amp;`, `&#60;script&#62;`, `%3Cscript%3E`, `\u003cscript\u003e`, `../../etc/passwd`, `a/b?c=d#e`, `..%2f..%2f`, `; DROP TABLE task_queue; --`, `' OR '1'='1`, `$(touch /tmp/x)`, "`id`",
	"\u202etxt.exe", "a\u200bb", "e\u0301\u0327", "👩‍👩‍👧‍👦 🏳️‍🌈", "日本語テキスト", "مرحبا بالعالم", "١٢٣", "ﷺ", strings.Repeat("long", 45), `<iframe src="https://example.com"></iframe>`,
}

// quoted is a text as JSON.
func quoted(t *testing.T, text string) task.JSON {
	t.Helper()
	b, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return task.JSON(b)
}

// Whatever a text holds, a page shows it as the text that it is.
func TestHostileTextsAreShownAsTexts(t *testing.T) {
	t.Parallel()
	if len(hostile) != 40 {
		t.Fatalf("%d texts, want 40", len(hostile))
	}
	r := running(t, testdb.SQLite(t))
	ctx := t.Context()
	var ids []int64
	for _, text := range hostile {
		j := quoted(t, text)
		s := task.Spec{Type: text, Payload: `{"text":` + j + `}`, Compatibility: `{"needs":` + j + `}`, IdempotencyKey: &text, ConcurrencyKey: &text, MaxAttempts: new(1)}
		id := r.enqueue(s).ID
		capabilities, err := task.ParseCapabilities(`{"needs":` + j + `}`)
		r.ok(err)
		ls, err := r.Claim(ctx, task.Claim{WorkerID: text, Types: []string{text}, Capabilities: capabilities})
		r.ok(err)
		_, err = r.Heartbeat(ctx, id, ls[0].LeaseToken, task.Beat{Progress: new(10), Message: &text})
		r.ok(err)
		_, err = r.AppendLog(ctx, id, ls[0].LeaseToken, task.Log{Level: task.Info, Message: text, Details: new(j)})
		r.ok(err)
		_, err = r.Fail(ctx, id, ls[0].LeaseToken, task.Failure{Message: text})
		r.ok(err)
		_, _, err = r.PutSchedule(ctx, text, task.ScheduleSpec{Cron: "0 3 * * *", Task: task.Spec{Type: text}})
		r.ok(err)
		_, err = r.Audit(ctx, task.Audit{Actor: text, Action: "x", Subject: text, Message: text})
		r.ok(err)
		ids = append(ids, id)
	}
	b := browse(t, r.url)
	shows := func(path string, texts []string, selectors ...string) {
		t.Helper()
		b.open(path)
		b.clean()
		if eval[bool](b, `!!window.hacked`) {
			t.Errorf("%s: a text ran", path)
		}
		for _, selector := range selectors {
			got := eval[string](b, fmt.Sprintf(`[...document.querySelectorAll(%q)].map((e) => e.value || e.textContent).join("\n")`, selector))
			for _, text := range texts {
				if !strings.Contains(got, text) {
					t.Errorf("%s does not show %q in %s", path, text, selector)
				}
			}
		}
	}
	for i, text := range hostile {
		one := []string{text}
		path := fmt.Sprintf("/tasks/%d", ids[i])
		shows(path, one, "#l-head", "pre.error", "#l-logs", "#l-attempts", "dl.facts")
		shows(path+"/delete", one, "main p")
		shows(fmt.Sprintf("/tasks/new?from=%d", ids[i]), one, "#type", "#concurrency_key")
		shows("/tasks?filter="+url.QueryEscape(task.Match{Types: one}.String()), one, "tbody")
		shows("/types/"+url.PathEscape(text), one, "h1")
		shows("/workers/"+url.PathEscape(text), one, "h1")
		shows("/schedules/"+url.PathEscape(text), one, "h1")
	}
	shows("/", hostile, "main")
	shows("/tasks", hostile, "tbody")
	shows("/types", hostile, "tbody")
	shows("/workers", hostile, "tbody")
	shows("/schedules", hostile, "tbody")
	shows("/failures", nil) // which has many of them as one
	shows("/maintenance", hostile, "tbody")
}
