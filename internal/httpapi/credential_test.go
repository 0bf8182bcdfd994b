package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"sandpiper/internal/auth"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
	"sandpiper/internal/relay"
	"sandpiper/internal/store"
)

// jwtSecret signs the tokens of a keyed house.
const jwtSecret = "a secret of the tests, 32 bytes and more"

// keyed is a house that needs keys.
type keyed struct {
	*house
	key map[string]string // :: who → their key
}

// newKeyed opens a house with the keys of two users, an operator and two services of a tenant, and of somebody in
// another tenant who is called ann too.
func newKeyed(t *testing.T, change ...func(*httpapi.Deps, *httpapi.Options)) keyed {
	t.Helper()
	key := map[string]string{}
	var keys []auth.Key
	for _, k := range []auth.Key{
		{Name: "ann", Tenant: "acme", UserID: "ann", Scopes: auth.Jobs},
		{Name: "ann-2", Tenant: "acme", UserID: "ann", Scopes: auth.Jobs},
		{Name: "bob", Tenant: "acme", UserID: "bob", Scopes: auth.Jobs},
		{Name: "boss", Tenant: "acme", UserID: "boss", Scopes: auth.Jobs | auth.Ops},
		{Name: "service", Tenant: "acme", Scopes: auth.Jobs},
		{Name: "scraper", Tenant: "acme", Scopes: auth.Ops},
		{Name: "stranger", Tenant: "other", UserID: "ann", Scopes: auth.Jobs},
		{Name: "strangers-boss", Tenant: "other", UserID: "boss", Scopes: auth.Admin},
	} {
		secret, made, err := auth.NewKey(k.Name, k.Tenant, k.UserID, k.Scopes)
		if err != nil {
			t.Fatal(err)
		}
		keys, key[k.Name] = append(keys, made), secret
	}
	return keyed{newHouse(t, append([]func(*httpapi.Deps, *httpapi.Options){func(d *httpapi.Deps, o *httpapi.Options) {
		d.Keys = auth.NewKeyring(keys, auth.TokenOptions{Secret: []byte(jwtSecret)})
		d.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "up 1\n") })
		d.Queues = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "queues at "+r.URL.Path) })
		o.CreateWait = time.Millisecond
	}}, change...)...), key}
}

// token is a token of acme's.
func (k keyed) token(user, scope string, exp time.Time) string {
	k.t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": user, "tenant": "acme", "scope": scope, "exp": exp.Unix(),
	}).SignedString([]byte(jwtSecret))
	if err != nil {
		k.t.Fatal(err)
	}
	return token
}

// as are the headers of who asks with a key or token.
func as(credential string) []string { return []string{"Authorization", "Bearer " + credential} }

// submitAs submits a prompt with a key and returns the job's id.
func (k keyed) submitAs(who string) string {
	k.t.Helper()
	a := k.post("/api/knowledge/process", `{"input":"a word of `+who+`'s"}`, as(k.key[who])...)
	if a.status != http.StatusAccepted {
		k.t.Fatalf("%s submits: %d %s", who, a.status, a.body)
	}
	return into[struct{ JobID string }](k.t, a).JobID
}

func TestListsAndSocketsShowNobodyElses(t *testing.T) {
	k := newKeyed(t)
	whose := map[string]string{} // :: job → who submitted it
	for _, who := range []string{"ann", "bob", "stranger"} {
		whose[k.submitAs(who)] = who
	}
	for who, want := range map[string]string{
		"ann": "ann", "bob": "bob", "stranger": "stranger", "boss": "bob ann", "strangers-boss": "stranger",
	} {
		var seen []string
		for _, j := range into[struct{ Items []struct{ JobID string } }](t, k.get("/api/jobs", as(k.key[who])...)).Items {
			seen = append(seen, whose[j.JobID])
		}
		if got := strings.Join(seen, " "); got != want {
			t.Errorf("%s sees jobs of %q, want %q", who, got, want)
		}
	}
	sockets := map[string]*websocket.Conn{}
	for _, who := range []string{"ann", "stranger", "boss"} {
		sockets[who] = k.dialAs("", k.key[who])
	}
	ids := map[string]string{}
	for _, who := range []string{"bob", "stranger", "ann"} {
		ids[who] = k.submitAs(who)
	}
	for who, first := range map[string]string{"ann": "ann", "stranger": "stranger", "boss": "bob"} {
		if m := next(t, sockets[who]); m.JobID != ids[first] {
			t.Errorf("%s first hears of %s, want the job of %s", who, m.JobID, first)
		}
	}
}

