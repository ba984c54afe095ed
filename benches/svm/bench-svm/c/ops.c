// Measures what usual operations of the kernel cost, in the ticks of the time-stamp counter: on the emulated host one tick is one
// instruction. Prints "op NAME BEST MEDIAN" for each, over some batches, and "op end".
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

enum { batches = 9, pages = 16, page = 4096 };

static char *self;
static int null, there[2], back[2];

static uint64_t ticks(void) {
	_mm_lfence();
	uint64_t t = __rdtsc();
	_mm_lfence();
	return t;
}

static void get_pid(void) { syscall(SYS_getpid); }

static void write_null(void) {
	char c = 0;
	if (write(null, &c, 1) != 1)
		err(1, "/dev/null");
}

static void get_clock(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
}

static void mmap_touch(void) {
	volatile char *m = mmap(0, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED)
		err(1, "mmap");
	for (int i = 0; i < pages; i++)
		m[i * page] = 1;
	munmap((void *)m, pages * page);
}

// protect makes pages read-only and writable again.
static void protect(void) {
	static char *m;
	if (!m) {
		m = mmap(0, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (m == MAP_FAILED)
			err(1, "mmap");
		memset(m, 1, pages * page);
	}
	mprotect(m, pages * page, PROT_READ);
	mprotect(m, pages * page, PROT_READ | PROT_WRITE);
}

// fork_exit starts a process that ends at once.
static void fork_exit(void) {
	pid_t child = fork();
	if (child < 0)
		err(1, "fork");
	if (child == 0)
		_exit(0);
	waitpid(child, 0, 0);
}

// ping sends a byte to another process and waits for its answer.
static void ping(void) {
	char c = 0;
	if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
		err(1, "pipe");
}

static void answer(void) {
	for (char c; read(there[0], &c, 1) == 1;)
		if (write(back[1], &c, 1) != 1)
			break;
	_exit(0);
}

// fork_exec starts this program, which then does nothing, and waits for its end.
static void fork_exec(void) {
	pid_t child = fork();
	if (child < 0)
		err(1, "fork");
	if (child == 0) {
		execl(self, self, "nothing", (char *)0);
		_exit(1);
	}
	int status;
	if (waitpid(child, &status, 0) != child || status != 0)
		errx(1, "the child ended with status %#x", status);
}

static int ascending(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void measure(const char *name, void (*op)(void), int n) {
	double t[batches];
	for (int i = 0; i <= n / 4; i++)
		op();
	for (int b = 0; b < batches; b++) {
		uint64_t began = ticks();
		for (int i = 0; i < n; i++)
			op();
		t[b] = (double)(ticks() - began) / n;
	}
	qsort(t, batches, sizeof *t, ascending);
	printf("op %s %.2f %.2f\n", name, t[0], t[batches / 2]);
	fflush(stdout);
}

// note prints the first line of a file.
static void note(const char *title, const char *path) {
	char line[200] = "";
	FILE *f = fopen(path, "r");
	if (f && fgets(line, sizeof line, f))
		printf("op note %s %s%s", title, line, strchr(line, '\n') ? "" : "\n");
	if (f)
		fclose(f);
}

// notes prints the first line of each file in a folder.
static void notes(const char *folder) {
	struct dirent **list;
	int n = scandir(folder, &list, 0, alphasort);
	for (int i = 0; i < n; i++) {
		char path[400];
		snprintf(path, sizeof path, "%s/%s", folder, list[i]->d_name);
		if (list[i]->d_name[0] != '.')
			note(list[i]->d_name, path);
	}
}

int main(int argc, char **argv) {
	if (argc > 1)
		return 0;
	self = argv[0];
	sleep(3); // a kernel that has just booted still has work of its own: 6.12 takes half of the processor for more than a second
	null = open("/dev/null", O_WRONLY);
	if (null < 0 || pipe(there) || pipe(back))
		err(1, "set-up");
	note("clock source", "/sys/devices/system/clocksource/clocksource0/current_clocksource");
	note("kernel", "/proc/sys/kernel/osrelease");
	note("memory", "/proc/meminfo");
	notes("/sys/devices/system/cpu/vulnerabilities");
	measure("getpid", get_pid, 10000);
	measure("write_null", write_null, 5000);
	measure("clock_gettime", get_clock, 10000);
	measure("mmap_touch16", mmap_touch, 300);
	measure("mprotect16x2", protect, 1000);
	pid_t child = fork();
	if (child < 0)
		err(1, "fork");
	if (child == 0)
		answer();
	measure("pipe_pingpong", ping, 1000);
	kill(child, SIGKILL);
	waitpid(child, 0, 0);
	measure("fork_exit_wait", fork_exit, 60);
	measure("fork_exec_wait", fork_exec, 20);
	puts("op end");
	return 0;
}
