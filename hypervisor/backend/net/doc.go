// Package net is the back end of the guest's paravirtual network devices (public/io/netif.h): frames go straight between the guest's pages and a link, with
// their checksums and segmentation left to whoever does them last.
//
// A queue has two rings. From the guest: each frame is one to 18 requests, whose pages are mapped, sent in one system call, and given back. To the guest: it
// posts empty pages, which stay mapped until the link has filled them. What a guest puts into the rings is copied once and then checked; what no frontend
// does closes the device, as Linux's netback does.
package net
