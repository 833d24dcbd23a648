package graygrpc

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gopub.dev/gray"
)

// atOnce does the work of each number on as many goroutines as there are workers, and gives what was wrong first.
func atOnce(all, workers int, work func(n int) error) error {
	var group sync.WaitGroup
	var next atomic.Int64
	var wrong atomic.Pointer[error]
	for range workers {
		group.Go(func() {
			for n := int(next.Add(1)); n <= all && wrong.Load() == nil; n = int(next.Add(1)) {
				if err := work(n); err != nil {
					wrong.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	group.Wait()
	if err := wrong.Load(); err != nil {
		return *err
	}
	return nil
}

// its is what a service says of a call: the call's own tags, whatever others are under way.
func its(ctx context.Context, _ string) (string, error) { return gray.FromContext(ctx).String(), nil }

func TestAHundredThousandCallsAtOnceNeverCross(t *testing.T) {
	conn := dial(t, "a.corp", serve(t, its, ServerOptions()...), DialOptions("*.corp")...)
	err := atOnce(100_000, 200, func(n int) error {
		tag := fmt.Sprintf("t%d", n)
		tags, err := gray.Parse(tag)
		if err != nil {
			return err
		}
		said, err := unary(gray.NewContext(context.Background(), tags), conn, "")
		if err != nil || said != tag {
			return fmt.Errorf("%s arrived as %q: %v", tag, said, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestStreamsAtOnceOverTwoHopsNeverCross(t *testing.T) {
	last := dial(t, "last.corp", serve(t, its, ServerOptions()...), DialOptions("*.corp")...)
	conn := dial(t, "a.corp", serve(t, func(ctx context.Context, said string) (string, error) {
		return unary(ctx, last, said)
	}, ServerOptions()...), DialOptions("*.corp")...)
	err := atOnce(1000, 100, func(n int) error {
		tag := fmt.Sprintf("t%d", n)
		tags, _ := gray.Parse(tag)
		for kind, want := range map[string]string{"Both": tag + "," + tag, "Client": tag} {
			said, err := stream(gray.NewContext(context.Background(), tags), conn, kind, "x", "y")
			if got := strings.Join(said, ","); err != nil || got != want {
				return fmt.Errorf("%s: %s arrived as %q: %v", kind, tag, got, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// The control: kept in a variable, however well it is locked, the tags of one call become another's.
func TestInAVariableTheyWouldCross(t *testing.T) {
	var both sync.WaitGroup
	var kept atomic.Value
	both.Add(2)
	conn := dial(t, "a.corp", serve(t, func(ctx context.Context, _ string) (string, error) {
		kept.Store(gray.FromContext(ctx).String())
		both.Done()
		both.Wait() // until both calls are there
		return kept.Load().(string), nil
	}, ServerOptions()...), DialOptions("*.corp")...)
	err := atOnce(2, 2, func(n int) error {
		tag := fmt.Sprintf("t%d", n)
		said, err := unary(with(t, tag), conn, "")
		if err == nil && said != tag {
			err = fmt.Errorf("%s arrived as %q", tag, said)
		}
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "arrived as") {
		t.Error("nothing crossed:", err)
	}
}
