package rotate

import (
	"context"
	"time"
)

const (
	minPause = time.Minute
	maxPause = time.Hour
)

// Keep calls Run whenever something is due, until ctx ends, and returns ctx's error. A service that has no cron runs it in a
// goroutine of its own. It looks at the Store once an hour at least. What fails is logged and tried again after a minute, then
// after twice as long each time, up to an hour.
func (r *Rotator) Keep(ctx context.Context) error {
	pause := minPause
	for {
		report, err := r.Run(ctx)
		wait := min(max(time.Until(report.Next), minPause), maxPause)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			wait = pause
			pause = min(2*pause, maxPause)
			r.cfg.Logger.Warn("postern: renewing failed, trying again", "kind", r.cfg.Kind, "in", wait, "err", err)
		default:
			pause = minPause
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
