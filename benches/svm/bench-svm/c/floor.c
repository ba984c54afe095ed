// The init of a guest on the bare processor: says how many instructions it took to come here. The clock of its machine counts them.
#include <stdio.h>
#include <unistd.h>
#include <x86intrin.h>

int main(void)
{
	printf("Hello from init, instructions: %llu\n", (unsigned long long)__rdtsc());
	fflush(stdout);
	for (;;)
		pause();
}
