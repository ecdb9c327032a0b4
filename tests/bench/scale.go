package main

import "time"

// Scale says how much is measured.
type Scale struct {
	Name    string
	Rounds  int
	Seconds float64 // of one trial
	Few     int     // rows of the small stores of P4 to P6
	Many    int     // queued rows of the large ones; as many completed ones come on top
	Grown   int     // queued rows at the end of -growth
	Load    float64 // seconds of one round over HTTP
	Idle    time.Duration
	Margin  float64 // 0: goals as they are and rounds that agree; else goals are eased by so much and rounds may differ
	Long    bool    // P4 and P5 on PostgreSQL with 8 callers too
	Extras  bool    // also what no goal is measured against: each peer's default, gue, backlite, the other kinds of work
}

var (
	smoke = Scale{Name: "smoke", Rounds: 3, Seconds: 0.2, Few: 1000, Grown: 10_000, Load: 0.3, Margin: 4}
	quick = Scale{Name: "quick", Rounds: 3, Seconds: 0.5, Few: 1000, Many: 50_000, Grown: 50_000, Load: 1, Idle: 10 * time.Second}
	usual = Scale{Name: "usual", Rounds: 5, Seconds: 1, Few: 1000, Many: 200_000, Grown: 1_000_000, Load: 1.5, Idle: time.Minute, Extras: true}
	full  = Scale{Name: "full", Rounds: 5, Seconds: 3, Few: 1000, Many: 1_000_000, Grown: 1_000_000, Load: 5, Idle: time.Minute, Extras: true, Long: true}
)

// smokeGoals are ratios of work on the same disk by the same processors, so that a slow machine is slow for both sides.
var smokeGoals = []string{"P1", "P3", "P7", "P9"}
