package graygrpc

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"gopub.dev/gray"
)

// answering is what a service of the tests does with each message that it gets, whatever the kind of call.
type answering func(ctx context.Context, said string) (string, error)

// describe gives a service with one method for each kind of call. A client's stream is answered once, by the messages
// of all lines; a server's stream says the answer thrice.
func describe(answer answering) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: "test.House", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(
			_ any, ctx context.Context, decode func(any) error, through grpc.UnaryServerInterceptor,
		) (any, error) {
			in := new(wrapperspb.StringValue)
			if err := decode(in); err != nil {
				return nil, err
			}
			next := func(ctx context.Context, request any) (any, error) {
				text, err := answer(ctx, request.(*wrapperspb.StringValue).Value)
				return wrapperspb.String(text), err
			}
			if through == nil {
				return next(ctx, in)
			}
			return through(ctx, in, &grpc.UnaryServerInfo{FullMethod: "/test.House/Unary"}, next)
		}}},
		Streams: []grpc.StreamDesc{
			{StreamName: "Server", ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				said, err := heard(stream)
				for n := 0; n < 3 && err == nil; n++ {
					err = say(stream, answer, said)
				}
				return err
			}},
			{StreamName: "Client", ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				var all []string
				said, err := heard(stream)
				for ; err == nil; said, err = heard(stream) {
					all = append(all, said)
				}
				if !errors.Is(err, io.EOF) {
					return err
				}
				return say(stream, answer, strings.Join(all, "+"))
			}},
			{StreamName: "Both", ServerStreams: true, ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				said, err := heard(stream)
				for ; err == nil; said, err = heard(stream) {
					if err := say(stream, answer, said); err != nil {
						return err
					}
				}
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}},
		},
	}
}

func heard(stream interface{ RecvMsg(any) error }) (string, error) {
	in := new(wrapperspb.StringValue)
	err := stream.RecvMsg(in)
	return in.Value, err
}

func say(stream grpc.ServerStream, answer answering, said string) error {
	text, err := answer(stream.Context(), said)
	if err != nil {
		return err
	}
	return stream.SendMsg(wrapperspb.String(text))
}

// serve starts a service within the process, and gives what a client dials it with.
func serve(t *testing.T, answer answering, options ...grpc.ServerOption) grpc.DialOption {
	t.Helper()
	wire := bufconn.Listen(1 << 20)
	server := grpc.NewServer(options...)
	server.RegisterService(describe(answer), struct{}{})
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(wire) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return wire.DialContext(ctx) })
}

// dial connects to a service of serve under a name.
func dial(t *testing.T, name string, wire grpc.DialOption, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	options = append(options, wire, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient("passthrough:///"+name, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func unary(ctx context.Context, conn *grpc.ClientConn, said string) (string, error) {
	out := new(wrapperspb.StringValue)
	err := conn.Invoke(ctx, "/test.House/Unary", wrapperspb.String(said), out)
	return out.Value, err
}

// stream sends the words and gives all that is answered; kind is Server, Client or Both.
func stream(ctx context.Context, conn *grpc.ClientConn, kind string, words ...string) ([]string, error) {
	what := &grpc.StreamDesc{ServerStreams: kind != "Client", ClientStreams: kind != "Server"}
	open, err := conn.NewStream(ctx, what, "/test.House/"+kind)
	if err != nil {
		return nil, err
	}
	for _, word := range words {
		if err := open.SendMsg(wrapperspb.String(word)); err != nil {
			return nil, err
		}
	}
	if err := open.CloseSend(); err != nil {
		return nil, err
	}
	var answers []string
	for {
		out := new(wrapperspb.StringValue)
		if err := open.RecvMsg(out); errors.Is(err, io.EOF) {
			return answers, nil
		} else if err != nil {
			return answers, err
		}
		answers = append(answers, out.Value)
	}
}

// each makes one call of each kind, and gives all answers.
func each(t *testing.T, ctx context.Context, conn *grpc.ClientConn) []string {
	t.Helper()
	one, err := unary(ctx, conn, "x")
	if err != nil {
		t.Fatal(err)
	}
	all := []string{one}
	for _, kind := range []string{"Server", "Client", "Both"} {
		words := []string{"x", "y"}
		if kind == "Server" {
			words = words[:1]
		}
		answers, err := stream(ctx, conn, kind, words...)
		if err != nil {
			t.Fatal(kind, err)
		}
		all = append(all, answers...)
	}
	if len(all) != 7 {
		t.Fatal("1 of a call, 3 of a server's stream, 1 of a client's, 2 of both:", all)
	}
	return all
}

// told is what a service sees of a call: tags, the metadata that carries them, and one key of somebody else's.
func told(ctx context.Context, _ string) (string, error) {
	there, _ := metadata.FromIncomingContext(ctx)
	word := func(key string) string { return strings.Join(there.Get(key), "|") }
	rule := ""
	if word("x-gray-rule") != "" {
		rule = " rule=" + word("x-gray-rule")
	}
	return gray.FromContext(ctx).String() + " tag=" + word(tagKey) + " baggage=" + word(baggageKey) + " mine=" + word("mine") + rule, nil
}

func with(t *testing.T, lines ...string) context.Context {
	t.Helper()
	tags, err := gray.Parse(lines...)
	if err != nil {
		t.Fatal(err)
	}
	return gray.NewContext(context.Background(), tags)
}

func only(t *testing.T, got []string, want string) {
	t.Helper()
	if kinds := slices.Compact(slices.Clone(got)); len(kinds) != 1 || kinds[0] != want {
		t.Errorf("%q, not %q", kinds, want)
	}
}
