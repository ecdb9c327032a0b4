package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/span"
	"github.com/prismq/thequeue/internal/task"
)

// Options of a client. The zero value is good.
type Options struct {
	HTTP    *http.Client  // nil: one of its own that keeps up to 64 connections open
	APIKey  string        // sent with every call; empty: none
	TLS     *tls.Config   // of its own HTTP client, so not beside HTTP; nil: as the system does
	Timeout time.Duration // of one try, without the wait of a claim; 0: 10 s
	Retries int           // how often a call is tried again; 0: 4; negative: never
}

const (
	keepConnections = 64
	firstPause      = 100 * time.Millisecond // before the second try; doubled for each further one
	longestPause    = 30 * time.Second       // also of what the server asks for
	longestAnswer   = 1 << 30                // bytes; a page of 1,000 tasks with payloads of 1 MiB fits
)

var _ task.Source = (*Client)(nil)

// Client calls one server. It is safe for concurrent use. Every method returns the errors of package task (by errors.Is, and
// *task.InvalidError by errors.As), with the sentence of the server as their text, *Error for other answers, or the error of the connection.
//
// A call is tried again when the server could not be reached or said 503: then nothing was changed. When a connection breaks after the request
// was sent, or the server has lost its database meanwhile, nobody knows whether it was done, and only calls that may be done twice are tried
// again. For an unclear Complete, Fail or Release the client asks for the history of the task, and returns the task when the attempt ended as it
// wanted.
type Client struct {
	base string
	o    Options
}

// New returns a client of the server at baseURL, such as http://127.0.0.1:8000. It does not connect yet.
func New(baseURL string, o Options) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil {
		return nil, fmt.Errorf("read the address of the server: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the address of the server is like http://127.0.0.1:8000, not %q", baseURL)
	}
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.Retries = max(0, cmp.Or(o.Retries, 4))
	if o.HTTP == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.TLSClientConfig = o.TLS
		t.MaxIdleConns, t.MaxIdleConnsPerHost = keepConnections, keepConnections
		o.HTTP = &http.Client{Transport: t}
	}
	return &Client{base: strings.TrimRight(baseURL, "/"), o: o}, nil
}

// Close gives up the idle connections.
func (c *Client) Close() { c.o.HTTP.CloseIdleConnections() }

// request makes a request of the server, which carries the key. Without a body, nil, it has none.
func (c *Client) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, in)
	if err != nil {
		return nil, err
	}
	if c.o.APIKey != "" {
		req.Header.Set("Authorization", "Bearer "+c.o.APIKey)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// call is one request and how often it may be done.
type call struct {
	method, path string
	body         []byte
	wait         time.Duration // added to the timeout
	twice        bool          // may be done twice
	cursor       *string       // set to that of the next page; nil: the answer is no list of pages
}

// errUnclear is in the chain of an error after which nobody knows whether the server did what was asked.
var errUnclear = errors.New("the connection broke after the request was sent")

// do sends the call until it is answered, and decodes the answer into out, nil for none. unclear reports whether a try before the last
// may have been carried out.
func (c *Client) do(ctx context.Context, r call, out any) (unclear bool, err error) {
	for try := 0; ; try++ {
		pause, err := c.try(ctx, r, out)
		broken := errors.Is(err, errUnclear) || errors.Is(err, task.ErrUnknown)
		again := pause >= 0 && (r.twice || !broken)
		if err == nil || !again || try == c.o.Retries {
			return unclear, err
		}
		unclear = unclear || broken
		if !sleep(ctx, max(pause, backoff(try))) {
			return unclear, errors.Join(ctx.Err(), err)
		}
	}
}

// backoff is the pause after the try with this number, counted from 0.
func backoff(try int) time.Duration { return min(firstPause<<min(try, 10), longestPause) }

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// try sends the call once. pause is how long to wait at least before the next try; negative: another try is of no use.
func (c *Client) try(ctx context.Context, r call, out any) (pause time.Duration, err error) {
	within, stop := context.WithTimeout(ctx, c.o.Timeout+r.wait)
	defer stop()
	req, err := c.request(within, r.method, r.path, r.body)
	if err != nil {
		return -1, err
	}
	if traceparent := span.Text(ctx); traceparent != "" {
		req.Header.Set(span.Header, traceparent)
	}
	resp, err := c.o.HTTP.Do(req)
	if err != nil {
		return afterBreak(ctx, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, longestAnswer))
	if err != nil {
		return afterBreak(ctx, err)
	}
	if r.cursor != nil {
		*r.cursor = resp.Header.Get("X-Next-Cursor")
	}
	return read(resp, b, out)
}
