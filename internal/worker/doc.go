// Package worker runs tasks. A Worker claims from a task.Source, hands each task to the Handler of its type, keeps the lease alive
// meanwhile and reports how the attempt ended. The source may be the queue in this process or a client of a server elsewhere.
//
// Handlers are Go functions (HandlerFunc), named commands (Exec), calls of a URL (HTTP), and the two that help to try things out, Echo
// and Sleep. DESIGN.md says why the engine is built as it is.
package worker
