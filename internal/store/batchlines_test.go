package store

import (
	"reflect"
	"testing"

	"sandpiper/internal/job"
)

// FuzzLinesIn: whatever a row of lines holds, it is read or refused; and what was written is read as it was.
func FuzzLinesIn(f *testing.F) {
	spec := job.Spec{Input: "What is \x00\xff?", Priority: job.Bulk}.WithDefaults()
	chunks, err := chunksOf([]job.Job{{ID: "a", CustomID: "1", Spec: spec}, {ID: "b", RetryOf: "a", Spec: spec}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(chunks[0].body)
	f.Add([]byte{})
	f.Add([]byte{lineBytes, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := linesIn(body)
		for _, n := range []int{len(r.customs), len(r.retries), len(r.models), len(r.priorities), len(r.specs), len(r.inputs)} {
			if n != r.count() || err != nil && n > 0 {
				t.Errorf("%+v, %v", r, err)
			}
		}
	})
	r, err := linesIn(chunks[0].body)
	if err != nil || r.count() != 2 || string(r.inputs[1]) != spec.Input || !reflect.DeepEqual(r.specs[0], r.specs[1]) || len(r.specs[0]) == 0 ||
		r.ids[1] != "b" || r.retries[1] != "a" || r.customs[0] != "1" || r.models[0] != "sonnet" || r.priorities[0] != 2 {
		f.Errorf("written lines are read as %+v, %v", r, err)
	}
}
