package zitadeltest

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	searchLimit    = 100
	searchLimitMax = 1000
)

// matchers are the queries that a search knows, by name. Each tells whether a thing fits; a search wants all to.
type matchers[T any] map[string]func(q *message, x T) bool

// paging is what a search asks for.
type paging struct {
	offset, limit int
	asc           bool
}

func readPaging(m *message) (paging, error) {
	p := paging{offset: m.number("offset", "uint64"), limit: m.number("limit", "uint32"), asc: m.flag("asc")}
	if m.err == nil && p.limit > searchLimitMax {
		return p, invalidArgument("QUERY-4M0fs", "Errors.Query.LimitExceeded")
	}
	if p.limit == 0 {
		p.limit = searchLimit
	}
	return p, m.err
}

// items are the messages that a search's queries or filters are.
var items = map[string]string{
	"ListUsersRequest": "SearchQuery", "ListUserGrantRequest": "UserGrantQuery", "ListProjectsRequest": "ProjectQuery",
	"ListProjectRolesRequest": "RoleQuery", "ListAppsRequest": "AppQuery", "ListOrgMembersRequest": "SearchQuery",
	"ListUserMetadataRequest": "MetadataQuery", "ListUserMetadataRequest filters": "MetadataSearchFilter",
	"ListPersonalAccessTokensRequest": "PersonalAccessTokensSearchFilter", "ListKeysRequest": "KeysSearchFilter",
	"ListTargetsRequest": "TargetSearchFilter", "ListExecutionsRequest": "ExecutionSearchFilter",
}

// readQueries reads the queries of a search, of which each must ask for something. A search that knows none overlooks them.
func readQueries[T any](m *message, name string, known matchers[T]) ([]*message, error) {
	if known == nil {
		return nil, m.err
	}
	queries := m.messages(name)
	kind := title(strings.TrimSuffix(strings.Replace(name, "ies", "y", 1), "s")) // Query or Filter
	for _, q := range queries {
		if q.name = items[m.name+" "+name]; q.name == "" {
			q.name = items[m.name]
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(q.fields)), func(name string) bool { return asks(name, known) }) {
			q.invalid(kind, "value is required")
		}
	}
	return queries, m.err
}

// connectives are the queries that are made of others.
var connectives = []string{"andQuery", "orQuery", "notQuery", "andFilter", "orFilter", "notFilter"}

func asks[T any](name string, known matchers[T]) bool {
	return known[name] != nil || slices.Contains(connectives, name)
}

// fits tells whether a thing is what a query asks for. What a query says beside that is overlooked.
func fits[T any](q *message, x T, known matchers[T]) bool {
	each := func(of *message) bool { return fits(of, x, known) }
	for name := range q.fields {
		switch name {
		case "andQuery", "andFilter":
			return !slices.ContainsFunc(joined(q.sub(name)), func(of *message) bool { return !each(of) })
		case "orQuery", "orFilter":
			return slices.ContainsFunc(joined(q.sub(name)), each)
		case "notQuery":
			return !each(q.sub(name).sub("query"))
		case "notFilter":
			return !each(q.sub(name).sub("filter"))
		}
		if known[name] != nil {
			return known[name](q.sub(name), x)
		}
	}
	return false
}

func joined(m *message) []*message { return append(m.messages("queries"), m.messages("filters")...) }

func filter[T any](m *message, queries []*message, all []T, known matchers[T]) ([]T, error) {
	out := slices.DeleteFunc(slices.Clone(all), func(x T) bool {
		return slices.ContainsFunc(queries, func(q *message) bool { return !fits(q, x, known) })
	})
	return out, m.err
}

func cut[T any](all []T, p paging) []T {
	from := min(p.offset, len(all))
	return all[from : from+min(p.limit, len(all)-from)]
}

// searchV1 answers a _search of the management API.
func searchV1[T any](c *call, name string, all []T, known matchers[T], show func(T) object) (any, error) {
	m := c.message(name)
	queries, err := readQueries(m, "queries", known)
	if err != nil {
		return nil, err
	}
	p, err := readPaging(m.sub("query"))
	if err != nil {
		return nil, err
	}
	found, err := filter(m, queries, all, known)
	if err != nil {
		return nil, err
	}
	details := object{"viewTimestamp": timestamp(c.clock())}
	if len(found) > 0 {
		details["totalResult"] = strconv.Itoa(len(found))
	}
	return withResult(object{"details": details}, cut(found, p), show), nil
}

// searchV2 answers a search of a v2 service: newest first unless asked otherwise. What the caller may not see is left out at last, and
// so it is counted and takes room on the page; a nil may lets everything be seen.
func searchV2[T any](c *call, name, filters string, all []T, known matchers[T], may func(T) bool, show func(T) object) (any, error) {
	m := c.message(name)
	queries, err := readQueries(m, filters, known)
	if err != nil {
		return nil, err
	}
	p, err := readPaging(m.sub("pagination"))
	if err != nil {
		return nil, err
	}
	found, err := filter(m, queries, all, known)
	if err != nil {
		return nil, err
	}
	if !p.asc {
		slices.Reverse(found)
	}
	pagination := object{"appliedLimit": strconv.Itoa(p.limit)}
	if len(found) > 0 {
		pagination["totalResult"] = strconv.Itoa(len(found))
	}
	return withResult(object{"pagination": pagination}, seen(cut(found, p), may), show), nil
}

func seen[T any](page []T, may func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(page), func(x T) bool { return may != nil && !may(x) })
}

// renamed gives the result of a search another name.
func renamed(name string) func(any, error) (any, error) {
	return func(answer any, err error) (any, error) {
		if found, ok := answer.(object); ok && found["result"] != nil {
			found[name] = found["result"]
			delete(found, "result")
		}
		return answer, err
	}
}

func withResult[T any](answer object, found []T, show func(T) object) object {
	if len(found) > 0 {
		result := make([]object, len(found))
		for i, x := range found {
			result[i] = show(x)
		}
		answer["result"] = result
	}
	return answer
}

// textMatches compares as the method of a query says, which the first APIs call TEXT_QUERY_METHOD and the others mostly
// TEXT_FILTER_METHOD; without one, exactly.
func textMatches(q *message, value, field string) bool {
	prefix := "TEXT_QUERY_METHOD_"
	if strings.HasSuffix(q.label, "Filter") {
		prefix = "TEXT_FILTER_METHOD_"
	}
	names := make([]string, len(textMethods))
	for i, method := range textMethods {
		names[i] = prefix + method
	}
	want := q.text(field)
	method := strings.TrimPrefix(q.enum("method", names...), prefix)
	if short, ok := strings.CutSuffix(method, "_IGNORE_CASE"); ok {
		method, want, value = short, strings.ToLower(want), strings.ToLower(value)
	}
	switch method {
	case "STARTS_WITH":
		return strings.HasPrefix(value, want)
	case "CONTAINS":
		return strings.Contains(value, want)
	case "ENDS_WITH":
		return strings.HasSuffix(value, want)
	}
	return value == want
}

var textMethods = []string{
	"EQUALS", "EQUALS_IGNORE_CASE", "STARTS_WITH", "STARTS_WITH_IGNORE_CASE", "CONTAINS", "CONTAINS_IGNORE_CASE",
	"ENDS_WITH", "ENDS_WITH_IGNORE_CASE",
}
