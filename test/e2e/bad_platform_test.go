package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"sandpiper/client"
	"sandpiper/internal/config"
	"sandpiper/internal/offline/scripted"
)

var faultSeed = flag.Uint64("fault-seed", 0, "replays the faults of a platform; 0 makes a new one")

// badPlatform stands between workers and a local Daytona, and does harm to the first request, and to a third of
// those that follow, while it is armed.
type badPlatform struct {
	url  string // of its API
	pass http.Handler

	mu   sync.Mutex
	dice *rand.Rand
	harm harm // nil does none
	done int  // harms so far
}

// harm is what becomes of a request instead of its answer. roll gives a random number below n.
type harm func(w http.ResponseWriter, r *http.Request, pass http.Handler, roll func(n int) int)

// refusal is an answer that the platform never gave.
func refusal(status int, header ...string) harm {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler, _ func(int) int) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"statusCode":%d,"message":"out of order"}`, status)
	}
}

// whole lets a request take effect and keeps its answer.
func whole(r *http.Request, pass http.Handler) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	pass.ServeHTTP(answer, r)
	return answer
}

// platformHarms by what they are like.
var platformHarms = map[string]harm{
	"500":               refusal(http.StatusInternalServerError),
	"503":               refusal(http.StatusServiceUnavailable),
	"429":               refusal(http.StatusTooManyRequests, "Retry-After-sandbox-create", "1"),
	"done, but 500":     afterwards(func(w http.ResponseWriter, _ []byte) { w.WriteHeader(http.StatusInternalServerError) }),
	"done, but silence": afterwards(func(http.ResponseWriter, []byte) { panic(http.ErrAbortHandler) }),
	"half an answer":    afterwards(func(w http.ResponseWriter, part []byte) { _, _ = w.Write(part) }),
	"a cut connection": afterwards(func(w http.ResponseWriter, part []byte) {
		w.Header().Set("Content-Length", fmt.Sprint(len(part)+1))
		_, _ = w.Write(part)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}),
	"a cut request": func(_ http.ResponseWriter, r *http.Request, pass http.Handler, roll func(int) int) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:roll(len(body)+1)]), broken{}))
		whole(r, pass)
		panic(http.ErrAbortHandler)
	},
}

// afterwards lets the request take effect and does harm to its answer, of which it gets a part of random length.
func afterwards(do func(w http.ResponseWriter, part []byte)) harm {
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler, roll func(int) int) {
		body := whole(r, pass).Body.Bytes()
		do(w, body[:roll(len(body)+1)])
	}
}

// broken is a connection that breaks off.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (p *badPlatform) roll(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dice.IntN(n)
}

// arm sets what is done to requests from now on, and says how often the last harm was done.
func (p *badPlatform) arm(h harm) (done int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	done, p.harm, p.done = p.done, h, 0
	return done
}

func (p *badPlatform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	do := p.harm
	// The first one always: a warm sandbox is asked three times a job, and the dice may spare them all.
	if do != nil && p.done > 0 && p.dice.IntN(3) > 0 {
		do = nil
	}
	if do != nil {
		p.done++
	}
	p.mu.Unlock()
	if do == nil {
		p.pass.ServeHTTP(w, r)
		return
	}
	do(w, r, p.pass, p.roll)
}

// openBadPlatform starts a local Daytona and what stands before it.
func openBadPlatform(t testing.TB, vars []string) *badPlatform {
	t.Helper()
	log := &logBuffer{}
	member := start(t, config.RoleDaytona, log, append(vars, "DAYTONA_API_KEY="+daytonaKey, "SANDPIPER_DAYTONA_ADDR=127.0.0.1:0"))
	t.Cleanup(func() { member.terminate(t) })
	behind, err := url.Parse(member.where(t))
	if err != nil {
		t.Fatal(err)
	}
	behind.Path = ""
	seed := *faultSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-fault-seed %d", seed)
	wire := &http.Transport{}
	p := &badPlatform{dice: rand.New(rand.NewPCG(seed, 0)), pass: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(behind)
			r.Out.Host = r.In.Host // so that sandboxes are reached through here too
		},
		FlushInterval: -1, Transport: wire,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.url = "http://" + ln.Addr().String() + "/api"
	front := &http.Server{Handler: p}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = front.Serve(ln) }()
	t.Cleanup(func() {
		_ = front.Close()
		<-ended
		wire.CloseIdleConnections()
	})
	return p
}

// TestABadPlatformCostsDelayAndNothingElse: whatever it does to a third of all requests, every prompt is asked once, and
// answered.
func TestABadPlatformCostsDelayAndNothingElse(t *testing.T) {
	model := scripted.New(t)
	vars := usual(t, model)
	p := openBadPlatform(t, vars)
	h := openWith(t, model, append(usual(t, model), "DAYTONA_API_URL="+p.url, "DAYTONA_API_KEY="+daytonaKey), quick)
	asked := func(name string) (n int) {
		for _, r := range model.Requests() {
			if strings.Contains(r.Prompt(), name) {
				n++
			}
		}
		return n
	}
	for name, do := range platformHarms {
		t.Run(name, func(t *testing.T) {
			p.arm(do)
			defer p.arm(nil)
			var ids []string
			for i := range 2 { // one in a new sandbox, one in whatever there is
				user := [2]string{"user-" + fmt.Sprint(len(name)), "user123"}[i]
				ids = append(ids, h.submit(t, client.Submit{UserID: user, Input: fmt.Sprintf("[%s] %d: What is 2+2?", name, i)}))
			}
			for i, id := range ids {
				j := h.ended(t, id)
				if n := asked(fmt.Sprintf("[%s] %d", name, i)); j.State != client.Succeeded || j.Tries != 0 || n != 1 {
					t.Errorf("job %d = %s %+v, tries %d, asked %d times", i, j.State, j.Error, j.Tries, n)
				}
			}
			if n := p.arm(nil); n == 0 {
				t.Error("no harm was done")
			} else {
				t.Logf("%d harms", n)
			}
		})
	}
}
