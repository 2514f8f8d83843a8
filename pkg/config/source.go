// Package config is the configuration language: it reads, evaluates and
// decodes Alloy's syntax, and says what is wrong with a configuration and
// where. It is the only importer of the language's own packages.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"collector/pkg/component"

	"github.com/grafana/alloy/syntax/ast"
	"github.com/grafana/alloy/syntax/parser"
	"github.com/grafana/alloy/syntax/printer"
	"github.com/grafana/alloy/syntax/scanner"
	"github.com/grafana/alloy/syntax/token"
)

// Source is one file of a configuration.
type Source struct {
	Name string // for messages; a path, usually
	Text []byte
	// Original says that the text is a YAML file that others were made of, for
	// people who know that one. It is shown, and not parsed.
	Original bool
	// Notes are the diagnostics of an original.
	Notes Diagnostics
}

// At is a place in the source, as the caller knows it; a line of 0 is the file. A
// column of 0 is where the line's text begins, and a length of 0 reaches to its end.
func (s Source) At(line, column, length int) Range {
	r := Range{File: s.Name, Line: line, Column: max(column, 1), EndLine: line}
	text := string(normalize(s.Text))
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return Range{File: s.Name}
	}
	if column < 1 {
		r.Column = 1 + len(lines[line-1]) - len(strings.TrimLeft(lines[line-1], " \t"))
	}
	r.text, r.lines = lines[line-1], &excerpts{source: text, original: s.Original}
	r.EndColumn = min(r.Column+length-1, len(r.text))
	if length == 0 {
		r.EndColumn = len(r.text)
	}
	return r
}

// Sources returns the files of a module as sources.
func Sources(files []component.ModuleFile) []Source {
	sources := make([]Source, len(files))
	for i, f := range files {
		sources[i] = Source{Name: f.Name, Text: f.Text}
	}
	return sources
}

// maxSource bounds one file: what is larger is no configuration, and would
// cost the program its memory.
const maxSource = 32 << 20

// Read reads the file at path or, if path is a directory, each *.alloy file
// directly in it, sorted by name.
func Read(path string) ([]Source, error) { return read(path, readFile) }

// ReadAgain is Read of a path that has been read before. A pipe is not waited
// for as it is the first time: without a writer it is empty, and one whose writer
// says nothing is an error.
func ReadAgain(path string) ([]Source, error) { return readAgain(path, pipeTime) }

// ErrNotRegular is Peek's for what reading would use up, such as a pipe.
var ErrNotRegular = errors.New("not a regular file")

// Peek is Read of regular files alone, so that it has no effect and waits for
// nobody.
func Peek(path string) ([]Source, error) {
	return read(path, func(name string) (Source, error) {
		info, err := os.Stat(name)
		if err != nil {
			return Source{}, err
		}
		if !info.Mode().IsRegular() {
			return Source{}, fmt.Errorf("%q: %w", name, ErrNotRegular)
		}
		return readFileAgain(name, pipeTime)
	})
}

// pipeTime is how long a pipe may keep a reload waiting for its text.
const pipeTime = 5 * time.Second

func readAgain(path string, wait time.Duration) ([]Source, error) {
	return read(path, func(name string) (Source, error) { return readFileAgain(name, wait) })
}

func read(path string, readFile func(string) (Source, error)) ([]Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	names := []string{path}
	if info.IsDir() {
		if names, err = filesIn(path); err != nil {
			return nil, err
		}
	}
	var sources []Source
	for _, name := range names {
		s, err := readFile(name)
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		sources = append(sources, s)
	}
	return sources, nil
}

func readFile(name string) (Source, error) {
	f, err := os.Open(name)
	if err != nil {
		return Source{}, err
	}
	return readAll(name, f)
}

func readFileAgain(name string, wait time.Duration) (Source, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Source{}, err
	}
	_ = f.SetReadDeadline(time.Now().Add(wait)) // regular files have none, and need none
	s, err := readAll(name, f)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%q is a pipe or a terminal that was not closed within %s: load the configuration from a regular file", name, wait)
	}
	return s, err
}

// readAll reads and closes f.
func readAll(name string, f *os.File) (Source, error) {
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err == nil && len(text) > maxSource {
		err = fmt.Errorf("%q is larger than %d MiB", name, maxSource>>20)
	}
	return Source{Name: name, Text: text}, err
}

func filesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	var names []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".alloy" && !e.IsDir() {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("read configuration: directory %q has no file whose name ends in .alloy", dir)
	}
	return names, nil
}

// file is a parsed source.
type file struct {
	name  string
	lines []string
	shown *excerpts
	tree  *ast.File
}

