// Package symbol names the functions of a guest: of a running Linux kernel by the tables that it has in memory for its own messages
// (kallsyms), of anything else by the symbol table of its ELF file.
//
// What lives here: finding and checking kallsyms in guest-virtual memory, symbol tables of ELF files, looking up an address, the build
// ID. What does not: translating guest-virtual addresses (hypervisor/x86/paging), stacks (trace/unwind), symbols of a kernel's
// loaded modules, whose addresses lie outside of every Table for now.
//
// The path through it: Kallsyms looks through the memory where a kernel's image can lie for the table of tokens by which names are
// compressed (anchor.go), finds the other tables from there (layout.go), unpacks names and addresses (kallsyms.go) and makes a Table
// (table.go). ELF makes one of a file. Guest memory is hostile: it is copied once, every table is checked against the others, and work
// and memory are bounded.
//
// The layout of the tables is that of Linux's scripts/kallsyms.c and kernel/kallsyms.c; doc comments say since when.
package symbol
