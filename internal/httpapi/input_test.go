package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/store/storetest"
)

// bad is a body that is refused: with what, and where it says the fault is.
type bad struct {
	body     string
	status   int
	code     job.Code
	pointers []string
}

// invalid is a body whose values are refused.
func invalid(body string, pointers ...string) bad {
	return bad{body, http.StatusUnprocessableEntity, job.InvalidRequest, pointers}
}

func malformed(body string) bad { return bad{body, http.StatusBadRequest, job.NotJSON, []string{""}} }

func untext(body string, pointers ...string) bad {
	return bad{body, http.StatusUnprocessableEntity, job.InvalidText, pointers}
}

// with adds one field to a valid body.
func with(field string) string { return `{"userId":"ann","input":"hi",` + field + `}` }

var badBodies = map[string]bad{
	"no input":                          invalid(`{"userId":"ann"}`, "/input"),
	"an empty input":                    invalid(`{"userId":"ann","input":""}`, "/input"),
	"a blank input":                     invalid(`{"userId":"ann","input":" \t\n\u00a0\u2003"}`, "/input"),
	"an input that is no string":        invalid(`{"userId":"ann","input":16}`, "/input"),
	"an input that is null":             invalid(`{"userId":"ann","input":null}`, "/input"),
	"an input that is a list":           invalid(`{"userId":"ann","input":["hi"]}`, "/input"),
	"no user":                           invalid(`{"input":"hi"}`, "/userId"),
	"an empty user":                     invalid(`{"userId":"","input":"hi"}`, "/userId"),
	"a user with a blank":               invalid(`{"userId":"a b","input":"hi"}`, "/userId"),
	"a user with a control character":   invalid(`{"userId":"a\u0000b","input":"hi"}`, "/userId"),
	"a user that is too long":           invalid(`{"userId":"`+strings.Repeat("é", 129)+`","input":"hi"}`, "/userId"),
	"a user that is a number":           invalid(`{"userId":7,"input":"hi"}`, "/userId"),
	"an unknown field":                  invalid(with(`"prompt":"hi"`), "/prompt"),
	"a known field in another case":     invalid(with(`"Model":"haiku"`), "/Model"),
	"a field that needs escaping":       invalid(with(`"a/b~c":1`), "/a~1b~0c"),
	"a key given twice":                 invalid(with(`"input":"ho"`), "/input"),
	"a key given twice, once escaped":   invalid(with(`"inpu\u0074":"ho"`), "/input"),
	"a metadata key given twice":        invalid(with(`"metadata":{"a":"1","a":"2"}`), "/metadata/a"),
	"a model of no known form":          invalid(with(`"model":"gpt-4"`), "/model"),
	"a model that looks like an option": invalid(with(`"model":"--help"`), "/model"),
	"an empty model":                    invalid(with(`"model":""`), "/model"),
	"a model that is a number":          invalid(with(`"model":4`), "/model"),
	"an unknown format":                 invalid(with(`"outputFormat":"xml"`), "/outputFormat"),
	"an empty format":                   invalid(with(`"outputFormat":""`), "/outputFormat"),
	"an unknown priority":               invalid(with(`"priority":"urgent"`), "/priority"),
	"a numeric priority":                invalid(with(`"priority":1`), "/priority"),
	"an empty sandbox":                  invalid(with(`"sandboxId":""`), "/sandboxId"),
	"a sandbox that is no string":       invalid(with(`"sandboxId":{}`), "/sandboxId"),
	"no time at all":                    invalid(with(`"timeoutSeconds":0`), "/timeoutSeconds"),
	"a negative time":                   invalid(with(`"timeoutSeconds":-1`), "/timeoutSeconds"),
	"a time over six hours":             invalid(with(`"timeoutSeconds":21601`), "/timeoutSeconds"),
	"a time that overflows a duration":  invalid(with(`"timeoutSeconds":18446744074`), "/timeoutSeconds"),
	"a time that overflows an integer":  invalid(with(`"timeoutSeconds":99999999999999999999`), "/timeoutSeconds"),
	"a time that overflows downwards":   invalid(with(`"timeoutSeconds":-99999999999999999999`), "/timeoutSeconds"),
	"a time with a fraction":            invalid(with(`"timeoutSeconds":1.5`), "/timeoutSeconds"),
	"a time with an exponent":           invalid(with(`"timeoutSeconds":1e3`), "/timeoutSeconds"),
	"a time in words":                   invalid(with(`"timeoutSeconds":"60"`), "/timeoutSeconds"),
	"a time that is true":               invalid(with(`"timeoutSeconds":true`), "/timeoutSeconds"),
	"metadata that is a list":           invalid(with(`"metadata":["a"]`), "/metadata"),
	"metadata that is null":             invalid(with(`"metadata":null`), "/metadata"),
	"metadata with a number":            invalid(with(`"metadata":{"a/b":1}`), "/metadata/a~1b"),
	"metadata with a null":              invalid(with(`"metadata":{"a":null}`), "/metadata/a"),
	"metadata with an empty key":        invalid(with(`"metadata":{"":"x"}`), "/metadata/"),
	"a metadata key that is too long":   invalid(with(`"metadata":{"`+strings.Repeat("k", 65)+`":"x"}`), "/metadata/"+strings.Repeat("k", 65)),
	"a metadata value that is too long": invalid(with(`"metadata":{"a":"`+strings.Repeat("v", 513)+`"}`), "/metadata/a"),
	"too much metadata":                 invalid(with(`"metadata":`+manyFields(17)), "/metadata"),
	"every fault at once": invalid(`{"userId":"","input":" ","model":"x","timeoutSeconds":-5,"metadata":{"a":1},"runAfter":true,"zap":1}`,
		"/metadata/a", "/userId", "/input", "/model", "/timeoutSeconds", "/runAfter", "/zap"),

	"an empty body":            malformed(" "),
	"words":                    malformed("hello"),
	"half an object":           malformed(`{"userId":"ann"`),
	"two objects":              malformed(`{"userId":"ann","input":"hi"}{}`),
	"something after the body": malformed(`{"userId":"ann","input":"hi"} x`),
	"a trailing comma":         malformed(`{"userId":"ann","input":"hi",}`),
	"a byte order mark":        malformed("\ufeff" + `{"userId":"ann","input":"hi"}`),
	"a raw line break":         malformed("{\"userId\":\"ann\",\"input\":\"a\nb\"}"),
	"a NUL byte":               malformed("{\"userId\":\"ann\",\"input\":\"a\x00b\"}"),
	"invalid UTF-8 outside":    malformed("{\"userId\":\"ann\",\"input\":\"hi\"}\xff"),
	"nesting without an end":   malformed(strings.Repeat("[", 100_000)),

	"a list":    invalid(`[{"userId":"ann","input":"hi"}]`, ""),
	"null":      invalid(`null`, ""),
	"a string":  invalid(`"hi"`, ""),
	"a number":  invalid(`16`, ""),
	"deep list": invalid(strings.Repeat("[", 9_000)+strings.Repeat("]", 9_000), ""),

	"invalid UTF-8":                    untext("{\"userId\":\"ann\",\"input\":\"a\xffb\"}", "/input"),
	"a cut UTF-8 sequence":             untext("{\"userId\":\"ann\",\"input\":\"a\xe2\x82\"}", "/input"),
	"an overlong UTF-8 sequence":       untext("{\"userId\":\"ann\",\"input\":\"\xc0\xaf\"}", "/input"),
	"a surrogate in UTF-8":             untext("{\"userId\":\"ann\",\"input\":\"\xed\xa0\x80\"}", "/input"),
	"invalid UTF-8 in a key":           untext("{\"userId\":\"ann\",\"in\xffput\":\"a\"}", "/in\ufffdput"),
	"invalid UTF-8 in metadata":        untext(with("\"metadata\":{\"a\":\"1\",\"b\":\"\xff\"}"), "/metadata/b"),
	"invalid UTF-8 in a list":          untext(with("\"zap\":[1,[],\"\xff\"]"), "/zap/2"),
	"a high surrogate alone":           untext(`{"userId":"ann","input":"a\ud800b"}`, "/input"),
	"a high surrogate at the end":      untext(`{"userId":"ann","input":"\uD83D"}`, "/input"),
	"a low surrogate alone":            untext(`{"userId":"ann","input":"\udc00"}`, "/input"),
	"two high surrogates":              untext(`{"userId":"ann","input":"\ud800\ud800"}`, "/input"),
	"a pair the wrong way round":       untext(`{"userId":"ann","input":"\udc00\ud800"}`, "/input"),
	"a high surrogate and a letter":    untext(`{"userId":"ann","input":"\ud83d\u0041"}`, "/input"),
	"a lone surrogate, and other junk": untext(`{"userId":"\udfff","input":"\ud800","zap":1}`, "/userId", "/input"),
}

