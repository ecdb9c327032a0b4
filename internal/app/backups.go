package app

import (
	"log/slog"
	"os"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/store/postgres"
	"github.com/prismq/thequeue/internal/store/sqlite"
)

// Backups returns the directory of the backups of a database that no store of this process has open.
func Backups(cfg config.Config, getenv func(string) string) *backup.Directory {
	d := &backup.Directory{Path: cfg.BackupsDirectory(getenv), Engine: sqlite.NewBackups(cfg.Database), Now: clock.Wall}
	if config.IsPostgres(cfg.Database) {
		d.Engine = postgres.NewBackups(cfg.Database)
	}
	return d
}

// newKeeper returns what makes the backups of a server.
func newKeeper(st store.Store, cfg config.Config, o Options) *backup.Keeper {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	d := Backups(cfg, o.Getenv)
	d.Now = st.Clock().Now
	switch s := st.(type) {
	case *sqlite.Store:
		d.Engine = s.Backups()
		if cfg.Backups.Directory == "" {
			d.Path = s.Path() + ".backups" // the path of the configuration may be another name of it
		}
	case *postgres.Store:
		d.Engine = s.Backups()
	}
	return backup.NewKeeper(d, backup.Plan{Every: cfg.Backups.Interval(), Cron: cfg.Backups.Rule(), Keep: cfg.Backups.Keep}, cfg.Backups.Compress, slog.New(api.LogHandler(o.Log.Handler())))
}
