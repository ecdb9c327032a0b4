package main

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/dbcopy"
	"github.com/prismq/thequeue/internal/task"
)

type moveCmd struct {
	From   string `required:"" placeholder:"PATH|URL" help:"The store: a SQLite file (sqlite:PATH) or a postgres:// URL."`
	To     string `placeholder:"PATH|URL" help:"The empty database to move it to; it is made, or filled."`
	DryRun bool   `help:"Tell what would be copied, and about how long it would take; change nothing." xor:"what"`
	Check  bool   `help:"Compare the two, table by table." xor:"what"`
	Undo   bool   `help:"Take a move back: the store takes changes again." xor:"what"`
	Yes    bool   `short:"y" help:"Do not ask."`
	Output string `short:"o" enum:"table,json" default:"table" help:"How to answer: table for people, json for programs."`
}

func (c *moveCmd) Run(ctx context.Context, s *session) error {
	var err error
	if c.From, err = place("from", c.From); err == nil && c.To != "" {
		c.To, err = place("to", c.To)
	}
	switch {
	case err != nil:
		return err
	case c.Undo && c.To != "":
		return usage("--undo is about the store in --from alone: leave --to out")
	case !c.Undo && c.To == "":
		return usage("--to is missing: the database to move the store to")
	case c.From == c.To:
		return usage("--from and --to are the same database")
	case c.Yes && !c.Undo:
		return usage("--yes goes with --undo: nothing else asks")
	}
	if err := mustExist(c.From); err != nil {
		return err
	}
	switch {
	case c.Undo:
		return c.undo(ctx, s)
	case c.DryRun:
		return c.plan(ctx, s)
	case c.Check:
		if err := mustExist(c.To); err != nil {
			return err
		}
		return c.check(ctx, s)
	}
	return c.move(ctx, s)
}

// place returns a database as it is known elsewhere: sqlite:PATH is its path.
func place(flag, database string) (string, error) {
	if config.IsPostgres(database) {
		return database, nil
	}
	path, named := strings.CutPrefix(database, "sqlite:")
	if path = strings.TrimPrefix(path, "//"); path == "" || !named && strings.Contains(path, "://") {
		return "", usage("--%s must be sqlite:PATH, the path of a SQLite file, or a postgres:// URL", flag)
	}
	return path, nil
}

// tableJSON is what a table holds, for programs.
type tableJSON struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	Hash  string `json:"hash,omitempty"`
}

func (c *moveCmd) move(ctx context.Context, s *session) error {
	bar := moveBar{s: s}
	done, err := dbcopy.Move(ctx, c.From, c.To, dbcopy.Options{Tell: bar.tell})
	bar.end()
	if err != nil {
		return err
	}
	tables := make([]tableJSON, 0, len(done.Tables))
	for _, name := range slices.Sorted(maps.Keys(done.Tables)) {
		t := done.Tables[name]
		tables = append(tables, tableJSON{name, t.Rows, t.Hash()})
	}
	if c.Output == "json" {
		return s.printJSON(struct {
			From         string      `json:"from"`
			To           string      `json:"to"`
			Seconds      float64     `json:"seconds"`
			FenceSeconds float64     `json:"fence_seconds"`
			Already      bool        `json:"already"`
			Tables       []tableJSON `json:"tables"`
		}{done.From, done.To, done.Took.Seconds(), done.Fence.Seconds(), done.Already, tables})
	}
	if done.Already {
		_, err := fmt.Fprintf(s.stdout, "%s has been moved to %s before; nothing was done\n", done.From, done.To)
		return err
	}
	rows := [][]string{{"TABLE", "ROWS", "HASH"}}
	for _, t := range tables {
		rows = append(rows, []string{t.Table, fmt.Sprint(t.Rows), t.Hash[:16]})
	}
	if err := s.printRows(rows); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "Moved in %s; changes have been refused for %s so far, until a server runs on %s\n", short(done.Took), short(done.Fence), done.To)
	return err
}

// short is a duration for people.
func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// moveBar shows on a terminal how far a move has come: a bar for each of its parts.
type moveBar struct {
	s     *session
	phase string
	bar   *progressbar.ProgressBar // nil before the first part
}

