package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-go/postern/rotate"
)

// credentialKind is what the commands of PATs and keys differ in.
type credentialKind struct {
	kind       rotate.Kind
	name, noun string
	file       string // in examples
}

var (
	patCommands = credentialKind{rotate.PAT, "pat", "personal access token", "/run/secrets/zitadel-pat"}
	keyCommands = credentialKind{rotate.Key, "key", "machine key", "/run/secrets/zitadel-key.json"}
)

// soon is when an expiry is worth a mark.
const soon = 7 * 24 * time.Hour

// defaultLife is the advice for how long a credential lives.
const defaultLife = 30 * 24 * time.Hour

func (a *app) credentialCommand(k credentialKind) *cobra.Command {
	cmd := &cobra.Command{
		Use:     k.name,
		Short:   "List, create, rotate and remove " + k.noun + "s",
		Long:    "Manages the " + k.noun + "s of a service user. For its own it needs no role.",
		Example: "  postern " + k.name + " list",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(a.listCommand(k), a.createCommand(k), a.rotateCommand(k), a.removeCommand(k))
	return cmd
}

func (a *app) listCommand(k credentialKind) *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the " + k.noun + "s with their expiry",
		Long:    "Lists the " + k.noun + "s of the caller, or of --user. Those with less than 7 days left are marked with an exclamation mark.",
		Example: "  postern " + k.name + " list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.credentials()
			if err != nil {
				return err
			}
			all, err := client.List(cmd.Context(), k.kind, user)
			if err != nil {
				return err
			}
			return a.printCredentials(all, time.Now())
		},
	}
	userFlag(cmd, &user)
	return cmd
}

func (a *app) printCredentials(all []rotate.Credential, now time.Time) error {
	if a.json {
		rows := make([]map[string]any, 0, len(all))
		for _, c := range all {
			row := map[string]any{"id": c.ID, "created": rfc3339(c.Created), "expires": rfc3339(c.Expires)}
			if c.Expires.UTC().Year() < never {
				row["days_left"] = int(math.Floor(c.Expires.Sub(now).Hours() / 24)) // negative: expired
			}
			rows = append(rows, row)
		}
		return a.printJSON(rows)
	}
	rows := [][]string{{"", "ID", "CREATED", "EXPIRES", "LEFT"}}
	for _, c := range all {
		mark := ""
		if c.Expires.Sub(now) < soon {
			mark = a.coloured(yellow, "!")
		}
		rows = append(rows, []string{mark, c.ID, date(c.Created), date(c.Expires), left(c.Expires, now)})
	}
	return a.printTable(rows...)
}

func (a *app) createCommand(k credentialKind) *cobra.Command {
	var user, to string
	life := days(defaultLife)
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a " + k.noun + " and store it in a file",
		Long: `Creates a ` + k.noun + ` and stores it in a new file that only its owner may read. A file that is
there already is not overwritten: see rotate. With --to - it is printed instead.`,
		Example: "  postern " + k.name + " create --to " + k.file + " --expires 30d",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" {
				return usage(errors.New("--to: expected a file to store the " + k.noun + " in, or - to print it, got nothing"))
			}
			if err := checkLife(time.Duration(life)); err != nil {
				return usage(err)
			}
			return a.create(cmd.Context(), k, user, to, time.Duration(life))
		},
	}
	userFlag(cmd, &user)
	cmd.Flags().StringVar(&to, "to", "", "file to store it in, which must not be there yet; - prints it")
	cmd.Flags().Var(&life, "expires", "how long it lives, such as 30d or 12h")
	return cmd
}

// minLife is package rotate's.
const minLife = time.Minute

func checkLife(life time.Duration) error {
	if life < minLife {
		return fmt.Errorf("--expires: expected at least %s, got %s", minLife, life)
	}
	return nil
}

