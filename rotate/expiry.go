package rotate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// PATExpiry returns a function for pat.LearnExpiry that asks the server when a personal access token ends: with the token itself,
// which needs no role on servers with the user service v2. A token does not tell which of its user's it is, so of a user with
// several the answer is an error; FileStore.Expiry knows better. cfg.Source is not used.
func PATExpiry(cfg ClientConfig) func(ctx context.Context, token string) (time.Time, error) {
	cfg.Source = nobody{}
	client, err := NewClient(cfg)
	return func(ctx context.Context, token string) (time.Time, error) {
		if err != nil {
			return time.Time{}, err
		}
		all, err := client.as(personal{&secret{pat: token}}).List(ctx, PAT, "")
		if err != nil {
			return time.Time{}, err
		}
		var live []Credential
		for _, c := range all {
			if c.Expires.After(client.api.Now()) {
				live = append(live, c)
			}
		}
		if len(live) != 1 {
			return time.Time{}, fmt.Errorf("rotate: expected a user with one personal access token, got one with %d: which of them it is, a token does not tell", len(live))
		}
		return live[0].Expires, nil
	}
}

// Expiry tells, for pat.LearnExpiry, when the stored personal access token ends, by what a Rotator recorded. It is an error for any
// other token, and where nothing is recorded.
func (s *FileStore) Expiry(_ context.Context, token string) (time.Time, error) {
	text, err := readOrNone(s.path+".state", maxState)
	if err != nil {
		return time.Time{}, err
	}
	st, err := parseState(text)
	if err != nil {
		return time.Time{}, err
	}
	sum := digest([]byte(token))
	if c := st.Current; c != nil && c.Sum == sum && !c.Expires.IsZero() {
		return c.Expires, nil
	}
	// Between the two files of a Save, the record is not yet what it will be.
	if i := st.Intent; i != nil && i.Made != nil && i.Made.Sum == sum {
		return i.Made.Expires, nil
	}
	return time.Time{}, errors.New("rotate: nothing is on record about this token")
}
