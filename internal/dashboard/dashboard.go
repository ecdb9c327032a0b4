package dashboard

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

// policy allows a page what comes from this server, and nothing inline, so that no text of a task can become a script or a style.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Options of the dashboard. The zero value will do.
type Options struct {
	Version  string // shown at the foot of each page; empty: "dev"
	Schema   int64  // version of the schema that this program works with; 0: not shown
	Database string // where the tasks are, without passwords, shown with the maintenance; empty: not shown

	Backups      *backup.Keeper // shown with the maintenance, which can have it make one; nil: there are none
	KeysRequired bool           // every page needs a key, also while there is none
	MaxFormBytes int64          // longest body of a form; 0: 3 MiB, which has room for a payload of 1 MiB however it is encoded
	Log          *slog.Logger   // of audit rows that cannot be written; nil: discards
}

// Dashboard serves the pages.
type Dashboard struct {
	Options
	queue *queue.Queue
	pages map[bool]map[string]*template.Template // with what changes something, or without
}

// New returns the dashboard of a queue.
func New(q *queue.Queue, o Options) *Dashboard {
	o.Version = cmp.Or(o.Version, "dev")
	o.MaxFormBytes = cmp.Or(o.MaxFormBytes, 3<<20)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Dashboard{Options: o, queue: q, pages: map[bool]map[string]*template.Template{true: parsePages(true), false: parsePages(false)}}
}

// parsePages reads the templates of all pages. may tells them whether to show what changes something.
func parsePages(may bool) map[string]*template.Template {
	pages := make(map[string]*template.Template)
	base := template.New("base.html").Funcs(functions).Funcs(template.FuncMap{"may": func() bool { return may }})
	base = template.Must(base.ParseFS(templateFiles, "templates/base.html", "templates/parts.html", "templates/part-*.html"))
	files, err := templateFiles.ReadDir("templates")
	if err != nil {
		panic(err) // they are in the binary
	}
	for _, f := range files {
		if name, _ := strings.CutSuffix(f.Name(), ".html"); name != "base" && name != "parts" && !strings.HasPrefix(name, "part-") {
			pages[name] = template.Must(template.Must(base.Clone()).ParseFS(templateFiles, "templates/"+f.Name()))
		}
	}
	return pages
}

// page is what the frame of every page shows.
type page struct {
	Title   string
	Section string // the part of the navigation that it belongs to
	Events  string // where the page hears that it is old; empty: it does not change by itself
	Done    *task.Audit
	Version string
	Caller  string // the name of the key that shows it; empty: nobody needs one
	Body    any
}

// show answers with a page to a caller who was admitted to it, with what was done before it. The template has the name of the page.
func (d *Dashboard) show(c echo.Context, status int, name string, p page) error {
	if id := queryID(c, "done"); id > 0 && api.CallerOf(c).May(api.Views) {
		if a, err := d.queue.Reader().GetAudit(c.Request().Context(), id); err == nil {
			p.Done = &a
		}
	}
	return d.render(c, status, name, p)
}

// render answers with a page to anybody.
func (d *Dashboard) render(c echo.Context, status int, name string, p page) error {
	p.Version = d.Version
	caller := api.CallerOf(c)
	if caller.Key != nil {
		p.Caller = caller.Key.Name
	}
	var buf bytes.Buffer
	if err := d.pages[caller.May(api.Operates)][name].ExecuteTemplate(&buf, "base.html", p); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	h := c.Response().Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(echo.HeaderCacheControl, "no-store")
	return c.HTMLBlob(status, buf.Bytes())
}

// Wants reports whether an error is to be answered with a page: a browser has asked for one.
func (d *Dashboard) Wants(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html") && !strings.HasPrefix(r.URL.Path, "/api/")
}

// Fail answers with a page that says what is wrong.
func (d *Dashboard) Fail(c echo.Context, status int, title, detail string) error {
	r := c.Request()
	switch {
	case r.URL.Path == loginPath && r.Method == http.MethodPost:
		if status == http.StatusUnauthorized {
			detail = "This is no key that is in force."
		}
		return d.showLogin(c, status, detail, r.PostForm.Get("next"))
	case status == http.StatusUnauthorized && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		return c.Redirect(http.StatusSeeOther, loginPath+"?next="+url.QueryEscape(r.URL.RequestURI()))
	}
	return d.render(c, status, "error", page{Title: title, Body: struct {
		Status        int
		Title, Detail string
	}{status, title, detail}})
}
