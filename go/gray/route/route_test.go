package route

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// base is a table with a canary of 25 %, whose keys the cases replace.
const base = `{"schema":"gopub/route-table/v1","app":"a","env":"e","upstream":"a","revision":1,"epoch":1,"token":"t","n":1,
"rollout":"r-1","salt":"r-1","sticky":"address","weight":2500,
"stable":{"release":"aaaaaaaaaaaa","peers":[{"host":"a1","address":"10.1.0.1:80"}]},
"canary":{"release":"bbbbbbbbbbbb","peers":[{"host":"b1","address":"10.1.0.2:80"}],"tag":"v2"},
"canary_until":null,"lapse":"stable","rules":[],"trust":["10.0.0.0/8"],"fallback":true}`

// document is base with keys as these say; null takes the key out where cut names it.
func document(t *testing.T, change string, cut ...string) []byte {
	t.Helper()
	var doc, changed map[string]any
	if err := json.Unmarshal([]byte(base), &doc); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(change), &changed); err != nil {
		t.Fatal(change, err)
	}
	for key, value := range changed {
		doc[key] = value
	}
	for _, key := range cut {
		delete(doc, key)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func table(t *testing.T, change string) *Table {
	t.Helper()
	found, err := Parse(document(t, change))
	if err != nil {
		t.Fatal(change, err)
	}
	return found
}

func TestBucketsStayAsTheyAreForTheLifeOfARollout(t *testing.T) {
	for text, want := range map[string]uint32{
		"": 0, "a": 0x3c2569b2, "abc": 0xb3dd93fa, "test": 0xba6bd213, "hello": 0x248bfa47, "hello, world": 0x149bbb7f,
		"Hello, world!": 0xc0363e43, "The quick brown fox jumps over the lazy dog": 0x2e4ff723,
	} {
		if got := hash(text); got != want {
			t.Errorf("%q: %#x", text, got)
		}
	}
	if Bucket("r-1", "alice") != 958 || Bucket("r-1", "用户-7") != 4622 || Bucket("", "") != 7430 {
		t.Error(Bucket("r-1", "alice"), Bucket("r-1", "用户-7"), Bucket("", ""))
	}
}

func TestADecisionNamesTheReleaseAndItsPeers(t *testing.T) {
	found := table(t, `{"rules":[{"id":"beta","when":{"all":[{"tag":"user-v2"},{"not":{"tag":"beta"}}]}}]}`)
	request := Request{Address: "10.0.0.9", Header: http.Header{"X-Gray-Tag": {"user-v2"}}}
	got := found.Decide(request)
	if got.Track != Canary || got.Rule != "beta" || got.Release != "bbbbbbbbbbbb" || got.Tag != "v2" || got.Peers[0].Address != "10.1.0.2:80" {
		t.Error(got)
	}
	request.Address = "192.0.2.1" // a stranger's word counts nothing
	if got := found.Decide(request); got.Rule == "beta" {
		t.Error(got)
	}
}

func TestWhatCannotBeReadIsRefused(t *testing.T) {
	deep := strings.Repeat(`{"not":`, 8) + `{"tag":"a"}` + strings.Repeat("}", 8)
	for change, words := range map[string]string{
		`{"schema":"gopub/route-table/v2"}`:                     "schema",
		`{"lanes":[]}`:                                          "lanes is not known",
		`{"Rules":[]}`:                                          "Rules is not known",
		`{"salt":null}`:                                         "salt is not a string",
		`{"weight":"1"}`:                                        "weight is not a number",
		`{"weight":10001}`:                                      "weight is not a whole number",
		`{"weight":1.5}`:                                        "weight is not a whole number",
		`{"sticky":"ip"}`:                                       "sticky",
		`{"sticky":"address:x"}`:                                "sticky",
		`{"sticky":"cookie:"}`:                                  "sticky",
		`{"lapse":"never"}`:                                     "lapse",
		`{"canary_until":"soon"}`:                               "canary_until",
		`{"trust":["10.0.0.0/33"]}`:                             "trust[0]",
		`{"trust":["fe80::1%eth0"]}`:                            "trust[0]",
		`{"trust":{}}`:                                          "trust is not a list",
		`{"stable":[]}`:                                         "stable is not an object",
		`{"rules":[{"id":"r"}]}`:                                "rules[0].when is missing",
		`{"rules":[{"id":"r","when":{"tga":"a"}}]}`:             "rules[0].when.tga is not known",
		`{"rules":[{"id":"r","when":{"tag":"a b"}}]}`:           "rules[0].when.tag is not a tag",
		`{"rules":[{"id":"r","when":{"tag":" a"}}]}`:            "rules[0].when.tag is not a tag",
		`{"rules":[{"id":"r","when":{"tag":"a","path":"/"}}]}`:  "rules[0].when is not one condition",
		`{"rules":[{"id":"r","when":{"within":[[1]]}}]}`:        "rules[0].when.within[0]",
		`{"rules":[{"id":"r","when":{"client":["x"]}}]}`:        `rules[0].when.client[0] "x" is not a network`,
		`{"rules":[{"id":"r","when":{"header":{"name":"x"}}}]}`: "value is missing",
		`{"rules":[{"id":"r","when":{"tag":"a"},"to":"lane"}]}`: "rules[0].to",
		`{"rules":[{"id":"r","when":{"tag":"a"},"header":{}}]}`: "rules[0].when is not known",
		`{"rules":[{"id":"r","when":` + deep + `}]}`:            "at most 8 deep",
		`{"rules":[{"id":"r","when":{"any":[` + strings.Repeat(`{"share":1},`, 256) + `{"share":1}]}}]}`: "258 conditions",
	} {
		if _, err := Parse(document(t, change)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%.90s: %v", change, err)
		}
	}
	for _, bad := range []string{"", "{", "null", "[]", "7", base + base} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%.20q is taken", bad)
		}
	}
	if _, err := Parse(document(t, `{}`, "trust")); err == nil || !strings.Contains(err.Error(), "trust is missing") {
		t.Error(err)
	}
	deep = strings.Repeat(`{"not":`, 7) + `{"tag":"a"}` + strings.Repeat("}", 7)
	table(t, `{"rules":[{"id":"r","when":`+deep+`},{"id":"s","header":{"name":"x","value":"1"}}],"warmup":3,"latency":"total"}`) // control
}

