//go:build linux

package handover

import (
	"bufio"
	"context"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestASuccessorThatSaidItsLastWordLivesAsLongAsItsWire(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "wire")
	wire, err := wireOf(os.NewFile(uintptr(pair[0]), "wire"))
	if err != nil {
		t.Fatal(err)
	}
	next := &successor{wire: wire, lines: bufio.NewReader(wire)}
	if _, err := theirs.WriteString("taken\n"); err != nil {
		t.Fatal(err)
	}
	const within = 500 * time.Millisecond
	if err := next.hear(context.Background(), within, "taken"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { next.outlives(); close(ended) }()
	select {
	case <-ended:
		t.Fatal("it was taken for dead when the time for its last word was over: the one that drains served again beside it")
	case <-time.After(2 * within):
	}
	_ = theirs.Close()
	<-ended
}
