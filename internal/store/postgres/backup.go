package postgres

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/task"
)

// Backups is what this engine does for backups of one database: it runs pg_dump and pg_restore. It is safe for concurrent use, and needs no store.
type Backups struct{ url string }

// NewBackups returns that of the database that the URL names.
func NewBackups(url string) Backups { return Backups{url} }

// Backups returns that of the database of the store.
func (s *Store) Backups() Backups { return Backups{s.cfg.ConnString()} }

// Suffix ends the names of backups, which are archives of pg_dump in its custom form.
func (Backups) Suffix() string { return ".dump" }

// Packed is true: pg_dump compresses.
func (Backups) Packed() bool { return true }

// Copy has pg_dump write the snapshot of one transaction.
func (b Backups) Copy(ctx context.Context, to string, step func(done, total int64) error) (version int64, err error) {
	if version, err = b.version(ctx, b.url); err != nil {
		return 0, err
	}
	if version == 0 {
		return 0, errors.New("the database has no schema: `thequeue migrate up` makes it")
	}
	return version, b.dump(ctx, to, step)
}

// dump writes the database to the empty file at a path.
func (b Backups) dump(ctx context.Context, to string, step func(done, total int64) error) (err error) {
	cmd, err := client(ctx, "pg_dump", b.url, "--format=custom", "--no-owner", "--no-privileges", "--lock-wait-timeout=10s")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := &pieces{to: f, step: step}
	cmd.Stdout = w
	if err := run(cmd); err != nil {
		return cmp.Or(w.err, err)
	}
	return errors.Join(w.err, f.Sync())
}

// version returns that of the schema of a database; 0: it has none of ours.
func (b Backups) version(ctx context.Context, url string) (version int64, err error) {
	s, done, err := OpenSchema(ctx, url)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, done()) }()
	return s.Look(ctx)
}

// syncBytes are written between two syncs.
const syncBytes = 4 << 20

// pieces writes to a file and tells after each piece.
type pieces struct {
	to           *os.File
	step         func(done, total int64) error
	done, synced int64
	err          error
}

func (p *pieces) Write(b []byte) (int, error) {
	n, err := p.to.Write(b)
	if p.done += int64(n); err == nil && p.done-p.synced >= syncBytes {
		p.synced, err = p.done, p.to.Sync()
	}
	if err == nil {
		err = p.step(p.done, 0)
	}
	p.err = err // and then the program finds nobody who reads
	return n, err
}

// Unpack writes an archive of pg_dump.
func (Backups) Unpack(to *os.File, from io.Reader) error {
	header := make([]byte, len(archiveMagic))
	if _, err := io.ReadFull(from, header); err != nil || string(header) != archiveMagic {
		return cmp.Or(notEnd(err), fmt.Errorf("%w: it is no archive of pg_dump", task.ErrUnusable))
	}
	if _, err := to.Write(header); err != nil {
		return err
	}
	_, err := io.Copy(to, from)
	return err
}

// archiveMagic begins an archive in the custom form.
const archiveMagic = "PGDMP"

// notEnd is an error other than that a file is short.
func notEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// entry is a line of the table of contents: its number, two object ids, what it is, its schema, and its name.
var entry = regexp.MustCompile(`^\d+; \d+ \d+ (TABLE DATA|TABLE ATTACH|TABLE|SEQUENCE OWNED BY|SEQUENCE SET|SEQUENCE|DEFAULT|CONSTRAINT|FK CONSTRAINT|CHECK CONSTRAINT|INDEX|TRIGGER|FUNCTION|VIEW|TYPE|DOMAIN|STATISTICS DATA|STATISTICS|COMMENT|SCHEMA|ENCODING|STDSTRINGS|SEARCHPATH) \S+ (.*) \S*$`)

