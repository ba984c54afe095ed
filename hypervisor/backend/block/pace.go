package block

// pace decides who does a request that is alone in the ring when it is signalled: the vCPU that signals it, or the worker.
//
// A guest with one request at a time is served best by its vCPU: nobody has to be woken. A guest that puts in many would exit for each, since the one
// before is done already; with the worker it goes on meanwhile, and signals the first only. Linux signals each request, so the two look alike until the
// worker is tried: now and then, it gets a request, and keeps the ring as long as it finds several at a time.
type pace struct {
	worker  bool // has the ring
	trial   bool // the worker has been given a request to see how many it finds
	since   int  // requests since the last trial
	every   int  // so many between trials
	singles int  // looks of the worker in a row that found one request
}

const (
	firstTrial = 4
	lastTrial  = 256
	maxSingles = 8
)

// prompt says whether the vCPU is to do the request that it signals.
func (p *pace) prompt() bool {
	if p.worker || p.trial {
		return false
	}
	p.every = max(p.every, firstTrial)
	if p.since++; p.since < p.every {
		return true
	}
	p.since, p.trial = 0, true
	return false
}

// looked tells how many requests the worker found.
func (p *pace) looked(n int) {
	switch {
	case n == 0:
	case n > 1:
		p.worker, p.trial, p.singles = true, false, 0
	case p.trial:
		p.trial, p.every = false, min(2*p.every, lastTrial)
	case p.worker:
		if p.singles++; p.singles == maxSingles {
			p.worker, p.every = false, firstTrial
		}
	}
}