// manyFields is an object of n strings.
func manyFields(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`"k%d":"v"`, i)
	}
	return "{" + strings.Join(all, ",") + "}"
}

func TestBadInputIsRefusedAndLeavesNothing(t *testing.T) {
	h := newHouse(t)
	for name, tc := range badBodies {
		t.Run(name, func(t *testing.T) {
			p := wantProblem(t, h.post("/api/knowledge/process", tc.body, "Idempotency-Key", "k1"), tc.status, tc.code)
			var got []string
			for _, e := range p.Errors {
				got = append(got, e.Pointer)
				if e.Detail == "" {
					t.Errorf("%q has no detail", e.Pointer)
				}
			}
			slices.Sort(got)
			if want := slices.Sorted(slices.Values(tc.pointers)); !slices.Equal(got, want) {
				t.Errorf("faults at %q, want %q", got, want)
			}
		})
	}
	if jobs, _ := h.stored(); jobs != 0 {
		t.Errorf("%d jobs are stored", jobs)
	}
	if id := h.submitWithKey("ann", "k1"); id == "" { // nor was the key taken
		t.Error("the key of a refused request cannot be used")
	}
}

func TestOptionsThatAreNotThereYetAreRefusedByName(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{
		"runAfter", "maxBudgetUsd", "jsonSchema", "mcpServers", "env", "files",
		"artifacts", "repo", "webhookUrl",
	} {
		t.Run(name, func(t *testing.T) {
			a := h.post("/api/knowledge/process", with(`"`+name+`":false`))
			p := wantProblem(t, a, http.StatusUnprocessableEntity, job.OptionNotAvailable)
			if len(p.Errors) != 1 || p.Errors[0].Pointer != "/"+name || p.Errors[0].Code != string(job.OptionNotAvailable) {
				t.Errorf("faults %+v, want one at /%s", p.Errors, name)
			}
		})
	}
	if jobs, _ := h.stored(); jobs != 0 {
		t.Errorf("%d jobs are stored", jobs)
	}
}

