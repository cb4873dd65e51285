package sqlite

import (
	"context"
	"sync/atomic"
)

// A folder folds the log into the file. SQLite would have the writer do it, in
// the commit that makes the log long, and everyone would wait for some thousand
// pages to be on disk. The folder's connection does it meanwhile; the writer is
// left with what came since, and with beginning the log anew.
type folder struct {
	conn    *conn
	due     chan struct{} // holds a token when the log may be long
	tail    atomic.Bool   // the writer shall fold the rest
	over    chan struct{} // closed by stop
	stopped chan struct{}
}

const (
	longLog  = 4000 // pages, about 16 MiB
	shortLog = 200  // pages that the writer may fold between two groups
	passes   = 8    // of the folder, until it leaves the rest to the writer, however much comes
	often    = 16   // commits between two looks at the log
)

func newFolder(c *conn) *folder {
	return &folder{conn: c, due: make(chan struct{}, 1), over: make(chan struct{}), stopped: make(chan struct{})}
}

// ring says that the log has grown.
func (f *folder) ring() {
	select {
	case f.due <- struct{}{}:
	default:
	}
}

func (f *folder) run() {
	defer close(f.stopped)
	for {
		select {
		case <-f.due:
			f.fold()
		case <-f.over:
			return
		}
	}
}

// stop ends the goroutine; it is called once.
func (f *folder) stop() {
	close(f.over)
	<-f.stopped
}

// fold folds a long log, but for what is written meanwhile. Whatever fails is
// tried again after the next commits.
func (f *folder) fold() {
	_, left, err := f.conn.logged("NOOP")
	if err != nil || left < longLog {
		return
	}
	for range passes {
		if _, left, err = f.conn.logged("PASSIVE"); err != nil {
			return
		}
		if left <= shortLog {
			break
		}
	}
	f.tail.Store(true)
}

// logged folds the log in the way that SQLite calls how, and gives its pages, and
// those of them that the file does not have yet.
func (c *conn) logged(how string) (pages, left int64, err error) {
	var busy, folded int64
	err = c.Query(context.Background(), "PRAGMA wal_checkpoint("+how+")", nil, []any{&busy, &pages, &folded}, func() error { return nil })
	return pages, pages - folded, err
}
