package gray

import (
	"net/url"
	"strings"
)

const (
	// LongestBaggage is the limit of W3C baggage for all lines together, in bytes.
	LongestBaggage = 8192
	// MostMembers is the number of members that W3C asks everybody to pass on.
	MostMembers = 64
)

// member gives the value of our member of the baggage; none of one that is longer than W3C baggage gets.
func member(lines []string) (string, bool) {
	total, members := 0, 0
	for _, line := range lines {
		if total += len(line) + 1; total-1 > LongestBaggage {
			return "", false
		}
	}
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			if strings.Trim(part, " \t") == "" {
				continue
			}
			if members++; members > MostMembers {
				return "", false
			}
			if value, ours := split(part); ours {
				plain, err := url.PathUnescape(value)
				return plain, err == nil
			}
		}
	}
	return "", false
}

// Outgoing gives what a request is to carry: the value of Header, empty without tags, and the one line of baggage,
// empty where nothing is left, in place of the lines that it had. Our member replaces an older one; the members of
// others are kept as they are. Where there is no room for ours within the limits of W3C, others come first, and the
// header alone carries the tags.
func Outgoing(baggage []string, tags Tags) (header, line string) {
	var kept []string
	for _, line := range baggage {
		for part := range strings.SplitSeq(line, ",") {
			if _, ours := split(part); !ours && strings.Trim(part, " \t") != "" {
				kept = append(kept, strings.Trim(part, " \t"))
			}
		}
	}
	if tags.Len() > 0 {
		ours := BaggageKey + "=" + strings.ReplaceAll(tags.String(), ",", "%2C")
		if total := len(strings.Join(kept, ",")) + 1 + len(ours); total <= LongestBaggage && len(kept) < MostMembers {
			kept = append(kept, ours)
		}
	}
	return tags.String(), strings.Join(kept, ",")
}

// split takes a member apart: its value without properties, and whether it is ours.
func split(part string) (value string, ours bool) {
	pair, _, _ := strings.Cut(part, ";")
	name, value, _ := strings.Cut(pair, "=")
	return strings.Trim(value, " \t"), strings.Trim(name, " \t") == BaggageKey
}
