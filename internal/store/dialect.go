package store

import (
	"net/url"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// dialect has what differs between engines. Everything else is SQL that both take, with $1 placeholders.
type dialect struct {
	words *strings.Replacer
}

// sqlite is the embedded engine.
//
//	{now}   Unix milliseconds on the database's clock
//	{lock}  keeps the selected row for this transaction; nothing here, because there is one writer
var sqlite = dialect{words: strings.NewReplacer(
	"{now}", "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
	"{lock}", "",
)}

func (d dialect) sql(query string) string { return d.words.Replace(query) }

// maxReaders is how many reads run at once. In WAL mode they neither wait for the writer nor hold it up.
const maxReaders = 8

var (
	// synchronous=FULL: a commit is on the disk before it returns, so that a 202 survives a power cut.
	writerPragmas = []string{"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}
	readerPragmas = []string{"busy_timeout(5000)", "query_only(1)"}
)

// sqliteDSN makes a URI of path, so that no character in it is taken for an option.
func sqliteDSN(path string, pragmas []string) string {
	q := url.Values{"_pragma": pragmas, "_dqs": {"0"}}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}
