package schedule

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func zoneOf(t interface{ Fatal(...any) }, name string) *time.Location {
	zone, err := Zone(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func ruleOf(t interface{ Fatal(...any) }, expression, zone string) Rule {
	r, err := Parse(expression, zoneOf(t, zone))
	if err != nil {
		t.Fatal(expression, err)
	}
	return r
}

// ticks returns what the clocks show at the ticks between two instants, both included, with their distance from UTC.
func ticks(r Rule, from, to time.Time) []string {
	var out []string
	for t := r.Next(from.Add(-time.Nanosecond)); !t.IsZero() && !t.After(to); t = r.Next(t) {
		out = append(out, t.In(r.zone).Format("01-02 15:04:05 -07:00"))
	}
	return out
}

// changes are days on which clocks are put forward or back, and what is to come of a rule then.
var changes = []struct {
	name, zone, cron, from, to string // local times
	want                       []string
}{
	{"ForwardGivenHourComesWhenTheClocksGoOn", "Europe/Berlin", "30 2 * * *", "2026-03-28 00:00", "2026-03-30 23:00",
		[]string{"03-28 02:30:00 +01:00", "03-29 03:00:00 +02:00", "03-30 02:30:00 +02:00"}},
	{"ForwardTimesLeftOutComeTogether", "Europe/Berlin", "*/20 2,3 * * *", "2026-03-29 00:00", "2026-03-29 23:00",
		[]string{"03-29 03:00:00 +02:00", "03-29 03:20:00 +02:00", "03-29 03:40:00 +02:00"}},
	{"ForwardEveryHourLeavesOut", "Europe/Berlin", "30 * * * *", "2026-03-29 00:00", "2026-03-29 04:45",
		[]string{"03-29 00:30:00 +01:00", "03-29 01:30:00 +01:00", "03-29 03:30:00 +02:00", "03-29 04:30:00 +02:00"}},
	{"ForwardEverySecondHourLeavesOut", "Europe/Berlin", "0 */2 * * *", "2026-03-29 00:00", "2026-03-29 06:00",
		[]string{"03-29 00:00:00 +01:00", "03-29 04:00:00 +02:00", "03-29 06:00:00 +02:00"}},
	{"BackGivenHourComesOnce", "Europe/Berlin", "30 2 * * *", "2026-10-24 00:00", "2026-10-26 23:00",
		[]string{"10-24 02:30:00 +02:00", "10-25 02:30:00 +02:00", "10-26 02:30:00 +01:00"}},
	{"BackEveryHalfHourComesTwice", "Europe/Berlin", "*/30 * * * *", "2026-10-25 01:30", "2026-10-25 03:00",
		[]string{"10-25 01:30:00 +02:00", "10-25 02:00:00 +02:00", "10-25 02:30:00 +02:00", "10-25 02:00:00 +01:00", "10-25 02:30:00 +01:00", "10-25 03:00:00 +01:00"}},

	{"ForwardGivenHour", "America/New_York", "0 15 2 * * *", "2026-03-07 00:00", "2026-03-09 23:00",
		[]string{"03-07 02:15:00 -05:00", "03-08 03:00:00 -04:00", "03-09 02:15:00 -04:00"}},
	{"BackGivenHour", "America/New_York", "0,30 1 * * *", "2026-11-01 00:00", "2026-11-01 23:00", []string{"11-01 01:00:00 -04:00", "11-01 01:30:00 -04:00"}},
	{"BackHourly", "America/New_York", "@hourly", "2026-11-01 00:00", "2026-11-01 02:00",
		[]string{"11-01 00:00:00 -04:00", "11-01 01:00:00 -04:00", "11-01 01:00:00 -05:00", "11-01 02:00:00 -05:00"}},

	{"ForwardHalfAnHour", "Australia/Lord_Howe", "15,45 2 * * *", "2026-10-04 00:00", "2026-10-04 23:00", // 02:00 to 02:30 are left out
		[]string{"10-04 02:30:00 +11:00", "10-04 02:45:00 +11:00"}},
	{"BackHalfAnHour", "Australia/Lord_Howe", "15,45 1 * * *", "2026-04-05 00:00", "2026-04-05 23:00", // 01:30 to 02:00 come twice
		[]string{"04-05 01:15:00 +11:00", "04-05 01:45:00 +11:00"}},
	{"BackHalfAnHourOften", "Australia/Lord_Howe", "*/15 * * * *", "2026-04-05 01:15", "2026-04-05 02:00",
		[]string{"04-05 01:15:00 +11:00", "04-05 01:30:00 +11:00", "04-05 01:45:00 +11:00", "04-05 01:30:00 +10:30", "04-05 01:45:00 +10:30", "04-05 02:00:00 +10:30"}},

	{"ForwardAtMidnight", "Africa/Cairo", "@daily", "2026-04-23 00:00", "2026-04-25 12:00",
		[]string{"04-23 00:00:00 +02:00", "04-24 01:00:00 +03:00", "04-25 00:00:00 +03:00"}},
	{"BackAtMidnight", "Africa/Cairo", "30 23 * * *", "2026-10-28 00:00", "2026-10-30 23:59",
		[]string{"10-28 23:30:00 +03:00", "10-29 23:30:00 +03:00", "10-30 23:30:00 +02:00"}},
	{"BackAtMidnightHourly", "Africa/Cairo", "0 * * * *", "2026-10-29 22:00", "2026-10-30 00:00",
		[]string{"10-29 22:00:00 +03:00", "10-29 23:00:00 +03:00", "10-29 23:00:00 +02:00", "10-30 00:00:00 +02:00"}},

	{"ForwardBySeconds", "America/Santiago", "*/20 59 23 * * *", "2026-09-05 20:00", "2026-09-06 23:00", // 00:00 to 01:00 of the 6th are left out
		[]string{"09-05 23:59:00 -04:00", "09-05 23:59:20 -04:00", "09-05 23:59:40 -04:00"}},
	{"ForwardMidnightEveryMinute", "America/Santiago", "58-59,0 * * * *", "2026-09-05 23:30", "2026-09-06 01:30",
		[]string{"09-05 23:58:00 -04:00", "09-05 23:59:00 -04:00", "09-06 01:00:00 -03:00"}},
	{"BackAtMidnight", "America/Santiago", "0 0 * * *", "2026-04-04 00:00", "2026-04-05 12:00", // 23:00 to 24:00 of the 4th come twice
		[]string{"04-04 00:00:00 -03:00", "04-05 00:00:00 -04:00"}},

	{"ADayLeftOut", "Pacific/Apia", "0 12 * * *", "2011-12-29 00:00", "2011-12-31 23:00", // there was no 30th
		[]string{"12-29 12:00:00 -10:00", "12-31 00:00:00 +14:00", "12-31 12:00:00 +14:00"}},
	{"NoChange", "UTC", "0 2 * * *", "2026-03-29 00:00", "2026-03-29 23:00", []string{"03-29 02:00:00 +00:00"}},
}

func TestTicksWhereClocksArePutForwardOrBack(t *testing.T) {
	t.Parallel()
	for _, c := range changes {
		t.Run(c.zone+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			r := ruleOf(t, c.cron, c.zone)
			at := func(text string) time.Time {
				local, err := time.ParseInLocation("2006-01-02 15:04", text, r.zone)
				if err != nil {
					t.Fatal(err)
				}
				return local
			}
			if d := cmp.Diff(c.want, ticks(r, at(c.from), at(c.to))); d != "" {
				t.Errorf("ticks of %s (-want +got):\n%s", c.cron, d)
			}
		})
	}
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	after := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC) // a Saturday
	for expression, want := range map[string]string{
		"* * * * *":        "2026-01-31T08:01:00Z",
		"* * * * * *":      "2026-01-31T08:00:01Z",
		"*/7 * * * * *":    "2026-01-31T08:00:07Z",
		"0 0 * * 7":        "2026-02-01T00:00:00Z",
		"0 0 * * 5-7":      "2026-02-01T00:00:00Z",
		"0 0 * * SUN":      "2026-02-01T00:00:00Z",
		"0 0 13 * FRI":     "2026-02-06T00:00:00Z", // either day
		"0 0 29 2 *":       "2028-02-29T00:00:00Z",
		"  0   9\t* * 1-5": "2026-02-02T09:00:00Z",
		"@yearly":          "2027-01-01T00:00:00Z",
		"@Weekly":          "2026-02-01T00:00:00Z",
		"0 0 1 jan ?":      "2027-01-01T00:00:00Z",
		"0 0 ? * sat-sat":  "2026-02-07T00:00:00Z",
		"0 0 * * 7-1":      "2026-02-01T00:00:00Z", // Sunday and Monday
		"0 0 * * 1-7/3":    "2026-02-01T00:00:00Z", // Monday, Thursday, Sunday
		"0 0 * * 2/2":      "2026-02-03T00:00:00Z", // Tuesday, Thursday, Saturday
		"*/59 8 * * *":     "2026-01-31T08:59:00Z",
		"1-5,3-7 9 * * *":  "2026-01-31T09:01:00Z",
		"*/30,10 8 * * *":  "2026-01-31T08:10:00Z",
		"0 0 */1 * 1":      "2026-02-02T00:00:00Z", // every day of the month, so that the day of the week decides
	} {
		if got := ruleOf(t, expression, "UTC").Next(after).Format(time.RFC3339); got != want {
			t.Errorf("%q: first tick %s, want %s", expression, got, want)
		}
	}
	r := ruleOf(t, "0 0 29 2 *", "UTC")
	if got := r.Next(time.Date(2096, 3, 1, 0, 0, 0, 0, time.UTC)).Year(); got != 2104 {
		t.Errorf("after 2096 the 29th of February comes in %d, want 2104", got)
	}
	if got := ruleOf(t, "* * * * *", "Asia/Tokyo").Next(time.Date(9999, 12, 31, 23, 59, 30, 0, time.UTC)); !got.IsZero() {
		t.Errorf("a tick at %s, which JSON cannot write", got)
	}
}

