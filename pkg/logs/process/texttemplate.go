package process

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
)

// textTemplate is a template over texts that have names. One that has nothing but
// values, conditions and the usual functions of texts, as nearly all have, is run by
// its program, which needs neither reflection nor a map of all values; any other by
// text/template. The result is the same. It is not safe for concurrent use.
type textTemplate struct {
	library *template.Template
	program []templateNode // nil: only the library can run it

	data map[string]any // for the library; reused
	out  bytes.Buffer   // of the library; reused
	buf  []byte         // of the program; reused
}

// keptTemplate is the largest result whose memory is kept for the next.
const keptTemplate = 64 << 10

// newTextTemplate parses a template.
func newTextTemplate(text string) (*textTemplate, error) {
	library, err := parseTemplate(text)
	if err != nil {
		return nil, err
	}
	t := &textTemplate{library: library, data: make(map[string]any)}
	if library.Tree != nil {
		t.program, _ = compileList(library.Root)
	}
	return t, nil
}

// templateInput is what a template can name: the extracted values, and two more.
type templateInput struct {
	extracted       *Extracted
	entry, value    string
	isEntry, isText bool // entry and value can be named, as Entry and Value

	args []templateValue // of the functions that run; reused
}

func (in *templateInput) text(name string) (string, bool) {
	switch {
	case in.isEntry && name == "Entry":
		return in.entry, true
	case in.isText && name == "Value":
		return in.value, true
	}
	return in.extracted.Text(name)
}

// execute returns what the template makes; ok is false if it fails. The result is
// valid until the next call.
func (t *textTemplate) execute(in *templateInput) (out []byte, ok bool) {
	if t.program == nil {
		err := t.executeLibrary(in)
		return t.out.Bytes(), err == nil
	}
	if cap(t.buf) > keptTemplate {
		t.buf = nil
	}
	in.args = in.args[:0]
	t.buf, ok = run(t.program, in, t.buf[:0])
	return t.buf, ok
}

// executeLibrary runs the template by text/template, into t.out.
func (t *textTemplate) executeLibrary(in *templateInput) error {
	clear(t.data)
	in.extracted.Range(func(name string, v Value) {
		if text, ok := v.String(); ok {
			t.data[name] = text
		}
	})
	if in.isEntry {
		t.data["Entry"] = in.entry
	}
	if in.isText {
		t.data["Value"] = in.value
	}
	t.out.Reset()
	return t.library.Execute(&t.out, t.data)
}

// templateNode appends what it makes to out; ok is false if it fails.
type templateNode func(in *templateInput, out []byte) (_ []byte, ok bool)

// templateExpression is a value that a template computes; ok is false if it fails.
type templateExpression func(in *templateInput) (_ templateValue, ok bool)

// templateValue is a text, a number or a bool; its zero is the value of a name that
// nothing has.
type templateValue struct {
	kind   templateKind
	text   string
	number int // also of a bool: 0 or 1
}

type templateKind byte

const (
	noValue templateKind = iota
	textValue
	numberValue
	boolValue
)

func textOf(s string) templateValue { return templateValue{kind: textValue, text: s} }

func boolOf(b bool) templateValue {
	v := templateValue{kind: boolValue}
	if b {
		v.number = 1
	}
	return v
}

// truth is what a condition makes of the value.
func (v templateValue) truth() bool { return v.text != "" || v.number != 0 }

// appendTo appends the value as the library prints it.
func (v templateValue) appendTo(out []byte) []byte {
	switch v.kind {
	case textValue:
		return append(out, v.text...)
	case numberValue:
		return strconv.AppendInt(out, int64(v.number), 10)
	case boolValue:
		return strconv.AppendBool(out, v.number != 0)
	}
	return append(out, "<no value>"...)
}

func run(nodes []templateNode, in *templateInput, out []byte) (_ []byte, ok bool) {
	ok = true
	for _, node := range nodes {
		if out, ok = node(in, out); !ok {
			break
		}
	}
	return out, ok
}

