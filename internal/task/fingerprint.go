package task

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxErrorText is how many bytes of a message are looked at, and maxPattern the longest pattern.
	maxErrorText = 2000
	maxPattern   = 300
	// fingerprintBytes is the length of a fingerprint, which is written with two digits a byte.
	fingerprintBytes = 8
)

// The patterns of what the store itself writes as the error of a task, and of what has no message.
const (
	LeaseExpiredPattern = "Lease expired: worker <worker> did not report in time"
	DeadlinePattern     = "Deadline passed before the task could run"
	noMessagePattern    = "<no message>"
)

// Fingerprint returns what failures for the same reason have in common: 16 hexadecimal digits, which are a hash of Pattern(message).
func Fingerprint(message string) string { return FingerprintOf(Pattern(message)) }

// FingerprintOf is Fingerprint for a pattern.
func FingerprintOf(pattern string) string {
	sum := sha256.Sum256([]byte(pattern))
	return hex.EncodeToString(sum[:fingerprintBytes])
}

// IsFingerprint reports whether s may be a fingerprint.
func IsFingerprint(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == fingerprintBytes && s == strings.ToLower(s)
}

// Pattern returns the text of an error with <words> in the place of what differs from one time to the next: numbers, ids, times, addresses, paths, and
// what stands in quotes. Numbers after words such as status, code and exit status stay, as they say what is wrong. Of several lines it is the first, with the next one where it ends in a
// colon; of a traceback of Python the last. It is at most 300 bytes of valid UTF-8 in one line.
func Pattern(message string) string {
	text := telling(message)
	if text == "" {
		return noMessagePattern
	}
	if strings.HasPrefix(text, "Lease expired: worker ") && strings.Contains(text, " did not report in time") {
		return LeaseExpiredPattern
	}
	var b strings.Builder
	for i := 0; i < len(text) && b.Len() <= maxPattern; {
		n, placeholder := variable(text, i)
		if placeholder == "" {
			b.WriteString(text[i : i+n])
		} else {
			b.WriteString(placeholder)
		}
		i += n
	}
	return cut(b.String(), maxPattern)
}

// telling returns the line of a message that says what is wrong, with single spaces and without what cannot be seen.
func telling(message string) string {
	message = strings.TrimSpace(message)
	first, rest, _ := strings.Cut(message, "\n")
	if strings.HasPrefix(first, "Traceback (most recent call last)") && rest != "" {
		rest = strings.TrimSpace(rest)
		first, rest = rest[strings.LastIndexByte(rest, '\n')+1:], ""
	}
	line := folded(first)
	if strings.HasSuffix(line, ":") {
		next, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
		line = folded(line + " " + cut(next, maxErrorText))
	}
	return line
}

// folded cuts a line and writes it with single spaces, without colours and characters that steer.
func folded(line string) string {
	line = strings.ToValidUTF8(cut(line, maxErrorText), "\uFFFD")
	if strings.ContainsRune(line, '\x1b') {
		line = colour.ReplaceAllString(line, "")
	}
	return strings.Join(strings.FieldsFunc(line, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	}), " ")
}

// cut returns at most so many bytes of s, and no half of a character.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return strings.TrimSpace(s[:most])
}

var (
	colour = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)
	email  = regexp.MustCompile(`^[\w.+-]+@[\w-]+(?:\.[\w-]+)+`)
	moment = regexp.MustCompile(`^(?:\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?|\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?)\b`)
	period = regexp.MustCompile(`^(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+\b`)
	unique = regexp.MustCompile(`^(?:[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}|0[xX][0-9A-Fa-f]+)\b`)
	host   = regexp.MustCompile(`^\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b`)
	figure = regexp.MustCompile(`^[0-9A-Za-z]+(?:[.,]\d+[0-9A-Za-z]*)*`)
	digits = regexp.MustCompile(`\d+(?:[.,]\d+)*`)
)

// variable returns how long the piece of the text is that begins at a byte, and what stands for it in a pattern; empty: the piece itself.
func variable(text string, at int) (n int, placeholder string) {
	rest, inWord := text[at:], at > 0 && isWord(text[at-1])
	switch c := rest[0]; {
	case c == '"' || c == '`':
		if end := strings.IndexByte(rest[1:], c); end >= 0 {
			return end + 2, "<text>"
		}
	case c == '\'':
		if end := strings.IndexByte(rest[1:], c); end >= 0 && !inWord && (end+2 == len(rest) || !isWord(rest[end+2])) {
			return end + 2, "<text>"
		}
	case c == '[':
		if n := bracketed(rest); n > 0 {
			return n, "<address>"
		}
	case isWord(c) && !inWord:
		return word(text, at)
	case !inWord:
		if n := path(rest); n > 0 {
			return n, "<path>"
		}
	}
	_, n = utf8.DecodeRuneInString(rest)
	return n, ""
}

