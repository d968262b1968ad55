package zitadeltest

var appRoutes = []route{
	{"POST /management/v1/projects/{project}/apps/api", "project.app.write", (*call).createAPI},
	{"POST /management/v1/projects/{project}/apps/_search", "project.app.read", (*call).searchApps},
	{"GET /management/v1/projects/{project}/apps/{app}", "project.app.read", (*call).readApp},
	{"PUT /management/v1/projects/{project}/apps/{app}", "project.app.write", (*call).changeApp},
	{"PUT /management/v1/projects/{project}/apps/{app}/api_config", "project.app.write", (*call).changeAPI},
	{"POST /management/v1/projects/{project}/apps/{app}/api_config/_generate_client_secret", "project.app.write", (*call).newAppSecret},
	{"POST /management/v1/projects/{project}/apps/{app}/_deactivate", "project.app.write", (*call).deactivateApp},
	{"POST /management/v1/projects/{project}/apps/{app}/_reactivate", "project.app.write", (*call).reactivateApp},
	{"DELETE /management/v1/projects/{project}/apps/{app}", "project.app.delete", (*call).deleteApp},
	{"POST /management/v1/projects/{project}/apps/{app}/keys", "project.app.write", (*call).createAppKey},
	{"POST /management/v1/projects/{project}/apps/{app}/keys/_search", "project.app.read", (*call).searchAppKeys},
	{"GET /management/v1/projects/{project}/apps/{app}/keys/{key}", "project.app.read", (*call).readAppKey},
	{"DELETE /management/v1/projects/{project}/apps/{app}/keys/{key}", "project.app.write", (*call).deleteAppKey},
}

func (c *call) pathApp() *app {
	if p := c.pathProject(); p != nil {
		return p.app(c.r.PathValue("app"))
	}
	return nil
}

func (c *call) createAPI() (any, error) {
	m := c.message("AddAPIAppRequest")
	name := m.text("name")
	keyAuth := authMethod(m)
	m.length("Name", name, 1, 200)
	if m.err != nil {
		return nil, m.err
	}
	p := c.pathProject()
	if p == nil {
		return nil, failedPrecondition("COMMAND-EbFMN", "Errors.Project.NotFound")
	}
	a, err := c.addAPI(c.user.id, p, name, keyAuth)
	if err != nil {
		return nil, err
	}
	answer := object{"appId": a.id, "clientId": a.clientID, "details": a.details.made()}
	if a.secret != "" {
		answer["clientSecret"] = a.secret
	}
	return answer, nil
}

func (c *call) searchApps() (any, error) {
	var apps []*app
	if p := c.pathProject(); p != nil {
		apps = p.apps
	}
	return searchV1(c, "ListAppsRequest", apps, matchers[*app]{
		"nameQuery": func(q *message, a *app) bool { return textMatches(q, a.name, "name") },
	}, appObject)
}

func appObject(a *app) object {
	state := "APP_STATE_ACTIVE"
	if !a.active {
		state = "APP_STATE_INACTIVE"
	}
	config := object{"clientId": a.clientID}
	if a.keyAuth {
		config["authMethodType"] = "API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT"
	}
	return object{"id": a.id, "details": a.details.full(), "state": state, "name": a.name, "apiConfig": config}
}

func (c *call) readApp() (any, error) {
	var a *app
	if p := c.state.project(c.r.PathValue("project")); p != nil {
		a = p.app(c.r.PathValue("app"))
	}
	switch {
	case a == nil:
		return nil, notFound("QUERY-pCP8P", "Errors.App.NotExisting")
	case a.project.org != c.org:
		return nil, notFound("MANAG-SFf2a", "Errors.Project.App.NotFound")
	}
	return object{"app": appObject(a)}, nil
}

func (c *call) changeApp() (any, error) {
	m := c.message("UpdateAppRequest")
	name := m.text("name")
	m.length("Name", name, 1, 200)
	if m.err != nil {
		return nil, m.err
	}
	a := c.pathApp()
	if a == nil {
		return nil, notFound("COMMAND-28di9", "Errors.Project.App.NotExisting")
	}
	if a.name == name {
		return nil, failedPrecondition("COMMAND-2m8vx", "Errors.NoChangesFound")
	}
	if a.project.appNamed(name) {
		return nil, alreadyExists("V3-DKcYh", "Errors.Project.App.AlreadyExists")
	}
	a.name = name
	return object{"details": c.pushApp(c.user.id, a, "project.application.changed", object{"appId": a.id, "name": name}).change()}, nil
}

