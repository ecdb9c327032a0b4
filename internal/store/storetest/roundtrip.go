package storetest

import (
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

var roundTripBehaviours = []behaviour{
	{"KeepsTimesToTheMicrosecondInUTC", keepsTimes},
	{"KeepsJSONByteForByte", keepsJSON},
	{"KeepsAPayloadOfOneMebibyte", keepsLargePayload},
	{"KeepsALongCompatibility", keepsLongCompatibility},
	{"KeepsTextsAsTheyAre", keepsTexts},
	{"KeepsNumbersExactly", keepsNumbers},
}

func keepsTimes(r *rig) {
	for _, want := range []time.Time{
		time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(1582, 10, 10, 12, 0, 0, 1000, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC),
		time.Unix(0, 0).UTC(),
		time.Unix(0, 1000).UTC(),
		time.Date(2016, 12, 31, 23, 59, 59, 999999000, time.UTC), // before a leap second
		time.Date(2026, 3, 29, 0, 59, 59, 999999000, time.UTC),   // the clocks of Europe go forward after it
		time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC),
		time.Date(2026, 3, 29, 2, 30, 0, 0, time.UTC), // as a local time this instant does not exist
		time.Date(2026, 10, 25, 0, 30, 0, 1000, time.UTC),
		time.Date(2026, 10, 25, 1, 30, 0, 1000, time.UTC), // the same local time as the line before, an hour later
		time.Date(2026, 11, 1, 6, 30, 0, 0, time.UTC),     // the repeated hour of New York
		time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
	} {
		t := r.make(task.Spec{Type: "time"}, start)
		t.RunAfterUTC, t.DeadlineUTC, t.CreatedAtUTC, t.UpdatedAtUTC = want, &want, want, want
		one, _, err := r.st.InsertTask(r.Context(), t)
		r.ok(err)
		many, _, err := r.st.InsertTasks(r.Context(), []task.Task{t})
		r.ok(err)
		for _, got := range []task.Task{one, many[0], r.get(one.ID), r.get(many[0].ID)} {
			for _, have := range []time.Time{got.RunAfterUTC, *got.DeadlineUTC, got.CreatedAtUTC, got.UpdatedAtUTC} {
				if !have.Equal(want) || have.Location() != time.UTC {
					r.Errorf("got %v (%v), want %v", have, have.Location(), want.UTC())
				}
			}
		}
	}
}

// objects are JSON objects of which every byte counts.
var objects = []task.JSON{
	`{}`,
	` {  } `,
	"{\n\t\"b\" : 1 ,\r\n\"a\":2}",
	`{"z":1,"a":2,"m":[ 3 , 4 ]}`,
	`{"escapes":"\" \\ \/ \b \f \n \r \t \u0041 \u00e9"}`,
	`{"nul":"\u0000","and \u0000 more":"a\u0000b"}`,
	`{"lone":"\ud800","pair":"\ud83d\ude00"}`,
	`{"text":"grüße 語 😀 \u2028 ` + "\u2028\u2029\u00a0\ufeff\u0301" + `"}`,
	`{"html":"<script>&'</script>"}`,
	`{"sql":"'; DROP TABLE task_queue; -- $1 ?1 @x :y %s"}`,
	`{"big":123456789012345678901234567890.000100,"exp":1E+400,"neg":-0,"frac":0.10,"max":9223372036854775807,"over":18446744073709551616}`,
	`{"":null,"t":true,"f":false,"deep":[[[{"a":[{}]}]]]}`,
	`{"same":1,"same":2}`,
}

