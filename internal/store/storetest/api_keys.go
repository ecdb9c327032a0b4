package storetest

import (
	"time"

	"github.com/prismq/thequeue/internal/task"
)

var apiKeyBehaviours = []behaviour{
	{"KeepsKeysAsTheyAreAndListsThemOldestFirst", keepsAPIKeys},
	{"RevokesAKeyOnceAndForGood", revokesAPIKeys},
	{"ReplacesAKeyThatIsInForceAllOrNothing", replacesAPIKeys},
	{"DeletesOnlyKeysThatOpenNothing", deletesAPIKeys},
	{"NotesTheLastUseOfAKey", touchesAPIKeys},
}

func (r *rig) addAPIKey(name string, createdAt float64, types ...string) task.APIKey {
	r.Helper()
	life := 100.0
	k := task.APIKeySpec{Name: name, Role: task.RoleWorker, Types: types, ExpiresInSeconds: &life}.Issue(at(createdAt)).APIKey
	r.ok(r.st.AddAPIKey(r.Context(), k))
	return k
}

func (r *rig) apiKey(id string) task.APIKey {
	r.Helper()
	k, err := r.st.GetAPIKey(r.Context(), id)
	r.ok(err)
	return k
}

func keepsAPIKeys(r *rig) {
	has, err := r.st.HasAPIKeys(r.Context())
	r.ok(err)
	r.equal("has keys at first", false, has)
	b, a := r.addAPIKey("b", 2, "mail.*", "é<"), r.addAPIKey("a", 1)
	admin := task.APIKeySpec{Name: "root", Role: task.RoleAdmin}.Issue(at(3)).APIKey
	r.ok(r.st.AddAPIKey(r.Context(), admin))
	has, err = r.st.HasAPIKeys(r.Context())
	r.ok(err)
	r.equal("has keys", true, has)
	r.equal("one", b, r.apiKey(b.KeyID))
	all, err := r.st.ListAPIKeys(r.Context())
	r.ok(err)
	r.equal("all", []task.APIKey{a, b, admin}, all)
	_, err = r.st.GetAPIKey(r.Context(), "nothing")
	r.wants(task.ErrNotFound, err)
}

func revokesAPIKeys(r *rig) {
	k := r.addAPIKey("a", 1)
	got, err := r.st.RevokeAPIKey(r.Context(), k.KeyID, at(5))
	r.ok(err)
	k.RevokedAtUTC = ptr(at(5))
	r.equal("revoked", k, got)
	got, err = r.st.RevokeAPIKey(r.Context(), k.KeyID, at(9))
	r.ok(err)
	r.equal("revoked twice", k, got)
	r.equal("kept", k, r.apiKey(k.KeyID))
	_, err = r.st.RevokeAPIKey(r.Context(), "nothing", at(5))
	r.wants(task.ErrNotFound, err)
}

func replacesAPIKeys(r *rig) {
	old := r.addAPIKey("a", 1)
	fresh := func() task.APIKey { return task.APIKeySpec{Name: "a", Role: task.RoleWorker}.Issue(at(10)).APIKey }
	replace := func(id string, by task.APIKey, until, now time.Time) error {
		return r.st.ReplaceAPIKey(r.Context(), id, by, until, now)
	}
	second := fresh()
	r.ok(replace(old.KeyID, second, at(20), at(10)))
	old.ExpiresAtUTC = ptr(at(20))
	r.equal("the old one", old, r.apiKey(old.KeyID))
	r.equal("the new one", second, r.apiKey(second.KeyID))
	r.ok(replace(old.KeyID, fresh(), at(30), at(11)))
	r.equal("the old one lives no longer for it", old, r.apiKey(old.KeyID))

	third := fresh()
	r.wants(task.ErrConflict, replace(old.KeyID, third, at(30), at(20))) // it has expired
	r.wants(task.ErrNotFound, replace("nothing", third, at(30), at(20)))
	_, err := r.st.RevokeAPIKey(r.Context(), second.KeyID, at(21))
	r.ok(err)
	r.wants(task.ErrConflict, replace(second.KeyID, third, at(30), at(22)))
	_, err = r.st.GetAPIKey(r.Context(), third.KeyID)
	r.wants(task.ErrNotFound, err)
}

func deletesAPIKeys(r *rig) {
	expired, revoked, live := r.addAPIKey("a", 0), r.addAPIKey("b", 50), r.addAPIKey("c", 50)
	_, err := r.st.RevokeAPIKey(r.Context(), revoked.KeyID, at(60))
	r.ok(err)
	r.wants(task.ErrConflict, r.st.DeleteAPIKey(r.Context(), expired.KeyID, at(99)))
	r.ok(r.st.DeleteAPIKey(r.Context(), expired.KeyID, at(100)))
	r.ok(r.st.DeleteAPIKey(r.Context(), revoked.KeyID, at(100)))
	r.wants(task.ErrConflict, r.st.DeleteAPIKey(r.Context(), live.KeyID, at(100)))
	r.wants(task.ErrNotFound, r.st.DeleteAPIKey(r.Context(), expired.KeyID, at(100)))
	all, err := r.st.ListAPIKeys(r.Context())
	r.ok(err)
	r.equal("left", []task.APIKey{live}, all)
}

func touchesAPIKeys(r *rig) {
	k := r.addAPIKey("a", 1)
	r.ok(r.st.TouchAPIKey(r.Context(), k.KeyID, at(5)))
	k.LastUsedAtUTC = ptr(at(5))
	r.equal("used", k, r.apiKey(k.KeyID))
	r.ok(r.st.TouchAPIKey(r.Context(), k.KeyID, at(4)))
	r.equal("used before", k, r.apiKey(k.KeyID))
	r.ok(r.st.TouchAPIKey(r.Context(), "nothing", at(5)))
}