// changeAPI changes how an application authenticates. Its secret stays good.
func (c *call) changeAPI() (any, error) {
	m := c.message("UpdateAPIAppConfigRequest")
	keyAuth := authMethod(m)
	if m.err != nil {
		return nil, m.err
	}
	a := c.pathApp()
	if a == nil {
		return nil, notFound("COMMAND-2n8uU", "Errors.Project.App.NotExisting")
	}
	if a.keyAuth == keyAuth {
		return nil, failedPrecondition("COMMAND-1m88i", "Errors.NoChangesFound")
	}
	a.keyAuth = keyAuth
	return object{"details": c.pushApp(c.user.id, a, "project.application.config.api.changed",
		object{"appId": a.id, "authMethodType": map[bool]int{true: 1}[keyAuth]}).change()}, nil
}

func authMethod(m *message) (keyAuth bool) {
	return m.enum("authMethodType", "API_AUTH_METHOD_TYPE_BASIC", "API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT") == "API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT"
}

func (c *call) newAppSecret() (any, error) {
	a := c.pathApp()
	if a == nil {
		return nil, notFound("COMMAND-2g66f", "Errors.Project.App.NotExisting")
	}
	a.secret = newSecret(64)
	d := c.pushApp(c.user.id, a, "project.application.config.api.secret.changed", object{"appId": a.id, "hashedSecret": hashed()})
	return object{"clientSecret": a.secret, "details": d.change()}, nil
}

func (c *call) deactivateApp() (any, error) {
	a := c.pathApp()
	if a == nil {
		return nil, notFound("COMMAND-ov9d3", "Errors.Project.App.NotExisting")
	}
	if !a.active {
		return nil, failedPrecondition("COMMAND-dsh35", "Errors.Project.App.NotActive")
	}
	a.active = false
	return object{"details": c.pushApp(c.user.id, a, "project.application.deactivated", object{"appId": a.id}).change()}, nil
}

func (c *call) reactivateApp() (any, error) {
	a := c.pathApp()
	if a == nil {
		return nil, notFound("COMMAND-ov9d3", "Errors.Project.App.NotExisting")
	}
	if a.active {
		return nil, failedPrecondition("COMMAND-1n8cM", "Errors.Project.App.NotInactive")
	}
	a.active = true
	return object{"details": c.pushApp(c.user.id, a, "project.application.reactivated", object{"appId": a.id}).change()}, nil
}

func (c *call) deleteApp() (any, error) {
	a := c.pathApp()
	if a == nil {
		return nil, notFound("COMMAND-0po9s", "Errors.Project.App.NotExisting")
	}
	a.project.apps = remove(a.project.apps, a)
	return object{"details": c.pushApp(c.user.id, a, "project.application.removed", object{"appId": a.id}).change()}, nil
}

func (c *call) createAppKey() (any, error) {
	m := c.message("AddAppKeyRequest")
	keyType(m)
	if m.err != nil {
		return nil, m.err
	}
	a := c.pathApp()
	if a == nil {
		return nil, failedPrecondition("COMMAND-sak25", "Errors.Project.App.NotFound")
	}
	if !a.keyAuth {
		return nil, failedPrecondition("COMMAND-Dff54", "Errors.Project.App.AuthMethodNoPrivateKeyJWT")
	}
	expiry, err := c.expiry(m)
	if err != nil {
		return nil, err
	}
	k, file := c.newAppKeyFile(c.user.id, a, expiry)
	return object{"id": k.id, "keyDetails": file, "details": k.details.made()}, nil
}

func (c *call) searchAppKeys() (any, error) {
	var keys []*machineKey
	if a := c.pathApp(); a != nil {
		keys = a.keys
	}
	return searchV1(c, "ListAppKeysRequest", keys, nil, keyObject)
}

func (c *call) readAppKey() (any, error) {
	if a := c.pathApp(); a != nil {
		if k := keyByID(a.keys, c.r.PathValue("key")); k != nil {
			return object{"key": keyObject(k)}, nil
		}
	}
	return nil, notFound("QUERY-Dgr3g", "Errors.AuthNKey.NotFound")
}

func (c *call) deleteAppKey() (any, error) {
	if a := c.pathApp(); a != nil {
		if k := keyByID(a.keys, c.r.PathValue("key")); k != nil {
			a.keys = remove(a.keys, k)
			return object{"details": c.push(&a.project.aggregate, c.user.id, "project.application.oidc.key.removed", object{"keyId": k.id}).change()}, nil
		}
	}
	return nil, notFound("COMMAND-4m77G", "Errors.Project.App.Key.NotFound")
}
