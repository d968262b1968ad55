package rotate

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	stateVersion = 1
	maxState     = 64 << 10 // bytes
	maxLost      = 16
	maxRetired   = 16
	// lostFor is how long a creation of unknown outcome may still turn up at the server.
	lostFor = time.Hour
)

// state is what a Rotator remembers from one run to the next. It holds no secret. It is saved before each step that the server
// sees, so that whatever a run leaves behind when it is interrupted has been named.
type state struct {
	Version int    `json:"version"`
	Kind    Kind   `json:"kind"`
	Issuer  string `json:"issuer"`
	UserID  string `json:"userId"`
	// Current is the stored credential.
	Current *held `json:"current,omitempty"`
	// Retired are those before it, to be removed when their time has come: one, where nobody interfered.
	Retired []held `json:"retired,omitempty"`
	// Intent names the credential that is about to be made, by its exact expiration date: one date, one creation.
	Intent *intent `json:"intent,omitempty"`
	// Lost are intents of runs that were interrupted: what has such a date is an orphan.
	Lost []intent `json:"lost,omitempty"`
}

// held is a credential that this store holds or held.
type held struct {
	ID      string    `json:"id,omitempty"` // empty: not known
	Created time.Time `json:"created,omitzero"`
	Expires time.Time `json:"expires,omitzero"` // zero: not known
	Sum     string    `json:"sum,omitempty"`    // digest of the secret part
	// Adopted is when a PAT that nobody had recorded was found in the store. Its ID was then concluded from being the only one that
	// the user had, or is not known.
	Adopted time.Time `json:"adopted,omitzero"`
	// Remove is when a retired one may be removed.
	Remove time.Time `json:"remove,omitzero"`
}

type intent struct {
	Expires time.Time `json:"expires"`
	Until   time.Time `json:"until"` // when it can no longer turn up, if it has not
	// Made is the credential once it is known and proven; then it is stored, with this digest, or it is not.
	Made *held `json:"made,omitempty"`
}

// parseState reads what a store holds beside the credential. Nothing is a fresh state.
func parseState(data []byte) (state, error) {
	if len(data) == 0 {
		return state{Version: stateVersion}, nil
	}
	var s state
	if len(data) > maxState {
		return s, fmt.Errorf("expected at most %d bytes of state, got %d", maxState, len(data))
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, errors.New("expected the state that this package wrote, got something else: if the credential beside it is good, remove the state and start afresh")
	}
	if s.Version != stateVersion {
		return s, fmt.Errorf("expected state of version %d, got version %d: use the version of this library that wrote it, or a newer one", stateVersion, s.Version)
	}
	return s, s.check()
}

func (s *state) check() error {
	errs := []error{checkID("userId", s.UserID, true)}
	if s.Kind != PAT && s.Kind != Key {
		errs = append(errs, fmt.Errorf("kind: expected %q or %q, got another", PAT, Key))
	}
	if len(s.Lost) > maxLost {
		errs = append(errs, fmt.Errorf("lost: expected at most %d, got %d", maxLost, len(s.Lost)))
	}
	intents := s.Lost
	if s.Intent != nil {
		intents = append(intents[:len(intents):len(intents)], *s.Intent)
	}
	for _, i := range intents {
		if i.Expires.IsZero() || i.Until.IsZero() {
			errs = append(errs, errors.New("intent: expected an expiration date and an end, got none"))
		}
		if i.Made != nil {
			errs = append(errs, checkID("intent", i.Made.ID, true))
		}
	}
	if s.Current != nil {
		errs = append(errs, checkID("current", s.Current.ID, false))
	}
	if len(s.Retired) > maxRetired {
		errs = append(errs, fmt.Errorf("retired: expected at most %d, got %d", maxRetired, len(s.Retired)))
	}
	for _, old := range s.Retired {
		errs = append(errs, checkID("retired", old.ID, true))
		if old.Remove.IsZero() {
			errs = append(errs, errors.New("retired: expected a time of removal, got none"))
		}
		if s.Current != nil && s.Current.ID == old.ID {
			errs = append(errs, errors.New("retired: expected another than the current one"))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("the state beside the credential is damaged: %w", err)
	}
	return nil
}

func (s *state) encode() ([]byte, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

// lose keeps an intent whose creation may or may not have happened.
func (s *state) lose() {
	if s.Intent != nil {
		s.Lost = append(s.Lost, *s.Intent)
		s.Intent = nil
	}
}

// retire has the current credential removed at that time, if its id is known.
func (s *state) retire(at time.Time) {
	if s.Current != nil && s.Current.ID != "" {
		old := *s.Current
		old.Remove = at.UTC()
		s.Retired = append(s.Retired, old)
	}
	s.Current = nil
}

// unretire takes the one with that digest off the list.
func (s *state) unretire(sum string) *held {
	for i, old := range s.Retired {
		if old.Sum == sum {
			s.Retired = append(s.Retired[:i:i], s.Retired[i+1:]...)
			old.Remove = time.Time{}
			return &old
		}
	}
	return nil
}

// knows reports whether an id is on record as something else than an orphan.
func (s *state) knows(id string) bool {
	return s.Current != nil && s.Current.ID == id || slices.ContainsFunc(s.Retired, func(old held) bool { return old.ID == id })
}

// mayHold reports whether the stored credential, while its id is not known, may be what that interrupted creation made: not when it
// was in the store before.
func (s *state) mayHold(i intent) bool {
	return s.Current != nil && s.Current.ID == "" &&
		(s.Current.Adopted.IsZero() || i.Until.Add(-lostFor).Before(s.Current.Adopted))
}

// names reports whether an interrupted creation may have made c. The date counts to the microsecond, or to the second where the
// server keeps whole ones.
func (i *intent) names(c Credential, whole bool) bool {
	if i.Made != nil {
		return c.ID == i.Made.ID
	}
	return c.Expires.Equal(i.Expires) || whole && c.Expires.Equal(i.Expires.Truncate(time.Second))
}

// checkID takes what may stand in a path of the API and in a log.
func checkID(name, id string, required bool) error {
	if required && id == "" {
		return fmt.Errorf("%s: expected an id, got none", name)
	}
	if len(id) > 256 {
		return fmt.Errorf("%s: expected an id of at most 256 bytes, got %d", name, len(id))
	}
	for _, r := range id {
		if r <= ' ' || r > '~' || r == '/' {
			return fmt.Errorf("%s: expected an id in printable ASCII without spaces and slashes, got another character", name)
		}
	}
	if id == "." || id == ".." {
		return fmt.Errorf("%s: expected an id, got a part of a path", name)
	}
	return nil
}
