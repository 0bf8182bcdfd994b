// Package migrations holds the schema of the database, one folder for each engine, numbered alike. The files are
// embedded, so that a binary brings its own schema. A file that was released is never edited: a change is a new one.
//
// A new version is rolled out beside old ones, on the new schema. So a migration adds, and whatever takes away, renames or
// narrows something waits until the programs that use it are gone, a release later at the earliest; then it names the
// oldest version of the schema that a program must know to do without. Here that is 9, the one whose programs no longer
// read the column:
//
//	ALTER TABLE jobs DROP COLUMN old;
//	INSERT INTO settings (name, value) VALUES ('schema_floor', '9') ON CONFLICT (name) DO UPDATE SET value = excluded.value;
//
// Programs that know less refuse to start on it. A test tells harmless statements from others.
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
