package zitadeltest

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

var actionRoutes = []route{
	{"POST /v2/actions/targets", "action.target.write", (*call).createTarget},
	{"POST /v2/actions/targets/search", "action.target.read", (*call).searchTargets},
	{"GET /v2/actions/targets/{target}", "action.target.read", (*call).readTarget},
	{"POST /v2/actions/targets/{target}", "action.target.write", (*call).changeTarget},
	{"DELETE /v2/actions/targets/{target}", "action.target.delete", (*call).deleteTarget},
	{"PUT /v2/actions/executions", "action.execution.write", (*call).setExecution},
	{"POST /v2/actions/executions/search", "action.execution.read", (*call).searchExecutions},
}

// target is a webhook that events are sent to.
type target struct {
	id, name, endpoint, key string
	kind                    string // restWebhook, restCall or restAsync
	payload                 string // PAYLOAD_TYPE_JSON, or empty where none was named
	interrupt               bool
	timeout                 time.Duration
	created, changed        time.Time
}

// execution says which events go to which targets. Its condition is an event, a group like "user.*", or all.
type execution struct {
	condition     string // "user.pat.removed", "user.pat.*" or "*"
	targets       []string
	created, date time.Time
}

var targetKinds = []string{"restWebhook", "restCall", "restAsync"}

func (m *message) targetKind(t *target) {
	for _, kind := range targetKinds {
		if m.has(kind) {
			sub := m.sub(kind)
			t.kind, t.interrupt = kind, sub.flag("interruptOnError") && kind != "restAsync"
		}
	}
	const none = "PAYLOAD_TYPE_UNSPECIFIED"
	if payload := m.enum("payloadType", none, payloadJSON, "PAYLOAD_TYPE_JWT", "PAYLOAD_TYPE_JWE"); payload != none {
		t.payload = payload
	}
}

const payloadJSON = "PAYLOAD_TYPE_JSON"

// deliverable refuses the kinds of payload that are not made here.
func (t *target) deliverable() error {
	if t.payload != "" && t.payload != payloadJSON {
		return &apiError{code: codeUnimplemented, msg: "zitadeltest sends JSON only: leave payloadType out or send \"" + payloadJSON + "\""}
	}
	return nil
}

func (c *call) createTarget() (any, error) {
	m := c.message("CreateTargetRequest")
	t := &target{name: m.text("name"), endpoint: m.text("endpoint"), timeout: m.duration("timeout")}
	m.targetKind(t)
	m.length("Name", t.name, 1, 1000)
	if t.kind == "" {
		m.invalid("TargetType", "value is required")
	}
	m.validTimeout(t.timeout)
	m.length("Endpoint", t.endpoint, 1, 2048)
	if m.err != nil {
		return nil, m.err
	}
	if t.timeout == 0 {
		return nil, invalidArgument("COMMAND-39f35d8uri", "Errors.Target.NoTimeout")
	}
	if err := validEndpoint(t.endpoint, "COMMAND-1r2k6qo6wg"); err != nil {
		return nil, err
	}
	if err := t.deliverable(); err != nil {
		return nil, err
	}
	if c.targetNamed(t.name) != nil {
		return nil, alreadyExists("V3-DKcYh", "Errors.Target.AlreadyExists")
	}
	t.id, t.key, t.created = newID(), newSecret(36), c.clock()
	t.changed = t.created
	c.targets = append(c.targets, t)
	return object{"id": t.id, "creationDate": timestamp(t.created), "signingKey": t.key}, nil
}

func (m *message) validTimeout(d time.Duration) {
	if d < 0 || d > 270*time.Second {
		m.invalid("Timeout", "value must be inside range [0s, 4m30s]")
	}
}

func validEndpoint(endpoint, id string) error {
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return invalidArgument(id, "Errors.Target.InvalidURL")
	}
	return nil
}

func (c *call) targetNamed(name string) *target {
	return find(c.targets, func(t *target) bool { return t.name == name })
}

func (c *call) pathTarget() *target {
	return find(c.targets, func(t *target) bool { return t.id == c.r.PathValue("target") })
}

func targetObject(t *target) object {
	kind := object{}
	if t.interrupt {
		kind["interruptOnError"] = true
	}
	o := object{
		"id": t.id, "creationDate": timestamp(t.created), "changeDate": timestamp(t.changed), "name": t.name, t.kind: kind,
		"timeout": seconds(t.timeout), "endpoint": t.endpoint, "signingKey": t.key,
	}
	if t.payload != "" {
		o["payloadType"] = t.payload
	}
	return o
}

