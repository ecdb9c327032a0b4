package api

import (
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// waiting counts the requests that wait for something to happen: claims, and streams of events. The zero value lets none wait.
type waiting struct {
	most, mostOfOne int

	mu  sync.Mutex
	all int
	by  map[string]int // by the name of the key, or the address where there is none
}

// busyFor is what a caller is told to wait that waits too often already.
const busyFor = 5 * time.Second

// enter lets the request that c is about wait until leave is called. errTooManyWait when too many do already.
func (w *waiting) enter(c echo.Context) (leave func(), err error) {
	who := c.RealIP()
	if key := CallerOf(c).Key; key != nil {
		who = "key " + key.Name
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all >= w.most || w.by[who] >= w.mostOfOne {
		return nil, retryLater(c, errTooManyWait, busyFor)
	}
	if w.by == nil {
		w.by = make(map[string]int)
	}
	w.all++
	w.by[who]++
	return func() { w.leave(who) }, nil
}

func (w *waiting) leave(who string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all--
	if w.by[who]--; w.by[who] == 0 {
		delete(w.by, who)
	}
}
