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

	ours = "gray." // what members of gray traffic begin with
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

// Outgoing gives what a request within the house is to carry: the value of Header, empty without tags, and the one line
// of baggage, empty where nothing is left, in place of the lines that it had. Our member replaces an older one; the
// members of others are kept as they are. Where there is no room for ours within the limits of W3C, others come first,
// and the header alone carries the tags.
func Outgoing(baggage []string, tags Tags) (header, line string) {
	kept := members(baggage, func(name string) bool { return name != BaggageKey })
	if tags.Len() > 0 {
		own := BaggageKey + "=" + strings.ReplaceAll(tags.String(), ",", "%2C")
		if total := len(strings.Join(kept, ",")) + 1 + len(own); total <= LongestBaggage && len(kept) < MostMembers {
			kept = append(kept, own)
		}
	}
	return tags.String(), strings.Join(kept, ",")
}

// Outside gives the one line of baggage of a request that leaves the house: without any member of gray traffic, those
// that edges write for themselves included.
func Outside(baggage []string) string {
	return strings.Join(members(baggage, func(name string) bool { return !strings.HasPrefix(name, ours) }), ",")
}

// members are those of the lines whose names are to stay.
func members(lines []string, stays func(name string) bool) []string {
	var kept []string
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			plain := strings.Trim(part, " \t")
			if plain != "" && stays(nameOf(part)) {
				kept = append(kept, plain)
			}
		}
	}
	return kept
}

// split takes a member apart: its value without properties, and whether it is ours.
func split(part string) (value string, ours bool) {
	pair, _, _ := strings.Cut(part, ";")
	_, value, _ = strings.Cut(pair, "=")
	return strings.Trim(value, " \t"), nameOf(part) == BaggageKey
}

func nameOf(part string) string {
	name, _, _ := strings.Cut(part, ";")
	name, _, _ = strings.Cut(name, "=")
	return strings.Trim(name, " \t")
}
