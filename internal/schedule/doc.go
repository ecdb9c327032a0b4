// Package schedule holds the rules of schedules: which instants are ticks, what becomes of ticks that were missed, and how far a task is moved from
// its tick. It knows no store and no clock. docs/schedules.md tells users the same.
package schedule