func TestRefusesWhatIsNoExpression(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"":                              "must not be empty",
		" ":                             "must not be empty",
		"* * * *":                       "has 4 fields",
		"* * * * * * *":                 "has 7 fields",
		"60 * * * *":                    `the minute "60", which must lie between 0 and 59`,
		"* 24 * * *":                    `the hour "24", which must lie between 0 and 23`,
		"* * 0 * *":                     `the day of the month "0", which must lie between 1 and 31`,
		"* * * 13 *":                    `the month "13", which must lie between 1 and 12`,
		"* * * * 8":                     `the day of the week "8", which must lie between 0 and 7`,
		"60 * * * * *":                  `the second "60"`,
		"1/9223372036854775807 * * * *": "means 1 alone",
		"*/0 * * * *":                   "a positive number behind the /",
		"*/+5 * * * *":                  "a positive number behind the /",
		"a * * * *":                     "must be made of numbers from 0 to 59, of *",
		"+5 * * * *":                    "must be made of numbers from 0 to 59, of *",
		"* * * * first":                 "or a name from sun to sat",
		", * * * *":                     "is an empty list",
		"1,,2 * * * *":                  `the minute "1,,2", which has an empty place in its list: write 1,2`,
		"5, * * * *":                    "write 5",
		"* ,5 * * *":                    `the hour ",5", which has an empty place in its list: write 5`,
		"* 22-6 * * *":                  "goes backwards: write 22-23,0-6",
		"* * * * fri-mon":               "goes backwards: write 5-6,0-1",
		"* * 31-1 * *":                  "goes backwards: write 31-31,1-1",
		"*/60 * * * *":                  "means 0 alone: write 0, or a shorter step",
		"*/70,5 * * * *":                `which takes with */70 a step past the end`,
		"* 1-5/10 * * *":                "means 1 alone: write 1,",
		"40/30 * * * *":                 "means 40 alone: write 40,",
		"* * */31 * *":                  "means 1 alone",
		"1,1 * * * *":                   "says the same by 1 and 1: leave one of them out",
		"* * * * mon,1":                 "says the same by mon and 1",
		"* * * * 0,7":                   "says the same by 0 and 7",
		"5-7,10,5-7 * * * *":            "says the same by 5-7 and 5-7",
		"*,5 * * * *":                   "names every one by *: leave the others out",
		"* 5,* * * *":                   "names every one by *",
		"? * * * *":                     "can be ? only as a day: write *",
		"* ?/2 * * *":                   "must be made of numbers",
		"0 0 30 2 *":                    "never comes",
		"TZ=UTC * * * * *":              "put it in timezone",
		"CRON_TZ=X":                     "put it in timezone",
		"@every 5m":                     "*/5 * * * *",
		"@sometimes":                    "not a cron expression",
		"-1 * * * *":                    "must be made of numbers",
		"1--2 * * * *":                  "must lie between 0 and 59",
		"1-2-3 * * * *":                 "must be made of numbers",
		"1/2/3 * * * *":                 "a positive number behind the /",
		"99999999999 * * * *":           "must lie between 0 and 59",
		"9999999999999999999 * * * *":   "must lie between 0 and 59",
	} {
		if _, err := Parse(expression, time.UTC); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", expression, err, want)
		}
	}
	for _, name := range []string{"Local", "local", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "europe/nowhere"} {
		if _, err := Zone(name); err == nil {
			t.Errorf("the time zone %q is taken", name)
		}
	}
}

