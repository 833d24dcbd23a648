// Package graygrpc carries the tags of gray traffic through gRPC services, as package gray does it through HTTP: from
// the call that came in to those that the service makes, by the context alone.
//
//	server := grpc.NewServer(graygrpc.ServerOptions()...)
//	conn, err := grpc.NewClient("dns:///stock.corp:443", append(graygrpc.DialOptions("*.corp", "10.0.0.0/8"), ...)...)
//
// The tags of a stream are those of its begin. They are read from and written to the metadata x-gray-tag and baggage;
// all other metadata, and the members of others in the baggage, stay as they are.
package graygrpc

import (
	"context"
	"maps"
	"net/url"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"gopub.dev/gray"
)

// Metadata keys are in small letters.
var (
	tagKey     = strings.ToLower(gray.Header)
	baggageKey = strings.ToLower(gray.BaggageHeader)
)

// Incoming gives a context that carries the tags of the call that came in, by its metadata. What is malformed or too
// long is no list: the call goes on without tags. The interceptors call it; whoever has none of them can, too.
func Incoming(ctx context.Context) context.Context {
	header := metadata.ValueFromIncomingContext(ctx, tagKey)
	baggage := metadata.ValueFromIncomingContext(ctx, baggageKey)
	return gray.NewContext(ctx, gray.Incoming(header, baggage))
}

// decision is what a call may carry. The zero value is that of one that leaves the house.
type decision struct {
	inside bool
	tags   gray.Tags
}

// outgoing gives a context whose outgoing metadata carries what was decided.
func (d decision) outgoing(ctx context.Context) context.Context {
	there, _ := metadata.FromOutgoingContext(ctx) // a copy, with keys in small letters
	if d.tags.Len() == 0 && len(there) == 0 {
		return ctx
	}
	if there == nil {
		there = metadata.MD{}
	}
	if d.inside {
		header, baggage := gray.Outgoing(there[baggageKey], d.tags)
		set(there, tagKey, header)
		set(there, baggageKey, baggage)
	} else {
		maps.DeleteFunc(there, func(key string, _ []string) bool { return gray.IsGray(key) })
		set(there, baggageKey, gray.Outside(there[baggageKey]))
	}
	return metadata.NewOutgoingContext(ctx, there)
}

func set(there metadata.MD, name, value string) {
	if delete(there, name); value != "" {
		there[name] = []string{value}
	}
}

// house are the hosts that may be told of tags.
type house struct{ allow gray.Allow }

func newHouse(hosts []string) house {
	allow, err := gray.NewAllow(hosts...)
	if err != nil {
		panic(err)
	}
	return house{allow}
}

// decide says what a call on this connection may carry.
func (h house) decide(ctx context.Context, conn *grpc.ClientConn) decision {
	if conn == nil || !h.allow.Has(hostOf(conn.CanonicalTarget())) {
		return decision{}
	}
	return decision{true, gray.FromContext(ctx)}
}

// hostOf gives the host, with its port if there is one, of a target such as "dns:///orders.corp:443"; "" where the
// connection does not go to one host by its name: a socket of this machine, a list of addresses.
func hostOf(target string) string {
	parts, err := url.Parse(target)
	if err != nil || parts.Scheme == "unix" || parts.Scheme == "unix-abstract" {
		return ""
	}
	return strings.TrimPrefix(parts.Path, "/")
}