func keepsJSON(r *rig) {
	deep := task.JSON(`{"a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`)
	for _, want := range append(objects, deep) {
		t := r.make(task.Spec{Type: "json"}, start)
		t.Payload = want // some of these no producer may give
		one, _, err := r.st.InsertTask(r.Context(), t)
		r.ok(err)
		many, _, err := r.st.InsertTasks(r.Context(), []task.Task{t, t})
		r.ok(err)
		for _, id := range []int64{one.ID, many[0].ID, many[1].ID} {
			r.equal("payload", want, r.get(id).Payload)
		}
		got := r.claim(task.Claim{Max: 3})
		for _, t := range got {
			r.equal("claimed payload", want, t.Payload)
			done, err := r.st.CompleteTask(r.Context(), t.ID, token(t), &want, at(1))
			r.ok(err)
			r.equal("returned result", &want, done.Result)
			r.equal("result", &want, r.get(t.ID).Result)
		}
		r.equal("claimed", 3, len(got))
	}
	for _, want := range []task.JSON{`null`, ` 1.50 `, `"\u0000"`, `[ ]`, `true`, `-1E-400`} {
		t := r.running(task.Spec{})
		done, err := r.st.CompleteTask(r.Context(), t.ID, token(t), &want, at(1))
		r.ok(err)
		r.equal("returned result", &want, done.Result)
		r.equal("result", &want, r.get(t.ID).Result)
	}
}

func keepsLargePayload(r *rig) {
	line := `{"text":"ü \"quoted\" \u0000"},` + "\n  "
	body := strings.Repeat(line, (1<<20-100)/len(line))
	want := task.JSON(`{"lines":[` + body + `null],"pad":"`)
	want += task.JSON(strings.Repeat("x", 1<<20-len(want)-2)) + `"}`
	r.equal("length", 1<<20, len(want))
	one, many := r.insert(task.Spec{Payload: want}), r.insertMany(1, task.Spec{Payload: want})
	for _, t := range []task.Task{one, many[0], r.get(one.ID), r.get(many[0].ID), r.claimOne(task.Claim{})} {
		if t.Payload != want {
			r.Errorf("the payload of task %d has changed", t.ID)
		}
	}
}

// keepsLongCompatibility uses names that do not compress, so that no index of the store gets away with a short form.
func keepsLongCompatibility(r *rig) {
	b, has := []byte("{"), task.Capabilities{}
	for i := range uint64(400) {
		name := scramble(i)
		b = append(b, `"`+name+`" : true,`...)
		has[name] = true
	}
	b[len(b)-1] = '}'
	t := r.insert(task.Spec{Compatibility: task.JSON(b)})
	r.equal("compatibility", task.JSON(b), r.get(t.ID).Compatibility)
	r.equal("claimed without the capabilities", 0, len(r.claim(task.Claim{})))
	r.equal("claimed", t.ID, r.claimOne(task.Claim{Capabilities: has}).ID)
}

func keepsTexts(r *rig) {
	for _, text := range []string{"", " ", "a\nb\r\n\tc", `"\'` + "`;--", "\x01\x1f\x7f", "語😀\u2028\ufeff\u0301", strings.Repeat("long ", 20000)} {
		t := r.running(task.Spec{Type: "text"})
		l, err := r.st.AppendLog(r.Context(), token(t), task.Log{TaskID: t.ID, AtUTC: at(1), Level: task.Info, Message: text})
		r.ok(err)
		r.equal("message", text, l.Message)
		if text != "" { // an empty message leaves the progress message as it is
			_, err = r.st.ExtendLease(r.Context(), t.ID, token(t), task.Beat{Message: &text}, at(60), at(1))
			r.ok(err)
			r.equal("progress message", &text, r.get(t.ID).ProgressMessage)
		}
		r.fail(t, verdict(text, task.Rejected), at(2))
		r.equal("error message", &text, r.get(t.ID).ErrorMessage)
		r.equal("error of the attempt", &text, r.attempts(t.ID)[0].ErrorMessage)
		r.equal("log", text, r.written(t.ID)[0].Message)
	}
}

func keepsNumbers(r *rig) {
	for _, seconds := range []float64{0.001, 0.1, 1.0 / 3, 2592000, 1e-3 + 1e-16} {
		one := r.insert(task.Spec{TimeoutSeconds: &seconds})
		many := r.insertMany(1, task.Spec{TimeoutSeconds: &seconds})
		r.equal("timeout", &seconds, r.get(one.ID).TimeoutSeconds)
		r.equal("timeout of a batch", &seconds, r.get(many[0].ID).TimeoutSeconds)
	}
}
