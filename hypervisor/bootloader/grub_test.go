package bootloader

import (
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"testing"

	"gozen/hypervisor/bootloader/ext4"
)

// memFS is a file system in memory.
type memFS map[string]string

func (m memFS) open(p string) (io.ReaderAt, int64, error) {
	s, ok := m[path.Join("/", p)]
	if !ok {
		return nil, 0, errors.New(p + ": " + ext4.ErrNotFound.Error())
	}
	return strings.NewReader(s), int64(len(s)), nil
}

func (m memFS) List(dir string) (out []string, err error) {
	dir = strings.TrimSuffix(path.Join("/", dir), "/") + "/"
	for p := range m {
		if rest, ok := strings.CutPrefix(p, dir); ok {
			name, _, _ := strings.Cut(rest, "/")
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	if out == nil {
		return nil, ext4.ErrNotFound
	}
	slices.Sort(out)
	return out, nil
}

// memDisk has the volumes hd0,gpt1, hd0,gpt2 ... with the UUIDs u1, u2 ... and the labels l1, l2 ...
func memDisk(systems ...memFS) *disk {
	d := &disk{meter: &meter{left: findBudget}}
	for i, m := range systems {
		n := string(rune('1' + i))
		d.volumes = append(d.volumes, &volume{name: "hd0,gpt" + n, kind: "ext4", uuid: "u" + n, label: "l" + n, fs: m})
	}
	return d
}

// start tells what a disk starts, in words.
func start(t *testing.T, d *disk, want string) (string, error) {
	t.Helper()
	m, err := d.menu()
	if err != nil {
		return "", err
	}
	it, at, err := m.choose(want)
	if err != nil {
		return "", err
	}
	p, err := it.load()
	if err != nil {
		return "", err
	}
	s := at.Title + ": " + p.kernel.String()
	for _, i := range p.initrds {
		s += "+" + i.String()
	}
	return s + " [" + p.cmdline + "]", nil
}

// TestGrub_language executes entries whose command line tells what happened before.
func TestGrub_language(t *testing.T) {
	env := "# GRUB Environment Block\nsaved_entry=two\nnext_entry=three\nodd=a\\\\b\\\nc\n####"
	tests := map[string]struct{ conf, want string }{
		"set":            {`set a=1; b=2; set c="$a ${a}x\$a"`, `1 1x$a`},
		"quotes":         {`set c='$a "x" \y'`, `$a "x" \y`},
		"escape":         {`set c=a\ b\;c`, `a b;c`},
		"dollar":         {`set c=a$/b`, `a$/b`},
		"continued":      {"set c=a\\\nb", `ab`},
		"comment":        {"set c=1 # set c=2\n#set c=3", `1`},
		"not a comment":  {"set c=a#b", `a#b`},
		"unset":          {`set c=1; unset c`, ``},
		"if":             {`if true; then set c=1; else set c=2; fi`, `1`},
		"else":           {`if false; then set c=1; else set c=2; fi`, `2`},
		"elif":           {"if false\nthen set c=1\nelif [ a = a ]\nthen set c=2; elif true; then set c=4\nelse set c=3; fi", `2`},
		"nested":         {`if true; then if false; then c=1; else c=2; fi; fi`, `2`},
		"unquoted empty": {`if [ x$nothing = x ]; then set c=1; fi`, `1`},
		"quoted empty":   {`if [ "$nothing" ]; then set c=1; else set c=2; fi`, `2`},
		"split":          {`set w="b c"; for i in a $w "d e"; do set c="$c<$i>"; done`, `<a><b><c><d e>`},
		"while":          {`set n=0; while [ $n -lt 3 ]; do increment n; set c=$c$n; done`, `123`},
		"until":          {`set n=0; until [ $n -ge 3 ]; do increment n; set c=$c$n; done`, `123`},
		"break":          {`for i in 1 2 3 4; do if [ $i = 2 ]; then continue; fi; if [ $i = 4 ]; then break; fi; set c=$c$i; done`, `13`},
		"function":       {`function f { set c="$1+$2+$#"; return 1; set c=no; }; if f x "y z"; then set c=no; fi`, `x+y z+2`},
		"function line":  {"function f\n{\n set c=1\n}\nf", `1`},
		"status":         {`false; set c=$?; true; set c=$c$?`, `10`},
		"unknown":        {`nonsense --with args; set c=$?`, `1`},
		"and or":         {`if [ a = b -o "(" x -a ! -z y ")" ]; then set c=1; fi`, `1`},
		"not":            {`if [ ! a = a ]; then set c=1; else set c=2; fi`, `2`},
		"numbers":        {`if test 10 -gt 9 -a 3 -ne 4 -a 2 -le 2 -a 2 -eq 02; then set c=1; fi`, `1`},
		"strings":        {`if test 10 "<" 9 -a a != b; then set c=1; fi`, `1`},
		"files":          {`if [ -f /vmlinuz -a -s /boot/grub/grub.cfg -a -d /boot -a ! -e /none -a -e (hd0,gpt2)/other ]; then set c=1; fi`, `1`},
		"bad test":       {`if [ a = a; then set c=1; elif [ ( a ]; then set c=2; else set c=3; fi`, `3`},
		"search uuid":    {`search --no-floppy --fs-uuid --set=c --hint-bios=hd0,gpt9 --hint hd0,gpt8 U2`, `hd0,gpt2`},
		"search label":   {`search -l --set=c l2`, `hd0,gpt2`},
		"search file":    {`search -f --set=c /other`, `hd0,gpt2`},
		"search none":    {`search.fs_uuid u9 c; set c=$c$?`, `1`},
		"search short":   {`search.fs_uuid u2 c hd0,gpt2`, `hd0,gpt2`},
		"load_env":       {`load_env; set c="$saved_entry,$next_entry,$odd"`, "two,,a\\b\nc"},
		"load_env some":  {`load_env --file $prefix/grubenv odd; set c="$saved_entry,$odd"`, ",a\\b\nc"},
		"source":         {`source /extra.cfg`, `extra`},
		"no source":      {`source /none.cfg; set c=$?`, `1`},
		"platform":       {`if [ x$grub_platform = xxen -a x$feature_menuentry_id = xy ]; then set c=$grub_cpu; fi`, `x86_64`},
		"block":          {`{ set c=1; set c=${c}2; }`, `12`},
		"carriage":       {"set c=1\r\n", `1`},
		"braces":         {`set c=${}a`, `$`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			conf := tt.conf + "\nmenuentry x { linux /vmlinuz $c\n }"
			if tt.want != "" && strings.ContainsAny(tt.want, " \n\\\"") {
				conf = tt.conf + "\nmenuentry x { linux /vmlinuz \"$c\"\n }"
			}
			d := memDisk(memFS{"/boot/grub/grub.cfg": conf, "/boot/grub/grubenv": env, "/vmlinuz": "k", "/extra.cfg": "set c=extra"}, memFS{"/other": "k"})
			m, err := d.menu()
			if err != nil {
				t.Fatal(err)
			}
			p, err := m.items[0].load()
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if strings.Contains(want, " ") {
				want = join([]string{want})
			}
			if p.cmdline != want {
				t.Errorf("%q, want %q", p.cmdline, want)
			}
		})
	}
}

// debian is shaped like what update-grub makes.
const debian = `
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "${next_entry}" ] ; then
   set default="${next_entry}"
else
   set default="DEFAULT"
fi
if [ x"${feature_menuentry_id}" = xy ]; then
  menuentry_id_option="--id"
else
  menuentry_id_option=""
fi
export menuentry_id_option
function load_video { insmod all_video; }
if [ x$feature_default_font_path = xy ] ; then font=unicode; else font="/usr/share/grub/unicode.pf2"; fi
if loadfont $font ; then
  set gfxmode=auto
  terminal_output gfxterm
fi
menuentry 'Debian GNU/Linux' --class debian --class os $menuentry_id_option 'gnulinux-simple-u2' {
	load_video
	set root='hd0,gpt9'
	if [ x$feature_platform_search_hint = xy ]; then
	  search --no-floppy --fs-uuid --set=root --hint-bios=hd0,gpt2 --hint-efi=hd0,gpt2  u2
	else
	  search --no-floppy --fs-uuid --set=root u2
	fi
	echo	'Loading Linux 6.1 ...'
	linux	/boot/vmlinuz-6.1 root=UUID=u2 ro  quiet "dyndbg=file x +p"
	initrd	/boot/ucode.img /boot/initrd.img-6.1
}
submenu 'Advanced options' $menuentry_id_option 'advanced' {
	menuentry 'Linux 6.1' --class os $menuentry_id_option 'linux-6.1' {
		search --no-floppy --fs-uuid --set=root u2
		linux	/boot/vmlinuz-6.1 one
	}
	submenu 'more' { menuentry 'Linux 6.1 (recovery mode)' $menuentry_id_option=rec { search -u u2; linux /boot/vmlinuz-6.1 single
	} }
}
menuentry 'UEFI Firmware Settings' $menuentry_id_option 'uefi-firmware' { fwsetup
}
menuentry 'Lost' { linux /boot/none
}
`

func TestGrub_choice(t *testing.T) {
	const first = `Debian GNU/Linux: (hd0,gpt2)/boot/vmlinuz-6.1+(hd0,gpt2)/boot/ucode.img+(hd0,gpt2)/boot/initrd.img-6.1 [root=UUID=u2 ro quiet "dyndbg=file x +p"]`
	const one = `Advanced options>Linux 6.1: (hd0,gpt2)/boot/vmlinuz-6.1 [one]`
	const recovery = `Advanced options>more>Linux 6.1 (recovery mode): (hd0,gpt2)/boot/vmlinuz-6.1 [single]`
	for name, tt := range map[string]struct{ standard, want, out, err string }{
		"first": {"0", "", first, ""}, "none": {"", "", first, ""}, "beyond": {"17", "", first, ""}, "submenu": {"1", "", one, ""}, "way": {"1>1", "", recovery, ""},
		"titles": {"Advanced options>more>Linux 6.1 (recovery mode)", "", recovery, ""}, "ids": {"advanced>linux-6.1", "", one, ""}, "saved": {"${saved_entry}", "", one, ""},
		"number": {"0", "1", one, ""}, "number 2": {"0", "2", recovery, ""}, "id": {"0", "linux-6.1", one, ""}, "title": {"1", "Debian GNU/Linux", first, ""},
		"full title": {"0", "Advanced options>Linux 6.1", one, ""}, "other": {"0", "1>1>0", recovery, ""},
		"wrong": {"0", "nonsense", "", `has no entry "nonsense"`}, "too high": {"0", "5", "", `has no entry "5" (choose one of 0 "Debian GNU/Linux", 1 "Advanced options>Linux 6.1"`},
		"firmware": {"0", "uefi-firmware", "", "it is for fwsetup"}, "lost": {"0", "Lost", "", "(hd0,gpt1)/boot/none: no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			d := memDisk(memFS{"/grub/grub.cfg": strings.ReplaceAll(debian, "DEFAULT", tt.standard), "/grub/grubenv": "# GRUB Environment Block\nsaved_entry=advanced>linux-6.1\nnext_entry=2\n"},
				memFS{"/boot/vmlinuz-6.1": "k", "/boot/initrd.img-6.1": "i", "/boot/ucode.img": "u"})
			out, err := start(t, d, tt.want)
			if out != tt.out || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s %v\nwant %s %s", out, err, tt.out, tt.err)
			}
		})
	}
}

