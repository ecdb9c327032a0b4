package task_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prismq/thequeue/internal/task"
)

func TestPatternLeavesWhatSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"":                              "<no message>",
		" \n\t ":                        "<no message>",
		"no route to host":              "no route to host",
		"  no   route\tto\nhost 17\n":   "no route to",
		"task 17 of 200 failed":         "task <n> of <n> failed",
		"took 3.14 of 1,234,567.5":      "took <n> of <n>",
		"order-17 of worker3":           "order-<n> of worker<n>",
		"10MB of 1.5GB, utf8, sha256":   "<n>MB of <n>GB, utf<n>, sha<n>",
		"timeout after 1m30.5s":         "timeout after <duration>",
		"timeout after 250ms":           "timeout after <duration>",
		"waited 3 seconds":              "waited <n> seconds",
		"exit status 137":               "exit status 137",
		"HTTP 503":                      "HTTP 503",
		"HTTP/1.1 404 of request 77":    "HTTP/<n> 404 of request <n>",
		"status: 500, retry 3":          "status: 500, retry <n>",
		"status code=429":               "status code=429",
		"duplicate (SQLSTATE 23505)":    "duplicate (SQLSTATE 23505)",
		"code 1234567":                  "code <n>",
		`unknown user "Ada \ Lovelace"`: "unknown user <text>",
		"unknown user 'ada' or `bob`":   "unknown user <text> or <text>",
		"it doesn't find Ada's key":     "it doesn't find Ada's key",
		`an open " quote 5`:             `an open " quote <n>`,
		"no object 3f2504e0-4f89-11d3-9a0c-0305e82c3301 here": "no object <id> here",
		"commit 9fceb02d0ae598e95dc970b74767f19372d61af8":     "commit <id>",
		"at 0xC000014a, deadbeef":                             "at <id>, deadbeef",
		"request req_8fj39dk2ab5, 01ARZ3NDEKTSV4RRFFQ69G5FAV": "request req_<id>, <id>",
		"at 2026-11-30T07:50:20.934526Z":                      "at <time>",
		"at 2026-11-30 07:50:20+01:00 and 08:15:00, 2026-1":   "at <time> and <time>, <n>-<n>",
		"dial tcp 10.1.2.3:5432: connect: refused":            "dial tcp <address>: connect: refused",
		"dial tcp [::1]:80 or [fe80::1%eth0]":                 "dial tcp <address> or <address>",
		"lookup db-1.internal:5432":                           "lookup db-<n>.internal:<n>",
		`Post "https://api.example.org/v1/x?y=1": EOF`:        "Post <text>: EOF",
		"get https://api.example.org/v1/x?y=1 failed":         "get <url> failed",
		"no mailbox ada.l+x@example.org":                      "no mailbox <email>",
		"open /var/lib/x-17/a.png: no such file":              "open <path>: no such file",
		"read ./a/b, ~/c and ../d/e.txt":                      "read <path>, <path> and <path>",
		`open C:\Temp\a.png: denied`:                          "open <path>: denied",
		"and/or application/json":                             "and/or application/json",
		"std::bad_alloc at main.go:32":                        "std::bad_alloc at main.go:<n>",
		"panic: index 5 out of range\n\ngoroutine 1":          "panic: index <n> out of range",
		"command failed:\n  disk 3 is full\nmore":             "command failed: disk <n> is full",
		"failed:": "failed:",
		"Traceback (most recent call last):\n  File \"a.py\", line 3\n    x()\nKeyError: 'k17'\n": "KeyError: <text>",
		"\x1b[31mred 5\x1b[0m\x00 end":              "red <n> end",
		"\u202eevil 5\u202c שלום 17":                "evil <n> שלום <n>",
		"👩‍🚀 lost 3 🚀":                              "👩‍🚀 lost <n> 🚀",
		"bad \xff\xfe 9":                            "bad \uFFFD <n>",
		"Über 5 Ärger":                              "Über <n> Ärger",
		"Deadline passed before the task could run": task.DeadlinePattern,
		"Lease expired: worker a 9 did not report in time (attempt 1 of 5)": task.LeaseExpiredPattern,
	} {
		got := task.Pattern(message)
		if got != want {
			t.Errorf("%q: got %q, want %q", message, got, want)
		}
	}
}

func TestFingerprintsOfOneReasonAreOne(t *testing.T) {
	t.Parallel()
	if a, b := task.Fingerprint("task 17 failed"), task.Fingerprint("task  4711 failed\nat once"); a != b || !task.IsFingerprint(a) {
		t.Errorf("got %q and %q", a, b)
	}
	if a, b := task.Fingerprint("exit status 1"), task.Fingerprint("exit status 2"); a == b {
		t.Errorf("both are %q", a)
	}
	if got := task.Fingerprint("no route to host"); got != "48ac435ab835309e" {
		t.Errorf("got %q: stored fingerprints are not found any more", got)
	}
	for _, s := range []string{"", "48ac435ab835309", "48AC435AB835309E", "48ac435ab835309e0", "48ac435ab835309g"} {
		if task.IsFingerprint(s) {
			t.Errorf("%q is one", s)
		}
	}
}

func TestPatternsAreShort(t *testing.T) {
	t.Parallel()
	for _, message := range []string{
		strings.Repeat("x", 1<<20), strings.Repeat("é ", 1<<18), strings.Repeat("'", 1<<16), strings.Repeat("/a", 1<<16), strings.Repeat("1:", 1<<16), strings.Repeat("👩‍🚀", 1<<14),
		strings.Repeat("\xff", 1<<16), strings.Repeat("\n", 1<<20) + "x", strings.Repeat("a:\n", 1<<16), "Traceback (most recent call last):" + strings.Repeat("\n", 1<<16),
	} {
		if got := task.Pattern(message); got == "" || len(got) > 300 || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\x00") {
			t.Errorf("%.20q…: got %q", message, got)
		}
	}
}

// FuzzPattern reads whatever comes.
func FuzzPattern(f *testing.F) {
	for _, text := range []string{"a 5 'b' \"c\" /d 1.2.3.4:5 [::1]:2 <n> 0x5 1h 2026-11-30", "\xff\x1b[m", "Traceback (most recent call last):\n x", "code: 5 <no message>", "a:\nb"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := task.Pattern(text)
		if got == "" || len(got) > 300 || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\x00\x1b") {
			t.Fatalf("%q: got %q", text, got)
		}
	})
}

func BenchmarkFingerprint(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		task.Fingerprint(`Post "https://api.example.org/v1/x?y=1": dial tcp 10.1.2.3:443: connect: connection refused (attempt 3 of 5, request 8fj39dk2ab5)`)
	}
}
