// Command baseline is what our server over HTTP is compared with: baseline constant|naive ADDRESS DIRECTORY.
//
// constant reads the body of an enqueue, a claim or a completion and answers a fixed JSON as long as ours. naive keeps tasks in the bare table of package bare, one
// transaction for each operation. Both are echo v4 as our server is, without any middleware.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/tests/bench/bare"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "baseline:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	if len(args) != 3 {
		return errors.New("use: baseline constant|naive ADDRESS DIRECTORY")
	}
	kind, addr, dir := args[0], args[1], args[2]
	ballast := make([]byte, 16<<20) // as our server has: never touched, it spares the garbage collector most of its runs
	defer runtime.KeepAlive(ballast)
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.GET("/readyz", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	switch kind {
	case "constant":
		e.POST("/api/queue/enqueue", constant(http.StatusCreated, fmt.Sprintf(receipt, 1)))
		e.POST("/api/queue/claim", constant(http.StatusOK, `{"tasks":[`+padded(`{"task_id":1,"lease_token":"1.0123456789abcdef0123456789abcdef"`)+`]}`))
		e.POST("/api/queue/tasks/:id/complete", constant(http.StatusOK, padded(`{"task_id":1`)))
	case "naive":
		t, err := bare.Open(ctx, dir)
		if err != nil {
			return err
		}
		defer t.Close() //nolint:errcheck // nothing is kept
		naive(e, t)
	default:
		return fmt.Errorf("unknown kind %q", kind)
	}
	stopped := context.AfterFunc(ctx, func() { _ = e.Close() }) // its connections end with it
	defer stopped()
	if err := e.Start(addr); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// receipt is the answer of our server to an enqueue.
const receipt = `{"task_id":%d,"status":"queued","created_at_utc":"2026-01-01T00:00:00.000000Z","message":"Task enqueued successfully"}`

// taskLength is how long our answer with one task is, whose payload has 200 bytes.
const taskLength = 900

// padded closes the object after a field that makes it taskLength long.
func padded(object string) string {
	return object + `,"padding":"` + strings.Repeat("0", taskLength-len(object)) + `"}`
}

func constant(code int, answer string) echo.HandlerFunc {
	return func(c echo.Context) error {
		if _, err := io.Copy(io.Discard, c.Request().Body); err != nil {
			return err
		}
		return c.JSONBlob(code, []byte(answer))
	}
}

// naive has the three calls of a life, with the answers that the harness reads.
func naive(e *echo.Echo, t *bare.Table) {
	e.POST("/api/queue/enqueue", func(c echo.Context) error {
		body, err := io.ReadAll(c.Request().Body)
		if err != nil {
			return err
		}
		id, err := t.Insert(c.Request().Context(), string(body), 1)
		if err != nil {
			return err
		}
		return c.JSONBlob(http.StatusCreated, fmt.Appendf(nil, receipt, id))
	})
	e.POST("/api/queue/claim", func(c echo.Context) error {
		ids, err := t.Claim(c.Request().Context(), 1)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return c.JSONBlob(http.StatusOK, []byte(`{"tasks":[]}`))
		}
		return c.JSONBlob(http.StatusOK, fmt.Appendf(nil, `{"tasks":[{"task_id":%d,"lease_token":"1.0"}]}`, ids[0]))
	})
	e.POST("/api/queue/tasks/:id/complete", func(c echo.Context) error {
		id, err := strconv.ParseInt(c.Param("id"), 10, 64)
		if err != nil {
			return err
		}
		if err := t.Complete(c.Request().Context(), id); err != nil {
			return err
		}
		return c.JSONBlob(http.StatusOK, []byte(`{}`))
	})
}
