package client_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sandpiper/client"
)

func TestAKeyIsNeverShown(t *testing.T) {
	o := client.Options{Key: "spk_hush", UserID: "ann"}
	c := client.New("https://sandpiper.example", o)
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("shown", "key", o.Key, "options", o, "client", c, "both", []any{o, c})
	}
	asJSON, err := json.Marshal([]any{o.Key, struct{ Key client.Key }{o.Key}, c})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		log.String(), string(asJSON), fmt.Sprint(o, c, o.Key), fmt.Sprintf("%v %+v %#v %s %q", o, o, o, o.Key, o.Key),
		fmt.Sprintf("%v %+v %#v %s", c, c, c, c),
	} {
		if strings.Contains(shown, "hush") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func TestTheKeyGoesWithEveryCallAndIntoNoError(t *testing.T) {
	r := record(t, say(401, `{"code":"CREDENTIAL_REFUSED","title":"Unauthorized"}`))
	c := r.client(client.Options{Key: "spk_hush"})
	_, submitted := c.Submit(t.Context(), client.Submit{Input: "hi"})
	_, made := c.CreateSandbox(t.Context(), "")
	var followed error
	for _, err := range c.Follow(t.Context(), "job_1", 0) {
		followed = err
	}
	if len(r.all()) != 3 {
		t.Errorf("asked %d times, want 3: a refused key is not tried again", len(r.all()))
	}
	for i, a := range r.all() {
		if a.auth != "Bearer spk_hush" || strings.Contains(a.line, "hush") || strings.Contains(a.line+a.body, "userId") {
			t.Errorf("call %d: %+v, want the key in its header, and no user", i, a)
		}
	}
	for _, err := range []error{submitted, made, followed} {
		if err == nil || !strings.Contains(err.Error(), "CREDENTIAL_REFUSED") || strings.Contains(err.Error(), "hush") {
			t.Errorf("error %v, want the refusal without the key", err)
		}
	}
}
