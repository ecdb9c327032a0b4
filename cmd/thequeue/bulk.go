package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/schollz/progressbar/v3"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/task"
)

// A batch ends at the first of these limits, which are below those of the server.
const (
	batchTasks = 1000
	batchBytes = 8 << 20
	maxLine    = 64 << 20 // longer than any server takes
)

// bulk sends the lines of a file in batches, each of which is stored as a whole or not at all.
type bulk struct {
	queue  tasks
	stored func([]client.Receipt) error // told of each batch
	read   func(bytes int)              // told of each line

	line  int // the last that was read, counted from 1
	specs []task.Spec
	lines []int // of specs
	bytes int   // of the lines of specs
	done  int   // the last line that is stored
}

func (c *enqueueCmd) many(ctx context.Context, s *session, q tasks) (err error) {
	in, size := s.stdin, int64(-1)
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return &usageError{err}
		}
		defer f.Close()
		in = f
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	out := receipts{s: s, asJSON: c.Output == "json"}
	bar := s.progress(size, true)
	b := &bulk{queue: q, stored: out.add, read: func(n int) { bar.Add(n) }}
	err = b.run(ctx, in)
	bar.Exit()
	return errors.Join(err, out.end())
}

func (b *bulk) run(ctx context.Context, in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		b.line++
		b.read(len(lines.Bytes()) + 1)
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		spec, err := parseSpec(lines.Bytes())
		if err != nil {
			return b.stop(renamed(err, func(int) string { return lineName(b.line) }), "")
		}
		if err := b.add(ctx, spec, len(lines.Bytes())); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return b.stop(fmt.Errorf("line %d: %w", b.line+1, err), "")
	}
	return b.send(ctx)
}

func (b *bulk) add(ctx context.Context, spec task.Spec, size int) error {
	if len(b.specs) == batchTasks || len(b.specs) > 0 && b.bytes+size > batchBytes {
		if err := b.send(ctx); err != nil {
			return err
		}
	}
	b.specs, b.lines, b.bytes = append(b.specs, spec), append(b.lines, b.line), b.bytes+size
	return nil
}

// send stores the batch that has gathered.
func (b *bulk) send(ctx context.Context) error {
	if len(b.specs) == 0 {
		return nil
	}
	first, last := b.lines[0], b.lines[len(b.lines)-1]
	receipts, err := b.queue.EnqueueBatch(ctx, b.specs)
	if _, invalid := errors.AsType[*task.InvalidError](err); invalid {
		return b.stop(renamed(err, func(i int) string { return lineName(b.lines[i]) }), "")
	} else if err != nil {
		return b.stop(fmt.Errorf("lines %d to %d: %w", first, last, err), fmt.Sprintf(", whether lines %d to %d are is not known", first, last))
	}
	b.specs, b.lines, b.bytes, b.done = b.specs[:0], b.lines[:0], 0, last
	return b.stored(receipts)
}

// stop says how far the file has come, and how to go on.
func (b *bulk) stop(err error, doubt string) error {
	fate := "nothing is stored"
	if b.done > 0 {
		fate = fmt.Sprintf("lines 1 to %d are stored", b.done)
	}
	if b.done > 0 || doubt != "" {
		doubt += "; if every line has an idempotency_key, sending the whole file again is safe"
	}
	return fmt.Errorf("%w; %s%s", err, fate, doubt)
}

func lineName(n int) string { return fmt.Sprintf("line %d", n) }

// renamed says of which line, by its index in the batch, each field of an InvalidError is; other errors stay.
func renamed(err error, name func(i int) string) error {
	bad, ok := errors.AsType[*task.InvalidError](err)
	if !ok {
		return err
	}
	out := &task.InvalidError{}
	for _, f := range bad.Fields {
		index, field, _ := strings.Cut(strings.TrimPrefix(f.Field, "tasks["), "].")
		i, err := strconv.Atoi(index)
		if err != nil {
			i, field = 0, f.Field
		}
		out.Add(strings.Trim(name(i)+" "+field, " "), "%s", f.Message)
	}
	return out
}

// parseSpec reads a line as strictly as the server reads a request.
func parseSpec(line []byte) (task.Spec, error) {
	var s task.Spec
	err := json.Unmarshal(line, &s, json.RejectUnknownMembers(true))
	if err == nil {
		return s, nil
	}
	e, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return s, task.Invalid("", "is not valid JSON: %s", strings.TrimPrefix(err.Error(), "jsontext: "))
	}
	field := strings.TrimPrefix(string(e.JSONPointer), "/")
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return s, task.Invalid(field, "is not a known field")
	case e.Err != nil:
		return s, task.Invalid(field, "%s", e.Err)
	case field == "":
		return s, task.Invalid("", "must be a JSON object")
	}
	return s, task.Invalid(field, "has the wrong type")
}

// progress shows how far something has come, on a terminal only. A size of -1 is not known.
func (s *session) progress(size int64, bytes bool) *progressbar.ProgressBar {
	return progressbar.NewOptions64(size, progressbar.OptionSetWriter(s.stderr), progressbar.OptionShowBytes(bytes), progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetVisibility(isTerminal(s.stderr)))
}

// receipts writes the answers of a bulk: JSON as they come, in the form of the API; for people a count at the end.
type receipts struct {
	s              *session
	asJSON         bool
	created, known int
}

func (r *receipts) add(batch []client.Receipt) error {
	for _, one := range batch {
		if err := r.one(one); err != nil {
			return err
		}
	}
	return nil
}

func (r *receipts) one(one client.Receipt) error {
	before := ",\n"
	if r.created+r.known == 0 {
		before = `{"tasks":[` + "\n"
	}
	if one.Created {
		r.created++
	} else {
		r.known++
	}
	if !r.asJSON {
		return nil
	}
	text, err := json.Marshal(one)
	if err == nil {
		_, err = fmt.Fprintf(r.s.stdout, "%s%s", before, text)
	}
	return err
}

func (r *receipts) end() error {
	var err error
	switch {
	case r.asJSON && r.created+r.known == 0:
		_, err = fmt.Fprintln(r.s.stdout, `{"tasks":[]}`)
	case r.asJSON:
		_, err = fmt.Fprintln(r.s.stdout, "\n]}")
	case r.known > 0:
		_, err = fmt.Fprintf(r.s.stdout, "%d tasks enqueued, %d known by their keys\n", r.created, r.known)
	default:
		_, err = fmt.Fprintf(r.s.stdout, "%d tasks enqueued\n", r.created)
	}
	return err
}
