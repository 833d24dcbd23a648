package route

import (
	"net/http"
	"slices"
	"strings"

	"gopub.dev/gray"
)

const blanks = " \t"

// asked is a request, read by the rules of one table.
type asked struct {
	table   *Table
	request *Request
	trusted bool
	tags    gray.Tags

	who     string
	whoRead bool
}

// lines are all lines of a header in its canonical form. Of strangers those that speak to routers count nothing.
func (a *asked) lines(name string) []string {
	if !a.trusted && (strings.HasPrefix(name, "X-Gray-") || strings.HasPrefix(name, "X-Gopub-")) {
		return nil
	}
	lines := a.request.Header[name]
	if !slices.ContainsFunc(lines, func(line string) bool { return line != strings.Trim(line, blanks) }) {
		return lines // as servers of net/http make them
	}
	lines = slices.Clone(lines)
	for at := range lines {
		lines[at] = strings.Trim(lines[at], blanks)
	}
	return lines
}

// header is the first line of that name.
func (a *asked) header(name string) (string, bool) {
	lines := a.lines(name)
	if len(lines) == 0 {
		return "", false
	}
	return lines[0], true
}

// cookie is the first cookie of that name, in its own case.
func (a *asked) cookie(wanted string) (string, bool) {
	for _, line := range a.lines("Cookie") {
		for part := range strings.SplitSeq(line, ";") {
			name, value, pair := strings.Cut(strings.Trim(part, blanks), "=")
			if pair && name == wanted {
				return value, true
			}
		}
	}
	return "", false
}

// client is the address behind trusted proxies.
func (a *asked) client() string {
	if !a.whoRead {
		chain := strings.FieldsFunc(strings.Join(a.lines("X-Forwarded-For"), ","), func(c rune) bool {
			return c == ',' || c == ' ' || c == '\t'
		})
		a.who, a.whoRead = behind(a.table.trust, a.request.Address, chain), true
	}
	return a.who
}

// sticky is whom a percentage draws for.
type sticky struct{ kind, name string }

func (a *asked) subject() string {
	var found string
	switch a.table.sticky.kind {
	case "header":
		found, _ = a.header(a.table.sticky.name)
	case "cookie":
		found, _ = a.cookie(a.table.sticky.name)
	default:
		found = a.client()
	}
	return found
}

// parameter is the first value of that name, decoded once; one without "=" has no value.
func (a *asked) parameter(wanted string) (string, bool) {
	for part := range strings.SplitSeq(a.request.Query, "&") {
		name, value, pair := strings.Cut(part, "=")
		if pair && decoded(name) == wanted {
			return decoded(value), true
		}
	}
	return "", false
}

// decoded takes "+" for a blank and each escape for its byte, once: what is left of %2525 is %25. What is no escape stays.
func decoded(text string) string {
	if !strings.ContainsAny(text, "%+") {
		return text
	}
	return unescaped(strings.ReplaceAll(text, "+", " "))
}

func unescaped(text string) string {
	var out strings.Builder
	for at := 0; at < len(text); at++ {
		if text[at] == '%' && at+2 < len(text) {
			high, low := digit(text[at+1]), digit(text[at+2])
			if high >= 0 && low >= 0 {
				out.WriteByte(byte(high<<4 | low))
				at += 2
				continue
			}
		}
		out.WriteByte(text[at])
	}
	return out.String()
}

func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// lookedFor is the header that the edge looks for where a table says name; "" where nginx reads none of that name: it
// drops those with anything but letters, digits and hyphens, and Lua reads an underscore as a hyphen.
func lookedFor(name string) string {
	name = strings.ReplaceAll(name, "_", "-")
	for at := range len(name) {
		c := name[at] | 0x20
		if (c < 'a' || c > 'z') && (name[at] < '0' || name[at] > '9') && name[at] != '-' {
			return ""
		}
	}
	return http.CanonicalHeaderKey(name)
}
