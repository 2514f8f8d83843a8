package profiles

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/pipeline"
)

func TestFrameKeepsEverything(t *testing.T) {
	for _, want := range []frame{
		{route: pipeline.ProfileIngest, received: time.Unix(1700000000, 123), query: "name=a%7Bb%3Dc%7D&from=1", contentType: "multipart/form-data; boundary=x", body: []byte("\x00body\xff")},
		{route: pipeline.ProfilePush, received: time.Unix(0, 0), body: []byte{}},
	} {
		data := want.append(nil)
		if len(data) > want.size() {
			t.Errorf("%d bytes, size says %d", len(data), want.size())
		}
		got, err := parseFrame(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(frame{})); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFrameRejectsOtherVersions(t *testing.T) {
	f := frame{route: pipeline.ProfilePush}
	data := f.append(nil)
	data[0] = 2
	if _, err := parseFrame(data); !errors.Is(err, errFrame) {
		t.Errorf("got %v", err)
	}
}

func FuzzFrame(f *testing.F) {
	seed := frame{route: pipeline.ProfileIngest, received: time.Unix(1, 2), query: "name=a", contentType: "text/plain", body: []byte("b")}
	f.Add(seed.append(nil))
	f.Add([]byte{frameVersion, framePush, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed, err := parseFrame(data)
		if err != nil {
			return
		}
		again, err := parseFrame(parsed.append(nil))
		if err != nil {
			t.Fatalf("parseFrame(%x) gives what cannot be parsed: %v", data, err)
		}
		if diff := cmp.Diff(parsed, again, cmp.AllowUnexported(frame{})); diff != "" {
			t.Fatal(diff)
		}
		if !bytes.HasSuffix(data, parsed.body) {
			t.Fatalf("the body %x is not the end of %x", parsed.body, data)
		}
	})
}
