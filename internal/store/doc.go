// Package store says what the queue needs of a database, as interfaces of a few methods each. Two adapters satisfy them,
// store/sqlite and store/postgres; the suite in store/storetest states every semantic and every error below as a test, and both
// adapters pass it.
//
// Rules that hold for every method:
//   - It is atomic: it happened as a whole or not at all, and after a nil error it survives a crash of process and machine.
//   - Times come in as arguments, in UTC and whole microseconds; no method reads a clock.
//   - Errors are those of package task: ErrNotFound, ErrLeaseLost, ErrConflict, ErrBusy, ErrUnknown, ErrFull, ErrGone, ErrStopped, or the context's own. Everything else
//     is a fault of the store.
//   - All are safe for concurrent use.
package store
