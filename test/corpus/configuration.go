// Package corpus runs configurations that others have written: each with its
// sources fed, and its destinations on the loopback interface.
package corpus

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/grafana/alloy/syntax/ast"
	"github.com/grafana/alloy/syntax/parser"
	"github.com/grafana/alloy/syntax/vm"
)

// configuration is a file, or all files of a directory whose files refer to each
// other.
type configuration struct {
	name   string
	files  []*file
	blocks []*block
	byID   map[string]*block
	env    map[string]string // variables that it reads
	syntax error             // why it can't be read
}

// file is one file, with what has to change in it.
type file struct {
	name  string
	text  string
	tree  *ast.File
	edits []edit
}

// edit replaces the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

// block is a block at the top of a file. kind is its name, such as loki.write.
type block struct {
	kind, label, id string
	body            ast.Body
	node            *ast.BlockStmt
	file            *file
}

// readCorpus reads the configurations of a folder: NAME__PATH__FILE.alloy, where
// the files with one NAME and PATH are of one directory.
func readCorpus(dir string) ([]*configuration, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.alloy"))
	if err != nil {
		return nil, err
	}
	var out []*configuration
	byDirectory := map[string][]*configuration{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		c := parse(filepath.Base(path), string(text))
		directory := c.name[:max(0, strings.LastIndex(c.name, "__"))]
		byDirectory[directory] = append(byDirectory[directory], c)
		out = append(out, c)
	}
	for directory, all := range byDirectory {
		if !joined(all) {
			continue
		}
		whole := &configuration{name: directory + "__*.alloy", byID: map[string]*block{}, env: map[string]string{}}
		for _, c := range all {
			whole.files = append(whole.files, c.files...)
			whole.add(c.blocks)
			out = slices.DeleteFunc(out, func(o *configuration) bool { return o == c })
		}
		whole.findVariables()
		out = append(out, whole)
	}
	slices.SortFunc(out, func(a, b *configuration) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// parse reads one file.
func parse(name, text string) *configuration {
	c := &configuration{name: name, byID: map[string]*block{}, env: map[string]string{}}
	f := &file{name: name, text: text}
	c.files = []*file{f}
	if f.tree, c.syntax = parser.ParseFile(name, []byte(text)); c.syntax != nil {
		return c
	}
	var blocks []*block
	for _, stmt := range f.tree.Body {
		if b, ok := stmt.(*ast.BlockStmt); ok {
			kind := b.GetBlockName()
			blocks = append(blocks, &block{kind: kind, label: b.Label, id: strings.TrimSuffix(kind+"."+b.Label, "."), body: b.Body, node: b, file: f})
		}
	}
	c.add(blocks)
	c.findVariables()
	return c
}

func (c *configuration) add(blocks []*block) {
	c.blocks = append(c.blocks, blocks...)
	for _, b := range blocks {
		c.byID[b.id] = b
	}
}

// joined reports whether one of the configurations refers to a component of
// another.
func joined(all []*configuration) bool {
	for _, a := range all {
		for _, f := range a.files {
			if f.tree == nil {
				continue
			}
			for _, name := range accesses(f.tree) {
				for _, b := range all {
					if a != b && a.byID[idOf(name)] == nil && b.byID[idOf(name)] != nil {
						return true
					}
				}
			}
		}
	}
	return false
}

// idOf is the id of a component that a reference such as loki.write.x.receiver
// is to.
func idOf(reference string) string {
	return reference[:max(0, strings.LastIndex(reference, "."))]
}

// visit calls itself for each node.
type visit func(ast.Node)

func (v visit) Visit(n ast.Node) ast.Visitor {
	if n != nil {
		v(n)
	}
	return v
}

// accesses are the references below n, such as loki.write.x.receiver.
func accesses(n ast.Node) []string {
	var out []string
	ast.Walk(visit(func(n ast.Node) {
		if a, ok := n.(*ast.AccessExpr); ok {
			if name := dotted(a); name != "" {
				out = append(out, name)
			}
		}
	}), n)
	return out
}

// dotted is an expression such as a.b.c; "" if it is of another kind.
func dotted(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.IdentifierExpr:
		return e.Ident.Name
	case *ast.AccessExpr:
		if of := dotted(e.Value); of != "" {
			return of + "." + e.Name.Name
		}
	}
	return ""
}

// references are the components that n refers to.
func (c *configuration) references(n ast.Node) []*block {
	var out []*block
	if n == nil {
		return nil
	}
	for _, name := range accesses(n) {
		if b := c.byID[idOf(name)]; b != nil && !slices.Contains(out, b) {
			out = append(out, b)
		}
	}
	return out
}

// attribute is the value of an attribute; nil if there is none.
func attribute(body ast.Body, name string) ast.Expr {
	for _, stmt := range body {
		if a, ok := stmt.(*ast.AttributeStmt); ok && a.Name.Name == name {
			return a.Value
		}
	}
	return nil
}

// children are the blocks of a name.
func children(body ast.Body, name string) []*ast.BlockStmt {
	var out []*ast.BlockStmt
	for _, stmt := range body {
		if b, ok := stmt.(*ast.BlockStmt); ok && b.GetBlockName() == name {
			out = append(out, b)
		}
	}
	return out
}

// child is the first block of a name; nil if there is none.
func child(body ast.Body, name string) *ast.BlockStmt {
	if all := children(body, name); len(all) > 0 {
		return all[0]
	}
	return nil
}

// variable is the environment variable that an expression is the value of; "" if
// it is another expression.
func variable(e ast.Expr) string {
	call, ok := e.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return ""
	}
	if name := dotted(call.Value); name != "env" && name != "sys.env" {
		return ""
	}
	if literal, ok := call.Args[0].(*ast.LiteralExpr); ok {
		return strings.Trim(literal.Value, `"`)
	}
	return ""
}

