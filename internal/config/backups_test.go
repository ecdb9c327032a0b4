package config

import (
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func TestBackupsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		b    Backups
		want string
	}{
		"EveryNoTime":   {Backups{Every: "often", Keep: 1}, "backups.every: must be a length of time of a minute or more in w, d, h, m and s, such as 12h or 1d"},
		"EveryTooOften": {Backups{Every: "59s", Keep: 1}, "backups.every: must be a length of time of a minute or more in w, d, h, m and s, such as 12h or 1d"},
		"CronNoTimes":   {Backups{Cron: "0 3 * *", Keep: 1}, "backups.cron: has 4 fields, and must have minute, hour, day of month, month and day of week, or the second in front of these"},
		"Both":          {Backups{Cron: "0 3 * * *", Every: "1d", Keep: 1}, "backups.cron: goes without backups.every: leave one of them out"},
		"KeepNone":      {Backups{}, "backups.keep: must lie between 1 and 10000"},
		"NUL":           {Backups{Directory: "a\x00", Keep: 1}, "backups.directory: must not hold NUL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := Default(func(string) string { return "" })
			cfg.Backups = c.b
			if err := cfg.Validate(); err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestBackupsByAPlan(t *testing.T) {
	t.Parallel()
	b := Default(func(string) string { return "" }).Backups
	if b.Interval() != 0 || b.Rule() != nil || b.Keep != 10 {
		t.Errorf("by default: %+v", b)
	}
	b.Every = "1d12h"
	if b.Interval() != 36*time.Hour {
		t.Errorf("got %s", b.Interval())
	}
	b.Cron = "0 3 * * *"
	if r := b.Rule(); r == nil || r.Next(time.Date(2026, 1, 1, 4, 0, 0, 0, time.UTC)) != time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC) {
		t.Errorf("got %v", r)
	}
}

func TestWhereBackupsAre(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("/")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ database, directory, data, want string }{
		{filepath.Join(root, "q", "queue.db"), "", "", filepath.Join(root, "q", "queue.db.backups")},
		{filepath.Join(root, "q", "queue.db"), filepath.Join(root, "b"), "", filepath.Join(root, "b")},
		{"postgres://h/d", "", filepath.Join(root, "data"), filepath.Join(root, "data", "thequeue", "postgres.backups")},
		{"postgres://h/d", filepath.Join(root, "b"), "", filepath.Join(root, "b")},
		{"postgres://h/d", "", "", ""},
	} {
		if runtime.GOOS == "darwin" && c.data != "" {
			continue // it goes by HOME alone
		}
		env := map[string]string{"XDG_DATA_HOME": c.data, "LocalAppData": c.data}
		cfg := Config{Database: c.database, Backups: Backups{Directory: c.directory}}
		if got := cfg.BackupsDirectory(func(name string) string { return env[name] }); got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}
