package gray

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestListsAreReadAsTheEdgesReadThem(t *testing.T) {
	text, err := os.ReadFile("testdata/tags.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ Lines, Tags []string }
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) < 20 {
		t.Fatal(err, len(cases))
	}
	for _, one := range cases {
		tags, err := Parse(one.Lines...)
		if (err != nil) != (one.Tags == nil) {
			t.Errorf("%q: %v", one.Lines, err)
		} else if err == nil && strings.Join(one.Tags, ",") != tags.String() {
			t.Errorf("%q is %q, not %q", one.Lines, tags, one.Tags)
		}
	}
}

func parsed(t *testing.T, list string) Tags {
	t.Helper()
	tags, err := Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	return tags
}

type recorder func(*http.Request) (*http.Response, error)

func (f recorder) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// sent gives what a request that a handler makes within its own has, on the wire.
func sent(t *testing.T, in http.Header, change func(*http.Request), url string, hosts ...string) http.Header {
	t.Helper()
	var out http.Header
	transport := NewTransport(recorder(func(r *http.Request) (*http.Response, error) {
		out = r.Header
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	}), hosts...)
	handler := Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		made, err := http.NewRequestWithContext(r.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(made)
		}
		before := made.Header.Clone()
		if _, err := transport.RoundTrip(made); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(before, made.Header) {
			t.Errorf("the caller's own request was changed: %v", made.Header)
		}
	}))
	request := httptest.NewRequest("GET", "/", nil)
	request.Header = in
	handler.ServeHTTP(httptest.NewRecorder(), request)
	return out
}

func TestTagsGoOnToTheHouse(t *testing.T) {
	in := http.Header{Header: {"user-v2", "region-sh"}}
	out := sent(t, in, nil, "http://orders.corp:8080/x", "*.corp")
	if out.Get(Header) != "region-sh,user-v2" || out.Get(BaggageHeader) != "gray.tags=region-sh%2Cuser-v2" {
		t.Error(out)
	}
}

func TestTagsNeverLeaveTheHouse(t *testing.T) {
	in := http.Header{Header: {"user-v2"}, BaggageHeader: {"gray.tags=user-v2"}}
	byHand := func(r *http.Request) {
		r.Header.Set(Header, "user-v2")
		r.Header["x-gray-rule"] = []string{"r@7"}
		r.Header.Set("X-Gray-Rule", "r@7")
		r.Header.Set(BaggageHeader, "a=1, gray.tags=user-v2;p=1 ,b=2,gray.rule=r@7")
	}
	for _, url := range []string{
		"http://partner.example/", "http://corp/", "http://notcorp/", "http://x.corp.evil.example/", "http://[2001:db8::1]/",
		"http://11.0.0.1/", "http://10.0.0.1.evil.example/",
	} {
		out := sent(t, in, byHand, url, "*.corp", "10.0.0.0/8", "fd00::/8")
		if out.Get(Header) != "" || out.Get("X-Gray-Rule") != "" || out["x-gray-rule"] != nil || out.Get(BaggageHeader) != "a=1,b=2" {
			t.Errorf("%s was told %v", url, out)
		}
	}
	for _, url := range []string{"http://a.corp/", "http://A.B.CORP.:80/", "http://10.9.8.7:80/", "http://[fd00::1]:80/", "http://[::ffff:10.0.0.1]/"} {
		if out := sent(t, in, nil, url, "*.corp", "10.0.0.0/8", "fd00::/8"); out.Get(Header) != "user-v2" {
			t.Errorf("control: %s was told %v", url, out)
		}
	}
	if out := sent(t, in, byHand, "http://a.corp/"); out.Get(Header) != "" {
		t.Error("without a list there is no house", out)
	}
}

func TestBaggageOfOthersIsKept(t *testing.T) {
	set := func(r *http.Request) {
		r.Header[BaggageHeader] = []string{"userId=al%20ice;p=1,serverNode=DF%2028", "gray.tags=old", "isProduction=false"}
	}
	out := sent(t, http.Header{Header: {"new"}}, set, "http://a.corp/", "a.corp")
	want := "userId=al%20ice;p=1,serverNode=DF%2028,isProduction=false,gray.tags=new"
	if got := out.Values(BaggageHeader); len(got) != 1 || got[0] != want {
		t.Error(got)
	}
	full := func(r *http.Request) { r.Header.Set(BaggageHeader, "a="+strings.Repeat("x", 8180)) }
	out = sent(t, http.Header{Header: {"new"}}, full, "http://a.corp/", "a.corp")
	if len(out.Get(BaggageHeader)) != 8182 || out.Get(Header) != "new" {
		t.Error("there is no room for ours, and the header says it", len(out.Get(BaggageHeader)), out.Get(Header))
	}
	for members, has := range map[int]bool{MostMembers - 1: true, MostMembers: false} {
		many := func(r *http.Request) { r.Header.Set(BaggageHeader, strings.Repeat("a=1,", members)) }
		out = sent(t, http.Header{Header: {"new"}}, many, "http://a.corp/", "a.corp")
		if strings.Contains(out.Get(BaggageHeader), BaggageKey) != has || strings.Count(out.Get(BaggageHeader), "a=1") != members {
			t.Error(members, out)
		}
	}
}

