package config

import (
	"net/url"
	"path/filepath"
	"strings"
)

// IsPostgres reports whether database is the URL of a PostgreSQL server; anything else is the path of a SQLite file.
func IsPostgres(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// Redact returns the URL of a database or a server with its password hidden, for messages and logs. A path comes back as it is.
func Redact(where string) string {
	scheme, _, isURL := strings.Cut(where, "://")
	if !isURL {
		return where
	}
	u, err := url.Parse(where)
	if err != nil {
		return scheme + "://(not a valid URL)"
	}
	q := u.Query()
	for name := range q {
		if strings.Contains(strings.ToLower(name), "password") {
			q.Set(name, "xxxxx")
		}
	}
	u.RawQuery = q.Encode()
	return u.Redacted()
}

// defaultDatabase returns queue.db in the directory where this system keeps a user's data; empty when the environment does not tell.
func defaultDatabase(goos string, getenv func(string) string) string {
	var dir string
	home := getenv("HOME")
	switch {
	case goos == "windows":
		dir = getenv("LocalAppData")
	case goos == "darwin" && home != "":
		dir = filepath.Join(home, "Library", "Application Support")
	case filepath.IsAbs(getenv("XDG_DATA_HOME")): // a relative one is to be ignored, says its specification
		dir = getenv("XDG_DATA_HOME")
	case home != "":
		dir = filepath.Join(home, ".local", "share")
	}
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "thequeue", "queue.db")
}
