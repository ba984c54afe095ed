package soft

import "gozen/hypervisor/x86/decode"

func floatHandlers() map[decode.Op]handler {
	t := map[decode.Op]handler{
		decode.CMPPS: cmp(4, true), decode.CMPPD: cmp(8, true), decode.CMPSS: cmp(4, false), decode.CMPSD: cmp(8, false),
		decode.COMISS: comis(4, false), decode.COMISD: comis(8, false),
		decode.UCOMISS: comis(4, true), decode.UCOMISD: comis(8, true),
		decode.HADDPS: horizontal32(laneAdd), decode.HADDPD: horizontal64(laneAdd),
		decode.HSUBPS: horizontal32(laneSub), decode.HSUBPD: horizontal64(laneSub),
		decode.ADDSUBPS: computed(addsubps), decode.ADDSUBPD: computed(addsubpd),
		decode.DPPS: computed(dpps), decode.DPPD: computed(dppd),
		decode.ROUNDPS: roundTo(4, true), decode.ROUNDPD: roundTo(8, true),
		decode.ROUNDSS: roundTo(4, false), decode.ROUNDSD: roundTo(8, false),
		decode.RCPPS: estimate(reciprocal, true), decode.RCPSS: estimate(reciprocal, false),
		decode.RSQRTPS: estimate(reciprocalRoot, true), decode.RSQRTSS: estimate(reciprocalRoot, false),

		decode.CVTSI2SS: cvtFromG(4), decode.CVTSI2SD: cvtFromG(8),
		decode.CVTSS2SI: cvtToG(4, false), decode.CVTSD2SI: cvtToG(8, false),
		decode.CVTTSS2SI: cvtToG(4, true), decode.CVTTSD2SI: cvtToG(8, true),
		decode.CVTSS2SD: cvtScalar(4, 8), decode.CVTSD2SS: cvtScalar(8, 4),
		decode.CVTPS2PD: cvtWiden(psToPd), decode.CVTPD2PS: cvtNarrow(pdToPs),
		decode.CVTDQ2PS: cvtSame(dqToPs), decode.CVTDQ2PD: cvtWiden(dqToPd),
		decode.CVTPS2DQ: cvtSame(psToDq), decode.CVTTPS2DQ: cvtSame(psToDqT),
		decode.CVTPD2DQ: cvtNarrow(pdToDq), decode.CVTTPD2DQ: cvtNarrow(pdToDqT),
		decode.CVTPI2PS: cvtFromP(dqToPs, false), decode.CVTPI2PD: cvtFromP(dqToPd, true),
		decode.CVTPS2PI: cvtToP(psToDq, false), decode.CVTTPS2PI: cvtToP(psToDqT, false),
		decode.CVTPD2PI: cvtToP(pdToDq, true), decode.CVTTPD2PI: cvtToP(pdToDqT, true),
	}
	row := func(ps, pd, ss, sd decode.Op, slow laneFunc, f32, f64 fastFunc) {
		t[ps], t[ss] = arith(slow, f32, 4, true), arith(slow, f32, 4, false)
		t[pd], t[sd] = arith(slow, f64, 8, true), arith(slow, f64, 8, false)
	}
	row(decode.ADDPS, decode.ADDPD, decode.ADDSS, decode.ADDSD, laneAdd, fastAdd32, fastAdd64)
	row(decode.SUBPS, decode.SUBPD, decode.SUBSS, decode.SUBSD, laneSub, fastSub32, fastSub64)
	row(decode.MULPS, decode.MULPD, decode.MULSS, decode.MULSD, laneMul, fastMul32, fastMul64)
	row(decode.DIVPS, decode.DIVPD, decode.DIVSS, decode.DIVSD, laneDiv, fastDiv32, fastDiv64)
	row(decode.SQRTPS, decode.SQRTPD, decode.SQRTSS, decode.SQRTSD, laneSqrt, fastSqrt32, fastSqrt64)
	row(decode.MINPS, decode.MINPD, decode.MINSS, decode.MINSD, laneMin, nil, nil)
	row(decode.MAXPS, decode.MAXPD, decode.MAXSS, decode.MAXSD, laneMax, nil, nil)
	return t
}