// dialAs opens a WebSocket with a key or token.
func (k keyed) dialAs(query, credential string) *websocket.Conn {
	k.t.Helper()
	conn, res, err := websocket.Dial(k.t.Context(), "ws"+strings.TrimPrefix(k.url, "http")+"/ws"+query,
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + credential}}})
	if err != nil {
		k.t.Fatalf("dial: %v (%v)", err, res)
	}
	k.t.Cleanup(func() { conn.CloseNow() })
	return conn
}

func TestACredentialInAnAddressIsNotLookedAtAndNotLogged(t *testing.T) {
	var log *logs
	k := newKeyed(t, debugLog(&log))
	for _, name := range []string{"access_token", "token", "key", "api_key", "X-API-Key", "Authorization"} {
		query := "?" + name + "=" + k.key["ann"]
		wantProblem(t, k.get("/api/jobs"+query), http.StatusUnauthorized, job.CredentialMissing)
		wantProblem(t, k.handshake("/ws"+query), http.StatusUnauthorized, job.CredentialMissing)
	}
	token := k.token("ann", "jobs", time.Now().Add(time.Hour))
	for _, credential := range []string{k.key["ann"], k.key["service"], token, "spk_refused", token + "x"} {
		k.get("/api/jobs", as(credential)...)
	}
	shown := line(t, log, k.get("/api/jobs", as(k.key["ann-2"])...).header.Get("X-Request-Id"))
	if !strings.Contains(shown, "key=ann-2 tenant=acme userId=ann") {
		t.Errorf("the log does not say who asked: %s", shown)
	}
	for _, never := range []string{k.key["ann"], k.key["ann-2"], k.key["service"], token, strings.Split(token, ".")[2], "spk_refused"} {
		if strings.Contains(log.String(), never) {
			t.Errorf("%q is in the log", never)
		}
	}
	if !strings.Contains(log.String(), "credential refused: no such key") && !strings.Contains(log.String(), "neither a known key nor a token") {
		t.Error("the log does not say why a key was refused")
	}
}

func TestWhoNamesAnotherIsToldWhomToName(t *testing.T) {
	k := newKeyed(t)
	for at, a := range map[string]answer{
		"?userId": k.get("/api/jobs?userId=bob", as(k.key["ann"])...),
		"/userId": k.post("/api/knowledge/process", `{"userId":"bob","input":"hi"}`, as(k.key["ann"])...),
	} {
		p := wantProblem(t, a, http.StatusForbidden, job.Forbidden)
		if len(p.Errors) != 1 || p.Errors[0].Pointer != at || !strings.Contains(p.Errors[0].Detail, "must be ann") {
			t.Errorf("errors = %+v, want one at %s that names ann", p.Errors, at)
		}
	}
	p := wantProblem(t, k.get("/api/jobs", as(k.key["service"])...), http.StatusForbidden, job.Forbidden)
	if len(p.Errors) != 1 || p.Errors[0].Pointer != "?userId" {
		t.Errorf("a service that names nobody: %+v", p.Errors)
	}
	p = wantProblem(t, k.post("/api/sandbox/create", `{}`, as(k.key["service"])...), http.StatusUnprocessableEntity, job.InvalidRequest)
	if len(p.Errors) != 1 || p.Errors[0].Pointer != "/userId" {
		t.Errorf("a service that names nobody: %+v", p.Errors)
	}
}

func TestScrapersAndOperatorsReadMetrics(t *testing.T) {
	k := newKeyed(t)
	for _, who := range []string{"scraper", "boss", "strangers-boss"} {
		if a := k.get("/metrics", as(k.key[who])...); a.status != http.StatusOK || string(a.body) != "up 1\n" {
			t.Errorf("%s: %d %s", who, a.status, a.body)
		}
	}
}

