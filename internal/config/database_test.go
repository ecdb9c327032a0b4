package config

import (
	"path/filepath"
	"testing"
)

func TestDefaultDatabaseIsInTheUsersDataDirectory(t *testing.T) {
	t.Parallel()
	abs := func(p string) string { a, _ := filepath.Abs(filepath.FromSlash(p)); return a }
	for _, c := range []struct {
		goos string
		env  map[string]string
		want string
	}{
		{"linux", map[string]string{"HOME": abs("/h")}, abs("/h/.local/share/thequeue/queue.db")},
		{"linux", map[string]string{"HOME": abs("/h"), "XDG_DATA_HOME": abs("/x")}, abs("/x/thequeue/queue.db")},
		{"linux", map[string]string{"HOME": abs("/h"), "XDG_DATA_HOME": "rel"}, abs("/h/.local/share/thequeue/queue.db")},
		{"darwin", map[string]string{"HOME": abs("/h"), "XDG_DATA_HOME": abs("/x")}, abs("/h/Library/Application Support/thequeue/queue.db")},
		{"windows", map[string]string{"LocalAppData": abs("/l"), "HOME": abs("/h")}, abs("/l/thequeue/queue.db")},
		{"linux", nil, ""},
		{"windows", map[string]string{"HOME": abs("/h")}, ""},
	} {
		if got := defaultDatabase(c.goos, func(name string) string { return c.env[name] }); got != c.want {
			t.Errorf("%s %v: got %s, want %s", c.goos, c.env, got, c.want)
		}
	}
}
