package worker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/prismq/thequeue/internal/task"
)

// DefaultMaxOutputBytes is how much of the output of a command and of the body of an HTTP answer becomes the result.
const DefaultMaxOutputBytes = 1 << 20

// errorTailBytes is how much of what a command or a server says goes into an error message.
const errorTailBytes = 2 << 10

// head keeps the first max bytes written to it.
type head struct {
	max  int
	kept []byte
	cut  bool // there was more
}

func (h *head) Write(p []byte) (int, error) {
	n := min(len(p), h.max-len(h.kept))
	h.kept = append(h.kept, p[:n]...)
	h.cut = h.cut || n < len(p)
	return len(p), nil
}

// result returns what was written as the result of an attempt: as it is when it is JSON that the API takes (no name twice in an object, no half
// of a surrogate pair), else its trimmed text as a JSON string, nil when
// there is nothing. Output that was cut is always a string, and ends by saying so. The result is not longer than max, either.
func (h *head) result() *task.JSON {
	text := strings.TrimSpace(string(h.kept))
	if text == "" {
		return nil
	}
	j := task.JSON(text)
	if h.cut || j.Check() != nil {
		j = quote(clean(text, len(text)))
	}
	if h.cut || len(j) > h.max {
		note := fmt.Sprintf("\n[cut: a result holds %d bytes]", h.max)
		excess := len(j) + len(note) + 1 - h.max // the line break is two bytes in JSON
		j = quote(clean(text, max(len(text)-max(excess, 0), 0)) + note)
	}
	return &j
}

// quote returns s as a JSON string.
func quote(s string) task.JSON {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // cannot fail on a string
	return task.JSON(bytes.TrimSpace(b.Bytes()))
}

// tail keeps the last max bytes written to it.
type tail struct {
	max  int
	kept []byte
}

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if n > t.max {
		p = p[n-t.max:]
	}
	t.kept = append(t.kept, p...)
	t.kept = t.kept[max(len(t.kept)-t.max, 0):]
	return n, nil
}

// withText returns err with the text behind it, if there is any.
func withText(err error, text []byte) error {
	s := strings.TrimSpace(clean(string(text), errorTailBytes))
	if s == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, s)
}