func isWord(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// bracketed returns the length of an IPv6 address in brackets with its port; 0: there is none.
func bracketed(s string) int {
	end := strings.IndexByte(s, ']')
	if end < 0 || strings.Count(s[:end], ":") < 2 {
		return 0
	}
	if _, err := netip.ParseAddr(s[1:end]); err != nil {
		return 0
	}
	n := end + 1
	if strings.HasPrefix(s[n:], ":") {
		n++
		n += len(s[n:]) - len(strings.TrimLeft(s[n:], "0123456789"))
	}
	return n
}

// path returns the length of a path that begins with / ./ ../ ~/ or two backslashes; 0: there is none.
func path(s string) int {
	root := 0
	for _, p := range []string{"/", "./", "../", "~/", `\\`} {
		if strings.HasPrefix(s, p) {
			root = len(p)
		}
	}
	if n := inPath(s); root > 0 && n > root {
		return n
	}
	return 0
}

// inPath returns for how many bytes a path may go on.
func inPath(s string) int {
	if end := strings.IndexAny(s, " \"'<>:;,()[]{}|="); end >= 0 {
		return end
	}
	return len(s)
}

// word is variable for what begins with a letter or a digit.
func word(text string, at int) (n int, placeholder string) {
	rest, digit := text[at:], false
	for n < len(rest) && isWord(rest[n]) {
		digit = digit || rest[n] <= '9'
		n++
	}
	switch after := rest[n:]; {
	case strings.HasPrefix(after, "://"):
		n += 3
		if end := strings.IndexAny(rest[n:], " \"'<>"); end >= 0 {
			return n + end, "<url>"
		}
		return len(rest), "<url>"
	case n == 1 && !digit && strings.HasPrefix(after, `:\`):
		return 3 + inPath(rest[3:]), "<path>"
	case strings.Contains(after, "@"):
		if m := email.FindString(rest); m != "" {
			return len(m), "<email>"
		}
	}
	if strings.HasPrefix(rest[n:], "-") && n == 8 || strings.HasPrefix(rest, "0x") || strings.HasPrefix(rest, "0X") {
		if m := unique.FindString(rest); m != "" {
			return len(m), "<id>"
		}
	}
	if !digit {
		return n, ""
	}
	if rest[0] <= '9' {
		for _, p := range []struct {
			is          *regexp.Regexp
			placeholder string
		}{{moment, "<time>"}, {host, "<address>"}, {period, "<duration>"}} {
			if m := p.is.FindString(rest); m != "" {
				return len(m), p.placeholder
			}
		}
	}
	if isID(rest[:n]) {
		return n, "<id>"
	}
	return numbered(text, at, n)
}

// numbered returns a word of n bytes, with what goes on behind its number, and placeholders for its numbers. A code stays.
func numbered(text string, at, n int) (int, string) {
	whole := figure.FindString(text[at:])
	if len(whole) == n && strings.Trim(whole, "0123456789") == "" && isCode(text[:at], n) {
		return n, ""
	}
	return len(whole), digits.ReplaceAllString(whole, "<n>")
}

// codes are the words before a number that says what is wrong.
var codes = []string{"status", "code", "http", "errno", "sqlstate", "signal"}

// isCode reports whether a number of so many digits behind a text is a code.
func isCode(before string, length int) bool {
	said := strings.TrimRight(before, " :=#(")
	if length > 5 || len(before)-len(said) > 2 || said == before {
		return false
	}
	if version := strings.LastIndexByte(said, '/'); version >= 0 && strings.Trim(said[version:], "/.0123456789") == "" {
		said = said[:version]
	}
	for _, c := range codes {
		if start := len(said) - len(c); start >= 0 && strings.EqualFold(said[start:], c) && (start == 0 || !isWord(said[start-1])) {
			return true
		}
	}
	return false
}

// isID reports whether letters and digits are mixed as in no word: eight hexadecimal digits or more, or a change from one to the other three times.
func isID(piece string) bool {
	if len(piece) < fingerprintBytes {
		return false
	}
	letters, hexadecimal, changes := false, true, 0
	for i := range len(piece) {
		digit := '0' <= piece[i] && piece[i] <= '9'
		letters = letters || !digit
		hexadecimal = hexadecimal && (digit || strings.IndexByte("abcdefABCDEF", piece[i]) >= 0)
		if i > 0 && digit != ('0' <= piece[i-1] && piece[i-1] <= '9') {
			changes++
		}
	}
	return letters && (hexadecimal || changes >= 3)
}
