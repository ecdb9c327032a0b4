// Package migrations embeds the schema of both engines as goose migrations: the same numbers and titles in both folders.
// The stock goose command works on the folders themselves.
package migrations

import "embed"

// FS holds sqlite/*.sql and postgres/*.sql.
//
//go:embed sqlite/*.sql postgres/*.sql
var FS embed.FS
