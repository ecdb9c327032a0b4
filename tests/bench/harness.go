package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prismq/thequeue/tests/bench/server"
	"github.com/prismq/thequeue/tests/bench/stat"
	"github.com/prismq/thequeue/tests/bench/trial"
)

// Harness runs workloads and keeps what they find.
type Harness struct {
	Scale
	Ledger
	dir      string    // where everything that is measured is stored; removed at the end
	bin      string    // where the built programs are
	report   io.Writer // for people: progress and verdicts
	machine  Machine
	profiles string // folder for the profiles of trials; empty: none

	postgres *server.Postgres // nil before it is first needed
	redis    *server.Redis    // nil before it is first needed
}

// newHarness builds the worker and the server and makes the directory of data below parent.
func newHarness(ctx context.Context, s Scale, parent string, out, report io.Writer) (*Harness, error) {
	dir, err := os.MkdirTemp(parent, "thequeue-bench-")
	if err != nil {
		return nil, err
	}
	h := &Harness{Scale: s, Ledger: Ledger{scale: s.Name, out: out}, dir: dir, bin: "bin", report: report}
	if h.bin, err = filepath.Abs("bin"); err == nil {
		err = h.build(ctx)
	}
	if err == nil {
		h.machine, err = lookAround(dir)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return h, nil
}

// close ends the servers that were started and removes the data.
func (h *Harness) close() error { return errors.Join(h.stopServers(), os.RemoveAll(h.dir)) }

// stopServers ends PostgreSQL and Redis, which have work of their own even when nobody asks anything of them, and removes their data.
func (h *Harness) stopServers() error {
	var errs []error
	if h.postgres != nil {
		errs = append(errs, h.postgres.Stop())
		h.postgres = nil
	}
	if h.redis != nil {
		errs = append(errs, h.redis.Stop())
		h.redis = nil
	}
	return errors.Join(errs...)
}

// build compiles what runs in processes of its own. Both SQLite drivers of the worker want the name sqlite3; mattn's gets another.
func (h *Harness) build(ctx context.Context) error {
	for _, p := range []struct {
		dir, out, pkg, ldflags string
	}{
		{".", h.program("worker"), "./worker", "-X github.com/mattn/go-sqlite3.driverName=mattn"},
		{".", h.program("baseline"), "./baseline", ""},
		{".", h.program("node"), "./node", ""},
		{"../..", h.program("thequeue"), "./cmd/thequeue", "-s -w"},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", p.ldflags, "-o", p.out, p.pkg)
		cmd.Dir = p.dir
		if p.pkg != "./worker" {
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released
		} else {
			cmd.Env = append(os.Environ(), "CGO_ENABLED=1") // mattn's driver is C
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", p.pkg, err, out)
		}
	}
	return nil
}

func (h *Harness) program(name string) string { return filepath.Join(h.bin, name) }

// say tells people how far it is.
func (h *Harness) say(format string, args ...any) { fmt.Fprintf(h.report, format+"\n", args...) }

// Subject is one queue in one setting at one kind of work, whose rounds alternate with those of others.
type Subject struct {
	Name string
	Spec trial.Spec
}

// perSecond is the name of the rate that a trial gives.
const perSecond = "tasks/s"

// extraRounds is in how many rounds that is measured which no goal is judged by.
const extraRounds = 2

// alternate runs every subject once a round, each round in the opposite order of the one before; extras in the first rounds alone.
func (h *Harness) alternate(ctx context.Context, goal string, subjects []Subject, extras ...Subject) error {
	for round := 1; round <= h.Rounds; round++ {
		now := subjects
		if round <= extraRounds {
			now = slices.Concat(subjects, extras)
		}
		for _, s := range inOrder(now, round) {
			if h.profiles != "" {
				s.Spec.Profile = filepath.Join(h.profiles, fmt.Sprintf("%s-%s-%d.pprof", goal, strings.ReplaceAll(s.Name, " ", "-"), round))
			}
			r, err := h.trial(ctx, s.Spec)
			if err != nil {
				return err
			}
			values := map[string]float64{
				perSecond: r.PerSecond(), "tasks": float64(r.Tasks), "seconds": r.Seconds, "cpu_us/task": r.CPUSeconds * 1e6 / float64(r.Tasks),
			}
			for name, v := range r.Costs {
				values[name+"/task"] = v
			}
			m := Measurement{Goal: goal, Subject: s.Name, Round: round, Spec: &s.Spec, Settings: r.Settings, Version: r.Version, Values: values}
			if err := h.add(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// inOrder returns the list as it is in odd rounds and backwards in even ones.
func inOrder[T any](list []T, round int) []T {
	out := slices.Clone(list)
	if round%2 == 0 {
		slices.Reverse(out)
	}
	return out
}

// trialTimeout bounds one trial beyond the time that it is to measure.
const trialTimeout = 90 * time.Second

// trial runs one trial in a process of its own, in an empty place.
func (h *Harness) trial(ctx context.Context, s trial.Spec) (r trial.Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, trialTimeout+time.Duration(s.Seconds*float64(time.Second)))
	defer cancel()
	free, err := h.place(ctx, &s)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, free()) }()
	if s.Seconds == 0 {
		s.Seconds = h.Seconds
	}
	err = h.ask(ctx, "worker", s, &r)
	return r, err
}

// place gives the trial an empty directory, database or Redis; free takes it back.
func (h *Harness) place(ctx context.Context, s *trial.Spec) (free func() error, err error) {
	switch s.Peer {
	case "postgres", "bare-postgres", "river-postgres", "gue":
		if err := h.needPostgres(ctx); err != nil {
			return nil, err
		}
		s.URL, free, err = h.postgres.Database(ctx)
		return free, err
	case "asynq":
		if err := h.needRedis(ctx); err != nil {
			return nil, err
		}
		s.URL = h.redis.Addr
		return func() error { return nil }, nil
	}
	s.Dir, err = os.MkdirTemp(h.dir, s.Peer+"-")
	return func() error { return os.RemoveAll(s.Dir) }, err
}

func (h *Harness) needPostgres(ctx context.Context) (err error) {
	if h.postgres == nil {
		h.postgres, err = server.StartPostgres(ctx, h.dir)
	}
	return err
}

func (h *Harness) needRedis(ctx context.Context) (err error) {
	if h.redis == nil {
		h.redis, err = server.StartRedis(ctx, h.dir)
	}
	return err
}

// ask runs a program with one JSON value as its input and reads one from its output.
func (h *Harness) ask(ctx context.Context, program string, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, h.program(program))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(b), &stdout, &stderr
	server.Tie(cmd)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s of %s: %w\n%s", program, b, err, stderr.Bytes())
	}
	return json.Unmarshal(stdout.Bytes(), out)
}

// judge compares values with the goal of that chapter and row, and prints the line.
func (h *Harness) judge(id, row string, values []float64) {
	for _, g := range goals {
		if g.ID == id && g.Row == row {
			o := Outcome{Goal: g, Values: values}
			if h.Margin > 0 {
				o.Goal, o.Loose = g.eased(h.Margin), true
			}
			h.outcomes = append(h.outcomes, o)
			h.say("%s", o)
			return
		}
	}
	panic("bench: no goal " + id + " " + row)
}

// compare judges the ratio of two subjects' rates, round by round.
func (h *Harness) compare(id, row, ours, theirs string) {
	h.judge(id, row, stat.Ratios(h.values(id, ours, perSecond), h.values(id, theirs, perSecond)))
}
