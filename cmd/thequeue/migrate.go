package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/schema"
)

type migrateCmd struct {
	Database string `placeholder:"PATH|URL" help:"A SQLite file or a postgres:// URL (PRISMQ_DATABASE_URL, PRISMQ_QUEUE_DB_PATH; default: queue.db in your data directory)."`

	Up     upCmd     `cmd:"" help:"Apply every migration that is missing."`
	Down   downCmd   `cmd:"" help:"Take the newest migration back, with the data that only it can hold."`
	Redo   redoCmd   `cmd:"" help:"Take the newest migration back and apply it again."`
	Status statusCmd `cmd:"" help:"List the migrations and whether the database has them."`
	Create createCmd `cmd:"" help:"Make an empty migration for both engines, to be written."`
}

// copyFlag is what commands have that change the schema.
type copyFlag struct {
	NoCopy bool `help:"Do not copy a SQLite file before it is changed."`
}

type (
	upCmd     struct{ copyFlag }
	downCmd   struct{ copyFlag }
	redoCmd   struct{ copyFlag }
	statusCmd struct {
		Output string `short:"o" enum:"table,json" default:"table" help:"How to answer: table for people, json for programs."`
	}
	createCmd struct {
		Title string `arg:"" help:"What it does, like add_deadlines."`
		Dir   string `default:"migrations" placeholder:"DIR" help:"The folder with those of sqlite and postgres (migrations)."`
	}
)

func (c *upCmd) Run(ctx context.Context, s *session) error {
	return s.migrate(ctx, app.BringUp, c.copyFlag, func(m *schema.Schema) error { return m.Up(ctx) })
}

func (c *downCmd) Run(ctx context.Context, s *session) error {
	return s.migrate(ctx, app.TakeBack, c.copyFlag, func(m *schema.Schema) error { return m.Down(ctx) })
}

func (c *redoCmd) Run(ctx context.Context, s *session) error {
	return s.migrate(ctx, app.TakeBack, c.copyFlag, func(m *schema.Schema) error { return m.Redo(ctx) })
}

func (c *createCmd) Run(s *session) error {
	paths, err := schema.Create(c.Dir, c.Title)
	if errors.Is(err, schema.ErrTitle) {
		return usage("%q: %s", c.Title, err)
	}
	for _, p := range paths {
		if _, err := fmt.Fprintln(s.stdout, clean(p)); err != nil {
			return err
		}
	}
	return err
}

func (c *statusCmd) Run(ctx context.Context, s *session) error {
	return s.withSchema(ctx, app.LookAtSchema, func(_ string, m *schema.Schema) error {
		migrations, err := m.Status(ctx)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return s.printJSON(migrations)
		}
		rows := [][]string{{"VERSION", "TITLE", "APPLIED"}}
		for _, m := range migrations {
			rows = append(rows, []string{fmt.Sprint(m.Version), m.Title, instant(m.AppliedAt)})
		}
		return s.printRows(rows)
	})
}

// migrate changes the schema and says at which version it is then.
func (s *session) migrate(ctx context.Context, use app.SchemaUse, f copyFlag, change func(*schema.Schema) error) error {
	return s.withSchema(ctx, use, func(database string, m *schema.Schema) error {
		if f.NoCopy {
			m.CopyBeside("", nil)
		}
		if err := change(m); err != nil {
			return err
		}
		version, err := m.Version(ctx)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(s.stdout, "%s has version %d; this binary has %d\n", config.Redact(database), version, m.Latest()); err != nil || m.Copied() == "" {
			return err
		}
		_, err = fmt.Fprintf(s.stdout, "a copy of before is %s\n", clean(m.Copied()))
		return err
	})
}

// withSchema opens the database; only to bring it up may it be missing.
func (s *session) withSchema(ctx context.Context, use app.SchemaUse, do func(database string, m *schema.Schema) error) (err error) {
	cfg, err := s.settings(func(c *config.Config) { replace(&c.Database, s.cli.Migrate.Database) }, "database")
	if err != nil {
		return err
	}
	if use != app.BringUp {
		if err := mustExist(cfg.Database); err != nil {
			return err
		}
	}
	m, done, err := app.OpenSchema(ctx, cfg.Database, use)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return do(cfg.Database, m)
}
