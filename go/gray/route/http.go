package route

import (
	"errors"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"
)

// ErrTarget is returned for the target of a request that nginx answers with 400.
var ErrTarget = errors.New("route: no target of a request")

// FromHTTP is a request as an edge would see it: what its sender wrote, whatever handlers made of its URL since.
func FromHTTP(r *http.Request, now time.Time) (Request, error) {
	target := r.RequestURI
	if !strings.HasPrefix(target, "/") {
		target = r.URL.EscapedPath() + "?" + r.URL.RawQuery
	}
	path, query, err := Target(target)
	if err != nil {
		return Request{}, err
	}
	header := maps.Clone(r.Header)
	if header == nil {
		header = http.Header{}
	}
	header["Host"] = []string{r.Host} // which net/http takes off the headers
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	return Request{address, header, float64(now.UnixNano()) / 1e9, r.Method, path, query}, nil
}

// Target is what nginx makes of the target of a request: the normalised path (decoded once, one slash for several,
// without "." and ".."), and the query as it was sent.
func Target(target string) (path, query string, err error) {
	target, _, _ = strings.Cut(target, "#")
	raw, query, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(raw, "/") {
		return "", "", ErrTarget
	}
	for at := strings.IndexByte(raw, '%'); at >= 0 && at < len(raw); at++ {
		if raw[at] == '%' && (at+2 >= len(raw) || digit(raw[at+1]) < 0 || digit(raw[at+2]) < 0) {
			return "", "", ErrTarget
		}
	}
	plain := unescaped(raw)
	if strings.Contains(plain, "\x00") {
		return "", "", ErrTarget
	}
	var kept []string
	last := ""
	for part := range strings.SplitSeq(plain, "/") {
		switch last = part; part {
		case "", ".":
		case "..":
			if len(kept) == 0 {
				return "", "", ErrTarget
			}
			kept = kept[:len(kept)-1]
		default:
			kept = append(kept, part)
		}
	}
	path = "/" + strings.Join(kept, "/")
	if len(kept) > 0 && (last == "" || last == "." || last == "..") {
		path += "/"
	}
	return path, query, nil
}
