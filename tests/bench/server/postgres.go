package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres is a server on which databases may be made.
type Postgres struct {
	process *Process // nil: somebody else's server
	data    string   // its files
	url     string
}

// StartPostgres uses the server that BENCH_POSTGRES_URL names, or else runs the newest server binaries of this machine with a cluster below
// dir, fsync on, everything else as the distribution has it but for the number of connections. ErrMissing without either.
func StartPostgres(ctx context.Context, dir string) (*Postgres, error) {
	if u := os.Getenv("BENCH_POSTGRES_URL"); u != "" {
		return &Postgres{url: u}, nil
	}
	bin, err := postgresBinaries()
	if err != nil {
		return nil, err
	}
	data, err := os.MkdirTemp(dir, "postgres-")
	if err != nil {
		return nil, err
	}
	as, err := notRoot(dir, data)
	if err != nil {
		return nil, err
	}
	init := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", filepath.Join(data, "cluster"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
	init.SysProcAttr, init.Dir = as, data
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(bin, "postgres"), "-D", filepath.Join(data, "cluster"), "-p", port, "-c", "listen_addresses="+host,
		"-c", "unix_socket_directories=", "-c", "max_connections=400", "-c", "fsync=on")
	cmd.SysProcAttr, cmd.Dir = as, data
	p, err := start(cmd)
	if err != nil {
		return nil, err
	}
	s := &Postgres{process: p, data: data, url: fmt.Sprintf("postgres://postgres@%s/postgres?sslmode=disable", addr)}
	err = p.await(ctx, 20*time.Millisecond, func() error { return s.exec(ctx, "SELECT 1") })
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// postgresBinaries returns the folder of the newest server.
func postgresBinaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	best, newest := "", -1
	for _, path := range found {
		dir := filepath.Dir(path)
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && v > newest {
			best, newest = dir, v
		}
	}
	if best == "" {
		return "", fmt.Errorf("PostgreSQL: %w", ErrMissing)
	}
	return best, nil
}

// notRoot returns the attributes of a process of another user than root, which PostgreSQL refuses to be, and gives that user the last
// directory; all of them become passable. Nil when this process is not root's.
func notRoot(dirs ...string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		if err := os.Chmod(dir, 0o711); err != nil {
			return nil, err
		}
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, os.Chown(dirs[len(dirs)-1], int(uid), int(gid))
}

// Stop ends the server and removes its files, unless it is somebody else's.
func (s *Postgres) Stop() error {
	if s.process == nil {
		return nil
	}
	return errors.Join(s.process.stop(os.Interrupt), os.RemoveAll(s.data)) // fast: sessions are ended
}

// Vacuum removes dead rows from a database and gathers statistics, as autovacuum does in time.
func (s *Postgres) Vacuum(ctx context.Context, databaseURL string) error {
	at := *s
	at.url = databaseURL
	return at.exec(ctx, "VACUUM (ANALYZE)")
}

// Database makes an empty database, waits until it is on the disk, and returns its URL; drop removes it.
func (s *Postgres) Database(ctx context.Context) (databaseURL string, drop func() error, err error) {
	name := "bench_" + strings.ToLower(rand.Text())
	u, err := url.Parse(s.url)
	if err != nil {
		return "", nil, err
	}
	u.Path = "/" + name
	err = s.exec(ctx, "CREATE DATABASE "+name)
	syscall.Sync() // the files of a new database, which would else be written while it is measured
	return u.String(), func() error { return s.exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)") }, err
}

func (s *Postgres) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}