// Document is a parsed configuration: the top-level blocks of all its files.
type Document struct {
	Blocks []*Block
	// Complete is false when a file could not be parsed, so that there may be
	// more blocks than these.
	Complete bool
}

// Parse parses sources. It reports every syntax error of every one, and
// returns the blocks of those that have none. Of originals it reports the notes.
func Parse(sources []Source) (*Document, Diagnostics) {
	doc := &Document{Complete: true}
	var all Diagnostics
	for _, s := range sources {
		if s.Original {
			all = append(all, s.Notes...)
			continue
		}
		f, ds := parseFile(s)
		all = append(all, ds...)
		if f.tree == nil {
			doc.Complete = false
			continue
		}
		for _, stmt := range f.tree.Body {
			switch stmt := stmt.(type) {
			case *ast.BlockStmt:
				doc.Blocks = append(doc.Blocks, newBlock(f, stmt))
			case *ast.AttributeStmt:
				at := f.node(stmt.Name)
				at.secret = true // nobody knows what it is
				all = append(all, Diagnostic{At: at, Message: fmt.Sprintf(
					"argument %q is outside of any block; only blocks are allowed at the top level", stmt.Name.Name)})
			}
		}
	}
	return doc, all
}

func parseFile(s Source) (*file, Diagnostics) {
	text := normalize(s.Text)
	f := &file{name: s.Name, lines: strings.Split(string(text), "\n"), shown: &excerpts{source: string(text)}}
	if ds := f.notText(text); ds != nil {
		return f, ds
	}
	if at, message := tooDeep(text); message != "" {
		return f, Diagnostics{{At: f.at(at, at), Message: message}}
	}
	tree, err := parser.ParseFile(s.Name, text)
	if err != nil {
		return f, f.syntaxErrors(err)
	}
	f.tree = tree
	return f, nil
}

// normalize removes what Windows editors add: a byte order mark and carriage returns
// before line feeds. Positions within lines stay.
func normalize(text []byte) []byte {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
}

// The parser, the printer and the evaluator are recursive, and a stack that
// overflows cannot be recovered from.
const (
	maxNesting   = 200
	maxOperators = 5000
)

// tooDeep finds the place where text nests deeper than any configuration that
// a person or a program would write.
func tooDeep(text []byte) (token.Position, string) {
	tokens := token.NewFile("")
	s := scanner.New(tokens, text, nil, 0)
	depth, operators := 0, 0
	for {
		pos, tok, _ := s.Scan()
		switch tok {
		case token.EOF:
			return token.Position{}, ""
		case token.LCURLY, token.LBRACK, token.LPAREN:
			depth++
			operators++
		case token.RCURLY, token.RBRACK, token.RPAREN:
			depth--
		case token.TERMINATOR, token.COMMA:
			operators = 0
		default:
			if tok == token.NOT || tok == token.DOT || tok.BinaryPrecedence() > 0 {
				operators++
			}
		}
		if depth > maxNesting {
			return tokens.PositionFor(pos), fmt.Sprintf("brackets are nested more than %d levels deep", maxNesting)
		}
		if operators > maxOperators {
			return tokens.PositionFor(pos), fmt.Sprintf("a statement has more than %d operators", maxOperators)
		}
	}
}

// node is the position of n.
func (f *file) node(n ast.Node) Range {
	return f.at(ast.StartPos(n).Position(), ast.EndPos(n).Position())
}

func (f *file) at(start, end token.Position) Range {
	r := Range{File: f.name, Line: start.Line, Column: start.Column, EndLine: end.Line, EndColumn: end.Column}
	if end.Line == 0 {
		r.EndLine, r.EndColumn = r.Line, r.Column
	}
	if r.Line >= 1 && r.Line <= len(f.lines) {
		r.text, r.lines = f.lines[r.Line-1], f.shown
	}
	return r
}

// Format returns a source in the canonical layout.
func Format(s Source) ([]byte, error) {
	f, ds := parseFile(s)
	if f.tree == nil {
		return nil, ds
	}
	text, err := render(f.tree)
	if err != nil {
		return nil, fmt.Errorf("format %s: %w", s.Name, err)
	}
	if text = bytes.TrimRight(text, "\n"); len(text) == 0 {
		return nil, nil
	}
	return append(text, '\n'), nil
}

func render(n ast.Node) (text []byte, err error) {
	var b bytes.Buffer
	err = guard(func() error { return printer.Fprint(&b, n) })
	return b.Bytes(), err
}

// guard turns a panic of the language's own packages into an error: what a
// user writes must never end the program.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return f()
}
