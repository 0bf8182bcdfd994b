package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"sandpiper/client"
)

const (
	threeLines    = `{"custom_id":"a","input":"1"}` + "\n" + `{"custom_id":"b","input":"2"}` + "\n" + `{"custom_id":"c","input":"3"}` + "\n"
	acceptedBatch = `{"batchId":"batch_1","accepted":3,"rejected":0}`
)

func TestABatchThatCanBeReadAgainIsSentAgainAsItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(path, []byte("{}\n"+threeLines), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(3, io.SeekStart); err != nil { // what was read before is not sent
		t.Fatal(err)
	}
	for name, lines := range map[string]io.Reader{"a file": f, "text": strings.NewReader(threeLines)} {
		t.Run(name, func(t *testing.T) {
			r := record(t, cut, say(503, ""), say(202, `{"batchId":`), say(202, acceptedBatch))
			got, err := r.client(client.Options{}).SubmitBatch(t.Context(), client.SubmitBatch{UserID: "u", Lines: lines, SkipBad: true})
			if want := (client.AcceptedBatch{BatchID: "batch_1", Accepted: 3}); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("got %+v, %v", got, err)
			}
			all := r.all()
			for _, a := range all {
				if a != all[0] || a.body != threeLines || a.key == "" || a.contentType != "application/jsonl" || a.line != "POST /api/batches?onError=skip&userId=u" {
					t.Errorf("asked %+v", a)
				}
			}
			if len(all) != 4 {
				t.Errorf("asked %d times, want 4", len(all))
			}
		})
	}
}

// pipe holds text in a pipe of the system: an *os.File that has Seek and cannot.
func pipe(t *testing.T, text string) io.Reader {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if _, err := io.WriteString(w, text); err != nil { // less than a pipe holds
		t.Fatal(err)
	}
	w.Close()
	return r
}

func TestABatchThatCannotBeReadAgainIsSentOnce(t *testing.T) {
	for name, lines := range map[string]func() io.Reader{
		"a reader": func() io.Reader { return io.MultiReader(strings.NewReader(threeLines)) },
		"a pipe":   func() io.Reader { return pipe(t, threeLines) },
	} {
		for fault, answer := range map[string]answer{"a lost connection": cut, "a 503": say(503, "")} {
			t.Run(name+" and "+fault, func(t *testing.T) {
				r := record(t, answer, say(202, acceptedBatch))
				_, err := r.client(client.Options{}).SubmitBatch(t.Context(), client.SubmitBatch{UserID: "u", Lines: lines(), IdempotencyKey: "mine"})
				if all := r.all(); err == nil || len(all) != 1 || all[0].body != threeLines || all[0].key != "mine" {
					t.Errorf("got %v; asked %+v, want once", err, all)
				}
			})
		}
	}
}

// spoilt is a file that cannot be read to its end.
type spoilt struct{ *strings.Reader }

var errDisk = errors.New("the disk is broken")

func (s spoilt) Read(p []byte) (int, error) {
	if s.Len() < 10 {
		return 0, errDisk
	}
	return s.Reader.Read(p[:min(len(p), 5)])
}

func TestLinesThatCannotBeReadAreNotSentAgain(t *testing.T) {
	r := record(t, say(202, acceptedBatch))
	_, err := r.client(client.Options{}).SubmitBatch(t.Context(), client.SubmitBatch{Lines: spoilt{strings.NewReader(threeLines)}})
	if !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "read the lines") || len(r.all()) > 1 {
		t.Errorf("got %v, asked %d times", err, len(r.all()))
	}
	_, err = r.client(client.Options{}).SubmitBatch(t.Context(), client.SubmitBatch{Lines: iotest.ErrReader(errDisk)})
	if !errors.Is(err, errDisk) {
		t.Errorf("got %v", err)
	}
	if _, err = r.client(client.Options{}).SubmitBatch(t.Context(), client.SubmitBatch{}); err == nil {
		t.Error("no lines, and no error")
	}
}

// early answers before it has read what is sent, and leaves the rest to the transport.
func TestAnEarlyAnswerDoesNotMixTwoRequests(t *testing.T) {
	many := strings.Repeat(threeLines, 30_000) // more than the sockets hold
	var got []string
	r := record(t)
	r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if len(got) == 0 {
			got = append(got, "")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, _ := io.ReadAll(q.Body)
		got = append(got, string(body))
		say(202, acceptedBatch)(w)
	})
	_, err := r.client(client.Options{}).SubmitBatch(t.Context(), client.SubmitBatch{UserID: "u", Lines: strings.NewReader(many)})
	if err != nil || len(got) != 2 || got[1] != many {
		t.Errorf("got %v; %d requests, the last as it was: %v", err, len(got), len(got) == 2 && got[1] == many)
	}
}

