package postgres

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strings"
)

// entry is a line of the table of contents of an archive.
type entry struct {
	line       string // as pg_restore takes it back with --use-list
	kind, name string // such as TABLE DATA and task_queue; kind is empty for what this program does not make
	schema     string // in which it is; - for what is in none
}

// entryLine has the number of an entry, two object ids, what it is, its schema, and its name.
var entryLine = regexp.MustCompile(`^\d+; \d+ \d+ (TABLE DATA|TABLE ATTACH|TABLE|SEQUENCE OWNED BY|SEQUENCE SET|SEQUENCE|DEFAULT|CONSTRAINT|FK CONSTRAINT|CHECK CONSTRAINT|INDEX|TRIGGER|FUNCTION|VIEW|TYPE|DOMAIN|STATISTICS DATA|STATISTICS|COMMENT|SCHEMA|ENCODING|STDSTRINGS|SEARCHPATH) (\S+) (.*) \S*$`)

// commented are the kinds of things whose comments are restored with them.
var commented = []string{"TABLE", "COLUMN", "CONSTRAINT", "INDEX", "TRIGGER", "FUNCTION", "VIEW", "TYPE", "DOMAIN", "SEQUENCE", "SCHEMA"}

// contentsOf has pg_restore list what is in an archive. task.ErrUnusable for one that it cannot read.
func contentsOf(ctx context.Context, path string) (entries []entry, err error) {
	list, err := client(ctx, "pg_restore", "", "--list", path)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	list.Stdout = &text
	if err := run(list); err != nil {
		return nil, unusable(ctx, err)
	}
	for line := range strings.Lines(text.String()) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, ";") {
			continue
		}
		entries = append(entries, entryOf(line))
	}
	return entries, nil
}

func entryOf(line string) entry {
	e := entry{line: line}
	m := entryLine.FindStringSubmatch(line)
	if m == nil {
		return e
	}
	if about, _, _ := strings.Cut(m[3], " "); m[1] == "COMMENT" && !slices.Contains(commented, about) {
		return e // of an extension, or of another thing that is left out
	}
	e.kind, e.schema, e.name = m[1], m[2], m[3]
	switch {
	case e.kind == "SCHEMA":
		e.schema = e.name
	case e.kind == "COMMENT" && strings.HasPrefix(e.name, "SCHEMA "):
		e.schema = strings.TrimPrefix(e.name, "SCHEMA ")
	}
	return e
}

// ours is the schema in which an archive has the tables of this program.
func ours(entries []entry) string {
	at := slices.IndexFunc(entries, func(e entry) bool { return e.kind == "TABLE DATA" && e.name == "goose_db_version" })
	if at < 0 {
		return ""
	}
	return entries[at].schema
}

// what is the entry without its numbers, for people.
func (e entry) what() string {
	_, rest, _ := strings.Cut(e.line, "; ")
	if words := strings.SplitN(rest, " ", 3); len(words) == 3 {
		rest = words[2]
	}
	return strings.TrimSpace(strings.Replace(rest, " - ", " ", 1))
}
