package decode

// rows3A is the MMX and SSE part of the 0F 3A map (SDM 2D tables ).
var rows3A = [...]sseRow{
	{0x08, pre66, ROUNDPS, FormX_XM_I, szX, KindX, KindX, 0},
	{0x09, pre66, ROUNDPD, FormX_XM_I, szX, KindX, KindX, 0},
	{0x0a, pre66, ROUNDSS, FormX_XM_I, szD, KindX, KindX, 0},
	{0x0b, pre66, ROUNDSD, FormX_XM_I, szQ, KindX, KindX, 0},
	{0x0c, pre66, BLENDPS, FormX_XM_I, szX, KindX, KindX, 0},
	{0x0d, pre66, BLENDPD, FormX_XM_I, szX, KindX, KindX, 0},
	{0x0e, pre66, PBLENDW, FormX_XM_I, szX, KindX, KindX, 0},
	{0x0f, preN, PALIGNR, FormX_XM_I, szQ, KindP, KindP, 0},
	{0x0f, pre66, PALIGNR, FormX_XM_I, szX, KindX, KindX, 0},
	{0x14, pre66, PEXTRB, FormXM_X_I, szNone, KindX, KindG, 0},
	{0x15, pre66, PEXTRW, FormXM_X_I, szW, KindX, KindG, 0},
	{0x16, pre66, PEXTRD, FormXM_X_I, szY, KindX, KindG, 0},
	{0x17, pre66, EXTRACTPS, FormXM_X_I, szD, KindX, KindG, 0},
	{0x20, pre66, PINSRB, FormX_XM_I, szNone, KindX, KindG, 0},
	{0x21, pre66, INSERTPS, FormX_XM_I, szD, KindX, KindX, 0},
	{0x22, pre66, PINSRD, FormX_XM_I, szY, KindX, KindG, 0},
	{0x40, pre66, DPPS, FormX_XM_I, szX, KindX, KindX, 0},
	{0x41, pre66, DPPD, FormX_XM_I, szX, KindX, KindX, 0},
	{0x42, pre66, MPSADBW, FormX_XM_I, szX, KindX, KindX, 0},
	{0x60, pre66, PCMPESTRM, FormX_XM_I, szX, KindX, KindX, 0},
	{0x61, pre66, PCMPESTRI, FormX_XM_I, szX, KindX, KindX, 0},
	{0x62, pre66, PCMPISTRM, FormX_XM_I, szX, KindX, KindX, 0},
	{0x63, pre66, PCMPISTRI, FormX_XM_I, szX, KindX, KindX, 0},
}
