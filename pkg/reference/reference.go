package reference

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"collector/pkg/component"
	"collector/pkg/config"
	"collector/pkg/pipeline"
)

// Arguments lists what the block of a definition takes. kinds names the types
// that the language itself does not know.
func Arguments(d component.Definition, kinds []pipeline.Kind) []config.Argument {
	return config.Describe(d.Config(), func(t reflect.Type) string {
		for _, k := range kinds {
			if k.Type == t {
				return k.Name
			}
		}
		return ""
	})
}

// Example is the configuration that the page of a definition shows.
func Example(d component.Definition) (string, error) {
	p, err := parse(d.Doc.Page)
	return p.example, err
}

// Index lists all definitions with links to their pages, which are in the folder
// dir.
func Index(definitions []component.Definition, dir string) (string, error) {
	definitions = slices.Clone(definitions)
	slices.SortFunc(definitions, func(a, b component.Definition) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	b.WriteString("# Components\n\nThis page and those that it links to are generated: `make reference` writes them.\n\n")
	for _, d := range definitions {
		p, err := parse(d.Doc.Page)
		if err != nil {
			return "", fmt.Errorf("page of %s: %w", d.Name, err)
		}
		fmt.Fprintf(&b, "- [`%s`](%s/%s.md): %s\n", d.Name, dir, d.Name, p.summary())
	}
	return b.String(), nil
}

// Page is the page of a definition.
func Page(d component.Definition, kinds []pipeline.Kind) (string, error) {
	p, err := parse(d.Doc.Page)
	if err != nil {
		return "", fmt.Errorf("page of %s: %w", d.Name, err)
	}
	accepted := Arguments(d, kinds)
	if err := p.check(accepted); err != nil {
		return "", fmt.Errorf("page of %s: %w", d.Name, err)
	}
	w := &writer{page: p}
	w.printf("# %s\n\n%s\n", d.Name, p.about)
	if d.Singleton {
		w.printf("\nThere is at most one such block, and it has no label.\n")
	}
	w.printf("\n%s\n\n```alloy\n%s```\n", example, p.example)
	if len(accepted) > 0 {
		w.printf("\n%s\n\nA type such as `duration` is written as a string with a unit.\n", arguments)
	}
	w.table("", accepted)
	w.blocks("", accepted)
	if len(d.Doc.Exports) > 0 {
		w.printf("\n## Exports\n\n| Name | Type | |\n|---|---|---|\n")
	}
	for _, e := range d.Doc.Exports {
		w.printf("| `%s` | `%s` | %s |\n", e.Name, e.Type, cell(e.Note))
	}
	if p.caveats != "" {
		w.printf("\n%s\n\n%s\n", caveats, p.caveats)
	}
	return w.String(), nil
}

// check reports remarks on what the component does not take.
func (p page) check(accepted []config.Argument) error {
	paths := map[string]bool{}
	var walk func(prefix string, list []config.Argument)
	walk = func(prefix string, list []config.Argument) {
		for _, a := range list {
			paths[prefix+a.Name] = true
			walk(prefix+a.Name+" > ", a.Arguments)
		}
	}
	walk("", accepted)
	for _, path := range slices.Sorted(maps.Keys(p.notes)) {
		if p.idle[path] != "" {
			return fmt.Errorf("%s is under %q and under %q", path, arguments, idle)
		}
	}
	for _, path := range append(slices.Sorted(maps.Keys(p.notes)), slices.Sorted(maps.Keys(p.idle))...) {
		if !paths[path] {
			return fmt.Errorf("the component takes no %s", path)
		}
	}
	return nil
}

// writer writes the tables of one page.
type writer struct {
	strings.Builder
	page page
}

func (w *writer) printf(format string, args ...any) { fmt.Fprintf(w, format, args...) }

// note is what the page says of the argument or block at path.
func (w *writer) note(path string) string {
	if why := w.page.idle[path]; why != "" {
		return "No effect: " + why
	}
	return w.page.notes[path]
}

// table lists the arguments, without the blocks, of the block at path.
func (w *writer) table(path string, list []config.Argument) {
	noted := slices.ContainsFunc(list, func(a config.Argument) bool { return !a.Block && w.note(path+a.Name) != "" })
	rows := false
	for _, a := range list {
		if a.Block {
			continue
		}
		if !rows {
			rows = true
			w.printf("\n| Argument | Type | Default |")
			if noted {
				w.printf(" |\n|---|---|---|---|\n")
			} else {
				w.printf("\n|---|---|---|\n")
			}
		}
		value := ""
		if a.Required {
			value = "required"
		} else if a.Default != "" {
			value = "`" + a.Default + "`"
		}
		w.printf("| `%s` | `%s` | %s |", a.Name, a.Type, cell(value))
		if noted {
			w.printf(" %s |", cell(w.note(path+a.Name)))
		}
		w.printf("\n")
	}
}

// blocks lists the blocks below path, each with its arguments.
func (w *writer) blocks(path string, list []config.Argument) {
	for _, a := range list {
		if !a.Block {
			continue
		}
		full := path + a.Name
		need := "Optional"
		if a.Required {
			need = "Required"
		}
		if a.Repeatable {
			need += ", repeatable"
		}
		w.printf("\n### Block `%s`\n\n%s.", full, need)
		if note := w.note(full); note != "" {
			w.printf(" %s.", strings.TrimSuffix(note, "."))
		}
		if a.As != "" {
			w.printf(" As `%s` outside.", a.As)
		}
		w.printf("\n")
		w.table(full+" > ", a.Arguments)
		w.blocks(full+" > ", a.Arguments)
	}
}

func cell(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "|", "\\|"), "\n", " ")
}
