package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/task"
)

var keyLine = regexp.MustCompile(`^tq_([a-z2-7]{12})_[A-Za-z0-9_-]{43}\n$`)

// newKey makes a key and returns it with its id. The key is alone on the output, and what is said of it beside that.
func (r *rig) newKey(args ...string) (key, id string) {
	r.t.Helper()
	got := r.run("", append([]string{"keys"}, args...)...)
	m := keyLine.FindStringSubmatch(got.out)
	if got.code != 0 || m == nil || !strings.Contains(got.err, "Key "+m[1]+" of ") || strings.Contains(got.err, strings.TrimSpace(got.out)) {
		r.t.Fatalf("%q: %+v", args, got)
	}
	return strings.TrimSpace(got.out), m[1]
}

func TestKeysAreMadeListedRotatedAndRevoked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	url, _ := r.serve("--database", r.path("q.db"))
	at := []string{"--server", url}
	r.fails(2, []string{"role", "the first key"}, "keys", "create", "shop", "--role", "producer", "--server", url)
	root, _ := r.newKey("create", "ops", "--role", "admin", "--database", r.path("q.db")) // beside the server
	eventually(t, "the server wants a key", func() bool { return r.run("", append([]string{"stats"}, at...)...).code == 7 })
	r.fails(7, []string{"A valid API key is needed", "thequeue keys create"}, append([]string{"stats"}, at...)...)
	r.fails(2, []string{"api_key: must be a key"}, append([]string{"stats", "--api-key", "secret-x"}, at...)...)

	r.ok(append([]string{"stats", "--api-key", root}, at...)...)
	r.ok(append([]string{"stats", "--api-key", "@" + r.write("key", root+"\n")}, at...)...)
	r.ok(append([]string{"stats", "--config", r.write("c.yaml", "api_key: "+root+"\n")}, at...)...)
	r.env["PRISMQ_API_KEY"] = root
	shop, _ := r.newKey(append([]string{"create", "shop", "--role", "producer", "--types", "mail.*,sms", "--expires-in", "90d"}, at...)...)
	r.fails(4, []string{"shop is in force"}, append([]string{"keys", "create", "shop", "--role", "viewer"}, at...)...)
	r.fails(2, []string{"role", "use one of producer, worker"}, append([]string{"keys", "create", "x", "--role", "boss"}, at...)...)
	r.fails(7, []string{"its role is producer, and this needs the role viewer or operator or admin"}, append([]string{"stats", "--api-key", shop}, at...)...)
	r.ok(append([]string{"enqueue", "mail.send", "--api-key", shop}, at...)...)
	r.fails(7, []string{"mail.*, sms"}, append([]string{"enqueue", "video", "--api-key", shop}, at...)...)

	next, id := r.newKey(append([]string{"rotate", "shop"}, at...)...)
	r.fails(7, nil, append([]string{"enqueue", "sms", "--api-key", shop}, at...)...)
	r.ok(append([]string{"enqueue", "sms", "--api-key", next}, at...)...)
	list := r.ok(append([]string{"keys", "list"}, at...)...)
	if strings.Contains(list, next) || strings.Contains(list, shop) || strings.Count(list, "shop") != 2 || !strings.Contains(list, "mail.*, sms") {
		t.Errorf("the list:\n%s", list)
	}
	r.fails(4, []string{"revoke it first"}, append([]string{"keys", "delete", id}, at...)...)
	last, lastID := r.newKey(append([]string{"rotate", "shop", "--overlap", "24h"}, at...)...)
	for _, key := range []string{next, last} {
		r.ok(append([]string{"enqueue", "sms", "--api-key", key}, at...)...)
	}
	if out := r.ok(append([]string{"keys", "revoke", "shop"}, at...)...); !strings.HasSuffix(out, id+" of shop: revoked\n"+lastID+" of shop: revoked\n") {
		t.Errorf("revoke: %q", out)
	}
	r.fails(7, nil, append([]string{"enqueue", "sms", "--api-key", last}, at...)...)
	r.fails(7, nil, append([]string{"enqueue", "sms", "--api-key", next}, at...)...)
	r.ok(append([]string{"keys", "delete", id, lastID}, at...)...)
	r.fails(3, []string{"key shop not found"}, append([]string{"keys", "revoke", "shop"}, at...)...)
	r.fails(3, []string{"key none not found"}, append([]string{"keys", "revoke", "none"}, at...)...)
	if ks := parse[[]task.APIKey](t, r.ok("keys", "list", "--database", r.path("q.db"), "-o", "json")); len(ks) != 2 || ks[0].Name != "ops" {
		t.Errorf("the list without the server: %+v", ks)
	}
}

func TestAnAddressForOthersIsRefusedWithTheRemedy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fails(2, []string{"addr: can be reached by other machines", "tls.cert_file", "plain_http"}, "serve", "--addr", "0.0.0.0:0", "--database", r.path("q.db"))
	r.fails(2, []string{"there are no API keys", "thequeue keys create NAME --role admin --database " + r.path("q.db")}, "serve", "--addr", "0.0.0.0:0", "--plain-http", "--database", r.path("q.db"))
	r.fails(2, []string{"tls.cert_file", "no such file"}, "serve", "--addr", "127.0.0.1:0", "--tls-cert", r.path("c.pem"), "--tls-key", r.path("k.pem"), "--database", r.path("q.db"))
}
