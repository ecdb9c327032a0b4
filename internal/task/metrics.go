package task

import "time"

// Metrics is how the queue does: how many tasks there are now, and what has happened to them in a time.
type Metrics struct {
	FromUTC time.Time `json:"from_utc"` // the time is counted in minutes, and in hours where it is some hours ago
	ToUTC   time.Time `json:"to_utc"`
	Type    *string   `json:"type"` // nil: of all types

	Depth   Depth         `json:"depth"`
	Figures               // of Type, or of all
	Types   []TypeFigures `json:"types"` // each type with tasks or events, by name; empty where Type says which
	Workers WorkerCounts  `json:"workers"`
	Health  Health        `json:"health"` // of the whole queue
}

// Depth is how many tasks are stored now.
type Depth struct {
	QueuedTasks            int64    `json:"queued_tasks"`
	ReadyTasks             int64    `json:"ready_tasks"`     // queued and due
	ScheduledTasks         int64    `json:"scheduled_tasks"` // queued, but due later
	ProcessingTasks        int64    `json:"processing_tasks"`
	CompletedTasks         int64    `json:"completed_tasks"`
	FailedTasks            int64    `json:"failed_tasks"`
	OldestQueuedAgeSeconds *float64 `json:"oldest_queued_age_seconds"` // of all types, since its creation; nil: none is queued, or one type was asked for
}

// Figures is what has happened to tasks in a time.
type Figures struct {
	Enqueued  int64 `json:"enqueued"`
	Claimed   int64 `json:"claimed"`
	Completed int64 `json:"completed"`
	Failed    int64 `json:"failed"` // exhausted, rejected or expired
	Exhausted int64 `json:"exhausted"`
	Rejected  int64 `json:"rejected"`
	Expired   int64 `json:"expired"`
	Cancelled int64 `json:"cancelled"`
	Retries   int64 `json:"retries"`  // attempts that failed with another to follow
	Released  int64 `json:"released"` // attempts that were handed back
	Lost      int64 `json:"lost"`     // attempts whose lease ran out

	SuccessRate      *float64 `json:"success_rate"` // completed of completed and failed; nil: nothing has ended
	FailureRate      *float64 `json:"failure_rate"`
	CompletedPerMin  float64  `json:"completed_per_minute"`
	RetriedShare     *float64 `json:"retried_share"` // of the tasks that were completed, exhausted or rejected: how many took several attempts; nil: there are none
	MeanAttempts     *float64 `json:"mean_attempts"` // of the same
	ProcessingSecs   Spread   `json:"processing_seconds"`
	StartLatencySecs Spread   `json:"start_latency_seconds"` // from when a task was due to its claim
}

// Spread is how long many things took, in seconds. Quantiles are a tenth off at most.
type Spread struct {
	Count int64    `json:"count"`
	Mean  *float64 `json:"mean"` // this and all below: nil where there are none
	P50   *float64 `json:"p50"`
	P95   *float64 `json:"p95"`
	P99   *float64 `json:"p99"`
	Max   *float64 `json:"max"`
}

// TypeFigures is Figures for one type, with its depth.
type TypeFigures struct {
	Type  string `json:"type"`
	Depth Depth  `json:"depth"`
	Figures
}

// Point is what has happened to tasks in one minute or hour, of all types or of one.
type Point struct {
	FromUTC time.Time `json:"from_utc"`
	Seconds int       `json:"seconds"` // how long it is: 60 or 3,600
	Figures
	Peak // of all types; zero where one type was asked for
}

// WorkerCounts is how many workers are registered.
type WorkerCounts struct {
	Total    int   `json:"total"`
	Live     int   `json:"live"`     // heard lately
	Busy     int   `json:"busy"`     // live ones that hold a task
	Draining int   `json:"draining"` // live ones that take nothing new
	Stale    int   `json:"stale"`    // not heard for long
	Held     int64 `json:"held_tasks"`
}

// Figures turns what was counted in a time into figures.
func (m Measures) Figures(over time.Duration) Figures {
	f := Figures{
		Enqueued: m.Enqueued, Claimed: m.Claimed, Completed: m.Completed, Failed: m.Failed(), Exhausted: m.Exhausted, Rejected: m.Rejected, Expired: m.Expired, Cancelled: m.Cancelled,
		Retries: m.Retries, Released: m.Released, Lost: m.Lost, ProcessingSecs: m.Runs.Spread(), StartLatencySecs: m.Waits.Spread(),
	}
	if n := m.Completed + m.Failed(); n > 0 {
		f.SuccessRate, f.FailureRate = new(float64(m.Completed)/float64(n)), new(float64(m.Failed())/float64(n))
	}
	if n := m.Completed + m.Exhausted + m.Rejected; n > 0 {
		f.RetriedShare, f.MeanAttempts = new(float64(m.Retried)/float64(n)), new(float64(m.Attempts)/float64(n))
	}
	if over > 0 {
		f.CompletedPerMin = float64(m.Completed) / over.Minutes()
	}
	return f
}

// Spread describes the durations in seconds.
func (d Durations) Spread() Spread {
	if d.Count == 0 {
		return Spread{}
	}
	q := func(q float64) *float64 { return new(d.Quantile(q).Seconds()) }
	return Spread{Count: d.Count, Mean: new(d.Mean().Seconds()), P50: q(0.5), P95: q(0.95), P99: q(0.99), Max: new(d.Max.Seconds())}
}
