package storetest

import (
	"fmt"

	"github.com/prismq/thequeue/internal/task"
)

var matchingBehaviours = []behaviour{
	{"FollowsTheTable", matchesTable},
	{"TakesNoTaskOfAnotherLane", matchesOnlyItsLanes},
	{"TellsEqualRequirementsInAnotherSpellingAsOne", matchesAnySpelling},
}

// matches is the rule of capabilities: what a task requires, what a worker offers, and whether it may take the task.
var matches = []struct {
	requires, offers task.JSON
	want             bool
}{
	{`{}`, ``, true},
	{`{}`, `{}`, true},
	{`{}`, `{"gpu":true}`, true},
	{`{"gpu":true}`, ``, false},
	{`{"gpu":true}`, `{}`, false},
	{`{"gpu":true}`, `{"gpu":true}`, true},
	{`{"gpu":true}`, `{"gpu":false}`, false},
	{`{"gpu":true}`, `{"gpu":"true"}`, false},
	{`{"gpu":true}`, `{"gpu":1}`, false},
	{`{"gpu":true}`, `{"GPU":true}`, false},
	{`{"gpu":false}`, `{}`, false},
	{`{"gpu":null}`, `{}`, false},
	{`{"gpu":null}`, `{"gpu":null}`, true},
	{`{"region":"eu"}`, `{"region":"eu"}`, true},
	{`{"region":"eu"}`, `{"region":"us"}`, false},
	{`{"region":"eu"}`, `{"region":"eu "}`, false},
	{`{"region":"eu"}`, `{"region":["us","eu"]}`, true},
	{`{"region":"eu"}`, `{"region":["us"]}`, false},
	{`{"region":"eu"}`, `{"region":[]}`, false},
	{`{"region":"eu"}`, `{"region":{"eu":true}}`, false},
	{`{"cuda":12}`, `{"cuda":12.0}`, true},
	{`{"cuda":12}`, `{"cuda":[11,1.2e1]}`, true},
	{`{"cuda":12}`, `{"cuda":"12"}`, false},
	{`{"tools":["a","b"]}`, `{"tools":["c","b","a"]}`, true},
	{`{"tools":["a","b"]}`, `{"tools":["a"]}`, false},
	{`{"tools":["a","b"]}`, `{"tools":[]}`, false},
	{`{"tools":["a","b"]}`, `{"tools":"a"}`, false},
	{`{"tools":["a","b"]}`, `{}`, false},
	{`{"tools":["a"]}`, `{"tools":"a"}`, false},
	{`{"cuda":9007199254740993}`, `{"cuda":9007199254740992}`, false},
	{`{"cuda":9007199254740993}`, `{"cuda":[9007199254740993]}`, true},
	{`{"tools":["a",1,true]}`, `{"tools":[true,1.0,"a"]}`, true},
	{`{"vram":{"min":8,"max":24}}`, `{"vram":8}`, true},
	{`{"vram":{"min":8,"max":24}}`, `{"vram":24.0}`, true},
	{`{"vram":{"min":8,"max":24}}`, `{"vram":7.999}`, false},
	{`{"vram":{"min":8,"max":24}}`, `{"vram":24.001}`, false},
	{`{"vram":{"min":8,"max":24}}`, `{"vram":"16"}`, false},
	{`{"vram":{"min":8,"max":24}}`, `{"vram":[16]}`, false},
	{`{"vram":{"min":8,"max":24}}`, `{}`, false},
	{`{"vram":{"min":8}}`, `{"vram":1e9}`, true},
	{`{"vram":{"min":8}}`, `{"vram":1}`, false},
	{`{"vram":{"max":-1}}`, `{"vram":-1.5}`, true},
	{`{"vram":{"max":-1}}`, `{"vram":0}`, false},
	{`{"gpu":true,"region":"eu"}`, `{"gpu":true,"region":["eu"],"more":1}`, true},
	{`{"gpu":true,"region":"eu"}`, `{"gpu":true}`, false},
	{`{"gpu":true,"region":"eu"}`, `{"gpu":false,"region":"eu"}`, false},
	{`{"":"\u0000"}`, `{"":"\u0000"}`, true},
	{`{"é":"ü"}`, `{"\u00e9":"\u00fc"}`, true},
}

func (r *rig) offer(j task.JSON) task.Capabilities {
	r.Helper()
	c, err := task.ParseCapabilities(j)
	r.ok(err)
	return c
}

func matchesTable(r *rig) {
	batch := make([]task.Task, len(matches))
	for i, m := range matches {
		batch[i] = r.make(task.Spec{Type: fmt.Sprint("case ", i), Compatibility: m.requires}, start)
	}
	_, _, err := r.st.InsertTasks(r.Context(), batch)
	r.ok(err)
	for i, m := range matches {
		got := r.claim(task.Claim{Types: []string{batch[i].Type}, Capabilities: r.offer(m.offers)})
		if (len(got) == 1) != m.want {
			r.Errorf("a task that requires %s and a worker that offers %s: match is %v, want %v", m.requires, m.offers, len(got) == 1, m.want)
		}
		for _, t := range got {
			r.equal("compatibility", m.requires, t.Compatibility)
		}
	}
}

func matchesOnlyItsLanes(r *rig) {
	r.insertMany(50, task.Spec{Compatibility: `{"gpu":true}`, Priority: ptr(1)})
	plain := r.insertMany(3, task.Spec{Priority: ptr(900)})
	for _, s := range task.Strategies {
		got := r.claim(task.Claim{Strategy: s, Max: 10})
		r.equal(string(s), ids(plain), ids(byID(got)))
		for _, t := range got {
			r.release(t, start)
		}
	}
}

func matchesAnySpelling(r *rig) {
	for _, spelling := range []task.JSON{`{"a":1,"b":[2]}`, `{ "b":[2], "a":1 }`, `{"\u0061":1,"b":[ 2 ]}`} {
		t := r.insert(task.Spec{Compatibility: spelling})
		r.equal("stored", spelling, r.get(t.ID).Compatibility)
	}
	r.equal("claimed without", 0, len(r.claim(task.Claim{Max: 5})))
	r.equal("claimed", 3, len(r.claim(task.Claim{Max: 5, Capabilities: r.offer(`{"a":1,"b":[2]}`)})))
}
