// Package background starts functions of this process in the background and keeps account of them as runs. Without a queue everything is in memory, and what runs when the process
// dies is lost. With one, each run is a task: its module is the type, its parameters the payload, its id the idempotency key. It is stored before it begins, and this process
// executes it under a lease. When the process dies, the next one of the same name on this host resumes each run whose module has a handler, and fails the others with the reason.
//
// Both have the same methods and outcomes, and one set of tests. The package for Python has the same manager, and the two may serve one queue.
package background
