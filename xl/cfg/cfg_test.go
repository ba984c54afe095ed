package cfg

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gozen/hypervisor/config"
)

func str(v Value) any {
	if !v.IsList {
		return v.Str
	}
	out := []any{}
	for _, e := range v.List {
		out = append(out, str(e))
	}
	return out
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, src string
		want      map[string]any
	}{
		{"empty", "", map[string]any{}},
		{"no newline at the end", `a = 1`, map[string]any{"a": "1"}},
		{"comment at the end without newline", "a=1\n# end", map[string]any{"a": "1"}},
		{"numbers", "a=10;b=0x1f;c=017", map[string]any{"a": "10", "b": "0x1f", "c": "017"}},
		{"quotes", `a="it's"; b='say "x"'`, map[string]any{"a": "it's", "b": `say "x"`}},
		{"escapes", `a="\x41\101\n\t\\\"\'"`, map[string]any{"a": "AA\n\t\\\"'"}},
		{"hash in string", `a="#b" # c` + "\n", map[string]any{"a": "#b"}},
		{"list", "a=[1,'b',]", map[string]any{"a": []any{"1", "b"}}},
		{"empty list", "a=[ ]", map[string]any{"a": []any{}}},
		{"list over lines", "a = [\n 1,\n # two\n 2\n ,\n]\nb=1", map[string]any{"a": []any{"1", "2"}, "b": "1"}},
		{"nested", "a=[[1,2],[3],]", map[string]any{"a": []any{[]any{"1", "2"}, []any{"3"}}}},
		{"last wins", "a=1\na=2", map[string]any{"a": "2"}},
		{"add string", "a='x'\na+='y'", map[string]any{"a": "xy"}},
		{"add list", "a=[1]\na+=[2]", map[string]any{"a": []any{"1", "2"}}},
		{"add to nothing", "a+=[2]", map[string]any{"a": []any{"2"}}},
		{"windows line ends", "a=1\r\nb=2\r\n", map[string]any{"a": "1", "b": "2"}},
		{"dotted key", "a.b_c1=1", map[string]any{"a.b_c1": "1"}},
		{"blank statements", ";;\n\n;a=1;;", map[string]any{"a": "1"}},
	} {
		got, err := Parse("F", []byte(c.src))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		m := map[string]any{}
		for _, s := range got.Settings {
			m[s.Key] = str(s.Value)
		}
		if d := cmp.Diff(c.want, m); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestParse_errors(t *testing.T) {
	for _, c := range []struct {
		src, want string
		col       int
		python    bool
	}{
		{"name = \"x\n", "F:1: config parsing error near `\"x': lexical error", 8, false},
		{"a=1\nb 2\n", "F:2: config parsing error near `2': syntax error, unexpected NUMBER", 3, false},
		{"a=\n", "F:1: config parsing error near <newline>: syntax error, unexpected NEWLINE", 3, false},
		{"a", "F:1: config parsing error near <newline>: syntax error, unexpected end of file", 2, false},
		{"a=1 b=2", "F:1: config parsing error near `b': syntax error, unexpected IDENT", 5, false},
		{"a=[1 2]", "F:1: config parsing error near `2': syntax error, unexpected NUMBER", 6, false},
		{"a=[1,,2]", "F:1: config parsing error near `,': syntax error, unexpected ','", 6, false},
		{"a=[1", "F:1: config parsing error near <newline>: syntax error, unexpected end of file", 5, false},
		{"Name='x'", "F:1: config parsing error near `Name='x'': lexical error", 1, false},
		{"a = 64 * 2", "F:1: config parsing error near `*': lexical error", 8, false},
		{"a = -1", "F:1: config parsing error near `-1': lexical error", 5, true},
		{"def f():\n  return 1", "F:1: config parsing error near `f': syntax error, unexpected IDENT", 5, true},
		{`a="\q"`, "F:1: config parsing error near `\"\\q\"': invalid character after backlash in quoted string", 3, false},
		{`a="\x4"`, "F:1: config parsing error near `\"\\x4\"': invalid digit after backslash hex numerical character escape in quoted string", 3, false},
		{"a=1\na+=[1]", "F:2: config parsing error near `a': can't add [list] to \"string\" or vice versa", 1, false},
		{"a=“x”", "F:1: config parsing error near `“x”': lexical error", 3, false},
		{strings.Repeat("[", 100), "F:1: config parsing error near `[': syntax error, unexpected '['", 1, false},
		{"a=" + strings.Repeat("[", 100), "F:1: config parsing error near `[': syntax error, unexpected '['", 35, false},
		{strings.Repeat("\n", maxSize+1), "F:1: config parsing error near <newline>: file too large", 1, false},
	} {
		_, err := Parse("F", []byte(c.src))
		es, ok := err.(*Errors)
		if !ok {
			t.Errorf("%.20q: %v", c.src, err)
			continue
		}
		if got := es.List[0].Error(); got != c.want || es.List[0].Col != c.col || es.Python != c.python || es.List[0].Hint == "" {
			t.Errorf("%.20q: %q column %d python %v", c.src, got, es.List[0].Col, es.Python)
		}
	}
}

func TestParse_manyErrors(t *testing.T) {
	_, err := Parse("F", []byte(strings.Repeat("=\n", 1000)))
	if es := err.(*Errors); len(es.List) != maxErrors || es.List[7].Line != 8 {
		t.Errorf("%d errors", len(es.List))
	}
}

func understand(t *testing.T, src string) (*Result, error) {
	t.Helper()
	c, err := Parse("F", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return c.Domain()
}

func TestDomain(t *testing.T) {
	const base = "name='n'\ntype='pvh'\nkernel='k'\nmemory=64\nuuid='11111111-2222-3333-4444-555555555555'\n"
	want := func(f func(*config.Domain)) config.Domain {
		d := config.Domain{Name: "n", Type: config.PVH, Kernel: "k", MemoryMiB: 64, UUID: "11111111-2222-3333-4444-555555555555"}
		d.VCPUs = 1
		f(&d)
		d.Complete()
		return d
	}
	for _, c := range []struct {
		src  string
		want config.Domain
		warn string
	}{
		{"", want(func(*config.Domain) {}), ""},
		{"vcpus=4\nmaxvcpus=8\nmaxmem=0x80", want(func(d *config.Domain) { d.VCPUs, d.MaxVCPUs, d.MaxMemoryMiB = 4, 8, 128 }), ""},
		{"vcpus=0", want(func(*config.Domain) {}), ""},
		{"root='/dev/xvda'\nextra='ro'", want(func(d *config.Domain) { d.Cmdline = "root=/dev/xvda ro" }), ""},
		{"root='/dev/xvda'", want(func(d *config.Domain) { d.Cmdline = "root=/dev/xvda" }), ""},
		{"cmdline='c'\nextra='ro'", want(func(d *config.Domain) { d.Cmdline = "c" }), "Warning: ignoring root= and extra= in favour of cmdline="},
		{"on_crash='preserve'", want(func(d *config.Domain) { d.OnCrash = config.Preserve }), ""},
		{"tsc_mode='native'", want(func(d *config.Domain) { d.TSCMode = config.TSCNative }), ""},
		{"tsc_mode=1", want(func(d *config.Domain) { d.TSCMode = config.TSCAlwaysEmulate }), `e.g. tsc_mode="always_emulate"`},
		{"cpuid='host,aes=0'", want(func(d *config.Domain) { d.CPUID = []string{"host,aes=0"} }), "ignored: cpuid"},
		{"cpuid=['1:ecx=x','2:eax=0']", want(func(d *config.Domain) { d.CPUID = []string{"1:ecx=x", "2:eax=0"} }), "ignored: cpuid"},
		{"memory_backing='hugetlb'\nmemory_prealloc=1", want(func(d *config.Domain) { d.MemoryBacking, d.MemoryPrealloc = "hugetlb", true }), ""},
		{"engine='soft'\ndeterministic=1", want(func(d *config.Domain) { d.Engine, d.Deterministic = "soft", true }), ""},
		{"rtc_timeoffset='-3600'\nlocaltime=1", want(func(d *config.Domain) { d.RTCOffset, d.LocalTime = -3600, true }), ""},
		{"acpi=0", want(func(d *config.Domain) { d.NoACPI = true }), ""},
		{"max_event_channels=64", want(func(d *config.Domain) { d.MaxEventChannels = 64 }), ""},
		{"maxcpus=3", want(func(*config.Domain) {}), `F:6: warning: unknown key "maxcpus" ignored: did you mean "maxvcpus"?`},
		{"zzyzx=3", want(func(*config.Domain) {}), `F:6: warning: unknown key "zzyzx" ignored`},
		{"disk=['phy:/x,xvda,w']\np9=['']", want(func(d *config.Domain) { d.Disks = []config.Disk{{Path: "/x", Vdev: "xvda"}} }), "not available yet, ignored: p9 (line 7)"},
		{"vif=['', 'bridge=br1,mac=00:16:3e:00:00:01']", want(func(d *config.Domain) {
			d.NICs = []config.NIC{{Bridge: "xenbr0"}, {ID: 1, Bridge: "br1", MAC: "00:16:3e:00:00:01"}}
		}), ""},
		{"vnc=0\nsdl=0\ndisk=[]", want(func(*config.Domain) {}), ""},
		{"seclabel='x'", want(func(*config.Domain) {}), "without meaning here, ignored: seclabel (line 6)"},
		{"pci=[]", want(func(*config.Domain) {}), ""},
	} {
		got, err := understand(t, base+c.src+"\n")
		if err != nil {
			t.Errorf("%q: %v", c.src, err)
			continue
		}
		if d := cmp.Diff(c.want, got.Domain); d != "" {
			t.Errorf("%q: %s", c.src, d)
		}
		if w := strings.Join(got.Warnings, "\n"); c.warn == "" && w != "" || !strings.Contains(w, c.warn) {
			t.Errorf("%q: warnings %q", c.src, w)
		}
	}
}

func TestDomain_builder(t *testing.T) {
	for src, want := range map[string]config.Type{"kernel='k'": config.PV, "builder='generic'\nkernel='k'": config.PV,
		"builder='hvm'\nkernel='/usr/lib/xen/boot/hvmloader'": config.HVM, "pvh=1\nkernel='k'": config.PVH} {
		got, err := understand(t, "name='n'\nmemory=64\n"+src+"\n")
		if err != nil || got.Domain.Type != want {
			t.Errorf("%q: %v, %v", src, got.Domain.Type, err)
		}
	}
}

// TestDomain_bootloader gives the arguments as libxl does: kernel and ramdisk name files in the disk.
func TestDomain_bootloader(t *testing.T) {
	const base = "name='n'\nmemory=64\ndisk=['/d,raw,xvda,rw']\nbootloader='pygrub'\n"
	for _, c := range []struct{ src, args, cmdline, warn string }{
		{"", "", "", ""},
		{"bootloader_args=['--entry=1', '--args=x y']\nroot='/dev/xvda1'\nextra='ro'\n", "--entry=1|--args=x y", "root=/dev/xvda1 ro", ""},
		{"bootloader_args='--entry=1  -q'\n", "--entry=1|-q", "", ""},
		{"kernel='/k'\nramdisk='r'\nbootloader_args=['-q']\n", "--kernel=/k|--ramdisk=r|-q", "", "kernel= names a file in the domain's first disk"},
	} {
		got, err := understand(t, base+c.src)
		d := got.Domain
		if err != nil || d.Bootloader != "pygrub" || d.Kernel+d.Ramdisk != "" || strings.Join(d.BootloaderArgs, "|") != c.args || d.Cmdline != c.cmdline {
			t.Errorf("%q: %+v %v", c.src, d, err)
		}
		if w := strings.Join(got.Warnings, "\n"); c.warn == "" && w != "" || !strings.Contains(w, c.warn) {
			t.Errorf("%q: warnings %q", c.src, w)
		}
	}
	for src, warn := range map[string]string{base + "type='hvm'\n": "an HVM domain has no bootloader=", "name='n'\nmemory=64\nkernel='k'\nbootloader_args=['x']\n": "bootloader_args without bootloader"} {
		got, err := understand(t, src)
		if w := strings.Join(got.Warnings, "\n"); err != nil || got.Domain.Bootloader != "" || !strings.Contains(w, warn) {
			t.Errorf("%q: %v, warnings %q", src, err, w)
		}
	}
}

func TestDomain_errors(t *testing.T) {
	const base = "name='n'\ntype='pvh'\nkernel='k'\nmemory=64\n"
	for _, c := range []struct{ src, field, what string }{
		{"type='bogus'", "type", "Invalid domain type bogus."},
		{"builder='hvm'", "builder", `Contradicting "builder" and "type" options specified.`},
		{"builder='x'", "builder", "Invalid domain type x."},
		{"kernel=''", "kernel", "Neither kernel nor bootloader specified"},
		{"name=''", "name", "Domain name must be specified."},
		{"on_crash='explode'", "on_crash", `Unknown on_crash action "explode" specified`},
		{"on_crash=''", "on_crash", `Unknown on_crash action "" specified`},
		{"memory='much'", "memory", "parameter `memory' is not a valid number: \"much\""},
		{"memory=99999999999999999999", "memory", "parameter `memory' is not a valid number: \"99999999999999999999\""},
		{"memory=[1]", "memory", "parameter `memory' is a list but should be a single value"},
		{"memory='0b11'", "memory", "parameter `memory' is not a valid number: \"0b11\""},
		{"maxmem=32", "maxmem", "maxmem (32 MiB) is less than memory (64 MiB)"},
		{"vcpus=200", "vcpus", "vcpus = 200 is too many"},
		{"vcpus=4\nmaxvcpus=2", "maxvcpus", "maxvcpus (2) < vcpus (4)"},
		{"uuid='x'", "uuid", "Failed to parse UUID: x"},
		{"tsc_mode='fast'", "tsc_mode", `ERROR: invalid value "fast" for "tsc_mode"`},
		{"engine='x'", "engine", `unknown engine "x"`},
		{"memory_backing='swap'", "memory_backing", `unknown memory_backing "swap"`},
		{"memory_prealloc='yes'", "memory_prealloc", "parameter `memory_prealloc' is not a valid number: \"yes\""},
		{"engine='kvm'\ndeterministic=1", "deterministic", `deterministic mode is not possible with engine = "kvm"`},
		{"pci=['01:00.0']", "pci", "pci cannot be had here"},
		{"acpi=2", "acpi", "parameter `acpi' is out of range: 2"},
		{"kernel=''\nbootloader='pygrub'", "bootloader", "cannot run bootloader with no boot disk"},
		{"kernel=''\ndisk=['/d,raw,xvda,rw']\nbootloader='pvgrub64'", "bootloader", `bootloader "pvgrub64" cannot be had`},
		{"kernel=''\ndisk=['/d,raw,xvda,rw']\nbootloader='pygrub'\nbootloader_args=['--foo']", "bootloader_args", `bootloader argument "--foo" cannot be had`},
	} {
		res, err := understand(t, base+c.src+"\n")
		es := config.Errors(err)
		if len(es) != 1 || es[0].Field != c.field || es[0].What != c.what {
			t.Errorf("%q: %v", c.src, err)
			continue
		}
		if es[0].Fix == "" || !strings.HasPrefix(res.At(c.field), "F:") {
			t.Errorf("%q: nothing to do, or no place: %+v %q", c.src, es[0], res.At(c.field))
		}
	}
}

func TestKeys_eachOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, list := range keyClasses {
		for _, k := range strings.Fields(list) {
			if seen[k] {
				t.Errorf("%s has two classes", k)
			}
			seen[k] = true
		}
	}
}

func TestSuggest(t *testing.T) {
	for in, want := range map[string]string{"memroy": "memory", "vcpu": "vcpus", "initrd": "ramdisk", "on_crsh": "on_crash",
		"kernal": "kernel", "maxcpus": "maxvcpus", "qqqqqq": ""} {
		if got := Suggest(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "a=1\n", "name = \"x\n", "a=[[1,'b',],\n]\n", `a="\x41\101\q"`, "a+=[1];a+='x'", "disk=['phy:/x,xvda,w']\n",
		"#", "import os\n", "memory=0x\ntype='pvh'\n", "a=\"\\", "a='\\x4'"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := Parse("F", src)
		if err != nil {
			es, ok := err.(*Errors)
			if !ok || len(es.List) == 0 || len(es.List) > maxErrors {
				t.Fatalf("odd error %T %v", err, err)
			}
			return
		}
		if res, err := c.Domain(); err == nil {
			if err := res.Domain.Validate(); err != nil {
				t.Fatalf("accepted, but not valid: %v", err)
			}
		}
	})
}
