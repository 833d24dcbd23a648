//go:build linux

package handover

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// activated takes the listeners of systemd's socket units (sd_listen_fds), and leaves nothing of them for processes that
// this one starts. Files that are no listeners are not touched: they may be what systemd's store kept.
func (h *Handover) activated() error {
	pid, count := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name)
	}
	number, err := strconv.Atoi(count)
	if err != nil || number < 0 {
		return fmt.Errorf("handover: LISTEN_FDS=%q is no number of files", count)
	}
	for at := range number {
		fd := 3 + at
		unix.CloseOnExec(fd)
		if yes, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || yes != 1 {
			continue
		}
		if err := unix.SetNonblock(fd, true); err != nil {
			return fmt.Errorf("handover: %w", err)
		}
		one := &socket{Systemd: "a socket unit"}
		if at < len(names) && names[at] != "" {
			one.Systemd = names[at]
		}
		one.file = os.NewFile(uintptr(fd), one.Systemd)
		listener, err := net.FileListener(one.file)
		if err != nil {
			return fmt.Errorf("handover: file %d: %w", fd, err)
		}
		one.Network, one.Address = listener.Addr().Network(), listener.Addr().String()
		h.held = append(h.held, one)
		_ = shut(listener)
	}
	return nil
}

// shut closes a handle, and leaves a socket's name in the file system where it is.
func shut(listener net.Listener) error {
	if listener, is := listener.(*net.UnixListener); is {
		listener.SetUnlinkOnClose(false)
	}
	return listener.Close()
}

// answers refuses where systemd lets clients wait in a queue that nobody would ever empty.
func (h *Handover) answers() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range h.held {
		if one.Systemd != "" && !one.asked {
			return fmt.Errorf("handover: systemd listens on %s %s (%s), and this program does not ask for it", one.Network, one.Address, one.Systemd)
		}
	}
	return nil
}

// covers tells whether a bound address is the one that is asked for, however it is written. A socket of all addresses is
// not one of a single address: who asks for less must not be given more.
func covers(bound net.Addr, network, address string) bool {
	switch bound := bound.(type) {
	case *net.UnixAddr:
		return network == bound.Net && address == bound.Name
	case *net.TCPAddr:
		if !strings.HasPrefix(network, "tcp") {
			return false
		}
		asked, err := net.ResolveTCPAddr(network, address)
		if err != nil || asked.Port != bound.Port || asked.Port == 0 {
			return false
		}
		all := asked.IP == nil || asked.IP.IsUnspecified()
		return bound.IP.IsUnspecified() && all || bound.IP.Equal(asked.IP)
	}
	return false
}
