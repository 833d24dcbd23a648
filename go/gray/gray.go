// Package gray carries the tags of gray traffic through a service: from the request that came in to those that it makes.
//
// A gateway tags users in the header X-Gray-Tag, and edges send by it. A service that calls others must pass the tags
// on, else its callee serves a tagged user from stable. The tags travel in the context of the request and nowhere
// else: what runs without that context (a goroutine with context.Background, a job from a queue) has none.
//
//	http.ListenAndServe(addr, gray.Middleware(mux))
//	client := &http.Client{Transport: gray.NewTransport(nil, "*.corp.internal", "10.0.0.0/8")}
//
// Tags never leave the house: Transport sends them only to the hosts that it is told of.
package gray

import (
	"context"
	"errors"
	"slices"
	"strings"
)

const (
	// Header is the header, and in small letters the metadata key, that carries the tags: a list with commas.
	Header = "X-Gray-Tag"
	// BaggageHeader is W3C baggage, which tracing libraries pass on as well.
	BaggageHeader = "Baggage"
	// BaggageKey is the member of the baggage that carries the tags, with "," written as %2C between them.
	BaggageKey = "gray.tags"

	// MostTags is the number of tags that a request may carry, as the edges count them.
	MostTags = 64
	// LongestList is the number of bytes of all lines of the header together.
	LongestList = 4096
	longestTag  = 63
)

// ErrMalformed is returned for a list that is none: nothing is to be concluded from it.
var ErrMalformed = errors.New("gray: not a list of tags")

// Tags are those of one request: sorted, each once. The zero value has none. They do not change.
type Tags struct{ names []string }

// Parse reads the lines of the header as one list. Blanks around a tag and empty places do not count.
func Parse(lines ...string) (Tags, error) {
	list := strings.Join(lines, ",")
	if len(list) > LongestList {
		return Tags{}, ErrMalformed
	}
	var names []string
	count := 0
	for part := range strings.SplitSeq(list, ",") {
		name := strings.Trim(part, " \t")
		if name == "" {
			continue
		}
		if count++; count > MostTags || !isTag(name) {
			return Tags{}, ErrMalformed
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return Tags{slices.Compact(names)}, nil
}

// Has tells whether the tag is among them.
func (t Tags) Has(name string) bool {
	_, found := slices.BinarySearch(t.names, name)
	return found
}

// Len is the number of tags.
func (t Tags) Len() int { return len(t.names) }

// Names are the tags in order; the slice is the caller's own.
func (t Tags) Names() []string { return slices.Clone(t.names) }

// String is the value of the header.
func (t Tags) String() string { return strings.Join(t.names, ",") }

type key struct{}

// NewContext gives a context that carries the tags.
func NewContext(ctx context.Context, tags Tags) context.Context {
	return context.WithValue(ctx, key{}, tags)
}

// FromContext gives the tags of the request that the context belongs to; none where it belongs to none.
func FromContext(ctx context.Context) Tags {
	tags, _ := ctx.Value(key{}).(Tags)
	return tags
}

// Incoming reads the tags of a request's header and baggage lines. The header is the word of the edge; the baggage
// counts only where there is no header, since proxies between may have taken that one off. A malformed list is none.
func Incoming(header, baggage []string) Tags {
	if len(header) > 0 {
		tags, _ := Parse(header...)
		return tags
	}
	value, found := member(baggage)
	if !found {
		return Tags{}
	}
	tags, _ := Parse(value)
	return tags
}

func isTag(name string) bool {
	if len(name) > longestTag {
		return false
	}
	for at := range len(name) {
		c := name[at]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !plain && (at == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return name != ""
}
