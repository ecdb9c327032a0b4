package app

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// looked tells of each look of a claim.
type looked struct {
	store.Store
	looks chan struct{}
}

func (l looked) ClaimTasks(ctx context.Context, c task.Claim) ([]task.Task, error) {
	defer func() { l.looks <- struct{}{} }()
	return l.Store.ClaimTasks(ctx, c)
}

// A claim that waits is a request under way: the stop must answer it, or it holds the stop up until it is cut off.
func TestAWaitingClaimIsAnsweredWhenTheServerStops(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, st store.Store) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		cfg := config.Default(func(string) string { return "" })
		cfg.Workers = 0
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		l := looked{st, make(chan struct{}, 100)}
		go func() { ended <- serve(ctx, ln, l, cfg, Options{Log: slog.New(slog.DiscardHandler)}) }()
		c, err := client.New("http://"+ln.Addr().String(), client.Options{Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		answered := make(chan error, 1)
		go func() {
			leases, err := c.Claim(t.Context(), task.Claim{WorkerID: "w", Wait: task.MaxWait})
			if len(leases) != 0 {
				t.Errorf("%d leases, want none", len(leases))
			}
			answered <- err
		}()
		for range 2 { // after its second look it waits
			<-l.looks
		}
		began := time.Now()
		stop()
		if err := <-answered; err != nil {
			t.Errorf("the claim ends with %v, want an answer", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("the server ends with %v", err)
		}
		if took := time.Since(began); took >= shutdownTimeout {
			t.Errorf("the stop took %v, as long as it waits for requests that do not end", took)
		}
	})
}