// compileList makes a program; ok is false if it has something that only the library
// can do.
func compileList(list *parse.ListNode) (program []templateNode, ok bool) {
	program = []templateNode{}
	if list == nil {
		return program, true
	}
	for _, n := range list.Nodes {
		node, ok := compileNode(n)
		if !ok {
			return nil, false
		}
		program = append(program, node)
	}
	return program, true
}

func compileNode(n parse.Node) (templateNode, bool) {
	switch n := n.(type) {
	case *parse.TextNode:
		return func(_ *templateInput, out []byte) ([]byte, bool) { return append(out, n.Text...), true }, true
	case *parse.ActionNode:
		value := compilePipe(n.Pipe)
		return func(in *templateInput, out []byte) ([]byte, bool) {
			v, ok := value(in)
			return v.appendTo(out), ok
		}, value != nil
	case *parse.IfNode:
		condition := compilePipe(n.Pipe)
		then, ok := compileList(n.List)
		otherwise, okElse := compileList(n.ElseList)
		return func(in *templateInput, out []byte) ([]byte, bool) {
			v, ok := condition(in)
			switch {
			case !ok:
				return out, false
			case v.truth():
				return run(then, in, out)
			}
			return run(otherwise, in, out)
		}, condition != nil && ok && okElse
	}
	return nil, false
}

// compilePipe is nil if only the library can do it, as are the functions below.
func compilePipe(pipe *parse.PipeNode) templateExpression {
	if len(pipe.Decl) > 0 {
		return nil
	}
	var value templateExpression
	for i, command := range pipe.Cmds {
		if value = compileCommand(command.Args, value); value == nil || i > 0 && len(command.Args) == 0 {
			return nil
		}
	}
	return value
}

// compileCommand compiles a value alone, or a function with its arguments, of which
// the last may be what a command before it in the pipe makes.
func compileCommand(args []parse.Node, last templateExpression) templateExpression {
	name, isFunction := args[0].(*parse.IdentifierNode)
	if !isFunction {
		if len(args) > 1 || last != nil {
			return nil
		}
		return compileOperand(args[0])
	}
	var operands []templateExpression
	for _, n := range args[1:] {
		operand := compileOperand(n)
		if operand == nil {
			return nil
		}
		operands = append(operands, operand)
	}
	if name.Ident == "and" || name.Ident == "or" {
		return compileChoice(name.Ident == "or", operands, last)
	}
	if last != nil {
		operands = append(operands, last)
	}
	return compileCall(name.Ident, operands)
}

func compileOperand(n parse.Node) templateExpression {
	switch n := n.(type) {
	case *parse.FieldNode:
		if len(n.Ident) != 1 {
			return nil
		}
		return func(in *templateInput) (templateValue, bool) {
			text, ok := in.text(n.Ident[0])
			if !ok {
				return templateValue{}, true
			}
			return textOf(text), true
		}
	case *parse.StringNode:
		return constant(textOf(n.Text))
	case *parse.NumberNode:
		// Others than plain ones may be of other types.
		if !n.IsInt || strconv.FormatInt(n.Int64, 10) != n.Text {
			return nil
		}
		return constant(templateValue{kind: numberValue, number: int(n.Int64)})
	case *parse.PipeNode:
		return compilePipe(n)
	}
	return nil
}

func constant(v templateValue) templateExpression {
	return func(*templateInput) (templateValue, bool) { return v, true }
}

// compileChoice is the first value that is true, or for "and" the first that isn't;
// else the last. What comes through a pipe is the last, and is made in any case.
func compileChoice(wanted bool, operands []templateExpression, piped templateExpression) templateExpression {
	if len(operands) == 0 {
		return piped
	}
	return func(in *templateInput) (v templateValue, ok bool) {
		var last templateValue
		if piped != nil {
			if last, ok = piped(in); !ok {
				return v, false
			}
		}
		for _, operand := range operands {
			if v, ok = operand(in); !ok || v.truth() == wanted {
				return v, ok
			}
		}
		if piped != nil {
			return last, true
		}
		return v, true
	}
}