func TestTargetsAreReadAsNginxReadsThem(t *testing.T) {
	for target, want := range map[string]string{
		"/": "/", "/a/b?x=%31#f": "/a/b", "//a///b/": "/a/b/", "/a/./b/../c": "/a/c", "/a/..": "/", "/a/b/..": "/a/",
		"/%61%2Fb": "/a/b", "/%2561": "/%61", "/a/%2e%2e/b": "/b", "/a/.": "/a/", "/a#?": "/a",
		"": "!", "a": "!", "/..": "!", "/a/../..": "!", "/%zz": "!", "/%2": "!", "/a%00": "!", "*": "!",
	} {
		got, _, err := Target(target)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%s is %s, not %s", target, got, want)
		}
	}
	if _, query, _ := Target("/a?x=%31&y#z"); query != "x=%31&y" {
		t.Error(query)
	}
}

func TestARequestIsTakenAsItsSenderWroteIt(t *testing.T) {
	var got Request
	handler := http.StripPrefix("/api", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		if got, err = FromHTTP(r, time.Unix(100, 5e8)); err != nil {
			t.Error(err)
		}
	}))
	server := httptest.NewServer(handler)
	defer server.Close()
	request, _ := http.NewRequest("POST", server.URL+"/api/x%2Fy?q=%31", nil)
	request.Host = "orders.corp"
	request.Header.Add("Cookie", "sid=1")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if got.Path != "/api/x/y" || got.Query != "q=%31" || got.Method != "POST" || got.At != 100.5 || got.Address != "127.0.0.1" {
		t.Error(got)
	}
	change := `{"trust":[],"weight":0,"rules":[{"id":"r","when":{"all":[{"header":{"name":"Host","value":"orders.corp"}},{"cookie":{"name":"sid","value":"1"}}]}}]}`
	if said := table(t, change).Decide(got); said.Rule != "r" {
		t.Error(said)
	}
}

func TestHostileRequestsChangeNothing(t *testing.T) {
	found := table(t, `{"sticky":"header:x-user-id","rules":[{"id":"r","when":{"any":[{"tag":"a"},{"query":{"name":"q","value":"1"}},{"cookie":{"name":"s","value":"1"}}]}}]}`)
	long := strings.Repeat("x", 8192)
	for _, line := range []string{"\x00", "a\r\nx: 1", "\xff\xfe", long, strings.Repeat("a,", 1000), "a b", "用户", "-a", "a;b", strings.Repeat(",", 5000)} {
		request := Request{Address: "10.0.0.1", Header: http.Header{"X-Gray-Tag": {line}}}
		if got := found.Decide(request); got.Track != Stable || got.Rule != "bad-tags" {
			t.Errorf("%.20q: %v", line, got)
		}
		request = Request{
			Address: line, Path: line, Query: line + "=%" + line + "&%", Method: line,
			Header: http.Header{"Cookie": {line, "=;;=;" + line}, "X-Forwarded-For": {line, "[::1"}, "X-User-Id": {"", "u"}},
		}
		if got := found.Decide(request); got.Track != Stable || got.Rule != "no-subject" {
			t.Errorf("%.20q: %v", line, got)
		}
	}
}

func TestATableIsAskedByManyAtOnce(t *testing.T) {
	found := table(t, `{"rules":[{"id":"r","when":{"all":[{"tag":"a"},{"client":["192.0.2.0/24"]},{"share":5000}]}}]}`)
	var group sync.WaitGroup
	for n := range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			header := http.Header{"X-Gray-Tag": {" a "}, "X-Forwarded-For": {"192.0.2." + string(rune('1'+n))}}
			first := found.Decide(Request{Address: "10.0.0.1", Header: header})
			for range 200 {
				if again := found.Decide(Request{Address: "10.0.0.1", Header: header}); again.Rule != first.Rule {
					t.Error(first, again)
				}
			}
		}()
	}
	group.Wait()
}