func TestWhatStaysOpenEndsWithItsToken(t *testing.T) {
	k := newKeyed(t)
	forever := k.dialAs("", k.key["ann"])
	id := k.submitAs("ann")
	life := 2 * time.Second // exp has whole seconds
	for !k.outlived(id, k.token("ann", "jobs", time.Now().Add(life))) {
		life *= 2 // this machine is too slow to open three things in that time
	}
	if next(t, forever).JobID != id {
		t.Error("a socket with a key has ended too")
	}
}

// outlived opens a socket, a stream and a long poll with a token and watches their ends. It is false when the token's
// time was over before all were open.
func (k keyed) outlived(id, token string) bool {
	t := k.t
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(k.url, "http")+"/ws",
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
	if err != nil {
		return false
	}
	defer conn.CloseNow()
	stream, polled := make(chan answer, 1), make(chan answer, 1)
	go func() {
		stream <- k.get("/api/jobs/"+id+"/events", append(as(token), "Accept", "text/event-stream")...)
	}()
	go func() { polled <- k.get("/api/jobs/"+id+"?wait=60s", as(token)...) }()
	if end, _ := closing(t, conn, time.Millisecond); end.Code != httpapi.CloseExpired.Code || end.Reason != httpapi.CloseExpired.Reason {
		t.Errorf("closed with %v, want %v", end, httpapi.CloseExpired)
	}
	s, p := <-stream, <-polled
	if s.status == http.StatusUnauthorized || p.status == http.StatusUnauthorized {
		return false
	}
	if !strings.Contains(string(s.body), "\n: "+httpapi.CloseExpired.Error()) {
		t.Errorf("the stream ended with %q, want %v", s.body, httpapi.CloseExpired)
	}
	if p.status != http.StatusOK {
		t.Errorf("the long poll ended with %d %s", p.status, p.body)
	}
	wantProblem(t, k.handshake("/ws", as(token)...), http.StatusUnauthorized, job.CredentialExpired)
	return true
}

func TestStreamsAreCountedByWhoIsAuthenticated(t *testing.T) {
	k := newKeyed(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.MaxStreamsPerCaller = 2 })
	full := func(who string, a answer) {
		t.Helper()
		t.Log(who)
		wantProblem(t, a, http.StatusTooManyRequests, job.TooManyStreams)
	}
	k.dialAs("", k.key["ann"])
	k.dialAs("", k.token("ann", "jobs", time.Now().Add(time.Hour))) // another credential, the same user
	full("ann, by a second key", k.handshake("/ws", as(k.key["ann-2"])...))
	k.dialAs("", k.key["stranger"]) // ann of another tenant has room of her own

	k.dialAs("?userId=ann", k.key["boss"]) // an operator who watches ann takes nothing from her
	k.dialAs("?userId=bob", k.key["boss"])
	full("an operator who names others", k.handshake("/ws?userId=eve", as(k.key["boss"])...))

	k.dialAs("?userId=bob", k.key["bob"])
	k.dialAs("?userId=bob", k.key["service"])
	full("bob, for whom a service vouches", k.handshake("/ws?userId=bob", as(k.key["service"])...))
	k.dialAs("?userId=eve", k.key["service"])
}

func TestWithKeysAnAddressIsAHostAndANameIsNot(t *testing.T) {
	k := newKeyed(t, func(_ *httpapi.Deps, o *httpapi.Options) { o.Hosts = []string{"sandpiper.example"} })
	for host, allowed := range map[string]bool{
		"10.1.2.3:8787": true, "[fd00::1]:8787": true, "127.0.0.1": true, "sandpiper.example:80": true,
		"evil.example": false, "10.1.2.3.evil.example": false, "0x7f000001": false, "127.1": false, "": false,
	} {
		for _, path := range []string{"/healthz", "/api/jobs"} {
			if host == "" {
				continue // the client would fill it in
			}
			a := k.get(path, append(as(k.key["ann"]), "Host", host)...)
			if allowed != (a.status == http.StatusOK) {
				t.Errorf("%s on %q: %d %s", path, host, a.status, a.body)
			}
			if !allowed {
				wantProblem(t, a, http.StatusForbidden, job.HostNotAllowed)
			}
		}
	}
	wantProblem(t, k.get("/api/jobs", append(as(k.key["ann"]), "Origin", "https://evil.example")...), http.StatusForbidden, job.OriginNotAllowed)
	wantProblem(t, k.get("/api/jobs", append(as(k.key["ann"]), "Host", "10.1.2.3", "Origin", "https://evil.example")...),
		http.StatusForbidden, job.OriginNotAllowed)
}