// create makes a credential of the caller's, or of another user, by package rotate: what is interrupted leaves a record beside the
// file, and the next run clears it up.
func (a *app) create(ctx context.Context, k credentialKind, user, to string, life time.Duration) error {
	if to != "-" {
		if _, err := os.Lstat(to); err == nil {
			return usage(fmt.Errorf("--to: %s is there already: expected a new file, or use rotate to renew what is in it", to))
		}
		if err := mayStore(to); err != nil {
			return err
		}
	}
	api, src, err := a.api()
	if err != nil {
		return err
	}
	if user == "" {
		me, err := api.Me(ctx)
		if err != nil {
			return err
		}
		user = me.ID
	}
	cfg := rotate.Config{Source: src, UserID: user, Life: life}
	if to == "-" {
		return a.createAndPrint(ctx, k, cfg)
	}
	report, err := a.first(ctx, k, rotate.NewFileStore(to), cfg)
	if err != nil {
		return err
	}
	return a.printReport(k, to, report)
}

// createAndPrint makes a credential that is stored nowhere. One that nobody got is removed again.
func (a *app) createAndPrint(ctx context.Context, k credentialKind, cfg rotate.Config) error {
	client, err := a.credentials()
	if err != nil {
		return err
	}
	store := new(memoryStore)
	report, err := a.first(ctx, k, store, cfg)
	if err != nil {
		if len(store.record.State()) > 0 { // the creation was about to begin
			err = fmt.Errorf("%w; there may be a %s now that nobody has: look with postern %s list, and remove it", err, k.noun, k.name)
		}
		return err
	}
	if err = a.printCredential(k, report.Current, store.record.Credential()); err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
	defer cancel()
	if removal := client.Remove(ctx, k.kind, cfg.UserID, report.Current.ID); removal != nil {
		return fmt.Errorf("%w; %s %s, which nobody has, could not be removed: %w", err, k.name, report.Current.ID, removal)
	}
	return fmt.Errorf("%w; %s %s, which nobody has, was removed again", err, k.name, report.Current.ID)
}

// printCredential prints a secret, because that was asked for. A key file is JSON in any case.
func (a *app) printCredential(k credentialKind, made rotate.Credential, secret []byte) error {
	if a.json && k.kind == rotate.PAT {
		return a.printJSON(map[string]string{"id": made.ID, "token": string(secret), "expires": rfc3339(made.Expires)})
	}
	_, err := fmt.Fprintln(a.out, string(secret))
	return err
}

// first makes a credential into an empty store.
func (a *app) first(ctx context.Context, k credentialKind, store rotate.Store, cfg rotate.Config) (rotate.Report, error) {
	cfg.Grace = min(defaultGrace, cfg.Life/4) // nothing is replaced, so it is nothing to be told of
	rotator, err := a.rotator(k, store, cfg)
	if err != nil {
		return rotate.Report{}, err
	}
	return rotator.Run(ctx)
}

func (a *app) rotator(k credentialKind, store rotate.Store, cfg rotate.Config) (*rotate.Rotator, error) {
	cfg.Issuer, cfg.Kind, cfg.Store, cfg.Header, cfg.Progress = os.Getenv("ZITADEL_ISSUER"), k.kind, store, a.header(), a.progress
	cfg.Logger = slog.New(slog.DiscardHandler) // Progress and the report say it
	if cfg.Issuer == "" {
		return nil, usage(errors.New("expected the server's URL in ZITADEL_ISSUER or --issuer, got nothing"))
	}
	rotator, err := rotate.New(cfg)
	return rotator, usage(err)
}

func (a *app) rotateCommand(k credentialKind) *cobra.Command {
	var due bool
	life, grace := days(defaultLife), days(defaultGrace)
	cmd := &cobra.Command{
		Use:   "rotate FILE",
		Short: "Renew the " + k.noun + " in a file, without a moment in which none works",
		Long: `Creates a new ` + k.noun + `, proves that it works, puts it into FILE, and removes the old one
after a grace period for other replicas: the next run does that, so run this from a timer with
--if-due. The credential in the file makes the calls; it needs no role. Interrupted at any
point, the next run completes it.`,
		Example: "  postern " + k.name + " rotate " + k.file + " --if-due",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := os.Stat(args[0]); err != nil {
				return usage(fmt.Errorf("expected a file with a %s, for the first see postern %s create: %w", k.noun, k.name, err))
			}
			rotator, err := a.rotator(k, rotate.NewFileStore(args[0]), rotate.Config{Life: time.Duration(life), Grace: time.Duration(grace)})
			if err != nil {
				return err
			}
			do := rotator.Rotate
			if due {
				do = rotator.Run
			}
			report, err := do(cmd.Context())
			if err != nil {
				return err
			}
			return a.printReport(k, args[0], report)
		},
	}
	cmd.Flags().BoolVar(&due, "if-due", false, "only when two thirds of its life are gone, and to remove the old one")
	cmd.Flags().Var(&life, "expires", "how long the new one lives, such as 30d or 12h")
	cmd.Flags().Var(&grace, "grace", "how long the old one goes on, under a third of --expires")
	return cmd
}

