// Package schema brings a database to the version of this binary and back, with goose and the embedded migrations.
package schema