func (c *call) readTarget() (any, error) {
	t := c.pathTarget()
	if t == nil {
		return nil, notFound("QUERY-hj5oaniyrz", "Errors.Target.NotFound")
	}
	return object{"target": targetObject(t)}, nil
}

func (c *call) searchTargets() (any, error) {
	return renamed("targets")(searchV2(c, "ListTargetsRequest", "filters", c.targets, matchers[*target]{
		"targetNameFilter":  func(q *message, t *target) bool { return textMatches(q, t.name, "targetName") },
		"inTargetIdsFilter": func(q *message, t *target) bool { return slices.Contains(q.texts("targetIds"), t.id) },
	}, nil, targetObject))
}

// changeTarget changes what the message names. Whoever names expirationSigningKey gets a new key, and the old one is at its end.
func (c *call) changeTarget() (any, error) {
	m := c.message("UpdateTargetRequest")
	t := c.pathTarget()
	next := target{timeout: time.Second, endpoint: "http://unknown"} // is checked before it is looked for
	if t != nil {
		next = *t
	}
	if m.has("name") {
		next.name = m.text("name")
		m.length("Name", next.name, 1, 1000)
	}
	if m.has("endpoint") {
		next.endpoint = m.text("endpoint")
		m.length("Endpoint", next.endpoint, 1, 2048)
	}
	if m.has("timeout") {
		next.timeout = m.duration("timeout")
		m.validTimeout(next.timeout)
	}
	m.targetKind(&next)
	if m.duration("expirationSigningKey") != 0 {
		m.invalid("ExpirationSigningKey", "value must equal 0s")
	}
	if m.err != nil {
		return nil, m.err
	}
	if next.timeout == 0 {
		return nil, invalidArgument("COMMAND-08b39vdi57", "Errors.Target.NoTimeout")
	}
	if err := validEndpoint(next.endpoint, "COMMAND-jsbaera7b6"); err != nil {
		return nil, err
	}
	if t == nil {
		return nil, notFound("COMMAND-xj14f2cccn", "Errors.Target.NotFound")
	}
	if err := next.deliverable(); err != nil {
		return nil, err
	}
	if other := c.targetNamed(next.name); other != nil && other != t {
		return nil, alreadyExists("V3-DKcYh", "Errors.Target.AlreadyExists")
	}
	answer := object{}
	if m.has("expirationSigningKey") {
		next.key = newSecret(36)
		answer["signingKey"] = next.key
	}
	if next != *t {
		next.changed = c.clock()
		*t = next
	}
	answer["changeDate"] = timestamp(t.changed)
	return answer, nil
}

// deleteTarget may be called twice, and tells again when the target was deleted.
func (c *call) deleteTarget() (any, error) {
	if t := c.pathTarget(); t != nil {
		c.targets = remove(c.targets, t)
		for _, x := range c.executions {
			x.targets = slices.DeleteFunc(slices.Clone(x.targets), func(id string) bool { return id == t.id })
		}
		c.targetsGone[t.id] = c.clock()
	}
	if when, ok := c.targetsGone[c.r.PathValue("target")]; ok {
		return object{"deletionDate": timestamp(when)}, nil
	}
	return object{}, nil
}

// setExecution sends the events of a condition to targets; without targets, nowhere any more.
func (c *call) setExecution() (any, error) {
	m := c.message("SetExecutionRequest")
	condition := m.sub("condition")
	targets := m.texts("targets")
	if m.err != nil {
		return nil, m.err
	}
	on, err := c.eventCondition(condition)
	if err != nil {
		return nil, err
	}
	for _, id := range targets {
		if find(c.targets, func(t *target) bool { return t.id == id }) == nil {
			return nil, notFound("COMMAND-17e8fq1ggk", "Errors.Target.NotFound")
		}
	}
	now := c.clock()
	x := find(c.executions, func(x *execution) bool { return x.condition == on })
	if x == nil {
		x = &execution{condition: on, created: now}
		c.executions = append(c.executions, x)
	}
	x.targets, x.date = targets, now
	if len(targets) == 0 {
		c.executions = remove(c.executions, x)
	}
	return object{"setDate": timestamp(now)}, nil
}

