package storetest

import (
	"strings"

	"github.com/prismq/thequeue/internal/task"
)

var attemptBehaviours = []behaviour{
	{"AreKeptWithTheirOutcomes", keepsAttempts},
	{"NumberAReleasedAttemptAgain", numbersReleasedAgain},
	{"EndExhaustedAfterExactlyMaxAttemptsLost", endsAfterMaxAttempts},
	{"CountAsLostOnlyWhenTheLeaseRanOut", countsLost},
	{"AreEmptyBeforeTheFirstClaim", attemptsEmpty},
}

func keepsAttempts(r *rig) {
	t := r.insert(task.Spec{})
	claim := func(worker string, now float64) task.Task {
		return r.claimOne(task.Claim{WorkerID: worker, Now: at(now)})
	}
	r.fail(claim("w1", 0), retry("first", 1), at(1))
	r.release(claim("w2", 2), at(3))
	claim("w3", 4)
	reaped := r.reap(at(64))
	held := claim("w4", 65)
	_, err := r.st.StartTask(r.Context(), t.ID, token(held), at(66))
	r.ok(err)
	r.cancel(t.ID, at(67))
	r.requeue(t.ID, at(68))
	r.fail(claim("w5", 69), verdict("never", task.Rejected), at(70))
	r.requeue(t.ID, at(71))
	r.complete(claim("w6", 72), at(73))

	attempt := func(fence int64, n int, worker string, from, to float64, o task.AttemptOutcome, message *string) task.Attempt {
		return task.Attempt{
			TaskID: t.ID, Fence: fence, Attempt: n, WorkerID: worker, StartedAtUTC: at(from), FinishedAtUTC: ptr(at(to)), Outcome: &o, ErrorMessage: message,
		}
	}
	want := []task.Attempt{
		attempt(1, 1, "w1", 0, 1, task.AttemptFailed, ptr("first")),
		attempt(2, 2, "w2", 2, 3, task.AttemptReleased, nil),
		attempt(3, 2, "w3", 4, 64, task.AttemptLost, reaped[0].ErrorMessage),
		attempt(4, 3, "w4", 66, 67, task.AttemptCancelled, ptr("Cancelled by user")),
		attempt(5, 1, "w5", 69, 70, task.AttemptRejected, ptr("never")),
		attempt(6, 1, "w6", 72, 73, task.AttemptSucceeded, nil),
	}
	r.equal("attempts", want, r.attempts(t.ID))
}

func numbersReleasedAgain(r *rig) {
	t := r.running(task.Spec{})
	r.fail(t, retry("no", 0), start)
	r.release(r.claimOne(task.Claim{}), start)
	r.claimOne(task.Claim{})
	var got []int
	for _, a := range r.attempts(t.ID) {
		got = append(got, a.Attempt)
	}
	r.equal("numbers", []int{1, 2, 2}, got)
	last := r.attempts(t.ID)[2]
	r.equal("the one that runs", task.Attempt{TaskID: t.ID, Fence: 3, Attempt: 2, WorkerID: "w1", StartedAtUTC: start}, last)
}

// endsAfterMaxAttempts is a task that kills every worker.
func endsAfterMaxAttempts(r *rig) {
	t := r.insert(task.Spec{MaxAttempts: ptr(3)})
	for n := 1; n <= 3; n++ {
		now := float64(100 * n)
		r.claimOne(task.Claim{Now: at(now), WorkerID: "victim"})
		got := r.reap(at(now + 60))
		if len(got) != 1 || !strings.Contains(*got[0].ErrorMessage, "victim") {
			r.Fatalf("reaped %+v", got)
		}
		r.equal("exhausted", n == 3, got[0].Status == task.Failed)
	}
	r.equal("outcome", ptr(task.Exhausted), r.get(t.ID).Outcome)
	r.equal("claimed", 0, len(r.claim(task.Claim{Now: at(1000)})))
	r.equal("attempts", 3, len(r.attempts(t.ID)))
}

// countsLost goes through every way in which an attempt ends.
func countsLost(r *rig) {
	t := r.insert(task.Spec{MaxAttempts: ptr(2)})
	lost := func(want int, got task.Task) {
		r.Helper()
		r.equal("lost", want, got.Lost)
		r.equal("lost, stored", want, r.get(t.ID).Lost)
	}
	r.claimOne(task.Claim{Now: at(0)})
	lost(1, r.reap(at(60))[0])
	held := r.claimOne(task.Claim{Now: at(61)})
	lost(1, held)
	lost(1, r.release(held, at(62)))
	lost(1, r.fail(r.claimOne(task.Claim{Now: at(63)}), verdict("no", task.Rejected), at(64)))
	lost(1, r.requeue(t.ID, at(65)))
	lost(1, r.fail(r.claimOne(task.Claim{Now: at(66)}), retry("no", 67), at(67)))
	r.claimOne(task.Claim{Now: at(68)})
	ended := r.reap(at(128))[0]
	r.equal("ended", ptr(task.Exhausted), ended.Outcome)
	lost(2, ended)
	r.requeue(t.ID, at(129))
	r.claimOne(task.Claim{Now: at(130)})
	lost(2, r.cancel(t.ID, at(131)))
	r.requeue(t.ID, at(132))
	lost(2, r.complete(r.claimOne(task.Claim{Now: at(133)}), at(134)))
}

func attemptsEmpty(r *rig) {
	r.equal("attempts", 0, len(r.attempts(r.insert(task.Spec{}).ID)))
}
