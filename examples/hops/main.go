// Command hops is a service of three: shop answers HTTP and calls stock by gRPC, which calls price by gRPC. Each call
// goes through an edge, which chooses stable or canary of the one that is called; the tags of the request go along.
//
//	hops -service shop -release v1 -http 10.0.0.4:8081 -next stock.lab -edge 10.0.9.1:50051
//	hops -service stock -release v1 -grpc 10.0.0.4:8082 -next price.lab -edge 10.0.9.1:50051
//	hops -service price -release v1 -grpc 10.0.0.4:8083
//
// What shop answers is the way that the request went: a hop for each service, with what it was told.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"gopub.dev/gray"
	"gopub.dev/gray/graygrpc"
)

// hop is one service on the way: who answered, with which tags, by which rule of its edge.
type hop struct {
	Service string `json:"service"`
	Release string `json:"release"`
	Tags    string `json:"tags"`
	Rule    string `json:"rule"`
}

type service struct {
	name, release string
	next          *grpc.ClientConn // nil: the last one
}

const method = "/gopub.examples.Hops/Way"

// way is this hop and those behind it. The context carries the tags; nothing here names them.
func (s *service) way(ctx context.Context, rule string) ([]hop, error) {
	hops := []hop{{s.name, s.release, gray.FromContext(ctx).String(), rule}}
	if s.next == nil {
		return hops, nil
	}
	answer := &wrapperspb.BytesValue{}
	if err := s.next.Invoke(ctx, method, &wrapperspb.BytesValue{}, answer); err != nil {
		return nil, err
	}
	var behind []hop
	if err := json.Unmarshal(answer.Value, &behind); err != nil {
		return nil, err
	}
	return append(hops, behind...), nil
}

// ServeHTTP is the first hop.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hops, err := s.way(r.Context(), r.Header.Get("X-Gray-Rule"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(hops)
}

// answer is every other one.
func (s *service) answer(ctx context.Context) (*wrapperspb.BytesValue, error) {
	var rule string
	if told := metadata.ValueFromIncomingContext(ctx, "x-gray-rule"); len(told) > 0 {
		rule = told[0]
	}
	hops, err := s.way(ctx, rule)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(hops)
	return wrapperspb.Bytes(text), err
}

// description is what protoc would write of: service Hops { rpc Way(BytesValue) returns (BytesValue); }.
var description = grpc.ServiceDesc{
	ServiceName: "gopub.examples.Hops",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Way",
		Handler: func(of any, ctx context.Context, decode func(any) error, around grpc.UnaryServerInterceptor) (any, error) {
			request := &wrapperspb.BytesValue{}
			if err := decode(request); err != nil {
				return nil, err
			}
			info := &grpc.UnaryServerInfo{Server: of, FullMethod: method}
			return around(ctx, request, info, func(ctx context.Context, _ any) (any, error) {
				return of.(*service).answer(ctx)
			})
		},
	}},
}

func main() {
	name := flag.String("service", "shop", "its name")
	release := flag.String("release", "dev", "which release of it this is")
	overHTTP := flag.String("http", "", "address to answer HTTP on")
	overGRPC := flag.String("grpc", "", "address to answer gRPC on")
	next := flag.String("next", "", "name of the service to call, as the edge knows it")
	edge := flag.String("edge", "", "address of the edge's port for gRPC")
	flag.Parse()
	here := &service{name: *name, release: *release}
	if *next != "" {
		host, _, err := net.SplitHostPort(*edge)
		if err != nil {
			log.Fatal(err)
		}
		plain := grpc.WithTransportCredentials(insecure.NewCredentials())
		// Tags leave for the edge alone.
		options := append([]grpc.DialOption{plain, grpc.WithAuthority(*next)}, graygrpc.DialOptions(host)...)
		if here.next, err = grpc.NewClient("passthrough:///"+*edge, options...); err != nil {
			log.Fatal(err)
		}
	}
	log.Fatal(here.serve(*overHTTP, *overGRPC))
}

func (s *service) serve(overHTTP, overGRPC string) error {
	if overHTTP != "" {
		return http.ListenAndServe(overHTTP, gray.Middleware(s))
	}
	if overGRPC == "" {
		return errors.New("one of -http and -grpc is needed")
	}
	listener, err := net.Listen("tcp", overGRPC)
	if err != nil {
		return err
	}
	server := grpc.NewServer(graygrpc.ServerOptions()...)
	server.RegisterService(&description, s)
	return server.Serve(listener)
}
