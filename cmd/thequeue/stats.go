package main

import (
	"context"
	"fmt"
	"time"
)

type statsCmd struct{ access }

func (c *statsCmd) Run(ctx context.Context, s *session) error {
	return c.with(ctx, s, func(q tasks) error {
		st, err := q.Stats(ctx)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			return s.printJSON(st)
		}
		oldest := "-"
		if age := st.OldestQueuedAgeSeconds; age != nil {
			oldest = time.Duration(*age * float64(time.Second)).Round(time.Second).String()
		}
		return s.printRows([][]string{
			{"total", fmt.Sprint(st.TotalTasks)},
			{"queued", fmt.Sprintf("%d (%d ready, %d scheduled)", st.QueuedTasks, st.ReadyTasks, st.ScheduledTasks)},
			{"processing", fmt.Sprint(st.ProcessingTasks)},
			{"completed", fmt.Sprint(st.CompletedTasks)},
			{"failed", fmt.Sprint(st.FailedTasks)},
			{"deleted", fmt.Sprint(st.DeletedTasks)},
			{"oldest queued", oldest},
		})
	})
}
