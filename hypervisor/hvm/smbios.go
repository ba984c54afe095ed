package hvm

// smbios gives an entry point and the structures behind it, as they must lie at address at (SMBIOS 2.4; strings as hvmloader's).
func smbios(c PlanConfig, at uint32) []byte {
	const entrySize = 31
	var body []byte
	n, largest := uint16(0), 0
	add := func(typ byte, fields []byte, texts ...string) {
		s := append([]byte{typ, byte(4 + len(fields)), byte(n), byte(n >> 8)}, fields...)
		for _, t := range texts {
			s = append(append(s, t...), 0)
		}
		if len(texts) == 0 {
			s = append(s, 0)
		}
		s = append(s, 0)
		largest = max(largest, len(s))
		body = append(body, s...)
		n++
	}
	// BIOS: vendor, version, segment, date, size; characteristics not supported; no extension but "virtual machine".
	add(0, []byte{1, 2, 0, 0xe8, 3, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0x14, 4, 17, 0xff, 0xff}, "Xen", "4.17", "01/01/2024")
	// System: manufacturer, product, version, serial, UUID, woken by the power switch.
	u := c.UUID
	id := []byte{u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6]}
	fields := append(append([]byte{1, 2, 3, 4}, append(id, u[8:]...)...), 6, 0, 0)
	add(1, fields, "Xen", "HVM domU", "4.17", uuidText(u))
	add(3, []byte{1, 1, 0, 0, 0, 2, 2, 2, 2}, "Xen") // enclosure, of another kind
	add(32, []byte{0, 0, 0, 0, 0, 0, 0})
	add(127, nil)

	e := make([]byte, entrySize)
	copy(e, "_SM_")
	e[5], e[6], e[7] = entrySize, 2, 4
	le.PutUint16(e[8:], uint16(largest))
	copy(e[16:], "_DMI_")
	le.PutUint16(e[22:], uint16(len(body)))
	le.PutUint32(e[24:], at+entrySize+1)
	le.PutUint16(e[28:], n)
	e[30] = 0x24
	e[21] = sum(e[16:])
	e[4] = sum(e)
	return append(append(e, 0), body...)
}

// sum gives the byte that makes the sum of b zero.
func sum(b []byte) (s byte) {
	for _, c := range b {
		s -= c
	}
	return s
}

func uuidText(u [16]byte) string {
	const digits = "0123456789abcdef"
	var b []byte
	for i, c := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, digits[c>>4], digits[c&15])
	}
	return string(b)
}