func TestAFloodOfFaultsGetsAShortAnswer(t *testing.T) {
	h := newHouse(t)
	for name, body := range map[string]string{
		"many fields":    with(`"zap":1,` + strings.Trim(manyFields(20_000), "{}")),
		"a long name":    with(`"` + strings.Repeat("z", 1<<20) + `":1`),
		"bad text":       with(`"zap":["` + strings.Repeat(`\ud800`, 20_000) + `"]`),
		"a deep bad key": with(`"zap":` + strings.Repeat(`{"a":`, 5_000) + `"\ud800"` + strings.Repeat("}", 5_000)),
	} {
		t.Run(name, func(t *testing.T) {
			if a := h.post("/api/knowledge/process", body); a.status != http.StatusUnprocessableEntity || len(a.body) > 16<<10 {
				t.Errorf("answered %d with %d bytes, want 422 with at most 16 KiB", a.status, len(a.body))
			}
		})
	}
}

func TestAnotherMediaTypeIsRefused(t *testing.T) {
	h := newHouse(t)
	for name, headers := range map[string][]string{
		"none":                {"Content-Type", ""},
		"a form":              {"Content-Type", "application/x-www-form-urlencoded"},
		"plain text":          {"Content-Type", "text/plain"},
		"JSON in name only":   {"Content-Type", "text/json"},
		"another charset":     {"Content-Type", "application/json; charset=latin1"},
		"a broken type":       {"Content-Type", "application/json; ="},
		"a compressed body":   {"Content-Encoding", "gzip"},
		"a subtype of JSON":   {"Content-Type", "application/problem+json"},
		"JSON lines, not yet": {"Content-Type", "application/jsonl"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/api/knowledge/process", "/api/sandbox/create", "/api/jobs/job_1/cancel"} {
				a := h.post(path, `{"userId":"ann","input":"hi"}`, headers...)
				wantProblem(t, a, http.StatusUnsupportedMediaType, job.UnsupportedMediaType)
			}
		})
	}
	if jobs, boxes := h.stored(); jobs+boxes != 0 {
		t.Errorf("%d jobs and %d sandboxes are stored", jobs, boxes)
	}
	if a := h.post("/api/knowledge/process", `{"userId":"ann","input":"hi"}`, "Content-Type", "application/json; charset=UTF-8"); a.status != http.StatusAccepted {
		t.Errorf("UTF-8 said aloud: %d %s", a.status, a.body)
	}
}

