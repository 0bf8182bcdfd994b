package httpapi

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sandpiper/internal/job"
)

var update = flag.Bool("update", false, "write docs/errors.md")

// closes are all the ways in which the server ends a socket.
var closes = []Close{CloseDraining, CloseSlow, CloseSilent, CloseExpired, CloseTrouble}

// statuses has the HTTP status of every code that a problem document may have.
func statuses() map[job.Code]int {
	all := map[job.Code]int{job.InternalError: http.StatusInternalServerError}
	for _, row := range problems {
		all[row.code] = row.status
	}
	return all
}

func TestEveryProblemIsDocumented(t *testing.T) {
	documented := map[job.Code]bool{}
	for _, d := range slices.Concat(job.Codes, job.Problems) {
		documented[d.Code] = true
	}
	status := statuses()
	for code := range status {
		if !documented[code] {
			t.Errorf("%s is in the table of problems and not in job.Problems", code)
		}
	}
	for _, d := range job.Problems {
		if status[d.Code] == 0 {
			t.Errorf("%s is documented as a problem and no error becomes it", d.Code)
		}
	}
}

// TestEveryCloseIsDocumented reads the source, because a variable that is in no list cannot be found otherwise.
func TestEveryCloseIsDocumented(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "close.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if made, ok := n.(*ast.CompositeLit); ok && fmt.Sprint(made.Type) == "Close" {
			declared++
		}
		return true
	})
	if declared != len(closes) {
		t.Errorf("close.go has %d closes, the page %d", declared, len(closes))
	}
}

func TestErrorsPageIsFresh(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "errors.md")
	if *update {
		if err := os.WriteFile(path, []byte(errorsPage()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || string(have) != errorsPage() {
		t.Errorf("docs/errors.md is stale (%v): go test ./internal/httpapi -update", err)
	}
}

const errorsIntro = `# Errors

One vocabulary for jobs that did not succeed and for requests that were refused. A code never changes its meaning; the
texts beside it may. This page is made from the tables that the code uses (` + "`go test ./internal/httpapi -update`" + ` writes it, and
a test fails when it is stale).

- **A job that did not succeed** has ` + "`error {code, message, retryable}`" + `, and its stream an ` + "`error`" + ` event with ` + "`code` and `message`" + `, at
  most once and just before ` + "`done`" + `. A retry that Sandpiper does by itself is no ` + "`error`" + ` but a ` + "`state`" + ` event that says why.
- **A refused request** is answered with a problem document (RFC 9457, ` + "`application/problem+json`" + `): ` + "`status`, `code`, `detail`" + `, all
  faults of the body in ` + "`errors`" + `, and a ` + "`requestId`" + ` that the server's log has too. Nothing was started.
- **Again?** says whether the same could succeed later, perhaps after what the remedy says. Where paying twice is possible
  the remedy says that too; what ` + "`retryable`" + ` says in a job is about that one failure, and goes before this page.

`

// errorsPage is docs/errors.md.
func errorsPage() string {
	var b strings.Builder
	b.WriteString(errorsIntro)
	b.WriteString("## Jobs\n\nA job that failed is `failed`; with `CANCELLED` it is `cancelled`, with `OUTCOME_UNKNOWN` it is `outcome_unknown`.\n" +
		"A code with an HTTP status is a problem document too: of `POST /api/sandbox/create`.\n\n")
	status := statuses()
	list(&b, job.Codes, status)
	b.WriteString("## Requests\n\nIn the order in which a request meets them.\n\n")
	list(&b, job.Problems, status)
	b.WriteString("## Sockets\n\nWhy the server closes a WebSocket. Codes from 4000 to 4499 mean: come back, and you miss nothing. An event stream\n" +
		"(SSE) that ends before `done` says the same in a comment.\n\n| code | reason |\n|---|---|\n")
	for _, c := range closes {
		fmt.Fprintf(&b, "| %d | `%s` |\n", c.Code, c.Reason)
	}
	b.WriteString("\n## Exit codes\n\n`exitCode` of `done`, and of `sandpiper run`: 0 only if the job succeeded, else the command's own code, 1 where\n" +
		"there was no run or its code was 0, 130 when the job was cancelled.\n")
	return b.String()
}

// list is an overview with links, and then a paragraph for each code.
func list(b *strings.Builder, codes []job.CodeDoc, status map[job.Code]int) {
	b.WriteString("| code | HTTP | meaning | again? |\n|---|---|---|---|\n")
	for _, d := range codes {
		shown := "–"
		if status[d.Code] != 0 {
			shown = fmt.Sprint(status[d.Code])
		}
		fmt.Fprintf(b, "| [`%s`](#%s) | %s | %s | %s |\n", d.Code, strings.ToLower(string(d.Code)), shown, d.Meaning, again(d))
	}
	b.WriteString("\n")
	for _, d := range codes {
		fmt.Fprintf(b, "### %s\n\n%s\n\n- *Cause:* %s\n- *Remedy:* %s\n- *Again?* %s.", d.Code, d.Meaning, d.Cause, d.Remedy, again(d))
		if s := status[d.Code]; s != 0 {
			fmt.Fprintf(b, " HTTP %d (%s).", s, cmp.Or(http.StatusText(s), "?"))
		}
		b.WriteString("\n\n")
	}
}

func again(d job.CodeDoc) string {
	if d.Retryable {
		return "yes"
	}
	return "no"
}
