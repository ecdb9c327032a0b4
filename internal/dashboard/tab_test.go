package dashboard_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// patience bounds the wait for what a page is to show, on a busy machine.
const patience = 60 * time.Second

// watch runs before any script of a page, and keeps what must not happen: what the policy has refused, errors, and questions that a script asks.
const watch = `window.seen = [];
document.addEventListener("securitypolicyviolation", (e) => seen.push("policy: " + e.violatedDirective + " " + e.blockedURI + " " + e.sample));
window.addEventListener("error", (e) => seen.push("error: " + e.message));
window.addEventListener("unhandledrejection", (e) => seen.push("rejection: " + e.reason));
for (const name of ["alert", "confirm", "prompt"]) window[name] = (text) => { seen.push(name + ": " + text); };`

// tab is a page of a real browser. Nothing that watch sees may be seen on any page.
type tab struct {
	*testing.T
	ctx context.Context
	url string
}

// browse starts a browser that shows pages of r.
func browse(t *testing.T, url string) tab {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" && os.Getenv("CI") == "true" {
		t.Fatal("no Chromium: install the package chromium")
	} else if path == "" {
		t.Skip("no Chromium: install the package chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1300, 900),
		chromedp.WSURLReadTimeout(patience), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-dev-shm-usage", true))
	process, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, closeTab := chromedp.NewContext(process)
	t.Cleanup(closeTab)
	b := tab{t, ctx, url}
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watch}); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	return b
}

// do carries steps out on the page.
func (b tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.Fatalf("%v\n%s", err, b.shown())
	}
}

// open shows a page of the server.
func (b tab) open(path string) {
	b.Helper()
	b.do(chromedp.Navigate(b.url+path), chromedp.WaitReady("main"))
}

// press clicks the link or button of these words and waits for the page that it leads to, whose heading holds others.
func (b tab) press(words, heading string) {
	b.Helper()
	b.until(words+" is there", fmt.Sprintf(`[...document.querySelectorAll("main a, main button, header a")].some((e) => e.innerText.trim() === %q)`, words))
	eval[bool](b, fmt.Sprintf(`(window.old = true, [...document.querySelectorAll("main a, main button, header a")].find((e) => e.innerText.trim() === %q).click(), true)`, words))
	b.until(fmt.Sprintf("the page is %q", heading), fmt.Sprintf(`!window.old && document.readyState === "complete" && document.querySelector("h1")?.innerText.includes(%q)`, heading))
}

// until waits for a condition of the page. While one page goes and the next comes there is none to ask.
func (b tab) until(what, condition string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	var err error
	for {
		var holds bool
		if holds, err = chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+condition+")")); holds {
			return
		}
		select {
		case <-ctx.Done():
			b.Fatalf("waited until %s: %v\n%s", what, err, b.shown())
		case <-again.C:
		}
	}
}

// eval returns the value of an expression on the page.
func eval[V any](b tab, expression string) V {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[V](expression))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return v
}

// shown is the text of the page.
func (b tab) shown() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

// clean reports what must not have happened on the page.
func (b tab) clean() {
	b.Helper()
	if seen := eval[[]string](b, `window.seen`); len(seen) > 0 {
		b.Errorf("%s: %s", eval[string](b, `location.pathname`), strings.Join(seen, "\n"))
	}
}

// scheme has the page light or dark.
func (b tab) scheme(name string) {
	b.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}}); err != nil {
		b.Fatal(err)
	}
}

// picture keeps a picture of the page in the directory of SCREENSHOTS, where that is set.
func (b tab) picture(name string) {
	b.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
	if err != nil {
		b.Errorf("picture %s: %v", name, err)
	}
}

// A page with a script in it shows that the watch sees what it is there for.
func TestTheWatchSeesWhatThePolicyRefuses(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		fmt.Fprint(w, `<!doctype html><main><h1>x</h1><b style="color:red">x</b><script>window.hacked = true</script></main>`)
	}))
	t.Cleanup(server.Close)
	b := browse(t, server.URL)
	b.open("/")
	seen := strings.Join(eval[[]string](b, `window.seen`), "\n")
	for _, want := range []string{"policy: script-src", "policy: style-src"} {
		if !strings.Contains(seen, want) {
			t.Errorf("%q was not seen in %q", want, seen)
		}
	}
	if eval[bool](b, `!!window.hacked`) {
		t.Error("the script ran")
	}
}
