package xenstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gozen/hypervisor/xen"
)

const guest = xen.DomID(5)

func testStore(t testing.TB, q Quota) *Store {
	t.Helper()
	s := New(q)
	err := s.AddDomain(Domain{ID: guest, Name: "g", UUID: "u-u", Type: "pvh", VCPUs: 2, MaxMemKiB: 262144, MemoryKiB: 262144,
		StorePort: 1, StoreRef: 0xfeffc, ConsolePort: 2, ConsoleRef: 0xfefff, Started: time.Unix(1000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func request(typ, tx uint32, payload string) []byte {
	return encode(xen.XSDSockmsg{Type: typ, ReqID: 77, TxID: tx}, []byte(payload))
}

type reply struct {
	typ, id, tx uint32
	payload     string
}

func drain(c *Conn) []reply {
	var b []byte
	buf := make([]byte, 333)
	for n := c.Read(buf); n > 0; n = c.Read(buf) {
		b = append(b, buf[:n]...)
	}
	var out []reply
	for len(b) > 0 {
		h := header(b)
		out = append(out, reply{h.Type, h.ReqID, h.TxID, string(b[16 : 16+h.Len])})
		b = b[16+h.Len:]
	}
	return out
}

// ask sends a request and gives its answer, "E..." for an error; events are kept aside.
func ask(t testing.TB, c *Conn, typ, tx uint32, payload string) (string, []reply) {
	t.Helper()
	m := request(typ, tx, payload)
	if n, err := c.Write(m); err != nil || n != len(m) {
		t.Fatalf("write: %d of %d, %v", n, len(m), err)
	}
	var answer *reply
	var events []reply
	for _, r := range drain(c) {
		switch {
		case r.typ == xen.XS_WATCH_EVENT:
			events = append(events, r)
		case answer != nil:
			t.Fatal("two answers")
		default:
			answer = &r
		}
	}
	if answer == nil || answer.id != 77 || answer.tx != tx || (answer.typ != typ && answer.typ != xen.XS_ERROR) {
		t.Fatalf("answer %+v", answer)
	}
	if answer.typ == xen.XS_ERROR {
		return strings.TrimSuffix(answer.payload, "\x00"), events
	}
	return answer.payload, events
}

func TestRequests(t *testing.T) {
	long := strings.Repeat("x", 2049)
	steps := []struct {
		name    string
		typ     uint32
		payload string
		want    string
	}{
		{"relative read", xen.XS_READ, "name\x00", "g"},
		{"absolute read", xen.XS_READ, "/local/domain/5/domid\x00", "5"},
		{"empty value", xen.XS_READ, "data\x00", ""},
		{"missing", xen.XS_READ, "nope\x00", "ENOENT"},
		{"other's", xen.XS_READ, "/local/domain/0/domid\x00", "EACCES"},
		{"missing where nothing may be seen", xen.XS_READ, "/libxl/5/x\x00", "EACCES"},
		{"no NUL", xen.XS_READ, "name", "EINVAL"},
		{"empty", xen.XS_READ, "", "EINVAL"},
		{"trailing slash", xen.XS_READ, "name/\x00", "EINVAL"},
		{"double slash", xen.XS_READ, "a//b\x00", "EINVAL"},
		{"bad letter", xen.XS_READ, "a b\x00", "EINVAL"},
		{"long path", xen.XS_READ, long + "\x00", "EINVAL"},
		{"write", xen.XS_WRITE, "data/a/b\x00value\x00with NUL", "OK\x00"},
		{"read back", xen.XS_READ, "data/a/b\x00", "value\x00with NUL"},
		{"owner of what a guest makes", xen.XS_GET_PERMS, "data/a\x00", "n5\x00"},
		{"write where not allowed", xen.XS_WRITE, "name\x00x", "EACCES"},
		{"create where not allowed", xen.XS_WRITE, "memory/x\x00x", "EACCES"},
		{"write without path", xen.XS_WRITE, "x", "EINVAL"},
		{"big value", xen.XS_WRITE, "data/big\x00" + long, "ENOSPC"},
		{"mkdir", xen.XS_MKDIR, "data/dir\x00", "OK\x00"},
		{"mkdir again", xen.XS_MKDIR, "data/a\x00", "OK\x00"},
		{"value kept", xen.XS_READ, "data/a/b\x00", "value\x00with NUL"},
		{"directory", xen.XS_DIRECTORY, "data\x00", "a\x00dir\x00"},
		{"empty directory", xen.XS_DIRECTORY, "data/dir\x00", ""},
		{"part", xen.XS_DIRECTORY_PART, "cpu\x000\x00", "GEN\x000\x001\x00\x00"},
		{"part from 2", xen.XS_DIRECTORY_PART, "cpu\x002\x00", "GEN\x001\x00\x00"},
		{"part from 99", xen.XS_DIRECTORY_PART, "cpu\x0099\x00", "EINVAL"},
		{"rm", xen.XS_RM, "data/dir\x00", "OK\x00"},
		{"rm again", xen.XS_RM, "data/dir\x00", "OK\x00"},
		{"rm below missing", xen.XS_RM, "data/dir/x/y\x00", "ENOENT"},
		{"rm root", xen.XS_RM, "/\x00", "EINVAL"},
		{"rm not allowed", xen.XS_RM, "/local/domain/5\x00", "EACCES"},
		{"perms", xen.XS_GET_PERMS, "name\x00", "n0\x00r5\x00"},
		{"set perms", xen.XS_SET_PERMS, "data\x00b5\x00r7\x00", "OK\x00"},
		{"get perms", xen.XS_GET_PERMS, "data\x00", "b5\x00r7\x00"},
		{"give away", xen.XS_SET_PERMS, "data\x00n0\x00", "EPERM"},
		{"bad perm", xen.XS_SET_PERMS, "data\x00x5\x00", "EINVAL"},
		{"no perm", xen.XS_SET_PERMS, "data\x00", "EINVAL"},
		{"many perms", xen.XS_SET_PERMS, "data\x00n5\x00r1\x00r2\x00r3\x00r4\x00r6\x00", "ENOSPC"},
		{"set perms of other's", xen.XS_SET_PERMS, "name\x00n5\x00", "EACCES"},
		{"domain path", xen.XS_GET_DOMAIN_PATH, "12\x00", "/local/domain/12\x00"},
		{"bad domain", xen.XS_GET_DOMAIN_PATH, "x\x00", "EINVAL"},
		{"introduced", xen.XS_IS_DOMAIN_INTRODUCED, "5\x00", "T\x00"},
		{"not introduced", xen.XS_IS_DOMAIN_INTRODUCED, "6\x00", "F\x00"},
		{"introduce", xen.XS_INTRODUCE, "6\x001\x001\x00", "EACCES"},
		{"control", xen.XS_CONTROL, "help\x00", "EACCES"},
		{"unknown", 1234, "", "ENOSYS"},
		{"unwatch unknown", xen.XS_UNWATCH, "name\x00tok\x00", "ENOENT"},
	}
	c := testStore(t, Quota{}).Connect(guest, nil)
	for _, tt := range steps {
		got, _ := ask(t, c, tt.typ, 0, tt.payload)
		if tt.typ == xen.XS_DIRECTORY_PART && got[0] != 'E' {
			_, rest, _ := strings.Cut(got, "\x00")
			got = "GEN\x00" + rest
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	if got, _ := ask(t, c, xen.XS_READ, 99, "name\x00"); got != "ENOENT" {
		t.Errorf("unknown transaction: %q", got)
	}
}

func TestWatch_events(t *testing.T) {
	s := testStore(t, Quota{})
	woken := 0
	c := s.Connect(guest, func() { woken++ })
	want := func(events []reply, paths ...string) {
		t.Helper()
		var got []string
		for _, e := range events {
			if e.id != 0 || e.tx != 0 {
				t.Errorf("event with ids %+v", e)
			}
			got = append(got, strings.TrimSuffix(strings.ReplaceAll(e.payload, "\x00", "|"), "|"))
		}
		if !slices.Equal(got, paths) {
			t.Errorf("events %q, want %q", got, paths)
		}
	}
	_, ev := ask(t, c, xen.XS_WATCH, 0, "data\x00rel\x00")
	want(ev, "data|rel")
	_, ev = ask(t, c, xen.XS_WATCH, 0, "/local/domain/5/data/a/b\x00abs\x00")
	want(ev, "/local/domain/5/data/a/b|abs")
	if got, _ := ask(t, c, xen.XS_WATCH, 0, "data\x00rel\x00"); got != "EEXIST" {
		t.Errorf("second watch: %s", got)
	}
	_, ev = ask(t, c, xen.XS_WRITE, 0, "data/a/b\x001")
	want(ev, "data/a/b|rel", "/local/domain/5/data/a/b|abs")
	_, ev = ask(t, c, xen.XS_WRITE, 0, "attr/x\x001")
	want(ev)
	_, ev = ask(t, c, xen.XS_RM, 0, "data/a\x00")
	want(ev, "data/a|rel", "/local/domain/5/data/a/b|abs")
	_, ev = ask(t, c, xen.XS_RM, 0, "data/a\x00")
	want(ev)
	woken = 0
	if err := s.Write("/local/domain/5/data/host", nil); err != nil || woken != 1 {
		t.Errorf("%v, woken %d times", err, woken)
	}
	want(drain(c), "data/host|rel")
	ask(t, c, xen.XS_WATCH, 0, "/local/domain/0\x00spy\x00")
	ask(t, c, xen.XS_WATCH, 0, "@releaseDomain\x00spy\x00")
	s.Write("/local/domain/0/secret", nil)
	s.Release(9)
	want(drain(c))
	ask(t, c, xen.XS_UNWATCH, 0, "data\x00rel\x00")
	_, ev = ask(t, c, xen.XS_WRITE, 0, "data/c\x001")
	want(ev)
	ask(t, c, xen.XS_RESET_WATCHES, 0, "\x00")
	_, ev = ask(t, c, xen.XS_WRITE, 0, "data/a/b\x001")
	want(ev)
}

func begin(t *testing.T, c *Conn) uint32 {
	t.Helper()
	s, _ := ask(t, c, xen.XS_TRANSACTION_START, 0, "\x00")
	n, err := strconv.ParseUint(strings.TrimSuffix(s, "\x00"), 10, 32)
	if err != nil {
		t.Fatalf("transaction start: %q", s)
	}
	return uint32(n)
}

func TestTransactions(t *testing.T) {
	s := testStore(t, Quota{})
	c := s.Connect(guest, nil)
	read := func(tx uint32, path string) string { g, _ := ask(t, c, xen.XS_READ, tx, path+"\x00"); return g }
	end := func(tx uint32, how string) (string, []reply) {
		return ask(t, c, xen.XS_TRANSACTION_END, tx, how+"\x00")
	}
	ask(t, c, xen.XS_WRITE, 0, "data/x\x00old")
	ask(t, c, xen.XS_WATCH, 0, "data\x00w\x00")

	tx := begin(t, c)
	if _, ev := ask(t, c, xen.XS_WRITE, tx, "data/x\x00new"); len(ev) != 0 {
		t.Error("event before commit")
	}
	if read(tx, "data/x") != "new" || read(0, "data/x") != "old" {
		t.Error("transaction is not isolated")
	}
	s.Write("/local/domain/5/attr/other", []byte("1")) // no conflict
	if got, ev := end(tx, "T"); got != "OK\x00" || len(ev) != 1 || read(0, "data/x") != "new" {
		t.Errorf("commit: %q, %d events", got, len(ev))
	}
	if b, _ := s.Read("/local/domain/5/attr/other"); string(b) != "1" {
		t.Error("commit undid another's write")
	}
	if got, _ := end(tx, "T"); got != "ENOENT" {
		t.Errorf("second end: %q", got)
	}

	tx = begin(t, c)
	ask(t, c, xen.XS_WRITE, tx, "data/x\x00aborted")
	if got, _ := end(tx, "F"); got != "OK\x00" || read(0, "data/x") != "new" {
		t.Errorf("abort: %q", got)
	}

	conflicts := []struct{ name, req, path string }{
		{"read and written", "data/x\x00", "/local/domain/5/data/x"},
		{"missing and made", "data/made\x00", "/local/domain/5/data/made"},
	}
	for _, tt := range conflicts {
		tx = begin(t, c)
		ask(t, c, xen.XS_READ, tx, tt.req)
		ask(t, c, xen.XS_WRITE, tx, "data/y\x00lost")
		s.Write(tt.path, []byte("mine"))
		if got, _ := end(tx, "T"); got != "EAGAIN" || read(0, "data/y") != "ENOENT" {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	tx = begin(t, c)
	if got, _ := ask(t, c, xen.XS_TRANSACTION_START, tx, "\x00"); got != "EBUSY" {
		t.Errorf("nested: %q", got)
	}
	if got, _ := end(tx, "X"); got != "EINVAL" {
		t.Errorf("bad end: %q", got)
	}
	ask(t, c, xen.XS_DIRECTORY, tx, "data\x00")
	s.Write("/local/domain/5/data/child", nil)
	if got, _ := end(tx, "T"); got != "EAGAIN" {
		t.Errorf("read-only transaction whose directory changed: %q", got)
	}
}

func TestQuota(t *testing.T) {
	s := testStore(t, Quota{Nodes: 20, Watches: 3, Transactions: 2, TransactionOp: 5, Events: 4})
	c := s.Connect(guest, nil)
	until := func(what, want string, limit int, f func(i int) string) {
		t.Helper()
		for i := range limit {
			if got := f(i); got[0] == 'E' {
				if got != want {
					t.Errorf("%s: %s after %d", what, got, i)
				}
				return
			}
		}
		t.Errorf("%s: no limit", what)
	}
	until("nodes", "ENOSPC", 30, func(i int) string {
		g, _ := ask(t, c, xen.XS_WRITE, 0, fmt.Sprintf("data/n%d\x00v", i))
		return g
	})
	ask(t, c, xen.XS_RM, 0, "data/n0\x00")
	if g, _ := ask(t, c, xen.XS_WRITE, 0, "data/again\x00v"); g != "OK\x00" {
		t.Errorf("after rm: %s", g)
	}
	if g, _ := ask(t, c, xen.XS_WRITE, 0, "data/p/q/r\x00v"); g != "ENOSPC" {
		t.Errorf("deep: %s", g)
	}
	until("watches", "E2BIG", 10, func(i int) string {
		g, _ := ask(t, c, xen.XS_WATCH, 0, fmt.Sprintf("data\x00t%d\x00", i))
		return g
	})
	until("transactions", "ENOSPC", 10, func(int) string { g, _ := ask(t, c, xen.XS_TRANSACTION_START, 0, "\x00"); return g })
	until("transaction length", "ENOSPC", 10, func(i int) string { g, _ := ask(t, c, xen.XS_WRITE, 1, "data/again\x00v"); return g })
	if g, _ := ask(t, c, xen.XS_DIRECTORY, 0, "data\x00"); g[0] == 'E' {
		t.Errorf("still served: %s", g)
	}
}

func TestSlowReader(t *testing.T) {
	s := testStore(t, Quota{Events: 4})
	c := s.Connect(guest, nil)
	ask(t, c, xen.XS_WATCH, 0, "data\x00w\x00")
	for i := range 100 {
		s.Write(fmt.Sprintf("/local/domain/5/data/n%d", i%50), nil)
	}
	got := drain(c)
	if len(got) != 5 || got[4].payload != "data\x00w\x00" {
		t.Errorf("%d events, last %q", len(got), got[len(got)-1].payload)
	}
	if s.Write("/local/domain/5/data/n0", nil); len(drain(c)) != 1 {
		t.Error("events stopped after merging")
	}
	// Requests whose answers nobody reads are not taken for ever.
	m := request(xen.XS_GET_PERMS, 0, "name\x00")
	total := 0
	for range 100000 {
		n, err := c.Write(m)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		total += n
	}
	if total > 64<<10 {
		t.Errorf("%d bytes of requests taken", total)
	}
	if len(drain(c)) != total/len(m) {
		t.Error("answers are missing")
	}
}

func TestFraming(t *testing.T) {
	s := testStore(t, Quota{})
	c := s.Connect(guest, nil)
	stream := append(request(xen.XS_READ, 0, "name\x00"), request(xen.XS_READ, 0, "domid\x00")...)
	for _, b := range stream { // one byte at a time
		if n, err := c.Write([]byte{b}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := drain(c); len(got) != 2 || got[0].payload != "g" || got[1].payload != "5" {
		t.Errorf("%+v", got)
	}
	bad := request(xen.XS_READ, 0, "")
	binary.LittleEndian.PutUint32(bad[12:], 4097)
	if _, err := c.Write(bad); !errors.Is(err, ErrProtocol) {
		t.Error(err)
	}
	c.Close()
	if n := c.Read(make([]byte, 10)); n != 0 {
		t.Error("a closed connection gives bytes")
	}
	c.Write(stream)
	if n := c.Read(make([]byte, 10)); n != 0 {
		t.Error("a closed connection answers")
	}
}

func TestDirectory_long(t *testing.T) {
	s := testStore(t, Quota{})
	var want []byte
	for i := range 1000 {
		n := fmt.Sprintf("node-%06d", i)
		s.Set("/local/domain/5/long/"+n, "", Perm{0, None}, Perm{guest, Read})
		want = append(append(want, n...), 0)
	}
	c := s.Connect(guest, nil)
	if got, _ := ask(t, c, xen.XS_DIRECTORY, 0, "long\x00"); got != "E2BIG" {
		t.Errorf("%.20q", got)
	}
	var all []byte
	for {
		got, _ := ask(t, c, xen.XS_DIRECTORY_PART, 0, fmt.Sprintf("long\x00%d\x00", len(all)))
		_, rest, _ := strings.Cut(got, "\x00")
		if strings.HasSuffix(rest, "\x00\x00") || rest == "\x00" {
			all = append(all, rest[:len(rest)-1]...)
			break
		}
		all = append(all, rest...)
	}
	if !bytes.Equal(all, want) {
		t.Errorf("%d bytes, want %d", len(all), len(want))
	}
}

func TestHost(t *testing.T) {
	s := New(Quota{})
	events := make(chan string, 10)
	stop, err := s.Watch("/a", func(p string) { events <- p })
	if err != nil || <-events != "/a" {
		t.Fatal(err)
	}
	if err := s.Write("/a/b", []byte("v")); err != nil || <-events != "/a/b" {
		t.Fatal(err)
	}
	if err := s.SetPerms("/a/b", []string{"n3", "r0"}); err != nil || <-events != "/a/b" {
		t.Fatal(err)
	}
	if p, err := s.Perms("/a/b"); err != nil || !slices.Equal(p, []string{"n3", "r0"}) {
		t.Error(p, err)
	}
	if l, err := s.List("/a"); err != nil || !slices.Equal(l, []string{"b"}) {
		t.Error(l, err)
	}
	if _, err := s.Read("/x/y"); !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "/x/y") {
		t.Error(err)
	}
	if err := s.Write("/bad//path", nil); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	if err := s.Write("/big", make([]byte, 5000)); !errors.Is(err, syscall.E2BIG) {
		t.Error(err)
	}
	if _, err := s.Watch("relative", nil); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	if err := s.Rm("/a"); err != nil || <-events != "/a" {
		t.Fatal(err)
	}
	stop()
	special, _ := s.Watch("@releaseDomain", func(p string) { events <- p })
	<-events
	s.Release(4)
	if p := <-events; p != "@releaseDomain" {
		t.Error(p)
	}
	special()
}

func TestAddDomain_owners(t *testing.T) {
	s := testStore(t, Quota{})
	for path, want := range map[string]string{
		"/local/domain/5": "n0 r5", "/local/domain/5/memory/target": "n0 r5", "/local/domain/5/cpu/1/availability": "n0 r5",
		"/local/domain/5/control/shutdown": "n5", "/local/domain/5/control/platform-feature-xs_reset_watches": "n0 r5",
		"/local/domain/5/device/suspend/event-channel": "n5", "/local/domain/5/device": "n0 r5", "/local/domain/5/data": "n5",
		"/local/domain/5/console/backend-id": "n5 r0", "/local/domain/5/console/ring-ref": "n0 r5",
		"/local/domain/0/backend/console/5/0/state": "n0 r5", "/libxl/5/type": "n0", "/vm/u-u/name": "n0 r5",
	} {
		if p, err := s.Perms(path); err != nil || strings.Join(p, " ") != want {
			t.Errorf("%s: %v %v, want %s", path, p, err, want)
		}
	}
	for path, want := range map[string]string{"/local/domain/5/store/ring-ref": "1044476", "/local/domain/5/vm": "/vm/u-u",
		"/local/domain/5/console/limit": "1048576", "/libxl/5/device/console/0/frontend": "/local/domain/5/console"} {
		if v, err := s.Read(path); err != nil || string(v) != want {
			t.Errorf("%s = %q, %v", path, v, err)
		}
	}
	s.RemoveDomain(guest, "u-u")
	for _, p := range []string{"/local/domain/5", "/vm/u-u", "/libxl/5", "/local/domain/0/backend/console/5"} {
		if _, err := s.Read(p); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("%s is still there", p)
		}
	}
	if len(s.cur.owned) != 1 {
		t.Errorf("nodes of other owners left: %v", s.cur.owned)
	}
	if err := s.AddDomain(Domain{}); err == nil {
		t.Error("domain 0 was added")
	}
}

func FuzzWire(f *testing.F) {
	f.Add(request(xen.XS_WRITE, 0, "data/x\x00v"))
	f.Add(append(request(xen.XS_TRANSACTION_START, 0, "\x00"), append(request(xen.XS_RM, 1, "data\x00"), request(xen.XS_TRANSACTION_END, 1, "T\x00")...)...))
	f.Add(append(request(xen.XS_WATCH, 0, "data\x00t\x00"), request(xen.XS_SET_PERMS, 0, "data\x00n5\x00r1\x00")...))
	f.Add(request(xen.XS_DIRECTORY_PART, 0, "/local/domain/5\x000\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := testStore(t, Quota{})
		before, _ := s.Read("/local/domain/5/name")
		c := s.Connect(guest, func() {})
		buf := make([]byte, 512)
		for len(b) > 0 {
			n, err := c.Write(b[:min(len(b), 100)])
			if err != nil {
				break
			}
			b = b[n:]
			for c.Read(buf) > 0 {
			}
		}
		c.Close()
		if after, err := s.Read("/local/domain/5/name"); err != nil || !bytes.Equal(before, after) {
			t.Fatal("a guest changed what it may not")
		}
		count := map[xen.DomID]int{}
		walk(s.cur.root, func(n *node) { count[n.perms[0].Dom]++ })
		for d, n := range count {
			if s.cur.owned[d] != n {
				t.Fatalf("domain %d owns %d nodes, counted as %d", d, n, s.cur.owned[d])
			}
		}
		if count[guest] > s.quota.Nodes {
			t.Fatal("quota exceeded")
		}
	})
}

func walk(n *node, f func(*node)) {
	f(n)
	for _, k := range n.kids {
		walk(k, f)
	}
}
