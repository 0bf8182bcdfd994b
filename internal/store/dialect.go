package store

import (
	"net/url"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// dialect has the words that differ between engines. Everything else is SQL that both take, with $1 placeholders.
//
//	{anew}           before all others: the plan is made for these very values, which some have in many rows and some in few
//	{now}            Unix milliseconds on the database's clock
//	{lock}           keeps the selected row for this transaction; {lock j} that of the table j
//	{skip}           keeps it too, but finds nothing when somebody else has it; {skip j} that of the table j
//	{empty}          no bytes
//	{pairs}$1{/}     rows of a text and a number, from a JSON array of such pairs
//	{texts}$1{/texts} rows of a text, from a JSON array of texts
//	{old keys}{/old keys}  which keys those are that a select in between finds
//	{settled}        whether nothing can be committed below the position of an event any more
//	{by name}        the table is looked into by this index: its planner would choose another
//	{beside}x {is} y whether they are equal, asked of the rows that something else finds: no index is used for it
//	{place}          its position, or the last settled one before it
type dialect struct {
	words []string // word, meaning, word, meaning …
	all   *strings.Replacer
}

func newDialect(words ...string) dialect { return dialect{words, strings.NewReplacer(words...)} }

// with is d with more words.
func (d dialect) with(words ...string) dialect {
	return newDialect(append(slices.Clone(d.words), words...)...)
}

func (d dialect) sql(query string) string { return d.all.Replace(query) }

// In the embedded engine there is one writer: nothing has to be kept from others, and what is committed is settled.
var sqliteWords = newDialect(
	"{anew}", "",
	"{now}", "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
	"{lock}", "",
	"{lock j}", "",
	"{skip}", "",
	"{skip j}", "",
	"{empty}", "x''",
	"{pairs}", "SELECT value ->> 0, value ->> 1 FROM json_each(",
	"{/}", ")",
	"{texts}", "SELECT value FROM json_each(",
	"{/texts}", ")",
	"{by jobs_wanted}", "INDEXED BY jobs_wanted",
	"{by jobs_hinted}", "INDEXED BY jobs_hinted",
	"{beside}", "+",
	"{is}", "=",
	"{old keys}", "(tenant, user_id, key) IN (SELECT tenant, user_id, key ",
	"{/old keys}", ")",
	"{settled}", "TRUE",
	"{place}", "position",
)

// The clock is that of the statement. now() is that of the transaction, which many writes share, and clock_timestamp()
// is another one at every look, so that no index can be asked for it.
var postgresWords = newDialect(
	"{anew}", "", // pgReader looks for it
	"{now}", "(extract(epoch FROM statement_timestamp()) * 1000)::bigint",
	"{lock}", "FOR UPDATE",
	"{lock j}", "FOR UPDATE OF j",
	"{skip}", "FOR UPDATE SKIP LOCKED",
	"{skip j}", "FOR UPDATE OF j SKIP LOCKED",
	"{empty}", "''::bytea",
	"{pairs}", "SELECT pair ->> 0, (pair ->> 1)::bigint FROM json_array_elements(",
	"{/}", "::json) AS pair",
	"{texts}", "SELECT json_array_elements_text(",
	"{/texts}", "::json)",
	"{old keys}", "ctid = ANY (ARRAY(SELECT ctid ", // by their names it would go through the table: it expects a tenth of it
	"{/old keys}", "))",
	"{by jobs_wanted}", "",
	"{by jobs_hinted}", "",
	"{beside}", "",
	"{is}", "IS NOT DISTINCT FROM", // the planner knows as of = how many rows have it, which it does not of an expression
)

// maxReaders is how many reads run at once.
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
