//go:build linux

package sdnotify

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxFDs is what one message can carry (SCM_MAX_FD).
const maxFDs = 253

// Reloading says that the service has begun to reload. Ready must follow, else systemctl reload waits. The time in it
// is what Type=notify-reload tells one reload from another by.
func (n *Notifier) Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("sdnotify: %w", err)
	}
	return n.Send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(now.Nano()/1000, 10))
}

// Store gives systemd files to keep under a name until the service's next start (FileDescriptorStoreMax= of the unit
// says how many, 0 by default: then systemd closes them, and nobody is told). The files stay the caller's to close.
func (n *Notifier) Store(name string, files ...*os.File) error {
	if err := nameable(name); err != nil {
		return err
	}
	if len(files) == 0 || len(files) > maxFDs {
		return fmt.Errorf("sdnotify: %d files in one message, which takes 1 to %d", len(files), maxFDs)
	}
	return n.sendFiles([]string{"FDSTORE=1", "FDNAME=" + name}, files)
}

// Forget lets systemd close what it keeps under a name.
func (n *Notifier) Forget(name string) error {
	if err := nameable(name); err != nil {
		return err
	}
	return n.Send("FDSTOREREMOVE=1", "FDNAME="+name)
}

// Barrier returns when systemd has read all that was sent before, or with an error after that time. Who ends right
// after a message waits for it: systemd cannot tell any more whose message it was once the sender is gone.
func (n *Notifier) Barrier(limit time.Duration) error {
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("sdnotify: %w", err)
	}
	defer read.Close()
	err = n.sendFiles([]string{"BARRIER=1"}, []*os.File{write})
	_ = write.Close()
	if err != nil {
		return err
	}
	if err := read.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return fmt.Errorf("sdnotify: %w", err)
	}
	if _, err := read.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("sdnotify: nobody read what was sent within %s", limit)
	}
	return nil
}

// sendFiles passes the numbers of files without os.File.Fd, which would set what others read from to blocking.
func (n *Notifier) sendFiles(words []string, files []*os.File) error {
	state, err := message(words)
	if err != nil {
		return err
	}
	numbers := make([]int, 0, len(files))
	return eachFD(files, &numbers, func() error {
		return n.send(func(conn *net.UnixConn) error { return sendRights(conn, state, unix.UnixRights(numbers...)) })
	})
}

// sendRights is what net.UnixConn.WriteMsgUnix refuses on a connected datagram socket.
func sendRights(conn *net.UnixConn, state, rights []byte) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), state, rights, nil, unix.MSG_NOSIGNAL)
		return !errors.Is(sent, unix.EAGAIN) && !errors.Is(sent, unix.EINTR)
	})
	return errors.Join(err, sent)
}

func eachFD(files []*os.File, numbers *[]int, then func() error) error {
	if len(files) == 0 {
		return then()
	}
	raw, err := files[0].SyscallConn()
	if err != nil {
		return fmt.Errorf("sdnotify: %w", err)
	}
	var inside error
	if err := raw.Control(func(fd uintptr) {
		*numbers = append(*numbers, int(fd))
		inside = eachFD(files[1:], numbers, then)
	}); err != nil {
		return fmt.Errorf("sdnotify: %w", err)
	}
	return inside
}

func nameable(name string) error {
	if name == "" || len(name) > 255 || strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) >= 0 {
		return fmt.Errorf("sdnotify: %q is no name of a file in systemd's store", name)
	}
	return nil
}