func TestASandboxThatIsNotTheCallersIsNotThere(t *testing.T) {
	h := newHouse(t)
	bobs := storetest.Sandbox(t, h.store, storetest.Bob)
	for name, id := range map[string]string{"unknown": "sbx_nope", "another's": bobs.ID, "no id": "../etc\\u0000"} {
		t.Run(name, func(t *testing.T) {
			a := h.post("/api/knowledge/process", with(`"sandboxId":"`+id+`"`))
			wantProblem(t, a, http.StatusNotFound, job.SandboxNotFound)
		})
	}
	if jobs, _ := h.stored(); jobs != 0 {
		t.Errorf("%d jobs are stored", jobs)
	}
}

func TestWhatIsAcceptedIsKeptByteForByte(t *testing.T) {
	h := newHouse(t)
	box := storetest.Sandbox(t, h.store, storetest.Ann)
	for name, input := range map[string]string{
		"quotes":      `echo "$(id)" 'x' ` + "`y`" + ` \ \\ \n`,
		"controls":    "\x00\x01\x1b[31m\x7f\r\n\t",
		"planes":      "𝄞😀 \U0010ffff \ufffd \u2028",
		"a dash":      "--help",
		"a slash":     "/clear @/etc/passwd",
		"400 KB":      strings.Repeat("0123456789abcdef", 25_600),
		"blank edges": "  hi  \n",
	} {
		t.Run(name, func(t *testing.T) {
			label := string([]rune(input)[:2])
			body, err := json.Marshal(map[string]any{
				"userId": "ann", "input": input, "sandboxId": box.ID, "model": "haiku", "outputFormat": "json",
				"timeoutSeconds": 21600, "priority": "bulk", "metadata": map[string]string{"k\x00": label},
			})
			if err != nil {
				t.Fatal(err)
			}
			a := h.post("/api/knowledge/process", string(body))
			if a.status != http.StatusAccepted {
				t.Fatalf("%d %s", a.status, a.body)
			}
			id := into[struct{ JobID string }](t, a).JobID
			if got := a.header.Get("Location"); got != "/api/jobs/"+id {
				t.Errorf("Location is %q", got)
			}
			j := storetest.Read(t, h.store, id)
			if j.Spec.Input != input || j.Spec.Metadata["k\x00"] != label {
				t.Errorf("input and metadata are not what was sent: %.80q, %q", j.Spec.Input, j.Spec.Metadata)
			}
			want := job.Spec{Model: "haiku", OutputFormat: job.FormatJSON, Timeout: job.MaxTimeout, Priority: job.Bulk}
			got := job.Spec{Model: j.Spec.Model, OutputFormat: j.Spec.OutputFormat, Timeout: j.Spec.Timeout, Priority: j.Spec.Priority}
			if fmt.Sprint(got) != fmt.Sprint(want) || j.SandboxID != box.ID || j.UserID != "ann" {
				t.Errorf("kept %+v in %s of %s, want %+v", got, j.SandboxID, j.UserID, want)
			}
		})
	}
}

func TestABodyOverTheLimitIsRefused(t *testing.T) {
	h := newHouse(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.MaxBody = 1000 })
	fill := func(n int) string {
		return `{"userId":"ann","input":"` + strings.Repeat("a", n-len(`{"userId":"ann","input":""}`)) + `"}`
	}
	if a := h.post("/api/knowledge/process", fill(1000)); a.status != http.StatusAccepted {
		t.Errorf("a body of exactly the limit: %d %s", a.status, a.body)
	}
	for _, path := range []string{"/api/knowledge/process", "/api/sandbox/create", "/api/jobs/job_1/cancel"} {
		wantProblem(t, h.post(path, fill(1001)), http.StatusRequestEntityTooLarge, job.BodyTooLarge)
	}
	if jobs, boxes := h.stored(); jobs != 1 || boxes != 0 {
		t.Errorf("%d jobs and %d sandboxes are stored, want 1 and 0", jobs, boxes)
	}
}
