// Package queue is the service: it checks and completes what callers ask for, reads the clock once for each operation, hands it to the
// store, wakes those who wait for work, and takes care of what falls due with time. DESIGN.md says why it is built so.
package queue