// Check has pg_restore list what is in an archive, of which nothing may be there that this program does not make, and read it to its end.
func (b Backups) Check(ctx context.Context, path string) (version int64, err error) {
	list, err := client(ctx, "pg_restore", "", "--list", path)
	if err != nil {
		return 0, err
	}
	var contents bytes.Buffer
	list.Stdout = &contents
	if err := run(list); err != nil {
		return 0, unusable(ctx, err)
	}
	tables := make(map[string]bool)
	for line := range strings.Lines(contents.String()) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, ";") {
			continue
		}
		m := entry.FindStringSubmatch(line)
		if m == nil {
			return 0, unusable(ctx, fmt.Errorf("it has what this program does not make: %s", line))
		}
		if m[1] == "TABLE DATA" {
			tables[m[2]] = true
		}
	}
	for _, name := range []string{"task_queue", "task_logs", "workers", "goose_db_version"} {
		if !tables[name] {
			return 0, unusable(ctx, fmt.Errorf("it lacks the table %s", name))
		}
	}
	if version, err = b.archived(ctx, path); err != nil {
		return 0, unusable(ctx, err)
	}
	if version == 0 {
		return 0, unusable(ctx, errors.New("it does not say which version of the schema it has"))
	}
	if err := schema.CheckKnown(schema.Postgres, version); err != nil {
		return 0, unusable(ctx, err)
	}
	whole, err := client(ctx, "pg_restore", "", "--file=-", path)
	if err != nil {
		return 0, err
	}
	whole.Stdout = io.Discard
	if err := run(whole); err != nil {
		return 0, unusable(ctx, err)
	}
	return version, nil
}

// archived returns the version of the schema in an archive, from the rows of goose.
func (Backups) archived(ctx context.Context, path string) (version int64, err error) {
	cmd, err := client(ctx, "pg_restore", "", "--data-only", "--table=goose_db_version", "--file=-", path)
	if err != nil {
		return 0, err
	}
	var text bytes.Buffer
	cmd.Stdout = &text
	if err := run(cmd); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(&text)
	rows := false
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, `COPY `):
			rows = true
		case line == `\.`:
			rows = false
		case rows:
			if fields := strings.Split(line, "\t"); len(fields) >= 3 && fields[2] == "t" {
				v, err := strconv.ParseInt(fields[1], 10, 64)
				if err != nil {
					return 0, err
				}
				version = max(version, v)
			}
		}
	}
	return version, lines.Err()
}

// unusable says why a file is no backup, unless the context has ended.
func unusable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", task.ErrUnusable, err)
}

// Restore has pg_restore drop what is there and make it anew in one transaction, while no other process of this program uses the database. What was there is
// dumped to a file in dir before.
func (b Backups) Restore(ctx context.Context, target, dir string, now time.Time, fill func(*os.File) error) (database, replaced string, version int64, err error) {
	to := Backups{cmp.Or(target, b.url)}
	private, err := os.MkdirTemp("", "thequeue-restore-")
	if err != nil {
		return "", "", 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(private)) }()
	f, err := os.OpenFile(filepath.Join(private, "archive.dump"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", "", 0, err
	}
	if err := errors.Join(fill(f), f.Close()); err != nil {
		return "", "", 0, err
	}
	if version, err = b.Check(ctx, f.Name()); err != nil {
		return "", "", 0, err
	}
	s, done, err := OpenSchema(ctx, to.url)
	if err != nil {
		return "", "", 0, err
	}
	defer func() { err = errors.Join(err, done()) }()
	err = s.Alone(ctx, func() error {
		replaced, err = to.replace(ctx, s, f.Name(), version, filepath.Join(dir, task.ReplacedBackup+now.UTC().Format("20060102T150405.000Z")+b.Suffix()))
		return err
	})
	if errors.Is(err, schema.ErrInUse) {
		err = fmt.Errorf("%w: %w", task.ErrConflict, err)
	}
	return redacted(to.url), replaced, version, err
}

// replace puts an archive of a version in the place of the database; keep is where that is dumped to before.
func (b Backups) replace(ctx context.Context, s *schema.Schema, archive string, version int64, keep string) (replaced string, err error) {
	args := []string{"--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"}
	have, err := s.Look(ctx)
	switch {
	case err != nil:
		return "", err
	case have != 0 && have != version:
		return "", fmt.Errorf("%w: the database has version %d of the schema, and the backup %d: make an empty database (createdb), restore to that with --to, and let the server use it", task.ErrConflict, have, version)
	case have != 0:
		f, err := os.OpenFile(keep, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return "", err
		}
		nothing := func(int64, int64) error { return nil }
		if err := errors.Join(f.Close(), b.dump(ctx, keep, nothing)); err != nil {
			return "", errors.Join(fmt.Errorf("keep what is there: %w", err), os.Remove(keep))
		}
		replaced, args = keep, append(args, "--clean", "--if-exists")
	}
	cmd, err := client(ctx, "pg_restore", b.url, append(args, archive)...)
	if err != nil {
		return "", err
	}
	return replaced, run(cmd)
}

// redacted is a URL without its password.
func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Redacted()
}

// run runs a command, and says what it has said.
func run(cmd *exec.Cmd) error {
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	if err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(said.String()), "\n")
	return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, strings.Join(lines[max(0, len(lines)-3):], "; "))
}
