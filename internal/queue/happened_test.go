package queue

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/store/sqlite"
	"github.com/prismq/thequeue/internal/task"
)

// BenchmarkHappened is what the three events of a life cost: counting them, and keeping them for who listens.
func BenchmarkHappened(b *testing.B) {
	st, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "queue.db"), sqlite.Options{Migrate: true})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	q := New(st, Options{})
	at := time.Now()
	queued := task.Task{ID: 1, Type: "email", Status: task.Queued, RunAfterUTC: at}
	held := queued
	held.Status, held.ReservedAtUTC, held.ProcessingStartedUTC = task.Processing, &at, &at
	done := held
	done.Status, done.Outcome, done.FinishedAtUTC = task.Completed, new(task.Succeeded), &at
	b.ReportAllocs()
	for b.Loop() {
		q.happened(task.EventEnqueued, queued)
		q.happened(task.EventClaimed, held)
		q.happened(task.EventCompleted, done)
	}
}
