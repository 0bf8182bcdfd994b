package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sandpiper/internal/auth"
	"sandpiper/internal/httpapi"
	"sandpiper/internal/job"
)

// trial is one way of asking a route for what is ann's.
type trial struct {
	name   string
	path   func() string // what is ann's stands in it
	body   string        // "" for none
	accept string
	own    int // what ann is answered
	others int // what others are, also those of other tenants
}

// ask sends a trial as somebody who names a user, "" for nobody.
func (k keyed) ask(method string, tr trial, named string, headers ...string) answer {
	k.t.Helper()
	path, body := tr.path(), strings.ReplaceAll(tr.body, `"?"`, `"`+named+`"`)
	switch {
	case named == "":
		body = strings.ReplaceAll(strings.ReplaceAll(tr.body, `,"userId":"?"`, ""), `"userId":"?"`, "")
	case body == "" && strings.Contains(path, "?"):
		path += "&userId=" + named
	case body == "":
		path += "?userId=" + named
	}
	if strings.HasPrefix(path, "/ws") {
		return k.handshake(path, headers...)
	}
	return k.do(method, path, body, append(headers, "Accept", tr.accept)...)
}

// handshake asks for a WebSocket, as a client that is no browser does.
func (k keyed) handshake(path string, headers ...string) answer {
	k.t.Helper()
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	conn, res, err := websocket.Dial(k.t.Context(), "ws"+strings.TrimPrefix(k.url, "http")+path, &websocket.DialOptions{HTTPHeader: h})
	switch {
	case err == nil:
		conn.CloseNow()
		return answer{status: res.StatusCode, header: res.Header}
	case res == nil:
		k.t.Fatal(err)
	}
	head := make([]byte, 1024) // the client keeps no more of a refusal
	n, _ := res.Body.Read(head)
	return answer{res.StatusCode, res.Header, head[:n]}
}

// trials are the ways of asking each route. mine are words that nobody but ann may read.
func (k keyed) trials() (by map[string][]trial, mine []string) {
	ended := k.submitAs("ann")
	k.finish(ended)
	box := into[struct{ SandboxID string }](k.t, k.post("/api/sandbox/create", `{}`, as(k.key["ann"])...)).SandboxID
	const lines = `{"lines":[{"custom_id":"1","input":"a word of ann's"}],"userId":"?"}`
	batch := into[struct{ BatchID string }](k.t, k.post("/api/batches", strings.ReplaceAll(lines, "?", "ann"), as(k.key["ann"])...)).BatchID
	at := func(path string) func() string {
		return func() string { return strings.NewReplacer("ENDED", ended, "BATCH", batch).Replace(path) }
	}
	spare := func() string {
		return "/api/sandboxes/" + into[struct{ SandboxID string }](k.t, k.post("/api/sandbox/create", `{}`, as(k.key["ann"])...)).SandboxID
	}
	open := func() string { return "/api/jobs/" + k.submitAs("ann") + "/cancel" }
	return map[string][]trial{
		"POST /api/knowledge/process": {
			{"a prompt", at("/api/knowledge/process"), `{"input":"hi","userId":"?"}`, "", 202, 202},
			{"in her sandbox", at("/api/knowledge/process"), `{"input":"hi","sandboxId":"` + box + `","userId":"?"}`, "", 202, 404},
		},
		"GET /api/jobs": {{"a list", at("/api/jobs"), "", "", 200, 200}},
		"GET /api/jobs/:id": {
			{"a job", at("/api/jobs/ENDED"), "", "", 200, 404},
			{"a long poll", at("/api/jobs/ENDED?wait=30s"), "", "", 200, 404},
		},
		"GET /api/jobs/:id/events": {
			{"a page", at("/api/jobs/ENDED/events"), "", "", 200, 404},
			{"a stream", at("/api/jobs/ENDED/events"), "", "text/event-stream", 200, 404},
			{"a resumed stream", at("/api/jobs/ENDED/events?after=1"), "", "text/event-stream", 200, 404},
		},
		"POST /api/jobs/:id/cancel": {
			{"without a body", open, "", "", 200, 404},
			{"with a body", open, `{"userId":"?"}`, "", 200, 404},
		},
		"POST /api/jobs/:id/retry": {
			{"without a body", at("/api/jobs/ENDED/retry"), "", "", 202, 404},
			{"with a body", at("/api/jobs/ENDED/retry"), `{"userId":"?"}`, "", 202, 404},
		},
		"POST /api/batches": {
			{"JSON", at("/api/batches"), lines, "", 202, 202},
		},
		"GET /api/batches/:id":         {{"a batch", at("/api/batches/BATCH"), "", "", 200, 404}},
		"GET /api/batches/:id/results": {{"its results", at("/api/batches/BATCH/results"), "", "", 200, 404}},
		"POST /api/batches/:id/cancel": {
			{"without a body", at("/api/batches/BATCH/cancel"), "", "", 200, 404},
			{"with a body", at("/api/batches/BATCH/cancel"), `{"userId":"?"}`, "", 200, 404},
		},
		"POST /api/batches/:id/retry-failed": {
			{"without a body", at("/api/batches/BATCH/retry-failed"), "", "", 202, 404},
			{"with a body", at("/api/batches/BATCH/retry-failed"), `{"userId":"?"}`, "", 202, 404},
		},
		"POST /api/sandbox/create":  {{"a sandbox", at("/api/sandbox/create"), `{"userId":"?"}`, "", 202, 202}},
		"GET /api/sandboxes":        {{"a list", at("/api/sandboxes"), "", "", 200, 200}},
		"DELETE /api/sandboxes/:id": {{"a deletion", spare, "", "", 202, 404}},
		"GET /api/lanes":            {{"a list", at("/api/lanes"), "", "", 403, 403}},
		"POST /api/lanes/:id/clear": {{"a clearance", at("/api/lanes/lane_1/clear"), "", "", 403, 403}},
		"GET /ws": {
			{"a user's events", at("/ws"), "", "", 101, 101},
			{"a job's", at("/ws?jobId=ENDED"), "", "", 101, 404},
			{"a job's, resumed", at("/ws?jobId=ENDED&after=1"), "", "", 101, 404},
		},
		"GET /healthz":      {{"", at("/healthz"), "", "", 200, 200}},
		"GET /readyz":       {{"", at("/readyz"), "", "", 200, 200}},
		"GET /":             {{"", at("/"), "", "", 200, 200}},
		"GET /ops/queues":   {{"", at("/ops/queues"), "", "", 403, 403}},
		"GET /ops/queues/*": {{"", at("/ops/queues/api/queues"), "", "", 403, 403}},
		"GET /metrics":      {{"", at("/metrics"), "", "", 403, 403}},
	}, []string{ended, box, batch, "a word of ann's"}
}

