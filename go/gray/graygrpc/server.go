package graygrpc

import (
	"context"

	"google.golang.org/grpc"
)

// ServerOptions are both interceptors of a server, chained to what it has.
//
// Believe the tags only behind an edge: gopub's edges take x-gray-tag off what comes from addresses that they do not trust.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(UnaryServerInterceptor()),
		grpc.ChainStreamInterceptor(StreamServerInterceptor()),
	}
}

// UnaryServerInterceptor puts the tags of each call into its context.
func UnaryServerInterceptor() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		return next(Incoming(ctx), request)
	}
}

// StreamServerInterceptor puts the tags of each stream, as they were at its begin, into its context.
func StreamServerInterceptor() grpc.StreamServerInterceptor {
	return func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		return next(server, &tagged{stream, Incoming(stream.Context())})
	}
}

// tagged is a stream with another context.
type tagged struct {
	grpc.ServerStream
	ctx context.Context
}

func (t *tagged) Context() context.Context { return t.ctx }
