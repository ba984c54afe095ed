package abi

import (
	"strings"

	"gozen/benches/guest/abi"
	"gozen/hypervisor/xen"
)

func versionRows() []row {
	return []row{{name: "xen_version", covers: []string{"xen_version/version", "xen_version/extraversion", "xen_version/compile_info",
		"xen_version/capabilities", "xen_version/changeset", "xen_version/platform_parameters", "xen_version/get_features", "xen_version/pagesize",
		"xen_version/guest_handle"}, guest: version}}
}

func version(p *abi.Prog) func(*guest) {
	const nr = xen.HYPERVISOR_xen_version
	v := p.Call(nr, xen.XENVER_version, 0)
	extra, compile, caps, change := p.Words(4), p.Words(18), p.Words(128), p.Words(8)
	uuid, params, denied := p.Words(2), p.Words(1), p.Words(2)
	features := p.Struct(&xen.FeatureInfo{})
	r := []abi.Addr{p.Call(nr, xen.XENVER_extraversion, extra), p.Call(nr, xen.XENVER_compile_info, compile),
		p.Call(nr, xen.XENVER_capabilities, caps), p.Call(nr, xen.XENVER_changeset, change),
		p.Call(nr, xen.XENVER_platform_parameters, params), p.Call(nr, xen.XENVER_get_features, features),
		p.Call(nr, xen.XENVER_guest_handle, uuid), p.Call(nr, xen.XENVER_commandline, denied)}
	size := p.Call(nr, xen.XENVER_pagesize, 0)
	badSize := p.Call(nr, xen.XENVER_pagesize, 8)
	badMap := p.Call(nr, xen.XENVER_get_features, p.Struct(&xen.FeatureInfo{SubmapIdx: 1}))
	id := p.Call(nr, xen.XENVER_build_id, 0)
	fault := p.Call(nr, xen.XENVER_extraversion, 1<<40)
	none := p.Call(nr, 99, 0)
	return func(g *guest) {
		g.is("version", v, 4<<16|17)
		g.ok("xen_version", r...)
		if s := g.text(extra); !strings.HasPrefix(s, ".") {
			g.t.Errorf("extra version %q", s)
		}
		if s := g.text(caps); !strings.Contains(s, "xen-3.0-x86_64") || !strings.Contains(s, "hvm-3.0-x86_64") {
			g.t.Errorf("capabilities %q", s)
		}
		if g.text(compile) == "" || g.text(compile+64) == "" || g.text(change) == "" {
			g.t.Error("compile info or changeset is empty")
		}
		g.is("first address of Xen", params, 0xffff800000000000)
		g.is("features", features, 0x12305<<32)
		if s := string(g.bytes(uuid, 16)); s != "\x12\x34\x56\x78\x9a\xbc\xde\xf0\x11\x22\x33\x44\x55\x66\x77\x88" {
			g.t.Errorf("guest handle % x", s)
		}
		if s := g.text(denied); s != "<denied>" {
			g.t.Errorf("command line %q", s)
		}
		g.is("page size", size, 4096)
		g.fails("page size with an argument", badSize, xen.EINVAL)
		g.fails("features of submap 1", badMap, xen.EINVAL)
		g.fails("build id", id, xen.EPERM)
		g.fails("an unwritable place", fault, xen.EFAULT)
		g.fails("operation 99", none, xen.ENOSYS)
	}
}
