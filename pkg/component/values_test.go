package component

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretShowsNowhere(t *testing.T) {
	secret := Secret("hunter2")
	holder := struct {
		Password Secret
		Nested   map[string][]Secret
	}{secret, map[string][]Secret{"k": {secret}}}
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("message", "secret", secret, "holder", holder, "pointer", &secret)
	}
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{
		"%v": fmt.Sprintf("%v %v", secret, holder), "%+v": fmt.Sprintf("%+v", holder), "%#v": fmt.Sprintf("%#v %#v", secret, holder),
		"%s": fmt.Sprintf("%s", holder), "%q": fmt.Sprintf("%q", secret), "%x": fmt.Sprintf("%x", secret), "%d": fmt.Sprintf("%d", secret),
		"log": log.String(), "JSON": string(encoded), "error": fmt.Errorf("bad %v", secret).Error(),
	}
	for how, text := range shown {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "68756e74657232") {
			t.Errorf("%s shows the secret: %s", how, text)
		}
	}
	if string(secret) != "hunter2" {
		t.Error("the secret cannot be used")
	}
}

func TestBytesReadsSizesWithAUnit(t *testing.T) {
	for text, want := range map[string]Bytes{
		"0B": 0, "1B": 1, "512KiB": 512 << 10, "1KB": 1 << 10, "4MiB": 4 << 20, "20 MB": 20 << 20, " 1gib ": 1 << 30,
		"1.5GB": 3 << 29, "2TiB": 2 << 40, "1tb": 1 << 40, ".5KiB": 512,
	} {
		var got Bytes
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestBytesRejectsWhatIsNoSize(t *testing.T) {
	for _, text := range []string{"", "4", "4194304", "MiB", "-1MiB", "1XB", "1 M", "1.2.3MiB", "1e3MiB", "9999999999TiB", "NaNKiB", "infMiB", "0x10KiB", "1MiB2"} {
		b := Bytes(7)
		err := b.UnmarshalText([]byte(text))
		if err == nil || !strings.Contains(err.Error(), "4MiB") || b != 7 {
			t.Errorf("%q is %d, %v; want an error that shows a size", text, b, err)
		}
	}
}

func FuzzBytes(f *testing.F) {
	for _, b := range []int64{0, 1, 1023, 1024, 1 << 20, 3 << 29, 5 << 40, 1<<52 + 1} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, n int64) {
		// Beyond 53 bits a number in floating point is no longer exact.
		if n < 0 || n > 1<<53 {
			return
		}
		text, err := Bytes(n).MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Bytes
		if err := back.UnmarshalText(text); err != nil || back != Bytes(n) {
			t.Errorf("%d was written as %s and read as %d, %v", n, text, back, err)
		}
	})
}

func TestOptionsAreFilledIn(t *testing.T) {
	o := Options{}.WithDefaults()
	if o.Logger == nil || o.Metrics == nil || o.Docker == nil || o.Listeners == nil || o.Warn == nil || o.UserAgent == "" {
		t.Errorf("options lack something: %+v", o)
	}
	o.Warn("name", "why")
	called := false
	o.Warn = func(string, string) { called = true }
	o.WithDefaults().Warn("name", "why")
	if !called {
		t.Error("what was set was replaced")
	}
}
