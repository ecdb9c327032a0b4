package storetest

import (
	"fmt"
	"sync/atomic"

	"github.com/prismq/thequeue/internal/task"
)

var answerBehaviours = []behaviour{
	{"AreKeptUnderTheirKey", keepsAnswer},
	{"LeaveAKeyToItsHolder", leavesKeyToHolder},
	{"GiveAKeyToTheSameRequestWhenItsTimeIsOver", takesKeyOver},
	{"GiveAKeyToAnyRequestWhenItsLifetimeIsOver", freesExpiredKey},
	{"GiveAKeyToTheSameOwnerAgain", givesKeyToOwnerAgain},
	{"AreForgottenByTheirOwnerAlone", forgetsOwnKeyOnly},
	{"ArePurgedInSteps", purgesAnswers},
	{"GiveTheKeyToOneOf64RacingCallers", givesKeyToOneOfRacingCallers},
}

// reservation is one of the key k by an owner, made so many seconds after start, held for 10 seconds and kept for 100.
func reservation(owner string, now float64) task.Answer {
	return task.Answer{RequestKey: "k", Fingerprint: "f", Owner: owner, CreatedAtUTC: at(now), HeldUntilUTC: at(now + 10), ExpiresAtUTC: at(now + 100)}
}

// reserve wants the key for a, and fails the test unless the answer is as expected.
func (r *rig) reserve(a task.Answer, mine bool) task.Answer {
	r.Helper()
	got, is, err := r.st.ReserveAnswer(r.Context(), a)
	r.ok(err)
	r.equal("the key is "+a.Owner+"'s", mine, is)
	return got
}

func answered(a task.Answer) task.Answer {
	a.StatusCode, a.MediaType, a.Body = ptr(201), ptr("application/json"), ptr(`{"n": 1.50, "ü":"\u2028"}`)
	return a
}

func keepsAnswer(r *rig) {
	first := reservation("a", 0)
	r.equal("reservation", first, r.reserve(first, true))
	r.ok(r.st.KeepAnswer(r.Context(), answered(first)))
	r.equal("answer", answered(first), r.reserve(reservation("b", 50), false))
	other := reservation("b", 50)
	other.Fingerprint = "g"
	r.equal("answer to another request", answered(first), r.reserve(other, false))
	other.RequestKey = "K"
	r.equal("another key", other, r.reserve(other, true))
}

func leavesKeyToHolder(r *rig) {
	first := r.reserve(reservation("a", 0), true)
	r.equal("holder", first, r.reserve(reservation("b", 9), false))
	other := reservation("b", 20)
	other.Fingerprint = "g"
	r.equal("holder for another request", first, r.reserve(other, false))
	r.wants(task.ErrConflict, r.st.KeepAnswer(r.Context(), answered(reservation("b", 9))))
	r.ok(r.st.KeepAnswer(r.Context(), answered(first)))
}

func takesKeyOver(r *rig) {
	first := r.reserve(reservation("a", 0), true)
	second := reservation("b", 10)
	r.equal("reservation", second, r.reserve(second, true))
	r.wants(task.ErrConflict, r.st.KeepAnswer(r.Context(), answered(first)))
	r.ok(r.st.ForgetAnswer(r.Context(), "k", "a"))
	r.ok(r.st.KeepAnswer(r.Context(), answered(second)))
	r.equal("answer", answered(second), r.reserve(reservation("c", 30), false))
}

func freesExpiredKey(r *rig) {
	r.reserve(reservation("a", 0), true)
	r.ok(r.st.KeepAnswer(r.Context(), answered(reservation("a", 0))))
	r.reserve(reservation("b", 99), false)
	next := reservation("b", 100)
	next.Fingerprint = "g"
	r.equal("reservation", next, r.reserve(next, true))
}

func givesKeyToOwnerAgain(r *rig) {
	r.reserve(reservation("a", 0), true)
	r.reserve(reservation("a", 1), true)
}

func forgetsOwnKeyOnly(r *rig) {
	r.reserve(reservation("a", 0), true)
	r.ok(r.st.ForgetAnswer(r.Context(), "k", "b"))
	r.reserve(reservation("b", 1), false)
	r.ok(r.st.ForgetAnswer(r.Context(), "k", "a"))
	second := r.reserve(reservation("b", 1), true)
	r.ok(r.st.KeepAnswer(r.Context(), answered(second)))
	r.ok(r.st.ForgetAnswer(r.Context(), "k", "b"))
	r.reserve(reservation("c", 2), false)
}

func purgesAnswers(r *rig) {
	for i := range 5 {
		a := reservation("a", float64(i))
		a.RequestKey = fmt.Sprint("k", i)
		r.reserve(a, true)
	}
	for _, want := range []int{2, 1, 0} { // of those from 0, 1 and 2
		n, err := r.st.PurgeAnswers(r.Context(), at(102), 2)
		r.ok(err)
		r.equal("purged", want, n)
	}
	left := reservation("b", 5)
	left.RequestKey = "k3"
	r.reserve(left, false)
}

func givesKeyToOneOfRacingCallers(r *rig) {
	var winners atomic.Int64
	r.together(64, func(i int) error {
		_, mine, err := r.st.ReserveAnswer(r.Context(), reservation(fmt.Sprint("owner-", i), 0))
		if mine {
			winners.Add(1)
		}
		return err
	})
	r.equal("winners", int64(1), winners.Load())
}