var zones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago", "Pacific/Apia", "Asia/Kathmandu", "America/St_Johns", "Africa/Casablanca",
}

// drawField draws a field of an expression whose values begin at lo and end at hi.
func drawField(t *rapid.T, name string, lo, hi int) string {
	return rapid.OneOf(
		rapid.Just("*"),
		rapid.Custom(func(t *rapid.T) string { return "*/" + itoa(rapid.IntRange(1, hi).Draw(t, "step")) }),
		rapid.Custom(func(t *rapid.T) string { return itoa(rapid.IntRange(lo, hi).Draw(t, "one")) }),
		rapid.Custom(func(t *rapid.T) string {
			a := rapid.IntRange(lo, hi).Draw(t, "from")
			return itoa(a) + "-" + itoa(rapid.IntRange(a, hi).Draw(t, "to"))
		}),
	).Draw(t, name)
}

func itoa(n int) string {
	return strings.TrimLeft(string(rune('0'+n/10)), "0") + string(rune('0'+n%10))
}

// TestTicksAreThoseOfTheClocks looks at every minute of some days and wants the ticks there that the rule has, and no others.
func TestTicksAreThoseOfTheClocks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		expression := strings.Join([]string{drawField(t, "minute", 0, 59), drawField(t, "hour", 0, 23), drawField(t, "day", 1, 28), "*", drawField(t, "weekday", 0, 6)}, " ")
		r := ruleOf(t, expression, rapid.SampledFrom(zones).Draw(t, "zone"))
		year := rapid.SampledFrom([]int{2011, 2025, 2026}).Draw(t, "year")
		day := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, rapid.IntRange(0, 364).Draw(t, "day"))
		if changed := end(day.In(r.zone)); rapid.Bool().Draw(t, "at a change") && !changed.IsZero() {
			day = changed.UTC().Truncate(time.Minute)
		}
		from, to := day.Add(-30*time.Hour), day.Add(30*time.Hour)
		if d := cmp.Diff(scanned(r, from, to), ticks(r, from, to)); d != "" {
			t.Fatalf("ticks of %s in %s (-minute by minute +got):\n%s", expression, r.zone, d)
		}
	})
}

