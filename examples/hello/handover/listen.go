//go:build linux

package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is a listener that stays open for whoever comes next, by the words with which it was asked for.
type socket struct {
	Network string `json:"network"`
	Address string `json:"address"`
	Systemd string `json:"systemd,omitempty"` // the name of the socket unit whose it is
	file    *os.File
	path    string      // of a socket in the file system
	place   os.FileInfo // what stood there
	asked   bool
}

// Listen gives the listener for these words: the predecessor's or systemd's, if there is one there, else a new one. Each
// call gives another handle on the same listener, and closing that one leaves the listener open until the service ends.
func (h *Handover) Listen(network, address string) (net.Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if one := h.find(network, address); one != nil {
		one.asked = true
		return handle(one.file)
	}
	if h.status.State == Stopping || h.status.State == Draining {
		return nil, errors.New("handover: no new listener in a process that ends")
	}
	fresh, err := listen(network, address)
	if err != nil {
		return nil, err
	}
	defer fresh.Close() // the handle that is kept is another one
	one, err := keep(network, address, fresh)
	if err != nil {
		return nil, err
	}
	h.held = append(h.held, one)
	return handle(one.file)
}

// find goes by the words first: a port that the kernel chose is known by them alone. Then by what is bound: another
// release may write the same address in another way.
func (h *Handover) find(network, address string) *socket {
	for _, one := range h.held {
		if one.Network == network && one.Address == address {
			return one
		}
	}
	for _, one := range h.held {
		listener, err := net.FileListener(one.file)
		if err != nil {
			continue
		}
		bound := listener.Addr()
		_ = shut(listener)
		if covers(bound, network, address) {
			return one
		}
	}
	return nil
}

// handle is one more on the same listener. The name of a socket in the file system is not its to remove.
func handle(file *os.File) (net.Listener, error) {
	listener, err := net.FileListener(file)
	if listener, is := listener.(*net.UnixListener); is {
		listener.SetUnlinkOnClose(false)
	}
	return listener, err
}

// listen is net.Listen, past a socket in the file system that a dead process left.
func listen(network, address string) (net.Listener, error) {
	listener, err := net.Listen(network, address)
	if network == "unix" && errors.Is(err, syscall.EADDRINUSE) && address[0] != '@' {
		if conn, called := net.Dial(network, address); called == nil {
			_ = conn.Close()
			return nil, err
		} else if !errors.Is(called, syscall.ECONNREFUSED) {
			return nil, err
		}
		_ = os.Remove(address)
		listener, err = net.Listen(network, address)
	}
	if listener, is := listener.(*net.UnixListener); is {
		listener.SetUnlinkOnClose(false)
	}
	return listener, err
}

func keep(network, address string, listener net.Listener) (*socket, error) {
	able, is := listener.(syscall.Conn)
	if !is {
		return nil, fmt.Errorf("handover: a listener of %q cannot be handed over", network)
	}
	raw, err := able.SyscallConn()
	if err != nil {
		return nil, err
	}
	// Not by File(): what that gives turns blocking on its way into a process, for this one's listener, too.
	number, failed := -1, error(nil)
	err = raw.Control(func(fd uintptr) { number, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	one := &socket{Network: network, Address: address, file: os.NewFile(uintptr(number), address), asked: true}
	one.locate()
	return one, nil
}

func (s *socket) locate() {
	if s.Network == "unix" && s.Address != "" && s.Address[0] != '@' {
		s.path = s.Address
		s.place, _ = os.Lstat(s.path)
	}
}

// release closes all, so that nobody waits in a queue that nobody empties. Names in the file system go only with the
// service, and only if they still are its own.
func (h *Handover) release(names bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.held {
		_ = one.file.Close()
		if now, err := os.Lstat(one.path); names && one.Systemd == "" && one.place != nil && err == nil && os.SameFile(now, one.place) {
			_ = os.Remove(one.path)
		}
	}
	h.held = nil
}

// forget closes what the predecessor had and this release does not ask for: nobody would answer there.
func (h *Handover) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	var asked []*socket
	for _, one := range h.held {
		if one.asked {
			asked = append(asked, one)
			continue
		}
		_ = one.file.Close()
	}
	h.held = asked
}
