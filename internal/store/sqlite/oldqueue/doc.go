// Package oldqueue reads the database of the older queue, a Python program on SQLite, and makes tasks of ours of its rows.
//
// The file is only read, and never trusted: no schema of it is run, no value of it is taken for what its column was declared, and where a writer may have left
// something beside it, a private copy is read.
package oldqueue