func (b *moveBar) tell(p dbcopy.Progress) {
	of := max(p.Of, 1)
	if b.bar == nil || p.Phase != b.phase {
		b.end()
		b.phase, b.bar = p.Phase, b.s.progress(of, false)
		b.bar.Describe(p.Phase)
	}
	b.bar.ChangeMax64(of)
	_ = b.bar.Set64(min(p.Done, of)) // its only error is that of the terminal
}

func (b *moveBar) end() {
	if b.bar != nil {
		_ = b.bar.Exit() // the same
	}
}

func (c *moveCmd) plan(ctx context.Context, s *session) error {
	p, err := dbcopy.DryRun(ctx, c.From, c.To)
	if err != nil {
		return err
	}
	tables := make([]tableJSON, 0, len(p.Rows))
	for _, name := range slices.Sorted(maps.Keys(p.Rows)) {
		tables = append(tables, tableJSON{Table: name, Rows: p.Rows[name]})
	}
	if c.Output == "json" {
		return s.printJSON(struct {
			From    string      `json:"from"`
			To      string      `json:"to"`
			Seconds float64     `json:"seconds"`
			Tables  []tableJSON `json:"tables"`
		}{p.From, p.To, p.Takes.Seconds(), tables})
	}
	rows := [][]string{{"TABLE", "ROWS"}}
	for _, t := range tables {
		rows = append(rows, []string{t.Table, fmt.Sprint(t.Rows)})
	}
	if err := s.printRows(rows); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.stdout, "This would be moved from %s to %s in about %s; nothing was changed\n", p.From, p.To, max(p.Takes, time.Second).Round(time.Second))
	return err
}

func (c *moveCmd) check(ctx context.Context, s *session) error {
	bar := moveBar{s: s}
	list, err := dbcopy.Check(ctx, c.From, c.To, dbcopy.Options{Tell: bar.tell})
	bar.end()
	if err != nil {
		return err
	}
	type pair struct {
		Table string    `json:"table"`
		Same  bool      `json:"same"`
		From  tableJSON `json:"from"`
		To    tableJSON `json:"to"`
	}
	rows, pairs, differ := [][]string{{"TABLE", "FROM", "TO", "HASH"}}, []pair{}, []string{}
	for _, d := range list {
		hash := d.From.Hash()[:16]
		if !d.Same() {
			hash += " and " + d.To.Hash()[:16]
			differ = append(differ, d.Table)
		}
		rows = append(rows, []string{d.Table, fmt.Sprint(d.From.Rows), fmt.Sprint(d.To.Rows), hash})
		pairs = append(pairs, pair{d.Table, d.Same(), tableJSON{d.Table, d.From.Rows, d.From.Hash()}, tableJSON{d.Table, d.To.Rows, d.To.Hash()}})
	}
	if c.Output == "json" {
		err = s.printJSON(pairs)
	} else {
		err = s.printRows(rows)
	}
	if err == nil && len(differ) > 0 {
		err = fmt.Errorf("%w: %s", dbcopy.ErrDiffer, strings.Join(differ, ", "))
	}
	return err
}

func (c *moveCmd) undo(ctx context.Context, s *session) error {
	if yes, err := c.confirmed(s); err != nil || !yes {
		return err
	}
	m, err := dbcopy.Undo(ctx, c.From)
	if err != nil {
		return err
	}
	if m.State == task.MoveLeft {
		_, err = fmt.Fprintf(s.stdout, "%s takes changes again, as it was at %s; what has happened at %s since is not in it\n", config.Redact(c.From), when(m.Since), m.Peer)
	} else {
		_, err = fmt.Fprintf(s.stdout, "%s is not being moved any more; make %s anew before it is filled again\n", config.Redact(c.From), m.Peer)
	}
	return err
}

// confirmed reports whether the answer is yes.
func (c *moveCmd) confirmed(s *session) (bool, error) {
	if c.Yes {
		return true, nil
	}
	fmt.Fprintf(s.stderr, "Take the move of %s back? What has happened at its new place since is not in it [y/N] ", config.Redact(c.From))
	answer, err := bufio.NewReader(s.stdin).ReadString('\n')
	if err != nil && answer == "" {
		fmt.Fprintln(s.stderr)
		return false, usage("nobody answers: add --yes to go on without a question")
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer == "y" || answer == "yes" {
		return true, nil
	}
	_, err = fmt.Fprintln(s.stdout, "Nothing was changed")
	return false, err
}
