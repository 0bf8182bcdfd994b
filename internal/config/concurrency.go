package config

import "golang.org/x/sys/unix"

// bytesPerJob is what one running prompt may take on this machine when its sandbox is local: the CLI peaks at
// about 200 MB (measured on 2.1.330).
const bytesPerJob = 256 << 20

// defaultConcurrency is 32, and in up, where every sandbox is on this machine, no more than a third of the memory
// can hold.
func defaultConcurrency(role Role) int {
	const most = 32
	if role != RoleUp {
		return most
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 2
	}
	total := uint64(info.Totalram) * uint64(info.Unit)
	return int(min(most, max(2, total/3/bytesPerJob)))
}
