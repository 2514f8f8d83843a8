package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// settings come from the environment. An empty variable counts as not set.
type settings struct {
	appName       string     // APP_NAME
	logLevel      slog.Level // LOG_LEVEL
	port          int        // PORT
	otlpHost      string     // OTLP_HOST
	otlpPort      int        // OTLP_PORT
	pyroscopeHost string     // PYROSCOPE_HOST
	pyroscopePort int        // PYROSCOPE_PORT
	faroURL       string     // FARO_URL
}

// readSettings reports everything that is wrong, not only the first.
func readSettings(getenv func(string) string) (settings, error) {
	e := environment{getenv: getenv}
	s := settings{
		appName:       e.name("APP_NAME", "backend"),
		logLevel:      e.level("LOG_LEVEL", "info"),
		port:          e.port("PORT", "8000"),
		otlpHost:      e.host("OTLP_HOST", "localhost"),
		otlpPort:      e.port("OTLP_PORT", "4317"),
		pyroscopeHost: e.host("PYROSCOPE_HOST", "localhost"),
		pyroscopePort: e.port("PYROSCOPE_PORT", "4040"),
		faroURL:       e.url("FARO_URL"),
	}
	return s, errors.Join(e.errs...)
}

func (s settings) listenAddress() string { return ":" + strconv.Itoa(s.port) }

func (s settings) otlpEndpoint() string {
	return net.JoinHostPort(s.otlpHost, strconv.Itoa(s.otlpPort))
}

func (s settings) pyroscopeURL() string {
	return "http://" + net.JoinHostPort(s.pyroscopeHost, strconv.Itoa(s.pyroscopePort))
}

// environment reads variables and gathers what is wrong with them.
type environment struct {
	getenv func(string) string
	errs   []error
}

func (e *environment) value(key, otherwise string) string {
	if v := e.getenv(key); v != "" {
		return v
	}
	return otherwise
}

func (e *environment) wrong(key, value, want string) {
	e.errs = append(e.errs, fmt.Errorf("%s=%q: %s", key, value, want))
}

var (
	namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})$`)
)

func (e *environment) name(key, otherwise string) string {
	v := e.value(key, otherwise)
	if !namePattern.MatchString(v) {
		e.wrong(key, v, "want up to 63 letters, digits, dots, underscores and hyphens")
	}
	return v
}

func (e *environment) host(key, otherwise string) string {
	v := e.value(key, otherwise)
	if !hostPattern.MatchString(v) && net.ParseIP(v) == nil {
		e.wrong(key, v, "want a host name or an IP address, without scheme or port")
	}
	return v
}

func (e *environment) url(key string) string {
	v := e.getenv(key)
	if u, err := url.Parse(v); v != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "") {
		e.wrong(key, v, "want the URL of a Faro receiver for browsers, such as http://localhost:12347/collect")
	}
	return v
}

func (e *environment) port(key, otherwise string) int {
	v := e.value(key, otherwise)
	port, err := strconv.ParseUint(v, 10, 16)
	if err != nil || port == 0 {
		e.wrong(key, v, "want a port from 1 to 65535")
	}
	return int(port)
}

func (e *environment) level(key, otherwise string) slog.Level {
	v := e.value(key, otherwise)
	switch strings.ToLower(v) {
	case "debug":
		return slog.LevelDebug
	case "info":
		return slog.LevelInfo
	case "warn", "warning":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	e.wrong(key, v, "want debug, info, warn or error")
	return slog.LevelInfo
}
