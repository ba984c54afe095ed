// Package fdt writes flattened device trees, version 17 (Devicetree Specification 0.4, chapter 5), and the tree of an
// arm64 Xen guest.
//
// What lives here: the writer, and Guest, which describes a domain as Xen 4.17's libxl does (tools/libs/light/libxl_arm.c;
// Linux Documentation/devicetree/bindings/arm/xen.txt). What does not: where things lie (pvh).
package fdt
