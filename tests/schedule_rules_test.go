package tests

import (
	dbsql "database/sql"
	"testing"
)

// scheduleRows are a schedule and the task of a tick.
var scheduleRows = []string{
	`INSERT INTO schedules (name, cron, timezone, task, misfire, max_misfires, overlap, jitter_seconds, paused, next_tick_utc, last_tick_utc, version, created_at_utc, updated_at_utc)
		VALUES ('a', '* * * * *', 'UTC', '{}', 'once', 10, 'allow', 1.5, FALSE, :T5, :T4, 1, :T0, :T0)`,
	`INSERT INTO schedule_ticks (schedule, tick_utc, task_id, live) VALUES ('a', :T4, 4, TRUE)`,
}

// TestTheSchemaRefusesATickTwice holds I19 against whoever writes past the service.
func TestTheSchemaRefusesATickTwice(t *testing.T) {
	t.Parallel()
	const tick = "INSERT INTO schedule_ticks (schedule, tick_utc, task_id, live) VALUES "
	rules := []rule{
		{name: "another task for a tick", statement: tick + "('a', :T4, 5, TRUE)"},
		{name: "another tick for a task", statement: tick + "('a', :T5, 4, TRUE)"},
		{name: "a task that is not there", statement: tick + "('a', :T5, 99, TRUE)"},
		{name: "another tick", statement: tick + "('a', :T5, 5, TRUE)", permitted: 1},
		{name: "the tick of another schedule", statement: tick + "('b', :T4, 5, TRUE)", permitted: 1},
		{name: "a next tick that has been dealt with", statement: "UPDATE schedules SET next_tick_utc = :T4"},
		{name: "a next tick before that", statement: "UPDATE schedules SET next_tick_utc = :T3"},
		{name: "a later next tick", statement: "UPDATE schedules SET next_tick_utc = :T6", permitted: 1},
		{name: "no next tick", statement: "UPDATE schedules SET next_tick_utc = NULL", permitted: 1},
		{name: "a pause with a next tick", statement: "UPDATE schedules SET paused = TRUE"},
		{name: "a pause", statement: "UPDATE schedules SET paused = TRUE, next_tick_utc = NULL", permitted: 1},
		{name: "another policy for overlaps", statement: "UPDATE schedules SET overlap = 'queue'"},
		{name: "another policy for missed ticks", statement: "UPDATE schedules SET misfire = 'none'"},
		{name: "no misfire", statement: "UPDATE schedules SET max_misfires = 0"},
		{name: "a task that is no object", statement: "UPDATE schedules SET task = '[]'"},
		{name: "a negative jitter", statement: "UPDATE schedules SET jitter_seconds = -1.0"},
	}
	eachConsole(t, func(t *testing.T, c console) {
		for _, r := range rules {
			t.Run(r.name, func(t *testing.T) {
				c.undone(t, func(tx *dbsql.Tx) {
					for _, statement := range scheduleRows {
						if _, err := exec(t.Context(), tx, c.text(statement)); err != nil {
							t.Fatalf("%s: %v", statement, err)
						}
					}
					n, err := exec(t.Context(), tx, c.text(r.statement))
					if r.permitted == 0 && (err == nil || !isRefusal(err)) {
						t.Errorf("not refused (%d rows changed, error %v): %s", n, err, r.statement)
					}
					if r.permitted > 0 && (err != nil || n != r.permitted) {
						t.Errorf("%d rows changed, want %d, error %v: %s", n, r.permitted, err, r.statement)
					}
				})
			})
		}
	})
}