// line is a text, or [head, times, tail].
type line string

func (l *line) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		return json.Unmarshal(text, (*string)(l))
	}
	var head, tail string
	var times int
	err := json.Unmarshal(text, &[]any{&head, &times, &tail})
	*l = line(strings.Repeat(head, times) + tail)
	return err
}

func plain(lines []line) []string {
	var all []string
	for _, one := range lines {
		all = append(all, string(one))
	}
	return all
}

func read(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestBaggageIsReadAndWrittenAsInEveryLanguage(t *testing.T) {
	var cases struct {
		Incoming []struct {
			Header, Baggage []line
			Tags            string
		}
		Outgoing []struct {
			Baggage []line
			Tags    string
			Line    line
		}
		Outside []struct {
			Baggage []line
			Line    line
		}
	}
	if read(t, "baggage.json", &cases); len(cases.Incoming) < 20 || len(cases.Outgoing) < 9 || len(cases.Outside) < 3 {
		t.Fatal(cases)
	}
	for _, one := range cases.Incoming {
		if got := Incoming(plain(one.Header), plain(one.Baggage)).String(); got != one.Tags {
			t.Errorf("%.90q %.90q is %q", one.Header, one.Baggage, got)
		}
	}
	for _, one := range cases.Outside {
		if got := Outside(plain(one.Baggage)); got != string(one.Line) {
			t.Errorf("%.90q outside is %.90q", one.Baggage, got)
		}
	}
	for _, one := range cases.Outgoing {
		header, got := Outgoing(plain(one.Baggage), parsed(t, one.Tags))
		if header != one.Tags || got != string(one.Line) {
			t.Errorf("%.90q with %q is %.90q", one.Baggage, one.Tags, got)
		}
	}
}

func TestHostsAreOfTheHouseInEveryLanguage(t *testing.T) {
	var cases struct{ Hosts, Inside, Outside, None []string }
	read(t, "hosts.json", &cases)
	allow, err := NewAllow(cases.Hosts...)
	if err != nil || len(cases.Inside) == 0 || len(cases.Outside) == 0 {
		t.Fatal(err, cases)
	}
	for _, host := range cases.Inside {
		if !allow.Has(host) {
			t.Errorf("%q is outside", host)
		}
	}
	for _, host := range cases.Outside {
		if allow.Has(host) {
			t.Errorf("%q is inside", host)
		}
	}
	for _, bad := range cases.None {
		if _, err := NewAllow(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestWithoutTheRequestsContextThereAreNoTags(t *testing.T) {
	lost := func(r *http.Request) { *r = *r.WithContext(context.Background()) }
	if out := sent(t, http.Header{Header: {"a"}}, lost, "http://a.corp/", "a.corp"); out.Get(Header) != "" {
		t.Error(out)
	}
}

func TestARedirectOutOfTheHouseTakesNoTagsAlong(t *testing.T) {
	var told []string
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told = append(told, r.Header.Get(Header)+r.Header.Get(BaggageHeader))
	}))
	defer outside.Close()
	var inside []string
	house := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inside = append(inside, r.Header.Get(Header))
		http.Redirect(w, r, strings.Replace(outside.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
	}))
	defer house.Close()
	client := &http.Client{Transport: NewTransport(nil, "127.0.0.1")}
	request, _ := http.NewRequestWithContext(NewContext(context.Background(), parsed(t, "a")), "GET", house.URL, nil)
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if len(inside) != 1 || inside[0] != "a" || len(told) != 1 || told[0] != "" {
		t.Error(inside, told)
	}
}

func TestAHundredThousandRequestsAtOnceNeverCross(t *testing.T) {
	const all, workers = 100_000, 200
	var wrong sync.Map
	transport := NewTransport(recorder(func(r *http.Request) (*http.Response, error) {
		if want := r.URL.Query().Get("tag"); r.Header.Get(Header) != want {
			wrong.Store(want, r.Header.Get(Header))
		}
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	}), "a.corp")
	handler := Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var group sync.WaitGroup
		for range 2 { // two calls at once within each request
			group.Add(1)
			go func() {
				defer group.Done()
				out, _ := http.NewRequestWithContext(r.Context(), "GET", "http://a.corp/?tag="+r.URL.Query().Get("tag"), nil)
				_, _ = transport.RoundTrip(out)
			}()
		}
		group.Wait()
	}))
	var group sync.WaitGroup
	for worker := range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := range all / workers {
				tag := fmt.Sprintf("t%d-%d", worker, n)
				request := httptest.NewRequest("GET", "/?tag="+tag, nil)
				request.Header.Set(Header, tag)
				handler.ServeHTTP(httptest.NewRecorder(), request)
			}
		}()
	}
	group.Wait()
	wrong.Range(func(want, got any) bool {
		t.Errorf("%v was sent with %v", want, got)
		return false
	})
}
