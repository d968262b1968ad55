package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-go/postern"
	"github.com/postern-go/postern/clientcredentials"
	"github.com/postern-go/postern/internal/smallfile"
	"github.com/postern-go/postern/internal/zitadelapi"
	"github.com/postern-go/postern/jwtprofile"
	"github.com/postern-go/postern/keyfile"
	"github.com/postern-go/postern/pat"
	"github.com/postern-go/postern/rotate"
)

// bootstrap is what the command was asked to do.
type bootstrap struct {
	user, name, role       string
	patTo, keyTo, secretTo string
	life                   days
	yes                    bool
}

func (a *app) bootstrapCommand() *cobra.Command {
	b := bootstrap{life: days(defaultLife)}
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Create a service user with a role and a credential",
		Long: `Does what a person does in the console: creates a service user, makes it a manager of the
organisation with a role, and gives it a personal access token, a key or a client secret, which
is stored in a file that only its owner may read. It says what it will do and asks first.

The caller is an administrator: a credential of a user with ORG_OWNER. It can be run again: what
is there already is left as it is, roles and a credential in the file that works included.`,
		Example: `  postern bootstrap --user ci-bot --role ORG_OWNER --pat-to /run/secrets/zitadel-pat
  postern bootstrap --user ci-bot --role ORG_USER_MANAGER --key-to key.json --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := b.check()
			if b.secretTo != "" && cmd.Flags().Changed("expires") {
				err = errors.Join(err, errors.New("--expires: a client secret has no expiry; expected --pat-to or --key-to with it"))
			}
			if err != nil {
				return usage(err)
			}
			return a.bootstrap(cmd.Context(), b)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&b.user, "user", "", "user name of the service user")
	flags.StringVar(&b.name, "name", "", "its name for people; default: the user name")
	flags.StringVar(&b.role, "role", "", "role in the organisation, such as ORG_OWNER or ORG_USER_MANAGER; default: none")
	flags.StringVar(&b.patTo, "pat-to", "", "file for a personal access token")
	flags.StringVar(&b.keyTo, "key-to", "", "file for a key, which is generated here")
	flags.StringVar(&b.secretTo, "secret-to", "", "file for a client secret")
	flags.Var(&b.life, "expires", "how long the token or key lives, such as 30d or 12h")
	flags.BoolVar(&b.yes, "yes", false, "do not ask")
	return cmd
}

func (b *bootstrap) check() error {
	var errs []error
	if b.user == "" {
		errs = append(errs, errors.New("--user: expected the user name of the service user, got nothing"))
	}
	given := 0
	for _, to := range []string{b.patTo, b.keyTo, b.secretTo} {
		if to != "" {
			given++
		}
		if to == "-" {
			errs = append(errs, errors.New("expected a file for the credential, got -: it is stored and not printed, see pat create --to -"))
		}
	}
	if given != 1 {
		errs = append(errs, fmt.Errorf("expected one of --pat-to, --key-to and --secret-to, got %d", given))
	}
	if b.name == "" {
		b.name = b.user
	}
	errs = append(errs, checkLife(time.Duration(b.life)))
	return errors.Join(errs...)
}

// file is where the credential goes, and what names its kind.
func (b *bootstrap) file() (path, what string) {
	switch {
	case b.patTo != "":
		return b.patTo, "a personal access token"
	case b.keyTo != "":
		return b.keyTo, "a key"
	}
	return b.secretTo, "a client secret"
}

func (a *app) bootstrap(ctx context.Context, b bootstrap) error {
	api, src, err := a.api()
	if err != nil {
		return err
	}
	org, err := api.MyOrg(ctx)
	if err != nil {
		return fmt.Errorf("the caller may not manage this organisation: %w", err)
	}
	user, found, err := api.FindUser(ctx, b.user)
	if err != nil {
		return err
	}
	var roles []string
	if found && b.role != "" {
		if roles, err = orgRoles(ctx, api, user.ID); err != nil {
			return err
		}
	}
	file, what := b.file()
	_, err = os.Lstat(file)
	stored := err == nil
	if stored {
		err = b.checkStored(ctx, api, src.Issuer(), user)
	} else {
		err = mayStore(file)
	}
	if err != nil {
		return err
	}

	fmt.Fprintf(a.err, "At %s, in the organisation %s (%s):\n", src.Issuer(), plain(org.Name), org.ID)
	todo := 0
	plan := func(done bool, step string) {
		if done {
			step += ": there already"
		} else {
			todo++
		}
		fmt.Fprintf(a.err, "  - %s\n", step)
	}
	plan(found, "create the service user "+b.user)
	if b.role != "" {
		plan(slices.Contains(roles, b.role), "give it the role "+b.role)
	}
	lasting := ", which lives for " + b.life.String()
	if b.secretTo != "" {
		lasting = ""
		if found {
			lasting = " in place of any that it has"
		}
	}
	plan(stored, "give it "+what+lasting+", in the file "+file)
	if !b.yes && todo > 0 {
		if err := a.confirm(ctx, "Go on?"); err != nil {
			return err
		}
	}

	if !found {
		a.progress("creating the service user")
		id, err := api.CreateServiceUser(ctx, b.user, b.name, "created by postern bootstrap")
		if err != nil && !zitadelapi.AlreadyExists(err) {
			return err
		}
		user.ID, user.LoginName = id, b.user
		if zitadelapi.AlreadyExists(err) { // by another run, meanwhile
			if user, found, err = api.FindUser(ctx, b.user); err != nil {
				return err
			} else if !found {
				return fmt.Errorf("the user name %q is taken, by a user that this organisation does not have: choose another", b.user)
			}
		}
	}
	if b.role != "" && !slices.Contains(roles, b.role) {
		a.progress("giving it the role " + b.role)
		if err := giveRole(ctx, api, user.ID, roles, b.role); err != nil {
			return fmt.Errorf("give it the role %s, is that one of an organisation? %w", b.role, err)
		}
	}
	var report rotate.Report
	switch {
	case stored:
	case b.secretTo != "":
		a.progress("making a client secret")
		if err := a.makeSecret(ctx, api, user.ID, b.secretTo); err != nil {
			return err
		}
	default:
		k := patCommands
		if b.keyTo != "" {
			k = keyCommands
		}
		cfg := rotate.Config{Source: src, UserID: user.ID, Life: time.Duration(b.life)}
		if report, err = a.first(ctx, k, rotate.NewFileStore(file), cfg); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(map[string]any{
			"user_id": user.ID, "user_name": b.user, "role": b.role, "file": file, "created_user": !found, "created_credential": !stored,
			"expires": rfc3339(report.Current.Expires),
		})
	}
	fmt.Fprintf(a.out, "%s (%s) is ready, with %s in %s\n", b.user, user.ID, what, file)
	return nil
}

const membersPath = "/management/v1/orgs/me/members"

// orgRoles returns the roles that a user has in the organisation.
func orgRoles(ctx context.Context, api *zitadelapi.Client, userID string) ([]string, error) {
	in := map[string]any{"queries": []any{map[string]any{"userIdQuery": map[string]string{"userId": userID}}}}
	var answer struct {
		Result []struct {
			UserID string   `json:"userId"`
			Roles  []string `json:"roles"`
		} `json:"result"`
	}
	if err := api.Call(ctx, http.MethodPost, membersPath+"/_search", in, &answer); err != nil {
		return nil, err
	}
	for _, member := range answer.Result {
		if member.UserID == userID {
			return member.Roles, nil
		}
	}
	return nil, nil
}

// giveRole adds a role to those that a user has.
func giveRole(ctx context.Context, api *zitadelapi.Client, userID string, has []string, role string) error {
	if len(has) == 0 {
		err := api.AddOrgMember(ctx, userID, role)
		if !zitadelapi.AlreadyExists(err) {
			return err
		}
		// By another run, meanwhile.
		if has, err = orgRoles(ctx, api, userID); err != nil || slices.Contains(has, role) {
			return err
		}
	}
	in := map[string]any{"roles": append(slices.Clone(has), role)}
	return api.Call(ctx, http.MethodPut, membersPath+"/"+url.PathEscape(userID), in, nil)
}

// mayStore finds out whether a new file can be made before anything is done that would be for nothing if it cannot.
func mayStore(file string) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".postern-*")
	if err != nil {
		return usage(fmt.Errorf("%s: expected a directory to make a file in: %w", file, err))
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// checkStored looks whether what is in the file, which is there, is a credential of the user that works.
func (b *bootstrap) checkStored(ctx context.Context, api *zitadelapi.Client, issuer string, user zitadelapi.User) error {
	file, what := b.file()
	src, err := b.storedSource(issuer, user.LoginName)
	if err == nil {
		var me zitadelapi.User
		me, err = api.As(src).Me(ctx)
		if err == nil && me.ID != user.ID {
			err = fmt.Errorf("it is of %s (%s)", plain(me.UserName), me.ID)
		}
	}
	if err == nil || ctx.Err() != nil || errors.Is(err, postern.ErrUnavailable) {
		return err
	}
	return usage(fmt.Errorf("%s is there already: expected %s of %s that works: %w; name another file, or remove this one if nobody needs it",
		file, what, b.user, err))
}

func (b *bootstrap) storedSource(issuer, loginName string) (postern.TokenSource, error) {
	switch {
	case b.patTo != "":
		return pat.FromFile(b.patTo)
	case b.keyTo != "":
		key, err := keyfile.Read(b.keyTo)
		if err != nil {
			return nil, err
		}
		return jwtprofile.New(jwtprofile.Config{Issuer: issuer, Key: key})
	}
	secret, _, err := smallfile.Read(b.secretTo, maxSecret)
	if err != nil {
		return nil, err
	}
	return clientcredentials.New(clientcredentials.Config{
		Issuer: issuer, ClientID: loginName, ClientSecret: strings.TrimRight(string(secret), "\r\n"),
	})
}

// maxSecret bounds a client secret, in bytes. ZITADEL's have 64.
const maxSecret = 4 << 10

// makeSecret stores a new client secret. The file is made first: a secret that cannot be stored would end the one before for
// nothing.
func (a *app) makeSecret(ctx context.Context, api *zitadelapi.Client, userID, to string) error {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	secret, err := api.NewSecret(ctx, userID)
	if err == nil {
		_, err = f.WriteString(secret + "\n")
		if err = errors.Join(err, f.Sync()); err != nil {
			err = fmt.Errorf("a client secret was made and could not be stored, run this again for another: %w", err)
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}
