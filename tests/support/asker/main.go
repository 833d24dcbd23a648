// Asker is a client that never tries again: it counts what was lost while a service was switched. For each line of
// its standard input, and when that ends, it says as JSON what it saw.
//
// net/http would hide losses, since it asks a second time on a connection of its own; so this speaks on bare ones. That
// a kept connection was closed while nobody asked on it is no loss: whoever sees it opens another one. Nor is a call of
// HTTP/2 that the server said it has not begun (GOAWAY): it was told so, which is counted apart.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// where is what is asked.
type where struct {
	address string // of HTTP/1.1
	h2      string // of HTTP/2 without TLS
	grpc    string
	name    string // the host that requests name
}

// caller asks one request at a time, on connections of its own.
type caller interface {
	once() (said, error)
	close()
}

// said is who answered.
type said struct {
	Version  string
	Host     string
	Pid      int
	Received int
}

// errTold is an end that the other side announced: nothing of what was asked was begun, or it ended as it said.
var errTold = errors.New("told")

// slow has a pace of its own: it takes long.
const slow = "slow POST"

// callers are the kinds of requests that follow the schedule; lasting those that go on as long as they are let.
var (
	callers = map[string]func(where) caller{
		"fresh GET":  http1("GET", "", false, 0),
		"fresh POST": http1("POST", "0123456789", false, 0),
		"kept GET":   http1("GET", "", true, 0),
		"kept POST":  http1("POST", "0123456789", true, 0),
		slow:         http1("POST", "0123456789", true, 200*time.Millisecond),
		"h2 GET":     http2Caller("GET", ""),
		"h2 POST":    http2Caller("POST", "0123456789"),
		"gRPC":       grpcCaller,
		"WebSocket":  socketCaller,
	}
	lasting = map[string]func(where, *counts, <-chan struct{}, func()) error{
		"stream":         stream,
		"endless stream": endless,
		"gRPC stream":    watch,
		"deaf WebSocket": deaf,
	}
)

func main() {
	var at where
	flag.StringVar(&at.address, "address", "", "host:port")
	flag.StringVar(&at.h2, "h2", "", "host:port of HTTP/2, where it is another one")
	flag.StringVar(&at.grpc, "grpc", "", "host:port of gRPC, where it is another one")
	flag.StringVar(&at.name, "name", "x", "the host that requests name")
	rate := flag.Float64("rate", 500, "requests a second, all workers together")
	each := flag.Int("each", 4, "workers of each kind")
	chosen := flag.String("kinds", "fresh GET,fresh POST,kept GET,kept POST,slow POST,stream", "what to ask")
	flag.Parse()
	for _, other := range []*string{&at.h2, &at.grpc} {
		if *other == "" {
			*other = at.address
		}
	}
	seen, over := newCounts(), make(chan struct{})
	var all, begun sync.WaitGroup
	kinds := strings.Split(*chosen, ",")
	paced := slices.DeleteFunc(slices.Clone(kinds), func(kind string) bool { return callers[kind] == nil || kind == slow })
	pause := time.Duration(float64(*each*len(paced)) / *rate * float64(time.Second))
	for _, kind := range kinds {
		for number := range *each {
			begun.Add(1)
			first := sync.OnceFunc(begun.Done)
			if made := callers[kind]; made != nil {
				if kind == slow {
					all.Go(func() { work(kind, made(at), 0, 250*time.Millisecond, seen, over, first) })
					continue
				}
				late := pause * time.Duration(slices.Index(paced, kind)**each+number) / time.Duration(*each*len(paced))
				all.Go(func() { work(kind, made(at), late, pause, seen, over, first) })
			} else if follow := lasting[kind]; follow != nil {
				all.Go(func() { last(kind, at, follow, seen, over, first) })
			} else {
				fmt.Fprintln(os.Stderr, "no such kind:", kind)
				os.Exit(2)
			}
		}
	}
	anyway := time.AfterFunc(2*time.Minute, func() {
		seen.tell()
		os.Exit(1)
	})
	begun.Wait() // each of them was answered
	anyway.Stop()
	seen.begin()
	fmt.Println("begun")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		seen.tell()
	}
	seen.end()
	close(over)
	all.Wait()
	seen.tell()
}

// work asks on time: who is late asks at once until it has caught up, a second's worth at most.
func work(kind string, caller caller, late, pause time.Duration, seen *counts, over <-chan struct{}, first func()) {
	defer caller.close()
	next := time.Now().Add(late)
	for {
		select {
		case <-over:
			return
		case <-time.After(time.Until(next)):
		}
		who, err := caller.once()
		seen.take(kind, who, err)
		if err == nil {
			first()
		}
		if next = next.Add(pause); time.Since(next) > time.Second {
			next = time.Now()
		}
	}
}

// last follows what lasts, one after the other: each is to say that it ends, or counts as cut.
func last(kind string, at where, follow func(where, *counts, <-chan struct{}, func()) error, seen *counts, over <-chan struct{}, first func()) {
	for {
		err := follow(at, seen, over, first)
		select {
		case <-over:
			return
		default:
		}
		seen.ended(kind, err)
		if !errors.Is(err, errTold) {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func class(err error) string {
	for text, of := range map[string]error{"refused": syscall.ECONNREFUSED, "reset": syscall.ECONNRESET, "pipe": syscall.EPIPE,
		"no answer": io.EOF, "half an answer": io.ErrUnexpectedEOF, "timeout": os.ErrDeadlineExceeded} {
		if errors.Is(err, of) {
			return text
		}
	}
	if strings.HasSuffix(err.Error(), `connection refused"`) { // gRPC's words
		return "refused"
	}
	return strings.SplitN(err.Error(), "\n", 2)[0]
}
