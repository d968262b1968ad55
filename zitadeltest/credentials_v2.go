package zitadeltest

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// The calls by which a service user without any role manages its own credentials, and nobody else's.
var credentialV2Routes = []route{
	{"POST /v2/users/{user}/pats", authenticated, (*call).createPATV2},
	{"POST /v2/users/pats/search", authenticated, (*call).searchPATsV2},
	{"DELETE /v2/users/{user}/pats/{token}", authenticated, (*call).deletePATV2},
	{"POST /v2/users/{user}/keys", authenticated, (*call).createKeyV2},
	{"POST /v2/users/keys/search", authenticated, (*call).searchKeysV2},
	{"DELETE /v2/users/{user}/keys/{key}", authenticated, (*call).deleteKeyV2},
	{"POST /v2/users/{user}/secret", authenticated, (*call).createSecretV2},
	{"DELETE /v2/users/{user}/secret", authenticated, (*call).deleteSecretV2},
}

func (c *call) createPATV2() (any, error) {
	m := c.message("AddPersonalAccessTokenRequest")
	m.required("expirationDate")
	expiry, err := c.expiry(m)
	if err != nil {
		return nil, err
	}
	u := c.pathUser()
	if u == nil {
		return nil, failedPrecondition("COMMAND-Dggw2", "Errors.User.NotFound")
	}
	if err := c.permitSelf(u, "user.write"); err != nil {
		return nil, err
	}
	p, token := c.addPAT(c.user.id, u, expiry)
	return object{"creationDate": timestamp(p.details.created), "tokenId": p.id, "token": token}, nil
}

// ownerOfCredential finds the user whose credential is to go, nil for one that was removed, and asks for the permission before it is known
// whether there is such a credential.
func (c *call) ownerOfCredential() (*user, error) {
	if u := c.pathUser(); u != nil {
		return u, c.permitSelf(u, "user.write")
	}
	o, gone := c.usersGone[c.r.PathValue("user")]
	if !gone {
		return nil, notFound("COMMAND-4g3xq", "Errors.NotFound")
	}
	return nil, c.permitOn(o, "user.write", "AUTH-AWfge")
}

func (c *call) deletePATV2() (any, error) {
	u, err := c.ownerOfCredential()
	if err != nil {
		return nil, err
	}
	p := c.userPAT(u)
	if u == nil || p == nil {
		return nil, notFound("COMMAND-4m77G", "Errors.User.PAT.NotFound")
	}
	return object{"deletionDate": timestamp(c.removePAT(c.user.id, p).changed)}, nil
}

func (c *call) createKeyV2() (any, error) {
	m := c.message("AddKeyRequest")
	m.required("expirationDate")
	public, expiry, err := c.keyRequest(m)
	if err != nil {
		return nil, err
	}
	u := c.pathUser()
	if u == nil {
		return nil, failedPrecondition("COMMAND-bnipwm1", "Errors.User.NotFound")
	}
	if err := c.permitSelf(u, "user.write"); err != nil {
		return nil, err
	}
	k, file := c.makeKey(u, public, expiry)
	answer := object{"creationDate": timestamp(k.details.created), "keyId": k.id}
	if file != nil {
		answer["keyContent"] = file
	}
	return answer, nil
}

func (c *call) deleteKeyV2() (any, error) {
	u, err := c.ownerOfCredential()
	if err != nil {
		return nil, err
	}
	if u != nil {
		if k := keyByID(u.keys, c.r.PathValue("key")); k != nil {
			return object{"deletionDate": timestamp(c.removeUserKey(c.user.id, u, k).changed)}, nil
		}
	}
	return nil, notFound("COMMAND-4m77G", "Errors.User.Machine.Key.NotFound")
}

func (c *call) createSecretV2() (any, error) {
	u := c.pathUser()
	if u == nil {
		return nil, failedPrecondition("COMMAND-x8910n", "Errors.User.NotExisting")
	}
	if err := c.permitSelf(u, "user.write"); err != nil {
		return nil, err
	}
	secret, d := c.setSecret(c.user.id, u)
	return object{"creationDate": timestamp(d.changed), "clientSecret": secret}, nil
}

func (c *call) deleteSecretV2() (any, error) {
	u := c.pathUser()
	if u == nil {
		return nil, failedPrecondition("COMMAND-x7s802", "Errors.User.NotExisting")
	}
	if err := c.permitSelf(u, "user.write"); err != nil {
		return nil, err
	}
	d, err := c.removeSecret(c.user.id, u)
	if err != nil {
		return nil, err
	}
	return object{"deletionDate": timestamp(d.changed)}, nil
}

