package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/prismq/thequeue/internal/task"
)

const schedulesPath = "/api/queue/schedules"

func schedulePath(name string) string { return schedulesPath + "/" + segment(name) }

// Schedules returns all schedules, ordered by name.
func (c *Client) Schedules(ctx context.Context) (ss []task.Schedule, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: schedulesPath, twice: true}, &ss)
	return ss, err
}

// Schedule returns one schedule.
func (c *Client) Schedule(ctx context.Context, name string) (s task.Schedule, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: schedulePath(name), twice: true}, &s)
	return s, err
}

// PutSchedule sets a schedule, in place of one that has its name.
func (c *Client) PutSchedule(ctx context.Context, name string, spec task.ScheduleSpec) (s task.Schedule, err error) {
	body := new(object).add("cron", spec.Cron).add("task", spec.Task.JSON()).add("max_misfires", spec.MaxMisfires).add("jitter_seconds", spec.JitterSeconds).add("paused", spec.Paused)
	for _, word := range [][2]string{{"timezone", spec.Timezone}, {"misfire", string(spec.Misfire)}, {"overlap", string(spec.Overlap)}} {
		if word[1] != "" {
			body.add(word[0], word[1])
		}
	}
	text, err := body.bytes()
	if err != nil {
		return s, err
	}
	_, err = c.do(ctx, call{method: http.MethodPut, path: schedulePath(name), body: text, twice: true}, &s)
	return s, err
}

// DeleteSchedule removes a schedule; the tasks that it has made stay.
func (c *Client) DeleteSchedule(ctx context.Context, name string) error {
	unclear, err := c.do(ctx, call{method: http.MethodDelete, path: schedulePath(name), twice: true}, nil)
	if unclear && errors.Is(err, task.ErrNotFound) {
		return nil
	}
	return err
}

// PauseSchedule lets no tick of a schedule come; ResumeSchedule ends that.
func (c *Client) PauseSchedule(ctx context.Context, name string) (s task.Schedule, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: schedulePath(name) + "/pause", twice: true}, &s)
	return s, err
}

// ResumeSchedule lets the ticks of a schedule come again, from now on.
func (c *Client) ResumeSchedule(ctx context.Context, name string) (s task.Schedule, err error) {
	_, err = c.do(ctx, call{method: http.MethodPost, path: schedulePath(name) + "/resume", twice: true}, &s)
	return s, err
}

// PreviewSchedule returns the next n times of a schedule.
func (c *Client) PreviewSchedule(ctx context.Context, name string, n int) (times []task.Occurrence, err error) {
	_, err = c.do(ctx, call{method: http.MethodGet, path: fmt.Sprintf("%s/preview?n=%d", schedulePath(name), n), twice: true}, &times)
	return times, err
}
