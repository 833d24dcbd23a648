// Asker is a client of HTTP that never tries again: it counts what was lost while a service was switched. It ends when
// its standard input does, and says as JSON what it saw.
//
// net/http would hide losses, since it asks a second time on a connection of its own; so this speaks on bare ones. That
// a kept connection was closed while nobody asked on it is no loss: whoever sees it opens another one.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

type counts struct {
	mu       sync.Mutex
	Asked    int            `json:"asked"`
	Answered int            `json:"answered"`
	Lost     map[string]int `json:"lost"` // by kind of request and of loss
	By       map[string]int `json:"by"`   // answers by version
	Reopened int            `json:"reopened"`
	Streams  int            `json:"streams"` // that came to an end of their own
}

func (c *counts) count(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// kind is how one worker asks.
type kind struct {
	name    string
	kept    bool
	body    string
	pausing time.Duration // in the middle of the body
}

var kinds = []kind{
	{"fresh GET", false, "", 0},
	{"fresh POST", false, "0123456789", 0},
	{"kept GET", true, "", 0},
	{"kept POST", true, "0123456789", 0},
	{"slow POST", true, "0123456789", 200 * time.Millisecond},
}

func main() {
	address := flag.String("address", "", "host:port")
	rate := flag.Float64("rate", 500, "requests a second, all workers together")
	each := flag.Int("each", 4, "workers of each kind")
	flag.Parse()
	seen := &counts{Lost: map[string]int{}, By: map[string]int{}}
	over := make(chan struct{})
	var all, begun sync.WaitGroup
	pause := time.Duration(float64(*each*len(kinds)) / *rate * float64(time.Second))
	for _, one := range kinds {
		for range *each {
			begun.Add(1)
			all.Go(func() { work(*address, one, pause, seen, over, begun.Done) })
		}
	}
	for range *each {
		begun.Add(1)
		all.Go(func() { follow(*address, seen, over, begun.Done) })
	}
	begun.Wait() // each of them was answered
	fmt.Println("begun")
	_, _ = io.Copy(io.Discard, os.Stdin)
	close(over)
	all.Wait()
	_ = json.NewEncoder(os.Stdout).Encode(seen)
}

func work(address string, one kind, pause time.Duration, seen *counts, over chan struct{}, begun func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	var conn net.Conn
	first := sync.OnceFunc(begun)
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		if conn != nil && isClosed(conn) {
			_ = conn.Close()
			conn = nil
			seen.count(func() { seen.Reopened++ })
		}
		version, next, err := ask(address, one, conn)
		conn = next
		seen.count(func() {
			seen.Asked++
			if err != nil {
				seen.Lost[one.name+": "+class(err)]++
				return
			}
			seen.Answered++
			seen.By[version]++
		})
		if err == nil {
			first()
		}
	}
}

// follow reads streams, one after the other: each is to say that it ends.
func follow(address string, seen *counts, over chan struct{}, begun func()) {
	first := sync.OnceFunc(begun)
	for {
		err := stream(address, over, first)
		select {
		case <-over:
			return
		default:
		}
		seen.count(func() {
			if err != nil {
				seen.Lost["stream: "+class(err)]++
				return
			}
			seen.Streams++
		})
		if err != nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func stream(address string, over chan struct{}, first func()) error {
	conn, err := net.DialTimeout("tcp", address, 30*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-over:
			_ = conn.Close()
		case <-ended:
		}
	}()
	if _, err := io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines, last := bufio.NewScanner(answer.Body), false
	for lines.Scan() {
		first()
		last = last || lines.Text() == "event: end"
	}
	if err := lines.Err(); err != nil || !last {
		return errors.Join(err, errors.New("it did not say that it ends"))
	}
	return nil
}

// ask is one request, and the connection to go on with.
func ask(address string, one kind, conn net.Conn) (version string, next net.Conn, err error) {
	if conn == nil {
		if conn, err = net.DialTimeout("tcp", address, 30*time.Second); err != nil {
			return "", nil, err
		}
	}
	keep := false
	defer func() {
		if !keep {
			_ = conn.Close()
		}
	}()
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	if err := send(conn, one); err != nil {
		return "", nil, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "", nil, err
	}
	defer answer.Body.Close()
	var said struct {
		Version  string
		Received int
	}
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil || answer.StatusCode != http.StatusOK || said.Received != len(one.body) {
		return "", nil, fmt.Errorf("status %d", answer.StatusCode)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	if keep = one.kept && !answer.Close; keep {
		next = conn
	}
	return said.Version, next, nil
}

func send(conn net.Conn, one kind) error {
	method, way := "GET", "keep-alive"
	if one.body != "" {
		method = "POST"
	}
	if !one.kept {
		way = "close"
	}
	head := fmt.Sprintf("%s / HTTP/1.1\r\nHost: x\r\nConnection: %s\r\nContent-Length: %d\r\n\r\n", method, way, len(one.body))
	half := len(one.body) / 2
	if _, err := io.WriteString(conn, head+one.body[:half]); err != nil || half == 0 {
		return err
	}
	time.Sleep(one.pausing)
	_, err := io.WriteString(conn, one.body[half:])
	return err
}

// isClosed looks without waiting whether the other side has closed.
func isClosed(conn net.Conn) bool {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	closed := false
	_ = raw.Read(func(fd uintptr) bool {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		closed = n == 0 && err == nil || err != nil && !errors.Is(err, syscall.EAGAIN)
		return true
	})
	return closed
}

func class(err error) string {
	for text, of := range map[string]error{"refused": syscall.ECONNREFUSED, "reset": syscall.ECONNRESET, "pipe": syscall.EPIPE,
		"no answer": io.EOF, "half an answer": io.ErrUnexpectedEOF, "timeout": os.ErrDeadlineExceeded} {
		if errors.Is(err, of) {
			return text
		}
	}
	return strings.SplitN(err.Error(), "\n", 2)[0]
}
