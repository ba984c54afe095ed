package bootloader

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gozen/hypervisor/config"
)

const maxMenuDepth = 16

var errManyItems = fmt.Errorf("it has more than %d entries", maxItems)

// flatItem is an entry and its place in the whole menu.
type flatItem struct {
	*item
	at Item
}

// flat gives all entries, those of submenus included.
func (m *menu) flat() (out []flatItem, err error) {
	var add func(items []*item, titles string, depth int) error
	add = func(items []*item, titles string, depth int) error {
		for _, it := range items {
			if len(out) >= maxItems {
				return errManyItems
			}
			title := titles + it.title
			if it.sub == nil {
				out = append(out, flatItem{it, Item{len(out), title, it.id}})
				continue
			}
			if depth >= maxMenuDepth {
				return errors.New("its submenus are too deep")
			}
			sub, err := it.sub()
			if err == nil {
				err = add(sub, title+">", depth+1)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	err = add(m.items, "", 0)
	return out, err
}

// choose finds what a person asked for, or, if that is empty, what the configuration says.
func (m *menu) choose(want string) (*item, Item, error) {
	all, err := m.flat()
	if err != nil {
		return nil, Item{}, m.refuse("cannot be read", err.Error(), "")
	}
	if len(all) == 0 {
		return nil, Item{}, m.refuse("offers nothing to start", "it has submenus only, and they are empty", "")
	}
	var it *item
	switch n, err := strconv.Atoi(want); {
	case want == "" && len(m.choice) > 0:
		it = follow(m.items, split(m.choice[0]), true)
	case want == "":
		it = follow(m.items, nil, true)
	case err == nil && n >= 0 && n < len(all):
		it = all[n].item
	case err != nil:
		it = follow(m.items, split(want), false)
	}
	for _, f := range all {
		if f.item == it || it == nil && want != "" && (f.id == want || f.title == want || f.at.Title == want) {
			return f.item, f.at, nil
		}
	}
	return nil, Item{}, m.refuse(fmt.Sprintf("has no entry %q", want), "", "choose one of "+m.list())
}

func (m *menu) refuse(what, why, fix string) error {
	return &config.Error{Field: "bootloader", What: m.config.String() + " " + what, Why: why, Fix: fix}
}

// list names the entries for a message.
func (m *menu) list() string {
	all, _ := m.flat()
	var out []string
	for _, f := range all[:min(len(all), listed)] {
		out = append(out, fmt.Sprintf("%d %q", f.at.Number, f.at.Title))
	}
	if len(all) > listed {
		out = append(out, "...")
	}
	return strings.Join(out, ", ")
}

// split takes a way through menus apart at its > signs; two of them stand for one that belongs to a title.
func split(s string) (out []string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '>':
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == '>':
			b.WriteByte('>')
			i++
		default:
			out = append(out, b.String())
			b.Reset()
		}
	}
	return append(out, b.String())
}

// follow goes down a way of numbers, titles and ids. Where it ends in a submenu, or with lenient before, it goes on with the first entry, as GRUB does.
func follow(items []*item, way []string, lenient bool) *item {
	for range maxMenuDepth {
		var at *item
		if len(way) > 0 {
			at = match(items, way[0])
			way = way[1:]
			if at == nil && !lenient {
				return nil
			}
		}
		if at == nil && len(items) > 0 {
			at = items[0]
		}
		if at == nil || at.sub == nil {
			return at
		}
		var err error
		if items, err = at.sub(); err != nil {
			return nil
		}
	}
	return nil
}

func match(items []*item, want string) *item {
	if n, err := strconv.Atoi(want); err == nil && n >= 0 && n < len(items) {
		return items[n]
	}
	for _, it := range items {
		if it.id != "" && it.id == want || it.title == want {
			return it
		}
	}
	return nil
}
