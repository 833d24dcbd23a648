package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// plain speaks HTTP/1.1 on bare connections.
type plain struct {
	at      where
	method  string
	body    string
	kept    bool
	pausing time.Duration // in the middle of the body
	conn    net.Conn
}

func http1(method, body string, kept bool, pausing time.Duration) func(where) caller {
	return func(at where) caller {
		return &plain{at: at, method: method, body: body, kept: kept, pausing: pausing}
	}
}

func (p *plain) close() {
	if p.conn != nil {
		_ = p.conn.Close()
	}
	p.conn = nil
}

func (p *plain) once() (who said, err error) {
	if p.conn != nil && isClosed(p.conn) {
		p.close()
	}
	if p.conn == nil {
		if p.conn, err = net.DialTimeout("tcp", p.at.address, 30*time.Second); err != nil {
			return who, err
		}
	}
	keep := false
	defer func() {
		if !keep {
			p.close()
		}
	}()
	_ = p.conn.SetDeadline(time.Now().Add(60 * time.Second))
	if err := p.send(); err != nil {
		return who, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(p.conn), nil)
	if err != nil {
		return who, err
	}
	who, err = read(answer, len(p.body))
	keep = err == nil && p.kept && !answer.Close
	return who, err
}

// read is the answer to a request with so long a body.
func read(answer *http.Response, length int) (who said, err error) {
	defer answer.Body.Close()
	err = json.NewDecoder(answer.Body).Decode(&who)
	if answer.StatusCode != http.StatusOK {
		return who, fmt.Errorf("status %d", answer.StatusCode)
	}
	if err == nil && who.Received != length {
		err = errors.New("the body did not come")
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	return who, err
}

func (p *plain) send() error {
	way := "keep-alive"
	if !p.kept {
		way = "close"
	}
	head := fmt.Sprintf("%s / HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\nContent-Length: %d\r\n\r\n",
		p.method, p.at.name, way, len(p.body))
	half := len(p.body) / 2
	if _, err := io.WriteString(p.conn, head+p.body[:half]); err != nil || half == 0 {
		return err
	}
	time.Sleep(p.pausing)
	_, err := io.WriteString(p.conn, p.body[half:])
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

// stream is to say that it ends.
func stream(at where, _ *counts, over <-chan struct{}, first func()) error {
	return follow(at, "/events", over, first)
}

// endless never ends of its own: it is cut.
func endless(at where, _ *counts, over <-chan struct{}, first func()) error {
	if err := follow(at, "/endless", over, first); err != nil {
		return err
	}
	return errors.New("it ended")
}

func follow(at where, path string, over <-chan struct{}, first func()) error {
	conn, err := net.DialTimeout("tcp", at.address, 30*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer closedAt(over, conn)()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, at.name); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	lines, last := bufio.NewScanner(answer.Body), false
	for lines.Scan() {
		first()
		last = last || lines.Text() == "event: end"
	}
	if err := lines.Err(); err != nil || !last {
		return errCut{errors.Join(err, errors.New("it did not say that it ends"))}
	}
	return errTold
}

// closedAt closes a connection when all is over; what it gives ends the wait for that.
func closedAt(over <-chan struct{}, conn io.Closer) func() {
	ended := make(chan struct{})
	go func() {
		select {
		case <-over:
			_ = conn.Close()
		case <-ended:
		}
	}()
	return func() { close(ended) }
}
