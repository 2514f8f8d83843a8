package main

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func env(pairs ...string) func(string) string {
	values := map[string]string{}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		values[key] = value
	}
	return func(key string) string { return values[key] }
}

func TestSettingsHaveDefaults(t *testing.T) {
	got, err := readSettings(env("LOG_LEVEL="))
	if err != nil {
		t.Fatal(err)
	}
	want := settings{"backend", slog.LevelInfo, 8000, "localhost", 4317, "localhost", 4040, ""}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(settings{})); diff != "" {
		t.Error(diff)
	}
}

func TestSettingsComeFromTheEnvironment(t *testing.T) {
	got, err := readSettings(env("APP_NAME=shop", "LOG_LEVEL=WARNING", "PORT=80",
		"OTLP_HOST=::1", "OTLP_PORT=1", "PYROSCOPE_HOST=my_collector", "PYROSCOPE_PORT=65535", "FARO_URL=https://shop.example.com/collect"))
	if err != nil {
		t.Fatal(err)
	}
	want := settings{"shop", slog.LevelWarn, 80, "::1", 1, "my_collector", 65535, "https://shop.example.com/collect"}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(settings{})); diff != "" {
		t.Error(diff)
	}
	if got.otlpEndpoint() != "[::1]:1" || got.pyroscopeURL() != "http://my_collector:65535" {
		t.Errorf("endpoints %s and %s", got.otlpEndpoint(), got.pyroscopeURL())
	}
}

func TestInvalidSettingsAreAllReported(t *testing.T) {
	_, err := readSettings(env("APP_NAME=a b{c}", "LOG_LEVEL=loud", "PORT=0", "OTLP_HOST=http://x", "OTLP_PORT=65536", "PYROSCOPE_HOST=x:1", "PYROSCOPE_PORT=abc", "FARO_URL=localhost:12347"))
	want := `APP_NAME="a b{c}": want up to 63 letters, digits, dots, underscores and hyphens
LOG_LEVEL="loud": want debug, info, warn or error
PORT="0": want a port from 1 to 65535
OTLP_HOST="http://x": want a host name or an IP address, without scheme or port
OTLP_PORT="65536": want a port from 1 to 65535
PYROSCOPE_HOST="x:1": want a host name or an IP address, without scheme or port
PYROSCOPE_PORT="abc": want a port from 1 to 65535
FARO_URL="localhost:12347": want the URL of a Faro receiver for browsers, such as http://localhost:12347/collect`
	if err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}
