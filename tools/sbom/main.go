// Command sbom writes the bill of materials of programs, as CycloneDX in JSON, beside
// each: what was linked into it, as the Go toolchain has noted there.
package main

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"collector/tools/linked"
)

func main() {
	root := flag.String("root", "..", "where the project is")
	version := flag.String("version", "", "the programs' version")
	flag.Parse()
	if err := run(*root, *version, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root, version string, programs []string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	modules, err := linked.Modules(root, []string{"./cmd/collector"}, []string{"amd64", "arm64"})
	if err != nil {
		return err
	}
	var errs []error
	for _, program := range programs {
		errs = append(errs, write(program, version, modules))
	}
	return errors.Join(errs...)
}

func write(program, version string, modules []linked.Module) error {
	bom, err := describe(program, version, modules)
	if err != nil {
		return fmt.Errorf("describe %s: %w", program, err)
	}
	out, err := os.Create(program + ".cdx.json")
	if err != nil {
		return err
	}
	err = cdx.NewBOMEncoder(out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
	return errors.Join(err, out.Close())
}

// describe makes the bill of a program. modules are those whose licenses are known.
// The same program has always the same bill.
func describe(program, version string, modules []linked.Module) (*cdx.BOM, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, err
	}
	digest, err := digestOf(program)
	if err != nil {
		return nil, err
	}
	main := cdx.Component{
		BOMRef: info.Main.Path, Type: cdx.ComponentTypeApplication, Name: filepath.Base(program), Version: version,
		Hashes:   &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: digest}},
		Licenses: licenses([]string{"Apache-2.0"}),
	}
	for _, s := range info.Settings {
		if s.Key == "GOOS" || s.Key == "GOARCH" || s.Key == "-tags" {
			main.Properties = appended(main.Properties, cdx.Property{Name: "build:" + s.Key, Value: s.Value})
		}
	}
	byPath := map[string]linked.Module{}
	for _, m := range modules {
		byPath[m.Path] = m
	}
	std := &debug.Module{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go")}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Component: &main}
	needs := cdx.Dependency{Ref: main.BOMRef}
	for _, m := range append([]*debug.Module{std}, info.Deps...) {
		if m = cmp.Or(m.Replace, m); m.Version == "(devel)" {
			continue // a stub of the project's own
		}
		c := component(m, byPath[m.Path])
		bom.Components = appended(bom.Components, c)
		needs.Dependencies = appended(needs.Dependencies, c.BOMRef)
	}
	bom.Dependencies = &[]cdx.Dependency{needs}
	return bom, nil
}

func component(m *debug.Module, known linked.Module) cdx.Component {
	url := "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(m.Version, "+", "%2B")
	var ids []string
	for _, f := range known.Files {
		ids = append(ids, f.IDs...)
	}
	return cdx.Component{BOMRef: url, PackageURL: url, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, Licenses: licenses(ids)}
}

// licenses returns the licenses with the given ids, each once; nil if there are none.
func licenses(ids []string) *cdx.Licenses {
	var all *cdx.Licenses
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		if all == nil {
			all = &cdx.Licenses{}
		}
		*all = append(*all, cdx.LicenseChoice{License: &cdx.License{ID: id}})
	}
	return all
}

// appended is a list with one more element, as this library has them: nil or a
// pointer.
func appended[T any](list *[]T, element T) *[]T {
	if list == nil {
		list = &[]T{}
	}
	*list = append(*list, element)
	return list
}

func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
