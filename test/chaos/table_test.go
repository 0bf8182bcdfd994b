package chaos

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// table shows what was broken, and of each fault how much damage there was to jobs that lived when it hit. The last row
// counts each damage once.
func table(l *ledger, found []damage, p picture) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "fault\tinjected\t%s\n", strings.Join(damages, "\t"))
	for _, fault := range l.all() {
		times := l.times(fault)
		fmt.Fprintf(w, "%s\t%d", fault, len(times))
		for _, kind := range damages {
			n := 0
			for _, d := range found {
				if d.kind == kind && p.lived(d.job, times) {
					n++
				}
			}
			fmt.Fprintf(w, "\t%d", n)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "all\t%d", l.count())
	for _, kind := range damages {
		n := 0
		for _, d := range found {
			if d.kind == kind {
				n++
			}
		}
		fmt.Fprintf(w, "\t%d", n)
	}
	fmt.Fprintln(w)
	_ = w.Flush() // into memory
	return b.String()
}

// lived says whether a job lived at one of these times. What is nobody's job counts everywhere.
func (p picture) lived(label string, times []time.Time) bool {
	ids := p.labels[label]
	if len(ids) == 0 {
		return true
	}
	j := p.jobs[ids[0]]
	for _, at := range times {
		if ms := at.UnixMilli(); ms >= j.Created && (ms <= j.Ended || j.Ended == 0) {
			return true
		}
	}
	return false
}

func tell(found []damage) string {
	var b strings.Builder
	for i, d := range found {
		if i == 40 {
			fmt.Fprintf(&b, "… and %d more\n", len(found)-i)
			break
		}
		fmt.Fprintf(&b, "%s: %s: %s\n", d.kind, d.job, d.why)
	}
	return b.String()
}
