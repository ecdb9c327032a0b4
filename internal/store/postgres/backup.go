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
	"slices"
	"strconv"
	"strings"

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

// Check has pg_restore list what is in an archive and read it to its end. What is there and what this program does not make is not restored.
func (b Backups) Check(ctx context.Context, path string) (version int64, err error) {
	entries, err := contentsOf(ctx, path)
	if err != nil {
		return 0, err
	}
	for _, name := range []string{"task_queue", "task_logs", "workers", "goose_db_version"} {
		if !slices.ContainsFunc(entries, func(e entry) bool { return e.kind == "TABLE DATA" && e.name == name }) {
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
