package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"sandpiper/client"
)

// First is the first job of a fresh start: it goes through the HTTP API like any other, so that what a newcomer
// sees is what a program would get.
type First struct {
	API     string     // base URL
	Key     client.Key // "" sends none
	Prompt  string
	User    string    // "" means the key's
	Offline bool      // whether the offline model answers
	Out     io.Writer // where everything is shown
}

// Run submits the prompt, shows the job's events as they come and prints its answer, cost and times. It returns
// the job's exit code.
func (f First) Run(ctx context.Context) (exit int, err error) {
	api := client.New(f.API, client.Options{Key: f.Key, UserID: f.User})
	began := time.Now()
	user := ""
	if f.User != "" {
		user = fmt.Sprintf(`"userId": %q, `, f.User)
	}
	fmt.Fprintf(f.Out, "\nA first job, through the API:\n  POST %s/api/knowledge/process  {%s\"input\": %q}\n", f.API, user, f.Prompt)
	id, err := api.Submit(ctx, client.Submit{UserID: f.User, Input: f.Prompt})
	if err != nil {
		return 1, fmt.Errorf("submit the first job: %w", err)
	}
	accepted := time.Since(began)
	fmt.Fprintf(f.Out, "  202 accepted as %s (%d ms)\n\n", id, accepted.Milliseconds())
	for e, err := range api.Follow(ctx, id, 0) {
		if err != nil {
			return 1, fmt.Errorf("follow %s: %w", id, err)
		}
		show(f.Out, e, began)
		exit = e.ExitCode
	}
	j, err := api.Job(ctx, id, 0)
	if err != nil {
		return 1, fmt.Errorf("read %s: %w", id, err)
	}
	f.print(j, time.Since(began))
	return exit, nil
}

func (f First) print(j client.Job, took time.Duration) {
	if j.Result != nil {
		fmt.Fprintf(f.Out, "\nAnswer:\n%s\n\n", indent(j.Result.Text))
	}
	if j.Error != nil {
		fmt.Fprintf(f.Out, "\nIt ended as %s: %s: %s\n\n", j.State, j.Error.Code, j.Error.Message)
	}
	fmt.Fprintf(f.Out, "  %s in %.2f s\n", j.State, took.Seconds())
	summary(f.Out, j, f.Offline)
}

// Next says what to try once the house is up.
func Next(w io.Writer, api, data string, keyed, offline bool) {
	socket := strings.Replace(api, "http", "ws", 1)
	if keyed {
		fmt.Fprintf(w, `
Sandpiper is up at %s. It asks for a key: sandpiper key new makes one (docs/keys.md). Try:
  curl -s %s/api/jobs -H "Authorization: Bearer $SANDPIPER_API_KEY"
  SANDPIPER_API=%s sandpiper run "What is 2 + 2?"
  a WebSocket on %s/ws, with the same header, shows every event of that user's jobs
  data is in %s; sandpiper stop ends everything that works in it
`, api, api, api, socket, data)
		after(w, offline)
		return
	}
	fmt.Fprintf(w, `
Sandpiper is up at %s. Try:
  curl -s %s/api/knowledge/process -H 'Content-Type: application/json' \
       -d '{"userId":"me","input":"What is 2 + 2?"}'
  curl -s '%s/api/jobs?limit=5'
  a WebSocket on %s/ws?userId=me shows every event of that user's jobs
  data is in %s; sandpiper stop ends everything that works in it
`, api, api, api, socket, data)
	after(w, offline)
}

func after(w io.Writer, offline bool) {
	if offline {
		fmt.Fprintln(w, "  the offline model answers; export ANTHROPIC_API_KEY and start again for the real one")
	}
	fmt.Fprintln(w, "  Ctrl-C to stop")
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}
