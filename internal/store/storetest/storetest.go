package storetest

import (
	"testing"

	"github.com/prismq/thequeue/internal/store"
)

// behaviour is one semantic, named as a fact; check gets a fresh store.
type behaviour struct {
	name  string
	check func(r *rig)
}

// Run checks every behaviour in a subtest of its own, in parallel. open returns a fresh, empty, migrated store and closes it with the
// test; it must bear that the test has closed the store already.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	roles := []struct {
		name       string
		behaviours []behaviour
	}{
		{"Enqueue", enqueueBehaviours},
		{"Batch", batchBehaviours},
		{"Idempotency", idempotencyBehaviours},
		{"UniqueKeys", uniqueBehaviours},
		{"Answers", answerBehaviours},
		{"RoundTrip", roundTripBehaviours},
		{"States", stateBehaviours},
		{"Operator", operatorBehaviours},
		{"Lists", listBehaviours},
		{"Runs", runBehaviours},
		{"Matches", matchBehaviours},
		{"Operations", operationBehaviours},
		{"Stats", statsBehaviours},
		{"Claims", claimBehaviours},
		{"Matching", matchingBehaviours},
		{"Strategies", strategyBehaviours},
		{"Weighted", weightedBehaviours},
		{"Leases", leaseBehaviours},
		{"Tokens", tokenBehaviours},
		{"Attempts", attemptBehaviours},
		{"Logs", logBehaviours},
		{"Workers", workerBehaviours},
		{"Schedules", scheduleBehaviours},
		{"Types", typeBehaviours},
		{"Limits", limitBehaviours},
		{"Rates", rateBehaviours},
		{"Quarantine", quarantineBehaviours},
		{"Keys", keyBehaviours},
		{"Traces", traceBehaviours},
		{"Maintenance", maintenanceBehaviours},
		{"Database", databaseBehaviours},
		{"Retention", retentionBehaviours},
		{"Rollups", rollupBehaviours},
		{"Audits", auditBehaviours},
		{"APIKeys", apiKeyBehaviours},
		{"Failures", failureBehaviours},
		{"Imports", importBehaviours},
		{"Concurrency", concurrencyBehaviours},
		{"Lifecycle", lifecycleBehaviours},
	}
	for _, role := range roles {
		t.Run(role.name, func(t *testing.T) {
			t.Parallel()
			for _, b := range role.behaviours {
				t.Run(b.name, func(t *testing.T) {
					t.Parallel()
					b.check(&rig{T: t, st: open(t)})
				})
			}
		})
	}
}
