//go:build linux

package handover

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// activate starts release a as systemd does for a socket unit, which listens on the addresses.
func activate(h *house, networks ...string) {
	h.Helper()
	var files []*os.File
	for _, network := range networks {
		listener, err := net.Listen(strings.Replace(network, "other", "tcp", 1), map[string]string{"tcp": "127.0.0.1:0", "other": "127.0.0.1:0", "unix": h.unix}[network])
		h.do(err)
		switch network {
		case "tcp":
			h.tcp = strings.Replace(listener.Addr().String(), "127.0.0.1", "localhost", 1) // the same, in other words
		case "unix":
			listener.(*net.UnixListener).SetUnlinkOnClose(false)
		}
		file, err := listener.(interface{ File() (*os.File, error) }).File()
		h.do(err)
		_ = listener.Close()
		h.Cleanup(func() { _ = file.Close() })
		files = append(files, file)
	}
	h.process = h.start(files, "LISTEN_FDS="+string(rune('0'+len(files))), "LISTEN_FDNAMES="+strings.Join(networks, ":"))
}

func TestSystemdsListenersAreTakenByTheSameCallAndHandedOver(t *testing.T) {
	h := lay(t)
	activate(h, "tcp", "unix")
	h.serves(h.process)
	for _, release := range []string{"b", "c"} {
		before := h.main()
		h.stage(release)
		h.turn(release)
		h.upgrade(before)
		h.until("another one", func() bool { return h.main() != before })
		if got, _ := h.settles(); got != release {
			t.Fatal(got)
		}
	}
	h.do(syscall.Kill(h.main(), syscall.SIGTERM))
	h.until("none", func() bool { return len(h.alive()) == 0 })
	if _, err := os.Lstat(h.unix); err != nil {
		t.Fatal("systemd's socket lost its name:", err)
	}
}

func TestAListenerOfSystemdThatNobodyAsksForIsAnError(t *testing.T) {
	h := lay(t)
	activate(h, "other", "unix")
	if err := h.process.Wait(); err == nil {
		t.Fatal("it served")
	}
	text, err := os.ReadFile(filepath.Join(h.folder, "stderr"))
	if err != nil || !strings.Contains(string(text), "does not ask for it") {
		t.Fatal(string(text), err)
	}
}

func TestAnotherAddressIsNotTheSame(t *testing.T) {
	tcp := func(text string) net.Addr {
		address, err := net.ResolveTCPAddr("tcp", text)
		if err != nil {
			t.Fatal(err)
		}
		return address
	}
	for _, one := range []struct {
		bound            net.Addr
		network, address string
		want             bool
	}{
		{tcp("[::]:80"), "tcp", ":80", true},
		{tcp("[::]:80"), "tcp", "0.0.0.0:80", true},
		{tcp("0.0.0.0:80"), "tcp", "[::]:80", true},
		{tcp("127.0.0.1:80"), "tcp", "localhost:80", true},
		{tcp("127.0.0.1:80"), "tcp4", "127.0.0.1:80", true},
		{tcp("[::]:80"), "tcp", "127.0.0.1:80", false}, // it would be open to all
		{tcp("127.0.0.1:80"), "tcp", ":80", false},     // and this one closed to most
		{tcp("127.0.0.1:80"), "tcp", "127.0.0.1:81", false},
		{tcp("127.0.0.1:80"), "tcp", "127.0.0.1:0", false},
		{tcp("127.0.0.1:80"), "unix", "127.0.0.1:80", false},
		{tcp("127.0.0.1:80"), "tcp", "nonsense", false},
		{&net.UnixAddr{Name: "/run/x", Net: "unix"}, "unix", "/run/x", true},
		{&net.UnixAddr{Name: "/run/x", Net: "unix"}, "unix", "/run/y", false},
	} {
		if got := covers(one.bound, one.network, one.address); got != one.want {
			t.Error(one, got)
		}
	}
}
