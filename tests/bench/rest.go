package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prismq/thequeue/tests/bench/server"
	"github.com/prismq/thequeue/tests/bench/stat"
)

// withServer starts a server with data of its own, runs do, and ends it. kind is thequeue, constant or naive.
func (h *Harness) withServer(ctx context.Context, kind string, do func(s *server.HTTP) error) (err error) {
	dir, err := os.MkdirTemp(h.dir, kind+"-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var s *server.HTTP
	if kind == "thequeue" {
		s, err = server.StartQueue(ctx, h.program("thequeue"), filepath.Join(dir, "queue.db"), dir)
	} else {
		s, err = server.StartBaseline(ctx, h.program("baseline"), kind, dir)
	}
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Stop())
}

// httpConns is the number of keep-alive connections of P7.
const httpConns = 64

// warmUp is how long a server is under load before it is measured.
const warmUp = 200 * time.Millisecond

// overHTTP is P7.
func overHTTP(ctx context.Context, h *Harness) error {
	enqueue := func(l *load) func(int) error { return func(int) error { return l.enqueue(mailBody) } }
	life := func(l *load) func(int) error { return l.life }
	subjects := []struct {
		name, kind string
		work       func(*load) func(int) error
	}{{"enqueue", "thequeue", enqueue}, {"constant", "constant", enqueue}, {"life", "thequeue", life}, {"constant life", "constant", life}, {"naive life", "naive", life}}
	for round := 1; round <= h.Rounds; round++ {
		for _, s := range inOrder(subjects, round) {
			err := h.withServer(ctx, s.kind, func(srv *server.HTTP) error {
				do := s.work(newLoad(srv.Addr, httpConns))
				if _, err := closed(httpConns, warmUp, do); err != nil {
					return err
				}
				rate, err := closed(httpConns, h.loadTime(), do)
				return errors.Join(err, h.add(Measurement{Goal: "P7", Subject: s.name, Round: round, Values: map[string]float64{perSecond: rate}}))
			})
			if err != nil {
				return err
			}
		}
		if h.Margin > 0 { // a share of a core is no ratio
			continue
		}
		if err := h.oldMaximum(ctx, round); err != nil {
			return err
		}
	}
	h.compare("P7", "enqueue/constant", "enqueue", "constant")
	h.compare("P7", "life/naive", "life", "naive life")
	if h.Margin == 0 {
		h.judge("P7", "cpu", h.values("P7", "10,000 lives a minute", coreShare))
	}
	h.limit("P7", "POSTs that echo answers with a constant, same load generator", "/s", h.values("P7", "constant", perSecond), h.values("P7", "enqueue", perSecond))
	h.limit("P7", "lives of three POSTs that echo answers with a constant, same load generator", "/s", h.values("P7", "constant life", perSecond), h.values("P7", "life", perSecond))
	return nil
}

func (h *Harness) loadTime() time.Duration { return time.Duration(h.Load * float64(time.Second)) }

