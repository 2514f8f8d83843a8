package graph

import (
	"fmt"
	"slices"
	"strings"

	"collector/pkg/config"
)

// Reference is the reference of all components as Markdown, made of their
// definitions.
func Reference(definitions []Definition) string {
	definitions = slices.Clone(definitions)
	slices.SortFunc(definitions, func(a, b Definition) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	b.WriteString("# Components\n\nThis page is generated from the program. A type such as `duration` is written as a string with a unit.\n\n")
	for _, d := range definitions {
		fmt.Fprintf(&b, "- [`%s`](#%s): %s\n", d.Name, anchor(d.Name), firstSentence(d.Doc.Summary))
	}
	for _, d := range definitions {
		b.WriteString("\n")
		d.reference(&b)
	}
	return b.String()
}

func anchor(name string) string { return strings.ReplaceAll(name, ".", "") }

func firstSentence(s string) string {
	if i := strings.Index(s, ". "); i >= 0 {
		return s[:i+1]
	}
	return s
}

func (d Definition) reference(b *strings.Builder) {
	fmt.Fprintf(b, "## %s\n", d.Name)
	if d.Doc.Summary != "" {
		fmt.Fprintf(b, "\n%s\n", d.Doc.Summary)
	}
	if d.Singleton {
		fmt.Fprintf(b, "\nThe block stands at most once and has no label.\n")
	}
	arguments := d.Arguments()
	d.table(b, "", arguments)
	d.blocks(b, "", arguments)
	if len(d.Doc.Exports) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### Exports\n\n| Name | Type | |\n|---|---|---|\n")
	for _, e := range d.Doc.Exports {
		fmt.Fprintf(b, "| `%s` | `%s` | %s |\n", e.Name, e.Type, cell(e.Note))
	}
}

// table lists the arguments, without the blocks, of the block at path.
func (d Definition) table(b *strings.Builder, path string, arguments []config.Argument) {
	noted := slices.ContainsFunc(arguments, func(a config.Argument) bool { return !a.Block && d.Doc.Notes[path+a.Name] != "" })
	rows := false
	for _, a := range arguments {
		if a.Block {
			continue
		}
		if !rows {
			rows = true
			b.WriteString("\n| Argument | Type | Default |")
			if noted {
				b.WriteString(" |\n|---|---|---|---|\n")
			} else {
				b.WriteString("\n|---|---|---|\n")
			}
		}
		value := ""
		if a.Required {
			value = "required"
		} else if a.Default != "" {
			value = "`" + a.Default + "`"
		}
		fmt.Fprintf(b, "| `%s` | `%s` | %s |", a.Name, a.Type, cell(value))
		if noted {
			fmt.Fprintf(b, " %s |", cell(d.Doc.Notes[path+a.Name]))
		}
		b.WriteString("\n")
	}
}

// blocks lists the blocks below path, each with its arguments.
func (d Definition) blocks(b *strings.Builder, path string, arguments []config.Argument) {
	for _, a := range arguments {
		if !a.Block {
			continue
		}
		full := path + a.Name
		fmt.Fprintf(b, "\n### Block `%s`\n\n", full)
		switch {
		case a.Required && a.Repeatable:
			b.WriteString("Required; may stand several times.")
		case a.Required:
			b.WriteString("Required.")
		case a.Repeatable:
			b.WriteString("Optional; may stand several times.")
		default:
			b.WriteString("Optional.")
		}
		if note := d.Doc.Notes[full]; note != "" {
			b.WriteString(" " + note)
		}
		b.WriteString("\n")
		d.table(b, full+" > ", a.Arguments)
		d.blocks(b, full+" > ", a.Arguments)
	}
}

func cell(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "|", "\\|"), "\n", " ")
}
