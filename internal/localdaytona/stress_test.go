package localdaytona_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// post is for goroutines: it never fails the test by itself.
func (b box) post(path string, body object) (map[string]any, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	q, err := http.NewRequest("POST", b.url+b.toolbox(path), bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Authorization", "Bearer "+b.key)
	q.Header.Set("X-Daytona-SDK-Version", b.version)
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	answer, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var v map[string]any
	return v, json.Unmarshal(answer, &v)
}

func TestManyCommandsAtOnce(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		var all sync.WaitGroup
		for n := range 8 {
			id := fmt.Sprint("s", n)
			b.session(t, id)
			all.Go(func() {
				for i := range 12 {
					want := fmt.Sprintf("%d %d\n", n, i)
					v, err := b.post("/process/session/"+id+"/exec", object{"command": "echo " + want + "exit_with() { return " + fmt.Sprint(i) + "; }; exit_with"})
					if err != nil || v["stdout"] != want || v["exitCode"] != float64(i) {
						t.Errorf("session %d, command %d: %v, %v", n, i, v, err)
					}
				}
			})
			all.Go(func() {
				for i := range 8 {
					v, err := b.post("/process/execute", object{"command": fmt.Sprintf("echo %d; exit %d", n, i)})
					if err != nil || v["result"] != fmt.Sprintln(n) || v["exitCode"] != float64(i) {
						t.Errorf("one-shot %d, %d: %v, %v", n, i, v, err)
					}
				}
			})
		}
		all.Wait()
	})
}

func TestManySandboxesAtOnce(t *testing.T) {
	h := open(t, nil)
	var all sync.WaitGroup
	boxes := make([]box, 12)
	for i := range boxes {
		all.Go(func() {
			status, err := h.try("POST", "/api/sandbox", object{"name": fmt.Sprint("box", i)})
			if err != nil || status != 200 {
				t.Errorf("create %d: %d, %v", i, status, err)
			}
		})
	}
	all.Wait()
	for i := range boxes {
		id := h.must(t, 200, "GET", fmt.Sprint("/api/sandbox/box", i), nil).json(t)["id"].(string)
		made.Lock()
		made.ids = append(made.ids, id)
		made.Unlock()
		if got := (box{h.client, id}).run(t, "echo $DAYTONA_SANDBOX_ID"); got != id+"\n" {
			t.Errorf("box %d says it is %q", i, got)
		}
	}
}

func TestOneNameIsGivenOnce(t *testing.T) {
	h := open(t, nil)
	var all sync.WaitGroup
	statuses := make([]int, 8)
	for i := range statuses {
		all.Go(func() { statuses[i], _ = h.try("POST", "/api/sandbox", object{"name": "one"}) })
	}
	all.Wait()
	made.Lock()
	made.ids = append(made.ids, h.must(t, 200, "GET", "/api/sandbox/one", nil).json(t)["id"].(string))
	made.Unlock()
	counts := map[int]int{}
	for _, s := range statuses {
		counts[s]++
	}
	if counts[200] != 1 || counts[409] != 7 {
		t.Errorf("statuses %v, want one 200 and seven 409", statuses)
	}
}

func TestMuchOutput(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		b := h.create(t, nil)
		b.session(t, "s")
		v := b.exec(t, "s", "seq 1 60000; seq 1 60000 >&2")
		var want strings.Builder
		for i := 1; i <= 60000; i++ {
			fmt.Fprintln(&want, i)
		}
		if v["stdout"] != want.String() || v["stderr"] != want.String() {
			t.Errorf("two streams of %d bytes came back as %d and %d, or changed", want.Len(), len(v["stdout"].(string)), len(v["stderr"].(string)))
		}
		if got := b.run(t, "head -c 3000000 /dev/zero | tr '\\0' x"); len(got) != 3000000 {
			t.Errorf("3 MB of a one-shot came back as %d bytes", len(got))
		}
	})
}
