package storetest

import (
	"context"
	"math"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

var tokenBehaviours = []behaviour{
	{"OfALiveLeaseAreTaken", takesLiveToken},
	{"ForeignOrMalformedAreRefused", refusesForeignToken},
	{"OfALostLeaseAreRefused", refusesStaleToken},
	{"OfAnotherTaskAreRefused", refusesTokenOfOtherTask},
	{"OfAnUnclaimedTaskAreRefused", refusesTokenOfUnclaimed},
	{"ForAnUnknownTaskReturnNotFound", tokenOfUnknownTask},
	{"NeverRepeatAFence", fencesGrow},
}

// calls are the calls that a worker makes under its lease.
var calls = []struct {
	name string
	do   func(ctx context.Context, st store.Store, id int64, tok task.Token) error
}{
	{"start", func(ctx context.Context, st store.Store, id int64, tok task.Token) error {
		_, err := st.StartTask(ctx, id, tok, at(100))
		return err
	}},
	{"heartbeat", func(ctx context.Context, st store.Store, id int64, tok task.Token) error {
		_, err := st.ExtendLease(ctx, id, tok, task.Beat{}, at(200), at(100))
		return err
	}},
	{"progress", func(ctx context.Context, st store.Store, id int64, tok task.Token) error {
		_, err := st.ExtendLease(ctx, id, tok, task.Beat{Progress: ptr(99), Message: ptr("stale")}, at(200), at(100))
		return err
	}},
	{"log", func(ctx context.Context, st store.Store, id int64, tok task.Token) error {
		_, err := st.AppendLog(ctx, tok, task.Log{TaskID: id, AtUTC: at(100), Level: task.Error, Message: "stale"})
		return err
	}},
	{"complete", func(ctx context.Context, st store.Store, id int64, tok task.Token) error {
		_, err := st.CompleteTask(ctx, id, tok, ptr(task.JSON(`"stale"`)), at(100))
		return err
	}},
	{"retry", func(ctx context.Context, st store.Store, id int64, tok task.Token) error {
		_, err := st.FailTask(ctx, id, tok, retry("stale", 100), at(100))
		return err
	}},
	{"fail", func(ctx context.Context, st store.Store, id int64, tok task.Token) error {
		_, err := st.FailTask(ctx, id, tok, verdict("stale", task.Rejected), at(100))
		return err
	}},
	{"release", func(ctx context.Context, st store.Store, id int64, tok task.Token) error {
		_, err := st.ReleaseTask(ctx, id, tok, at(100), at(100))
		return err
	}},
}

// refuses reports unless every call with the token returns want and nothing changes.
func (r *rig) refuses(what string, id int64, tok task.Token, want error) {
	r.Helper()
	before, stats := r.record(id), r.stats(at(100))
	for _, c := range calls {
		err := c.do(r.Context(), r.st, id, tok)
		if err == nil {
			r.Errorf("%s: %s was taken", what, c.name)
		}
		r.wants(want, err)
		r.equal(what+": record after "+c.name, before, r.record(id))
	}
	r.equal(what+": stats", stats, r.stats(at(100)))
}

func takesLiveToken(r *rig) {
	for _, c := range calls {
		t := r.running(task.Spec{})
		before := r.record(t.ID)
		r.ok(c.do(r.Context(), r.st, t.ID, token(t)))
		if after := r.record(t.ID); after.Task.UpdatedAtUTC == before.Task.UpdatedAtUTC && len(after.Logs) == len(before.Logs) {
			r.Errorf("%s changed nothing", c.name)
		}
		if got := r.get(t.ID); !got.Status.Ended() {
			r.cancel(t.ID, at(101))
		}
	}
}

func refusesForeignToken(r *rig) {
	t := r.running(task.Spec{})
	live := token(t)
	for name, tok := range map[string]task.Token{
		"next fence":      {Fence: live.Fence + 1, Secret: live.Secret},
		"fence before":    {Fence: live.Fence - 1, Secret: live.Secret},
		"negative fence":  {Fence: math.MinInt64, Secret: live.Secret},
		"greatest fence":  {Fence: math.MaxInt64, Secret: live.Secret},
		"other secret":    {Fence: live.Fence, Secret: "00000000000000000000000000000000"},
		"no secret":       {Fence: live.Fence},
		"half a secret":   {Fence: live.Fence, Secret: live.Secret[:16]},
		"longer secret":   {Fence: live.Fence, Secret: live.Secret + "0"},
		"padded secret":   {Fence: live.Fence, Secret: live.Secret + " "},
		"quoted secret":   {Fence: live.Fence, Secret: "' OR '1'='1"},
		"wildcard secret": {Fence: live.Fence, Secret: "%"},
		"no token":        {},
	} {
		r.refuses(name, t.ID, tok, task.ErrLeaseLost)
	}
	r.complete(t, at(101))
}

// refusesStaleToken loses the lease in every way there is.
func refusesStaleToken(r *rig) {
	again := func(t task.Task) {
		r.claimOne(task.Claim{Types: []string{t.Type}, Now: at(60), WorkerID: "w2", Secret: "another"})
	}
	ways := map[string]func(t task.Task){
		"completed":              func(t task.Task) { r.complete(t, at(1)) },
		"rejected":               func(t task.Task) { r.fail(t, verdict("no", task.Rejected), at(1)) },
		"exhausted":              func(t task.Task) { r.fail(t, verdict("no", task.Exhausted), at(1)) },
		"retried":                func(t task.Task) { r.fail(t, retry("no", 60), at(1)) },
		"retried and claimed":    func(t task.Task) { r.fail(t, retry("no", 1), at(1)); again(t) },
		"released":               func(t task.Task) { r.release(t, at(1)) },
		"released and claimed":   func(t task.Task) { r.release(t, at(1)); again(t) },
		"reaped":                 func(t task.Task) { r.reap(at(60)) },
		"reaped and claimed":     func(t task.Task) { r.reap(at(60)); again(t) },
		"cancelled and requeued": func(t task.Task) { r.cancel(t.ID, at(1)); r.requeue(t.ID, at(2)) },
		"requeued and claimed":   func(t task.Task) { r.cancel(t.ID, at(1)); r.requeue(t.ID, at(2)); again(t) },
		"requeued and completed": func(t task.Task) {
			r.cancel(t.ID, at(1))
			r.requeue(t.ID, at(2))
			r.complete(r.claimOne(task.Claim{Types: []string{t.Type}, Now: at(3)}), at(4))
		},
	}
	for name, lose := range ways {
		t := r.running(task.Spec{Type: name})
		lose(t)
		r.refuses(name, t.ID, token(t), task.ErrLeaseLost)
		if got := r.get(t.ID); got.Status == task.Processing {
			r.complete(got, at(101)) // the one who holds it now is not disturbed; and no later reap finds it
		}
	}
	t := r.running(task.Spec{Type: "reaped for good", MaxAttempts: ptr(1)})
	r.reap(at(60))
	r.refuses("reaped for good", t.ID, token(t), task.ErrLeaseLost)

	t = r.running(task.Spec{Type: "cancelled"})
	r.cancel(t.ID, at(1))
	before := r.record(t.ID)
	for _, c := range calls {
		if c.name != "heartbeat" && c.name != "progress" { // these tell the worker of the cancel
			r.wants(task.ErrLeaseLost, c.do(r.Context(), r.st, t.ID, token(t)))
		}
	}
	r.equal("cancelled", before, r.record(t.ID))
}

func refusesTokenOfOtherTask(r *rig) {
	mine, other := r.running(task.Spec{Type: "mine"}), r.insert(task.Spec{Type: "other"})
	r.claimOne(task.Claim{Types: []string{"other"}, Secret: "another"})
	r.refuses("token of another task", other.ID, token(mine), task.ErrLeaseLost)
}

func refusesTokenOfUnclaimed(r *rig) {
	t := r.insert(task.Spec{})
	for _, tok := range []task.Token{{}, {Fence: 1, Secret: "x"}, {Fence: 0, Secret: "x"}} {
		r.refuses("never claimed", t.ID, tok, task.ErrLeaseLost)
	}
}

func tokenOfUnknownTask(r *rig) {
	t := r.running(task.Spec{})
	live := token(t)
	for _, c := range calls {
		r.wants(task.ErrNotFound, c.do(r.Context(), r.st, t.ID+1, live))
		r.wants(task.ErrNotFound, c.do(r.Context(), r.st, -1, live))
	}
	r.complete(t, at(1))
	r.ok(r.st.DeleteTask(r.Context(), t.ID))
	for _, c := range calls {
		r.wants(task.ErrNotFound, c.do(r.Context(), r.st, t.ID, live))
	}
}

func fencesGrow(r *rig) {
	t := r.insert(task.Spec{MaxAttempts: ptr(100)})
	last := int64(0)
	for i := range 24 {
		got := r.claimOne(task.Claim{})
		if got.Fence <= last {
			r.Fatalf("fence %d after %d", got.Fence, last)
		}
		switch last = got.Fence; i % 4 {
		case 0:
			r.release(got, start)
		case 1:
			r.fail(got, retry("again", 0), start)
		case 2:
			r.cancel(t.ID, start)
			r.requeue(t.ID, start)
		case 3:
			r.extend(got, task.Beat{}, 0, 0)
			r.reap(start)
		}
	}
	r.equal("fences in the history", 24, len(r.attempts(t.ID)))
}
