// Command hsm signs with a key that lives in an HSM: it makes one there, uploads its public half to ZITADEL, and calls ZITADEL with
// it. README.md says how.
package main

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/credentials"
	"github.com/postern-go/postern/jwtprofile"
	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/rotate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "hsm:", err)
		os.Exit(1)
	}
}

const usage = "expected one of: hsm enroll, hsm call, hsm remove KEY_ID"

func run(ctx context.Context, args []string, out io.Writer) error {
	command := append(args, "")[0]
	switch {
	case len(args) == 1 && (command == "enroll" || command == "call"), len(args) == 2 && command == "remove":
	default:
		return errors.New(usage)
	}
	device, err := openDevice(os.Getenv)
	if err != nil {
		return err
	}
	defer device.Close()
	set := settings{issuer: os.Getenv("ZITADEL_ISSUER"), record: os.Getenv("HSM_RECORD"), device: device}
	if set.record == "" {
		set.record = "hsm-key.json"
	}
	switch command {
	case "enroll":
		return set.enroll(ctx, out)
	case "call":
		return set.call(ctx, out)
	default:
		return set.remove(ctx, args[1], out)
	}
}

// device holds private keys by label, and lets none of them out.
type device interface {
	Generate(label string) (crypto.Signer, error)
	Find(label string) (crypto.Signer, error)
	Close() error
}

type settings struct {
	issuer, record string
	device         device
}

// enrolled is what is to be known of a key besides the key.
type enrolled struct {
	Label   string    `json:"label"` // in the device
	KeyID   string    `json:"keyId"`
	UserID  string    `json:"userId"`
	Expires time.Time `json:"expirationDate"`
}

const life = 30 * 24 * time.Hour

// enroll makes a key in the device and adds it to the service user: by the key of the last time or, the first time, by what the
// environment says, a personal access token for example. Run again in time, it renews the key.
func (s settings) enroll(ctx context.Context, out io.Writer) error {
	source, last, err := s.source()
	if errors.Is(err, fs.ErrNotExist) {
		source, err = credentials.FromEnv()
	}
	if err != nil {
		return err
	}
	client, err := rotate.NewClient(rotate.ClientConfig{Issuer: s.issuer, Source: source})
	if err != nil {
		return err
	}
	label := "zitadel-" + time.Now().UTC().Format("20060102T150405.000")
	signer, err := s.device.Generate(label)
	if err != nil {
		return err
	}
	userID := last.UserID
	if userID == "" {
		if userID, err = whoami(ctx, s.issuer, source); err != nil {
			return err
		}
	}
	key, err := client.AddKey(ctx, userID, signer.Public(), time.Now().Add(life))
	if err != nil {
		return err
	}
	fresh := enrolled{Label: label, KeyID: key.ID, UserID: userID, Expires: key.Expires}
	proof, err := s.sign(fresh)
	if err != nil {
		return err
	}
	if _, err := whoami(ctx, s.issuer, proof); err != nil {
		return fmt.Errorf("the new key %s does not work, remove it: %w", key.ID, err)
	}
	if err := s.save(fresh); err != nil {
		return err
	}
	fmt.Fprintf(out, "Key %s of user %s is in the device as %q, until %s.\n", key.ID, userID, label, key.Expires.Format(time.DateOnly))
	if last.KeyID != "" {
		fmt.Fprintf(out, "Once all replicas use it, remove the one before: hsm remove %s\n", last.KeyID)
	}
	return nil
}

// call asks ZITADEL for the service user's organisation.
func (s settings) call(ctx context.Context, out io.Writer) error {
	source, _, err := s.source()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: run hsm enroll first", err)
	}
	if err != nil {
		return err
	}
	var answer struct {
		Org struct{ ID, Name string }
	}
	if err := get(ctx, s.issuer, source, "/management/v1/orgs/me", &answer); err != nil {
		return err
	}
	fmt.Fprintf(out, "Organisation %s, %s.\n", answer.Org.ID, answer.Org.Name)
	return nil
}

// remove ends a key at ZITADEL, but not the one in use. Its pair stays in the device.
func (s settings) remove(ctx context.Context, id string, out io.Writer) error {
	source, current, err := s.source()
	if err != nil {
		return err
	}
	if id == current.KeyID {
		return fmt.Errorf("key %s is in use: enroll another first", id)
	}
	client, err := rotate.NewClient(rotate.ClientConfig{Issuer: s.issuer, Source: source})
	if err != nil {
		return err
	}
	all, err := client.List(ctx, rotate.Key, current.UserID)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(c rotate.Credential) bool { return c.ID == id }) {
		return fmt.Errorf("expected the id of a key of user %s, got %q", current.UserID, id)
	}
	if err := client.Remove(ctx, rotate.Key, current.UserID, id); err != nil {
		return err
	}
	fmt.Fprintf(out, "Key %s is removed.\n", id)
	return nil
}

// source signs with the enrolled key.
func (s settings) source() (postern.TokenSource, enrolled, error) {
	var e enrolled
	data, err := os.ReadFile(s.record)
	if err != nil {
		return nil, e, err
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, e, fmt.Errorf("%s: %w", s.record, err)
	}
	source, err := s.sign(e)
	return source, e, err
}

func (s settings) sign(e enrolled) (postern.TokenSource, error) {
	signer, err := s.device.Find(e.Label)
	if err != nil {
		return nil, err
	}
	return jwtprofile.New(jwtprofile.Config{Issuer: s.issuer, Key: &keyfile.Key{
		Type: keyfile.ServiceAccount, ID: e.KeyID, UserID: e.UserID, Expiry: e.Expires, Signer: signer,
	}})
}

// save replaces the record, which holds no secret, as a whole.
func (s settings) save(e enrolled) error {
	data, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	next := s.record + ".next"
	if err := os.WriteFile(next, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.record)
}

func whoami(ctx context.Context, issuer string, source postern.TokenSource) (string, error) {
	var answer struct {
		User struct{ ID string }
	}
	err := get(ctx, issuer, source, "/auth/v1/users/me", &answer)
	return answer.User.ID, err
}

func get(ctx context.Context, issuer string, source postern.TokenSource, path string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+path, nil)
	if err != nil {
		return err
	}
	resp, err := postern.NewClient(source, issuer).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(answer)
}
