// Command worker runs one trial: it reads a trial.Spec from its standard input and writes a trial.Result to its standard output. The harness
// builds it with -ldflags "-X github.com/mattn/go-sqlite3.driverName=mattn", without which two SQLite drivers claim the same name.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/prismq/thequeue/tests/bench/peer"
	"github.com/prismq/thequeue/tests/bench/trial"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var s trial.Spec
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return err
	}
	p := peer.Named(s.Peer)
	if p == nil {
		return fmt.Errorf("no peer is named %q", s.Peer)
	}
	s.Workers = cmp.Or(s.Workers, p.Workers(s.Callers))
	meter, closeMeter, err := peer.MeterOf(ctx, s)
	if err != nil {
		return err
	}
	defer closeMeter()
	q, err := p.Open(ctx, s)
	if err != nil {
		return fmt.Errorf("open %s: %w", s.Peer, err)
	}
	r, err := profiled(s.Profile, func() (trial.Result, error) { return measure(ctx, q, job{s, meter}) })
	if err != nil {
		return fmt.Errorf("%s %s %s: %w", s.Peer, s.Setting, s.Work, err)
	}
	r.Settings, r.Version = q.Settings(), versions(p.Modules())
	if err := q.Close(); err != nil {
		return fmt.Errorf("close %s: %w", s.Peer, err)
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// profiled writes the processor profile of do to the file; empty: none.
func profiled(file string, do func() (trial.Result, error)) (r trial.Result, err error) {
	if file == "" {
		return do()
	}
	f, err := os.Create(file)
	if err != nil {
		return r, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return r, errors.Join(err, f.Close())
	}
	r, err = do()
	pprof.StopCPUProfile()
	return r, errors.Join(err, f.Close())
}

// versions looks the modules up in what was compiled into this binary.
func versions(paths []string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	at := make(map[string]string)
	for _, m := range info.Deps {
		at[m.Path] = m.Version
	}
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = p + "@" + at[p]
	}
	return strings.Join(out, " ")
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
