// Package postgres is the store on a PostgreSQL database (13 or newer), shared by any number of processes.
//
// Each operation is one statement or one short transaction at read committed; what must not happen twice is held by a
// condition in the statement (the status, the fence, the secret, the key) and by the constraints and triggers of the schema, never by
// a check before it. Claims skip rows that others hold, so claims wait for nobody but for the counters. Inserts, claims and ends of attempts that
// come together share a statement; see gatherer and DESIGN.md. There are three pools: a list that takes long never keeps a heartbeat or a completion
// waiting for a connection.
//
// Time is the database's: the offset of its clock is measured again and again, so that processes with wrong clocks agree.
package postgres
