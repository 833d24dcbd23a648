package route

import (
	"slices"
	"strings"
)

// condition is a tree over what of a request decides.
type condition interface{ holds(a *asked) bool }

type (
	headerIs struct{ name, value string }
	cookieIs struct{ name, value string }
	queryIs  struct{ name, value string }
	path     struct{ exact, below string }
	method   []string
	client   networks
	tag      string
	within   [][2]float64
	share    int
	all      []condition
	some     []condition
	not      struct{ of condition }
)

func (c headerIs) holds(a *asked) bool {
	value, found := a.header(c.name)
	return found && value == c.value
}

func (c cookieIs) holds(a *asked) bool {
	value, found := a.cookie(c.name)
	return found && value == c.value
}

func (c queryIs) holds(a *asked) bool {
	value, found := a.parameter(c.name)
	return found && value == c.value
}

func (c path) holds(a *asked) bool {
	return a.request.Path == c.exact || strings.HasPrefix(a.request.Path, c.below)
}

func (c method) holds(a *asked) bool { return slices.Contains(c, a.request.Method) }

func (c client) holds(a *asked) bool { return networks(c).hold(a.client()) }

func (c tag) holds(a *asked) bool { return a.tags.Has(string(c)) }

func (c within) holds(a *asked) bool {
	return slices.ContainsFunc(c, func(span [2]float64) bool { return span[0] <= a.request.At && a.request.At < span[1] })
}

func (c share) holds(a *asked) bool {
	return a.subject() != "" && Bucket(a.table.salt, a.subject()) < int(c)
}

func (c all) holds(a *asked) bool {
	for _, one := range c {
		if !one.holds(a) {
			return false
		}
	}
	return true
}

func (c some) holds(a *asked) bool {
	for _, one := range c {
		if one.holds(a) {
			return true
		}
	}
	return false
}

func (c not) holds(a *asked) bool { return !c.of.holds(a) }