// eventCondition reads the condition of an execution. Requests, responses and functions are not served here: nothing a service user does
// runs through them.
func (c *call) eventCondition(m *message) (string, error) {
	if m.fields == nil {
		return "", invalidArgument("ACTION-5r5Ju", "Errors.Execution.ConditionInvalid")
	}
	for _, other := range []string{"request", "response", "function"} {
		if m.has(other) {
			return "", &apiError{code: codeUnimplemented, msg: "zitadeltest runs executions on events only: send a condition with \"event\""}
		}
	}
	if !m.has("event") {
		m.invalid("ConditionType", "value is required")
		return "", m.err
	}
	e := m.sub("event")
	e.name = "EventExecution"
	event, group, all := e.text("event"), e.text("group"), e.flag("all")
	switch {
	case e.has("event"):
		e.length("Event", event, 1, 1000)
	case e.has("group"):
		e.length("Group", group, 1, 1000)
	case !e.has("all"):
		e.invalid("Condition", "value is required")
	case !all:
		e.invalid("All", "value must equal true")
	}
	if m.err != nil {
		return "", m.err
	}
	group = strings.TrimSuffix(group, ".*")
	switch {
	case event != "" && !slices.Contains(eventTypes, event):
		return "", notFound("COMMAND-74aaqj8fv9", "Errors.Execution.ConditionInvalid")
	case event != "":
		return event, nil
	case group != "" && !slices.ContainsFunc(eventTypes, func(t string) bool { return strings.HasPrefix(t, group+".") }):
		return "", notFound("COMMAND-er5oneb5lz", "Errors.Execution.ConditionInvalid")
	case group != "":
		return group + ".*", nil
	}
	return "*", nil
}

func (c *call) searchExecutions() (any, error) {
	return renamed("executions")(searchV2(c, "ListExecutionsRequest", "filters", c.executions, matchers[*execution]{
		"inConditionsFilter": func(q *message, x *execution) bool {
			return slices.ContainsFunc(q.messages("conditions"), func(condition *message) bool {
				on, err := c.eventCondition(condition)
				return err == nil && on == x.condition
			})
		},
		"executionTypeFilter": func(q *message, _ *execution) bool {
			return q.enum("executionType", "EXECUTION_TYPE_UNSPECIFIED", "EXECUTION_TYPE_REQUEST", "EXECUTION_TYPE_RESPONSE",
				"EXECUTION_TYPE_EVENT", "EXECUTION_TYPE_FUNCTION") == "EXECUTION_TYPE_EVENT"
		},
		"targetFilter": func(q *message, x *execution) bool { return slices.Contains(x.targets, q.text("targetId")) },
	}, nil, func(x *execution) object {
		event := object{"event": x.condition}
		if group, ok := strings.CutSuffix(x.condition, ".*"); ok {
			event = object{"group": group}
		} else if x.condition == "*" {
			event = object{"all": true}
		}
		o := object{
			"condition":    object{"event": event},
			"creationDate": timestamp(x.created), "changeDate": timestamp(x.date),
		}
		if len(x.targets) > 0 {
			o["targets"] = x.targets
		}
		return o
	}))
}

// eventTypes are the events that an execution may name: those this server records, and their kin that only a server with people who
// sign in records.
var eventTypes = strings.Fields(`
	user.machine.added user.machine.changed user.username.changed user.locked user.unlocked user.deactivated user.reactivated user.removed
	user.pat.added user.pat.removed user.token.added user.token.removed user.token.v2.added
	user.machine.key.added user.machine.key.removed user.machine.secret.set user.machine.secret.updated user.machine.secret.removed
	user.metadata.set user.metadata.removed user.metadata.removed.all
	user.human.added user.human.changed user.human.signed.out
	user.grant.added user.grant.changed user.grant.deactivated user.grant.reactivated user.grant.removed
	user.grant.cascade.changed user.grant.cascade.removed
	project.added project.changed project.deactivated project.reactivated project.removed
	project.role.added project.role.changed project.role.removed
	project.application.added project.application.changed project.application.deactivated project.application.reactivated
	project.application.removed project.application.config.api.added project.application.config.api.changed
	project.application.config.api.secret.changed project.application.oidc.key.added project.application.oidc.key.removed
	org.added org.changed org.deactivated org.reactivated org.removed org.domain.added org.domain.verified org.domain.primary.set
	org.member.added org.member.changed org.member.removed org.member.cascade.removed
	session.added session.terminated
	oidc_session.added oidc_session.terminated oidc_session.access_token.added oidc_session.access_token.revoked
	oidc_session.refresh_token.added oidc_session.refresh_token.renewed oidc_session.refresh_token.revoked
`)
