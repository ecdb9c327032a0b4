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
}

type (
	upCmd     struct{}
	downCmd   struct{}
	redoCmd   struct{}
	statusCmd struct {
		Output string `short:"o" enum:"table,json" default:"table" help:"How to answer: table for people, json for programs."`
	}
)

func (c *upCmd) Run(ctx context.Context, s *session) error {
	return s.migrate(ctx, true, func(m *schema.Schema) error { return m.Up(ctx) })
}

func (c *downCmd) Run(ctx context.Context, s *session) error {
	return s.migrate(ctx, false, func(m *schema.Schema) error { return m.Down(ctx) })
}

func (c *redoCmd) Run(ctx context.Context, s *session) error {
	return s.migrate(ctx, false, func(m *schema.Schema) error { return m.Redo(ctx) })
}

func (c *statusCmd) Run(ctx context.Context, s *session) error {
	return s.withSchema(ctx, false, func(_ string, m *schema.Schema) error {
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
func (s *session) migrate(ctx context.Context, create bool, change func(*schema.Schema) error) error {
	return s.withSchema(ctx, create, func(database string, m *schema.Schema) error {
		if err := change(m); err != nil {
			return err
		}
		version, err := m.Version(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.stdout, "%s has version %d; this binary has %d\n", config.Redact(database), version, m.Latest())
		return err
	})
}

// withSchema opens the database; only with create may it be missing.
func (s *session) withSchema(ctx context.Context, create bool, do func(database string, m *schema.Schema) error) (err error) {
	cfg, err := s.settings(func(c *config.Config) { replace(&c.Database, s.cli.Migrate.Database) }, "database")
	if err != nil {
		return err
	}
	if !create {
		if err := mustExist(cfg.Database); err != nil {
			return err
		}
	}
	m, done, err := app.OpenSchema(ctx, cfg.Database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return do(cfg.Database, m)
}
