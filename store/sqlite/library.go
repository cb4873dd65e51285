package sqlite

import (
	"context"
	"fmt"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"
)

// A library is one open database of the SQLite library. One goroutine uses it
// at a time, so SQLite takes no locks of its own.
//
// It calls the library without the driver in between: statements take a few
// microseconds, and the driver spends as much again on copies of arguments, on
// boxes around values and on what database/sql asks for.
type library struct {
	tls *libc.TLS
	db  uintptr
	// arena holds the texts and blobs that are bound to the statement that
	// runs. It is the library's own memory: SQLite reads it in place, and Go's
	// would move or be freed.
	arena uintptr
	size  int
}

// A compiled is one statement, ready to run.
type compiled struct {
	handle     uintptr
	parameters int
}

// A failure is an SQLite error: its extended code, and what SQLite says.
type failure struct {
	code int
	text string
}

func (f *failure) Error() string { return fmt.Sprintf("sqlite: %s (%d)", f.text, f.code) }

const (
	smallArena  = 4096
	pointerSize = int(unsafe.Sizeof(uintptr(0)))
)

func openLibrary(path string) (*library, error) {
	l := &library{tls: libc.NewTLS()}
	if !l.room(smallArena) {
		l.tls.Close()
		return nil, &failure{lib.SQLITE_NOMEM, "out of memory"}
	}
	name, err := libc.CString(path)
	if err != nil {
		l.close()
		return nil, err
	}
	defer libc.Xfree(l.tls, name)
	rc := l.out(func(p uintptr) int32 {
		return lib.Xsqlite3_open_v2(l.tls, name, p, lib.SQLITE_OPEN_READWRITE|lib.SQLITE_OPEN_CREATE|lib.SQLITE_OPEN_NOMUTEX, 0)
	}, &l.db)
	if rc != lib.SQLITE_OK {
		err := l.failure(rc)
		l.close()
		return nil, err
	}
	lib.Xsqlite3_extended_result_codes(l.tls, l.db, 1)
	return l, nil
}

// out calls a function that gives a pointer through one, and reads it.
func (l *library) out(f func(p uintptr) int32, into *uintptr) int32 {
	p := l.tls.Alloc(pointerSize)
	defer l.tls.Free(pointerSize)
	slot := libc.GoBytes(p, pointerSize)
	clear(slot)
	rc := f(p)
	*into = *(*uintptr)(unsafe.Pointer(&slot[0]))
	return rc
}

func (l *library) close() error {
	rc := int32(lib.SQLITE_OK)
	if l.db != 0 {
		rc = lib.Xsqlite3_close_v2(l.tls, l.db)
	}
	if l.arena != 0 {
		libc.Xfree(l.tls, l.arena)
	}
	l.tls.Close()
	if rc != lib.SQLITE_OK {
		return &failure{int(rc), "the database does not close"}
	}
	return nil
}

// failure is the last error of the database.
func (l *library) failure(rc int32) error {
	if l.db == 0 {
		return &failure{int(rc), libc.GoString(lib.Xsqlite3_errstr(l.tls, rc))}
	}
	return &failure{int(rc), libc.GoString(lib.Xsqlite3_errmsg(l.tls, l.db))}
}

// compile makes a statement that is to run often.
func (l *library) compile(query string) (*compiled, error) {
	text, err := libc.CString(query)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(l.tls, text)
	c := &compiled{}
	rc := l.out(func(p uintptr) int32 {
		return lib.Xsqlite3_prepare_v3(l.tls, l.db, text, -1, lib.SQLITE_PREPARE_PERSISTENT, p, 0)
	}, &c.handle)
	if rc != lib.SQLITE_OK {
		return nil, l.failure(rc)
	}
	c.parameters = int(lib.Xsqlite3_bind_parameter_count(l.tls, c.handle))
	return c, nil
}

// script runs statements without arguments, up to the first that fails.
func (l *library) script(statements string) error {
	text, err := libc.CString(statements)
	if err != nil {
		return err
	}
	defer libc.Xfree(l.tls, text)
	if rc := lib.Xsqlite3_exec(l.tls, l.db, text, 0, 0, 0); rc != lib.SQLITE_OK {
		return l.failure(rc)
	}
	return nil
}

