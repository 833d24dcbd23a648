package graygrpc

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"gopub.dev/gray"
)

func TestTagsGoOnToTheHouseWithEachKindOfCall(t *testing.T) {
	conn := dial(t, "stock.corp:443", serve(t, told, ServerOptions()...), DialOptions("*.corp")...)
	ctx := with(t, "user-v2", "region-sh")
	only(t, each(t, ctx, conn), "region-sh,user-v2 tag=region-sh,user-v2 baggage=gray.tags=region-sh%2Cuser-v2 mine=")
	only(t, each(t, context.Background(), conn), " tag= baggage= mine=")
}

func TestWhatOthersPutThereIsKept(t *testing.T) {
	conn := dial(t, "stock.corp", serve(t, told, ServerOptions()...), DialOptions("stock.corp")...)
	there := metadata.MD{
		"Baggage":    {"userId=al%20ice;p=1,gray.tags=old", "b=2"},
		"X-Gray-Tag": {"old", "older"},
		"mine":       {"1", "2"},
	}
	before := there.Copy()
	ctx := metadata.NewOutgoingContext(with(t, "a"), there)
	ctx = metadata.AppendToOutgoingContext(ctx, "mine", "3", "baggage", "c=3")
	only(t, each(t, ctx, conn), "a tag=a baggage=userId=al%20ice;p=1,b=2,c=3,gray.tags=a mine=1|2|3")
	for key, values := range before {
		if strings.Join(there[key], "|") != strings.Join(values, "|") {
			t.Error("the caller's own metadata was changed:", there)
		}
	}
}

func TestTagsNeverLeaveTheHouse(t *testing.T) {
	wire := serve(t, told, ServerOptions()...)
	ctx := metadata.AppendToOutgoingContext(with(t, "a"), tagKey, "a", "X-Gray-Rule", "r@7", baggageKey, "gray.tags=a,b=2,gray.rule=r@7", "mine", "1")
	for _, name := range []string{"partner.example:443", "corp", "stock.corp.evil.example", "11.0.0.1:80"} {
		conn := dial(t, name, wire, DialOptions("*.corp", "10.0.0.0/8")...)
		only(t, each(t, ctx, conn), " tag= baggage=b=2 mine=1")
	}
	for _, name := range []string{"stock.corp:443", "10.9.8.7:80"} {
		conn := dial(t, name, wire, DialOptions("*.corp", "10.0.0.0/8")...)
		only(t, each(t, ctx, conn), "a tag=a baggage=b=2,gray.rule=r@7,gray.tags=a mine=1 rule=r@7")
	}
	conn := dial(t, "stock.corp", wire, DialOptions()...)
	only(t, each(t, ctx, conn), " tag= baggage=b=2 mine=1") // without a list there is no house
}

func TestTheHostOfATarget(t *testing.T) {
	for target, want := range map[string]string{
		"dns:///orders.corp:443":              "orders.corp:443",
		"dns://8.8.8.8/orders.corp:443":       "orders.corp:443",
		"orders.corp:443":                     "orders.corp:443",
		"orders.corp":                         "orders.corp",
		"10.0.0.7:443":                        "10.0.0.7:443",
		"[fd00::1]:443":                       "[fd00::1]:443",
		"dns:///[fd00::1]:443":                "[fd00::1]:443",
		"passthrough:///orders.corp":          "orders.corp",
		"unix:///orders.corp":                 "",
		"unix:orders.corp":                    "",
		"unix-abstract:orders.corp":           "",
		"dns:///evil.example:443/orders.corp": "evil.example:443/orders.corp",
	} {
		conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(target, err)
		}
		if got := hostOf(conn.CanonicalTarget()); got != want {
			t.Errorf("%s goes to %q, not %q", target, got, want)
		}
		_ = conn.Close()
	}
	if newHouse([]string{"orders.corp"}).allow.Has("evil.example:443/orders.corp") {
		t.Error("a path is no host")
	}
}

func TestAPatternThatIsNoneIsToldAtOnce(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("https://a.corp is taken")
		}
	}()
	DialOptions("https://a.corp")
}

// tracing writes the baggage of the call that came in as libraries for tracing do: after all interceptors.
type tracing struct{ stats.Handler }

func (tracing) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	there, _ := metadata.FromOutgoingContext(ctx)
	there = metadata.Join(there)
	there.Set(baggageKey, "trace=1,gray.tags=a")
	return metadata.NewOutgoingContext(ctx, there)
}

