// Package acpi writes the ACPI tables of a domain without legacy hardware: RSDP, XSDT, FADT, MADT and DSDT (ACPI 5.0).
//
// What lives here: table layouts, checksums, the little AML there is. What does not: where tables go and what else is in
// the memory map (pvh), the tables of a PC (hvm, which takes headers and layout from here).
//
// The path through it: Build lays all tables out one after the other behind the RSDP and gives the bytes to be put at
// Config.Base.
//
// What the tables say, and why. The FADT sets HW_REDUCED_ACPI: there is no PM block, no SCI, no PM timer. Linux then
// leaves the 8259 and the 8254 alone (acpi_generic_reduced_hw_init replaces legacy_pic and timer_init). The boot flags
// say no VGA, no CMOS RTC, no 8042 and no legacy devices, so none is probed. One probe no table can prevent: Linux calibrates
// the TSC before it looks at ACPI (tsc_early_init, quick_pit_calibrate) and reads port 0x42 up to 100,000 times as long
// as every read gives 0xff; so an absent PIT must read as anything else there (0 ends it after four reads).
package acpi
