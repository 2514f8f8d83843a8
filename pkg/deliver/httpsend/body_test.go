package httpsend

import "testing"

func TestADetachedBodyIsNotReadAnyMore(t *testing.T) {
	b := &body{data: []byte("data")}
	r := b.reader()
	p := make([]byte, 2)
	if n, err := r.Read(p); n != 2 || err != nil {
		t.Errorf("Read returned %d, %v", n, err)
	}
	b.detach()
	if n, err := r.Read(p); n != 0 || err == nil {
		t.Errorf("after the end of the request, Read returned %d, %v", n, err)
	}
}