// TestGrub_stub follows the configuration of an EFI system partition to the real one.
func TestGrub_stub(t *testing.T) {
	d := memDisk(memFS{"/EFI/debian/grub.cfg": "search.fs_uuid u2 root hd0,gpt2 \nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n"},
		memFS{"/boot/grub/grub.cfg": "menuentry a { linux ($root)/k x\n}", "/k": "k"})
	m, err := d.menu()
	if err != nil {
		t.Fatal(err)
	}
	if s := m.config.String(); s != "(hd0,gpt2)/boot/grub/grub.cfg" {
		t.Error(s)
	}
	if out, err := start(t, d, ""); out != "a: (hd0,gpt2)/k [x]" {
		t.Error(out, err)
	}
}

// TestGrub_bls reads what Fedora has.
func TestGrub_bls(t *testing.T) {
	d := memDisk(memFS{"/grub2/grub.cfg": "set kernelopts=\"root=x ro\"\nload_env\nblscfg\nset default=\"${saved_entry}\"\n", "/grub2/grubenv": "# GRUB Environment Block\nsaved_entry=m-6.2-fc\n",
		"/loader/entries/m-6.10-fc.conf": "title Ten\nversion 6.10\nlinux /vmlinuz-6.10\ninitrd /i-6.10 $tuned_initrd\noptions $kernelopts $tuned_params\n",
		"/loader/entries/m-6.2-fc.conf":  "title Two\nversion 6.2\nlinux /vmlinuz-6.2\ninitrd /i-6.2\noptions $kernelopts two\n"})
	for want, out := range map[string]string{"": "Two: (hd0,gpt1)/vmlinuz-6.2+(hd0,gpt1)/i-6.2 [root=x ro two]", "0": "Ten: (hd0,gpt1)/vmlinuz-6.10+(hd0,gpt1)/i-6.10 [root=x ro ]"} {
		if got, err := start(t, d, want); got != out {
			t.Errorf("%s %v, want %s", got, err, out)
		}
	}
}

