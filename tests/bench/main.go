// Command bench measures The Queue against its goals, P1 to P12, side by side with other queues and with what the machine allows.
//
// It builds the server from the repository and what runs in processes of its own, keeps all data in a temporary directory of the disk that is
// measured, talks to 127.0.0.1 alone, and ends the processes that it started. Run it in its own directory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/prismq/thequeue/tests/bench/server"
)

// workloads is how the goals of each chapter are measured.
var workloads = map[string]func(context.Context, *Harness) error{
	"P1": crowd, "P2": few, "P3": batches, "P4": grown, "P5": hidden, "P6": looking, "P7": overHTTP, "P8": promptly,
	"P9": onPostgres, "P10": oneFile, "P11": idle, "P12": memory,
}

// errMissed: a goal was not met, or had no verdict.
var errMissed = errors.New("not every goal was met")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	scale    Scale
	goals    []string
	dir      string
	out      string // folder of results
	profiles string // folder of profiles; empty: none
	mode     string // growth, tuning or peers; empty: goals are measured
	tabs     string // folder of the pictures and tables of a mode
}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	isQuick := f.Bool("quick", false, "measure for seconds rather than minutes")
	isFull := f.Bool("full", false, "measure longer, and with millions of rows")
	isSmoke := f.Bool("smoke", false, "only see that everything runs and that ratios are not far off")
	list := f.String("goals", "", "chapters to measure, like P1,P3; empty: all")
	f.StringVar(&o.dir, "dir", os.TempDir(), "where to keep the data that are measured")
	for name, what := range map[string]string{
		"growth": "measure and draw how claims change with the number of tasks, instead of goals",
		"tuning": "measure what batch sizes and numbers of callers do on both engines, instead of goals",
		"peers":  "seek the number of workers and connections at which each other queue is best, instead of goals",
	} {
		f.BoolFunc(name, what, func(string) error {
			if o.mode != "" && o.mode != name {
				return fmt.Errorf("-%s and -%s exclude each other", o.mode, name)
			}
			o.mode = name
			return nil
		})
	}
	f.StringVar(&o.tabs, "out", "results", "folder for the pictures and tables of -growth, -tuning and -peers")
	f.StringVar(&o.profiles, "profiles", "", "folder for the processor profiles of all trials, read by go tool pprof; empty: none")
	f.StringVar(&o.out, "results", "results", "folder for the JSON lines and the table")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("%q is no flag: see -help", f.Arg(0))
	}
	o.scale = usual
	for _, s := range []struct {
		chosen bool
		scale  Scale
	}{{*isFull, full}, {*isQuick, quick}, {*isSmoke, smoke}} {
		if s.chosen && o.scale.Name != usual.Name {
			return o, fmt.Errorf("-%s and -%s exclude each other", s.scale.Name, o.scale.Name)
		}
		if s.chosen {
			o.scale = s.scale
		}
	}
	if *list != "" && o.mode != "" {
		return o, fmt.Errorf("-%s measures no goals: leave out -goals", o.mode)
	}
	o.goals, err = chapters(*list)
	if *isSmoke && *list == "" {
		o.goals = smokeGoals
	}
	return o, err
}

// chapters reads the list of chapters, in their order; all when it is empty.
func chapters(list string) ([]string, error) {
	wanted := make(map[string]bool)
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			if _, ok := workloads[name]; !ok {
				return nil, fmt.Errorf("there is no goal %q", name)
			}
			wanted[name] = true
		}
	}
	var out []string
	for i := 1; i <= len(workloads); i++ {
		if name := fmt.Sprint("P", i); len(wanted) == 0 || wanted[name] {
			out = append(out, name)
		}
	}
	return out, nil
}

func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(o.out, 0o755), os.MkdirAll(o.tabs, 0o755)); err != nil {
		return err
	}
	name := o.scale.Name
	if o.mode != "" {
		name = o.mode + "-" + name
	}
	lines, err := os.Create(filepath.Join(o.out, name+".jsonl"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lines.Close()) }()
	h, err := newHarness(ctx, o.scale, o.dir, lines, stdout)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if h.profiles = o.profiles; h.profiles != "" {
		if err := os.MkdirAll(h.profiles, 0o755); err != nil {
			return err
		}
	}
	switch o.mode {
	case "growth":
		return h.grow(ctx, o.tabs)
	case "tuning":
		return h.tune(ctx, o.tabs)
	case "peers":
		return h.search(ctx, o.tabs)
	}
	for _, id := range o.goals {
		if err := h.measure(ctx, id); err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	if err := os.WriteFile(filepath.Join(o.out, name+".md"), []byte(h.markdown()), 0o644); err != nil {
		return err
	}
	h.sayLimits()
	for _, outcome := range h.outcomes {
		if outcome.Verdict() != Met {
			return errMissed
		}
	}
	return nil
}

// measure runs one workload on a disk that is at rest. A server that is not installed leaves its goals without a verdict.
func (h *Harness) measure(ctx context.Context, id string) error {
	syscall.Sync() // what was written before is not written while this is measured
	err := errors.Join(workloads[id](ctx, h), h.stopServers())
	if !errors.Is(err, server.ErrMissing) {
		return err
	}
	h.say("%s: %v", id, err)
	for _, g := range goals {
		if g.ID == id {
			h.judge(id, g.Row, nil)
		}
	}
	return nil
}
