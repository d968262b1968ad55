package zitadeltest

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"time"
)

var credentialRoutes = []route{
	{"POST /management/v1/users/{user}/pats", "user.write", (*call).createPAT},
	{"POST /management/v1/users/{user}/pats/_search", "user.read", (*call).searchPATs},
	{"GET /management/v1/users/{user}/pats/{token}", "user.read", (*call).readPAT},
	{"DELETE /management/v1/users/{user}/pats/{token}", "user.write", (*call).deletePAT},
	{"POST /management/v1/users/{user}/keys", "user.write", (*call).createKey},
	{"POST /management/v1/users/{user}/keys/_search", "user.read", (*call).searchKeys},
	{"GET /management/v1/users/{user}/keys/{key}", "user.read", (*call).readKey},
	{"DELETE /management/v1/users/{user}/keys/{key}", "user.write", (*call).deleteKey},
	{"PUT /management/v1/users/{user}/secret", "user.write", (*call).createSecret},
	{"DELETE /management/v1/users/{user}/secret", "user.write", (*call).deleteSecret},
}

func (c *call) createPAT() (any, error) {
	m := c.message("AddPersonalAccessTokenRequest")
	expiry, err := c.expiry(m)
	if err != nil {
		return nil, err
	}
	u := c.orgUser()
	if u == nil {
		return nil, failedPrecondition("COMMAND-Dggw2", "Errors.User.NotFound")
	}
	p, token := c.addPAT(c.user.id, u, expiry)
	return object{"tokenId": p.id, "token": token, "details": p.details.made()}, nil
}

// expiry reads expirationDate: none means never, and the past is refused.
func (c *call) expiry(m *message) (time.Time, error) {
	t := m.time("expirationDate")
	switch {
	case m.err != nil:
		return t, m.err
	case t.IsZero():
		return noExpiry, nil
	case t.Before(c.clock()):
		return t, invalidArgument("DOMAIN-dv3t5", "Errors.AuthNKey.ExpireBeforeNow")
	}
	return t, nil
}

func (c *call) searchPATs() (any, error) {
	var pats []*pat
	if u := c.orgUser(); u != nil {
		pats = u.pats
	}
	return searchV1(c, "ListPersonalAccessTokensRequest", pats, nil, patObject)
}

func patObject(p *pat) object {
	return object{"id": p.id, "details": p.details.full(), "expirationDate": timestamp(p.expiry), "scopes": p.scopes}
}

func (c *call) readPAT() (any, error) {
	p := c.userPAT(c.orgUser())
	if p == nil {
		return nil, notFound("QUERY-fRunu", "Errors.PersonalAccessToken.NotFound")
	}
	return object{"token": patObject(p)}, nil
}

func (c *call) userPAT(u *user) *pat {
	if p := c.pats[c.r.PathValue("token")]; p != nil && p.user == u {
		return p
	}
	return nil
}

func (c *call) deletePAT() (any, error) {
	p := c.userPAT(c.orgUser())
	if p == nil {
		return nil, notFound("COMMAND-4m77G", "Errors.User.PAT.NotFound")
	}
	return object{"details": c.removePAT(c.user.id, p).change()}, nil
}

func keyType(m *message) {
	if t := m.enum("type", "KEY_TYPE_UNSPECIFIED", "KEY_TYPE_JSON"); t == "KEY_TYPE_UNSPECIFIED" {
		m.invalid("Type", "value must not be in list [0]")
	}
}

func (c *call) createKey() (any, error) {
	m := c.message("AddMachineKeyRequest")
	keyType(m)
	public, expiry, err := c.keyRequest(m)
	if err != nil {
		return nil, err
	}
	u := c.orgUser()
	if u == nil {
		return nil, failedPrecondition("COMMAND-bnipwm1", "Errors.User.NotFound")
	}
	k, file := c.makeKey(u, public, expiry)
	answer := object{"keyId": k.id, "details": k.details.made()}
	if file != nil {
		answer["keyDetails"] = file
	}
	return answer, nil
}

// keyRequest reads what both APIs want to know of a new key.
func (c *call) keyRequest(m *message) (public crypto.PublicKey, expiry time.Time, err error) {
	if encoded := m.bytes("publicKey"); m.err == nil && len(encoded) > 0 {
		if public = parsePublicKey(encoded); public == nil {
			return nil, expiry, invalidArgument("COMMAND-5F3h1", "Errors.User.Machine.Key.Invalid")
		}
	}
	expiry, err = c.expiry(m)
	return public, expiry, err
}

// parsePublicKey takes any key in PKIX form. That one of another kind than RSA or ECDSA never verifies anything shows only later, as
// with the real server.
func parsePublicKey(encoded []byte) crypto.PublicKey {
	block, _ := pem.Decode(encoded)
	if block == nil {
		return nil
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil
	}
	return public
}

// makeKey adds an uploaded key, or makes one and returns its file.
func (c *call) makeKey(u *user, public crypto.PublicKey, expiry time.Time) (*machineKey, []byte) {
	if public != nil {
		return c.addUserKey(c.user.id, u, public, expiry), nil
	}
	return c.newUserKeyFile(c.user.id, u, expiry)
}

func (c *call) searchKeys() (any, error) {
	var keys []*machineKey
	if u := c.orgUser(); u != nil {
		keys = u.keys
	}
	return searchV1(c, "ListMachineKeysRequest", keys, nil, keyObject)
}

func keyObject(k *machineKey) object {
	return object{"id": k.id, "details": k.details.full(), "type": "KEY_TYPE_JSON", "expirationDate": timestamp(k.expiry)}
}

func (c *call) readKey() (any, error) {
	if u := c.orgUser(); u != nil {
		if k := keyByID(u.keys, c.r.PathValue("key")); k != nil {
			return object{"key": keyObject(k)}, nil
		}
	}
	return nil, notFound("QUERY-Dgr3g", "Errors.AuthNKey.NotFound")
}

func keyByID(keys []*machineKey, id string) *machineKey {
	return find(keys, func(k *machineKey) bool { return k.id == id })
}

func (c *call) deleteKey() (any, error) {
	u := c.orgUser()
	if u != nil {
		if k := keyByID(u.keys, c.r.PathValue("key")); k != nil {
			return object{"details": c.removeUserKey(c.user.id, u, k).change()}, nil
		}
	}
	return nil, notFound("COMMAND-4m77G", "Errors.User.Machine.Key.NotFound")
}

func (c *call) createSecret() (any, error) {
	u, err := c.visibleUser()
	if err != nil {
		return nil, err
	}
	secret, d := c.setSecret(c.user.id, u)
	return object{"clientId": u.userName, "clientSecret": secret, "details": d.made()}, nil
}

func (c *call) deleteSecret() (any, error) {
	u := c.orgUser()
	if u == nil {
		return nil, failedPrecondition("COMMAND-x7s802", "Errors.User.NotExisting")
	}
	d, err := c.removeSecret(c.user.id, u)
	if err != nil {
		return nil, err
	}
	return object{"details": d.change()}, nil
}
