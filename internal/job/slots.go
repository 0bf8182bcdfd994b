package job

// BulkSlots is how many of a worker's slots bulk jobs may have: an eighth of them, one at least, is kept for those for
// whom a person waits. A worker with a single slot keeps none, or it would never do a bulk job.
func BulkSlots(slots int) int {
	if slots < 2 {
		return slots
	}
	return slots - max(1, slots/8)
}
