package gray

import (
	"net/url"
	"strings"
)

// longestBaggage is the limit of W3C baggage for all members together, in bytes.
const longestBaggage = 8192

// member gives the value of our member of the baggage.
func member(lines []string) (string, bool) {
	for _, line := range lines {
		if len(line) > longestBaggage {
			return "", false
		}
		for part := range strings.SplitSeq(line, ",") {
			if value, ours := split(part); ours {
				plain, err := url.PathUnescape(value)
				return plain, err == nil
			}
		}
	}
	return "", false
}

// withMember gives the lines of a request's baggage with our member in place of an older one; the members of others
// are kept as they are. Without tags our member goes. Where there is no room for it, others come first.
func withMember(lines []string, tags Tags) string {
	var kept []string
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ",") {
			if _, ours := split(part); !ours && strings.Trim(part, " \t") != "" {
				kept = append(kept, strings.Trim(part, " \t"))
			}
		}
	}
	if tags.Len() > 0 {
		ours := BaggageKey + "=" + strings.ReplaceAll(tags.String(), ",", "%2C")
		if total := len(strings.Join(kept, ",")) + 1 + len(ours); total <= longestBaggage {
			kept = append(kept, ours)
		}
	}
	return strings.Join(kept, ",")
}

// split takes a member apart: its value without properties, and whether it is ours.
func split(part string) (value string, ours bool) {
	pair, _, _ := strings.Cut(part, ";")
	name, value, _ := strings.Cut(pair, "=")
	return strings.Trim(value, " \t"), strings.Trim(name, " \t") == BaggageKey
}
