package dbcopy

import (
	"fmt"

	"github.com/prismq/thequeue/db/sqlitecopy"
)

// keyOf returns the key of a row of a short table as text.
func keyOf(row any) string {
	switch r := row.(type) {
	case sqlitecopy.Lane:
		return fmt.Sprint(r.ID)
	case sqlitecopy.CopyLaneCountsRow:
		return fmt.Sprint(r.LaneID)
	case sqlitecopy.Worker:
		return r.WorkerID
	case sqlitecopy.Type:
		return r.Type
	case sqlitecopy.TypeRule:
		return ""
	case sqlitecopy.Operation:
		return fmt.Sprint(r.ID)
	case sqlitecopy.Schedule:
		return r.Name
	case sqlitecopy.LaneKey:
		return fmt.Sprintf("%d %q", r.LaneID, r.ConcurrencyKey)
	case sqlitecopy.KeyRate:
		return fmt.Sprintf("%q %q", r.Type, r.ConcurrencyKey)
	case sqlitecopy.Rollup:
		return fmt.Sprintf("%d %q %d %q", r.Seconds, r.Type, r.AtUTC.UnixMicro(), r.Node)
	case sqlitecopy.FailureGroup:
		return fmt.Sprintf("%q %q", r.Fingerprint, r.Type)
	case sqlitecopy.Audit:
		return fmt.Sprint(r.AuditID)
	case sqlitecopy.APIKey:
		return r.KeyID
	}
	panic(fmt.Sprintf("a row of type %T has no key", row))
}
