package storetest

import (
	"slices"

	"github.com/prismq/thequeue/internal/task"
)

var auditBehaviours = []behaviour{{"KeepsWhatWasDoneAndListsItNewestFirst", keepsAudits}}

func keepsAudits(r *rig) {
	var kept []task.Audit
	for i, name := range []string{"a", "b", "c"} {
		want := task.Audit{AtUTC: at(float64(i)), Actor: "me", Action: "pause", Subject: name, Message: "it was <b>paused</b>"}
		got, err := r.st.AddAudit(r.Context(), want)
		r.ok(err)
		want.AuditID = got.AuditID
		r.equal("kept", want, got)
		kept = append(kept, got)
	}
	slices.Reverse(kept)
	all, err := r.st.ListAudits(r.Context(), 0, 10)
	r.ok(err)
	r.equal("all", kept, all)
	older, err := r.st.ListAudits(r.Context(), kept[0].AuditID, 1)
	r.ok(err)
	r.equal("the one before the newest", kept[1:2], older)
	one, err := r.st.GetAudit(r.Context(), kept[2].AuditID)
	r.ok(err)
	r.equal("one", kept[2], one)
	_, err = r.st.GetAudit(r.Context(), kept[0].AuditID+1)
	r.wants(task.ErrNotFound, err)
}
