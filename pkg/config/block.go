package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/grafana/alloy/syntax/ast"
	"github.com/grafana/alloy/syntax/token"
	"github.com/grafana/alloy/syntax/vm"
)

// Block is a block at the top level of a configuration.
type Block struct {
	Name  string // such as "loki.write"
	Label string
	At    Range // its name, in the source
	// Line and EndLine are the first and the last line of the block.
	Line, EndLine int
	// Text is the block in the canonical layout, without comments.
	Text string

	file *file
	stmt *ast.BlockStmt
}

func newBlock(f *file, stmt *ast.BlockStmt) *Block {
	name := strings.Join(stmt.Name, ".")
	text, _ := render(stmt)
	start := stmt.NamePos
	b := &Block{
		Name: name, Label: stmt.Label, Text: string(text), file: f, stmt: stmt,
		At:      f.at(start.Position(), start.Add(len(name)-1).Position()),
		Line:    start.Position().Line,
		EndLine: stmt.RCurlyPos.Position().Line,
	}
	return b
}

// ID is how other blocks refer to b: its name and its label.
func (b *Block) ID() string {
	if b.Label == "" {
		return b.Name
	}
	return b.Name + "." + b.Label
}

// LabelAt is the position of the label, or of the name if there is no label.
func (b *Block) LabelAt() Range {
	if b.stmt.LabelPos == token.NoPos {
		return b.At
	}
	start := b.stmt.LabelPos
	return b.file.at(start.Position(), start.Add(len(b.Label)+1).Position())
}

// References are the values of other blocks that expressions in b refer to, in
// the order of the source.
func (b *Block) References() []Reference {
	var refs []Reference
	eachExpr(b.stmt.Body, func(e ast.Expr) { refs = append(refs, references(b.file, e)...) })
	return refs
}

// eachExpr calls f for the expression of every attribute in body.
func eachExpr(body ast.Body, f func(ast.Expr)) {
	for _, stmt := range body {
		switch stmt := stmt.(type) {
		case *ast.AttributeStmt:
			f(stmt.Value)
		case *ast.BlockStmt:
			eachExpr(stmt.Body, f)
		}
	}
}

// Hash is a digest of the block's text.
func (b *Block) Hash() string {
	sum := sha256.Sum256([]byte(b.Text))
	return hex.EncodeToString(sum[:])
}

// Fingerprint is a digest of the block's text and of what functions in it
// returned, which may differ from one time to the next: sys.env, above all.
// Two blocks of one fingerprint mean the same if what they refer to is the
// same. It must not be shown: it is derived from secrets.
func (b *Block) Fingerprint(l *Language) string {
	h := sha256.New()
	h.Write([]byte(b.Text))
	eachExpr(b.stmt.Body, func(e ast.Expr) {
		eachConstantCall(e, func(call *ast.CallExpr) {
			value, err := l.evaluate(call, nil)
			fmt.Fprintf(h, "\x00%#v\x00%v", value, err)
		})
	})
	return hex.EncodeToString(h.Sum(nil))
}

// eachConstantCall calls f for each outermost call in e that refers to no
// other block.
func eachConstantCall(e ast.Expr, f func(*ast.CallExpr)) {
	if call, ok := e.(*ast.CallExpr); ok && len(references(nil, call)) == 0 {
		f(call)
		return
	}
	for _, child := range children(e) {
		eachConstantCall(child, f)
	}
}

func children(e ast.Expr) []ast.Expr {
	switch e := e.(type) {
	case *ast.ArrayExpr:
		return e.Elements
	case *ast.ObjectExpr:
		var out []ast.Expr
		for _, field := range e.Fields {
			out = append(out, field.Value)
		}
		return out
	case *ast.AccessExpr:
		return []ast.Expr{e.Value}
	case *ast.IndexExpr:
		return []ast.Expr{e.Value, e.Index}
	case *ast.CallExpr:
		return append([]ast.Expr{e.Value}, e.Args...)
	case *ast.UnaryExpr:
		return []ast.Expr{e.Value}
	case *ast.BinaryExpr:
		return []ast.Expr{e.Left, e.Right}
	case *ast.ParenExpr:
		return []ast.Expr{e.Inner}
	}
	return nil
}

// Reference is a mention of a value of another block, such as
// loki.write.default.receiver.
type Reference struct {
	Path []string
	At   Range
}

// String is the path with its dots.
func (r Reference) String() string { return strings.Join(r.Path, ".") }

// references finds those in e. A name that the language itself defines, such
// as constants.hostname, is none.
func references(f *file, e ast.Expr) []Reference {
	if path := accessPath(e); path != nil {
		if (*vm.Scope)(nil).IsStdlibIdentifiers(path[0]) {
			return nil
		}
		r := Reference{Path: path}
		if f != nil {
			r.At = f.node(e)
		}
		return []Reference{r}
	}
	var refs []Reference
	for _, child := range children(e) {
		refs = append(refs, references(f, child)...)
	}
	return refs
}

// accessPath is the names of an expression like a.b.c or a.b["c"], or nil.
func accessPath(e ast.Expr) []string {
	switch e := e.(type) {
	case *ast.IdentifierExpr:
		return []string{e.Ident.Name}
	case *ast.AccessExpr:
		if path := accessPath(e.Value); path != nil {
			return append(slices.Clip(path), e.Name.Name)
		}
	case *ast.IndexExpr:
		literal, ok := e.Index.(*ast.LiteralExpr)
		if !ok || literal.Kind != token.STRING {
			return nil
		}
		name, err := strconv.Unquote(literal.Value)
		if path := accessPath(e.Value); path != nil && err == nil {
			return append(slices.Clip(path), name)
		}
	}
	return nil
}

// Attribute is an argument of a block that has not been evaluated.
type Attribute struct {
	Name string
	At   Range
	Expr *Expr
}

// Attributes are the arguments of b, in the order of the source.
func (b *Block) Attributes(l *Language) []Attribute {
	var out []Attribute
	for _, stmt := range b.stmt.Body {
		if a, ok := stmt.(*ast.AttributeStmt); ok {
			e := &Expr{file: b.file, expr: a.Value, refs: references(b.file, a.Value), language: l}
			out = append(out, Attribute{Name: a.Name.Name, At: b.file.node(a.Name), Expr: e})
		}
	}
	return out
}

// Blocks are the blocks directly in b, in the order of the source.
func (b *Block) Blocks() []*Block {
	var out []*Block
	for _, stmt := range b.stmt.Body {
		if inner, ok := stmt.(*ast.BlockStmt); ok {
			out = append(out, newBlock(b.file, inner))
		}
	}
	return out
}

// Without is b without the blocks of a name that are directly in it.
func (b *Block) Without(name string) *Block {
	stmt := *b.stmt
	stmt.Body = slices.DeleteFunc(slices.Clone(stmt.Body), func(s ast.Stmt) bool {
		inner, ok := s.(*ast.BlockStmt)
		return ok && strings.Join(inner.Name, ".") == name
	})
	less := newBlock(b.file, &stmt)
	less.Line, less.EndLine = b.Line, b.EndLine
	return less
}

// Contains reports whether r is within b.
func (b *Block) Contains(r Range) bool {
	return r.File == b.At.File && r.Line >= b.Line && r.Line <= b.EndLine
}
