// Package linked finds the modules that a program is made of, and their licenses.
package linked

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Module is third-party software of which the program has a part.
type Module struct {
	Path    string // as it is imported; of an asset, its folder in the project
	Version string // "" of an asset, and of Go itself
	// Files are its license files and notices: those at its root, and those of the
	// folders of which the program has a package.
	Files []File
}

// pkg is what go list says about a package.
type pkg struct {
	Dir        string
	EmbedFiles []string
	Standard   bool
	Module     *struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{ Path, Version, Dir string }
	}
}

// Modules returns the modules linked into the programs in the given packages of the module in root, on
// any of the given architectures of Linux; assets that the project embeds in the
// programs, and Go's standard library, are modules, too. They are sorted by path.
func Modules(root string, programs, architectures []string) ([]Module, error) {
	found := map[string]*module{}
	for _, architecture := range architectures {
		list := exec.Command("go", append([]string{"list", "-deps", "-json=Dir,EmbedFiles,Standard,Module"}, programs...)...)
		list.Dir = root
		list.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+architecture, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
		var stderr bytes.Buffer
		list.Stderr = &stderr
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("list the packages of %s for %s: %w: %s", strings.Join(programs, " "), architecture, err, stderr.String())
		}
		if err := collect(found, root, bytes.NewReader(out)); err != nil {
			return nil, err
		}
	}
	if err := addGo(found); err != nil {
		return nil, err
	}
	var modules []Module
	var errs []error
	for _, m := range found {
		files, err := m.files()
		errs = append(errs, err)
		modules = append(modules, Module{m.path, m.version, files})
	}
	slices.SortFunc(modules, func(a, b Module) int { return cmp.Compare(a.Path, b.Path) })
	return modules, errors.Join(errs...)
}

// module is a module while it is collected.
type module struct {
	path, version, root string
	dirs                map[string]bool // in which there may be license files; root is one
}

// collect adds the modules of the packages that go list wrote to r.
func collect(into map[string]*module, root string, r io.Reader) error {
	for packages := json.NewDecoder(r); ; {
		var p pkg
		if err := packages.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read what go list says: %w", err)
		}
		switch {
		case p.Standard || p.Module == nil:
		case p.Module.Main:
			addAssets(into, root, p)
		default:
			dir := p.Module.Dir
			path, version := p.Module.Path, p.Module.Version
			if r := p.Module.Replace; r != nil {
				if r.Version == "" {
					continue // a stub of the project's own
				}
				dir, path, version = r.Dir, r.Path, r.Version
			}
			add(into, path, version, dir, p.Dir)
		}
	}
}

// add adds the folders from the root of a module to that of one of its packages.
func add(into map[string]*module, path, version, root, dir string) {
	m := into[path]
	if m == nil {
		m = &module{path, version, root, map[string]bool{root: true}}
		into[path] = m
	}
	for ; strings.HasPrefix(dir, root) && !m.dirs[dir]; dir = filepath.Dir(dir) {
		m.dirs[dir] = true
	}
}

// vendored is the name of the folders in which embedded files of others are.
const vendored = "vendor"

// addAssets adds what a package of the project embeds of others: what is below a
// folder called vendor, in a folder of its own.
func addAssets(into map[string]*module, root string, p pkg) {
	for _, file := range p.EmbedFiles {
		before, after, ok := strings.Cut(file, vendored+"/")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(after, "/")
		dir := filepath.Join(p.Dir, before, vendored, name)
		path, err := filepath.Rel(root, dir)
		if err != nil {
			path = dir
		}
		add(into, filepath.ToSlash(path), "", dir, dir)
	}
}

// addGo adds Go's standard library.
func addGo(into map[string]*module) error {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("ask go for its GOROOT: %w", err)
	}
	dir := strings.TrimSpace(string(root))
	add(into, "std", "", dir, dir)
	return nil
}