// oldMaximum runs ten times what the old system could at most, 1,000 tasks a minute, and notes the server's processor time; beside it
// that of the server that answers as many requests with a constant.
func (h *Harness) oldMaximum(ctx context.Context, round int) error {
	const every, requests = time.Minute / 10_000, 3
	for _, s := range []struct {
		subject, kind string
		every         time.Duration
		do            func(l *load, i int) error
	}{
		{"10,000 lives a minute", "thequeue", every, func(l *load, i int) error { return l.life(i % waiters) }},
		{"30,000 constants a minute", "constant", every / requests, func(l *load, _ int) error { return l.enqueue(mailBody) }},
	} {
		err := h.withServer(ctx, s.kind, func(srv *server.HTTP) error {
			l := newLoad(srv.Addr, httpConns)
			do := func(i int) error { return s.do(l, i) }
			if _, err := closed(1, warmUp, do); err != nil {
				return err
			}
			share, err := busy(srv, func() error {
				_, err := paced(int(2*h.loadTime()/s.every), s.every, do)
				return err
			})
			return errors.Join(err, h.add(Measurement{Goal: "P7", Subject: s.subject, Round: round, Values: map[string]float64{coreShare: share}}))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// coreShare is the value of processor time.
const coreShare = "% of a core"

// busy is the server's processor time while do runs, in percent of one core.
func busy(srv *server.HTTP, do func() error) (float64, error) {
	before, err := srv.CPU()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := do(); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	after, err := srv.CPU()
	return 100 * (after - before).Seconds() / took.Seconds(), err
}

const (
	pace      = 2 * time.Millisecond  // between two calls of one kind in P8: 500 a second
	slowPace  = 10 * time.Millisecond // of the tasks for workers that wait: 100 a second
	waiters   = 8
	paceConns = 256 // connections enough that none waits for another
)

// promptly is P8: the latencies of calls at a fixed rate, and how soon a waiting worker has a task.
//
// The p99 is that of the calls of all rounds together: of one round it is its twenty slowest calls, which one slow sync of the disk makes.
func promptly(ctx context.Context, h *Harness) error {
	var calls paces
	for round := 1; round <= h.Rounds; round++ {
		err := h.withServer(ctx, "thequeue", func(srv *server.HTTP) error { return h.steady(srv, round, &calls) })
		for subject, every := range map[string]time.Duration{"waiting workers": slowPace, "waiting workers, 500 a second": pace} {
			if err == nil {
				err = h.withServer(ctx, "thequeue", func(srv *server.HTTP) error { return h.started(srv, subject, every, round) })
			}
		}
		if err != nil {
			return err
		}
	}
	for _, row := range []string{"enqueue-p95", "claim-p95"} {
		h.judge("P8", row, h.values("P8", "500 a second", strings.ReplaceAll(row, "-", "_")+"_ms"))
	}
	h.judge("P8", "enqueue-p99", []float64{ms(stat.Percentile(calls.enqueues, 99))})
	h.judge("P8", "claim-p99", []float64{ms(stat.Percentile(calls.claims, 99))})
	h.judge("P8", "start-p95", h.values("P8", "waiting workers", "start_p95_ms"))
	h.judge("P8", "start-p95-loaded", h.values("P8", "waiting workers, 500 a second", "start_p95_ms"))
	return nil
}

// paces are the times that calls took, over all rounds.
type paces struct{ enqueues, claims []time.Duration }

// steady sends 500 enqueues a second and 500 claims a second, and completes what it gets at once.
func (h *Harness) steady(srv *server.HTTP, round int, all *paces) error {
	l := newLoad(srv.Addr, paceConns)
	if _, err := closed(waiters, warmUp, l.life); err != nil {
		return err
	}
	n := int(2 * h.loadTime() / pace)
	var enqueues, claims []time.Duration
	var enqueueErr, claimErr error
	var wg sync.WaitGroup
	wg.Go(func() { enqueues, enqueueErr = paced(n, pace, func(int) error { return l.enqueue(mailBody) }) })
	time.Sleep(pace / 2)
	var completes sync.WaitGroup
	var failed firstError
	var found atomic.Int64
	claims, claimErr = paced(n, pace, func(i int) error {
		tasks, err := l.claim(i%waiters, 0)
		found.Add(int64(len(tasks)))
		for _, c := range tasks {
			completes.Go(func() { failed.keep(l.complete(c)) }) // the claim has its answer, which is all that it is timed for
		}
		return err
	})
	wg.Wait()
	completes.Wait()
	if err := errors.Join(enqueueErr, claimErr, failed.err); err != nil {
		return err
	}
	if int(found.Load()) < n*9/10 {
		return fmt.Errorf("%d of %d claims found a task: what was measured is mostly empty claims", found.Load(), n)
	}
	all.enqueues, all.claims = append(all.enqueues, enqueues...), append(all.claims, claims...)
	return h.add(Measurement{Goal: "P8", Subject: "500 a second", Round: round, Values: map[string]float64{
		"enqueue_p50_ms": ms(stat.Percentile(enqueues, 50)), "enqueue_p95_ms": ms(stat.Percentile(enqueues, 95)), "enqueue_p99_ms": ms(stat.Percentile(enqueues, 99)),
		"claim_p50_ms": ms(stat.Percentile(claims, 50)), "claim_p95_ms": ms(stat.Percentile(claims, 95)), "claim_p99_ms": ms(stat.Percentile(claims, 99)),
	}})
}

// firstError keeps the first error that it is given.
type firstError struct {
	mu  sync.Mutex
	err error
}

func (f *firstError) keep(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

// started has 8 workers wait for tasks that come at a fixed rate, each of which says when its producer called.
func (h *Harness) started(srv *server.HTTP, subject string, every time.Duration, round int) error {
	l := newLoad(srv.Addr, paceConns)
	n := int(2 * h.loadTime() / every)
	var mu sync.Mutex
	var starts []time.Duration
	full := make(chan struct{})
	var failed firstError
	var wg sync.WaitGroup
	for i := range waiters {
		wg.Go(func() {
			for {
				tasks, err := l.claim(i, time.Second)
				for _, c := range tasks {
					mu.Lock()
					starts = append(starts, time.Since(time.Unix(0, c.Payload.Sent)))
					if len(starts) == n {
						close(full)
					}
					mu.Unlock()
					err = errors.Join(err, l.complete(c))
				}
				failed.keep(err)
				select {
				case <-full:
					return
				default:
				}
				if err != nil {
					return
				}
			}
		})
	}
	_, err := paced(n, every, func(int) error {
		return l.enqueue(fmt.Appendf(nil, `{"type":"email","payload":{"sent":%d}}`, time.Now().UnixNano()))
	})
	wg.Wait()
	if err := errors.Join(err, failed.err); err != nil {
		return err
	}
	return h.add(Measurement{Goal: "P8", Subject: subject, Round: round, Values: map[string]float64{
		"start_p50_ms": ms(stat.Percentile(starts, 50)), "start_p95_ms": ms(stat.Percentile(starts, 95)), "start_p99_ms": ms(stat.Percentile(starts, 99)),
	}})
}
