package telemetry

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// levels are the methods of slog.Logger that write, and how many arguments come before the message.
var levels = map[string]int{
	"Debug": 0, "Info": 0, "Warn": 0, "Error": 0,
	"DebugContext": 1, "InfoContext": 1, "WarnContext": 1, "ErrorContext": 1, "With": -1,
}

// instead has the API's name for what is often called otherwise.
var instead = map[string]string{
	"job": "jobId", "run": "runId", "sandbox": "sandboxId", "user": "userId", "batch": "batchId", "request": "requestId",
	"id": "jobId or another name that says whose", "error": "err",
}

var attributeName = regexp.MustCompile(`^[a-z][A-Za-z]*$`)

// TestLogLinesCanBeCountedAndJoined reads the source: a message is constant, so that lines can be counted, and its
// attributes have the names that the API's fields have, so that a log can be searched for what a client reported.
func TestLogLinesCanBeCountedAndJoined(t *testing.T) {
	lines := 0
	for _, dir := range []string{"internal", "cmd"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if before, found := logCall(call); ok && found {
					lines++
					for _, fault := range faultsOf(call, before) {
						t.Errorf("%s: %s", files.Position(call.Pos()), fault)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if lines < 40 {
		t.Errorf("only %d lines found: they are written in another way", lines)
	}
}

// logCall reports whether call is one of a logger, by the logger's name: log or Log, a variable or a field.
func logCall(call *ast.CallExpr) (before int, ok bool) {
	if call == nil {
		return 0, false
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return 0, false
	}
	before, ok = levels[method.Sel.Name]
	var name string
	switch logger := method.X.(type) {
	case *ast.Ident:
		name = logger.Name
	case *ast.SelectorExpr:
		name = logger.Sel.Name
	}
	return before, ok && strings.EqualFold(name, "log")
}

func faultsOf(call *ast.CallExpr, before int) (faults []string) {
	args := call.Args
	if before >= 0 {
		if _, constant := literal(args[before]); !constant {
			faults = append(faults, "the message is not constant")
		}
	}
	if call.Ellipsis != token.NoPos {
		args = args[:len(args)-1]
	}
	for i := before + 1; i < len(args); i += 2 {
		name, constant := literal(args[i])
		switch {
		case !constant || !attributeName.MatchString(name):
			faults = append(faults, fmt.Sprintf("attribute %q is no constant name in camelCase", name))
		case instead[name] != "":
			faults = append(faults, fmt.Sprintf("attribute %q: say %s", name, instead[name]))
		}
	}
	return faults
}

func literal(e ast.Expr) (string, bool) {
	text, ok := e.(*ast.BasicLit)
	if !ok || text.Kind != token.STRING {
		return "", false
	}
	return strings.Trim(text.Value, "\"`"), true
}
