package task

import (
	"bytes"
	"encoding/json"
	"time"
)

// Misfire says what becomes of ticks that nobody was there to deal with in time.
type Misfire string

const (
	MisfireSkip Misfire = "skip" // none of them makes a task
	MisfireOnce Misfire = "once" // all of them together make one, unless a tick that is dealt with in time makes one
	MisfireAll  Misfire = "all"  // each makes one, the newest MaxMisfires of them
)

// Valid reports whether m is one of the three.
func (m Misfire) Valid() bool { return m == MisfireSkip || m == MisfireOnce || m == MisfireAll }

// Overlap says what a tick does while a task of an earlier tick of the same schedule is queued or processing.
type Overlap string

const (
	OverlapAllow  Overlap = "allow"  // makes its task all the same
	OverlapSkip   Overlap = "skip"   // makes none
	OverlapCancel Overlap = "cancel" // cancels the older ones and makes its task
)

// Valid reports whether o is one of the three.
func (o Overlap) Valid() bool { return o == OverlapAllow || o == OverlapSkip || o == OverlapCancel }

// Defaults and bounds of a schedule.
const (
	DefaultTimezone    = "UTC"
	DefaultMisfire     = MisfireOnce
	DefaultMaxMisfires = 10
	DefaultOverlap     = OverlapAllow
	MaxMaxMisfires     = 100
	MaxJitter          = 24 * time.Hour
)

// ScheduleSpec is what an operator says of a schedule: the body of a request. Nil and empty fields take the defaults.
type ScheduleSpec struct {
	Cron          string   `json:"cron"`
	Timezone      string   `json:"timezone,omitempty"`
	Task          Spec     `json:"task"` // of each tick; without a time or a key of its own
	Misfire       Misfire  `json:"misfire,omitempty"`
	MaxMisfires   *int     `json:"max_misfires,omitempty"`
	Overlap       Overlap  `json:"overlap,omitempty"`
	JitterSeconds *float64 `json:"jitter_seconds,omitempty"`
	Paused        *bool    `json:"paused,omitempty"` // nil: as it is; a new one is not
}

// Schedule is one row of schedules. Fields have the order of its columns, on both engines.
type Schedule struct {
	Name          string     `json:"name"`           // unique
	Cron          string     `json:"cron"`           // five fields, or six with the second in front, or a word like @daily
	Timezone      string     `json:"timezone"`       // of the IANA database; the fields of Cron are of its clocks
	Task          JSON       `json:"task"`           // a Spec: the task of each tick
	Misfire       Misfire    `json:"misfire"`        //
	MaxMisfires   int        `json:"max_misfires"`   // 1 to MaxMaxMisfires; for MisfireAll
	Overlap       Overlap    `json:"overlap"`        //
	JitterSeconds float64    `json:"jitter_seconds"` // a task runs up to so much after its tick; 0: at it
	Paused        bool       `json:"paused"`         // then no tick comes, and none is missed
	NextTickUTC   *time.Time `json:"next_tick_utc"`  // the first tick that is not dealt with; nil: paused, or there is none any more
	LastTickUTC   *time.Time `json:"last_tick_utc"`  // the newest tick that was dealt with; nil before the first
	LastTaskID    *int64     `json:"last_task_id"`   // the newest task that it has made, which may be deleted by now; nil before the first
	LastSkipped   *string    `json:"last_skipped"`   // why the newest tick made no task; nil when it made one
	Version       int64      `json:"-"`              // grows with every change
	CreatedAtUTC  time.Time  `json:"created_at_utc"`
	UpdatedAtUTC  time.Time  `json:"updated_at_utc"`
}

// Spec returns the task of each tick as it was given.
func (s Schedule) Spec() (spec Spec, err error) {
	err = json.Unmarshal([]byte(s.Task), &spec)
	return spec, err
}

// Request returns the spec that would set s again; it does not say whether it is paused.
func (s Schedule) Request() (ScheduleSpec, error) {
	spec, err := s.Spec()
	return ScheduleSpec{
		Cron: s.Cron, Timezone: s.Timezone, Task: spec, Misfire: s.Misfire, MaxMisfires: &s.MaxMisfires, Overlap: s.Overlap, JitterSeconds: &s.JitterSeconds,
	}, err
}

// Tick is a time of a schedule, and the task that it makes.
type Tick struct {
	AtUTC time.Time
	Task  Task // as Spec.Task makes it
}

// Advance is what becomes of the ticks of one schedule that have come.
type Advance struct {
	Schedule    Schedule   // as it was read
	Now         time.Time  //
	Ticks       []Tick     // that make tasks, oldest first
	LastTickUTC time.Time  // the newest tick that is dealt with by this
	NextTickUTC *time.Time // the first that is not; nil: there is none any more
	Skipped     *string    // why the newest tick makes no task; nil when it makes one
}

// Advanced is what an Advance came to.
type Advanced struct {
	Schedule  Schedule // as it is now
	Made      []Task   // in the order of their ticks
	Cancelled []Task   // by the overlap policy; one of Made may be among them, as it was before
}

// Occurrence is a time at which a schedule will make a task.
type Occurrence struct {
	TickUTC     time.Time `json:"tick_utc"`
	Local       string    `json:"local"`         // the same on the clocks of the time zone, in RFC 3339
	RunAfterUTC time.Time `json:"run_after_utc"` // with the jitter
}

// JSON returns the fields of s that are given as a JSON object, its payload, compatibility and policy byte for byte.
func (s Spec) JSON() JSON {
	b := appendText([]byte(`{"type":`), s.Type)
	value := func(name string, j JSON) {
		if j.given() {
			b = append(append(append(b, `,"`...), name...), `":`...)
			b = append(b, bytes.TrimSpace([]byte(j))...)
		}
	}
	other := func(name string, given bool, v any) {
		if given {
			text, _ := json.Marshal(v) // numbers, texts and times
			value(name, JSON(text))
		}
	}
	other("priority", s.Priority != nil, s.Priority)
	value("payload", s.Payload)
	value("compatibility", s.Compatibility)
	other("max_attempts", s.MaxAttempts != nil, s.MaxAttempts)
	other("run_after_utc", s.RunAfterUTC != nil, s.RunAfterUTC)
	other("idempotency_key", s.IdempotencyKey != nil, s.IdempotencyKey)
	other("deadline_utc", s.DeadlineUTC != nil, s.DeadlineUTC)
	other("timeout_seconds", s.TimeoutSeconds != nil, s.TimeoutSeconds)
	if s.RetryPolicy != nil {
		value("retry_policy", *s.RetryPolicy)
	}
	return JSON(append(b, '}'))
}
