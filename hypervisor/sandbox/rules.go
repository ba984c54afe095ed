package sandbox

import "golang.org/x/sys/unix"

// threadFlags is what the Go runtime starts threads with (runtime/os_linux.go, cloneFlags); amd64 adds CLONE_SETTLS. Anything
// else would be a process.
const threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD

// kvmType is the type byte of KVM's ioctls (KVMIO, linux/kvm.h).
const kvmType = 0xae

// facts are what the rules depend on in this process.
type facts struct {
	pid  uint32
	text uint32 // upper half of the addresses of the program's own code
	// network: it connects to others.
	network bool
}

// rules gives the calls that a domain process makes, the frequent ones first: kernels before 5.11 walk the list at every call. A
// call that is missing here kills the domain and names itself, so a new need shows at once.
func rules(f facts) []rule {
	r := []rule{
		{number: unix.SYS_IOCTL, any: ioctls(f)},
	}
	for _, n := range plain {
		r = append(r, rule{number: n})
	}
	r = append(r, memoryRules(f)...)
	r = append(r, processRules(f)...)
	r = append(r, socketRules(f)...)
	r = append(r, archRules()...)
	for _, n := range absent {
		r = append(r, rule{number: n, pass: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)})
	}
	return r
}

// ioctls are all of KVM's, and those that make a pseudo-terminal (backend.OpenPTY); a process with a network has no use for them, and may ask whether a file is a terminal.
// The kernel takes the request as 32 bits.
func ioctls(f facts) [][]test {
	if f.network {
		return oneOf(1, unix.TCGETS)
	}
	return append([][]test{field(1, 0xff00, kvmType<<8)},
		oneOf(1, unix.TIOCGPTN, unix.TIOCSPTLCK, unix.TCGETS, unix.TCSETS)...)
}

// plain calls pass with any arguments. Opening files is bounded by Landlock.
var plain = []uint32{
	// The Go scheduler and its timers.
	unix.SYS_FUTEX, unix.SYS_EPOLL_PWAIT, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_SCHED_YIELD, unix.SYS_CLOCK_GETTIME,
	unix.SYS_GETTIMEOFDAY, unix.SYS_CLOCK_GETRES, unix.SYS_RESTART_SYSCALL, unix.SYS_SCHED_GETAFFINITY, unix.SYS_GETCPU,
	unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE, unix.SYS_SETITIMER,
	// Signals; actions are below.
	unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGPROCMASK, unix.SYS_SIGALTSTACK,
	// Streams and files.
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_PWRITE64, unix.SYS_PREADV, unix.SYS_PWRITEV, unix.SYS_PREADV2, unix.SYS_PWRITEV2, unix.SYS_FALLOCATE, unix.SYS_FSTATFS,
	unix.SYS_OPENAT, unix.SYS_CLOSE, unix.SYS_LSEEK, unix.SYS_FSTAT, statAt, unix.SYS_STATX, unix.SYS_FACCESSAT,
	unix.SYS_READLINKAT, unix.SYS_GETDENTS64, unix.SYS_FTRUNCATE, unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_FLOCK,
	unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_FCHMODAT, unix.SYS_DUP, unix.SYS_DUP3,
	unix.SYS_SENDFILE, unix.SYS_SPLICE, unix.SYS_COPY_FILE_RANGE,
	// Events.
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EVENTFD2, unix.SYS_PIPE2, unix.SYS_PPOLL, unix.SYS_TIMERFD_CREATE, unix.SYS_TIMERFD_SETTIME,
	// The control socket. It listens: connect is not among them, but for a process with a network.
	unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT4, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME, unix.SYS_GETSOCKOPT, unix.SYS_SETSOCKOPT,
	unix.SYS_RECVFROM, unix.SYS_SENDTO, unix.SYS_RECVMSG, unix.SYS_SENDMSG, unix.SYS_SHUTDOWN,
	// Memory that makes nothing executable, and facts about this process.
	unix.SYS_MADVISE, unix.SYS_MINCORE, unix.SYS_MEMFD_CREATE, unix.SYS_GETRANDOM,
	unix.SYS_GETPID, unix.SYS_GETPPID, unix.SYS_GETTID, unix.SYS_GETUID, unix.SYS_GETEUID, unix.SYS_GETGID, unix.SYS_GETEGID, unix.SYS_GETRUSAGE, unix.SYS_GETRLIMIT,
	unix.SYS_UNAME, unix.SYS_SYSINFO, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
}

