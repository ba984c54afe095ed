package net

import (
	"sync"
	"time"
)

// Rate bounds what a guest sends: Bytes in each Every. The zero value bounds nothing.
type Rate struct {
	Bytes int64
	Every time.Duration
}

// credit is what a guest may still send. It is spent after a frame, so it may fall below zero by one.
type credit struct {
	rate Rate

	mu   sync.Mutex
	left int64
	next time.Time // the credit is renewed
}

// newCredit gives nil for a rate that bounds nothing, of which there is always enough.
func newCredit(r Rate) *credit {
	if r.Bytes <= 0 || r.Every <= 0 {
		return nil
	}
	return &credit{rate: r, left: r.Bytes}
}

// wait gives the time until the guest may send.
func (c *credit) wait(now time.Time) time.Duration {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !now.Before(c.next) {
		c.left = min(c.left, 0) + c.rate.Bytes // what was overdrawn is owed
		c.next = now.Add(c.rate.Every)
	}
	if c.left > 0 {
		return 0
	}
	return c.next.Sub(now)
}

func (c *credit) spend(n int) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left -= int64(n)
}
