//go:build linux

package sdnotify

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listen is systemd's side.
func listen(t *testing.T, address string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// heard is one message and what came with it.
func heard(t *testing.T, conn *net.UnixConn) (string, []int) {
	t.Helper()
	text, rights := make([]byte, 65536), make([]byte, 4096)
	n, rightsLength, _, _, err := conn.ReadMsgUnix(text, rights)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rightsLength])
	if err != nil {
		t.Fatal(err)
	}
	var files []int
	for _, one := range messages {
		fds, err := unix.ParseUnixRights(&one)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, fds...)
	}
	return string(text[:n]), files
}

func TestBothKindsOfSocketsHearWhatIsSaid(t *testing.T) {
	for _, address := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@gopub-test-%d", os.Getpid())} {
		systemd := listen(t, address)
		t.Setenv(SocketVariable, address)
		n := New()
		for _, one := range []struct {
			say  func() error
			want string
		}{
			{n.Ready, "READY=1\n"},
			{n.Stopping, "STOPPING=1\n"},
			{n.Watchdog, "WATCHDOG=1\n"},
			{func() error { return n.MainPID(42) }, "MAINPID=42\n"},
			{func() error { return n.Successor(42) }, "MAINPID=42\nREADY=1\n"},
			{func() error { return n.Status("1 of\n2\x00READY=1") }, "STATUS=1 of 2 READY=1\n"},
			{func() error { return n.ExtendTimeout(2 * time.Second) }, "EXTEND_TIMEOUT_USEC=2000000\n"},
			{func() error { return n.Forget("state") }, "FDSTOREREMOVE=1\nFDNAME=state\n"},
		} {
			if err := one.say(); err != nil {
				t.Fatal(err)
			}
			if text, _ := heard(t, systemd); text != one.want {
				t.Errorf("%s: %q, not %q", address, text, one.want)
			}
		}
	}
}

func TestAReloadCarriesTheMonotonicTime(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	systemd := listen(t, address)
	clock := func() int64 {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			t.Fatal(err)
		}
		return now.Nano() / 1000
	}
	before := clock()
	if err := At(address).Reloading(); err != nil {
		t.Fatal(err)
	}
	after := clock()
	text, _ := heard(t, systemd)
	first, rest, _ := strings.Cut(strings.TrimSpace(text), "\n")
	said, err := strconv.ParseInt(strings.TrimPrefix(rest, "MONOTONIC_USEC="), 10, 64)
	if first != "RELOADING=1" || err != nil || said < before || said > after {
		t.Fatalf("%q between %d and %d", text, before, after)
	}
}

func TestWithoutASocketNobodyIsToldAndThatIsSaid(t *testing.T) {
	t.Setenv(SocketVariable, "")
	n := New()
	if n.IsHeard() {
		t.Fatal("somebody listens")
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	for _, err := range []error{
		n.Ready(), n.Reloading(), n.Status("x"), n.MainPID(1), n.Store("a", read), n.Barrier(time.Second), new(Notifier).Ready(),
	} {
		if !errors.Is(err, ErrNobody) {
			t.Fatal(err)
		}
	}
}

func TestFilesReachTheStoreAndStayTheServices(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	systemd := listen(t, address)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if err := At(address).Store("state", write); err != nil {
		t.Fatal(err)
	}
	text, files := heard(t, systemd)
	if text != "FDSTORE=1\nFDNAME=state\n" || len(files) != 1 {
		t.Fatal(text, files)
	}
	if _, err := unix.Write(files[0], []byte("kept")); err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(files[0])
	if _, err := write.Write([]byte(" and mine")); err != nil {
		t.Fatal("it was closed:", err)
	}
	_ = write.Close()
	all := make([]byte, 64)
	_ = read.SetReadDeadline(time.Now().Add(20 * time.Second)) // what a blocking pipe would not take
	n, err := read.Read(all)
	if string(all[:n]) != "kept and mine" {
		t.Fatal(string(all[:n]), err)
	}
}

func TestABarrierEndsWhenAllWasReadAndNotBefore(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	systemd := listen(t, address)
	if err := At(address).Barrier(50 * time.Millisecond); err == nil || errors.Is(err, ErrNobody) {
		t.Fatal("nobody read, and it ended:", err)
	}
	_, files := heard(t, systemd)
	_ = unix.Close(files[0])
	ended := make(chan error, 1)
	go func() { ended <- At(address).Barrier(20 * time.Second) }()
	_, files = heard(t, systemd)
	select {
	case err := <-ended:
		t.Fatal("it ended while systemd held the file:", err)
	case <-time.After(50 * time.Millisecond):
	}
	_ = unix.Close(files[0])
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestWhatWouldBeAnotherMessageIsRefused(t *testing.T) {
	address := filepath.Join(t.TempDir(), "notify")
	listen(t, address)
	n := At(address)
	for name, err := range map[string]error{
		"a break":       n.Send("STATUS=a\nREADY=1"),
		"no assignment": n.Send("READY"),
		"no name":       n.Send("=1"),
		"nothing":       n.Send(),
		"no process":    n.MainPID(0),
		"a name":        n.Store("a:b", os.Stdin),
		"no file":       n.Store("a"),
		"a break there": n.Forget("a\nREADY=1"),
		"too long":      n.Status(strings.Repeat("x", 1<<20)),
		"a relative":    At("notify").Ready(),
		"vsock":         At("vsock:2:1234").Ready(),
		"nobody there":  At(filepath.Join(t.TempDir(), "none")).Ready(),
		"a long path":   At("/" + strings.Repeat("x", 200)).Ready(),
	} {
		if err == nil || errors.Is(err, ErrNobody) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheWatchdogIsKeptByWhomItMeans(t *testing.T) {
	for _, one := range []struct {
		every, pid string
		want       time.Duration
	}{
		{"30000000", "", 30 * time.Second},
		{"30000000", "7", 30 * time.Second},
		{"30000000", "8", 0},
		{"", "7", 0}, {"0", "7", 0}, {"-1", "7", 0}, {"soon", "7", 0}, {"9223372036854775807", "7", 0},
	} {
		variables := map[string]string{WatchdogVariable: one.every, WatchdogPIDVariable: one.pid}
		if got := watchdogOf(7, func(name string) string { return variables[name] }); got != one.want {
			t.Errorf("%v: %s", one, got)
		}
	}
}

func TestTakeLeavesNothingForChildren(t *testing.T) {
	t.Setenv(SocketVariable, "/nowhere")
	t.Setenv(WatchdogVariable, "1000000")
	t.Setenv(WatchdogPIDVariable, strconv.Itoa(os.Getpid()))
	n := Take()
	if every, asked := n.WatchdogEvery(); n.Address() != "/nowhere" || !asked || every != time.Second {
		t.Fatal(n)
	}
	for _, name := range []string{SocketVariable, WatchdogVariable, WatchdogPIDVariable} {
		if _, found := os.LookupEnv(name); found {
			t.Error(name, "is left")
		}
	}
}
