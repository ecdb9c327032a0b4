package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/span"
	"github.com/prismq/thequeue/internal/task"
)

// DefaultHTTPTimeout bounds one call, from the dial to the last byte of the answer.
const DefaultHTTPTimeout = 30 * time.Second

// minRetryAfter and maxRetryAfter are the shortest and the longest wait that a server can ask for: a task that is handed back does not use up its attempts, so
// none would be a loop without end.
const (
	minRetryAfter = time.Second
	maxRetryAfter = 24 * time.Hour
)

// HTTPCall is a URL that runs the tasks of one type.
type HTTPCall struct {
	Type    string            // of task
	URL     string            // http or https
	Headers map[string]string // beside our own, which win
	Timeout time.Duration     // 0: DefaultHTTPTimeout

	AllowNetworks []netip.Prefix   // to which the name in URL may lead beside the public Internet
	Secrets       [][]byte         // with which requests are signed, as ParseSecret reads them; none: they are not
	Now           func() time.Time // of the signature; nil without Secrets

	MaxOutputBytes int // of the answer that becomes the result; 0: DefaultMaxOutputBytes
}

type call struct {
	HTTPCall
	client *http.Client
}

// HTTP returns the handler that posts the payload of a task to c.URL as application/json, or an error that says what is wrong with the
// URL. The headers X-Thequeue-Task-Id, -Fence and -Attempt tell which attempt it is; Idempotency-Key is "ID-FENCE", one for each
// attempt; traceparent is the span of the attempt, or that of its task, if there is one. A 2xx answer completes the task with its body as the result: as it is when it is JSON, else as a JSON string, none
// when it is empty, at most c.MaxOutputBytes of it. Any other answer fails the attempt with the status and the first 2 KiB of the body; a
// redirect is not followed, and no proxy is used. A name that leads to an address which is neither public nor in c.AllowNetworks is not called, and the attempt fails. With c.Secrets
// requests are signed after Standard Webhooks. A 429 or 503 with a Retry-After hands the task back for that long, at most a day, without counting the attempt: it is the server that has no time.
func HTTP(c HTTPCall) (Handler, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("http %s: %w", c.Type, err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("http %s: %q is not an http or https URL", c.Type, c.URL)
	}
	c.Timeout = cmp.Or(c.Timeout, DefaultHTTPTimeout)
	c.MaxOutputBytes = cmp.Or(c.MaxOutputBytes, DefaultMaxOutputBytes)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // one of the environment would make the connections, whose addresses nobody would look at
	transport.DialContext = reach{host: u.Hostname(), allowed: c.AllowNetworks}.dialer().DialContext
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns // all go to one host
	asIs := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &call{HTTPCall: c, client: &http.Client{Transport: transport, CheckRedirect: asIs}}, nil
}

// Handle makes one call.
func (c *call) Handle(ctx context.Context, a *Attempt) (*task.JSON, error) {
	ctx, stop := context.WithTimeoutCause(ctx, c.Timeout, timedOut(c.Timeout))
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, strings.NewReader(string(a.Payload)))
	if err != nil {
		return nil, err
	}
	c.setHeaders(req.Header, a, span.Text(ctx))
	resp, err := c.client.Do(req)
	if forbidden, ok := errors.AsType[*forbiddenError](err); ok {
		return nil, forbidden
	}
	if err != nil {
		return nil, explain(ctx, err)
	}
	defer resp.Body.Close()
	body := &head{max: c.MaxOutputBytes}
	if _, err := io.Copy(body, io.LimitReader(resp.Body, int64(c.MaxOutputBytes)+1)); err != nil {
		return nil, explain(ctx, fmt.Errorf("read answer: %w", err))
	}
	if resp.StatusCode/100 == 2 {
		return body.result(), nil
	}
	if d, ok := retryAfter(resp); ok {
		return nil, Snooze(d)
	}
	return nil, withText(fmt.Errorf("HTTP status %s", resp.Status), body.kept)
}

func (c *call) setHeaders(h http.Header, a *Attempt, traceparent string) {
	id, fence := strconv.FormatInt(a.ID, 10), strconv.FormatInt(a.Fence, 10)
	for name, value := range c.Headers {
		h.Set(name, value)
	}
	h.Set("Content-Type", "application/json")
	h.Set("Idempotency-Key", id+"-"+fence)
	h.Set("X-Thequeue-Task-Id", id)
	h.Set("X-Thequeue-Fence", fence)
	h.Set("X-Thequeue-Attempt", strconv.Itoa(a.Attempts))
	if traceparent != "" {
		h.Set(span.Header, traceparent)
	}
	if len(c.Secrets) > 0 {
		sign(h, c.Secrets, a.ID, c.Now(), string(a.Payload))
	}
}

// retryAfter returns the wait that a 429 or 503 asks for: in seconds, or as a date, which is measured against the server's own Date.
func retryAfter(resp *http.Response) (time.Duration, bool) {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	value := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return max(time.Duration(min(seconds, uint64(maxRetryAfter/time.Second)))*time.Second, minRetryAfter), true
	}
	then, err := http.ParseTime(value)
	now, errNow := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || errNow != nil {
		return 0, false
	}
	return min(max(then.Sub(now), minRetryAfter), maxRetryAfter), true
}
