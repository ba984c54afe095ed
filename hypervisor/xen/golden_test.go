package xen

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

type cField struct {
	name      string
	off, size int
}

type cStruct struct {
	size   int
	fields []cField
}

func readLayout(t *testing.T, file string) map[string]cStruct {
	t.Helper()
	f, err := os.Open("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]cStruct{}
	name := ""
	for sc := bufio.NewScanner(f); sc.Scan(); {
		w := strings.Fields(sc.Text())
		switch {
		case len(w) == 0 || w[0] == "#":
		case w[0] == "struct":
			name = w[1]
			n, _ := strconv.Atoi(w[2])
			out[name] = cStruct{size: n}
		default:
			off, _ := strconv.Atoi(w[1])
			n, _ := strconv.Atoi(w[2])
			s := out[name]
			s.fields = append(s.fields, cField{w[0], off, n})
			out[name] = s
		}
	}
	return out
}

var walked = []struct {
	c    string
	walk func(*Codec)
}{
	{"evtchn_alloc_unbound", func(c *Codec) { new(EvtchnAllocUnbound).Layout(c) }},
	{"evtchn_bind_interdomain", func(c *Codec) { new(EvtchnBindInterdomain).Layout(c) }},
	{"evtchn_bind_virq", func(c *Codec) { new(EvtchnBindVIRQ).Layout(c) }},
	{"evtchn_bind_pirq", func(c *Codec) { new(EvtchnBindPIRQ).Layout(c) }},
	{"evtchn_bind_ipi", func(c *Codec) { new(EvtchnBindIPI).Layout(c) }},
	{"evtchn_close", func(c *Codec) { new(EvtchnClose).Layout(c) }},
	{"evtchn_send", func(c *Codec) { new(EvtchnSend).Layout(c) }},
	{"evtchn_status", func(c *Codec) { new(EvtchnStatus).Layout(c) }},
	{"evtchn_bind_vcpu", func(c *Codec) { new(EvtchnBindVCPU).Layout(c) }},
	{"evtchn_unmask", func(c *Codec) { new(EvtchnUnmask).Layout(c) }},
	{"evtchn_reset", func(c *Codec) { new(EvtchnReset).Layout(c) }},
	{"evtchn_init_control", func(c *Codec) { new(EvtchnInitControl).Layout(c) }},
	{"evtchn_expand_array", func(c *Codec) { new(EvtchnExpandArray).Layout(c) }},
	{"evtchn_set_priority", func(c *Codec) { new(EvtchnSetPriority).Layout(c) }},
	{"gnttab_map_grant_ref", func(c *Codec) { new(GnttabMapGrantRef).Layout(c) }},
	{"gnttab_unmap_grant_ref", func(c *Codec) { new(GnttabUnmapGrantRef).Layout(c) }},
	{"gnttab_setup_table", func(c *Codec) { new(GnttabSetupTable).Layout(c) }},
	{"gnttab_copy", func(c *Codec) { new(GnttabCopy).Layout(c) }},
	{"gnttab_query_size", func(c *Codec) { new(GnttabQuerySize).Layout(c) }},
	{"gnttab_set_version", func(c *Codec) { new(GnttabSetVersion).Layout(c) }},
	{"gnttab_get_version", func(c *Codec) { new(GnttabGetVersion).Layout(c) }},
	{"gnttab_swap_grant_ref", func(c *Codec) { new(GnttabSwapGrantRef).Layout(c) }},
	{"xen_hvm_param", func(c *Codec) { new(HVMParam).Layout(c) }},
	{"xen_hvm_evtchn_upcall_vector", func(c *Codec) { new(HVMEvtchnUpcallVector).Layout(c) }},
	{"xen_hvm_pagetable_dying", func(c *Codec) { new(HVMPagetableDying).Layout(c) }},
	{"xen_hvm_get_time", func(c *Codec) { new(HVMGetTime).Layout(c) }},
	{"xen_hvm_get_mem_type", func(c *Codec) { new(HVMGetMemType).Layout(c) }},
	{"vcpu_hvm_x86_32", func(c *Codec) { new(VCPUHVMx86_32).Layout(c) }},
	{"vcpu_hvm_x86_64", func(c *Codec) { new(VCPUHVMx86_64).Layout(c) }},
	{"xen_memory_reservation", func(c *Codec) { new(MemoryReservation).Layout(c) }},
	{"xen_memory_domain", func(c *Codec) { new(MemoryDomain).Layout(c) }},
	{"xen_add_to_physmap", func(c *Codec) { new(AddToPhysmap).Layout(c) }},
	{"xen_add_to_physmap_batch", func(c *Codec) { new(AddToPhysmapBatch).Layout(c) }},
	{"xen_remove_from_physmap", func(c *Codec) { new(RemoveFromPhysmap).Layout(c) }},
	{"xen_memory_map", func(c *Codec) { new(MemoryMap).Layout(c) }},
	{"sched_shutdown", func(c *Codec) { new(SchedShutdown).Layout(c) }},
	{"sched_poll", func(c *Codec) { new(SchedPoll).Layout(c) }},
	{"sched_remote_shutdown", func(c *Codec) { new(SchedRemoteShutdown).Layout(c) }},
	{"sched_watchdog", func(c *Codec) { new(SchedWatchdog).Layout(c) }},
	{"hvm_start_info", func(c *Codec) { new(HVMStartInfo).Layout(c) }},
	{"hvm_modlist_entry", func(c *Codec) { new(HVMModlistEntry).Layout(c) }},
	{"hvm_memmap_table_entry", func(c *Codec) { new(HVMMemmapTableEntry).Layout(c) }},
	{"vcpu_runstate_info", func(c *Codec) { new(VCPURunstateInfo).Layout(c) }},
	{"vcpu_register_runstate_memory_area", func(c *Codec) { new(VCPURegisterArea).Layout(c) }},
	{"vcpu_register_time_memory_area", func(c *Codec) { new(VCPURegisterArea).Layout(c) }},
	{"vcpu_set_periodic_timer", func(c *Codec) { new(VCPUSetPeriodicTimer).Layout(c) }},
	{"vcpu_set_singleshot_timer", func(c *Codec) { new(VCPUSetSingleshotTimer).Layout(c) }},
	{"vcpu_register_vcpu_info", func(c *Codec) { new(VCPURegisterVCPUInfo).Layout(c) }},
	{"xen_feature_info", func(c *Codec) { new(FeatureInfo).Layout(c) }},
	{"xen_platform_parameters", func(c *Codec) { new(PlatformParameters).Layout(c) }},
	{"vcpu_time_info", func(c *Codec) { new(VCPUTimeInfo).Layout(c) }},
	{"multicall_entry", func(c *Codec) { new(MulticallEntry).Layout(c) }},
	{"xsd_sockmsg", func(c *Codec) { new(XSDSockmsg).Layout(c) }},
}

// walkedA64 are the structs that only arm64 has; notA64 begin the names of those that it lacks.
var walkedA64 = []struct {
	c    string
	walk func(*Codec)
}{
	{"vcpu_guest_core_regs", func(c *Codec) { new(VCPUGuestCoreRegs).Layout(c) }},
	{"vcpu_guest_context", func(c *Codec) { new(VCPUGuestContext).Layout(c) }},
}

var notA64 = []string{"vcpu_hvm_", "hvm_", "xen_hvm_evtchn", "xen_hvm_pagetable", "xen_hvm_get_"}

// walkedBy lists the structs of one ABI.
func walkedBy(a ABI) []struct {
	c    string
	walk func(*Codec)
} {
	if a != ABIA64 {
		return walked
	}
	out := slices.Clone(walkedA64)
	for _, w := range walked {
		if !slices.ContainsFunc(notA64, func(p string) bool { return strings.HasPrefix(w.c, p) }) {
			out = append(out, w)
		}
	}
	return out
}

func TestLayout_matchesC(t *testing.T) {
	for _, abi := range []struct {
		abi  ABI
		file string
	}{{ABI64, "layout64.golden"}, {ABI32, "layout32.golden"}, {ABIA64, "layouta64.golden"}} {
		golden := readLayout(t, abi.file)
		for _, w := range walkedBy(abi.abi) {
			t.Run(fmt.Sprintf("%s/%s", abi.file, w.c), func(t *testing.T) {
				want, ok := golden[w.c]
				if !ok {
					t.Fatalf("no golden layout")
				}
				var spans []span
				c := Sizer(abi.abi)
				c.trace = &spans
				w.walk(&c)
				if c.Size() != want.size {
					t.Errorf("size %d, C has %d", c.Size(), want.size)
				}
				matchSpans(t, spans, want.fields)
			})
		}
	}
}

// matchSpans checks that the spans, in order, tile the C fields exactly (an array field takes several).
func matchSpans(t *testing.T, spans []span, fields []cField) {
	t.Helper()
	i := 0
	for _, f := range fields {
		at := f.off
		for at < f.off+f.size && i < len(spans) && spans[i].off == at {
			at += spans[i].size
			i++
		}
		if at != f.off+f.size {
			t.Fatalf("field %s: C has %d+%d, walked up to %d (span %d of %v)", f.name, f.off, f.size, at, i, spans)
		}
	}
	if i != len(spans) {
		t.Errorf("%d spans beyond the C fields", len(spans)-i)
	}
}

func TestOffsets_matchC(t *testing.T) {
	for _, abi := range []struct {
		abi  ABI
		file string
	}{{ABI64, "layout64.golden"}, {ABI32, "layout32.golden"}, {ABIA64, "layouta64.golden"}} {
		golden := readLayout(t, abi.file)
		s := Shared(abi.abi)
		for _, x := range []struct {
			c, field string
			got      uint32
		}{
			{"shared_info", "evtchn_pending", s.EvtchnPending}, {"shared_info", "evtchn_mask", s.EvtchnMask},
			{"shared_info", "wc_version", s.WCVersion}, {"shared_info", "wc_sec", s.WCSec},
			{"shared_info", "wc_nsec", s.WCNsec}, {"shared_info", "xen_wc_sec_hi", s.WCSecHi},
			{"vcpu_info", "evtchn_pending_sel", s.PendingSel},
			{"vcpu_info", "evtchn_upcall_pending", VCPUInfoUpcallPending},
			{"vcpu_info", "time", s.InfoTime},
			{"evtchn_fifo_control_block", "ready", FIFOControlReady}, {"evtchn_fifo_control_block", "head", FIFOControlHead},
			{"grant_entry_v1", "flags", GrantEntryFlags}, {"grant_entry_v1", "frame", GrantEntryFrame},
			{"grant_entry_v2", "hdr.flags", GrantEntryFlags}, {"grant_entry_v2", "full_page.frame", GrantEntry2Frame},
			{"grant_entry_v2", "sub_page.page_off", GrantEntry2PageOff}, {"grant_entry_v2", "sub_page.length", GrantEntry2Length},
			{"grant_entry_v2", "sub_page.frame", GrantEntry2Frame},
			{"xencons_interface", "in", ConsoleIn}, {"xencons_interface", "out", ConsoleOut},
			{"xencons_interface", "in_cons", ConsoleInCons}, {"xencons_interface", "in_prod", ConsoleInProd},
			{"xencons_interface", "out_cons", ConsoleOutCons}, {"xencons_interface", "out_prod", ConsoleOutProd},
			{"xenstore_domain_interface", "req", XenstoreReq}, {"xenstore_domain_interface", "rsp", XenstoreRsp},
			{"xenstore_domain_interface", "req_cons", XenstoreReqCons}, {"xenstore_domain_interface", "req_prod", XenstoreReqProd},
			{"xenstore_domain_interface", "rsp_cons", XenstoreRspCons}, {"xenstore_domain_interface", "rsp_prod", XenstoreRspProd},
			{"xenstore_domain_interface", "server_features", XenstoreServerFeatures},
			{"xenstore_domain_interface", "connection", XenstoreConnection}, {"xenstore_domain_interface", "error", XenstoreError},
			{"vcpu_info", "evtchn_upcall_mask", VCPUInfoUpcallMask},
		} {
			found := x.field == "evtchn_upcall_mask" && !abi.abi.HasMask()
			for _, f := range golden[x.c].fields {
				if f.name == x.field {
					found = true
					if f.off != int(x.got) {
						t.Errorf("%s: %s.%s is %d, C has %d", abi.file, x.c, x.field, x.got, f.off)
					}
				}
			}
			if !found {
				t.Errorf("%s.%s: not in %s", x.c, x.field, abi.file)
			}
		}
		for c, n := range map[string]int{"vcpu_info": int(s.InfoSize), "vcpu_time_info": VCPUTimeInfoSize,
			"grant_entry_v1": GrantEntrySize, "grant_entry_v2": GrantEntry2Size, "evtchn_fifo_control_block": FIFOControlSize} {
			if golden[c].size != n {
				t.Errorf("sizeof %s is %d, C has %d", c, n, golden[c].size)
			}
		}
		for _, f := range golden["shared_info"].fields {
			if f.name == "vcpu_info" && f.size != s.InfoCount*int(s.InfoSize) {
				t.Errorf("%s: %d of %d bytes in shared_info, C has %d bytes", abi.file, s.InfoCount, s.InfoSize, f.size)
			}
		}
	}
}

// constants evaluates every constant of the package from its source.
func constants(t *testing.T) map[string]constant.Value {
	t.Helper()
	fset := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, n := range names {
		if strings.HasSuffix(n, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, n, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	conf := types.Config{Error: func(error) {}} // imports stay unresolved; constants do not need them
	pkg, _ := conf.Check("xen", fset, files, nil)
	out := map[string]constant.Value{}
	for _, n := range pkg.Scope().Names() {
		if c, ok := pkg.Scope().Lookup(n).(*types.Const); ok {
			out[n] = c.Val()
		}
	}
	return out
}

func TestConstants_matchC(t *testing.T) {
	got := constants(t)
	n := compareConstants(t, got, "testdata/constants.golden")
	if n < 400 {
		t.Errorf("only %d constants compared", n)
	}
	compareConstants(t, got, "testdata/constantsa64.golden")
}

func compareConstants(t *testing.T, got map[string]constant.Value, file string) int {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for sc := bufio.NewScanner(f); sc.Scan(); {
		w := strings.Fields(sc.Text())
		if len(w) != 2 {
			continue
		}
		n++
		v, ok := got[w[0]]
		if !ok {
			t.Errorf("%s is missing", w[0])
			continue
		}
		if v.ExactString() != w[1] {
			t.Errorf("%s is %s, C has %s", w[0], v.ExactString(), w[1])
		}
	}
	return n
}
