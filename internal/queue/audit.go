package queue

import (
	"context"
	"fmt"

	"github.com/prismq/thequeue/internal/task"
)

// Audit keeps what an operator has done, now, and tells the log of the server. a.AuditID and a.AtUTC are not read.
func (q *Queue) Audit(ctx context.Context, a task.Audit) (task.Audit, error) {
	a.AtUTC = q.Now()
	kept, err := q.store.AddAudit(ctx, a)
	if err != nil {
		return a, fmt.Errorf("audit %s of %s: %w", a.Action, a.Subject, err)
	}
	q.o.Log.InfoContext(ctx, "audit", "audit_id", kept.AuditID, "actor", a.Actor, "action", a.Action, "subject", a.Subject, "message", a.Message)
	return kept, nil
}
