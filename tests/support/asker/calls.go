package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const patience = 60 * time.Second

// --- HTTP/2

// streams speaks HTTP/2 on one connection, and opens the next one when that takes no more.
type streams struct {
	at     where
	method string
	body   string
	conn   *http2.ClientConn
}

func http2Caller(method, body string) func(where) caller {
	return func(at where) caller { return &streams{at: at, method: method, body: body} }
}

func (s *streams) close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.conn = nil
}

func (s *streams) once() (who said, err error) {
	if s.conn != nil && !s.conn.CanTakeNewRequest() {
		s.close()
	}
	if s.conn == nil {
		conn, err := net.DialTimeout("tcp", s.at.h2, 30*time.Second)
		if err != nil {
			return who, err
		}
		if s.conn, err = (&http2.Transport{AllowHTTP: true}).NewClientConn(conn); err != nil {
			return who, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, s.method, "http://"+s.at.name+"/", bytes.NewReader([]byte(s.body)))
	if err != nil {
		return who, err
	}
	answer, err := s.conn.RoundTrip(request) // which asks once
	if err == nil {
		who, err = read(answer, len(s.body))
	}
	if err != nil {
		s.close()
	}
	if err != nil && (strings.Contains(err.Error(), "graceful shutdown GOAWAY") || strings.Contains(err.Error(), "client conn not usable")) {
		err = errTold
	}
	return who, err
}

// --- gRPC

// remote is gRPC's own client. It is told to try nothing again; what its protocol calls not begun it may ask elsewhere.
type remote struct {
	grpc_health_v1.HealthClient
	conn *grpc.ClientConn
	err  error
}

func dial(at where) *remote {
	conn, err := grpc.NewClient("passthrough:///"+at.grpc, grpc.WithAuthority(at.name),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	return &remote{grpc_health_v1.NewHealthClient(conn), conn, err}
}

func grpcCaller(at where) caller { return dial(at) }

func (r *remote) close() {
	if r.err == nil {
		_ = r.conn.Close()
	}
}

func (r *remote) once() (who said, err error) {
	if r.err != nil {
		return who, r.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var head metadata.MD
	answer, err := r.Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.Header(&head))
	if err != nil {
		return who, errors.New(short(err))
	}
	if answer.Status != grpc_health_v1.HealthCheckResponse_SERVING || len(head["version"])*len(head["host"])*len(head["pid"]) == 0 {
		return who, fmt.Errorf("%v of %v", answer.Status, head)
	}
	who.Version, who.Host = head["version"][0], head["host"][0]
	who.Pid, err = strconv.Atoi(head["pid"][0])
	return who, err
}

func short(err error) string { return status.Code(err).String() + " " + status.Convert(err).Message() }

// watch is a call that lasts: it is to end with the words of the service.
func watch(at where, _ *counts, over <-chan struct{}, first func()) error {
	r := dial(at)
	if r.err != nil {
		return r.err
	}
	defer r.close()
	defer closedAt(over, r.conn)()
	watching, err := r.Watch(context.Background(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return errors.New(short(err))
	}
	answered := false
	for {
		if _, err = watching.Recv(); err != nil {
			break
		}
		answered = true
		first()
	}
	switch {
	case status.Code(err) == codes.Unavailable && status.Convert(err).Message() == "ask again":
		return errTold
	case answered:
		return errCut{errors.New(short(err))}
	default:
		return errors.New(short(err))
	}
}

// --- WebSocket

// socket asks by messages; its other side is to say by a close frame that it goes away.
type socket struct {
	at   where
	conn *websocket.Conn
}

func socketCaller(at where) caller { return &socket{at: at} }

func (s *socket) close() {
	if s.conn != nil {
		_ = s.conn.CloseNow()
	}
	s.conn = nil
}

func open(ctx context.Context, at where, query string) (*websocket.Conn, error) {
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // of which none is asked on twice
	conn, answer, err := websocket.Dial(ctx, "ws://"+at.address+"/socket"+query, &websocket.DialOptions{Host: at.name, HTTPClient: fresh})
	if err != nil && answer != nil {
		return nil, fmt.Errorf("status %d", answer.StatusCode)
	}
	return conn, err
}

func (s *socket) once() (who said, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if s.conn == nil {
		if s.conn, err = open(ctx, s.at, ""); err != nil {
			return who, err
		}
	}
	if err = s.conn.Write(ctx, websocket.MessageText, []byte("who")); err == nil {
		var text []byte
		if _, text, err = s.conn.Read(ctx); err == nil {
			_, err = fmt.Sscan(string(text), &who.Version, &who.Host, &who.Pid)
			return who, err
		}
	} else if _, _, why := s.conn.Read(ctx); why != nil { // what could not be written to has said why
		err = why
	}
	s.close()
	if websocket.CloseStatus(err) == websocket.StatusGoingAway {
		err = errTold
	}
	return who, err
}

// deaf is a WebSocket that the service does not end: it is cut.
func deaf(at where, _ *counts, over <-chan struct{}, first func()) error {
	conn, err := open(context.Background(), at, "?deaf")
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	defer closedAt(over, closer(conn.CloseNow))()
	for { // it is never silent for long: an edge ends such a one by itself
		if err = conn.Write(context.Background(), websocket.MessageText, []byte("who")); err == nil {
			_, _, err = conn.Read(context.Background())
		}
		if err != nil {
			return errCut{errors.Join(err, io.EOF)}
		}
		first()
		time.Sleep(100 * time.Millisecond)
	}
}

type closer func() error

func (c closer) Close() error { return c() }