// absent calls are new forms of others, which programs try first: they are answered as by a kernel that lacks them.
var absent = []uint32{unix.SYS_CLONE3, unix.SYS_OPENAT2, unix.SYS_FCHMODAT2, unix.SYS_FACCESSAT2, unix.SYS_CLOSE_RANGE, unix.SYS_MEMBARRIER, unix.SYS_RSEQ}

// memoryRules let nobody make memory executable, nor take away or change the pages of the program itself.
func memoryRules(f facts) []rule {
	noExec := clear(2, unix.PROT_EXEC)
	return []rule{
		{number: unix.SYS_MMAP, any: [][]test{all(noExec, clear(3, unix.MAP_FIXED)), all(noExec, notUpper(0, f.text))}},
		{number: unix.SYS_MPROTECT, any: [][]test{all(noExec, notUpper(0, f.text))}},
		{number: unix.SYS_MUNMAP, any: [][]test{notUpper(0, f.text)}},
	}
}

func processRules(f facts) []rule {
	return []rule{
		{number: unix.SYS_CLONE, any: [][]test{equal(0, threadFlags), equal(0, threadFlags|unix.CLONE_SETTLS)}},
		// Preemption and kicks: signals to this process alone.
		{number: unix.SYS_TGKILL, any: [][]test{low(0, f.pid)}},
		{number: unix.SYS_KILL, any: [][]test{low(0, f.pid)}},
		// The handler of forbidden calls stays. Its last act is this call, too (trap_*.s).
		{number: unix.SYS_RT_SIGACTION, any: [][]test{not(low(0, uint32(unix.SIGSYS)))}, otherwise: unix.SECCOMP_RET_KILL_PROCESS},
		{number: unix.SYS_PRCTL, any: oneOf(0, unix.PR_SET_VMA, unix.PR_SET_NAME, unix.PR_SET_TIMERSLACK)},
		// Reading limits, not setting them.
		{number: unix.SYS_PRLIMIT64, any: [][]test{equal(2, 0)}},
		{number: unix.SYS_FCNTL, any: oneOf(1, unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL,
			unix.F_GETLK, unix.F_SETLK, unix.F_SETLKW, unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW, unix.F_ADD_SEALS, unix.F_GET_SEALS)},
	}
}

// socketRules say which sockets there are. With a network, others are refused without harm: Go's resolver asks for a list of interfaces (AF_NETLINK) where a server's address
// names one, and does without.
func socketRules(f facts) []rule {
	if !f.network {
		return []rule{{number: unix.SYS_SOCKET, any: [][]test{all(low(0, unix.AF_UNIX), field(1, 0xf, unix.SOCK_STREAM))}}}
	}
	var inet [][]test
	for _, family := range []uint32{unix.AF_INET, unix.AF_INET6} {
		for _, c := range []struct{ kind, protocol uint32 }{{unix.SOCK_STREAM, 0}, {unix.SOCK_STREAM, unix.IPPROTO_TCP}, {unix.SOCK_DGRAM, 0}, {unix.SOCK_DGRAM, unix.IPPROTO_UDP}} {
			inet = append(inet, all(low(0, family), field(1, 0xf, c.kind), low(2, c.protocol)))
		}
	}
	return []rule{
		{number: unix.SYS_CONNECT},
		{number: unix.SYS_SOCKET, any: inet, otherwise: unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)},
	}
}
