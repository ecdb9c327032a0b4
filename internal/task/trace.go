package task

import (
	"strconv"
	"strings"
)

// traceparentLen is the length of a traceparent of version 00.
const traceparentLen = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

// knownFlags are those of a traceparent that have a meaning: sampled, and a trace id at random.
const knownFlags = 0x03

// ParseTraceparent reads the traceparent of W3C Trace Context: version, trace id, span id and flags, in lower-case hexadecimal. What a later version
// has beside them is left out, as the standard asks, and so are flags that it does not name; the version becomes 00. ok is false when it is none.
func ParseTraceparent(s string) (parent string, ok bool) {
	if len(s) < traceparentLen {
		return "", false
	}
	version, ids, flags, rest := s[:2], s[2:traceparentLen-2], s[traceparentLen-2:traceparentLen], s[traceparentLen:]
	if !isHex(version) || version == "ff" || version == "00" && rest != "" || rest != "" && rest[0] != '-' || !isHex(flags) {
		return "", false
	}
	trace, span := ids[1:33], ids[34:50]
	if ids[0] != '-' || ids[33] != '-' || ids[50] != '-' || !isHex(trace) || !isHex(span) || strings.Trim(trace, "0") == "" || strings.Trim(span, "0") == "" {
		return "", false
	}
	n, err := strconv.ParseUint(flags, 16, 8)
	return "00" + ids + "0" + strconv.FormatUint(n&knownFlags, 16), err == nil
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
