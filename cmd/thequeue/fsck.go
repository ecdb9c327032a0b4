package main

import (
	"context"
	"fmt"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/store"
)

type fsckCmd struct {
	Database string `placeholder:"PATH|URL" help:"A SQLite file or a postgres:// URL (PRISMQ_DATABASE_URL, PRISMQ_QUEUE_DB_PATH; default: queue.db in your data directory)."`
	Repair   bool   `help:"Put the counters, and the turns of concurrency keys, right; also beside a server."`
	Max      int    `default:"100" placeholder:"N" help:"List so many findings of each check at most (100)."`
	Output   string `short:"o" enum:"table,json" default:"table" help:"How to answer: table for people, json for programs."`
}

// inspection is what fsck has found.
type inspection struct {
	Database string         `json:"database"` // without its password
	OK       bool           `json:"ok"`       // nothing is wrong, or nothing is any more
	Tasks    int64          `json:"tasks"`    // how many were looked at
	Problems []store.Damage `json:"problems"` // never nil
	More     []string       `json:"more"`     // the checks that have found more than is listed; never nil
}

func (c *fsckCmd) Run(ctx context.Context, s *session) error {
	if c.Max < 1 || c.Max > 1_000_000 {
		return usage("--max must lie between 1 and 1000000")
	}
	cfg, err := s.settings(func(cfg *config.Config) { replace(&cfg.Database, c.Database) }, "database")
	if err != nil {
		return err
	}
	if err := mustExist(cfg.Database); err != nil {
		return err
	}
	in, err := app.Inspect(ctx, cfg.Database, c.Max)
	if err != nil {
		return err
	}
	found := in
	if c.Repair && in.Repairable() > 0 {
		if found, err = repair(ctx, cfg.Database, in, c.Max); err != nil {
			return err
		}
	}
	return s.printInspection(c.Output, config.Redact(cfg.Database), found)
}

// repair repairs what it can, looks again, and returns what is wrong still, with what is not any more marked as repaired.
func repair(ctx context.Context, database string, in store.Inspection, max int) (store.Inspection, error) {
	if err := app.Repair(ctx, database, in); err != nil {
		return in, err
	}
	now, err := app.Inspect(ctx, database, max)
	if err != nil {
		return in, err
	}
	still := make(map[store.Damage]bool, len(now.Damages))
	for _, d := range now.Damages {
		still[store.Damage{Check: d.Check, Subject: d.Subject}] = true
	}
	var repaired []store.Damage
	for _, d := range in.Damages {
		if d.Repaired = d.Repairable() && !still[store.Damage{Check: d.Check, Subject: d.Subject}]; d.Repaired {
			repaired = append(repaired, d)
		}
	}
	now.Damages = append(repaired, now.Damages...)
	return now, nil
}

func (s *session) printInspection(output, database string, in store.Inspection) error {
	wrong := 0
	for _, d := range in.Damages {
		if !d.Repaired {
			wrong++
		}
	}
	err := s.printFindings(output, inspection{Database: database, OK: wrong == 0, Tasks: in.Tasks, Problems: in.Damages, More: append([]string{}, in.More...)}, len(in.Damages)-wrong)
	if err != nil || wrong == 0 {
		return err
	}
	hint := ""
	if n := in.Repairable() - (len(in.Damages) - wrong); n > 0 {
		hint = fmt.Sprintf("; --repair puts %d of it right", n)
	}
	more := ""
	if len(in.More) > 0 {
		more = " or more"
	}
	return &wrongError{fmt.Errorf("%d%s things are wrong in %s%s", wrong, more, clean(database), hint)}
}

func (s *session) printFindings(output string, v inspection, repaired int) error {
	if output == "json" {
		return s.printJSON(v)
	}
	if len(v.Problems) > 0 {
		rows := [][]string{{"CHECK", "WHAT", "PROBLEM", "REPAIRED"}}
		for _, d := range v.Problems {
			done := "no"
			if d.Repaired {
				done = "yes"
			}
			rows = append(rows, []string{d.Check, d.Subject, d.Problem, done})
		}
		if err := s.printRows(rows); err != nil {
			return err
		}
	}
	if !v.OK {
		return nil
	}
	what := "nothing is wrong"
	if repaired > 0 {
		what = fmt.Sprintf("%d things were repaired, nothing else is wrong", repaired)
	}
	_, err := fmt.Fprintf(s.stdout, "%s: %d tasks, %s\n", clean(v.Database), v.Tasks, what)
	return err
}
