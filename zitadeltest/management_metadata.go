package zitadeltest

import "fmt"

var metadataRoutes = []route{
	{"POST /management/v1/users/{user}/metadata/{key}", "user.write", (*call).setMetadataEntry},
	{"POST /management/v1/users/{user}/metadata/_bulk", "user.write", (*call).setMetadataEntries},
	{"POST /management/v1/users/{user}/metadata/_search", "user.read", (*call).searchMetadata},
	{"GET /management/v1/users/{user}/metadata/{key}", "user.read", (*call).readMetadata},
	{"DELETE /management/v1/users/{user}/metadata/{key}", "user.write", (*call).deleteMetadata},
	{"DELETE /management/v1/users/{user}/metadata/_bulk", "user.write", (*call).deleteMetadataEntries},
}

const metadataValueMax = 500_000

// metadataValue reads the value of an entry. The first API refuses an empty one, the second removes the entry.
func metadataValue(m *message, least int) []byte {
	value := m.bytes("value")
	switch {
	case len(value) >= least && len(value) <= metadataValueMax:
	case least == 0:
		m.invalid("Value", fmt.Sprintf("value length must be at most %d bytes", metadataValueMax))
	default:
		m.invalid("Value", fmt.Sprintf("value length must be between %d and %d bytes, inclusive", least, metadataValueMax))
	}
	return value
}

func (c *call) setMetadataEntry() (any, error) {
	m := c.message("SetUserMetadataRequest")
	key := c.r.PathValue("key")
	m.length("Key", key, 1, 200)
	value := metadataValue(m, 1)
	if m.err != nil {
		return nil, m.err
	}
	u := c.orgUser()
	if u == nil {
		return nil, failedPrecondition("COMMAND-uXHNj", "Errors.User.NotFound")
	}
	d := c.setMetadata(c.user.id, u, key, value)
	return object{"details": d.told("creationDate", d.changed)}, nil // new or not
}

type entry struct {
	key   string
	value []byte
}

func readEntries(m *message, item string, least int) ([]entry, error) {
	entries := readMetadata(m, item, least)
	if m.err == nil && len(entries) == 0 {
		return nil, failedPrecondition("META-9mm2d", "Errors.Metadata.NoData")
	}
	return entries, m.err
}

func readMetadata(m *message, item string, least int) []entry {
	var entries []entry
	for _, sub := range m.messages("metadata") {
		sub.name = item
		e := entry{key: sub.text("key")}
		sub.length("Key", e.key, 1, 200)
		e.value = metadataValue(sub, least)
		entries = append(entries, e)
	}
	return entries
}

// applyMetadata takes an empty value as the entry's end, and tells whether there was anything to change.
func (c *call) applyMetadata(u *user, entries []entry) bool {
	before := u.metadataChange
	for _, e := range entries {
		if len(e.value) > 0 {
			c.setMetadata(c.user.id, u, e.key, e.value)
		} else if u.metadataIndex(e.key) >= 0 {
			c.removeMetadata(c.user.id, u, e.key)
		}
	}
	return u.metadataChange != before
}

func (c *call) setMetadataEntries() (any, error) {
	m := c.message("BulkSetUserMetadataRequest")
	entries, err := readEntries(m, "BulkSetUserMetadataRequest_Metadata", 1)
	if err != nil {
		return nil, err
	}
	u := c.orgUser()
	if u == nil {
		return nil, failedPrecondition("COMMAND-uXHNj", "Errors.User.NotFound")
	}
	c.applyMetadata(u, entries)
	return object{"details": u.lastMetadata().change()}, nil
}

func (c *call) searchMetadata() (any, error) {
	var all []metadata
	if u := c.orgUser(); u != nil {
		all = u.metadata
	}
	return searchV1(c, "ListUserMetadataRequest", all, metadataMatchers, metadataObject)
}

var metadataMatchers = matchers[metadata]{
	"keyQuery":  func(q *message, e metadata) bool { return textMatches(q, e.key, "key") },
	"keyFilter": func(q *message, e metadata) bool { return textMatches(q, e.key, "key") },
}

func metadataObject(e metadata) object {
	return object{"details": e.details.full(), "key": e.key, "value": e.value}
}

func (c *call) readMetadata() (any, error) {
	if u := c.orgUser(); u != nil {
		if i := u.metadataIndex(c.r.PathValue("key")); i >= 0 {
			return object{"metadata": metadataObject(u.metadata[i])}, nil
		}
	}
	return nil, notFound("QUERY-Rgh32", "Errors.Metadata.NotFound")
}

func (c *call) deleteMetadata() (any, error) {
	u := c.orgUser()
	if u == nil {
		return nil, failedPrecondition("COMMAND-uXHNj", "Errors.User.NotFound")
	}
	if u.metadataIndex(c.r.PathValue("key")) < 0 {
		return nil, notFound("META-ncnw3", "Errors.Metadata.NotFound")
	}
	return object{"details": c.removeMetadata(c.user.id, u, c.r.PathValue("key")).change()}, nil
}

func (c *call) deleteMetadataEntries() (any, error) {
	m := c.message("BulkRemoveUserMetadataRequest")
	keys := m.texts("keys")
	if m.err != nil {
		return nil, m.err
	}
	if len(keys) == 0 {
		return nil, failedPrecondition("META-9mm2d", "Errors.Metadata.NoData")
	}
	u := c.orgUser()
	if u == nil {
		return nil, failedPrecondition("COMMAND-uXHNj", "Errors.User.NotFound")
	}
	if err := u.hasMetadata(keys); err != nil {
		return nil, err
	}
	var d details
	for _, key := range keys {
		d = c.removeMetadata(c.user.id, u, key)
	}
	return object{"details": d.change()}, nil
}

// lastMetadata is the last change of any entry, which a call on many entries answers whether it changed anything or not.
func (u *user) lastMetadata() details {
	d := u.metadataChange
	d.owner = u.org.id
	return d
}

func (u *user) hasMetadata(keys []string) error {
	for _, key := range keys {
		switch {
		case key == "":
			return invalidArgument("COMMAND-m29ds", "Errors.Metadata.Invalid")
		case u.metadataIndex(key) < 0:
			return notFound("META-2nnds", "Errors.Metadata.KeyNotExisting")
		}
	}
	return nil
}
