package route

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// networks are some networks, of which an address may be.
type networks []netip.Prefix

// network reads an address or a CIDR network; bits of the host may be set.
func network(text string) (netip.Prefix, bool) {
	address, length, long := strings.Cut(text, "/")
	found, ok := parse(address)
	if !ok {
		return netip.Prefix{}, false
	}
	bits := found.BitLen()
	if long {
		written, err := strconv.ParseUint(length, 10, 16)
		if err != nil || len(length) > 3 || written > uint64(bits) {
			return netip.Prefix{}, false
		}
		bits = int(written)
	}
	return netip.PrefixFrom(found, bits).Masked(), true
}

// hold tells whether one of them holds the address, or the IPv4 one that it stands for.
func (n networks) hold(text string) bool {
	if len(n) == 0 {
		return false
	}
	address, ok := parse(text)
	if !ok {
		return false
	}
	for _, one := range n {
		if one.Contains(address) || one.Contains(address.Unmap()) {
			return true
		}
	}
	return false
}

func parse(text string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(text)
	return address, err == nil && !strings.Contains(text, "%")
}

// written is what load balancers write into x-forwarded-for: ip:port, [v6]:port, [v6].
var written = regexp.MustCompile(`^(?:\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5})$`)

// bare is the address alone of what a proxy writes: without brackets and port, IPv4 in its short form.
func bare(text string) (string, bool) {
	address, ok := parse(text)
	if !ok {
		match := written.FindStringSubmatch(text)
		if match == nil {
			return "", false
		}
		text = match[1] + match[2]
		if address, ok = parse(text); !ok || match[1] != "" && address.Is4() {
			return "", false
		}
	}
	if address.Is4In6() {
		return address.Unmap().String(), true
	}
	return text, true
}

// behind is who is behind trusted proxies: the rightmost hop that is not trusted; what is no address ends the chain.
func behind(trust networks, remote string, chain []string) string {
	found := remote
	if plain, ok := bare(remote); ok {
		found = plain
	}
	for at := len(chain) - 1; at >= 0; at-- {
		hop, ok := bare(chain[at])
		if !ok || !trust.hold(found) {
			return found
		}
		found = hop
	}
	return found
}
