package boot

import "runtime/debug"

// lean has the process collect its garbage twice as often as Go does by itself. A worker holds thousands of requests that
// wait in sandboxes, and does next to nothing meanwhile, so memory is what it runs short of. Another GOGC than the default
// is the operator's wish, and stays.
func lean() {
	const asItComes, leaner = 100, 50
	if was := debug.SetGCPercent(leaner); was != asItComes {
		debug.SetGCPercent(was)
	}
}
