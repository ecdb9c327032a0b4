package api

import (
	"cmp"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

func (s *server) claim(c echo.Context) error {
	var in struct {
		WorkerID     string        `json:"worker_id"`
		Types        []string      `json:"types"`
		Capabilities task.JSON     `json:"capabilities"`
		Strategy     task.Strategy `json:"strategy"`
		Max          *int          `json:"max"`
		LeaseSeconds *float64      `json:"lease_seconds"`
		WaitSeconds  float64       `json:"wait_seconds"`
	}
	if err := s.read(c, &in); err != nil {
		return err
	}
	claim := task.Claim{WorkerID: in.WorkerID, Types: in.Types, Strategy: in.Strategy, Lease: leaseTime(in.LeaseSeconds), Wait: duration(in.WaitSeconds)}
	if in.Max != nil {
		claim.Max = *in.Max
		if claim.Max == 0 {
			claim.Max = -1 // 0 would be taken for the default
		}
	}
	var err error
	if claim.Capabilities, err = task.ParseCapabilities(in.Capabilities); err != nil {
		return task.Invalid("capabilities", "%s", err)
	}
	if err := CallerOf(c).permitClaim(claim.Types); err != nil {
		return err
	}
	ctx := c.Request().Context()
	if claim.Wait > 0 {
		leave, err := s.waiting.enter(c)
		if err != nil {
			return err
		}
		defer leave()
		var stop func()
		ctx, stop = s.whileAdmitted(c)
		defer stop()
	}
	leases, err := s.queue.Claim(ctx, claim)
	if err != nil {
		return cmp.Or(lost(ctx), err)
	}
	return writeMany(s, c, `{"tasks":`, leases, "}")
}

// holder is what the body of every call about a lease begins with.
type holder struct {
	LeaseToken string `json:"lease_token"`
}

func (h holder) token() string { return h.LeaseToken }

// leased reads the id and the body of a call about a lease.
func leased[T interface{ token() string }](s *server, c echo.Context) (id int64, in T, err error) {
	if id, err = taskID(c); err != nil {
		return id, in, err
	}
	if err = s.read(c, &in); err == nil && in.token() == "" {
		err = task.Invalid("lease_token", "must be given")
	}
	return id, in, err
}

func (s *server) start(c echo.Context) error {
	id, in, err := leased[holder](s, c)
	if err != nil {
		return err
	}
	t, err := s.queue.Start(c.Request().Context(), id, in.LeaseToken)
	return s.answerTask(c, t, err)
}

type beatRequest struct {
	holder
	LeaseSeconds *float64 `json:"lease_seconds"`
	Progress     *int     `json:"progress"`
	Message      *string  `json:"message"`
}

func (s *server) heartbeat(c echo.Context) error {
	id, in, err := leased[beatRequest](s, c)
	if err != nil {
		return err
	}
	beat := task.Beat{Lease: leaseTime(in.LeaseSeconds), Progress: in.Progress, Message: in.Message}
	pulse, err := s.queue.Heartbeat(c.Request().Context(), id, in.LeaseToken, beat)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, pulse)
}

type completeRequest struct {
	holder
	Result *task.JSON `json:"result"`
}

func (s *server) complete(c echo.Context) error {
	id, in, err := leased[completeRequest](s, c)
	if err != nil {
		return err
	}
	t, err := s.queue.Complete(c.Request().Context(), id, in.LeaseToken, in.Result)
	return s.answerTask(c, t, err)
}

type failRequest struct {
	holder
	ErrorMessage      string   `json:"error_message"`
	Retry             *bool    `json:"retry"` // nil: true
	RetryAfterSeconds *float64 `json:"retry_after_seconds"`
}

func (s *server) fail(c echo.Context) error {
	id, in, err := leased[failRequest](s, c)
	if err != nil {
		return err
	}
	failure := task.Failure{Message: in.ErrorMessage, NoRetry: in.Retry != nil && !*in.Retry}
	if in.RetryAfterSeconds != nil {
		after := duration(*in.RetryAfterSeconds)
		failure.RetryAfter = &after
	}
	t, err := s.queue.Fail(c.Request().Context(), id, in.LeaseToken, failure)
	return s.answerTask(c, t, err)
}

type releaseRequest struct {
	holder
	RunAfterSeconds float64 `json:"run_after_seconds"`
}

func (s *server) release(c echo.Context) error {
	id, in, err := leased[releaseRequest](s, c)
	if err != nil {
		return err
	}
	t, err := s.queue.Release(c.Request().Context(), id, in.LeaseToken, duration(in.RunAfterSeconds))
	return s.answerTask(c, t, err)
}
