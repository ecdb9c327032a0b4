package task

import "time"

// Audit is one row of audit_log: what somebody has done.
type Audit struct {
	AuditID int64     `json:"audit_id"` // grows
	AtUTC   time.Time `json:"at_utc"`
	Actor   string    `json:"actor"`   // who, as far as that is known
	Action  string    `json:"action"`  // in a word, such as pause
	Subject string    `json:"subject"` // what it was done to: the type, worker, schedule, or number of the task or operation; empty: more than one thing
	Message string    `json:"message"` // what was done, in words
}
