package snapshots

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"sandpiper/internal/daytona"
)

// old is a snapshot of ours that was built n hours before the others began.
func old(n int, state string) daytona.Snapshot {
	at := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC).Add(-time.Duration(n) * time.Hour)
	return daytona.Snapshot{ID: "id-" + strconv.Itoa(n), Name: Name("a", at), State: state, CreatedAt: at}
}

func TestWhatIsPruned(t *testing.T) {
	general := old(90, "active")
	general.General = true
	foreign := old(91, "active")
	foreign.Name = Name("b", foreign.CreatedAt)
	byHand := old(92, "active")
	byHand.Name = "a-snapshot-by-hand"
	all := []daytona.Snapshot{
		general, foreign, byHand,
		old(9, "active"), old(1, "building"), old(2, "active"), old(3, "error"), old(4, "inactive"), old(5, "active"), old(6, "active"),
		old(7, "build_failed"), old(8, "active"), old(10, "pending"), old(11, "removing"), old(12, "inactive"),
	}
	for name, tc := range map[string]struct {
		keep int
		uses Uses
		gone []int // by age
	}{
		"nothing is used":           {2, Uses{}, []int{3, 5, 6, 7, 8, 9, 12}},
		"none is kept":              {0, Uses{}, []int{2, 3, 4, 5, 6, 7, 8, 9, 12}},
		"all are":                   {100, Uses{}, []int{3, 7}},
		"the current one":           {1, Uses{Current: old(8, "").Name}, []int{3, 4, 5, 6, 7, 9, 12}},
		"current, by its id":        {1, Uses{Current: "id-8"}, []int{3, 4, 5, 6, 7, 9, 12}},
		"one that is configured":    {1, Uses{Named: old(8, "").Name}, []int{3, 4, 5, 6, 7, 9, 12}},
		"rows":                      {1, Uses{Rows: map[string]int{old(5, "").Name: 1, "": 3}}, []int{3, 4, 6, 7, 8, 9, 12}},
		"sandboxes of the platform": {1, Uses{Made: map[string]int{old(12, "").Name: 1, "id-9": 2}}, []int{3, 4, 5, 6, 7, 8}},
		"a failed one with a row":   {1, Uses{Rows: map[string]int{old(7, "").Name: 1}}, []int{3, 4, 5, 6, 8, 9, 12}},
	} {
		t.Run(name, func(t *testing.T) {
			var gone []string
			judged := Judge(all, "a", tc.keep, tc.uses)
			for _, v := range judged {
				if v.Why == "" {
					t.Errorf("%s: keep %v, and no word why", v.Name, v.Keep)
				}
				if !v.Keep {
					gone = append(gone, v.ID)
				}
			}
			var want []string
			for _, n := range tc.gone {
				want = append(want, "id-"+strconv.Itoa(n))
			}
			if !slices.Equal(gone, want) {
				t.Errorf("gone are %v, want %v", gone, want)
			}
			if len(judged) != 11 {
				t.Errorf("%d were judged, want 11: neither others', nor the platform's, nor one that is being removed", len(judged))
			}
		})
	}
}

func TestTheListIsNewestFirst(t *testing.T) {
	general := old(0, "active")
	general.General = true
	current := old(3, "active")
	current.Build.Dockerfile = Own().text()
	list := List([]daytona.Snapshot{old(4, "error"), general, current, old(2, "active")}, "a",
		Uses{Current: current.Name, Rows: map[string]int{current.Name: 2}, Made: map[string]int{"id-3": 1, old(2, "").Name: 1}})
	var ids []string
	for _, l := range list {
		ids = append(ids, l.ID)
	}
	if !slices.Equal(ids, []string{"id-2", "id-3", "id-4", "id-0"}) {
		t.Fatalf("in the order %v", ids)
	}
	if l := list[1]; !l.Current || !l.UpToDate || !l.Ours || l.Sandboxes != 2 || l.DockerHash != Own().Hash() {
		t.Errorf("the current one is %+v", l)
	}
	if l := list[3]; l.Ours || !l.General || l.Current || l.UpToDate {
		t.Errorf("the platform's is %+v", l)
	}
}