// TestGrub_bounds stops programs that would not end.
func TestGrub_bounds(t *testing.T) {
	entry := "\nmenuentry x { linux /vmlinuz\n}"
	for name, conf := range map[string]string{
		"while":      "while true; do set a=1; done",
		"nothing":    "while true; do true; done",
		"recursion":  "function f { f; }; f",
		"self":       "source /boot/grub/grub.cfg",
		"double":     "set a=aaaaaaaaaaaaaaaa\nwhile true; do set a=\"$a$a\"; done",
		"variables":  "set n=0\nwhile true; do increment n; set s=\"$s.\"; for i in $s$s; do true; done; done",
		"deep":       strings.Repeat("if true; then ", 1000) + strings.Repeat("fi;", 1000),
		"elif":       "if false; then true; " + strings.Repeat("elif false; then true; ", 1000) + "fi",
		"braces":     strings.Repeat("{ ", 1000),
		"test":       "if [ " + strings.Repeat("( ", 1000) + " ]; then true; fi; if [ " + strings.Repeat("! ", 1000) + " ]; then true; fi; while true; do true; done",
		"entries":    "while true; do menuentry x { true; }; done",
		"submenus":   "function f { submenu x { f; }; }; f",
		"wide":       "function f { for i in 1 2 3 4 5 6 7 8 9; do submenu x { f; }; done; }; f",
		"unfinished": "if true; then",
		"quote":      "set a='x",
		"brace":      "}",
		"no block":   "function f }",
		"no block 2": "function f \n;;x",
	} {
		t.Run(name, func(t *testing.T) {
			d := memDisk(memFS{"/boot/grub/grub.cfg": conf + entry, "/vmlinuz": "k"})
			out, err := start(t, d, "")
			if err == nil {
				t.Errorf("%s; it has to be refused", out)
			}
		})
	}
	// An entry that does not end is an error of that entry.
	d := memDisk(memFS{"/boot/grub/grub.cfg": "menuentry x { while true; do true; done; }", "/vmlinuz": "k"})
	if _, err := start(t, d, ""); !errors.Is(err, errBounds) {
		t.Error(err)
	}
}

