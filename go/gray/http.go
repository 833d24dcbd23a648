package gray

import (
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Middleware puts the tags of each request into its context.
//
// Believe them only behind an edge: gopub's edges take X-Gray-Tag off what comes from addresses that they do not trust.
func Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tags := Incoming(r.Header.Values(Header), r.Header.Values(BaggageHeader))
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), tags)))
	})
}

// Transport is an http.RoundTripper that passes the tags of a request's context on to hosts of the house, and to
// nobody else: from any other request it takes them off, whoever put them there. It is safe for concurrent use.
type Transport struct {
	base  http.RoundTripper
	allow Allow
}

// NewTransport wraps base (http.DefaultTransport where it is nil). See NewAllow for the patterns of hosts; without any
// no tag leaves the service. It panics on a pattern that is none, as regexp.MustCompile does.
func NewTransport(base http.RoundTripper, hosts ...string) *Transport {
	allow, err := NewAllow(hosts...)
	if err != nil {
		panic(err)
	}
	if base == nil {
		base = http.DefaultTransport
	}
	return &Transport{base, allow}
}

// RoundTrip sends a copy of the request; the request itself stays as it is.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	if t.allow.Has(r.URL.Host) {
		header, baggage := Outgoing(out.Header.Values(BaggageHeader), FromContext(r.Context()))
		set(out.Header, Header, header)
		set(out.Header, BaggageHeader, baggage)
		return t.base.RoundTrip(out)
	}
	maps.DeleteFunc(out.Header, func(name string, _ []string) bool { return IsGray(name) })
	set(out.Header, BaggageHeader, Outside(out.Header.Values(BaggageHeader)))
	return t.base.RoundTrip(out)
}

// IsGray tells whether a header, or a key of metadata, is one of gray traffic: the tags, or what an edge said of its
// decision. None of them leaves the house.
func IsGray(name string) bool {
	const begin = "x-gray-"
	return len(name) >= len(begin) && strings.EqualFold(name[:len(begin)], begin)
}

func set(headers http.Header, name, value string) {
	if headers.Del(name); value != "" {
		headers.Set(name, value)
	}
}

// Allow are the hosts of the house.
type Allow struct {
	exact    map[string]bool
	below    []string
	networks []netip.Prefix
}

// NewAllow reads patterns: a name ("orders.corp"), all names below one ("*.corp"), an address ("10.0.0.7") or a network
// ("10.0.0.0/8"). Ports do not matter. A name is compared as it is written in a URL, it is not looked up.
func NewAllow(hosts ...string) (Allow, error) {
	allow := Allow{exact: map[string]bool{}}
	for _, host := range hosts {
		low := strings.ToLower(strings.TrimSuffix(host, "."))
		if network, err := netip.ParsePrefix(low); err == nil {
			allow.networks = append(allow.networks, network.Masked())
		} else if address, err := netip.ParseAddr(low); err == nil {
			allow.networks = append(allow.networks, netip.PrefixFrom(address, address.BitLen()))
		} else if name, wild := strings.CutPrefix(low, "*."); isName(name) && wild {
			allow.below = append(allow.below, "."+name)
		} else if isName(low) {
			allow.exact[low] = true
		} else {
			return Allow{}, &net.AddrError{Err: "gray: not a host of the house", Addr: host}
		}
	}
	return allow, nil
}

// Has tells whether a host, with a port or without, is of the house.
func (a Allow) Has(hostport string) bool {
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if address, err := netip.ParseAddr(host); err == nil {
		for _, network := range a.networks {
			if network.Contains(address.Unmap().WithZone("")) {
				return true
			}
		}
		return false
	}
	if a.exact[host] {
		return true
	}
	if !isName(host) {
		return false
	}
	for _, suffix := range a.below {
		if strings.HasSuffix(host, suffix) && len(host) > len(suffix) {
			return true
		}
	}
	return false
}

func isName(name string) bool {
	if name == "" || len(name) > 253 || strings.Contains(name, "..") || name[0] == '.' {
		return false
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
