package job_test

import (
	"testing"

	"sandpiper/internal/job"
)

func TestAnEighthOfTheSlotsIsNotForBulk(t *testing.T) {
	for slots, want := range map[int]int{0: 0, 1: 1, 2: 1, 4: 3, 8: 7, 15: 14, 16: 14, 32: 28, 1000: 875} {
		if got := job.BulkSlots(slots); got != want {
			t.Errorf("BulkSlots(%d) = %d, want %d", slots, got, want)
		}
	}
}