var (
	portName  = regexp.MustCompile(`(^|_)PORT(_|$)`)
	levelName = regexp.MustCompile(`LOG_LEVEL`)
)

// findVariables gives each variable that is read a value that no other has.
func (c *configuration) findVariables() {
	for _, f := range c.files {
		if f.tree == nil {
			continue
		}
		ast.Walk(visit(func(n ast.Node) {
			e, ok := n.(ast.Expr)
			if !ok || variable(e) == "" {
				return
			}
			name := variable(e)
			switch {
			case portName.MatchString(name):
				c.env[name] = "4317"
			case levelName.MatchString(name):
				c.env[name] = "info"
			default:
				c.env[name] = "value-of-" + strings.ToLower(strings.ReplaceAll(name, "_", "-"))
			}
		}), f.tree)
	}
}

// eval evaluates an expression that refers to no component.
func (c *configuration) eval(e ast.Expr, into any) error {
	if e == nil {
		return fmt.Errorf("there is no expression")
	}
	env := func(name string) string { return c.env[name] }
	return vm.New(e).Evaluate(&vm.Scope{Variables: map[string]any{"env": env, "sys": map[string]any{"env": env}}}, into)
}

// text is the value of an expression; "" if it has none that is known.
func (c *configuration) text(e ast.Expr) string {
	var out string
	if e == nil || c.eval(e, &out) != nil || unknowable(e) {
		return ""
	}
	return out
}

// unknowable reports whether a value depends on the program that evaluates it.
func unknowable(e ast.Expr) bool { return slices.Contains(accesses(e), "constants.version") }

// texts is a map of constants; what is not known is skipped.
func (c *configuration) texts(e ast.Expr) map[string]string {
	out := map[string]string{}
	if object, ok := e.(*ast.ObjectExpr); ok {
		for _, f := range object.Fields {
			var value string
			if c.eval(f.Value, &value) == nil && !unknowable(f.Value) {
				out[fieldName(f)] = value
			}
		}
	}
	return out
}

func fieldName(f *ast.ObjectField) string { return strings.Trim(f.Name.Name, `"`) }

// replace replaces a node by a text.
func (f *file) replace(n ast.Node, text string) {
	f.edits = append(f.edits, edit{ast.StartPos(n).Offset(), ast.EndPos(n).Offset() + 1, text})
}

// set sets an attribute of a block.
func (f *file) set(b *ast.BlockStmt, name, text string) {
	if have := attribute(b.Body, name); have != nil {
		f.replace(have, text)
		return
	}
	f.edits = append(f.edits, edit{b.LCurlyPos.Offset() + 1, b.LCurlyPos.Offset() + 1, "\n" + name + " = " + text + "\n"})
}

// edited is the text with all edits. Of two edits of the same place the first one
// counts.
func (f *file) edited() string {
	edits := slices.Clone(f.edits)
	slices.SortStableFunc(edits, func(a, b edit) int { return a.start - b.start })
	var b strings.Builder
	at := 0
	for _, e := range edits {
		if e.start < at {
			continue
		}
		b.WriteString(f.text[at:e.start])
		b.WriteString(e.text)
		at = e.end
	}
	b.WriteString(f.text[at:])
	return b.String()
}
