// Served is a service to be switched while it is asked: by HTTP/1.1, HTTP/2, WebSockets and gRPC, all on one port. Each
// answer names the version and the process; what lasts ends when a drain begins and says so, or ("endless", "deaf") does not.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"gopub.dev/drain"
	"gopub.dev/handover"
)

var (
	version = "dev"
	host, _ = os.Hostname()
)

func main() {
	listen := flag.String("listen", "", "host:port")
	rude := flag.Bool("rude", false, "end at once when told to, without a drain")
	var options drain.Options
	flag.DurationVar(&options.Linger, "linger", 0, "as drain has it")
	flag.DurationVar(&options.Timeout, "timeout", 0, "as drain has it")
	flag.Parse()
	handed, err := handover.New(handover.Options{})
	if err == nil {
		err = run(handed, *listen, *rude, options)
	}
	if handed.Refuse(err); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(handed *handover.Handover, address string, rude bool, options drain.Options) error {
	ctx, stop := context.WithCancel(context.Background())
	if !rude {
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGTERM)
	}
	defer stop()
	return handed.Run(ctx, func(ctx context.Context, ready func() error) error {
		listener, err := handed.Listen("tcp", address)
		if err != nil {
			return err
		}
		if err := ready(); err != nil {
			return err
		}
		say(map[string]any{"listens": listener.Addr().String()})
		var began time.Time
		context.AfterFunc(ctx, func() { began = time.Now() })
		var spoken http.Protocols
		spoken.SetHTTP1(true)
		spoken.SetUnencryptedHTTP2(true)
		server := &http.Server{Protocols: &spoken, Handler: routes(handed), ReadHeaderTimeout: time.Minute}
		err = drain.Serve(ctx, server, listener, options)
		cut := &drain.Cut{}
		if !errors.As(err, &cut) && !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		say(map[string]any{"requests": cut.Requests, "taken": cut.Taken, "drained": time.Since(began).Seconds()})
		return nil
	})
}

// say is a line for who counts: also of what was cut.
func say(line map[string]any) {
	line["version"], line["pid"] = version, os.Getpid()
	_ = json.NewEncoder(os.Stdout).Encode(line)
}

func routes(handed *handover.Handover) http.Handler {
	called := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(called, health{})
	routes := http.NewServeMux()
	routes.HandleFunc("/{$}", who)
	routes.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, version) })
	routes.Handle("/-/handover", handed)
	routes.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) { events(w, r, drain.Begun(r.Context())) })
	routes.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) { events(w, r, nil) })
	routes.HandleFunc("/socket", talk)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			called.ServeHTTP(w, r)
			return
		}
		routes.ServeHTTP(w, r)
	})
}

func who(w http.ResponseWriter, r *http.Request) {
	length, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"version": version, "host": host, "pid": os.Getpid(), "received": length})
}

func events(w http.ResponseWriter, r *http.Request, end <-chan struct{}) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		fmt.Fprintf(w, "data: %s %d\n\n", version, os.Getpid())
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-end:
			fmt.Fprint(w, "event: end\n\n")
			return
		}
	}
}

// talk answers each message, and says that it goes away.
func talk(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, _, err := conn.Read(context.Background()); err != nil {
				return
			}
			if conn.Write(context.Background(), websocket.MessageText, fmt.Append(nil, version, " ", host, " ", os.Getpid())) != nil {
				return
			}
		}
	}()
	end := drain.Begun(r.Context())
	if r.URL.RawQuery == "deaf" {
		end = nil
	}
	select {
	case <-ended:
	case <-end:
		_ = conn.Close(websocket.StatusGoingAway, "ask again")
	}
}

// health is gRPC's own service of that name.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
}

func serving() *grpc_health_v1.HealthCheckResponse {
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}
}

func (health) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return serving(), grpc.SetHeader(ctx, metadata.Pairs("version", version, "host", host, "pid", strconv.Itoa(os.Getpid())))
}

// Watch lasts until the drain begins.
func (health) Watch(_ *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	for {
		if err := stream.Send(serving()); err != nil {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-drain.Begun(stream.Context()):
			return status.Error(codes.Unavailable, "ask again")
		}
	}
}
