package api

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/queue"
)

// Options of the API. The zero value serves with the defaults.
type Options struct {
	MaxBodyBytes      int64                           // longest body of every request but a batch; 0: 1 MiB
	MaxBatchBodyBytes int64                           // longest body of a batch; 0: 16 MiB, or MaxBodyBytes where that is more
	Log               *slog.Logger                    // faults of the server as errors, requests at level debug; nil: discards
	Ready             func(ctx context.Context) error // nil error: can serve; nil func: the store answers
	Hosts             []string                        // names under which the server may be called, beside localhost and addresses; nil: any
	Version           string                          // shown at /livez; empty: "dev"
	Backups           *backup.Keeper                  // makes and lists backups; nil: calls about them answer 409
	Pages             Pages                           // for people, added to the API; nil: there are none
	KeysRequired      bool                            // every call needs a key, also while there is none
	MaxWaiting        int                             // claims that wait and streams of events at a time; 0: 10,000
	MaxWaitingOfOne   int                             // of one key, or one address where nobody needs a key; 0: 1,000
}

func (o Options) withDefaults(q *queue.Queue) Options {
	o.MaxBodyBytes = cmp.Or(o.MaxBodyBytes, 1<<20)
	o.MaxBatchBodyBytes = cmp.Or(o.MaxBatchBodyBytes, max(16<<20, o.MaxBodyBytes))
	o.Version = cmp.Or(o.Version, "dev")
	o.MaxWaiting, o.MaxWaitingOfOne = cmp.Or(o.MaxWaiting, 10000), cmp.Or(o.MaxWaitingOfOne, 1000)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = slog.New(LogHandler(o.Log.Handler()))
	if o.Ready == nil {
		o.Ready = q.Ping
	}
	return o
}

// Pages are what people see in a browser beside the API.
type Pages interface {
	// Routes adds them to the server.
	Routes(e *echo.Echo)
	// Permissions has a row for each of the routes.
	Permissions() Permissions
	// Wants reports whether an error is to be answered with a page instead of JSON.
	Wants(r *http.Request) bool
	// Fail answers with a page that says what is wrong.
	Fail(c echo.Context, status int, title, detail string) error
}

type server struct {
	Options
	queue   *queue.Queue
	doc     *document
	origin  *http.CrossOriginProtection
	rules   map[route]Rule
	guesses guesses
	waiting waiting
	buffers sync.Pool // of *bytes.Buffer: bodies on their way in and out
}

// New returns the handler of the whole API, and of the pages of o. It is safe for concurrent use once serving. Requests that a browser sends from another site's page are refused with 403.
func New(q *queue.Queue, o Options) *echo.Echo {
	s := &server{Options: o.withDefaults(q), queue: q, doc: newDocument(), origin: http.NewCrossOriginProtection()}
	s.waiting.most, s.waiting.mostOfOne = s.MaxWaiting, s.MaxWaitingOfOne
	s.buffers.New = func() any { return new(bytes.Buffer) }
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	e.HTTPErrorHandler = s.answerError
	e.IPExtractor = echo.ExtractIPDirect() // what a header says anybody may write
	e.Use(s.around)
	s.routes(e)
	if o.Pages != nil {
		e.POST("/login", s.login)
		e.POST("/logout", s.logout)
		o.Pages.Routes(e)
	}
	s.rules = rulesOf(e, o.Pages)
	return e
}

const keepBuffer = 64 << 10 // larger ones go back to the garbage collector

func (s *server) buffer() *bytes.Buffer { return s.buffers.Get().(*bytes.Buffer) }

func (s *server) recycle(b *bytes.Buffer) {
	if b.Cap() <= keepBuffer {
		b.Reset()
		s.buffers.Put(b)
	}
}

// compatMaxAttempts is the greatest max_attempts that the endpoint of older clients takes.
const compatMaxAttempts = 10
