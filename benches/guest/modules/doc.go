// Package modules finds the modules of a Linux kernel in a folder, unpacks them, and gives them in an order in which they can be loaded, with those that they
// need. A folder is a tree as /lib/modules/RELEASE is, or just the files.
//
// Path: Open looks through a folder, Load reads modules out of it; order.go has what they need. What a module does is its kernel's matter.
package modules
