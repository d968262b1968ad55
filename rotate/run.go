package rotate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postern-go/postern"
)

// run is one run of a Rotator, under the store's lock.
type run struct {
	*Rotator
	client *Client // calls as Config.Source, or as the stored credential
	record Record
	state  state
	secret *secret // the stored credential, nil when there is none
	listed []Credential
	report Report
}

func (r *Rotator) run(ctx context.Context, force bool) (Report, error) {
	unlock, err := r.cfg.Store.Lock(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("rotate: lock the store: %w", err)
	}
	defer unlock()
	n := &run{Rotator: r}
	err = n.all(ctx, force)
	n.finish()
	if err != nil {
		return n.report, fmt.Errorf("rotate: %w", err)
	}
	return n.report, nil
}

func (n *run) all(ctx context.Context, force bool) error {
	for _, step := range []func(context.Context) error{n.load, n.identify, n.recognise, n.sweep, n.removeRetired} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if !force && n.now().Before(n.due()) {
		return nil
	}
	if len(n.state.Retired) > 0 && n.secret != nil { // without a working one there is nothing to wait for
		if !force {
			return nil // due again within the grace period: after a change of Life, or the unknown was put in by hand
		}
		return fmt.Errorf("%w, until %s", ErrGrace, n.state.Retired[0].Remove.UTC().Format(time.RFC3339))
	}
	return n.renew(ctx)
}

// load reads the store and checks that its record is about what the Config says.
func (n *run) load(ctx context.Context) error {
	var err error
	if n.record, err = n.cfg.Store.Load(ctx); err != nil {
		return fmt.Errorf("load the credential: %w", err)
	}
	if n.state, err = parseState(n.record.State()); err != nil {
		return err
	}
	s := &n.state
	switch {
	case s.Kind != "" && s.Kind != n.cfg.Kind:
		return fmt.Errorf("expected a store of a %s, got one of a %s", n.cfg.Kind, s.Kind)
	case s.Issuer != "" && strings.TrimRight(s.Issuer, "/") != strings.TrimRight(n.cfg.Issuer, "/"):
		return errors.New("expected a store of this issuer's credential, got one of another issuer's: use another store")
	case s.UserID != "" && n.cfg.UserID != "" && s.UserID != n.cfg.UserID:
		return fmt.Errorf("expected a store of user %s, got one of user %s", n.cfg.UserID, s.UserID)
	}
	s.Kind, s.Issuer = n.cfg.Kind, n.cfg.Issuer
	raw := n.record.Credential()
	if len(raw) == 0 {
		if n.cfg.Source == nil {
			return errors.New("expected a credential in the store, got none: put the first one there, or make it with a Source and a UserID")
		}
		return nil
	}
	if n.secret, err = parseSecret(n.cfg.Kind, raw); err != nil {
		if n.cfg.Source != nil && s.UserID != "" { // a key that ran out, say: somebody else makes another
			n.log("postern: the stored credential does not work", "err", err)
			return nil
		}
		return fmt.Errorf("the stored credential: %w", err)
	}
	return nil
}

// identify finds out who calls and whose credential it is, and lists what that user has.
func (n *run) identify(ctx context.Context) error {
	n.cfg.Progress("asking the server which credentials there are")
	n.client = n.Rotator.client
	userID := n.cfg.UserID
	if n.secret != nil {
		source, err := n.source(n.secret)
		if err != nil {
			return err
		}
		own := n.Rotator.client.as(source)
		if n.cfg.Source == nil {
			n.client = own
		}
		me, err := own.api.Me(ctx)
		switch {
		case err == nil && userID != "" && me.ID != userID:
			return fmt.Errorf("expected a credential of user %s in the store, got one of user %s", userID, me.ID)
		case err == nil:
			userID = me.ID
		case n.cfg.Source == nil:
			return fmt.Errorf("the stored credential: %w", err)
		case !refused(err):
			return err
		default: // it no longer works, and somebody else renews it
			n.log("postern: the stored credential does not work", "err", err)
			n.secret = nil
		}
	}
	if userID == "" {
		userID = n.state.UserID
	}
	switch {
	case userID == "":
		return errors.New("UserID: expected the user to make a credential for, got none")
	case n.state.UserID != "" && n.state.UserID != userID:
		return fmt.Errorf("expected a credential of user %s in the store, got one of user %s: use another store", n.state.UserID, userID)
	}
	n.state.UserID, n.report.UserID = userID, userID
	var err error
	if n.listed, err = n.client.list(ctx, n.cfg.Kind, userID); err != nil {
		return err
	}
	if ahead := n.client.api.Ahead(); ahead != 0 {
		n.log("postern: this machine's clock differs from the server's, whose time is used: set the clock", "server_ahead", ahead.Round(time.Second))
	}
	return nil
}

