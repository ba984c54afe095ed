package soft

import (
	"maps"

	"gozen/hypervisor/x86/decode"
)

// fpuHandlers gives the handlers of x87, MMX and SSE instructions.
func fpuHandlers() map[decode.Op]handler {
	t := map[decode.Op]handler{
		decode.FXSAVE:  opFxsave,
		decode.FXRSTOR: opFxrstor,
		decode.LDMXCSR: opLdmxcsr,
		decode.STMXCSR: opStmxcsr,
		decode.WAIT:    opWait,
		decode.X87:     opX87,
		decode.EMMS:    opEmms,
	}
	maps.Copy(t, moveHandlers())
	maps.Copy(t, laneHandlers())
	maps.Copy(t, shuffleHandlers())
	maps.Copy(t, floatHandlers())
	return t
}

func moveHandlers() map[decode.Op]handler {
	return map[decode.Op]handler{
		decode.MOVUPS:     moveX(false),
		decode.MOVDQU:     moveX(false),
		decode.LDDQU:      moveX(false),
		decode.MOVAPS:     moveX(true),
		decode.MOVDQA:     moveX(true),
		decode.MOVNTPS:    moveX(true),
		decode.MOVNTDQA:   moveX(true),
		decode.MOVSS:      opMovss,
		decode.MOVSD:      opMovss,
		decode.MOVLPS:     opMovlps,
		decode.MOVHPS:     opMovhps,
		decode.MOVD:       opMovd,
		decode.MOVQ:       opMovq,
		decode.MOVNTQ:     opMovq,
		decode.MOVQ2DQ:    opMovq2dq,
		decode.MOVDQ2Q:    opMovdq2q,
		decode.MOVDDUP:    opMovddup,
		decode.MOVSLDUP:   vector(movsldup),
		decode.MOVSHDUP:   vector(movshdup),
		decode.PMOVMSKB:   opPmovmskb,
		decode.MOVMSKPS:   opMovmskps,
		decode.MOVMSKPD:   opMovmskpd,
		decode.MASKMOVQ:   opMaskmov,
		decode.MASKMOVDQU: opMaskmov,
		decode.PEXTRB:     opPextrb,
		decode.PEXTRW:     opPextrw,
		decode.PEXTRD:     opPextrd,
		decode.EXTRACTPS:  opExtractps,
		decode.PINSRB:     opPinsrb,
		decode.PINSRW:     opPinsrw,
		decode.PINSRD:     opPinsrd,
		decode.INSERTPS:   opInsertps,
	}
}

func laneHandlers() map[decode.Op]handler {
	t := map[decode.Op]handler{
		decode.PSLLW:      shift(psllw),
		decode.PSLLD:      shift(pslld),
		decode.PSLLQ:      shift(psllq),
		decode.PSRLW:      shift(psrlw),
		decode.PSRLD:      shift(psrld),
		decode.PSRLQ:      shift(psrlq),
		decode.PSRAW:      shift(psraw),
		decode.PSRAD:      shift(psrad),
		decode.PSLLDQ:     opPslldq,
		decode.PSRLDQ:     opPsrldq,
		decode.PHMINPOSUW: vector(phminposuw),
		decode.MPSADBW:    vectorImm(mpsadbw),
		decode.PTEST:      opPtest,
	}
	logic := map[decode.Op]func(a, b uint64) uint64{decode.ANDPS: pand, decode.ANDNPS: pandn, decode.ORPS: por, decode.XORPS: pxor}
	for op, f := range logic {
		t[op] = vector(func(a, b vec) vec { return vec{f(a[0], b[0]), f(a[1], b[1])} })
	}
	for op, f := range laneFuncs() {
		t[op] = lanewise(f)
	}
	return t
}

