package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// load sends requests over keep-alive connections. It uses fasthttp, which leaves more of the machine to the server than net/http does.
type load struct{ client *fasthttp.HostClient }

// requestTimeout bounds one request that does not wait.
const requestTimeout = 10 * time.Second

func newLoad(addr string, conns int) *load {
	return &load{&fasthttp.HostClient{Addr: addr, MaxConns: conns, MaxConnWaitTimeout: requestTimeout, NoDefaultUserAgentHeader: true}}
}

// call sends a request and reads the answer into out, unless that is nil.
func (l *load) call(method, path string, body []byte, timeout time.Duration, out any) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(method)
	req.SetRequestURI("http://" + l.client.Addr + path)
	if body != nil {
		req.Header.SetContentType("application/json")
		req.SetBodyRaw(body)
	}
	if err := l.client.DoTimeout(req, resp, timeout); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if code := resp.StatusCode(); code < 200 || code > 299 {
		return fmt.Errorf("%s %s answers %d: %s", method, path, code, resp.Body())
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(resp.Body(), out)
}

// mailBody is the enqueue request of a task with the payload of 200 bytes.
var mailBody = []byte(`{"type":"email","payload":` + string(payload) + `}`)

func (l *load) enqueue(body []byte) error {
	return l.call("POST", "/api/queue/enqueue", body, requestTimeout, nil)
}

// claimed is what the harness reads of a lease.
type claimed struct {
	ID      int64  `json:"task_id"`
	Token   string `json:"lease_token"`
	Payload struct {
		Sent int64 `json:"sent"` // nanoseconds since 1970, where the producer says so
	} `json:"payload"`
}

func (l *load) claim(worker int, wait time.Duration) ([]claimed, error) {
	var out struct {
		Tasks []claimed `json:"tasks"`
	}
	body := fmt.Appendf(nil, `{"worker_id":"worker-%d","wait_seconds":%g}`, worker, wait.Seconds())
	err := l.call("POST", "/api/queue/claim", body, wait+requestTimeout, &out)
	return out.Tasks, err
}

func (l *load) complete(c claimed) error {
	return l.call("POST", fmt.Sprintf("/api/queue/tasks/%d/complete", c.ID), fmt.Appendf(nil, `{"lease_token":%q}`, c.Token), requestTimeout, nil)
}

// life is three requests. Another caller may have taken the task, whose own is then left; an empty claim is an error.
func (l *load) life(worker int) error {
	if err := l.enqueue(mailBody); err != nil {
		return err
	}
	tasks, err := l.claim(worker, 0)
	if err == nil && len(tasks) == 0 {
		err = errors.New("a claim found nothing, though there is a task for every caller")
	}
	for _, c := range tasks {
		err = errors.Join(err, l.complete(c))
	}
	return err
}

// closed has so many callers do it again and again for d, and returns how often it was done a second.
func closed(callers int, d time.Duration, do func(worker int) error) (float64, error) {
	errs, counts := make([]error, callers), make([]int, callers)
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for errs[i] == nil && time.Since(begin) < d {
				if errs[i] = do(i); errs[i] == nil {
					counts[i]++
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(begin).Seconds(), errors.Join(errs...)
}

// paced does it n times on a fixed schedule, whether or not the ones before have ended, and returns how long after its due time each ended: a
// server that falls behind cannot hide it.
func paced(n int, every time.Duration, do func(i int) error) ([]time.Duration, error) {
	errs, took := make([]error, n), make([]time.Duration, n)
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range n {
		due := begin.Add(time.Duration(i) * every)
		time.Sleep(time.Until(due))
		wg.Go(func() {
			errs[i] = do(i)
			took[i] = time.Since(due)
		})
	}
	wg.Wait()
	return took, errors.Join(errs...)
}
