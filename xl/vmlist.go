package main

import "fmt"

func (a *app) vmList(c *call) int {
	_, f, rc := a.parseFormat(c, 0)
	if rc != noReturn {
		return rc
	}
	doms, ok := a.domains()
	if !ok {
		return exitFail
	}
	if f == "json" {
		type row struct {
			UUID  string `json:"uuid"`
			Domid int    `json:"domid"`
			Name  string `json:"name"`
		}
		out := []row{}
		for _, d := range doms {
			out = append(out, row{d.UUID, d.Domid, d.Name})
		}
		return a.printJSON(out)
	}
	fmt.Fprintln(a.out, "UUID                                  ID    name")
	for _, d := range doms {
		fmt.Fprintf(a.out, "%s  %d    %-30s\n", d.UUID, d.Domid, d.Name)
	}
	return exitOK
}