func FuzzGrubCfg(f *testing.F) {
	f.Add(debian, "saved_entry=1")
	f.Add(`for i in a $x "b c"; do set c="$c<$i>"; if [ $i = a -o ! -z "$1" ]; then continue; fi; done; blscfg; function f { return 1; }; menuentry x --id=y { linux /vmlinuz $*; initrd /a /b
}`, "a=b")
	f.Add("search.fs_uuid u1 root; set prefix=($root)'/g'; source $prefix/x; submenu \"$a\" { menuentry b { linuxefi /vmlinuz\n} }; set default=0\\>0; load_env -f /e a", "")
	f.Fuzz(func(t *testing.T, conf, env string) {
		d := memDisk(memFS{"/boot/grub/grub.cfg": conf, "/boot/grub/grubenv": "# GRUB Environment Block\n" + env, "/vmlinuz": "k", "/boot/vmlinuz-6.1": "k", "/boot/initrd.img-6.1": "i",
			"/loader/entries/a.conf": env, "/x": env})
		m, err := d.menu()
		if err != nil {
			return
		}
		it, at, err := m.choose("")
		if err != nil {
			return
		}
		p, err := it.load()
		if err != nil {
			return
		}
		if p.kernel.v == nil || at.Number < 0 {
			t.Fatalf("%+v", p)
		}
		var e Entry
		_ = d.fill(&e, p, &Options{})
		if len(e.Cmdline) > maxCmdline {
			t.Fatalf("a command line of %d bytes", len(e.Cmdline))
		}
	})
}