func compileCall(name string, operands []templateExpression) templateExpression {
	f, known := quickFunctions()[name]
	n := len(operands)
	if !known || n < len(f.takes) || n > len(f.takes) && !f.more {
		return nil
	}
	takes := slices.Clone([]templateKind(f.takes))
	for len(takes) < n {
		takes = append(takes, noValue)
	}
	return func(in *templateInput) (out templateValue, ok bool) {
		first := len(in.args)
		for i, operand := range operands {
			v, ok := operand(in)
			if !ok || takes[i] != noValue && v.kind != takes[i] {
				return out, false
			}
			in.args = append(in.args, v)
		}
		out, ok = f.call(in.args[first:])
		in.args = in.args[:first]
		return out, ok
	}
}

// quickFunction is a function of the library's.
type quickFunction struct {
	takes []templateKind // of the arguments; noValue: any
	more  bool           // there may be more arguments, of any kind
	call  func(args []templateValue) (_ templateValue, ok bool)
}

// quickFunctions are the functions that a program can call, with what they do in
// text/template, in Sprig or in Alloy.
func quickFunctions() map[string]quickFunction {
	one := func(f func(string) string) quickFunction {
		return quickFunction{[]templateKind{textValue}, false, func(a []templateValue) (templateValue, bool) { return textOf(f(a[0].text)), true }}
	}
	two := func(f func(a, b string) string) quickFunction {
		return quickFunction{[]templateKind{textValue, textValue}, false, func(a []templateValue) (templateValue, bool) {
			return textOf(f(a[0].text, a[1].text)), true
		}}
	}
	test := func(f func(text, part string) bool) quickFunction {
		return quickFunction{[]templateKind{textValue, textValue}, false, func(a []templateValue) (templateValue, bool) {
			return boolOf(f(a[1].text, a[0].text)), true
		}}
	}
	return map[string]quickFunction{
		"ToLower": one(strings.ToLower), "ToUpper": one(strings.ToUpper), "TrimSpace": one(strings.TrimSpace),
		"lower": one(strings.ToLower), "upper": one(strings.ToUpper), "trim": one(strings.TrimSpace),
		"Trim": two(strings.Trim), "TrimLeft": two(strings.TrimLeft), "TrimRight": two(strings.TrimRight),
		"TrimPrefix": two(strings.TrimPrefix), "TrimSuffix": two(strings.TrimSuffix),
		"Hash": two(hash), "Sha2Hash": two(sha2Hash),
		"contains": test(strings.Contains), "hasPrefix": test(strings.HasPrefix), "hasSuffix": test(strings.HasSuffix),
		"Replace": {[]templateKind{textValue, textValue, textValue, numberValue}, false, func(a []templateValue) (templateValue, bool) {
			return textOf(strings.Replace(a[0].text, a[1].text, a[2].text, a[3].number)), true
		}},
		"eq":  {[]templateKind{noValue, noValue}, true, equal},
		"not": {[]templateKind{noValue}, false, func(a []templateValue) (templateValue, bool) { return boolOf(!a[0].truth()), true }},
		"default": {[]templateKind{noValue, noValue}, false, func(a []templateValue) (templateValue, bool) {
			if a[1].truth() {
				return a[1], true
			}
			return a[0], true
		}},
	}
}

// equal reports whether the first argument is one of the others. Values of different
// kinds can't be compared.
func equal(args []templateValue) (templateValue, bool) {
	for _, other := range args[1:] {
		switch {
		case args[0] == other:
			return boolOf(true), true
		case args[0].kind != other.kind && args[0].kind != noValue && other.kind != noValue:
			return templateValue{}, false
		}
	}
	return boolOf(false), true
}
