package hotconfig

import (
	"context"
	"sync"
)

// Pool lends what a configuration says how to open and how many of: connections, workers, buffers. Another
// configuration grows it first and shrinks it then: so it is never smaller than the smaller of the two, and what is lent
// is closed once it is given back. Without a first Replace there is nothing to take.
type Pool[T any] struct {
	close func(T)
	turn  sync.Mutex // one Replace at a time
	lock  sync.Mutex
	now   *lending[T] // guarded by lock
}

// NewPool is an empty one; close ends what is not needed any more, nil where nothing has to be done.
func NewPool[T any](close func(T)) *Pool[T] {
	if close == nil {
		close = func(T) {}
	}
	return &Pool[T]{close: close, now: newLending(0, close)}
}

// Replace opens size new ones and then retires all of before. Where one cannot be opened nothing changes: call it in
// Options.Prepare, and a configuration whose connections cannot be had is refused as a whole.
func (p *Pool[T]) Replace(size int, open func() (T, error)) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	next := newLending(size, p.close)
	for range size {
		one, err := open()
		if err != nil {
			next.retire()
			return err
		}
		next.free <- one
	}
	p.lock.Lock()
	before := p.now
	p.now = next
	p.lock.Unlock()
	before.retire()
	return nil
}

// Take waits for one that nobody has; give it back by calling the function, once.
func (p *Pool[T]) Take(ctx context.Context) (T, func(), error) {
	for {
		p.lock.Lock()
		from := p.now
		p.lock.Unlock()
		select {
		case one := <-from.free:
			return one, func() { from.giveBack(one) }, nil
		case <-from.retired: // another set took its place
		case <-ctx.Done():
			var none T
			return none, func() {}, ctx.Err()
		}
	}
}

// lending is what one configuration opened.
type lending[T any] struct {
	free    chan T
	retired chan struct{}
	close   func(T)
	lock    sync.Mutex
	over    bool // guarded by lock
}

func newLending[T any](size int, close func(T)) *lending[T] {
	return &lending[T]{free: make(chan T, size), retired: make(chan struct{}), close: close}
}

func (l *lending[T]) giveBack(one T) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.over {
		l.close(one)
		return
	}
	l.free <- one
}

// retire closes what nobody has; what is lent follows when it is given back.
func (l *lending[T]) retire() {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.over = true
	close(l.retired)
	for {
		select {
		case one := <-l.free:
			l.close(one)
		default:
			return
		}
	}
}
