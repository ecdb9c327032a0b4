package backup

import (
	"context"
	"io"
	"time"

	"github.com/prismq/thequeue/internal/clock"
)

// pacer lets bytes pass at a rate.
type pacer struct {
	perSecond int64 // 0: as fast as they come
	began     time.Time
	passed    int64
}

// longestPause lets a pacer that was held up catch up by no more than this.
const longestPause = 100 * time.Millisecond

// pass waits until n bytes more may have passed.
func (p *pacer) pass(ctx context.Context, n int64) error {
	if p.perSecond == 0 {
		return ctx.Err()
	}
	now := clock.Wall()
	if p.began.IsZero() {
		p.began = now
	}
	p.passed += n
	ahead := time.Duration(float64(p.passed)/float64(p.perSecond)*float64(time.Second)) - now.Sub(p.began)
	if ahead < -longestPause {
		p.began, p.passed = now, 0
	}
	if ahead <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(ahead)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pacedReader reads at the rate of a pacer, and tells how far it is.
type pacedReader struct {
	ctx  context.Context
	from io.Reader
	pace *pacer
	tell func(n int64) // nil: nobody is told
}

func (r *pacedReader) Read(b []byte) (int, error) {
	n, err := r.from.Read(b)
	if wait := r.pace.pass(r.ctx, int64(n)); wait != nil {
		return n, wait
	}
	if r.tell != nil {
		r.tell(int64(n))
	}
	return n, err
}
