package zitadeltest

import (
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

func filter[T any](queries []*message, all []T, known matchers[T]) ([]T, error) {
	out := slices.Clone(all)
	for _, q := range queries {
		match, sub := (func(*message, T) bool)(nil), (*message)(nil)
		for name := range q.fields {
			if known[name] != nil {
				match, sub = known[name], q.sub(name)
			}
		}
		if q.err != nil {
			return nil, q.err
		}
		if match == nil {
			return nil, invalidArgument("GRPC-vR9nC", "List.Query.Invalid")
		}
		out = slices.DeleteFunc(out, func(x T) bool { return !match(sub, x) })
		if sub.err != nil {
			return nil, sub.err
		}
	}
	return out, nil
}

func cut[T any](all []T, p paging) []T {
	from := min(p.offset, len(all))
	return all[from : from+min(p.limit, len(all)-from)]
}

// searchV1 answers a _search of the management API.
func searchV1[T any](c *call, name string, all []T, known matchers[T], show func(T) object) (any, error) {
	m := c.message(name)
	p, err := readPaging(m.sub("query"))
	if err != nil {
		return nil, err
	}
	queries := m.messages("queries")
	if m.err != nil {
		return nil, m.err
	}
	found, err := filter(queries, all, known)
	if err != nil {
		return nil, err
	}
	details := object{"viewTimestamp": timestamp(c.clock())}
	if len(found) > 0 {
		details["totalResult"] = strconv.Itoa(len(found))
	}
	return withResult(object{"details": details}, cut(found, p), show), nil
}

// searchV2 answers a search of a v2 service: newest first unless asked otherwise.
func searchV2[T any](c *call, name, filters string, all []T, known matchers[T], show func(T) object) (any, error) {
	m := c.message(name)
	p, err := readPaging(m.sub("pagination"))
	if err != nil {
		return nil, err
	}
	queries := m.messages(filters)
	if m.err != nil {
		return nil, m.err
	}
	found, err := filter(queries, all, known)
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
	return withResult(object{"pagination": pagination}, cut(found, p), show), nil
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

// textMatches compares as the TEXT_QUERY_METHOD of a query says; without one, exactly.
func textMatches(q *message, value, field string) bool {
	want := q.text(field)
	method := q.enum("method",
		"TEXT_QUERY_METHOD_EQUALS", "TEXT_QUERY_METHOD_EQUALS_IGNORE_CASE", "TEXT_QUERY_METHOD_STARTS_WITH",
		"TEXT_QUERY_METHOD_STARTS_WITH_IGNORE_CASE", "TEXT_QUERY_METHOD_CONTAINS", "TEXT_QUERY_METHOD_CONTAINS_IGNORE_CASE",
		"TEXT_QUERY_METHOD_ENDS_WITH", "TEXT_QUERY_METHOD_ENDS_WITH_IGNORE_CASE")
	method = strings.TrimPrefix(method, "TEXT_QUERY_METHOD_")
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
