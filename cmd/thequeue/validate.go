package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

type validateCmd struct {
	Database string `placeholder:"PATH|URL" help:"A SQLite file or a postgres:// URL (PRISMQ_DATABASE_URL, PRISMQ_QUEUE_DB_PATH; default: queue.db in your data directory)."`
	Output   string `short:"o" enum:"table,json" default:"table" help:"How to answer: table for people, json for programs."`
}

// validation is what validate has found.
type validation struct {
	Database string       `json:"database"` // without its password; empty: none is named
	OK       bool         `json:"ok"`       // no check has failed
	Checks   store.Checks `json:"checks"`
}

func (c *validateCmd) Run(ctx context.Context, s *session) error {
	cfg, err := s.settings(func(cfg *config.Config) { replace(&cfg.Database, c.Database) }, "database", "handlers")
	v := validation{Database: config.Redact(cfg.Database)}
	readable := checkConfig(&v.Checks, s.file(), err)
	switch {
	case !readable:
		v.Database = ""
		v.Checks.Skip("database", "it is looked at when it can be told which it is")
	default:
		v.Checks = append(v.Checks, app.Validate(ctx, cfg.Database)...)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	failed := v.Checks.Count(store.CheckFailed)
	v.OK = failed == 0
	if c.Output == "json" {
		err = s.printJSON(v)
	} else {
		err = s.printChecks(v)
	}
	if err == nil && failed > 0 {
		err = &wrongError{fmt.Errorf("%d of %d checks of %s failed", failed, len(v.Checks), v.name())}
	}
	return err
}

// checkConfig adds what is wrong with the settings, and reports whether they say which database is meant.
func checkConfig(c *store.Checks, file string, err error) bool {
	if err == nil {
		if file == "" {
			c.OK("config", "no file is named; the environment and the defaults are fine")
		} else {
			c.OK("config", "%s is fine", file)
		}
		return true
	}
	readable := false
	if _, ok := errors.AsType[*task.InvalidError](err); ok {
		readable = true
	}
	for _, p := range problemsIn(err) {
		c.Fail("config."+p.Field, "see docs/configuration.md", "%s", p.Message)
		readable = readable && p.Field != "database"
	}
	return readable
}

func (v validation) name() string {
	if v.Database == "" {
		return "the database"
	}
	return clean(v.Database)
}

// printChecks writes the checks in their order, what is wrong in capitals and with its remedy on a line of its own.
func (s *session) printChecks(v validation) error {
	rows := [][]string{{"STATE", "CHECK", "FOUND"}}
	for _, c := range v.Checks {
		state := string(c.State)
		if c.State == store.CheckFailed || c.State == store.CheckWarning {
			state = strings.ToUpper(state)
		}
		rows = append(rows, []string{state, c.Name, c.Message})
		if c.Remedy != "" {
			rows = append(rows, []string{"", "", "remedy: " + c.Remedy})
		}
	}
	if err := s.printRows(rows); err != nil {
		return err
	}
	if v.OK {
		_, err := fmt.Fprintf(s.stdout, "%s can be used: %d checks, %d warnings\n", v.name(), len(v.Checks), v.Checks.Count(store.CheckWarning))
		return err
	}
	return nil
}
