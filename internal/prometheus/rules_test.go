package prometheus_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/prismq/thequeue/internal/queue"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

const (
	alertsFile  = "../../docs/monitoring/alerts.yaml"
	grafanaFile = "../../docs/monitoring/grafana.json"
)

// rule is an alert as its file has it.
type rule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) (out []rule) {
	t.Helper()
	b, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	if err := yaml.UnmarshalWithOptions(b, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

// panel is a panel of the dashboard, as far as it asks for something.
type panel struct {
	Title   string
	GridPos struct{ X, Y, W, H int }
	Targets []struct{ Expr string }
}

func dashboard(t *testing.T) (out []panel) {
	t.Helper()
	b, err := os.ReadFile(grafanaFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Panels []panel }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	return file.Panels
}

// expressions are all that the alerts and the dashboard ask, by where they stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, r := range alerts(t) {
		out[r.Alert] = r.Expr
	}
	for _, p := range dashboard(t) {
		for i, target := range p.Targets {
			out[fmt.Sprintf("%s %d", p.Title, i)] = target.Expr
		}
	}
	return out
}

// served is a scrape of a server that has met everything of which there are series.
func served(t *testing.T) string {
	t.Helper()
	st := testdb.SQLite(t)
	q := queue.New(st, queue.Options{})
	if _, err := q.PutType(t.Context(), "a", task.TypeRules{Breaker: &task.Breaker{}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := q.Enqueue(t.Context(), task.Spec{Type: "a"}, queue.MaxAttempts); err != nil {
		t.Fatal(err)
	}
	return scrapeOf(t, q, backedUp(t, st))
}

var (
	seriesName = regexp.MustCompile(`\b(?:thequeue|process)_\w+`)
	matcher    = regexp.MustCompile(`\b(\w+)(=~|=)"([^"]*)"`)
)

// What alerts and panels ask for is there, with the labels and values that they choose.
func TestAlertsAndPanelsAskForWhatThereIs(t *testing.T) {
	t.Parallel()
	text := served(t)
	for where, expr := range expressions(t) {
		for _, name := range seriesName.FindAllString(expr, -1) {
			if !regexp.MustCompile(`(?m)^` + name + `[{ ]`).MatchString(text) {
				t.Errorf("%s: there is no series %s", where, name)
			}
		}
		for _, m := range matcher.FindAllStringSubmatch(expr, -1) {
			if m[1] == "instance" || m[1] == "job" { // Prometheus adds them
				continue
			}
			for _, value := range strings.Split(m[3], "|") {
				if !strings.Contains(text, m[1]+`="`+value+`"`) {
					t.Errorf("%s: no series has %s=%q", where, m[1], value)
				}
			}
		}
	}
}

func TestEveryAlertSaysWhatToDo(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, r := range alerts(t) {
		if !strings.HasPrefix(r.Alert, "TheQueue") || seen[r.Alert] || r.Expr == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%+v", r)
		}
		if s := r.Labels["severity"]; s != "warning" && s != "critical" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		seen[r.Alert] = true
	}
	if len(seen) < 10 {
		t.Errorf("%d alerts", len(seen))
	}
}

func TestPanelsDoNotOverlap(t *testing.T) {
	t.Parallel()
	taken := make(map[[2]int]string)
	for _, p := range dashboard(t) {
		if len(p.Targets) == 0 || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%+v", p)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies over %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// promtool is the checker of Prometheus, where it is installed.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("promtool is missing: install the package prometheus")
		}
		t.Skip("needs promtool: install the package prometheus")
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// rate is what Grafana puts in the place of its own variable.
var rate = strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*")

// Prometheus itself reads every alert and every expression of the dashboard.
func TestPrometheusReadsAlertsAndPanels(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", alertsFile)
	var recorded bytes.Buffer
	recorded.WriteString("groups:\n  - name: panels\n    rules:\n")
	for i, p := range dashboard(t) {
		for j, target := range p.Targets {
			fmt.Fprintf(&recorded, "      - record: panel:%d:%d\n        expr: %q\n", i, j, rate.Replace(target.Expr))
		}
	}
	path := filepath.Join(t.TempDir(), "panels.yaml")
	if err := os.WriteFile(path, recorded.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", path)
}

// The alerts fire in the situations that they are for, and not in a quiet one.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	promtool(t, "test", "rules", "testdata/alerts_test.yaml")
}
