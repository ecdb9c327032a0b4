package task

// Health is whether the queue does well, and what is wrong with it.
type Health struct {
	Status   HealthStatus `json:"status"`
	Problems []Problem    `json:"problems"` // the gravest first; empty: none
}

// HealthStatus is that of the gravest problem.
type HealthStatus string

const (
	Well     HealthStatus = "ok"
	Strained HealthStatus = "warning"  // somebody should look
	Ill      HealthStatus = "critical" // tasks wait that need not, or will
)

// ProblemCode names what is wrong.
type ProblemCode string

// The codes of problems.
const (
	ProblemNoWorkers       ProblemCode = "no_workers"       // tasks are due, and no worker is there
	ProblemDiskLow         ProblemCode = "disk_low"         // the disk of the file is nearly full
	ProblemScheduleMissed  ProblemCode = "schedule_missed"  // a tick was missed, or its time is over and nobody has dealt with it
	ProblemScheduleStopped ProblemCode = "schedule_stopped" // a schedule has no next tick, and is not paused
	ProblemPoisonTask      ProblemCode = "poison_task"      // a task has lost two workers or more
	ProblemTypeFailing     ProblemCode = "type_failing"     // most attempts of a type fail
	ProblemBreakerOpen     ProblemCode = "breaker_open"     // so many that its circuit breaker has stopped it
	ProblemStranded        ProblemCode = "stranded"         // tasks are queued that no live worker may take
	ProblemBacklogGrowing  ProblemCode = "backlog_growing"  // more comes in than is done
	ProblemTypePaused      ProblemCode = "type_paused"      // tasks are queued whose type is paused
	ProblemWorkerStale     ProblemCode = "worker_stale"     // a worker was not heard for long
	ProblemBackupFailed    ProblemCode = "backup_failed"    // a scheduled backup has failed
	ProblemStoreMoved      ProblemCode = "store_moved"      // the store takes no changes, as it has been moved to another database
)

// Problem is one thing that is wrong, in words for people.
type Problem struct {
	Code     ProblemCode  `json:"code"`
	Severity HealthStatus `json:"severity"` // Strained or Ill
	Message  string       `json:"message"`  // what is so, and what can be done
	Subject  string       `json:"subject"`  // the type, worker, schedule or number of the task that it is about; empty: the whole
}
