package postgres

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// client returns a command that runs a program of PostgreSQL on a database; an empty URL: on none. The password is in its environment, where others cannot see it.
func client(ctx context.Context, program, database string, args ...string) (*exec.Cmd, error) {
	path, err := find(program, debian)
	if err != nil {
		return nil, err
	}
	env := os.Environ()
	if database != "" {
		name, password, err := forLibpq(database)
		if err != nil {
			return nil, err
		}
		args = append([]string{"--dbname=" + name, "--no-password"}, args...)
		env = append(env, "PGAPPNAME=thequeue "+program, "PGOPTIONS=", "PGCLIENTENCODING=UTF8")
		if password != "" {
			env = append(env, "PGPASSWORD="+password)
		}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(env, "LC_ALL=C")
	return cmd, nil
}

// debian is where Debian and Ubuntu keep the programs of each version of PostgreSQL.
const debian = "/usr/lib/postgresql/*/bin"

// find returns the path of a program of PostgreSQL: the one in PATH, else that of the newest version in the directories of the pattern.
func find(program, pattern string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil {
		return path, nil
	}
	if installed, err := filepath.Glob(filepath.Join(pattern, program)); err == nil && len(installed) > 0 {
		return slices.MaxFunc(installed, func(a, b string) int { return major(a) - major(b) }), nil
	}
	return "", fmt.Errorf("%s is not installed, and it is what makes and reads backups of PostgreSQL: install the client programs of PostgreSQL (Debian, Ubuntu: apt-get install postgresql-client; macOS: brew install libpq), of the version of the server or a newer one, and have them in PATH", program)
}

// major is the version in the path of a program.
func major(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 where there is none
	return n
}

// libpq are the parameters of a URL that its programs know; the others are of this program's driver.
var libpq = []string{
	"host", "hostaddr", "port", "dbname", "user", "passfile", "connect_timeout", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslsni", "ssl_min_protocol_version", "ssl_max_protocol_version",
	"channel_binding", "gssencmode", "krbsrvname", "service", "target_session_attrs", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
}

// forLibpq returns a URL for the programs of PostgreSQL, and the password that was in it.
func forLibpq(database string) (name, password string, err error) {
	u, err := url.Parse(database)
	if err != nil || !strings.HasPrefix(u.Scheme, "postgres") {
		return "", "", fmt.Errorf("the database must be named by a URL like postgres://user:password@host:5432/name")
	}
	if u.User != nil {
		password, _ = u.User.Password()
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	if p := q.Get("password"); p != "" {
		password = p
	}
	for name := range q {
		if !slices.Contains(libpq, name) {
			q.Del(name)
		}
	}
	u.RawQuery = q.Encode()
	return u.String(), password, nil
}