func TestARefusedBatchNamesItsLines(t *testing.T) {
	r := record(t, say(422, `{"code":"INVALID_REQUEST","title":"No.","errors":[{"pointer":"/input","detail":"must not be empty","line":3,"customId":"c"},{"pointer":"","detail":"must be one JSON value","line":4}]}`))
	_, err := r.client(client.Options{}).SubmitBatch(t.Context(), client.SubmitBatch{UserID: "u", Lines: strings.NewReader(threeLines)})
	var p *client.Problem
	if !errors.As(err, &p) || len(r.all()) != 1 {
		t.Fatalf("got %v, asked %d times", err, len(r.all()))
	}
	want := []client.FieldError{
		{Line: 3, CustomID: "c", Pointer: "/input", Detail: "must not be empty"}, {Line: 4, Detail: "must be one JSON value"},
	}
	if !reflect.DeepEqual(p.Errors, want) || !strings.HasSuffix(err.Error(), `; line 3 ("c") /input must not be empty; line 4 must be one JSON value`) {
		t.Errorf("got %+v; %v", p.Errors, err)
	}
}

func TestABatchIsWaitedForWhileTheAPIIsAway(t *testing.T) {
	var answers []answer
	for range 9 { // more than one call repeats
		answers = append(answers, say(503, ""))
	}
	answers = append(answers, say(200, `{"state":"running","counts":{"queued":2}}`), cut, say(200, `{"batchId":"b","state":"ended","counts":{"succeeded":2}}`))
	r := record(t, answers...)
	var seen []int64
	b, err := r.client(client.Options{}).WaitBatch(t.Context(), "b", func(b client.Batch) { seen = append(seen, b.Counts[client.Queued]) })
	if err != nil || !b.Ended() || b.Counts[client.Succeeded] != 2 || !reflect.DeepEqual(seen, []int64{2, 0}) {
		t.Errorf("got %+v, %v; seen %v", b, err, seen)
	}
	r = record(t, say(404, `{"code":"BATCH_NOT_FOUND","title":"No."}`))
	if _, err := r.client(client.Options{}).WaitBatch(t.Context(), "b", nil); err == nil {
		t.Error("no batch, and no error")
	}
	r = record(t, say(200, `{"state":"running"}`))
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer stop()
	if _, err := r.client(client.Options{}).WaitBatch(ctx, "b", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestResultsThatBreakOffAreNotTheWhole(t *testing.T) {
	const line = `{"custom_id":"a","jobId":"j","state":"succeeded","result":{"text":"4","format":"text"},"error":null,"usage":[],"costUsd":0.5}` + "\n"
	broken := func(w http.ResponseWriter) {
		_, _ = io.WriteString(w, line)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	for name, tc := range map[string]struct {
		answers []answer
		lines   int
		fails   bool
	}{
		"all of them":           {[]answer{say(503, ""), say(200, line+line)}, 2, false},
		"none":                  {[]answer{say(200, "")}, 0, false},
		"a stream that is cut":  {[]answer{broken}, 1, true},
		"a batch of some other": {[]answer{say(404, "")}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			n, failed := 0, false
			for got, err := range record(t, tc.answers...).client(client.Options{}).Results(t.Context(), "b") {
				if failed = err != nil; failed {
					break
				}
				if n++; got.CustomID != "a" || got.State != client.Succeeded || got.Result.Text != "4" || *got.CostUSD != 0.5 {
					t.Errorf("got %+v", got)
				}
			}
			if n != tc.lines || failed != tc.fails {
				t.Errorf("%d lines, failed %v", n, failed)
			}
		})
	}
}

func TestEachCallAboutABatchAsksItsRoute(t *testing.T) {
	ctx := t.Context()
	for name, tc := range map[string]struct {
		call func(*client.Client) error
		line string
		key  bool
	}{
		"status":       {func(c *client.Client) error { _, err := c.Batch(ctx, "a/b"); return err }, "GET /api/batches/a%2Fb?userId=me", false},
		"results":      {func(c *client.Client) error { return endOf(c.Results(ctx, "b")) }, "GET /api/batches/b/results?userId=me", false},
		"cancel":       {func(c *client.Client) error { _, err := c.CancelBatch(ctx, "b"); return err }, "POST /api/batches/b/cancel?userId=me", false},
		"retry-failed": {func(c *client.Client) error { _, err := c.RetryFailed(ctx, "b", ""); return err }, "POST /api/batches/b/retry-failed?userId=me", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, say(503, ""), say(200, acceptedBatch))
			if err := tc.call(r.client(client.Options{UserID: "me", Key: "k"})); err != nil {
				t.Fatal(err)
			}
			all := r.all()
			if len(all) != 2 || all[0] != all[1] || all[0].line != tc.line || all[0].auth != "Bearer k" || (all[0].key != "") != tc.key {
				t.Errorf("asked %+v, want %q twice", all, tc.line)
			}
		})
	}
}

func endOf(lines func(func(client.ResultLine, error) bool)) (err error) {
	for _, err = range lines {
	}
	return err
}
