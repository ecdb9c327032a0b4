package dashboard

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// A chart draws what was, leaves a gap where nothing was, and says its figures in words.
func TestChart(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	values := []float64{math.NaN(), 3, math.NaN(), 10, 40, math.NaN()}
	points := make([]task.Point, len(values))
	for i := range points {
		points[i] = task.Point{FromUTC: begin.Add(time.Duration(i) * time.Minute), Seconds: 60}
	}
	of := func(p task.Point) float64 { return values[int(p.FromUTC.Sub(begin)/time.Minute)] }
	c := draw("Age", points, func(v float64) string { return seconds(&v) }, course{"p50", "c1", of})
	l := c.Lines[0]
	// Of 574 units from the left each point takes 114.8; 50 s is the top at 12, 0 the base at 162.
	if l.Dots != "M172.8 153.0h0" || l.Path != "M402.4 132.0L517.2 42.0" {
		t.Errorf("dots %q, path %q", l.Dots, l.Path)
	}
	if l.Last != "–" || c.Empty || c.Says != "Age. p50: now –, at most 40 s" {
		t.Errorf("last %q, empty %v, says %q", l.Last, c.Empty, c.Says)
	}
	if len(c.Levels) != 3 || c.Levels[2] != (mark{12, "50 s"}) || c.Levels[0] != (mark{162, "0 s"}) {
		t.Errorf("levels %v", c.Levels)
	}
	if len(c.Times) != 6 || c.Times[1] != (mark{172.8, "12:01"}) {
		t.Errorf("times %v", c.Times)
	}
	if h := c.Points; len(h) != 6 || h[0].X != plotLeft || h[5].X+h[5].Width > plotRight || !strings.Contains(h[3].Text, "Mar 1 12:03 UTC\np50 10 s") || strings.Contains(h[2].Text, "p50") {
		t.Errorf("points %+v", h)
	}
	if empty := draw("Age", points[:1], func(float64) string { return "" }, course{"p50", "c1", of}); !empty.Empty {
		t.Error("a chart of nothing is not empty")
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		num(0): "0", num(999): "999", num(-1000): "-1,000", num(int64(1234567)): "1,234,567", seconds(nil): "–", seconds(new(0.0)): "0 s", seconds(new(0.00012)): "0.12 ms", seconds(new(0.0123)): "12.3 ms",
		seconds(new(59.94)): "59.9 s", seconds(new(3725.0)): "1 h 2 min", brief(1000): "16.7 min", brief(90000): "1.04 d", brief(0.5): "500 ms", age(25 * time.Hour): "1 d 1 h", age(61 * time.Second): "1 min 1 s", age(400 * time.Millisecond): "0 s", share(new(0.99931)): "99.93 %",
		byteSize(0): "0 bytes", byteSize(1536): "1.5 KiB", byteSize(5 << 40): "5 TiB", short("a\nb"): "a …", short(strings.Repeat("é", 121)): strings.Repeat("é", 120) + "…",
		pretty(`{"n":12345678901234567890,"s":"<b>"}`): "{\n  \"n\": 12345678901234567890,\n  \"s\": \"<b>\"\n}",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if long := pretty(task.JSON(`"` + strings.Repeat("x", shownBytes) + `"`)); !strings.HasSuffix(long, "… cut here: 64 KiB in all; the API gives the whole") {
		t.Errorf("a long text ends with %q", long[len(long)-80:])
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if a, b, c := since(now.Add(-90*time.Second), now), since(now.Add(time.Hour), now), since(now, now); a != "1 min 30 s ago" || b != "in 1 h" || c != "now" {
		t.Errorf("since: %q, %q, %q", a, b, c)
	}
}