// defaultGrace is package rotate's.
const defaultGrace = 10 * time.Minute

func (a *app) printReport(k credentialKind, file string, r rotate.Report) error {
	if a.json {
		return a.printJSON(map[string]any{
			"file": file, "user_id": r.UserID, "id": r.Current.ID, "expires": rfc3339(r.Current.Expires), "renewed": r.Renewed,
			"removed": append([]string{}, r.Removed...), "waiting": r.Waiting, "left": r.Left, "next": rfc3339(r.Next),
		})
	}
	verb := "is not due"
	if r.Renewed {
		verb = "is new"
	}
	fmt.Fprintf(a.out, "%s %s in %s %s: it expires on %s\n", k.name, r.Current.ID, file, verb, withLeft(r.Current.Expires, time.Now()))
	for _, id := range r.Removed {
		fmt.Fprintf(a.out, "%s %s was removed\n", k.name, id)
	}
	if r.Waiting != "" {
		fmt.Fprintf(a.out, "%s %s goes on for other replicas, until a run after %s removes it\n", k.name, r.Waiting, date(r.Next))
	}
	if r.Left != "" {
		fmt.Fprintf(a.out, "%s %s was replaced and stays: no record names it for certain, so remove it yourself\n", k.name, r.Left)
	}
	return nil
}

// maxID is longer than any id of ZITADEL's, and shorter than any token.
const maxID = 64

func (a *app) removeCommand(k credentialKind) *cobra.Command {
	var user string
	var yes bool
	cmd := &cobra.Command{
		Use:     "remove ID",
		Short:   "Remove a " + k.noun + " for good",
		Long:    "Removes a " + k.noun + " of the caller, or of --user. It asks first, unless --yes is given.",
		Example: "  postern " + k.name + " remove 400709186406583334 --yes",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args[0]) > maxID { // and not shown: it may be the token itself
				return usage(fmt.Errorf("expected an id as postern %s list shows it, got something of %d bytes", k.name, len(args[0])))
			}
			client, err := a.credentials()
			if err != nil {
				return err
			}
			if !yes {
				if err := a.confirm(cmd.Context(), fmt.Sprintf("Remove %s %s for good?", k.name, args[0])); err != nil {
					return err
				}
			}
			// The server says the same of another user's as of one that is gone, and that one goes on opening doors.
			all, err := client.List(cmd.Context(), k.kind, user)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(all, func(c rotate.Credential) bool { return c.ID == args[0] }) {
				return fmt.Errorf("expected the id of a %s of that user, got %q, which it does not have: look with postern %s list, and name another's user with --user", k.noun, plain(args[0]), k.name)
			}
			if err := client.Remove(cmd.Context(), k.kind, user, args[0]); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"removed": args[0]})
			}
			_, err = fmt.Fprintf(a.out, "%s %s was removed\n", k.name, args[0])
			return err
		},
	}
	userFlag(cmd, &user)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// credentials returns package rotate's client, which calls as the caller.
func (a *app) credentials() (*rotate.Client, error) {
	src, err := a.source()
	if err != nil {
		return nil, err
	}
	client, err := rotate.NewClient(rotate.ClientConfig{Issuer: src.Issuer(), Source: src, Header: a.header()})
	return client, usage(err)
}

func userFlag(cmd *cobra.Command, user *string) {
	cmd.Flags().StringVar(user, "user", "", "id of another service user; needs ORG_USER_MANAGER or ORG_OWNER")
}

// memoryStore keeps a credential that is printed and not stored.
type memoryStore struct{ record rotate.Record }

func (s *memoryStore) Lock(context.Context) (func(), error)        { return func() {}, nil }
func (s *memoryStore) Load(context.Context) (rotate.Record, error) { return s.record, nil }
func (s *memoryStore) Save(_ context.Context, r rotate.Record) (string, error) {
	s.record = r
	return "", nil
}
