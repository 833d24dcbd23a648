// Package sdnotify tells systemd how a service is: ready, reloading, stopping, alive, which process is the main one.
//
// A service that systemd did not start has nobody to tell. That is no error: every call then answers ErrNobody, which
// says so, and does nothing else.
package sdnotify

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// The variables by which systemd speaks to a service of Type=notify.
const (
	SocketVariable      = "NOTIFY_SOCKET"
	WatchdogVariable    = "WATCHDOG_USEC"
	WatchdogPIDVariable = "WATCHDOG_PID"
)

// ErrNobody is the answer where no socket is named: nothing was sent, because nobody listens.
var ErrNobody = errors.New("sdnotify: " + SocketVariable + " is not set, so nobody is told")

// patience bounds a send: systemd's queue may be full, and a service must not hang on what it only tells.
const patience = 5 * time.Second

// Notifier speaks to one socket. It is safe for concurrent use; the zero value has nobody to tell.
type Notifier struct {
	address  string
	watchdog time.Duration
}

// New takes the socket that the environment names, if it names one.
func New() *Notifier {
	return &Notifier{address: os.Getenv(SocketVariable), watchdog: watchdogOf(os.Getpid(), os.Getenv)}
}

// Take is New, and then Unset.
func Take() *Notifier {
	n := New()
	Unset()
	return n
}

// Unset takes systemd's variables out of the environment, so that no process that this one starts speaks for it.
func Unset() {
	for _, name := range []string{SocketVariable, WatchdogVariable, WatchdogPIDVariable} {
		_ = os.Unsetenv(name)
	}
}

// At speaks to the socket with that address: a path, or a name with "@" before it in the abstract space.
func At(address string) *Notifier { return &Notifier{address: address} }

// IsHeard tells whether there is somebody to tell.
func (n *Notifier) IsHeard() bool { return n.address != "" }

// Address is the socket, as the variable named it.
func (n *Notifier) Address() string { return n.address }

// WatchdogEvery is how often systemd wants to hear Watchdog, at the latest; false where it asked for none, or asked
// another process. Half of it is a good pace.
func (n *Notifier) WatchdogEvery() (time.Duration, bool) { return n.watchdog, n.watchdog > 0 }

// Ready says that the service does its work: after its start, and after each Reloading.
func (n *Notifier) Ready() error { return n.Send("READY=1") }

// Stopping says that the service has begun to end.
func (n *Notifier) Stopping() error { return n.Send("STOPPING=1") }

// Watchdog says that the service is alive.
func (n *Notifier) Watchdog() error { return n.Send("WATCHDOG=1") }

// Status is a line for people, shown by systemctl status. Breaks in it become spaces.
func (n *Notifier) Status(text string) error { return n.Send("STATUS=" + oneLine(text)) }

// MainPID says that another process is the main one from now on. Unless that one says so itself, NotifyAccess=main is
// enough; a process that is not the main one is heard with NotifyAccess=all only.
func (n *Notifier) MainPID(pid int) error {
	if pid <= 0 {
		return fmt.Errorf("sdnotify: %d is no process", pid)
	}
	return n.Send("MAINPID=" + strconv.Itoa(pid))
}

// Successor says in one message that this process, which another one started, is the main one and ready.
func (n *Notifier) Successor(pid int) error {
	if pid <= 0 {
		return fmt.Errorf("sdnotify: %d is no process", pid)
	}
	return n.Send("MAINPID="+strconv.Itoa(pid), "READY=1")
}

// ExtendTimeout asks for that much more time from now on, while the service starts, reloads or stops.
func (n *Notifier) ExtendTimeout(more time.Duration) error {
	return n.Send("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(more.Microseconds(), 10))
}

// Send sends assignments as one message, which systemd takes as a whole. A word with a break in it would be two, so it
// is refused.
func (n *Notifier) Send(words ...string) error {
	state, err := message(words)
	if err != nil {
		return err
	}
	return n.send(func(conn *net.UnixConn) error {
		_, err := conn.Write(state)
		return err
	})
}

func message(words []string) ([]byte, error) {
	for _, word := range words {
		if name, _, found := strings.Cut(word, "="); !found || name == "" || strings.ContainsAny(word, "\n\x00") {
			return nil, fmt.Errorf("sdnotify: %q is no assignment of one line", word)
		}
	}
	if len(words) == 0 {
		return nil, errors.New("sdnotify: nothing to say")
	}
	return []byte(strings.Join(words, "\n") + "\n"), nil
}

// send is one datagram, which goes whole or not at all; write puts it on the wire.
func (n *Notifier) send(write func(*net.UnixConn) error) error {
	if n.address == "" {
		return ErrNobody
	}
	if n.address[0] != '/' && n.address[0] != '@' {
		return fmt.Errorf("sdnotify: %s=%q is neither a path nor an abstract name", SocketVariable, n.address)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("sdnotify: %w", err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return fmt.Errorf("sdnotify: %w", err)
	}
	if err := write(conn); err != nil {
		return fmt.Errorf("sdnotify: %w", err)
	}
	return nil
}

func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == 0 {
			return ' '
		}
		return r
	}, text)
}

// watchdogOf is what the variables ask of process pid: none where they mean another one.
func watchdogOf(pid int, variable func(string) string) time.Duration {
	every, err := strconv.ParseInt(variable(WatchdogVariable), 10, 64)
	if err != nil || every <= 0 || every > int64(1<<62/time.Microsecond) {
		return 0
	}
	if meant := variable(WatchdogPIDVariable); meant != "" && meant != strconv.Itoa(pid) {
		return 0
	}
	return time.Duration(every) * time.Microsecond
}
