package cache

import (
	"sync/atomic"
	"time"
)

// end is when something ends: when the first of two clocks says so. The monotonic one nobody sets back; the wall clock goes on while a
// machine sleeps, and is what exp is given in.
type end struct {
	mono int64 // nanoseconds after clock.base
	wall int64 // nanoseconds since 1970
}

func (e end) passed(now end) bool { return now.mono >= e.mono || now.wall >= e.wall }

func (e end) after(d time.Duration, latest int64) end {
	wall := min(e.wall+int64(d), latest)
	return end{mono: e.mono + wall - e.wall, wall: wall}
}

type clock struct {
	base time.Time
	// A look at both clocks takes twice as long as one at the monotonic clock, and is a good part of what a hit costs. So
	// how far the wall clock is ahead is found out once a millisecond only: that a machine woke, or its clock was set, is noticed
	// up to a millisecond late.
	wall atomic.Pointer[ahead]
}

// ahead is how far the wall clock was ahead of the monotonic one, and until when by the latter that is taken to be so. They stand
// together: what a slow goroutine stores has ended, and makes the next one look.
type ahead struct{ by, until int64 }

const aheadFor = time.Millisecond

// now looks at both clocks.
func (c *clock) now() end { return c.at(time.Now()) }

// about is now by the monotonic clock, and by the wall clock as of aheadFor ago at most.
func (c *clock) about() end {
	mono, last := int64(time.Since(c.base)), c.wall.Load()
	if last != nil && mono < last.until {
		return end{mono: mono, wall: mono + last.by}
	}
	now := c.now()
	c.wall.Store(&ahead{by: now.wall - now.mono, until: now.mono + int64(aheadFor)})
	return now
}

func (c *clock) at(now time.Time) end {
	return end{mono: int64(now.Sub(c.base)), wall: now.UnixNano()}
}
