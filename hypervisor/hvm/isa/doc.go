// Package isa is the small devices of a PC: 8259 interrupt controllers, 8254 timer with port 0x61, MC146818 clock, 16550 UART, the ACPI
// power-management block, and as much of an 8042 as a PC without keyboard needs.
//
// What lives here: registers and what they do to lines and time. What does not: where the registers are (hvm.Platform), who takes
// interrupts, tables that describe the devices (acpi).
//
// The path through it: hvm.Platform makes the devices, gives each its Line and a Clock, adds them to the port bus, and calls Expire of those
// that keep time when their Deadline has come. Time is system time in nanoseconds and comes from the Clock alone.
//
// No device has a lock: the Platform serialises. Whatever a guest writes, a call does bounded work.
package isa
