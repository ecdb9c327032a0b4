package task_test

import (
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/task"
)

func TestParseTraceparent(t *testing.T) {
	t.Parallel()
	const ids = "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
	for text, want := range map[string]string{
		"00" + ids + "01":                  "00" + ids + "01",
		"00" + ids + "00":                  "00" + ids + "00",
		"00" + ids + "03":                  "00" + ids + "03",
		"00" + ids + "ff":                  "00" + ids + "03", // flags without a meaning
		"01" + ids + "01":                  "00" + ids + "01", // a later version
		"cc" + ids + "01-more":             "00" + ids + "01",
		"cc" + ids + "01-":                 "00" + ids + "01",
		"":                                 "",
		"00":                               "",
		"00" + ids + "1":                   "",
		"00" + ids + "01-":                 "",
		"00" + ids + "01-more":             "",
		"00" + ids + "011":                 "",
		"cc" + ids + "01.more":             "",
		"ff" + ids + "01":                  "",
		"0g" + ids + "01":                  "",
		"00" + ids + "0A":                  "",
		"00" + ids + "0+":                  "",
		" 0" + ids + "01":                  "",
		"00" + ids[1:] + "01-":             "",
		"00" + ids[:34] + "01":             "",
		"00" + ids + "01" + " ":            "",
		"00" + strings.ToUpper(ids) + "01": "",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01":    "",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01":    "",
		"00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":    "",
		"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01":    "",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01":    "",
		"00-0af7651916cd43dd8448eb211c80319z-b7ad6b7169203331-01":    "",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333 -01":    "",
		"00-0af7651916cd43dd8448eb211c8031\x00\x00-b7ad6b7169203-01": "",
	} {
		got, ok := task.ParseTraceparent(text)
		if got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", text, got, ok, want)
		}
	}
}
