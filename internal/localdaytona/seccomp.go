package localdaytona

import (
	"bytes"
	"encoding/binary"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// AUDIT_ARCH_* of linux/audit.h for the machines that we filter on; their clone(2) takes its flags first.
var auditArch = map[string]uint32{"amd64": 0xc000003e, "arm64": 0xc00000b7}

const (
	callAllowed  = 0x7fff0000                      // SECCOMP_RET_ALLOW
	callRefused  = 0x00050000 | uint32(unix.EPERM) // SECCOMP_RET_ERRNO
	callUnknown  = 0x00050000 | uint32(unix.ENOSYS)
	offsetNumber = 0 // in struct seccomp_data
	offsetArch   = 4
	offsetFirst  = 16      // the first argument's low half
	x32Calls     = 1 << 30 // __X32_SYSCALL_BIT
)

// namespaceFilter is a seccomp program (seccomp(2)) that keeps a sandbox from making user namespaces: in one of its
// own a command would have every capability, and the kernel's whole surface behind them. clone3 has its flags in
// memory that a filter cannot read; without it libraries use clone.
func namespaceFilter(arch uint32) []unix.SockFilter {
	const (
		load = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		ret  = unix.BPF_RET | unix.BPF_K
		eq   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ge   = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		set  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	)
	return []unix.SockFilter{
		{Code: load, K: offsetArch},
		{Code: eq, K: arch, Jt: 0, Jf: 8}, // another machine's calls have other numbers: unknown
		{Code: load, K: offsetNumber},
		{Code: ge, K: x32Calls, Jt: 6},
		{Code: eq, K: unix.SYS_CLONE3, Jt: 5},
		{Code: eq, K: unix.SYS_UNSHARE, Jt: 1},
		{Code: eq, K: unix.SYS_CLONE, Jf: 4},
		{Code: load, K: offsetFirst},
		{Code: set, K: unix.CLONE_NEWUSER, Jf: 2},
		{Code: ret, K: callRefused},
		{Code: ret, K: callUnknown},
		{Code: ret, K: callAllowed},
	}
}

// filterFile is the filter as bubblewrap reads it. On a machine that we do not know, it allows everything.
func filterFile() (*os.File, error) {
	program := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: callAllowed}}
	if arch, known := auditArch[runtime.GOARCH]; known {
		program = namespaceFilter(arch)
	}
	var b bytes.Buffer
	if err := binary.Write(&b, binary.NativeEndian, program); err != nil {
		return nil, err
	}
	return memoryFile(b.Bytes())
}
