// Command grpcpair is both sides of gRPC's own interop service, for tests of an edge between them.
//
//	grpcpair serve ADDRESS HOST     answers, and writes a line of JSON for each call that began
//	grpcpair call ADDRESS NAME      calls by what standard input says, a line of JSON for each answer
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
)

var out = struct {
	sync.Mutex
	*json.Encoder
}{Encoder: json.NewEncoder(os.Stdout)}

func say(line any) {
	out.Lock()
	defer out.Unlock()
	_ = out.Encode(line)
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "grpcpair serve ADDRESS HOST | grpcpair call ADDRESS NAME")
		os.Exit(2)
	}
	act := map[string]func(string, string) error{"serve": serve, "call": call}[os.Args[1]]
	if err := act(os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// --- serving

// began tells what the host was told, before the call is answered; the host names itself in the header.
func began(ctx context.Context, host, method string) error {
	in, _ := metadata.FromIncomingContext(ctx)
	say(map[string]any{"host": host, "method": method, "told": in})
	return grpc.SetHeader(ctx, metadata.Pairs("host-that-answers", host))
}

func serve(address, host string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer(
		grpc.UnaryInterceptor(func(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := began(ctx, host, info.FullMethod); err != nil {
				return nil, err
			}
			return next(ctx, request)
		}),
		grpc.StreamInterceptor(func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := began(stream.Context(), host, info.FullMethod); err != nil {
				return err
			}
			return next(service, stream)
		}),
	)
	pb.RegisterTestServiceServer(server, interop.NewTestServer())
	reflection.Register(server)
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	go func() {
		<-asked
		server.GracefulStop()
	}()
	say(map[string]any{"host": host, "listens": listener.Addr().String()})
	return server.Serve(listener)
}

// --- calling

// order is a line of standard input. With a stream's name and a size it sends a message and waits for one of that size;
// with end it ends that stream; without a name it is a unary call, asking for a status where one is given.
type order struct {
	Stream string            `json:"stream"`
	End    bool              `json:"end"`
	Header map[string]string `json:"header"`
	Size   int32             `json:"size"`
	Status int32             `json:"status"`
	Fresh  bool              `json:"fresh"`
	Within float64           `json:"within"` // seconds; 0: for ever
}

// told is a line of standard output.
type told struct {
	Code    int         `json:"code"`
	Message string      `json:"message"`
	Size    int         `json:"size"`
	Header  metadata.MD `json:"header"` // and the trailers: without a message they are all that there is
}

type caller struct {
	dial    func() (*grpc.ClientConn, error)
	kept    *grpc.ClientConn
	streams map[string]pb.TestService_FullDuplexCallClient
}

func call(address, name string) error {
	c := &caller{streams: map[string]pb.TestService_FullDuplexCallClient{}, dial: func() (*grpc.ClientConn, error) {
		return grpc.NewClient("passthrough:///"+address, grpc.WithAuthority(name),
			grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	}}
	var err error
	if c.kept, err = c.dial(); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var next order
		if err := json.Unmarshal(lines.Bytes(), &next); err != nil {
			return err
		}
		if next.Stream == "" {
			say(c.unary(next))
		} else {
			say(c.stream(next))
		}
	}
	return lines.Err()
}

func with(header map[string]string) context.Context {
	return metadata.NewOutgoingContext(context.Background(), metadata.New(header))
}

func verdict(err error, size int, headers ...metadata.MD) told {
	found := status.Convert(err)
	return told{int(found.Code()), found.Message(), size, metadata.Join(headers...)}
}

func (c *caller) unary(next order) told {
	connection := c.kept
	if next.Fresh {
		fresh, err := c.dial()
		if err != nil {
			return verdict(err, 0)
		}
		defer fresh.Close()
		connection = fresh
	}
	request := &pb.SimpleRequest{ResponseSize: next.Size, Payload: &pb.Payload{Body: make([]byte, next.Size)}}
	if next.Status != 0 {
		request.ResponseStatus = &pb.EchoStatus{Code: next.Status, Message: "as asked"}
	}
	ctx := with(next.Header)
	if next.Within > 0 {
		limited, done := context.WithTimeout(ctx, time.Duration(next.Within*float64(time.Second)))
		defer done()
		ctx = limited
	}
	var header, trailer metadata.MD
	service := pb.NewTestServiceClient(connection)
	answer, err := service.UnaryCall(ctx, request, grpc.Header(&header), grpc.Trailer(&trailer))
	return verdict(err, len(answer.GetPayload().GetBody()), header, trailer)
}

func (c *caller) stream(next order) told {
	stream := c.streams[next.Stream]
	if stream == nil {
		opened, err := pb.NewTestServiceClient(c.kept).FullDuplexCall(with(next.Header))
		if err != nil {
			return verdict(err, 0)
		}
		stream, c.streams[next.Stream] = opened, opened
	}
	if next.End {
		delete(c.streams, next.Stream)
		_ = stream.CloseSend()
	} else {
		request := &pb.StreamingOutputCallRequest{ResponseParameters: []*pb.ResponseParameters{{Size: next.Size}}}
		if next.Status != 0 {
			request.ResponseStatus = &pb.EchoStatus{Code: next.Status, Message: "as asked"}
		}
		_ = stream.Send(request) // what is wrong is told by what is received
	}
	answer, err := stream.Recv()
	header, _ := stream.Header()
	if err != nil && err.Error() == "EOF" {
		err = nil
	}
	return verdict(err, len(answer.GetPayload().GetBody()), header, stream.Trailer())
}
