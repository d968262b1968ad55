package rotate

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/postern-go/postern/internal/zitadelapi"
)

// proveFor is how long a new credential may take until the server accepts it everywhere.
const proveFor = 30 * time.Second

// renew makes a new credential, proves it and stores it. Before each step stands on record what the step will have done.
func (n *run) renew(ctx context.Context) error {
	s := &n.state
	if len(s.Lost) >= maxLost {
		return fmt.Errorf("%d creations in the last hour had no known outcome: no further one before %s", len(s.Lost), s.Lost[0].Until.Format(time.RFC3339))
	}
	if len(s.Retired) >= maxRetired {
		return fmt.Errorf("%d credentials wait for their removal, and none that works is stored: find out why, first", len(s.Retired))
	}
	var signer crypto.Signer
	var err error
	if n.cfg.Kind == Key {
		n.cfg.Progress("generating a key")
		if signer, err = n.cfg.KeyType.generate(); err != nil {
			return err
		}
	}
	expires := n.chooseExpiry()
	s.Intent = &intent{Expires: expires, Until: n.now().Add(lostFor).UTC()}
	if err := n.save(ctx, n.record.Credential()); err != nil {
		return err
	}
	if err := n.kept(ctx, expires); err != nil {
		return err
	}
	n.cfg.Progress("creating the new credential")
	made, err := n.create(ctx, signer, expires)
	if err != nil {
		return n.notMade(ctx, err)
	}
	n.cfg.Progress("proving that it works")
	if err := n.prove(ctx, made.secret); err != nil {
		return n.notProven(ctx, made.held.ID, err)
	}
	s.Intent.Made = &made.held
	if err := n.save(ctx, n.record.Credential()); err != nil {
		return err
	}
	n.cfg.Progress("storing it")
	before := *s
	n.complete(&made.held)
	if err := n.save(ctx, made.secret.raw); err != nil {
		n.state, n.report.Renewed = before, false // or not: the next run will tell
		return err
	}
	n.secret = made.secret
	n.cfg.Logger.Info("postern: stored a new credential", "kind", n.cfg.Kind, "user", s.UserID, "id", made.held.ID, "expires", expires)
	return nil
}

// kept has the store show that it keeps what it saves. One that does not would be handed a new credential at every run, and no run
// would know of those before.
func (n *run) kept(ctx context.Context, expires time.Time) error {
	stored, err := n.cfg.Store.Load(ctx)
	if err != nil {
		return fmt.Errorf("load what was saved: %w", err)
	}
	s, err := parseState(stored.State())
	if err != nil {
		return err
	}
	if s.Intent == nil || !s.Intent.Expires.Equal(expires) {
		return fmt.Errorf("expected the store to have the record that it has just saved, got another, so nothing is created: %w", ErrConflict)
	}
	return nil
}

// spread is how much earlier than Life a credential may end.
const spread = 10 * time.Minute

// chooseExpiry returns a date that no credential of the user has, so that what has it later is what is made next. It is random by
// up to ten minutes and in its microseconds, for those who renew for the same user at the same moment from other stores: a fleet
// whose creations failed has many dates on record that nothing was made with, and none of them may be another's.
func (n *run) chooseExpiry() time.Time {
	second := n.now().Add(n.cfg.Life - time.Second - rand.N(min(n.cfg.Life/100, spread))).UTC().Truncate(time.Second)
	for n.taken(second) {
		second = second.Add(-time.Second)
	}
	return second.Add(time.Duration(1+rand.N(999_999)) * time.Microsecond)
}

func (n *run) taken(second time.Time) bool {
	return slices.ContainsFunc(n.listed, func(c Credential) bool { return c.Expires.Truncate(time.Second).Equal(second) }) ||
		slices.ContainsFunc(n.state.Lost, func(i intent) bool { return i.Expires.Truncate(time.Second).Equal(second) })
}

// made is a new credential.
type made struct {
	held   held
	secret *secret
}

func (n *run) create(ctx context.Context, signer crypto.Signer, expires time.Time) (made, error) {
	var c Credential
	var raw []byte
	var err error
	if n.cfg.Kind == Key {
		if c, err = n.client.addKey(ctx, n.state.UserID, signer.Public(), expires); err == nil {
			raw, err = encodeKey(signer, c.ID, n.state.UserID, c.Expires)
		}
	} else {
		var token string
		c, token, err = n.client.addPAT(ctx, n.state.UserID, expires)
		raw = []byte(token)
	}
	if err != nil {
		return made{}, err
	}
	if err := checkID("the new credential", c.ID, true); err != nil {
		return made{}, err
	}
	if contains(n.listed, c.ID) || n.state.knows(c.ID) {
		return made{}, fmt.Errorf("expected a new %s, got the id of an old one", n.cfg.Kind)
	}
	s, err := parseSecret(n.cfg.Kind, raw)
	if err != nil {
		return made{}, fmt.Errorf("the new credential: %w", err)
	}
	return made{held{ID: c.ID, Created: c.Created.UTC(), Expires: c.Expires, Sum: s.sum}, s}, nil
}

// prove calls the server with a credential until it is accepted, as whose it should be. A server that has only just made it may
// take a moment to know it everywhere.
func (n *run) prove(ctx context.Context, s *secret) error {
	deadline := time.Now().Add(proveFor)
	for pause := 250 * time.Millisecond; ; pause *= 2 {
		source, err := n.source(s) // anew: a source remembers a refusal
		if err != nil {
			return err
		}
		me, err := n.client.as(source).api.Me(ctx)
		switch {
		case err == nil && me.ID != n.state.UserID:
			return fmt.Errorf("expected it to be of user %s, the server says it is of user %s", n.state.UserID, me.ID)
		case err == nil:
			return nil
		case ctx.Err() != nil || time.Now().Add(pause).After(deadline):
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%w, after %w", context.Cause(ctx), err)
		}
	}
}

// notMade takes the intent off the record again when the server said no. When it said nothing, the intent stays, and the next run
// looks for what has its date.
func (n *run) notMade(ctx context.Context, err error) error {
	if !zitadelapi.Refused(err) {
		return err
	}
	n.state.Intent = nil
	return errors.Join(err, n.save(ctx, n.record.Credential()))
}

// notProven removes a credential that does not work. What keeps it from doing so is left to the next run.
func (n *run) notProven(ctx context.Context, id string, err error) error {
	err = fmt.Errorf("the new credential does not work: %w", err)
	if ctx.Err() != nil {
		return err
	}
	if removeErr := n.remove(ctx, id); removeErr != nil {
		return errors.Join(err, removeErr)
	}
	n.state.Intent = nil
	return errors.Join(err, n.save(ctx, n.record.Credential()))
}
