package worker

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// logInterval is the shortest time between two entries that one attempt writes into the log of its task.
	logInterval = 500 * time.Millisecond
	// maxEntryBytes is the longest entry; more waits for the next. A line that is longer is cut in pieces.
	maxEntryBytes = 16 << 10
	// maxWaitingBytes is how much waits to be sent; what comes faster is dropped, so that nobody is held up.
	maxWaitingBytes = 256 << 10
	// maxLogBytes is how much one attempt may write.
	maxLogBytes = 1 << 20
	// flushTimeout bounds the last entry, which is sent when the attempt has ended.
	flushTimeout = 2 * time.Second
)

// logger is a source that keeps the logs of tasks.
type logger interface {
	AppendLog(ctx context.Context, id int64, token string, l task.Log) (task.Log, error)
}

// lineLog sends what is written to it to the log of a task while an attempt runs: whole lines, as many as have come meanwhile in one entry. Writing never
// waits and never fails. Close sends the rest.
type lineLog struct {
	send func(ctx context.Context, text string) error
	wake chan struct{} // holds one element when there is something to send
	quit chan struct{} // closed by Close
	done chan struct{} // closed when nothing more is sent

	mu      sync.Mutex
	waiting []byte
	written int // bytes that were taken, over all
	dropped int // bytes that were not, since the last entry
}

// lines returns the log of the attempt; nil when its source keeps none.
func (a *Attempt) lines() *lineLog {
	if a.log == nil {
		return nil
	}
	l := &lineLog{wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	l.send = func(ctx context.Context, text string) error {
		_, err := a.log.AppendLog(ctx, a.ID, a.LeaseToken, task.Log{Level: task.Info, Message: text})
		return err
	}
	go l.run()
	return l
}

// Write takes what there is room for.
func (l *lineLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	n := max(0, min(len(p), maxWaitingBytes-len(l.waiting), maxLogBytes-l.written))
	l.waiting, l.written, l.dropped = append(l.waiting, p[:n]...), l.written+n, l.dropped+len(p)-n
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return len(p), nil
}

// Close sends what is left, waits for that a little, and ends the log.
func (l *lineLog) Close() {
	close(l.quit)
	<-l.done
}

func (l *lineLog) run() {
	defer close(l.done)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for last := false; !last; {
		select {
		case <-l.wake:
		case <-l.quit:
		}
		select {
		case <-time.After(logInterval): // for what comes with it
		case <-l.quit:
			last = true
			var stop context.CancelFunc
			ctx, stop = context.WithTimeout(ctx, flushTimeout)
			defer stop()
		}
		for text := l.take(last); text != ""; text = l.take(last) {
			if err := l.send(ctx, text); err != nil { // the lease is lost, or nobody answers: what is left is not worth more
				<-l.quit
				return
			}
			if !last {
				break
			}
		}
	}
}

// take returns the next entry, empty when there is none: whole lines but for the last.
func (l *lineLog) take(last bool) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.waiting), maxEntryBytes)
	if end := bytes.LastIndexByte(l.waiting[:n], '\n'); end >= 0 {
		n = end + 1
	} else if n < maxEntryBytes && !last {
		n = 0 // a line that has not ended
	}
	text := string(bytes.TrimRight(l.waiting[:n], "\r\n"))
	l.waiting = append(l.waiting[:0], l.waiting[n:]...)
	if len(l.waiting) > 0 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	if text = clean(text, maxEntryBytes); l.dropped > 0 && len(l.waiting) == 0 && (text != "" || last) {
		text += fmt.Sprintf("\n[%d bytes more were not kept]", l.dropped)
		l.dropped = 0
	}
	return text
}
