package job_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"sandpiper/internal/job"
)

// TestEveryCodeIsDocumented reads the source, because a constant that is in no list cannot be found otherwise.
func TestEveryCodeIsDocumented(t *testing.T) {
	var want []string
	for _, name := range []string{"codes.go", "codes_doc.go", "problems.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Code" {
				want = append(want, strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`))
			}
			return true
		})
	}
	var got []string
	for _, c := range slices.Concat(job.Codes, job.Problems) {
		got = append(got, string(c.Code))
		for field, text := range map[string]string{"meaning": c.Meaning, "cause": c.Cause, "remedy": c.Remedy} {
			if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, ".)") {
				t.Errorf("%s of %s is no sentence: %q", field, c.Code, text)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("documented %v\nwant       %v", got, want)
	}
}
