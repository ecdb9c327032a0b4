package sqlite

import (
	"context"
	"encoding/binary"
	"os"
	"sync"
)

// indexHeader is the first of the two headers of the WAL index, which every commit of any process changes: https://sqlite.org/walformat.html
// section 2.1.
type indexHeader [48]byte

// walSize returns the bytes of the WAL that hold the frames in use, the header included; 0 when there are none.
func (h indexHeader) walSize() int64 {
	pageSize, frames := int64(binary.NativeEndian.Uint16(h[14:])), int64(binary.NativeEndian.Uint32(h[16:]))
	if frames == 0 {
		return 0
	}
	if pageSize == 1 {
		pageSize = 1 << 16
	}
	return 32 + frames*(24+pageSize)
}

// still remembers an answer for as long as nobody has written to the file, so that a queue at rest asks the database nothing.
type still[T any] struct {
	mu     sync.Mutex
	header indexHeader
	known  bool
	answer T
}

// get returns the answer remembered, or that of ask. The header is read before the database is asked: what is committed in between makes
// the next call ask again.
func (c *still[T]) get(ctx context.Context, index *os.File, ask func() (T, error)) (T, error) {
	if err := ctx.Err(); err != nil {
		var none T
		return none, err
	}
	var now indexHeader
	if _, err := index.ReadAt(now[:], 0); err != nil { // then nothing is remembered
		return ask()
	}
	c.mu.Lock()
	answer, known := c.answer, c.known && c.header == now
	c.mu.Unlock()
	if known {
		return answer, nil
	}
	answer, err := ask()
	if err == nil {
		c.mu.Lock()
		c.header, c.known, c.answer = now, true, answer
		c.mu.Unlock()
	}
	return answer, err
}

// peek returns the answer remembered when it still holds, without asking for another.
func (c *still[T]) peek(index *os.File) (answer T, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var now indexHeader
	if !c.known {
		return answer, false
	}
	if _, err := index.ReadAt(now[:], 0); err != nil || c.header != now {
		return answer, false
	}
	return c.answer, true
}
