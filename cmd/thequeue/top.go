package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/term"

	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/task"
)

type topCmd struct {
	Window   string        `default:"24h" placeholder:"TIME" help:"Of what has happened in this time up to now, such as 1h, 24h or 7d (24h)."`
	Interval time.Duration `default:"1s" placeholder:"DURATION" help:"How often to look, 100ms or more (1s)."`
	access
}

const (
	shortestInterval = 100 * time.Millisecond
	framesPerSecond  = 20               // keys are answered fast enough, and an idle picture costs little
	longestLook      = 10 * time.Second // then it counts as not answered, however often a call would be tried again
)

// Validate is called by the parser.
func (c *topCmd) Validate() error {
	if c.Interval < shortestInterval {
		return usage("--interval must be at least %v", shortestInterval)
	}
	return nil
}

func (c *topCmd) Run(ctx context.Context, s *session) error {
	window, ok := task.ParseAge(c.Window)
	if !ok {
		return usage("--window %s: must be a length of time in w, d, h, m and s, such as 1h, 24h or 7d", c.Window)
	}
	if c.Output == "json" {
		return usage("top draws on a terminal: `thequeue metrics -o json` writes the same figures for programs")
	}
	if !isTerminal(s.stdin) || !isTerminal(s.stdout) {
		return usage("top needs a terminal to draw on and to read keys from: `thequeue metrics` writes the same figures once")
	}
	where, err := c.where(s)
	if err != nil {
		return err
	}
	if errs := s.stderr; isTerminal(errs) { // a line of the log would stand in the picture
		s.stderr = io.Discard
		defer func() { s.stderr = errs }()
	}
	return c.with(ctx, s, func(q tasks) error {
		look, end := looks(ctx, q, window)
		defer end()
		first := look()
		if first.err != nil { // before anything is drawn: it is told as by every other command
			return first.err
		}
		m := top{where: where, window: window, interval: c.Interval, plain: s.getenv("NO_COLOR") != "", asking: true}.take(first)
		m.look = func() tea.Msg { return look() }
		m.rest = rest(c.Interval)
		return s.draw(ctx, m)
	})
}

// rest waits for the interval, from when it is called.
func rest(interval time.Duration) tea.Cmd {
	return func() tea.Msg { return tea.Tick(interval, func(time.Time) tea.Msg { return due{} })() }
}

// where names the queue that the flags choose, without passwords.
func (a access) where(s *session) (string, error) {
	cfg, err := s.settings(func(c *config.Config) { replace(&c.Server, a.Server) })
	if a.Database != "" {
		return config.Redact(a.Database), err
	}
	return config.Redact(cfg.Server), err
}

// looks returns what asks the queue for all that is shown, one call at a time, and what ends that: once it has returned, the queue is not
// asked any more.
func looks(ctx context.Context, q tasks, window time.Duration) (look func() looked, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	now, turn := clock.NewSystem(time.Time{}).Now, make(chan struct{}, 1)
	look = func() looked {
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			return looked{at: now(), err: ctx.Err()}
		}
		defer func() { <-turn }()
		within, stop := context.WithTimeout(ctx, longestLook)
		defer stop()
		var l looked
		if l.metrics, l.err = q.Metrics(within, window, ""); l.err == nil {
			l.workers, l.err = q.Workers(within)
		}
		l.at = now()
		return l
	}
	return look, func() {
		cancel()
		turn <- struct{}{} // and never given back
	}
}

// draw shows m on the terminal until a key or ctx ends it.
func (s *session) draw(ctx context.Context, m top) error {
	p := tea.NewProgram(m, tea.WithInput(s.stdin), tea.WithOutput(s.stdout), tea.WithEnvironment(s.terminalEnv()), tea.WithoutSignalHandler(), tea.WithFPS(framesPerSecond))
	stop := context.AfterFunc(ctx, p.Quit)
	defer stop()
	if _, err := p.Run(); err != nil {
		return fmt.Errorf("draw on the terminal: %w", err)
	}
	return nil
}

// terminalEnv is what the environment says of the terminal.
func (s *session) terminalEnv() []string {
	var env []string
	for _, name := range []string{
		"TERM", "COLORTERM", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TTY_FORCE", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TMUX", "STY", "SSH_TTY", "WT_SESSION",
	} {
		if v := s.getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// isTerminal reports whether what a command reads from or writes to is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
