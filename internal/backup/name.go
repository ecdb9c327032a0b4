package backup

import (
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	stampLayout = "20060102T150405.000Z"
	stampPrefix = "thequeue-"
	packed      = ".zst"
	sumSuffix   = ".sha256"
	partial     = ".partial-" // begins the name of a file that is not whole
	lockName    = ".lock"
)

// stamped matches the names that backups get by themselves.
var stamped = regexp.MustCompile(`^thequeue-\d{8}T\d{6}\.\d{3}Z$`)

// Stamp names a backup that was begun at an instant.
func Stamp(at time.Time) string { return stampPrefix + at.UTC().Format(stampLayout) }

// nameForm is what a backup may be called: it becomes a file on every system.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// CheckName says what is wrong with the name of a backup; empty: nothing.
func CheckName(name string) string {
	switch {
	case !nameForm.MatchString(name):
		return "must begin with a letter or digit and have up to 100 of letters, digits, dot, hyphen and underscore"
	case strings.HasSuffix(name, "."), !filepath.IsLocal(name):
		return "cannot be the name of a file on every system: choose another"
	}
	for _, ending := range []string{".db", ".dump", packed, sumSuffix} {
		if strings.HasSuffix(name, ending) {
			return "must not end in " + ending + ": the name is that of the backup, without the endings of its files"
		}
	}
	return ""
}

// known is CheckName as an error about the field name.
func known(name string) error {
	if msg := CheckName(name); msg != "" {
		return task.Invalid("name", "%s", msg)
	}
	return nil
}

// nameOf returns the name of the backup that a file is, by the suffix of its engine.
func nameOf(file, suffix string) (name string, compressed, ok bool) {
	name, compressed = strings.CutSuffix(file, packed)
	if name, ok = strings.CutSuffix(name, suffix); !ok || !nameForm.MatchString(name) {
		return "", false, false
	}
	return name, compressed, true
}
