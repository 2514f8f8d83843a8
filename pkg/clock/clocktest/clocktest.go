// Package clocktest makes readings of a machine's clock that was set, without
// setting one.
package clocktest

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Clock is time.Now on a machine whose clock may be set.
type Clock struct{ by atomic.Int64 }

// Set moves the clock.
func (c *Clock) Set(by time.Duration) { c.by.Add(int64(by)) }

// Now is like time.Now.
func (c *Clock) Now() time.Time { return Step(time.Now(), time.Duration(c.by.Load())) }

// Step moves the wall reading of t and leaves its monotonic one, as a step of
// the machine's clock does to time.Now. No function of package time can. Times
// within a synctest bubble have no monotonic reading and are given one, so that
// they are to be compared only with others that come from here.
func Step(t time.Time, by time.Duration) time.Time {
	const (
		monotonic = 1 << 63
		nanoBits  = 30
	)
	p := (*struct { // time.Time
		wall uint64 // monotonic, seconds since 1885, nanoseconds
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t))
	var ns int64 // since 1885
	if p.wall&monotonic != 0 {
		ns = int64(p.wall<<1>>(nanoBits+1))*int64(time.Second) + int64(p.wall&(1<<nanoBits-1))
	} else {
		ns = int64(t.Sub(time.Date(1885, time.January, 1, 0, 0, 0, 0, time.UTC)))
		p.ext = int64(t.Sub(time.Unix(0, 0)))
	}
	ns += int64(by)
	p.wall = monotonic | uint64(ns/int64(time.Second))<<nanoBits | uint64(ns%int64(time.Second))
	return t
}