func TestEveryRouteForEveryCaller(t *testing.T) {
	k := newKeyed(t)
	trials, mine := k.trials()
	routes := httpapi.Routes(httpapi.New(httpapi.Deps{Metrics: http.NotFoundHandler(), Queues: http.NotFoundHandler()}, httpapi.Options{}))
	for _, r := range routes {
		name := r.Method + " " + r.Path
		if len(trials[name]) == 0 {
			t.Errorf("%s has no trial: who may use it?", name)
		}
		for _, tr := range trials[name] {
			t.Run(name+" "+tr.name, func(t *testing.T) {
				k := k
				house := *k.house
				k.house, house.t = &house, t
				if r.Needs == 0 {
					k.everybody(r, tr)
					return
				}
				k.nobody(r, tr)
				if r.Needs == auth.Jobs {
					k.somebody(r, tr, mine)
				}
			})
		}
		delete(trials, name)
	}
	for name := range trials {
		t.Errorf("%s is tried and is no route", name)
	}
}

// everybody tries a route that is open.
func (k keyed) everybody(r httpapi.Route, tr trial) {
	k.t.Helper()
	for who, headers := range map[string][]string{"nobody": nil, "a wrong key": as("spk_wrong"), "ann": as(k.key["ann"])} {
		if a := k.ask(r.Method, tr, "", headers...); a.status != tr.own {
			k.t.Errorf("%s: %d %s, want %d", who, a.status, a.body, tr.own)
		}
	}
}

