package testdb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// localTimeout bounds initdb and the start of the server.
const localTimeout = time.Minute

// script makes a cluster in a directory, runs the server on it, and ends both as soon as its standard input ends: with stop, or with
// the test binary, however that ends. Its arguments are the folder of the binaries, the directory, the port and the server's settings.
// A signal to the whole group does not keep it from cleaning up.
const script = `
trap '' HUP INT TERM
bin=$1 dir=$2 port=$3
shift 3
"$bin/initdb" -D "$dir/data" -U postgres -A scram-sha-256 --pwfile="$dir/password" -E UTF8 --locale=C --no-sync >"$dir/log" 2>&1 || exit 1
"$bin/postgres" -D "$dir/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= "$@" >>"$dir/log" 2>&1 &
read -r _
kill -INT $!
wait $!
rm -rf "$dir"
`

// startLocal runs the newest server installed on a free port of the loopback address.
func startLocal(ctx context.Context) (*server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "thequeue-postgres-")
	if err != nil {
		return nil, err
	}
	password := rand.Text()
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(password), 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	args := append([]string{"sh", "-c", script, "sh", bin, dir, strconv.Itoa(port)}, settings()...)
	if os.Getuid() == 0 {
		if args, err = asOther(args, dir); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	s := &server{url: fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres?sslmode=disable", password, port)}
	if s.stop, err = run(ctx, args, dir, s.url); err != nil {
		return nil, fmt.Errorf("server binaries in %s: %w", bin, err)
	}
	return s, nil
}

// run starts the command and waits until the server answers. stop ends it and waits for that.
func run(ctx context.Context, args []string, dir, url string) (stop func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = func() error {
		_ = in.Close() // it may have ended by itself
		<-ended
		return os.RemoveAll(dir)
	}
	if err := awaitAnswer(ctx, url, ended); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log")) // without it the error alone must do
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, log), stop())
	}
	return stop, nil
}

// awaitAnswer returns when the server takes connections, or has ended.
func awaitAnswer(ctx context.Context, url string, ended chan error) error {
	for {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case err := <-ended:
			ended <- err
			return fmt.Errorf("the server did not start: %w", err)
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// binaries returns the folder of the newest initdb and postgres.
func binaries() (string, error) {
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	best, newest := "", 0
	for _, path := range installed {
		dir := filepath.Dir(path)
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && v > newest {
			best, newest = dir, v
		}
	}
	if best != "" {
		return best, nil
	}
	path, err := exec.LookPath("initdb")
	return filepath.Dir(path), err
}

// freePort returns a port that nobody listens on just now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// asOther makes the command run as another user than root, which the server refuses to be, and gives that user the directory.
func asOther(args []string, dir string) ([]string, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	for _, path := range []string{dir, filepath.Join(dir, "password")} {
		if err := os.Chown(path, uid, -1); err != nil {
			return nil, err
		}
	}
	return append([]string{"setpriv", "--reuid=" + u.Uid, "--regid=" + u.Gid, "--init-groups"}, args...), nil
}
