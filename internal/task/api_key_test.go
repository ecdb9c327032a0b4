package task_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

func TestAKeyIsMadeAndKnownAgain(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	life := 60.0
	k := task.APIKeySpec{Name: "shop", Role: task.RoleProducer, Types: []string{"mail.*", "sms"}, ExpiresInSeconds: &life}.Issue(now)
	other := task.APIKeySpec{Name: "shop", Role: task.RoleProducer}.Issue(now)
	if k.Key == other.Key || k.KeyID == other.KeyID || len(k.Key) != 59 || !strings.HasPrefix(k.Key, "tq_"+k.KeyID+"_") {
		t.Fatalf("keys %q and %q with ids %q and %q", k.Key, other.Key, k.KeyID, other.KeyID)
	}
	id, secret, err := task.ParseAPIKey(k.Key)
	if err != nil || id != k.KeyID || !k.Has(secret) {
		t.Fatalf("%q is not known: id %q, error %v", k.Key, id, err)
	}
	if strings.Contains(k.SecretHash, secret) || other.Has(secret) || k.Has(secret[:42]+"!") || k.Has("") {
		t.Error("another secret opens")
	}
	if !k.InForce(now) || k.InForce(now.Add(time.Minute)) || !other.InForce(now.Add(1e6*time.Hour)) {
		t.Error("it is in force for another time than a minute")
	}
	other.RevokedAtUTC = &now
	if other.InForce(now.Add(-time.Hour)) {
		t.Error("a revoked key is in force")
	}
}

func TestWhatIsNoKeyIsUnauthenticated(t *testing.T) {
	t.Parallel()
	good := "tq_abcdefghijkl_" + strings.Repeat("a", 43)
	if _, _, err := task.ParseAPIKey(good); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "tq_", good[1:], good + "a", "TQ" + good[2:], strings.Replace(good, "l_a", "l-a", 1), strings.Replace(good, "abc", "aBc", 1), strings.Replace(good, "abc", "a1c", 1)} {
		if _, _, err := task.ParseAPIKey(text); !errors.Is(err, task.ErrUnauthenticated) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestPatternsOfTypes(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string][2]string{ // types that fit, and that do not, with spaces between them
		"mail":     {"mail", "mail2 amail Mail m*"},
		"*":        {"mail m", ""},
		"mail.*":   {"mail. mail.send mail.a.b", "mail mailx amail.b"},
		"*.send":   {"mail.send .send", "mail.sends send"},
		"a*b*c":    {"abc aXbYc abbcc abcbc", "ab ac acb abcd"},
		"ab*ba":    {"abba abXba", "aba"},
		"**":       {"x", ""},
		"[a-z]?":   {"[a-z]?", "ab a"},
		"*aab*aab": {"aabaab aaabXaab", "aab aaab"},
	} {
		for i, types := range want {
			for _, name := range strings.Fields(types) {
				if got := task.MatchesType([]string{"nothing", pattern}, name); got != (i == 0) {
					t.Errorf("%q fits %q: %v", pattern, name, got)
				}
			}
		}
	}
	if task.MatchesType(nil, "mail") {
		t.Error("no pattern fits")
	}
	broken := task.JSON(`{"a":1}`)
	if got := (task.APIKey{Types: &broken}).Patterns(); task.MatchesType(got, "mail") || len(got) == 0 {
		t.Errorf("a broken list of patterns is read as %q, as if there was no limit", got)
	}
}

func TestWhatIsWrongWithAKeyToMake(t *testing.T) {
	t.Parallel()
	low := 0.5
	err := task.APIKeySpec{Name: " ", Role: "boss", Types: []string{"a", ""}, ExpiresInSeconds: &low}.Check()
	for _, want := range []string{"name: ", "role: unknown role \"boss\": use one of producer, worker, viewer, operator, admin", "types[1]: ", "expires_in_seconds: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if err := (task.APIKeySpec{Name: "a", Role: task.RoleAdmin, Types: []string{"*"}}).Check(); err == nil || !strings.Contains(err.Error(), "types: cannot limit an admin") {
		t.Errorf("an admin with a limit: %v", err)
	}
	if err := (task.APIKeySpec{Name: "a", Role: task.RoleWorker, Types: []string{"*"}}).Check(); err != nil {
		t.Error(err)
	}
}

// FuzzParseAPIKey: whatever a caller sends as its key, it is taken apart into what it was made of, or refused.
func FuzzParseAPIKey(f *testing.F) {
	f.Add("")
	f.Add("tq_abcdefghijkl_" + strings.Repeat("a", 43))
	f.Add("tq_abcdefghijkl_" + strings.Repeat("é", 22))
	f.Add("tq__" + strings.Repeat("_", 55))
	f.Fuzz(func(t *testing.T, text string) {
		id, secret, err := task.ParseAPIKey(text)
		if err == nil && "tq_"+id+"_"+secret != text {
			t.Errorf("%q became %q and %q", text, id, secret)
		}
		if err != nil && !errors.Is(err, task.ErrUnauthenticated) {
			t.Error(err)
		}
	})
}

// FuzzParseToken: a text that a worker sends as its token is one, which comes out as it went in, or stands for a lost lease.
func FuzzParseToken(f *testing.F) {
	for _, seed := range []string{"", "1.ab", "-1.ab", "9223372036854775808.x", "1.", ".", "1.a.b", "+1.ab", "1.\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := task.ParseToken(text)
		if err != nil {
			if !errors.Is(err, task.ErrLeaseLost) {
				t.Error(err)
			}
			return
		}
		again, err := task.ParseToken(tok.String())
		if err != nil || again != tok || tok.Fence < 1 {
			t.Errorf("%q became %+v, and that %+v, error %v", text, tok, again, err)
		}
	})
}
