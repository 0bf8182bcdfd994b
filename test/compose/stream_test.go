//go:build compose

package compose

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"

	"sandpiper/client"
)

// stream reads a job's server-sent events from the beginning to done, and calls begun at the first one.
func (c *composition) stream(id string, begun func()) (told []client.Event) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.url+"/api/jobs/"+id+"/events", nil)
	c.must(err)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Authorization", "Bearer "+c.env["SANDPIPER_API_KEY"])
	resp, err := http.DefaultClient.Do(req)
	c.must(err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("the stream answers %s", resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue
		}
		var e client.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			c.t.Fatalf("an event: %v: %s", err, data)
		}
		if e.Seq == 0 {
			continue
		}
		if told = append(told, e); len(told) == 1 {
			begun()
		}
		if e.Type == client.EventDone {
			return told
		}
	}
	c.t.Fatalf("the stream ended after %d events: %v", len(told), lines.Err())
	return nil
}
