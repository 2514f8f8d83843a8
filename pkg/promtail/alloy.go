package promtail

import (
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// block is a block of the configuration that is being made.
type block struct {
	name, label string
	line        int // of the file
	body        []item
}

// item is part of a block: a comment, an argument or a block.
type item struct {
	line       int
	comment    string
	name, expr string
	inner      *block
}

func newBlock(line int, name, label string) *block {
	return &block{name: name, label: label, line: line}
}

// set adds an argument.
func (b *block) set(line int, name, expr string) {
	b.body = append(b.body, item{line: line, name: name, expr: expr})
}

// add adds a block, and returns it.
func (b *block) add(line int, name string) *block {
	inner := newBlock(line, name, "")
	b.append(inner)
	return inner
}

func (b *block) append(inner *block) {
	b.body = append(b.body, item{line: inner.line, inner: inner})
}

// comment adds a comment.
func (b *block) comment(line int, text string) {
	b.body = append(b.body, item{line: line, comment: text})
}

// text, texts, pairs, flag, whole, time and size set an argument to what the file
// says under a name, if it does.
func (b *block) text(f *fields, name, argument string) string {
	value := f.text(name)
	if value != "" {
		b.set(f.line(name), argument, quote(value))
	}
	return value
}

// exact is text, but sets an empty text, too.
func (b *block) exact(f *fields, name, argument string) string {
	if f.take(name) == nil {
		return ""
	}
	value := f.text(name)
	b.set(f.line(name), argument, quote(value))
	return value
}

func (b *block) texts(f *fields, name, argument string) []string {
	values := f.texts(name)
	if values != nil {
		b.set(f.line(name), argument, list(values))
	}
	return values
}

func (b *block) pairs(f *fields, name, argument string) []entry {
	values := f.entries(name)
	if len(values) > 0 {
		b.set(f.line(name), argument, object(values))
	}
	return values
}

func (b *block) flag(f *fields, name, argument string, unset bool) bool {
	value := f.flag(name, unset)
	if value != unset {
		b.set(f.line(name), argument, strconv.FormatBool(value))
	}
	return value
}

func (b *block) whole(f *fields, name, argument string, unset int) int {
	value := f.integer(name, unset)
	if value != unset {
		b.set(f.line(name), argument, strconv.Itoa(value))
	}
	return value
}

func (b *block) number(f *fields, name, argument string) {
	if f.has(name) {
		b.set(f.line(name), argument, decimal(f.number(name, 0)))
	}
}

func (b *block) time(f *fields, name, argument string, unset time.Duration) time.Duration {
	value := f.duration(name, unset)
	if value != unset {
		b.set(f.line(name), argument, duration(value))
	}
	return value
}

// size sets an argument to a size such as "1MiB".
func (b *block) size(f *fields, name, argument string) {
	if f.has(name) {
		if size := f.bytes(name); size > 0 {
			b.set(f.line(name), argument, quote(size.String()))
		}
	}
}

func decimal(v float64) string {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if len(text) > 20 {
		text = strconv.FormatFloat(v, 'e', -1, 64)
	}
	return text
}

// duration is "1m30s", without parts that are 0.
func duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return strconv.Quote(text)
}

// quote is a text as an expression. One with backslashes, as regular expressions
// have them, is in backquotes, so that none need be doubled.
func quote(s string) string {
	var parts []string
	for s != "" {
		at := kept.FindStringSubmatchIndex(s)
		if at == nil {
			parts = append(parts, literal(s))
			break
		}
		if at[0] > 0 {
			parts = append(parts, literal(s[:at[0]]))
		}
		m := kept.FindStringSubmatch(s)
		variable := "sys.env(" + strconv.Quote(m[1]) + ")"
		if m[2] != "" {
			other, _ := hex.DecodeString(m[3])
			variable = "coalesce(" + variable + ", " + literal(string(other)) + ")"
		}
		parts = append(parts, variable)
		s = s[at[1]:]
	}
	if len(parts) == 0 {
		return `""`
	}
	return strings.Join(parts, " + ")
}

func literal(s string) string {
	if strings.ContainsAny(s, `\"`) && strconv.CanBackquote(s) {
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}

// list is a list of texts.
func list(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	return enclose("[", quoted, "]")
}

// maxWidth is how long a list or an object may be that is in one line.
const maxWidth = 90

// enclose writes parts in one line or, if that is too long, in one each.
func enclose(open string, parts []string, end string) string {
	short := open + strings.Join(parts, ", ") + end
	if len(short) <= maxWidth && !strings.Contains(short, "\n") {
		return short
	}
	return open + "\n" + strings.Join(parts, ",\n") + ",\n" + end
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// object is an object of texts.
func object(values []entry) string {
	parts := make([]string, len(values))
	for i, v := range values {
		name := v.name
		if !identifier.MatchString(name) || name == "true" || name == "false" || name == "null" {
			name = strconv.Quote(name)
		}
		parts[i] = name + " = " + quote(v.value)
	}
	return enclose("{", parts, "}")
}

// references is a list of references to other blocks.
func references(names []string) string { return enclose("[", names, "]") }

// printer writes blocks, and from which line of the file each line comes.
type printer struct {
	out     strings.Builder
	origins []int
}

// render writes blocks as text.
func render(blocks []*block) ([]byte, []int) {
	p := &printer{}
	for i, b := range blocks {
		if i > 0 {
			p.line(0, 0, "")
		}
		p.block(0, b)
	}
	return []byte(p.out.String()), p.origins
}

func (p *printer) line(depth, origin int, text string) {
	if text != "" {
		p.out.WriteString(strings.Repeat("\t", depth))
	}
	p.out.WriteString(text)
	p.out.WriteByte('\n')
	p.origins = append(p.origins, origin)
}

func (p *printer) block(depth int, b *block) {
	if b.name == "" { // comments alone
		for _, it := range b.body {
			p.comment(depth, it)
		}
		return
	}
	head := b.name
	if b.label != "" {
		head += " " + strconv.Quote(b.label)
	}
	if len(b.body) == 0 {
		p.line(depth, b.line, head+" { }")
		return
	}
	p.line(depth, b.line, head+" {")
	for i, it := range b.body {
		switch {
		case it.comment != "":
			p.comment(depth+1, it)
		case it.inner != nil:
			if i > 0 && b.body[i-1].comment == "" {
				p.line(0, 0, "")
			}
			p.block(depth+1, it.inner)
		default:
			if i > 0 && b.body[i-1].inner != nil {
				p.line(0, 0, "")
			}
			for j, text := range strings.Split(it.name+" = "+it.expr, "\n") {
				inner := depth + 1
				if j > 0 {
					inner++
				}
				p.line(inner, it.line, text)
			}
		}
	}
	p.line(depth, b.line, "}")
}

func (p *printer) comment(depth int, it item) {
	for line := range strings.SplitSeq(it.comment, "\n") {
		p.line(depth, it.line, strings.TrimRight("// "+line, " "))
	}
}

// lineOf is the line of a node; that of the command line has none.
func lineOf(n *yaml.Node) int {
	if n == nil {
		return 0
	}
	return n.Line
}
