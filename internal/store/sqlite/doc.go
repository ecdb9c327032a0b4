// Package sqlite is the store on one SQLite file.
//
// One goroutine, the writer, owns the only connection that writes. It takes whatever operations have gathered, runs them in one
// transaction, commits once, and answers only then: what is acknowledged is on the disk, and the cost of the disk is shared. Reads
// go to a pool of read-only connections and never wait for the writer. DESIGN.md says why.
package sqlite
