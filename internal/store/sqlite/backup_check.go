package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/prismq/thequeue/db/sqlitedb"
	"github.com/prismq/thequeue/internal/schema"
	"github.com/prismq/thequeue/internal/task"
)

// unusable says why a file is no backup.
func unusable(format string, args ...any) error {
	return fmt.Errorf("%w: %w", task.ErrUnusable, fmt.Errorf(format, args...))
}

// Unpack writes a SQLite file of the length that its header states, for which there must be room, and refuses one that is shorter or longer.
func (Backups) Unpack(to *os.File, from io.Reader) error {
	header := make([]byte, headerLength)
	if _, err := io.ReadFull(from, header); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return unusable("it is too short for a SQLite file")
	} else if err != nil {
		return err
	}
	size, err := sizeIn(header)
	if err != nil {
		return err
	}
	if err := roomFor(filepath.Dir(to.Name()), size); err != nil {
		return err
	}
	if _, err := to.Write(header); err != nil {
		return err
	}
	n, err := io.Copy(to, io.LimitReader(from, size-headerLength+1))
	if err == nil && n != size-headerLength {
		err = unusable("it does not have the %d bytes that its header states", size)
	}
	return err
}

// sizeIn returns the length of the file that a header states.
func sizeIn(header []byte) (int64, error) {
	if string(header[:len(headerMagic)]) != headerMagic {
		return 0, unusable("it is no SQLite file")
	}
	page := int64(binary.BigEndian.Uint16(header[pageSizeAt:]))
	if page == 1 {
		page = largestHeader
	}
	pages := int64(binary.BigEndian.Uint32(header[pageCountAt:]))
	if page < 512 || page&(page-1) != 0 || pages == 0 {
		return 0, unusable("the header of its SQLite file is damaged")
	}
	return page * pages, nil
}

// Check reads the file alone, whatever lies beside it, trusts nothing in its schema, and runs none of its triggers and views.
func (Backups) Check(ctx context.Context, path string) (version int64, err error) {
	registerBackup()
	if info, err := os.Lstat(path); err != nil {
		return 0, err
	} else if !info.Mode().IsRegular() {
		return 0, unusable("%s is not a regular file", path)
	}
	db, err := driver.Open(fileURI(path, url.Values{"vfs": {backupGuard}, "mode": {"ro"}, "immutable": {"1"}},
		"trusted_schema(off)", "cell_size_check(on)", "query_only(on)", "temp_store(memory)", "cache_size(-16000)"), distrust)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	version, err = examine(ctx, db)
	switch {
	case err == nil, ctx.Err() != nil:
		return version, ctx.Err()
	case errors.Is(err, task.ErrUnusable):
		return 0, err
	}
	return 0, unusable("%w", err)
}

// distrust sets up a connection to a file that a stranger may have made.
func distrust(c *sqlite3.Conn) error {
	_, defensive := c.Config(sqlite3.DBCONFIG_DEFENSIVE, true)
	_, triggers := c.Config(sqlite3.DBCONFIG_ENABLE_TRIGGER, false)
	_, views := c.Config(sqlite3.DBCONFIG_ENABLE_VIEW, false)
	return errors.Join(defensive, triggers, views)
}

// examine returns the version of the schema of a database that is whole.
func examine(ctx context.Context, db *sql.DB) (int64, error) {
	have, err := objectsOf(ctx, db)
	if err != nil {
		return 0, err
	}
	version, err := schema.Look(ctx, schema.SQLite, db)
	switch {
	case err != nil:
		return 0, err
	case version == 0:
		return 0, unusable("it is not a database of this program: it has no schema of ours")
	}
	if err := schema.CheckKnown(schema.SQLite, version); err != nil {
		return 0, err
	}
	want, err := schemaAt(ctx, version)
	if err != nil {
		return 0, err
	}
	if err := compareSchemas(have, want); err != nil {
		return 0, err
	}
	if err := complaints(ctx, db, "PRAGMA integrity_check(10)", func(row []string) string {
		if row[0] == "ok" {
			return ""
		}
		return row[0]
	}); err != nil {
		return 0, err
	}
	return version, complaints(ctx, db, "PRAGMA foreign_key_check", func(row []string) string { return "a foreign key of " + row[0] + " leads nowhere" })
}

// object is what a schema is made of.
type object struct{ kind, name, text string }

// objectsOf returns the objects of a schema; the text of each is its statement, with single spaces.
func objectsOf(ctx context.Context, db *sql.DB) ([]object, error) {
	rows, err := sqlitedb.New(db).ListSchema(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]object, len(rows))
	for i, r := range rows {
		var o [3]string
		if err := json.Unmarshal([]byte(fmt.Sprint(r)), &o); err != nil {
			return nil, unusable("its schema cannot be read: %w", err)
		}
		out[i] = object{o[0], o[1], bare(o[2])}
	}
	return out, nil
}

// made reports whether the statement of an object makes such a thing, whatever it is said to be.
func (o object) made(kind string) bool {
	return strings.HasPrefix(strings.ToUpper(o.text), "CREATE "+kind)
}

// compareSchemas demands that nothing is missing, and that nothing that runs by itself has been added or changed. Tables, views and indexes of others do no harm.
func compareSchemas(have, want []object) error {
	type key struct{ kind, name string }
	there := make(map[key]string)
	for _, o := range have {
		there[key{o.kind, o.name}] = o.text
		if o.made("VIRTUAL") {
			return unusable("it has the virtual table %s, and this program makes none", o.name)
		}
	}
	for _, o := range want {
		text, ok := there[key{o.kind, o.name}]
		switch {
		case !ok:
			return unusable("it lacks the %s %s of its version of the schema", o.kind, o.name)
		case o.kind != "table" && text != o.text:
			return unusable("its %s %s is not that of its version of the schema", o.kind, o.name)
		}
		delete(there, key{o.kind, o.name})
	}
	for k, text := range there {
		if o := (object{k.kind, k.name, text}); o.kind == "trigger" || o.made("TRIGGER") {
			return unusable("it has the trigger %s, which is not of this program", o.name)
		}
	}
	return nil
}

// bare is a statement with single spaces.
func bare(text string) string { return strings.Join(strings.Fields(text), " ") }

// schemaAt returns the schema that the migrations up to a version make.
func schemaAt(ctx context.Context, version int64) (_ []object, err error) {
	db, err := driver.Open(":memory:")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	s, err := schema.New(schema.SQLite, db)
	if err != nil {
		return nil, err
	}
	if err := s.UpTo(ctx, version); err != nil {
		return nil, err
	}
	return objectsOf(ctx, db)
}

// complaints runs a pragma that answers with what is wrong, and returns the first few of what say makes of it.
func complaints(ctx context.Context, db *sql.DB, pragma string, say func(row []string) string) (err error) {
	rows, err := db.QueryContext(ctx, pragma)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	var found []string
	for rows.Next() && len(found) < 3 {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		row := make([]string, len(values))
		for i, v := range values {
			row[i] = v.String
		}
		if what := say(row); what != "" {
			found = append(found, bare(what))
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(found) > 0 {
		return unusable("%s", strings.Join(found, "; "))
	}
	return nil
}
