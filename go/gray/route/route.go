// Package route decides by a route table as gopub's edges do: which track a request takes, and by which rule.
//
// It is for what decides itself: a sidecar, a worker that takes a user's job from a queue and must choose a release for
// it, a test of a table. A service behind an edge needs none of it; the edge has decided.
//
//	table, err := route.Parse(document) // what GET /v1/tables/<upstream> answers on an edge
//	request, err := route.FromHTTP(r, time.Now())
//	decision := table.Decide(request)   // {canary r-1 …}
//
// The edge's Lua, gopub's Python and this package are held to the same cases. The reference of the document is
// docs/reference/route-table.md.
package route

import (
	"math"
	"net/http"

	"gopub.dev/gray"
)

// Tracks of a decision.
const (
	Stable = "stable"
	Canary = "canary"
	None   = "none" // no track has a peer
)

// Request is what of a request decides.
type Request struct {
	// Address is the connection's, without a port.
	Address string
	// Header has names in the form of http.CanonicalHeaderKey, as servers of net/http make it.
	Header http.Header
	// At is the moment, in seconds since the epoch.
	At float64
	// Method is in capital letters.
	Method string
	// Path is decoded and normalised, as Target gives it.
	Path string
	// Query is as it was sent, without the "?".
	Query string
}

// Decision is where a request goes. Rule is what the edge writes before the "@" of x-gopub-rule; Tag, if there
// is one, is what an edge adds to x-gray-tag of what goes there; Peers are those that take turns, not to be changed.
type Decision struct {
	Track, Rule, Release, Tag string
	Peers                     []Peer
}

// Peer is a process that can answer: the host's name, and "ip:port".
type Peer struct {
	Host, Address string
	since         float64
	warms         bool
}

type track struct {
	release, tag string
	peers        []Peer
}

type rule struct {
	id, to string
	when   condition
	until  float64 // +Inf where there is no end
}

// Table is a route table, taken apart once for many requests. It is safe for concurrent use.
type Table struct {
	stable, canary     track
	rules              []rule
	asksTags           bool
	sticky             sticky
	salt               string
	weight, weightFrom int
	warmup             float64
	ends               float64 // from when on the canary takes nothing; +Inf: never
	trust              networks
}

// Decide says where a request goes.
//
//  1. A track without peers does not exist; with one track left, it takes everything.
//  2. A canary whose term is over takes nothing, where the table's lapse is "stable".
//  3. A request whose tags are malformed goes to stable, where a rule asks for tags.
//  4. The first rule whose time is not over and whose condition holds sends it to its track.
//  5. The percentage draws by the subject's bucket; without a subject the request goes to stable.
func (t *Table) Decide(request Request) Decision {
	// 1
	if len(t.canary.peers) == 0 {
		if len(t.stable.peers) == 0 {
			return Decision{Track: None, Rule: "none"}
		}
		return t.to(Stable, "default")
	}
	if len(t.stable.peers) == 0 {
		return t.to(Canary, "only-canary")
	}
	// 2
	if request.At >= t.ends {
		return t.to(Stable, "lapsed")
	}
	asked := &asked{table: t, request: &request, trusted: t.trust.hold(request.Address)}
	// 3
	if t.asksTags {
		tags, err := gray.Parse(asked.lines(gray.Header)...)
		if err != nil {
			return t.to(Stable, "bad-tags")
		}
		asked.tags = tags
	}
	// 4
	for at := range t.rules {
		if one := &t.rules[at]; request.At < one.until && one.when.holds(asked) {
			return t.to(one.to, one.id)
		}
	}
	// 5
	return t.byWeight(asked)
}

func (t *Table) byWeight(asked *asked) Decision {
	if t.weight == 0 {
		return t.to(Stable, "default")
	}
	if asked.subject() == "" {
		return t.to(Stable, "no-subject")
	}
	if Bucket(t.salt, asked.subject()) < t.weightAt(asked.request.At) {
		return t.to(Canary, "weight")
	}
	return t.to(Stable, "default")
}

func (t *Table) to(name, rule string) Decision {
	track := t.stable
	if name == Canary {
		track = t.canary
	}
	return Decision{name, rule, track.release, track.tag, track.peers}
}

// leastShare is the least that a peer gets while it warms up, of what a warm one gets.
const leastShare = 0.1

// weightAt is the canary's weight now: it follows what its peers take while they warm up.
func (t *Table) weightAt(now float64) int {
	total, cold := 0.0, false
	for _, peer := range t.canary.peers {
		share := 1.0
		if peer.warms && t.warmup > 0 {
			share = min(1, max(leastShare, (now-peer.since)/t.warmup))
		}
		total += share
		cold = cold || share != 1
	}
	if !cold {
		return t.weight
	}
	grown := int(math.Floor(float64(t.weight) * (total / float64(len(t.canary.peers)))))
	return max(min(t.weight, t.weightFrom), grown)
}
