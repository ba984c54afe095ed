// Measures a disk and a TCP connection from inside a guest, in the ticks of the time-stamp counter: on the emulated host one tick is one instruction.
// Usage: io DISK SERVER PORT. Prints "op NAME BEST MEDIAN" for each, over some batches: of blocks for one of them, of throughput for a MiB; before and
// after each, "io begin NAME OPERATIONS" and "io end NAME"; and at the end "op end".
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

enum { batches = 9, block = 4096, large = 128 << 10, span = 64 << 20, deepest = 32 };

static int disk;
static char *memory[deepest];
static aio_context_t aio;
static uint32_t seed = 1;

static uint64_t ticks(void) {
	_mm_lfence();
	uint64_t t = __rdtsc();
	_mm_lfence();
	return t;
}

static int by_size(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

// measure runs f, which does so many operations, and prints what one takes.
static void measure(const char *name, int ops, void (*f)(int ops)) {
	uint64_t took[batches];
	f(ops); // warm
	printf("io begin %s %d\n", name, ops * batches);
	fflush(stdout);
	for (int i = 0; i < batches; i++) {
		uint64_t t = ticks();
		f(ops);
		took[i] = ticks() - t;
	}
	printf("io end %s\n", name);
	qsort(took, batches, sizeof *took, by_size);
	printf("op %s %.1f %.1f\n", name, (double)took[0] / ops, (double)took[batches / 2] / ops);
	fflush(stdout);
}

static off_t anywhere(void) {
	seed = seed * 1664525 + 1013904223;
	return (off_t)(seed >> 8) % (span / block) * block;
}

static void read_one(int ops) {
	for (int i = 0; i < ops; i++)
		if (pread(disk, memory[0], block, anywhere()) != block)
			err(1, "read");
}

static void write_one(int ops) {
	for (int i = 0; i < ops; i++)
		if (pwrite(disk, memory[0], block, anywhere()) != block)
			err(1, "write");
}

// deep keeps so many requests under way, and begins new ones for all that have come back together.
static void deep(int ops, int depth, int code, int size, int random) {
	static struct iocb requests[deepest];
	struct iocb *ready[deepest];
	struct io_event done[deepest];
	int begun = 0, ended = 0, n = 0;
	off_t next = 0;
	for (; n < depth; n++)
		ready[n] = &requests[n];
	while (ended < ops) {
		int go = 0;
		for (; go < n && begun < ops; go++, begun++) {
			struct iocb *r = ready[go];
			int i = r - requests;
			memset(r, 0, sizeof *r);
			r->aio_lio_opcode = code;
			r->aio_fildes = disk;
			r->aio_buf = (uintptr_t)memory[i];
			r->aio_nbytes = size;
			r->aio_offset = random ? anywhere() : (next += size) % span;
		}
		if (go > 0 && syscall(SYS_io_submit, aio, go, ready) != go)
			err(1, "io_submit");
		n = syscall(SYS_io_getevents, aio, 1, depth, done, 0);
		if (n < 1)
			err(1, "io_getevents");
		for (int i = 0; i < n; i++) {
			if (done[i].res != size)
				errx(1, "a request ended with %lld", (long long)done[i].res);
			ready[i] = (struct iocb *)(uintptr_t)done[i].obj;
		}
		ended += n;
	}
}

static void read_deep(int ops) { deep(ops, deepest, IOCB_CMD_PREAD, block, 1); }
static void write_deep(int ops) { deep(ops, deepest, IOCB_CMD_PWRITE, block, 1); }
static void read_large(int mib) { deep(mib * ((1 << 20) / large), 4, IOCB_CMD_PREAD, large, 0); }
static void write_large(int mib) { deep(mib * ((1 << 20) / large), 4, IOCB_CMD_PWRITE, large, 0); }

static int server;

// The server takes a byte that says what follows: s, it is sent so many MiB; r, it sends them; p, each byte that comes is answered.
static void order(char what, int n) {
	uint32_t m[2] = {(uint32_t)what, (uint32_t)n};
	if (write(server, m, sizeof m) != sizeof m)
		err(1, "server");
}

static void all(int mib, ssize_t (*move)(int, void *, size_t)) {
	for (size_t left = (size_t)mib << 20; left > 0;) {
		ssize_t n = move(server, memory[0], left < large ? left : large);
		if (n <= 0)
			err(1, "server");
		left -= n;
	}
}

static void acknowledged(void) {
	char c;
	if (read(server, &c, 1) != 1)
		err(1, "server");
}

static ssize_t put(int fd, void *p, size_t n) { return write(fd, p, n); }

static void tcp_send(int mib) {
	order('s', mib);
	all(mib, put);
	acknowledged();
}

static void tcp_receive(int mib) {
	order('r', mib);
	all(mib, read);
}

static void tcp_ping(int n) {
	order('p', n);
	for (char c = 0; n > 0; n--) {
		if (write(server, &c, 1) != 1)
			err(1, "server");
		acknowledged();
	}
}

static void blocks(const char *path) {
	disk = open(path, O_RDWR | O_DIRECT);
	if (disk < 0)
		err(1, "%s", path);
	if (syscall(SYS_io_setup, deepest, &aio) != 0)
		err(1, "io_setup");
	measure("read_4k", 200, read_one);
	measure("write_4k", 200, write_one);
	measure("read_4k_x32", 2048, read_deep);
	measure("write_4k_x32", 2048, write_deep);
	measure("read_mib", 16, read_large);
	measure("write_mib", 16, write_large);
}

static void stream(const char *host, const char *port) {
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
	int one = 1;
	inet_pton(AF_INET, host, &a.sin_addr);
	server = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(server, (struct sockaddr *)&a, sizeof a) != 0)
		err(1, "connect to %s", host);
	measure("tcp_send_mib", 4, tcp_send);
	measure("tcp_receive_mib", 4, tcp_receive);
	measure("tcp_ping", 100, tcp_ping);
}

int main(int argc, char **argv) {
	if (argc != 4)
		errx(2, "usage: io DISK SERVER PORT");
	for (int i = 0; i < deepest; i++)
		if (posix_memalign((void **)&memory[i], 4096, large) != 0)
			errx(1, "no memory");
		else
			memset(memory[i], i + 1, large);
	if (strcmp(argv[1], "none") != 0)
		blocks(argv[1]);
	if (strcmp(argv[2], "none") != 0)
		stream(argv[2], argv[3]);
	printf("op end\n");
	return 0;
}
