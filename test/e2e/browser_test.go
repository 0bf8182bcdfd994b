package e2e

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// browser is a real one. It resolves no name, and notes what it loads.
type browser struct {
	ctx context.Context

	mu      sync.Mutex
	loaded  []string // addresses that were answered
	failed  []string // why requests were not
	refused int      // requests that the page's own policy forbade
}

// openBrowser starts Chromium, which scripts/need.sh installs.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // its own walls need another user
	}
	ctx, gone := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, closed := chromedp.NewContext(ctx)
	t.Cleanup(func() { closed(); gone() })
	b := &browser{ctx: ctx}
	if err := chromedp.Listen(ctx, b.note); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	return b
}

// note keeps what became of the page's requests.
func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventResponseReceived:
		b.loaded = append(b.loaded, e.Response.URL)
	case *network.EventLoadingFailed:
		if e.BlockedReason == network.BlockedReasonCsp {
			b.refused++
		} else if !e.Canceled {
			b.failed = append(b.failed, e.ErrorText)
		}
	}
}

// run does one thing in b, and fails the test when that cannot be done, also not on a very busy machine.
func run[T any](t *testing.T, b *browser, what string, do chromedp.Action[T]) T {
	t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, 3*time.Minute)
	defer stop()
	v, err := chromedp.Run(ctx, do)
	if err != nil {
		shown, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		t.Fatalf("%s in the browser: %v; it shows\n%s", what, err, shown)
	}
	return v
}

// read opens a page and returns what people read there, once it has all of words.
func (b *browser) read(t *testing.T, address string, words ...string) string {
	t.Helper()
	run(t, b, "open a page", chromedp.Navigate(address))
	list, err := json.Marshal(words)
	if err != nil {
		t.Fatal(err)
	}
	run(t, b, "wait for "+string(list), chromedp.Poll[bool](string(list)+`.every(word => document.body.innerText.includes(word))`,
		chromedp.WithPollingTimeout(2*time.Minute)))
	return run(t, b, "read", chromedp.Evaluate[string](`document.body.innerText`))
}

// asks sends a request as the page itself would, and returns the status of the answer.
func (b *browser) asks(t *testing.T, method, path string) int {
	t.Helper()
	script := `fetch("` + path + `", {method: "` + method + `"}).then(r => r.status)`
	return run(t, b, method+" "+path, chromedp.Evaluate[int](script, chromedp.EvalAwaitPromise))
}

// wantOwn checks that nothing came from elsewhere than host, and that the page's policy had something to refuse.
func (b *browser) wantOwn(t *testing.T, host string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, address := range b.loaded {
		if from, err := url.Parse(address); err != nil || from.Host != host && from.Scheme != "data" {
			t.Errorf("it loaded something from %q", from.Host)
		}
	}
	if b.refused == 0 {
		t.Error("the page asked for nothing from elsewhere: its policy forbids nothing, or asynqmon has changed")
	}
	if len(b.loaded) == 0 || len(b.failed) > 0 {
		t.Errorf("%d answers; failed: %q", len(b.loaded), b.failed)
	}
}
