package main

// Sense says on which side of its limit a value must be.
type Sense bool

const (
	AtLeast Sense = true
	AtMost  Sense = false
)

// Goal is one line of the verdict: a value that a workload finds, and what it must reach.
type Goal struct {
	ID    string // the chapter: P1 to P12
	Row   string // what is measured, against what after a slash; unique within the chapter
	Sense Sense
	Limit float64
	Unit  string // empty: a ratio
	Says  string // what the value is, for readers
}

// goals is all of them. A value is the median over rounds.
var goals = []Goal{
	{"P1", "sqlite/river", AtLeast, 15, "", "whole lives, 64 producers and workers; River durable too"},
	{"P1", "sqlite/goqite", AtLeast, 8, "", "the same; goqite durable too"},
	{"P1", "sqlite/river-normal", AtLeast, 2.5, "", "the same; River at NORMAL, we durable"},
	{"P1", "sqlite/goqite-normal", AtLeast, 2.5, "", "the same; goqite at NORMAL, we durable"},

	{"P2", "sqlite/river", AtLeast, 8, "", "whole lives, 8 producers and workers"},
	{"P2", "sqlite/goqite", AtLeast, 4, "", "the same"},
	{"P2", "sqlite/bare", AtLeast, 0.9, "", "lives of one caller against the bare driver's, one transaction an operation"},

	{"P3", "sqlite/bare", AtLeast, 0.7, "", "rows of batches of 1,000 against the bare driver's inserts, 1,000 a transaction"},

	{"P4", "fifo/8", AtMost, 1.5, "", "claim p95, many rows against few, 8 callers"},
	{"P4", "fifo/64", AtMost, 1.5, "", "the same, 64 callers"},
	{"P4", "lifo/8", AtMost, 1.5, "", "the same, 8 callers"},
	{"P4", "lifo/64", AtMost, 1.5, "", "the same, 64 callers"},
	{"P4", "priority/8", AtMost, 1.5, "", "the same, 8 callers"},
	{"P4", "priority/64", AtMost, 1.5, "", "the same, 64 callers"},
	{"P4", "weighted_random/8", AtMost, 1.5, "", "the same, 8 callers"},
	{"P4", "weighted_random/64", AtMost, 1.5, "", "the same, 64 callers"},
	{"P4", "postgres-fifo/8", AtMost, 1.5, "", "claim p95 on PostgreSQL, many rows against few, 8 callers"},
	{"P4", "postgres-fifo/64", AtMost, 1.5, "", "claim p95 on PostgreSQL, many rows against few, 64 callers"},
	{"P4", "postgres-lifo/8", AtMost, 1.5, "", "claim p95 on PostgreSQL, many rows against few, 8 callers"},
	{"P4", "postgres-lifo/64", AtMost, 1.5, "", "claim p95 on PostgreSQL, many rows against few, 64 callers"},
	{"P4", "postgres-priority/8", AtMost, 1.5, "", "claim p95 on PostgreSQL, many rows against few, 8 callers"},
	{"P4", "postgres-priority/64", AtMost, 1.5, "", "claim p95 on PostgreSQL, many rows against few, 64 callers"},
	{"P4", "postgres-weighted_random/8", AtMost, 1.5, "", "claim p95 on PostgreSQL, many rows against few, 8 callers"},
	{"P4", "postgres-weighted_random/64", AtMost, 1.5, "", "claim p95 on PostgreSQL, many rows against few, 64 callers"},

	{"P5", "fifo/8", AtMost, 1.5, "", "claim p95 behind many rows that this worker may not take against none, 8 callers"},
	{"P5", "fifo/64", AtMost, 1.5, "", "the same, 64 callers"},
	{"P5", "lifo/8", AtMost, 1.5, "", "the same, 8 callers"},
	{"P5", "lifo/64", AtMost, 1.5, "", "the same, 64 callers"},
	{"P5", "priority/8", AtMost, 1.5, "", "the same, 8 callers"},
	{"P5", "priority/64", AtMost, 1.5, "", "the same, 64 callers"},
	{"P5", "weighted_random/8", AtMost, 1.5, "", "the same, 8 callers"},
	{"P5", "weighted_random/64", AtMost, 1.5, "", "the same, 64 callers"},
	{"P5", "postgres-fifo/8", AtMost, 1.5, "", "claim p95 on PostgreSQL behind many rows that this worker may not take against none, 8 callers"},
	{"P5", "postgres-fifo/64", AtMost, 1.5, "", "claim p95 on PostgreSQL behind many rows that this worker may not take against none, 64 callers"},
	{"P5", "postgres-lifo/8", AtMost, 1.5, "", "claim p95 on PostgreSQL behind many rows that this worker may not take against none, 8 callers"},
	{"P5", "postgres-lifo/64", AtMost, 1.5, "", "claim p95 on PostgreSQL behind many rows that this worker may not take against none, 64 callers"},
	{"P5", "postgres-priority/8", AtMost, 1.5, "", "claim p95 on PostgreSQL behind many rows that this worker may not take against none, 8 callers"},
	{"P5", "postgres-priority/64", AtMost, 1.5, "", "claim p95 on PostgreSQL behind many rows that this worker may not take against none, 64 callers"},
	{"P5", "postgres-weighted_random/8", AtMost, 1.5, "", "claim p95 on PostgreSQL behind many rows that this worker may not take against none, 8 callers"},
	{"P5", "postgres-weighted_random/64", AtMost, 1.5, "", "claim p95 on PostgreSQL behind many rows that this worker may not take against none, 64 callers"},

	{"P6", "stats", AtMost, 2, "", "median time of GET /api/queue/stats, many tasks against 2,000"},
	{"P6", "tasks", AtMost, 2, "", "of the first page of GET /api/queue/tasks"},
	{"P6", "tasks-by-status", AtMost, 2, "", "of the first page of each status, the slowest"},
	{"P6", "tasks-by-type", AtMost, 2, "", "of the first page of one type, with each status too: of many tasks and of a few old ones, the slowest"},
	{"P6", "others", AtMost, 2, "", "of workers, types, schedules, operations, attempts, logs and what is stranded, the slowest"},
	{"P6", "postgres-stats", AtMost, 2, "", "the same of a server on PostgreSQL: GET /api/queue/stats"},
	{"P6", "postgres-tasks", AtMost, 2, "", "first page"},
	{"P6", "postgres-tasks-by-status", AtMost, 2, "", "first page of each status"},
	{"P6", "postgres-tasks-by-type", AtMost, 2, "", "first page of each type"},
	{"P6", "postgres-others", AtMost, 2, "", "all others"},

	{"P7", "enqueue/constant", AtLeast, 0.55, "", "durable POSTs on 64 connections against a server that answers a constant"},
	{"P7", "life/naive", AtLeast, 7, "", "whole lives over HTTP against a server with one transaction an operation"},
	{"P7", "cpu", AtMost, 5, "% of a core", "the server's processor time at 10,000 whole lives a minute"},

	{"P8", "enqueue-p95", AtMost, 2, "ms", "at 500 enqueues, claims and completes a second over HTTP, from the instant the call was due"},
	{"P8", "enqueue-p99", AtMost, 10, "ms", "the same, of the calls of all rounds together"},
	{"P8", "claim-p95", AtMost, 3, "ms", "the same"},
	{"P8", "claim-p99", AtMost, 10, "ms", "the same, of all rounds together"},
	{"P8", "start-p95", AtMost, 5, "ms", "from the call of enqueue to the task at a worker that waits, at 100 tasks a second"},
	{"P8", "start-p95-loaded", AtMost, 5, "ms", "the same at 500 tasks a second, each of which is completed too"},

	{"P9", "enqueue/river", AtLeast, 10, "", "one by one, 64 callers, the same PostgreSQL"},
	{"P9", "life/river", AtLeast, 4, "", "whole lives, 64 producers and workers (River: 1,000 workers)"},
	{"P9", "drain/river", AtLeast, 1, "", "draining with 64 workers against River with 1,000"},
	{"P9", "life/asynq", AtLeast, 3, "", "whole lives against asynq on Redis with appendfsync always"},
	{"P9", "two-nodes/one", AtLeast, 1, "", "lives by two processes of 32 callers against one of 64"},
	{"P9", "double-claims", AtMost, 0, "tasks", "claimed twice by two processes"},

	{"P10", "busy-errors", AtMost, 0, "errors", "met by 8 workers in each of four processes on one file"},
	{"P10", "double-claims", AtMost, 0, "tasks", "claimed twice by them"},

	{"P11", "statements", AtMost, 0, "statements", "run while 8 workers wait for work"},
	{"P11", "cpu", AtMost, 0.3, "% of a core", "used while 8 workers wait for work"},

	{"P12", "empty", AtMost, 60, "MiB", "resident memory of an empty server"},
	{"P12", "loaded", AtMost, 120, "MiB", "greatest resident memory of a server with many queued tasks under load"},
	{"P12", "ready", AtMost, 250, "ms", "from the start of the process to the first good answer of /readyz, many rows"},
}
