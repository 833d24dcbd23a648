package graygrpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
)

// DialOptions are both interceptors of a client, chained to what the connection has, and Guard. Give them last.
//
// See gray.NewAllow for the patterns of hosts; without any no tag leaves the service. What counts is the host of the
// connection's target as it is written there ("dns:///stock.corp:443"), not the authority of a call. A socket of this
// machine ("unix:…") is of no house. It panics on a pattern that is none, as regexp.MustCompile does.
func DialOptions(hosts ...string) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(UnaryClientInterceptor(hosts...)),
		grpc.WithChainStreamInterceptor(StreamClientInterceptor(hosts...)),
		grpc.WithStatsHandler(Guard()),
	}
}

// UnaryClientInterceptor passes the tags of a call's context on to hosts of the house, and to nobody else: from any
// other call it takes them off, whoever put them there. See DialOptions.
func UnaryClientInterceptor(hosts ...string) grpc.UnaryClientInterceptor {
	house := newHouse(hosts)
	return func(
		ctx context.Context, method string, request, answer any,
		conn *grpc.ClientConn, next grpc.UnaryInvoker, options ...grpc.CallOption,
	) error {
		return next(decided(ctx, house.decide(ctx, conn)), method, request, answer, conn, options...)
	}
}

// StreamClientInterceptor does the same for streams, as they begin.
func StreamClientInterceptor(hosts ...string) grpc.StreamClientInterceptor {
	house := newHouse(hosts)
	return func(
		ctx context.Context, what *grpc.StreamDesc, conn *grpc.ClientConn, method string,
		next grpc.Streamer, options ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		return next(decided(ctx, house.decide(ctx, conn)), what, conn, method, options...)
	}
}

type key struct{}

// decided gives a context whose call carries what was decided, and which tells Guard so.
func decided(ctx context.Context, what decision) context.Context {
	return what.outgoing(context.WithValue(ctx, key{}, what))
}

// Guard writes what the interceptors decided once more, at the last moment before a call is sent. Libraries for
// tracing write the baggage after all interceptors, and would send the tags of the call that came in to everybody.
// It must be the last handler of the connection (grpc.WithStatsHandler); alone it takes the tags off every call.
func Guard() stats.Handler { return guard{} }

type guard struct{}

func (guard) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	what, _ := ctx.Value(key{}).(decision)
	return what.outgoing(ctx)
}

func (guard) HandleRPC(context.Context, stats.RPCStats) {}

func (guard) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (guard) HandleConn(context.Context, stats.ConnStats) {}