// credential is a PAT or key as the searches of the v2 user service see it.
type credential struct {
	id      string
	user    *user
	details details
	expiry  time.Time
}

// searchCredentials shows those of all users the caller may read, so whoever searches filters by user.
func (c *call) searchCredentials(name, idFilter string, of func(*user) []credential) (any, error) {
	var all []credential
	for _, u := range c.users {
		all = append(all, of(u)...)
	}
	prefix := "PERSONAL_ACCESS_TOKEN_FIELD_NAME_"
	expiration := "EXPIRATION_DATE"
	if idFilter == "keyIdFilter" {
		prefix, expiration = "KEY_FIELD_NAME_", "KEY_EXPIRATION_DATE"
	}
	m := c.message(name)
	column := m.enum("sortingColumn", prefix+"UNSPECIFIED", prefix+"CREATED_DATE", prefix+"ID", prefix+"USER_ID",
		prefix+"ORGANIZATION_ID", prefix+expiration)
	if m.err != nil {
		return nil, m.err
	}
	slices.SortStableFunc(all, func(a, b credential) int {
		order := 0
		switch strings.TrimPrefix(column, prefix) {
		case "ID":
			order = cmp.Compare(a.id, b.id)
		case "USER_ID":
			order = cmp.Compare(a.user.id, b.user.id)
		case "ORGANIZATION_ID":
			order = cmp.Compare(a.user.org.id, b.user.org.id)
		case expiration:
			order = a.expiry.Compare(b.expiry)
		}
		return cmp.Or(order, a.details.created.Compare(b.details.created), cmp.Compare(a.id, b.id))
	})
	date := func(of func(credential) time.Time) func(*message, credential) bool {
		return func(q *message, x credential) bool { return dateMatches(q, of(x)) }
	}
	return searchV2(c, name, "filters", all, matchers[credential]{
		"userIdFilter":         func(q *message, x credential) bool { return x.user.id == q.text("id") },
		"organizationIdFilter": func(q *message, x credential) bool { return x.user.org.id == q.text("id") },
		idFilter:               func(q *message, x credential) bool { return x.id == q.text("id") },
		"createdDateFilter":    date(func(x credential) time.Time { return x.details.created }),
		"expirationDateFilter": date(func(x credential) time.Time { return x.expiry }),
	}, func(x credential) bool { return c.permitSelf(x.user, "user.read") == nil }, func(x credential) object {
		return object{
			"id": x.id, "userId": x.user.id, "organizationId": x.user.org.id,
			"creationDate": timestamp(x.details.created), "changeDate": timestamp(x.details.changed),
			"expirationDate": timestamp(x.expiry),
		}
	})
}

func dateMatches(q *message, t time.Time) bool {
	order := t.Compare(q.time("timestamp"))
	switch q.enum("method",
		"TIMESTAMP_FILTER_METHOD_EQUALS", "TIMESTAMP_FILTER_METHOD_AFTER", "TIMESTAMP_FILTER_METHOD_AFTER_OR_EQUALS",
		"TIMESTAMP_FILTER_METHOD_BEFORE", "TIMESTAMP_FILTER_METHOD_BEFORE_OR_EQUALS") {
	case "TIMESTAMP_FILTER_METHOD_AFTER":
		return order > 0
	case "TIMESTAMP_FILTER_METHOD_AFTER_OR_EQUALS":
		return order >= 0
	case "TIMESTAMP_FILTER_METHOD_BEFORE":
		return order < 0
	case "TIMESTAMP_FILTER_METHOD_BEFORE_OR_EQUALS":
		return order <= 0
	}
	return order == 0
}

func (c *call) searchPATsV2() (any, error) {
	return c.searchCredentials("ListPersonalAccessTokensRequest", "tokenIdFilter", func(u *user) []credential {
		var out []credential
		for _, p := range u.pats {
			out = append(out, credential{p.id, u, p.details, p.expiry})
		}
		return out
	})
}

func (c *call) searchKeysV2() (any, error) {
	return c.searchCredentials("ListKeysRequest", "keyIdFilter", func(u *user) []credential {
		var out []credential
		for _, k := range u.keys {
			out = append(out, credential{k.id, u, k.details, k.expiry})
		}
		return out
	})
}
