// Package skew measures how far the server's clock is ahead of this machine's, so that what this machine signs says a time
// that the server believes. It is never to be used for how long a token lives.
package skew

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// limit of a correction. A clock that is further off needs setting, not correcting.
	limit = 24 * time.Hour
	// notable is what is logged.
	notable = 30 * time.Second
)

// Clock is this machine's clock, corrected by what the server's answers tell. It is safe for concurrent use.
type Clock struct {
	logger *slog.Logger

	mu       sync.Mutex
	offset   time.Duration
	measured bool
	logged   bool
}

// New makes a Clock that is not corrected yet. It logs to logger, once, when the correction exceeds 30 seconds; nil
// means slog.Default().
func New(logger *slog.Logger) *Clock { return &Clock{logger: logger} }

// Observe learns from an answer's header, given when its request began to be sent and when its head was received. Only an
// answer that no cache can have kept counts: without an Age, and with no-store or nothing at all about caching, which is how an
// answer to a POST says the same (RFC 9110 §9.3.3).
//
// The Date header (RFC 9110 §6.6.1) is cut to whole seconds and was written somewhen between the two times, so it tells a range. A
// correction that lies in the range stays as it is; otherwise the middle of the range is the new one, at most a day either
// way.
func (c *Clock) Observe(header http.Header, sent, received time.Time) {
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil || header.Get("Age") != "" || mayBeKept(header) {
		return
	}
	sent, received = sent.Round(0), received.Round(0) // the wall clock is what is corrected
	least, most := date.Sub(received), date.Add(time.Second).Sub(sent)
	if least > most { // the clock was set back meanwhile
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.measured = true
	if c.offset < least || c.offset > most {
		c.offset = min(max(least+(most-least)/2, -limit), limit)
	}
	c.log()
}

// Offset returns how far the server's clock is ahead (negative: behind), and whether that was ever measured.
func (c *Clock) Offset() (offset time.Duration, measured bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset, c.measured
}

// Now returns the time by the server's clock, as far as it is known.
func (c *Clock) Now() time.Time {
	offset, _ := c.Offset()
	return time.Now().Add(offset)
}

// log says once that the clock is off, and is ready to say it again after it was right.
func (c *Clock) log() {
	far := c.offset.Abs() > notable
	if far && !c.logged {
		logger := c.logger
		if logger == nil {
			logger = slog.Default()
		}
		logger.Warn("postern: this machine's clock differs from the identity server's: what is signed is corrected for it, set the clock by NTP",
			"server_ahead", c.offset.Round(time.Second).String())
	}
	c.logged = far
}

func mayBeKept(header http.Header) bool {
	for _, value := range header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(directive), "no-store") {
				return false
			}
		}
	}
	return header.Get("Cache-Control") != "" || header.Get("Expires") != ""
}
