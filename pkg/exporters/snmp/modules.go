package snmp

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
	library "github.com/prometheus/snmp_exporter/config"
	"go.yaml.in/yaml/v2"
)

// The modules that snmp_exporter ships; a test compares them with its module's file.
//
//go:embed snmp.yml.zst
var compressed []byte

// modules finds modules by their names. Those that are built in are read when they
// are first asked for, as all of them together take tens of MiB.
type modules struct {
	auths   map[string]*library.Auth
	builtIn []string // their names

	mu  sync.Mutex
	own map[string]*library.Module // guarded by mu
}

// find is the module of a name; nil: there is none.
func (m *modules) find(name string) (*library.Module, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if found := m.own[name]; found != nil || !slices.Contains(m.builtIn, name) {
		return found, nil
	}
	text, err := builtInText()
	if err != nil {
		return nil, err
	}
	found, err := readModule(text, name)
	if err != nil {
		return nil, err
	}
	if m.own == nil {
		m.own = map[string]*library.Module{}
	}
	m.own[name] = found
	return found, nil
}

// builtIn is what is built in, without the contents of modules.
type builtIn struct {
	auths map[string]*library.Auth
	names []string
}

// start is how the modules begin in the file, and the end of the credentials.
const start = "\nmodules:\n"

func readBuiltIn() (builtIn, error) {
	text, err := builtInText()
	if err != nil {
		return builtIn{}, err
	}
	head, rest, _ := strings.Cut(text, start)
	var c library.Config
	if err := yaml.UnmarshalStrict([]byte(head), &c); err != nil {
		return builtIn{}, fmt.Errorf("read the built-in credentials: %w", err)
	}
	b := builtIn{auths: c.Auths}
	for line := range strings.Lines(rest) {
		if name, ok := moduleName(line); ok {
			b.names = append(b.names, name)
		}
	}
	return b, nil
}

// moduleName is the name of the module that a line begins.
func moduleName(line string) (string, bool) {
	name, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "  ")
	if !ok || name == "" || name[0] == ' ' || name[0] == '-' {
		return "", false
	}
	return strings.CutSuffix(name, ":")
}

// readModule reads one module of the file.
func readModule(text, name string) (*library.Module, error) {
	_, rest, _ := strings.Cut(text, start)
	var one strings.Builder
	one.WriteString("modules:\n")
	within := false
	for line := range strings.Lines(rest) {
		if begins, ok := moduleName(line); ok {
			within = begins == name
		}
		if within {
			one.WriteString(line)
		}
	}
	var c library.Config
	if err := yaml.UnmarshalStrict([]byte(one.String()), &c); err != nil {
		return nil, fmt.Errorf("read the built-in module %s: %w", name, err)
	}
	return c.Modules[name], nil
}

func builtInText() (string, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return "", err
	}
	defer d.Close()
	text, err := d.DecodeAll(compressed, nil)
	if err != nil {
		return "", fmt.Errorf("read the built-in modules: %w", err)
	}
	return string(text), nil
}
