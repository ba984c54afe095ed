// Times the round trip of a port exit through KVM_RUN. The VM is set up as gozen sets up its own without an interrupt chip in the kernel
// (hypervisor/engine/kvm): the same capabilities, the same state shared by sync regs. Usage: portexit BATCHES SIZE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

static const char code[] = "\xe6\x80\xeb\xfc"; // out %al,$0x80; jmp .-2

static int vm, cpu;

static void ask(int fd, unsigned long request, void *arg, const char *what) {
	if (ioctl(fd, request, arg) < 0)
		err(1, "%s", what);
}

static void enable(int fd, unsigned cap, uint64_t arg, const char *what) {
	struct kvm_enable_cap e = {.cap = cap, .args = {arg}};
	ask(fd, KVM_ENABLE_CAP, &e, what);
}

static void filter(void) {
	static uint8_t none[32];
	static const struct { uint32_t base, n; } hidden[] = {
		{0x40000000, 256}, {0x4b564d00, 16}, {0x11, 2}, {0x1b, 1}, {0x6e0, 1}};
	struct kvm_msr_filter f = {.flags = KVM_MSR_FILTER_DEFAULT_ALLOW};
	for (unsigned i = 0; i < sizeof hidden / sizeof *hidden; i++) {
		f.ranges[i].flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;
		f.ranges[i].base = hidden[i].base;
		f.ranges[i].nmsrs = hidden[i].n;
		f.ranges[i].bitmap = none;
	}
	ask(vm, KVM_X86_SET_MSR_FILTER, &f, "KVM_X86_SET_MSR_FILTER");
}

static void make(int sys) {
	vm = ioctl(sys, KVM_CREATE_VM, 0);
	if (vm < 0)
		err(1, "KVM_CREATE_VM");
	uint64_t identity = 0xfffbc000;
	ask(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity, "KVM_SET_IDENTITY_MAP_ADDR");
	ask(vm, KVM_SET_TSS_ADDR, (void *)(identity + 0x1000), "KVM_SET_TSS_ADDR");
	int quirks = ioctl(sys, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);
	enable(vm, KVM_CAP_DISABLE_QUIRKS2,
		quirks & (KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_OUT_7E_INC_RIP | KVM_X86_QUIRK_FIX_HYPERCALL_INSN), "KVM_CAP_DISABLE_QUIRKS2");
	enable(vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER,
		"KVM_CAP_X86_USER_SPACE_MSR");
	if (ioctl(sys, KVM_CHECK_EXTENSION, KVM_CAP_EXIT_ON_EMULATION_FAILURE) > 0)
		enable(vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1, "KVM_CAP_EXIT_ON_EMULATION_FAILURE");
	filter();
	char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		err(1, "mmap");
	memcpy(page, code, sizeof code);
	struct kvm_userspace_memory_region m = {.memory_size = 4096, .userspace_addr = (uintptr_t)page};
	ask(vm, KVM_SET_USER_MEMORY_REGION, &m, "KVM_SET_USER_MEMORY_REGION");
}

static void processor(int sys) {
	static struct { struct kvm_cpuid2 head; struct kvm_cpuid_entry2 list[256]; } leaves = {.head.nent = 256};
	ask(sys, KVM_GET_SUPPORTED_CPUID, &leaves, "KVM_GET_SUPPORTED_CPUID");
	cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (cpu < 0)
		err(1, "KVM_CREATE_VCPU");
	ask(cpu, KVM_SET_CPUID2, &leaves, "KVM_SET_CPUID2");
	enable(cpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1, "KVM_CAP_ENFORCE_PV_FEATURE_CPUID");
	struct kvm_sregs s;
	ask(cpu, KVM_GET_SREGS, &s, "KVM_GET_SREGS");
	struct kvm_segment flat = {.limit = 0xffffffff, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
	s.ds = s.es = s.fs = s.gs = s.ss = flat;
	flat.type = 11;
	s.cs = flat;
	s.cr0 = 0x11;
	ask(cpu, KVM_SET_SREGS, &s, "KVM_SET_SREGS");
	struct kvm_regs r = {.rflags = 2};
	ask(cpu, KVM_SET_REGS, &r, "KVM_SET_REGS");
}

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv) {
	if (argc != 3)
		errx(2, "usage: portexit BATCHES SIZE");
	int batches = atoi(argv[1]), size = atoi(argv[2]);
	int sys = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (sys < 0)
		err(1, "/dev/kvm");
	make(sys);
	processor(sys);
	struct kvm_run *run = mmap(0, ioctl(sys, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
	if (run == MAP_FAILED)
		err(1, "mmap of the vCPU");
	run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	for (int i = 0; i < batches; i++) {
		double began = now();
		for (int n = 0; n < size;) {
			if (ioctl(cpu, KVM_RUN, 0) < 0) {
				if (errno == EINTR)
					continue;
				err(1, "KVM_RUN");
			}
			if (run->exit_reason != KVM_EXIT_IO)
				errx(1, "exit reason %u", run->exit_reason);
			n++;
		}
		printf("batch %.2f\n", (now() - began) / size);
	}
	return 0;
}