// interruptible lets the end of ctx end the statement that runs, until the
// function that it gives is called.
func (l *library) interruptible(ctx context.Context) (over func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		tls := libc.NewTLS() // l's is another goroutine's
		defer tls.Close()
		lib.Xsqlite3_interrupt(tls, l.db)
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

func (l *library) finalize(c *compiled) { lib.Xsqlite3_finalize(l.tls, c.handle) }

// reset ends the statement's run. Its error was seen by step.
func (l *library) reset(c *compiled) { lib.Xsqlite3_reset(l.tls, c.handle) }

// step runs the statement to its next row; false: there is none.
func (l *library) step(c *compiled) (bool, error) {
	switch rc := lib.Xsqlite3_step(l.tls, c.handle); rc {
	case lib.SQLITE_ROW:
		return true, nil
	case lib.SQLITE_DONE:
		return false, nil
	default:
		return false, l.failure(rc)
	}
}

func (l *library) changes() int64 { return lib.Xsqlite3_changes64(l.tls, l.db) }

// room sees that the arena holds n bytes.
func (l *library) room(n int) bool {
	if n <= l.size {
		return true
	}
	if l.arena != 0 {
		libc.Xfree(l.tls, l.arena)
	}
	l.size = max(n, 2*l.size)
	if l.arena = libc.Xmalloc(l.tls, libc.Tsize_t(l.size)); l.arena == 0 {
		l.size = 0
	}
	return l.arena != 0
}

// bind gives the statement all of its arguments: texts, blobs, whole
// numbers, nil. They hold until the next call of bind.
func (l *library) bind(c *compiled, args []any) error {
	if len(args) != c.parameters {
		return &failure{lib.SQLITE_RANGE, fmt.Sprintf("%d arguments for %d parameters", len(args), c.parameters)}
	}
	need := 0
	for _, a := range args {
		switch v := a.(type) {
		case string:
			need += len(v)
		case []byte:
			need += len(v)
		}
	}
	if !l.room(need) {
		return &failure{lib.SQLITE_NOMEM, "out of memory"}
	}
	at := l.arena
	for i, a := range args {
		n, err := l.bindOne(c, int32(i+1), a, at)
		if err != nil {
			return err
		}
		at += uintptr(n)
	}
	return nil
}

// bindOne binds one argument; its bytes are put at the place, and counted.
func (l *library) bindOne(c *compiled, i int32, arg any, at uintptr) (n int, err error) {
	rc := int32(lib.SQLITE_OK)
	switch v := arg.(type) {
	case string:
		n = copy(libc.GoBytes(at, len(v)), v)
		rc = lib.Xsqlite3_bind_text(l.tls, c.handle, i, at, int32(n), lib.SQLITE_STATIC)
	case []byte:
		n = copy(libc.GoBytes(at, len(v)), v)
		rc = lib.Xsqlite3_bind_blob(l.tls, c.handle, i, at, int32(n), lib.SQLITE_STATIC)
	case int64:
		rc = lib.Xsqlite3_bind_int64(l.tls, c.handle, i, v)
	case int:
		rc = lib.Xsqlite3_bind_int64(l.tls, c.handle, i, int64(v))
	case nil:
		rc = lib.Xsqlite3_bind_null(l.tls, c.handle, i)
	default:
		return 0, &failure{lib.SQLITE_MISMATCH, fmt.Sprintf("argument %d is a %T", i, arg)}
	}
	if rc != lib.SQLITE_OK {
		return 0, l.failure(rc)
	}
	return n, nil
}

// column reads a value of the row into a *string, *int64 or *[]byte. It is
// false for a value of another type.
func (l *library) column(c *compiled, i int32, into any) bool {
	kind := lib.Xsqlite3_column_type(l.tls, c.handle, i)
	switch d := into.(type) {
	case *string:
		p := lib.Xsqlite3_column_text(l.tls, c.handle, i)
		*d = string(libc.GoBytes(p, int(lib.Xsqlite3_column_bytes(l.tls, c.handle, i))))
		return kind == lib.SQLITE_TEXT
	case *int64:
		*d = lib.Xsqlite3_column_int64(l.tls, c.handle, i)
		return kind == lib.SQLITE_INTEGER
	case *[]byte:
		p := lib.Xsqlite3_column_blob(l.tls, c.handle, i)
		*d = append([]byte{}, libc.GoBytes(p, int(lib.Xsqlite3_column_bytes(l.tls, c.handle, i)))...)
		return kind == lib.SQLITE_BLOB
	}
	return false
}