func TestTagsThatALibraryWritesLaterDoNotLeaveEither(t *testing.T) {
	wire, tracer := serve(t, told, ServerOptions()...), grpc.WithStatsHandler(tracing{Guard()})
	ctx := with(t, "b")
	outside := dial(t, "partner.example", wire, append([]grpc.DialOption{tracer}, DialOptions("*.corp")...)...)
	only(t, each(t, ctx, outside), " tag= baggage=trace=1 mine=")
	inside := dial(t, "a.corp", wire, append([]grpc.DialOption{tracer}, DialOptions("*.corp")...)...)
	only(t, each(t, ctx, inside), "b tag=b baggage=trace=1,gray.tags=b mine=")
	alone := dial(t, "partner.example", wire, append(DialOptions("*.corp")[:2], tracer)...)
	only(t, each(t, ctx, alone), "a tag= baggage=trace=1,gray.tags=a mine=") // control: without Guard they do
}

func TestThreeHopsFromHTTPOn(t *testing.T) {
	last := dial(t, "last.corp", serve(t, told, ServerOptions()...), DialOptions("*.corp")...)
	middle := dial(t, "middle.corp", serve(t, func(ctx context.Context, said string) (string, error) {
		return unary(ctx, last, said)
	}, ServerOptions()...), DialOptions("*.corp")...)
	front := gray.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers, err := stream(r.Context(), middle, "Both", "x")
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write([]byte(strings.Join(answers, "")))
	}))
	for header, want := range map[string]string{
		"user-v2": "user-v2 tag=user-v2 baggage=gray.tags=user-v2 mine=",
		"user v2": " tag= baggage= mine=",
	} {
		request, heard := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		request.Header.Set(gray.Header, header)
		if front.ServeHTTP(heard, request); heard.Body.String() != want {
			t.Errorf("%q arrives as %q", header, heard.Body)
		}
	}
}

func TestWhatLeavesTheContextLosesTheTags(t *testing.T) {
	conn := dial(t, "a.corp", serve(t, told, ServerOptions()...), DialOptions("*.corp")...)
	ctx, cancel := context.WithCancel(with(t, "a"))
	cancel() // as a server does when it has answered
	if said, err := unary(context.Background(), conn, ""); err != nil || !strings.HasPrefix(said, " tag= ") {
		t.Error(said, err)
	}
	if said, err := unary(context.WithoutCancel(ctx), conn, ""); err != nil || !strings.HasPrefix(said, "a tag=a ") {
		t.Error("what goes on for a call that was answered keeps them:", said, err)
	}
}

func TestHostileMetadataChangesNothing(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("a,", 1000), ",")
	hostile := []metadata.MD{
		{tagKey: {"a\x00"}}, {tagKey: {"a\r\nx-evil: 1"}}, {tagKey: {"\xff\xfe"}}, {tagKey: {strings.Repeat("x", 8192)}},
		{tagKey: {many}}, {tagKey: {"a", "b c"}}, {tagKey: {""}}, {tagKey: {}}, {tagKey: nil}, {tagKey: {"用户"}},
		{tagKey: {"a b"}, baggageKey: {"gray.tags=a"}}, {baggageKey: {"gray.tags=%zz"}}, {baggageKey: {"gray.tags=%00"}},
		{baggageKey: {"gray.tags=a", strings.Repeat("x", 8192)}}, {baggageKey: {strings.Repeat(";=,", 3000)}},
		{baggageKey: {strings.Repeat("a=1,", 64) + "gray.tags=a"}}, {baggageKey: {"gray.tags=" + strings.ReplaceAll(many, ",", "%2C")}},
		{baggageKey: {"=", ",,", ";", "gray.tags", "\xff=\xff"}}, {tagKey: make([]string, 5000)},
	}
	conn := dial(t, "a.corp", serve(t, told, ServerOptions()...), grpc.WithDisableRetry())
	for _, one := range hostile {
		if tags := gray.FromContext(Incoming(metadata.NewIncomingContext(context.Background(), one))); tags.Len() != 0 {
			t.Errorf("%.60q gives %q", one, tags)
		}
		ctx := metadata.NewOutgoingContext(context.Background(), one)
		said, err := unary(ctx, conn, "")
		if err != nil && !strings.Contains(err.Error(), "non-printable") { // which grpc itself does not send
			t.Errorf("%.60q: %v", one, err)
		} else if err == nil && !strings.HasPrefix(said, " tag=") {
			t.Errorf("%.60q gives %.60q", one, said)
		}
	}
	fine := metadata.NewIncomingContext(context.Background(), metadata.MD{tagKey: {"a", "b"}})
	if gray.FromContext(Incoming(fine)).String() != "a,b" {
		t.Error("control: what is a list is read")
	}
}
