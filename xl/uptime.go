package main

import (
	"fmt"
	"io"
	"time"

	"gozen/hypervisor/control"
)

func (a *app) uptime(c *call) int {
	var f format
	short := false
	args, rc := a.parse(c, options{short: "so:"}, func(o byte, v string) {
		if o == 's' {
			short = true
		} else {
			f = format(v)
		}
	})
	if rc != noReturn {
		return rc
	}
	if rc := a.checkFormat(f); rc != noReturn {
		return rc
	}
	doms, ok := a.chosen(args)
	if !ok {
		return exitFail
	}
	now := time.Now()
	rows := make([]control.Info, len(doms))
	for i, d := range doms {
		rows[i] = control.Info{Name: d.Name, Domid: d.Domid, Uptime: now.Sub(d.Started)}
		if d.Domid == 0 {
			rows[i].Uptime = readHost().uptime
		}
	}
	if f == "json" {
		type row struct {
			Name   string  `json:"name"`
			Domid  int     `json:"domid"`
			Uptime float64 `json:"uptime_s"`
		}
		out := []row{}
		for _, r := range rows {
			out = append(out, row{r.Name, r.Domid, r.Uptime.Seconds()})
		}
		return a.printJSON(out)
	}
	printUptime(a.out, rows, short, now)
	return exitOK
}

// printUptime prints the table of xl uptime, byte for byte.
func printUptime(w io.Writer, rows []control.Info, short bool, now time.Time) {
	if !short {
		fmt.Fprintf(w, "%-33s %4s %s\n", "Name", "ID", "Uptime")
	}
	for _, r := range rows {
		if short {
			fmt.Fprintf(w, " %s up %s, %s (%d)\n", now.Format("15:04:05"), uptimeText(r.Uptime, true), r.Name, r.Domid)
		} else {
			fmt.Fprintf(w, "%-33s %4d %s\n", r.Name, r.Domid, uptimeText(r.Uptime, false))
		}
	}
}

func uptimeText(d time.Duration, short bool) string {
	s := max(0, int64(d/time.Second))
	days, text := s/86400, fmt.Sprintf("%2d:%02d", s/3600%24, s/60%60)
	if !short {
		text += fmt.Sprintf(":%02d", s%60)
	}
	switch {
	case days > 1:
		text = fmt.Sprintf("%d days, %s", days, text)
	case days == 1:
		text = "1 day, " + text
	}
	return text
}
