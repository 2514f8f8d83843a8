package pipeline

import (
	"bytes"
	"errors"
	"sync"
)

// errGivenAway says that a component uses a request that it no longer owns.
var errGivenAway = Permanent(errors.New("BUG: the request has been given to a component that has changed it"))

// memo is what the copies of a request have in common: what was decoded of it, and
// what that was encoded to.
type memo struct {
	made bool // a component has made it: the request has no Data
	size int  // of the bytes from which that was made

	mu      sync.Mutex
	decoded Decoded // guarded by mu
	has     bool    // decoded is there; guarded by mu
	shared  bool    // several have decoded, and nobody changes it; guarded by mu
	encoded []byte  // of what was made; nil: not yet; guarded by mu
	kept    *Kept   // guarded by mu
}

// Read returns what is in the request. It must not be changed.
func (o *OTLP) Read() (Decoded, error) {
	if o.memo == nil {
		o.memo = &memo{}
	}
	m := o.memo
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.read(o)
}

// read is Read. The caller holds mu.
func (m *memo) read(o *OTLP) (Decoded, error) {
	if m.has {
		return m.decoded, nil
	}
	if m.made {
		return Decoded{}, errGivenAway
	}
	d, err := decode(o.Signal, o.Data)
	if err != nil {
		return Decoded{}, err
	}
	if m.shared {
		d.freeze(o.Signal)
	}
	m.decoded, m.has = d, true
	return d, nil
}

// Own returns what is in the request for the caller to change and to forward by
// With. It is a copy if others see the request.
func (o *OTLP) Own() (Decoded, error) {
	m := o.memo
	if m == nil {
		return decode(o.Signal, o.Data)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d, err := m.read(o)
	if err != nil {
		return Decoded{}, err
	}
	if m.shared {
		return d.copied(o.Signal), nil
	}
	m.decoded, m.has = Decoded{}, false
	return d, nil
}

// With is what a component has made of the request. It may be another signal, and
// its items are counted. The caller gives d away.
func (o OTLP) With(s Signal, d Decoded) OTLP {
	o.memo = &memo{made: true, size: o.Size(), decoded: d, has: true, shared: d.frozen(s)}
	o.Signal, o.Data, o.Items = s, nil, d.items(s)
	return o
}

// Shared is the request for several readers: one that changes it gets a copy.
func (o OTLP) Shared() OTLP {
	if o.memo == nil {
		o.memo = &memo{shared: true}
		return o
	}
	o.memo.mu.Lock()
	defer o.memo.mu.Unlock()
	o.memo.share(o.Signal)
	return o
}

// share is Shared. The caller holds mu.
func (m *memo) share(s Signal) {
	if m.shared {
		return
	}
	m.shared = true
	if m.has {
		m.decoded.freeze(s)
	}
}

// IsDecoded reports whether a component has looked into the request.
func (o OTLP) IsDecoded() bool { return o.memo != nil }

// Bytes is the request as protobuf, uncompressed: as it came, unless a component
// has made it. It must not be changed, nor, as all that a sink is given, be kept.
func (o OTLP) Bytes() ([]byte, error) {
	m := o.memo
	if m == nil || !m.made {
		return o.Data, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.encoded == nil {
		if !m.has {
			return nil, errGivenAway
		}
		data, err := m.decoded.encode(o.Signal)
		if err != nil {
			return nil, err
		}
		m.encoded = data
	}
	return m.encoded, nil
}

// Size is the size of the request in bytes, or, as long as nobody needs the bytes
// of what a component has made, of those from which it was made.
func (o OTLP) Size() int {
	m := o.memo
	if m == nil || !m.made {
		return len(o.Data)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.encoded != nil {
		return len(m.encoded)
	}
	return m.size
}

// Kept is a request that may be looked at when the sink to which it went has
// returned. It is decoded at most once.
type Kept struct {
	signal Signal
	data   []byte // nil if decoded is there from the start
	once   sync.Once
	d      Decoded
	err    error
}

// Keep is the request for a viewer. A copy of its bytes is made if nobody has
// decoded it.
func (o OTLP) Keep() *Kept {
	m := o.memo
	if m == nil {
		return &Kept{signal: o.Signal, data: bytes.Clone(o.Data)}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept != nil {
		return m.kept
	}
	k := &Kept{signal: o.Signal}
	switch {
	case m.has:
		m.share(o.Signal)
		k.d = m.decoded
		k.once.Do(func() {})
	case m.made:
		k.err = errGivenAway
		k.once.Do(func() {})
	default:
		k.data = bytes.Clone(o.Data)
	}
	m.kept = k
	return k
}

// Undecoded is what Decoded will decode; nil if there is nothing to decode.
func (k *Kept) Undecoded() []byte { return k.data }

// Decoded is what is in the request. It must not be changed.
func (k *Kept) Decoded() (Decoded, error) {
	k.once.Do(func() { k.d, k.err = decode(k.signal, k.data) })
	return k.d, k.err
}