// scanned is ticks, found by looking at what the clocks show at each minute.
func scanned(r Rule, from, to time.Time) []string {
	matches := func(local time.Time) bool { return r.fields.Next(local.Add(-time.Second)).Equal(local) }
	var out []string
	seen := map[time.Time]bool{}
	before := shown(from.Add(-26 * time.Hour).In(r.zone))
	for t := from.Add(-26 * time.Hour).In(r.zone); !t.After(to); t = t.Add(time.Minute) {
		now := shown(t)
		hit := matches(now) && (r.hourly || !seen[now])
		for left := before.Add(time.Minute); !r.hourly && left.Before(now); left = left.Add(time.Minute) {
			hit = hit || matches(left) && !seen[left]
		}
		before, seen[now] = now, true
		if hit && !t.Before(from) {
			out = append(out, t.Format("01-02 15:04:05 -07:00"))
		}
	}
	return out
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"* * * * *", "@daily", "TZ=", "CRON_TZ=UTC", "@", "7-7/1 * * * 7", "1-7 * * * * 1-7", "*-5/2 * ? * *", "é * * * *"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(s, time.UTC)
		if err != nil {
			return
		}
		after := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
		if next := r.Next(after); !next.After(after) {
			t.Errorf("%q: %s is not after %s", s, next, after)
		}
	})
}
