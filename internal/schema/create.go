package schema

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pressly/goose/v3"
)

var titleRule = regexp.MustCompile(`^[a-z][a-z0-9_]{0,59}$`)

// blank is a migration in which nothing is written yet.
const blank = "-- +goose Up\n\n-- +goose Down\n"

// Create makes an empty migration for each engine in its folder in dir, with the number after the greatest that either has, and returns their paths. Spaces and hyphens of
// the title become underscores. ErrTitle; nothing is made where a file cannot be.
func Create(dir, title string) (paths []string, err error) {
	name := strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(strings.TrimSpace(title)))
	if !titleRule.MatchString(name) {
		return nil, ErrTitle
	}
	next := int64(1)
	for _, e := range []Engine{SQLite, Postgres} {
		entries, err := os.ReadDir(filepath.Join(dir, string(e)))
		if err != nil {
			return nil, fmt.Errorf("%w: run this at the root of the repository, or name its folder with --dir", err)
		}
		for _, f := range entries {
			if v, err := goose.NumericComponent(f.Name()); err == nil {
				next = max(next, v+1)
			}
		}
	}
	for _, e := range []Engine{SQLite, Postgres} {
		path := filepath.Join(dir, string(e), fmt.Sprintf("%05d_%s.sql", next, name))
		if err := writeNew(path, blank); err != nil {
			for _, p := range paths {
				err = errors.Join(err, os.Remove(p))
			}
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// ErrTitle: the title of a migration will not do as the name of a file.
var ErrTitle = errors.New("the title must begin with a letter and be made of up to 60 letters, digits, spaces, - and _")

func writeNew(path, text string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s exists already", path)
		}
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
