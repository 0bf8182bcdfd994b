package client_test

import (
	"errors"
	"testing"
	"time"

	"sandpiper/client"
)

func TestASandboxIsReadInEveryAnswer(t *testing.T) {
	want := client.Sandbox{SandboxID: "sbx_1", UserID: "u", Status: "ready", CreatedAt: time.UnixMilli(1763911021250)}
	const shown = `{"sandboxId":"sbx_1","userId":"u","status":"ready","jobId":null,"createdAt":"2025-11-23T15:17:01.250Z"}`
	for name, tc := range map[string]struct {
		body string
		call func(*client.Client) (client.Sandbox, error)
	}{
		"made": {`{"sandboxId":"sbx_1","userId":"u","status":"ready","createdAt":1763911021250}`, func(c *client.Client) (client.Sandbox, error) {
			return c.CreateSandbox(t.Context(), "u")
		}},
		"listed": {`{"items":[` + shown + `],"next":null}`, func(c *client.Client) (client.Sandbox, error) {
			all, err := c.Sandboxes(t.Context(), 0)
			if err != nil || len(all) != 1 {
				t.Fatalf("%v, %v", all, err)
			}
			return all[0], nil
		}},
		"deleted": {shown, func(c *client.Client) (client.Sandbox, error) { return c.DeleteSandbox(t.Context(), "sbx_1") }},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.call(record(t, say(200, tc.body)).client(client.Options{}))
			if err != nil || !got.CreatedAt.Equal(want.CreatedAt) || got.SandboxID != want.SandboxID || got.UserID != want.UserID || got.Status != want.Status {
				t.Errorf("%+v, %v, want %+v", got, err, want)
			}
		})
	}
}

func TestADeletionIsRepeatedWhileTheAPIIsAwayAndNotWhileAJobRuns(t *testing.T) {
	r := record(t, say(503, ""), say(409, `{"code":"SANDBOX_BUSY","title":"No."}`))
	_, err := r.client(client.Options{Pause: time.Millisecond}).DeleteSandbox(t.Context(), "sbx_1")
	var p *client.Problem
	if !errors.As(err, &p) || p.Code != "SANDBOX_BUSY" || len(r.all()) != 2 {
		t.Errorf("%v after %d requests", err, len(r.all()))
	}
}
