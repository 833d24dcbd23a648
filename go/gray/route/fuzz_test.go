package route

import (
	"net/http"
	"testing"
)

// FuzzDecide is given documents and requests of strangers: nothing of them may make it panic.
func FuzzDecide(f *testing.F) {
	f.Add([]byte(base), "10.0.0.1", "a,b", "sid=1", "q=%31", "/a%2e")
	f.Add([]byte(`{"rules":[{"when":{"not":{}}}]}`), "::1", "\x00", ";=", "%", "//..")
	f.Add([]byte(`{"stable":{"peers":[{"since":1e999}]},"trust":[null]}`), "", "", "", "", "")
	f.Fuzz(func(t *testing.T, document []byte, address, tags, cookie, query, target string) {
		table, err := Parse(document)
		if err != nil {
			if table, err = Parse([]byte(base)); err != nil {
				t.Fatal(err)
			}
		}
		path, _, err := Target(target)
		if err == nil && path[0] != '/' {
			t.Errorf("%q is %q", target, path)
		}
		header := http.Header{"X-Gray-Tag": {tags}, "Cookie": {cookie}, "X-Forwarded-For": {address, tags}}
		said := table.Decide(Request{Address: address, Header: header, Path: path, Query: query})
		if said.Track != Stable && said.Track != Canary && said.Track != None || said.Rule == "" && err == nil && len(table.rules) == 0 {
			t.Error(said)
		}
	})
}