// nobody tries a route as those who may not use it at all.
func (k keyed) nobody(r httpapi.Route, tr trial) {
	k.t.Helper()
	wrongScope := map[auth.Scopes]string{auth.Jobs: "ops", auth.Ops: "jobs"}[r.Needs]
	hour := time.Now().Add(time.Hour)
	for who, tc := range map[string]struct {
		headers   []string
		status    int
		code      job.Code
		challenge string
	}{
		"no credential":        {nil, 401, job.CredentialMissing, `Bearer realm="sandpiper"`},
		"an empty one":         {[]string{"Authorization", "Bearer ", "X-API-Key", ""}, 401, job.CredentialMissing, `Bearer realm="sandpiper"`},
		"another scheme":       {[]string{"Authorization", "Basic " + k.key["ann"]}, 401, job.CredentialMissing, `Bearer realm="sandpiper"`},
		"a wrong key":          {as("spk_wrong"), 401, job.CredentialRefused, `Bearer realm="sandpiper", error="invalid_token"`},
		"a key's hash":         {as("0000"), 401, job.CredentialRefused, `Bearer realm="sandpiper", error="invalid_token"`},
		"two credentials":      {append(as(k.key["ann"]), "X-API-Key", k.key["bob"]), 401, job.CredentialRefused, `Bearer realm="sandpiper", error="invalid_token"`},
		"a token out of time":  {as(k.token("ann", "jobs ops", time.Now().Add(-time.Minute))), 401, job.CredentialExpired, `error_description="The token has expired"`},
		"a token cut short":    {as(strings.TrimSuffix(k.token("ann", "jobs ops", hour), "A")[:60]), 401, job.CredentialRefused, `error="invalid_token"`},
		"a key of other scope": {as(map[auth.Scopes]string{auth.Jobs: k.key["scraper"], auth.Ops: k.key["ann"]}[r.Needs]), 403, job.ScopeMissing, `error="insufficient_scope", scope="` + r.Needs.String() + `"`},
		"a token likewise":     {as(k.token("ann", wrongScope, hour)), 403, job.ScopeMissing, `error="insufficient_scope"`},
		"a token without any":  {as(k.token("ann", "", hour)), 403, job.ScopeMissing, `error="insufficient_scope"`},
	} {
		a := k.ask(r.Method, tr, "", tc.headers...)
		wantProblem(k.t, a, tc.status, tc.code)
		if got := a.header.Get("WWW-Authenticate"); !strings.Contains(got, tc.challenge) {
			k.t.Errorf("%s is challenged by %q, want %q", who, got, tc.challenge)
		}
		if r.Method == http.MethodGet && r.Path != "/ws" {
			if head := k.ask(http.MethodHead, tr, "", tc.headers...); head.status != tc.status {
				k.t.Errorf("%s asks by HEAD: %d, want %d", who, head.status, tc.status)
			}
		}
	}
}

// somebody tries a route as those who may use it, for what is theirs.
func (k keyed) somebody(r httpapi.Route, tr trial, mine []string) {
	k.t.Helper()
	token := k.token("ann", "jobs", time.Now().Add(time.Hour))
	for _, tc := range []struct {
		who, named string
		headers    []string
		want       int
	}{
		{"ann", "", as(k.key["ann"]), tr.own},
		{"ann", "ann", as(k.key["ann"]), tr.own},
		{"ann, by a key in its own header", "", []string{"X-API-Key", k.key["ann"]}, tr.own},
		{"ann, by a key behind a proxy", "", []string{"X-API-Key", k.key["ann"], "Authorization", "Basic cHJveHk="}, tr.own},
		{"ann, beside an empty header", "", append(as(k.key["ann"]), "X-API-Key", ""), tr.own},
		{"ann, by the same key twice", "", append(as(k.key["ann"]), "X-API-Key", k.key["ann"]), tr.own},
		{"ann, by a token", "", as(token), tr.own},
		{"ann, by a token", "ann", []string{"Authorization", "bearer " + token}, tr.own},
		{"the operator", "ann", as(k.key["boss"]), tr.own},
		{"a service", "ann", as(k.key["service"]), tr.own},

		{"bob", "", as(k.key["bob"]), tr.others},
		{"bob", "ann", as(k.key["bob"]), 403},
		{"bob, by a token", "ann", as(k.token("bob", "jobs", time.Now().Add(time.Hour))), 403},
		{"a service", "bob", as(k.key["service"]), tr.others},
		{"ann of another tenant", "", as(k.key["stranger"]), tr.others},
		{"ann of another tenant", "ann", as(k.key["stranger"]), tr.others},
		{"another tenant's operator", "", as(k.key["strangers-boss"]), tr.others},
		{"another tenant's operator", "ann", as(k.key["strangers-boss"]), tr.others},
	} {
		a := k.ask(r.Method, tr, tc.named, tc.headers...)
		if a.status != tc.want {
			k.t.Errorf("%s names %q: %d %s, want %d", tc.who, tc.named, a.status, a.body, tc.want)
		}
		if tc.want == http.StatusForbidden {
			wantProblem(k.t, a, tc.want, job.Forbidden)
		}
		for _, word := range mine {
			if tc.want != tr.own && strings.Contains(string(a.body), word) {
				k.t.Errorf("%s names %q and reads %q", tc.who, tc.named, word)
			}
		}
	}
}
