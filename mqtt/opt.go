package mqtt

// An Opt is a value that may be absent; the zero Opt is. It keeps "absent"
// apart from "zero" and "empty" without a pointer.
type Opt[T comparable] struct {
	v  T
	ok bool
}

// Some gives an Opt that holds v.
func Some[T comparable](v T) Opt[T] { return Opt[T]{v, true} }

// Get gives the value, and whether there is one.
func (o Opt[T]) Get() (v T, ok bool) { return o.v, o.ok }

// Or gives the value, or other if there is none.
func (o Opt[T]) Or(other T) T {
	if o.ok {
		return o.v
	}
	return other
}

// IsSet says whether there is a value.
func (o Opt[T]) IsSet() bool { return o.ok }

// Equal says whether both are absent or both hold the same value.
func (o Opt[T]) Equal(p Opt[T]) bool { return o == p }
