// Package migrations holds the schema of the database, one folder for each engine, numbered alike. The files are
// embedded, so that a binary brings its own schema. A file that was released is never edited: a change is a new one.
package migrations

import "embed"

// SQLite holds the migrations of the embedded engine, in the folder "sqlite".
//
//go:embed sqlite/*.sql
var SQLite embed.FS

// Postgres holds those of the server, in the folder "postgres".
//
//go:embed postgres/*.sql
var Postgres embed.FS