// now is the time that all dates of the record are in: the server's. A clock of this machine that is wrong neither cuts a grace
// period short nor makes a credential look expired, or fresh, that is not.
func (n *run) now() time.Time { return n.client.api.Now() }

// refused reports whether the server said no to a token, or to a key.
func refused(err error) bool {
	said, ok := errors.AsType[*postern.Error](err)
	return errors.Is(err, postern.ErrInvalidToken) ||
		ok && (said.StatusCode == http.StatusBadRequest || said.StatusCode == http.StatusUnauthorized)
}

// recognise finds the stored credential in the record: as it was left, interrupted after the store had it, put back by hand, or
// unknown. What it finds is saved before anything is removed: where a Store's lock did not hold and the other one is still at
// work, that one's next Save is refused, and so it cannot store what is removed here.
func (n *run) recognise(ctx context.Context) error {
	s := &n.state
	switch {
	case n.secret == nil:
		if s.Intent == nil && s.Current == nil {
			return nil
		}
		s.lose()
		s.retire(n.now().Add(n.cfg.Grace))
	case s.Current != nil && s.Current.Sum == n.secret.sum:
		if s.Intent == nil {
			return nil
		}
		s.lose()
	case s.Intent != nil && s.Intent.Made != nil && s.Intent.Made.Sum == n.secret.sum:
		n.complete(s.Intent.Made)
	default:
		s.lose()
		if back := s.unretire(n.secret.sum); back != nil {
			n.log("postern: an older credential was put back into the store", "id", back.ID)
			s.retire(n.now().Add(n.cfg.Grace))
			s.Current = back
			break
		}
		if s.Current != nil {
			n.log("postern: the credential in the store was replaced by hand, the one before stays at the server", "id", s.Current.ID)
			n.report.Left = cmp.Or(s.Current.ID, unknown)
		}
		s.Current = n.adopt()
	}
	return n.save(ctx, n.record.Credential())
}

// complete puts on record that the store has the new credential.
func (n *run) complete(made *held) {
	s := &n.state
	if s.Current != nil && s.Current.ID == "" {
		n.report.Left = unknown
	}
	s.retire(n.now().Add(n.cfg.Grace))
	s.Current, s.Intent = made, nil
	n.report.Renewed = true
}

const unknown = "unknown"

// adopt finds out what the server knows of a credential that nobody recorded. Which of several PATs a token is, nobody can tell.
func (n *run) adopt() *held {
	now := n.now()
	if key := n.secret.key; key != nil {
		current := &held{ID: key.ID, Expires: key.Expiry, Sum: n.secret.sum}
		for _, c := range n.listed {
			if c.ID == key.ID {
				current.Created, current.Expires = c.Created, c.Expires
			}
		}
		return current
	}
	var candidates []Credential
	for _, c := range n.listed {
		if c.Expires.After(now) && !n.state.knows(c.ID) {
			candidates = append(candidates, c)
		}
	}
	current := &held{Sum: n.secret.sum, Adopted: now.UTC()}
	if len(candidates) == 1 {
		c := candidates[0]
		current.ID, current.Created, current.Expires = c.ID, c.Created, c.Expires
	}
	return current
}