func laneFuncs() map[decode.Op]func(a, b uint64) uint64 {
	return map[decode.Op]func(a, b uint64) uint64{
		decode.PAND: pand, decode.PANDN: pandn, decode.POR: por, decode.PXOR: pxor,
		decode.PADDB: paddb, decode.PADDW: paddw, decode.PADDD: paddd, decode.PADDQ: paddq,
		decode.PSUBB: psubb, decode.PSUBW: psubw, decode.PSUBD: psubd, decode.PSUBQ: psubq,
		decode.PADDSB: paddsb, decode.PADDSW: paddsw, decode.PADDUSB: paddusb, decode.PADDUSW: paddusw,
		decode.PSUBSB: psubsb, decode.PSUBSW: psubsw, decode.PSUBUSB: psubusb, decode.PSUBUSW: psubusw,
		decode.PCMPEQB: pcmpeqb, decode.PCMPEQW: pcmpeqw, decode.PCMPEQD: pcmpeqd, decode.PCMPEQQ: pcmpeqq,
		decode.PCMPGTB: pcmpgtb, decode.PCMPGTW: pcmpgtw, decode.PCMPGTD: pcmpgtd, decode.PCMPGTQ: pcmpgtq,
		decode.PMINUB: pminub, decode.PMINUW: pminuw, decode.PMINUD: pminud,
		decode.PMINSB: pminsb, decode.PMINSW: pminsw, decode.PMINSD: pminsd,
		decode.PMAXUB: pmaxub, decode.PMAXUW: pmaxuw, decode.PMAXUD: pmaxud,
		decode.PMAXSB: pmaxsb, decode.PMAXSW: pmaxsw, decode.PMAXSD: pmaxsd,
		decode.PAVGB: pavgb, decode.PAVGW: pavgw, decode.PSADBW: psadbw,
		decode.PMULLW: pmullw, decode.PMULLD: pmulld, decode.PMULHW: pmulhw, decode.PMULHUW: pmulhuw,
		decode.PMULHRSW: pmulhrsw, decode.PMULUDQ: pmuludq, decode.PMULDQ: pmuldq,
		decode.PMADDWD: pmaddwd, decode.PMADDUBSW: pmaddubsw,
		decode.PABSB: pabsb, decode.PABSW: pabsw, decode.PABSD: pabsd,
		decode.PSIGNB: psignb, decode.PSIGNW: psignw, decode.PSIGND: psignd,
	}
}

func shuffleHandlers() map[decode.Op]handler {
	return map[decode.Op]handler{
		decode.PUNPCKLBW: unpackLow(8), decode.PUNPCKLWD: unpackLow(16), decode.PUNPCKLDQ: unpackLow(32),
		decode.PUNPCKHBW: unpackHigh(8), decode.PUNPCKHWD: unpackHigh(16), decode.PUNPCKHDQ: unpackHigh(32),
		decode.PUNPCKLQDQ: vector(unpckl64), decode.PUNPCKHQDQ: vector(unpckh64),
		decode.UNPCKLPD: vector(unpckl64), decode.UNPCKHPD: vector(unpckh64),
		decode.UNPCKLPS: vector(unpckl32), decode.UNPCKHPS: vector(unpckh32),
		decode.PACKSSWB: pairwise(packsswb), decode.PACKUSWB: pairwise(packuswb),
		decode.PACKSSDW: pairwise(packssdw), decode.PACKUSDW: vector(packusdw),
		decode.PHADDW: pairwise(phaddw), decode.PHADDD: pairwise(phaddd), decode.PHADDSW: pairwise(phaddsw),
		decode.PHSUBW: pairwise(phsubw), decode.PHSUBD: pairwise(phsubd), decode.PHSUBSW: pairwise(phsubsw),
		decode.PSHUFB: bothForms(pshufbX, pshufbP), decode.PALIGNR: opPalignr,
		decode.PSHUFW: opPshufw, decode.PSHUFD: vectorImm(pshufd),
		decode.PSHUFLW: vectorImm(pshuflw), decode.PSHUFHW: vectorImm(pshufhw),
		decode.SHUFPS: vectorImm(shufps), decode.SHUFPD: vectorImm(shufpd),
		decode.BLENDPS: vectorImm(blendps), decode.BLENDPD: vectorImm(blendpd), decode.PBLENDW: vectorImm(pblendw),
		decode.BLENDVPS: blendMask(32), decode.BLENDVPD: blendMask(64), decode.PBLENDVB: blendMask(8),
		decode.PMOVSXBW: extendLanes(1, 2, true), decode.PMOVSXBD: extendLanes(1, 4, true),
		decode.PMOVSXBQ: extendLanes(1, 8, true), decode.PMOVSXWD: extendLanes(2, 4, true),
		decode.PMOVSXWQ: extendLanes(2, 8, true), decode.PMOVSXDQ: extendLanes(4, 8, true),
		decode.PMOVZXBW: extendLanes(1, 2, false), decode.PMOVZXBD: extendLanes(1, 4, false),
		decode.PMOVZXBQ: extendLanes(1, 8, false), decode.PMOVZXWD: extendLanes(2, 4, false),
		decode.PMOVZXWQ: extendLanes(2, 8, false), decode.PMOVZXDQ: extendLanes(4, 8, false),
		decode.PCMPESTRM: pcmpstr(true, true), decode.PCMPESTRI: pcmpstr(true, false),
		decode.PCMPISTRM: pcmpstr(false, true), decode.PCMPISTRI: pcmpstr(false, false),
	}
}
