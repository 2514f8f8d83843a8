// Command licenses writes the notices of third-party software in the programs, or reports
// that they are stale.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"collector/tools/linked"
)

// name is the file, at the root of the project.
const name = "THIRD_PARTY_NOTICES.txt"

func main() {
	root := flag.String("root", "..", "where the project is")
	check := flag.Bool("check", false, "write nothing; fail if the file is stale")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	modules, err := linked.Modules(root, []string{"./cmd/collector", "./backend"}, []string{"amd64", "arm64"})
	if err != nil {
		return err
	}
	path := filepath.Join(root, name)
	want := notices(modules)
	if !check {
		return os.WriteFile(path, []byte(want), 0o644)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if string(got) != want {
		return fmt.Errorf("%s is stale: run `make licenses`", name)
	}
	return nil
}

// text is a license or notice, and the modules that have it word by word.
type text struct {
	title   string
	body    string
	modules []string
}

// notices is the file: a list of the modules, then each text once.
func notices(modules []linked.Module) string {
	var out strings.Builder
	out.WriteString(`Third-party notices

collector, and its example service, contain parts of the following modules and files.
Written by make licenses. The texts are below, each once. The source of a module
is at its path and version, as with: go mod download PATH@VERSION

`)
	var texts []*text
	byWords := map[string]*text{}
	for _, m := range modules {
		var ids []string
		full := strings.TrimSpace(m.Path + " " + m.Version)
		for _, f := range m.Files {
			ids = append(ids, f.IDs...)
			words := strings.Join(strings.Fields(f.Text), " ")
			t := byWords[words]
			if t == nil {
				t = &text{title: strings.Join(f.IDs, ", "), body: strings.Trim(strings.ReplaceAll(f.Text, "\r\n", "\n"), "\n")}
				if t.title == "" {
					t.title = "Notice"
				}
				byWords[words] = t
				texts = append(texts, t)
			}
			t.modules = append(t.modules, full+": "+f.Path)
		}
		slices.Sort(ids)
		fmt.Fprintf(&out, "%s: %s\n", full, strings.Join(slices.Compact(ids), ", "))
	}
	for _, t := range texts {
		fmt.Fprintf(&out, "\n%s\n%s of\n", strings.Repeat("=", 80), t.title)
		for _, m := range t.modules {
			fmt.Fprintf(&out, "  %s\n", m)
		}
		fmt.Fprintf(&out, "%s\n\n%s\n", strings.Repeat("=", 80), t.body)
	}
	return out.String()
}