// sweep removes what interrupted runs left at the server: exactly what an intent names.
func (n *run) sweep(ctx context.Context) error {
	s := &n.state
	whole := !slices.ContainsFunc(n.listed, func(c Credential) bool { return c.Expires.Nanosecond() != 0 })
	var kept []intent
	for _, lost := range s.Lost {
		var orphans []Credential
		for _, c := range n.listed {
			if lost.names(c, whole) && !s.knows(c.ID) {
				orphans = append(orphans, c)
			}
		}
		switch {
		case len(orphans) == 0:
			if n.now().Before(lost.Until) {
				kept = append(kept, lost)
			}
		case s.mayHold(lost):
			kept = append(kept, lost)
		case len(orphans) == 1:
			n.cfg.Progress("removing what an interrupted run left behind")
			if err := n.remove(ctx, orphans[0].ID); err != nil {
				return err
			}
		default: // one creation, several credentials: somebody else chose the same moment
			n.log("postern: several credentials have the expiration date of an interrupted renewal, none of them is removed",
				"expires", lost.Expires, "count", len(orphans))
		}
	}
	if len(kept) == len(s.Lost) {
		return nil
	}
	s.Lost = kept
	return n.save(ctx, n.record.Credential())
}

// removeRetired removes what has been replaced, when its grace period is over and the credential that replaced it works:
// identify has called the server with it.
func (n *run) removeRetired(ctx context.Context) error {
	s := &n.state
	if n.secret == nil || s.Current == nil || s.Current.ID == "" {
		return nil
	}
	for _, old := range slices.Clone(s.Retired) {
		if n.now().Before(old.Remove) {
			continue
		}
		if n.doubtful(old) {
			n.log("postern: which token was replaced is not certain, so it stays at the server", "id", old.ID)
			n.report.Left = old.ID
		} else {
			n.cfg.Progress("removing the old credential")
			if err := n.remove(ctx, old.ID); err != nil {
				return err
			}
		}
		s.unretire(old.Sum)
		if err := n.save(ctx, n.record.Credential()); err != nil {
			return err
		}
	}
	return nil
}

// clockSlack is how far this machine's clock and the server's may lie apart where their times are compared.
const clockSlack = 5 * time.Minute

// doubtful reports whether the id of old was concluded from a list that, as it turns out, was not complete.
func (n *run) doubtful(old held) bool {
	return !old.Adopted.IsZero() && slices.ContainsFunc(n.listed, func(c Credential) bool {
		return c.ID != old.ID && !n.state.knows(c.ID) && c.Created.Before(old.Adopted.Add(clockSlack)) && c.Expires.After(old.Adopted)
	})
}

// remove ends a credential that the record names.
func (n *run) remove(ctx context.Context, id string) error {
	if n.state.Current != nil && n.state.Current.ID == id {
		return errors.New("expected to remove another credential than the stored one") // the last line of defence
	}
	if err := n.client.remove(ctx, n.cfg.Kind, n.state.UserID, id); err != nil {
		return err
	}
	n.listed = slices.DeleteFunc(n.listed, func(c Credential) bool { return c.ID == id })
	n.report.Removed = append(n.report.Removed, id)
	n.cfg.Logger.Info("postern: removed a replaced credential", "kind", n.cfg.Kind, "user", n.state.UserID, "id", id)
	return nil
}

// due is when the current credential is to be renewed.
func (n *run) due() time.Time {
	current := n.state.Current
	if n.secret == nil || current == nil || current.Expires.IsZero() {
		return time.Time{}
	}
	if current.Created.IsZero() {
		return current.Expires.Add(-n.cfg.Life / 3)
	}
	life := min(current.Expires.Sub(current.Created), n.cfg.Life)
	return current.Created.Add(life / 3 * 2)
}

// save stores the credential with the record as it is now.
func (n *run) save(ctx context.Context, credential []byte) error {
	text, err := n.state.encode()
	if err != nil {
		return err
	}
	version, err := n.cfg.Store.Save(ctx, n.record.with(credential, text))
	if err != nil {
		return fmt.Errorf("save to the store: %w", err)
	}
	n.record = NewRecord(credential, text, version)
	return nil
}

// finish fills the report in.
func (n *run) finish() {
	s := &n.state
	if s.Current != nil {
		n.report.Current = Credential{ID: s.Current.ID, Created: s.Current.Created, Expires: s.Current.Expires}
	}
	next := n.due()
	if len(s.Retired) > 0 {
		n.report.Waiting = s.Retired[0].ID
	}
	for _, old := range s.Retired {
		if next.IsZero() || old.Remove.Before(next) {
			next = old.Remove
		}
	}
	n.report.Next = next
}

func (n *run) log(text string, args ...any) {
	n.cfg.Logger.Warn(text, append([]any{"kind", n.cfg.Kind, "user", n.state.UserID}, args...)...)
}
