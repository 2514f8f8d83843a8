package resourcedetection

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"collector/pkg/docker"
)

// The variables that hold attributes, the first that is set wins.
const (
	variable    = "OTEL_RESOURCE_ATTRIBUTES"
	oldVariable = "OTEL_RESOURCE"
)

// schema is the one whose names the detectors use, as in the OpenTelemetry
// Collector.
const schema = "https://opentelemetry.io/schemas/1.6.1"

// fromEnvironment reads attributes from the environment: key=value,key=value, with
// values as in a URL's query.
func fromEnvironment(env func(string) string) (found, error) {
	f := nothing()
	name, text := variable, strings.TrimSpace(env(variable))
	if text == "" {
		name, text = oldVariable, strings.TrimSpace(env(oldVariable))
	}
	if text == "" {
		return f, nil
	}
	pairs := strings.Split(text, ",")
	if last := len(pairs) - 1; last > 0 && strings.TrimSpace(pairs[last]) == "" {
		pairs = pairs[:last]
	}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" || len(key) > maxText || len(value) > maxText || !ascii(pair) {
			return nothing(), fmt.Errorf("the variable %s: %q is not key=value, in ASCII, with at most %d characters each", name, pair, maxText)
		}
		value, err := url.QueryUnescape(strings.TrimSpace(value))
		if err != nil {
			return nothing(), fmt.Errorf("the variable %s: %q: %w", name, pair, err)
		}
		f.attributes.PutStr(key, value)
	}
	return f, nil
}

// maxText is how long a key or a value may be.
const maxText = 256

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// fromDocker asks an Engine about its machine.
func fromDocker(engine *docker.Engine, want DockerAttributes) func(context.Context) (found, error) {
	return func(ctx context.Context) (found, error) {
		info, err := engine.Info(ctx)
		if err != nil {
			return nothing(), err
		}
		f := nothing()
		f.schema = schema
		if want.HostName.Enabled {
			f.attributes.PutStr("host.name", info.Name)
		}
		if want.OSType.Enabled {
			f.attributes.PutStr("os.type", osType(info.OSType))
		}
		return f, nil
	}
}

// osType is what OpenTelemetry calls a system that Go calls name.
func osType(name string) string {
	switch name {
	case "dragonfly":
		return "dragonflybsd"
	case "zos":
		return "z_os"
	}
	return name
}
