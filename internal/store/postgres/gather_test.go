package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/prismq/thequeue/internal/task"
)

// trial is a gatherer of numbers whose answers are their doubles. Each set, and each number done alone, waits for a word on release.
type trial struct {
	gatherer[int, int]
	release chan struct{}
	fail    func(n int) error // nil: nothing fails
	breaks  error             // what the next set ends with

	mu      sync.Mutex
	sets    [][]int
	alone   []int
	settled []int
}

func newTrial() *trial {
	t := &trial{release: make(chan struct{}), fail: func(int) error { return nil }}
	t.gatherer = gatherer[int, int]{
		gate: make(chan struct{}, setsAtOnce), size: func(int) int { return 1 }, most: 1000,
		one: func(_ context.Context, n int, haste bool) (int, error) {
			<-t.release
			t.mu.Lock()
			defer t.mu.Unlock()
			t.alone = append(t.alone, n)
			return 2 * n, t.fail(n)
		},
		many: func(_ context.Context, ns []int) ([]outcome[int], error) {
			<-t.release
			t.mu.Lock()
			defer t.mu.Unlock()
			t.sets = append(t.sets, slices.Clone(ns))
			out := make([]outcome[int], len(ns))
			for i, n := range ns {
				if err := t.fail(n); err != nil {
					return nil, err
				}
				out[i].value = 2 * n
			}
			return out, t.breaks
		},
		settle: func(_ context.Context, n int) (int, error) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.settled = append(t.settled, n)
			return 2 * n, nil
		},
	}
	return t
}

// answers collects what callers get.
type answers struct {
	sync.Mutex
	sync.WaitGroup
	errs map[int]error
}

// call does the numbers, one caller each, and makes sure that they come in this order.
func (t *trial) call(ctx context.Context, a *answers, ns ...int) {
	for _, n := range ns {
		a.Go(func() {
			got, err := t.do(ctx, n)
			if err == nil && got != 2*n {
				err = fmt.Errorf("%d got the answer %d", n, got)
			}
			a.Lock()
			defer a.Unlock()
			a.errs[n] = err
		})
		synctest.Wait()
	}
}

func gatherIn(t *testing.T, check func(t *testing.T, g *trial, a *answers)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { check(t, newTrial(), &answers{errs: map[int]error{}}) })
}

