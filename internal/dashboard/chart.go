package dashboard

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// The size of a chart in its own units, and the place of its plot in it.
const (
	chartWidth, chartHeight                = 640.0, 190.0
	plotLeft, plotRight, plotTop, plotBase = 58.0, 632.0, 12.0, 162.0
)

// chart is a picture of what has happened, as SVG that the style of the page colours.
type chart struct {
	Title  string
	Says   string // the newest and the greatest value of each line, for who does not see it
	Lines  []line
	Levels []mark // on the left
	Times  []mark // below
	Points []hover
	Empty  bool // nothing is to be seen
}

// line is one course of values.
type line struct {
	Name  string
	Class string // of its colour
	Path  string
	Dots  string // the values without a neighbour
	Last  string // its newest value
}

type mark struct {
	At    float64
	Label string
}

// hover is a column of the chart that tells its figures when it is pointed at.
type hover struct {
	X, Width float64
	Text     string
}

// course is what a line shows: the value of each point, NaN where there is none.
type course struct {
	name, class string
	of          func(p task.Point) float64
}

// draw makes a chart of the points. write writes a value with its unit.
func draw(title string, points []task.Point, write func(float64) string, courses ...course) chart {
	c := chart{Title: title, Empty: true}
	top := 0.0
	for _, p := range points {
		for _, co := range courses {
			if v := co.of(p); v > 0 {
				top, c.Empty = max(top, v), false
			}
		}
	}
	if top = ceiling(top); top == 1 {
		top = 2 // so that half of it is a whole number too
	}
	step := (plotRight - plotLeft) / float64(max(1, len(points)-1))
	var says []string
	for _, co := range courses {
		l, greatest := plot(points, co, step, top), 0.0
		for _, p := range points {
			greatest = max(greatest, orZero(co.of(p)))
		}
		if l.Last = "–"; !math.IsNaN(co.of(points[len(points)-1])) {
			l.Last = write(co.of(points[len(points)-1]))
		}
		says = append(says, fmt.Sprintf("%s: now %s, at most %s", co.name, l.Last, write(greatest)))
		c.Lines = append(c.Lines, l)
	}
	c.Says = title + ". " + strings.Join(says, "; ")
	for i := range 3 {
		v := top * float64(i) / 2
		c.Levels = append(c.Levels, mark{height(v, top), write(v)})
	}
	c.Times = timeMarks(points, step)
	for i, p := range points {
		text := p.FromUTC.UTC().Format("Jan 2 15:04 UTC")
		for _, co := range courses {
			if v := co.of(p); !math.IsNaN(v) {
				text += "\n" + co.name + " " + write(v)
			}
		}
		x := plotLeft + (float64(i)-0.5)*step
		c.Points = append(c.Points, hover{max(x, plotLeft), min(step, plotRight-x), text})
	}
	return c
}

func orZero(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}

// plot is the path of a course, with a gap where there is no value, and a dot where there is one between two gaps.
func plot(points []task.Point, co course, step, top float64) line {
	var path, dots strings.Builder
	value := func(i int) float64 {
		if i < 0 || i >= len(points) {
			return math.NaN()
		}
		return co.of(points[i])
	}
	for i := range points {
		x, y := plotLeft+float64(i)*step, height(value(i), top)
		before, after := !math.IsNaN(value(i-1)), !math.IsNaN(value(i+1))
		switch {
		case math.IsNaN(y):
		case !before && !after:
			fmt.Fprintf(&dots, "M%.1f %.1fh0", x, y)
		case !before:
			fmt.Fprintf(&path, "M%.1f %.1f", x, y)
		default:
			fmt.Fprintf(&path, "L%.1f %.1f", x, y)
		}
	}
	return line{Name: co.name, Class: co.class, Path: path.String(), Dots: dots.String()}
}

// height is where a value is drawn.
func height(v, top float64) float64 { return plotBase - v/top*(plotBase-plotTop) }

// ceiling is the end of the scale: 1, 2 or 5 times a power of ten, or 2 for nothing.
func ceiling(v float64) float64 {
	if v <= 0 {
		return 2
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 5} {
		if v <= n*unit {
			return n * unit
		}
	}
	return 10 * unit
}

// timeMarks are about six times below the chart, at whole points.
func timeMarks(points []task.Point, step float64) (out []mark) {
	layout := "15:04"
	if span := time.Duration(len(points)*points[0].Seconds) * time.Second; span > 48*time.Hour {
		layout = "Jan 2"
	}
	every := max(1, len(points)/6)
	for i := 0; i < len(points); i += every {
		out = append(out, mark{plotLeft + float64(i)*step, points[i].FromUTC.UTC().Format(layout)})
	}
	return out
}
