//go:build linux

package handover

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// variable says what was handed over: file 3 is the wire, the listeners follow in their order.
const variable = "GOPUB_HANDOVER"

type letter struct {
	PID       int       `json:"pid"`
	Listeners []*socket `json:"listeners"`
}

// predecessor is the process that started this one, seen from this one.
type predecessor struct {
	wire  *net.UnixConn
	lines *bufio.Reader
}

// inherit leaves nothing of it for processes that this one starts.
func (h *Handover) inherit() error {
	text, found := os.LookupEnv(variable)
	if !found {
		return nil
	}
	_ = os.Unsetenv(variable)
	var handed letter
	if err := json.Unmarshal([]byte(text), &handed); err != nil {
		return fmt.Errorf("handover: %s: %w", variable, err)
	}
	for number := 3; number <= 3+len(handed.Listeners); number++ {
		unix.CloseOnExec(number)
	}
	wire, err := wireOf(os.NewFile(3, "wire"))
	if err != nil {
		return fmt.Errorf("handover: file 3 is no wire: %w", err)
	}
	for at, one := range handed.Listeners {
		if yes, err := unix.GetsockoptInt(4+at, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || yes != 1 {
			return fmt.Errorf("handover: file %d is no listener of %s %s", 4+at, one.Network, one.Address)
		}
		if err := unix.SetNonblock(4+at, true); err != nil {
			return err
		}
		one.file = os.NewFile(uintptr(4+at), one.Address)
		one.locate()
	}
	h.held, h.before = handed.Listeners, &predecessor{wire, bufio.NewReader(wire)}
	h.status.Predecessor = handed.PID
	return nil
}

func wireOf(file *os.File) (*net.UnixConn, error) {
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	wire, is := conn.(*net.UnixConn)
	if !is {
		return nil, errors.New("another kind of connection")
	}
	return wire, nil
}

// ready is called by the part that serves, just before it does. A predecessor that is gone is no reason not to serve:
// it is the best one.
func (h *Handover) ready() error {
	h.mu.Lock()
	first, ending := h.status.State == Starting, h.ending
	h.mu.Unlock()
	if ending {
		return errors.New("handover: the service ends")
	}
	if !first { // it takes its place back
		_ = h.options.Notify.Successor(os.Getpid())
		return nil
	}
	if err := h.answers(); err != nil {
		return err
	}
	if h.before == nil {
		h.serves()
		_ = h.options.Notify.Ready() // nobody may listen
		return nil
	}
	h.options.Step("new: ready")
	alone := h.before.say("ready %d\n", os.Getpid()) != nil
	if !alone {
		word, err := h.before.lines.ReadString('\n')
		if alone = err != nil; !alone && word != "go\n" {
			return fmt.Errorf("handover: process %d says %q", h.Status().Predecessor, strings.TrimSpace(word))
		}
	}
	h.options.Step("new: take")
	if h.options.Notify.Successor(os.Getpid()) == nil {
		_ = h.options.Notify.Barrier(2 * time.Second) // the other one ends soon after it hears of it
	}
	h.options.Step("new: taken")
	h.forget()
	h.serves()
	if !alone {
		_ = h.before.say("taken\n")
	}
	h.say("process %d took over from process %d", os.Getpid(), h.Status().Predecessor)
	go h.outlive()
	h.options.Step("new: serve")
	return nil
}

// Refuse tells the process that started this one why it will not take over: a configuration that it does not bear, a
// port that it cannot have. It does nothing in any other process, or later. Run calls it where the part that serves
// ends before it was ready; main does where it does not come to Run. The reason is seen by all users of the host.
func (h *Handover) Refuse(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil && h.before != nil && h.status.State == Starting {
		_ = h.before.say("sorry %s\n", brief(err.Error()))
	}
}

func (h *Handover) serves() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.status.State == Starting {
		h.enter(Serving)
	}
}

// outlive waits for the predecessor's end.
func (h *Handover) outlive() {
	for {
		if _, err := h.before.lines.ReadByte(); err != nil {
			break
		}
	}
	_ = h.before.wire.Close()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.Predecessor = 0
}

func (p *predecessor) say(format string, words ...any) error {
	_, err := fmt.Fprintf(p.wire, format, words...)
	return err
}
