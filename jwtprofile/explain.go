package jwtprofile

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/postern-go/postern"
)

// explain adds to a refusal what is known here and the server does not tell.
func (g *grant) explain(ctx context.Context, e *postern.Error) {
	if e == nil {
		return
	}
	offset, measured := g.clock.Offset()
	if measured {
		e.Skew = offset
	}
	if e.Code != "invalid_grant" {
		return
	}
	key, errKey := g.key.Key(ctx)
	if errKey != nil || key == nil {
		return
	}
	facts := []string{
		fmt.Sprintf("key %q of user %q, %s", key.ID, key.UserID, untilExpiry(key.Expiry, g.clock.Now())),
		"signed by " + g.signer.Algorithm(key),
		"aud " + g.issuer.Issuer(),
		clocks(offset, measured),
	}
	e.Hint = "ZITADEL does not say what is wrong with the assertion; sent was " + strings.Join(facts, ", ") +
		": most likely the key was removed in ZITADEL, or belongs to another instance, or its user was removed, so check them there and add a new key"
}

// soon is when an expiry is worth a warning.
const soon = 7 * 24 * time.Hour

func untilExpiry(expiry, now time.Time) string {
	left := expiry.Sub(now)
	switch {
	case expiry.IsZero():
		return "whose expiry its file does not say (it may have expired)"
	case left < soon:
		return fmt.Sprintf("which expires in %s, on %s", left.Round(time.Second), expiry.UTC().Format(time.RFC3339))
	}
	return "which expires on " + expiry.UTC().Format(time.RFC3339)
}

func clocks(offset time.Duration, measured bool) string {
	const day = 24 * time.Hour
	switch offset := offset.Round(time.Second); {
	case !measured:
		return "dated by this machine's clock, which the server's answer gave no way to check"
	case offset == 0:
		return "dated by this machine's clock, which agrees with the server's"
	case offset.Abs() >= day:
		return fmt.Sprintf("dated a day off from this machine's clock, the most that is corrected (set it by NTP: the server's is %s or more away)", day)
	case offset > 0:
		return fmt.Sprintf("dated by the server's clock, which is %s ahead of this machine's", offset)
	default:
		return fmt.Sprintf("dated by the server's clock, which is %s behind this machine's", -offset)
	}
}