func TestAPageOfOursMaySendAKeyAndReadARefusal(t *testing.T) {
	k := newKeyed(t)
	const origin = "http://localhost:3000"
	a := k.do(http.MethodOptions, "/api/jobs", "", "Origin", origin, "Access-Control-Request-Method", "GET")
	if allowed := a.header.Get("Access-Control-Allow-Headers"); a.status != http.StatusNoContent ||
		!strings.Contains(allowed, "Authorization") || !strings.Contains(allowed, "X-API-Key") {
		t.Errorf("preflight: %d, allowed headers %q", a.status, allowed)
	}
	a = k.get("/api/jobs", "Origin", origin)
	wantProblem(t, a, http.StatusUnauthorized, job.CredentialMissing)
	if a.header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
		t.Errorf("the page cannot read it: %v", a.header)
	}
}

func TestTheSameUsersHaveKeysAndJobs(t *testing.T) {
	for _, id := range []string{
		"a", "ann@acme.example", "a:b/c,d%*", "山田", "é", strings.Repeat("x", 128), strings.Repeat("é", 128),
		strings.Repeat("x", 129), "a b", "a\tb", "a\u00a0b", "a\u2003b", "\xff", "a\x00", "a\u200bb", "a\ufeff", "\U000e0001", "a\n",
	} {
		_, _, err := auth.NewKey("k", id, id, auth.Jobs)
		if valid := job.ValidateUserID(id); (err == nil) != (valid == nil) {
			t.Errorf("%q: a key says %v, a job %v", id, err, valid)
		}
	}
}

func TestAnIdempotencyKeyIsItsUsersAlone(t *testing.T) {
	k := newKeyed(t)
	submit := func(headers []string, user string) string {
		t.Helper()
		a := k.post("/api/knowledge/process", `{"userId":"`+user+`","input":"hi"}`, append(headers, "Idempotency-Key", "one")...)
		if a.status != http.StatusAccepted {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return into[struct{ JobID string }](t, a).JobID
	}
	anns := submit(as(k.key["ann"]), "ann")
	for who, headers := range map[string][]string{
		"her second key": as(k.key["ann-2"]), "her token": as(k.token("ann", "jobs", time.Now().Add(time.Hour))),
		"a service": as(k.key["service"]), "an operator": as(k.key["boss"]),
	} {
		if id := submit(headers, "ann"); id != anns {
			t.Errorf("by %s the same request is another job", who)
		}
	}
	if submit(as(k.key["bob"]), "bob") == anns || submit(as(k.key["stranger"]), "ann") == anns {
		t.Error("somebody else is given ann's job")
	}
}

func TestATokenThatEndsWhileSomethingOpensIsExpired(t *testing.T) {
	past := func() time.Time { return time.Now().Add(-time.Hour) } // by this clock the token below is good
	k := newKeyed(t, func(d *httpapi.Deps, _ *httpapi.Options) {
		d.Keys = auth.NewKeyring(nil, auth.TokenOptions{Secret: []byte(jwtSecret), Now: past})
		d.Relay = relay.New(late{}, nil, relay.Options{})
	})
	token := k.token("ann", "jobs", time.Now().Add(-time.Minute))
	wantProblem(t, k.handshake("/ws", as(token)...), http.StatusUnauthorized, job.CredentialExpired)
	wantProblem(t, k.get("/api/jobs/job_1/events?after=1", append(as(token), "Accept", "text/event-stream")...),
		http.StatusUnauthorized, job.CredentialExpired)
	if strings.Contains(k.logs.String(), "request failed") {
		t.Errorf("it counts as our fault:\n%s", k.logs)
	}
}

// late is a store that answers when it is too late.
type late struct{ *store.Store }

func (late) Head(ctx context.Context) (int64, error) { <-ctx.Done(); return 0, ctx.Err() }

func (late) Progress(ctx context.Context, _ auth.Caller, _ string) (store.Progress, error) {
	<-ctx.Done()
	return store.Progress{}, ctx.Err()
}
