package config

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"reflect"

	"github.com/prismq/thequeue/internal/task"
)

// Source says where the settings come from.
type Source struct {
	File   string              // JSON, YAML or TOML by its extension; empty: none
	Getenv func(string) string // an empty value is the same as none
	Flags  func(*Config)       // applies the flags that were given; nil: none
	Need   []string            // what must be there beside: worker_id, database, workers (some), handlers (what they run, on this machine)
}

// Load returns the settings of all sources together. What is wrong with any of them comes back at once, as a *task.InvalidError, beside the settings as far as they
// could be read: nothing but a look at what they name may use those. A file that cannot be read or parsed is the error alone: nothing can be said of what is in it.
func Load(s Source) (Config, error) {
	c := Default(s.Getenv)
	var bad task.InvalidError
	if s.File != "" {
		if err := c.readFile(s.File, &bad); err != nil {
			return Config{}, fmt.Errorf("read configuration: %w", err)
		}
	}
	c.readEnv(s.Getenv, &bad)
	if s.Flags != nil {
		s.Flags(&c)
	}
	c.check(s.Need, &bad)
	return c, bad.OrNil()
}

// maxFile is the longest file that is read, in bytes. What is longer was named by mistake, or has no end.
const maxFile = 4 << 20

func (c *Config) readFile(path string, bad *task.InvalidError) error {
	parse, err := parserOf(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	text, err := readAll(path)
	if err != nil {
		return err
	}
	doc, err := parse(bytes.TrimPrefix(text, []byte("\ufeff"))) // which editors of Windows put in front
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	r := reader{bad: bad, line: doc.line}
	r.read(reflect.ValueOf(c).Elem(), doc.tree, nil)
	return nil
}

// readAll returns what is in a file of at most maxFile bytes. It stops reading where that is exceeded: the size of a device is not known before.
func readAll(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: is longer than %d bytes (4 MiB), the most that is read: is it the file you meant?", path, maxFile)
	}
	return text, err
}

func (c *Config) readEnv(getenv func(string) string, bad *task.InvalidError) {
	if path := getenv("PRISMQ_QUEUE_DB_PATH"); path != "" {
		c.Database = path
	}
	readVariables(reflect.ValueOf(c).Elem(), getenv, bad)
}

// readVariables sets the fields of a struct, and of those in it, whose variables are set.
func readVariables(v reflect.Value, getenv func(string) string, bad *task.InvalidError) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("env")
		if name == "" && v.Field(i).Kind() == reflect.Struct {
			readVariables(v.Field(i), getenv, bad)
		}
		if name == "" || getenv(name) == "" {
			continue
		}
		if v.Field(i).Kind() == reflect.String {
			v.Field(i).SetString(getenv(name))
		} else if msg := setJSON(v.Field(i), []byte(getenv(name))); msg != "" {
			bad.Add(name, "%s", msg)
		}
	}
}