func (a *answers) allWell(t *testing.T) {
	t.Helper()
	a.Wait()
	for n, err := range a.errs {
		if err != nil {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestALoneOperationIsNoSet(t *testing.T) {
	gatherIn(t, func(t *testing.T, g *trial, a *answers) {
		g.call(t.Context(), a, 1)
		close(g.release)
		a.allWell(t)
		g.call(t.Context(), a, 2)
		a.allWell(t)
		same(t, "alone", g.alone, []int{1, 2})
		same(t, "sets", len(g.sets), 0)
		same(t, "under way", g.underWay, 0)
	})
}

func TestWhatComesWhileASetIsUnderWayIsTheNextSetInOrder(t *testing.T) {
	gatherIn(t, func(t *testing.T, g *trial, a *answers) {
		g.call(t.Context(), a, 1, 2, 3, 4, 5)
		close(g.release)
		a.allWell(t)
		same(t, "sets", g.sets, [][]int{{2, 3, 4, 5}})
		same(t, "alone", g.alone, []int{1})
	})
}

func TestAPanicInASetKeepsNobodyWaiting(t *testing.T) {
	gatherIn(t, func(t *testing.T, g *trial, a *answers) {
		many := g.many
		g.many = func(context.Context, []int) ([]outcome[int], error) {
			<-g.release
			g.many = many
			panic("in a set")
		}
		g.call(t.Context(), a, 1)
		led := make(chan any, 1)
		go func() {
			defer func() { led <- recover() }()
			g.do(t.Context(), 2)
		}()
		synctest.Wait()
		g.call(t.Context(), a, 3, 4)
		close(g.release)
		if p := <-led; p != "in a set" {
			t.Errorf("the leader ends with %v", p)
		}
		a.Wait()
		same(t, "who shared the set", fmt.Sprint(errors.Is(a.errs[3], task.ErrUnknown), errors.Is(a.errs[4], task.ErrUnknown)), "true true")
		g.call(t.Context(), a, 5)
		a.Wait()
		same(t, "afterwards", a.errs[5], nil)
		same(t, "under way", g.underWay+len(g.gate), 0)
	})
}

func TestASetGoesBesideAnotherWhenItIsWorthIt(t *testing.T) {
	gatherIn(t, func(t *testing.T, g *trial, a *answers) {
		for n := 1; n <= 1+worthASet+3; n++ { // the first goes alone, the next so many beside it
			g.call(t.Context(), a, n)
			if under := map[bool]int{false: 1, true: 1 + worthASet}[n > worthASet]; g.underWay != under || len(g.waiting) != n-under {
				t.Errorf("of %d operations %d are under way and %d wait, want %d under way", n, g.underWay, len(g.waiting), under)
			}
		}
		close(g.release)
		a.allWell(t)
		same(t, "left", fmt.Sprint(g.led, g.underWay, len(g.waiting), len(g.gate)), "false 0 0 0")
	})
}

func TestGatherersShareTheirGate(t *testing.T) {
	gatherIn(t, func(t *testing.T, g *trial, a *answers) {
		for range setsAtOnce {
			g.gate <- struct{}{} // sets of other kinds are under way
		}
		ctx, cancel := context.WithCancel(t.Context())
		g.call(ctx, a, 1)
		g.call(t.Context(), a, 2, 3)
		cancel() // of the one that was to lead
		synctest.Wait()
		close(g.release)
		synctest.Wait()
		same(t, "done before its turn", len(g.alone)+len(g.sets), 0)
		<-g.gate
		a.Wait()
		same(t, "sets", g.sets, [][]int{{2, 3}})
		same(t, "answers", a.errs, map[int]error{1: context.Canceled, 2: nil, 3: nil})
		same(t, "in the gate", len(g.gate), setsAtOnce-1)
	})
}

func TestALockThatIsHeldLongKeepsNoOthersWaiting(t *testing.T) {
	gatherIn(t, func(t *testing.T, g *trial, a *answers) {
		one, patience := g.one, make(chan struct{})
		g.one = func(ctx context.Context, n int, haste bool) (int, error) {
			if n == 1 && haste {
				<-g.release
				return 0, &pgconn.PgError{Code: lockNotAvailable}
			}
			if n == 1 {
				<-patience
			}
			return one(ctx, n, haste)
		}
		g.call(t.Context(), a, 1, 2, 3)
		close(g.release)
		synctest.Wait()
		same(t, "answers", a.errs, map[int]error{2: nil, 3: nil})
		close(patience)
		a.allWell(t)
	})
}

func TestASetIsNoGreaterThanAllowed(t *testing.T) {
	gatherIn(t, func(t *testing.T, g *trial, a *answers) {
		g.most, g.size = 10, func(n int) int { return n }
		g.call(t.Context(), a, 1, 4, 5, 3, 50, 2)
		close(g.release)
		a.allWell(t)
		same(t, "sets", g.sets, [][]int{{4, 5}})
		same(t, "alone", g.alone, []int{1, 3, 50, 2})
	})
}

func TestOneBadOperationFailsAlone(t *testing.T) {
	gatherIn(t, func(t *testing.T, g *trial, a *answers) {
		bad := &pgconn.PgError{Code: "23514"}
		g.fail = func(n int) error {
			if n == 3 {
				return bad
			}
			return nil
		}
		g.call(t.Context(), a, 1, 2, 3, 4)
		close(g.release)
		a.Wait()
		same(t, "answers", a.errs, map[int]error{1: nil, 2: nil, 3: bad, 4: nil})
		slices.Sort(g.alone)
		same(t, "alone", g.alone, []int{1, 2, 3, 4})
	})
}

func TestASetThatIsRefusedForAWhileIsNotTriedOneByOne(t *testing.T) {
	gatherIn(t, func(t *testing.T, g *trial, a *answers) {
		g.breaks = &pgconn.PgError{Code: queryCanceled}
		g.call(t.Context(), a, 1, 2, 3)
		close(g.release)
		a.Wait()
		same(t, "answers", a.errs, map[int]error{1: nil, 2: g.breaks, 3: g.breaks})
		same(t, "alone", g.alone, []int{1})
	})
}

func TestASetDuringWhichTheConnectionBrokeIsSettledOneByOne(t *testing.T) {
	gatherIn(t, func(t *testing.T, g *trial, a *answers) {
		g.breaks = io.ErrUnexpectedEOF
		g.call(t.Context(), a, 1, 2, 3)
		close(g.release)
		a.allWell(t)
		slices.Sort(g.settled)
		same(t, "settled", g.settled, []int{2, 3})
		same(t, "alone", g.alone, []int{1})
	})
}

func TestASettlementWaitsForTheServer(t *testing.T) {
	gatherIn(t, func(t *testing.T, g *trial, a *answers) {
		var asked atomic.Int64
		g.settle = func(_ context.Context, n int) (int, error) {
			if asked.Add(1) < 5 {
				return 0, &pgconn.PgError{Code: cannotConnectNow}
			}
			return 2 * n, nil
		}
		g.breaks = io.ErrUnexpectedEOF
		g.call(t.Context(), a, 1, 2, 3)
		close(g.release)
		a.allWell(t)
	})
}

func TestWhatCannotBeSettledIsAFault(t *testing.T) {
	gatherIn(t, func(t *testing.T, g *trial, a *answers) {
		g.breaks, g.settle = io.ErrUnexpectedEOF, func(context.Context, int) (int, error) { return 0, errUnknown }
		g.call(t.Context(), a, 1, 2, 3)
		close(g.release)
		a.Wait()
		same(t, "answers", a.errs, map[int]error{1: nil, 2: g.breaks, 3: g.breaks})
	})
}

func TestAContextThatEndsBeforeItsTurnWithdraws(t *testing.T) {
	gatherIn(t, func(t *testing.T, g *trial, a *answers) {
		ctx, cancel := context.WithCancel(t.Context())
		g.call(t.Context(), a, 1)
		g.call(ctx, a, 2)
		g.call(t.Context(), a, 3, 4)
		cancel()
		synctest.Wait()
		if err := a.errs[2]; !errors.Is(err, context.Canceled) {
			t.Errorf("withdrawn: %v", err)
		}
		g.call(ctx, a, 5)
		close(g.release)
		a.Wait()
		same(t, "sets", g.sets, [][]int{{3, 4}})
		same(t, "answers", a.errs, map[int]error{1: nil, 2: context.Canceled, 3: nil, 4: nil, 5: context.Canceled})
	})
}

func TestAContextThatEndsLaterDoesNotInterrupt(t *testing.T) {
	gatherIn(t, func(t *testing.T, g *trial, a *answers) {
		ctx, cancel := context.WithCancel(t.Context())
		g.call(ctx, a, 1, 2, 3)
		g.release <- struct{}{}
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(g.release)
		a.allWell(t)
		same(t, "sets", g.sets, [][]int{{2, 3}})
	})
}

// TestEveryCallerIsAnswered lets callers come, go and fail at random.
func TestEveryCallerIsAnswered(t *testing.T) {
	t.Parallel()
	g := newTrial()
	close(g.release)
	g.fail = func(n int) error {
		if n%97 == 0 {
			return &pgconn.PgError{Code: "23514"}
		}
		return nil
	}
	var wg sync.WaitGroup
	for caller := range 64 {
		wg.Go(func() {
			for i := range 200 {
				n := caller*200 + i
				ctx, cancel := context.WithCancel(t.Context())
				if n%7 == 0 {
					go cancel()
				}
				got, err := g.do(ctx, n)
				cancel()
				if bad := n%97 == 0; err == nil && (bad || got != 2*n) || err != nil && !bad && n%7 != 0 {
					t.Errorf("%d: answer %d, error %v", n, got, err)
				}
			}
		})
	}
	wg.Wait()
	same(t, "left", fmt.Sprint(g.led, g.underWay, len(g.waiting), len(g.gate)), "false 0 0 0")
}
