package corpus

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/grafana/alloy/syntax/ast"
)

// stages follows the stages of a loki.process, or of a stage.match.
func (r *run) stages(k *known, body ast.Body) {
	for _, stmt := range body {
		if s, ok := stmt.(*ast.BlockStmt); ok {
			r.stage(k, body, s)
		}
	}
}

func (r *run) stage(k *known, body ast.Body, s *ast.BlockStmt) {
	values := attribute(s.Body, "values")
	switch s.GetBlockName() {
	case "stage.static_labels":
		for name, value := range r.c.texts(values) {
			k.set(name, value)
		}
	case "stage.json", "stage.logfmt":
		for _, f := range r.extractions(body, s) {
			if "stage."+k.form == s.GetBlockName() && !f.time {
				k.extracted[f.name] = k.token
			} else {
				delete(k.extracted, f.name)
			}
		}
	case "stage.template", "stage.replace":
		delete(k.extracted, r.c.text(attribute(s.Body, "source")))
	case "stage.regex":
		for _, m := range groups.FindAllStringSubmatch(r.c.text(attribute(s.Body, "expression")), -1) {
			delete(k.extracted, m[1])
		}
	case "stage.labels":
		for name, source := range r.mapping(values) {
			if value := k.extracted[source]; value != "" {
				k.set(name, value)
			} else {
				k.loosen(name)
			}
		}
	case "stage.structured_metadata":
		for name := range r.mapping(values) {
			k.loosen(name)
		}
	case "stage.label_drop", "stage.label_keep":
		var names []string
		_ = r.c.eval(values, &names)
		drops := s.GetBlockName() == "stage.label_drop"
		maps.DeleteFunc(k.labels, func(name, _ string) bool { return slices.Contains(names, name) == drops })
	case "stage.docker", "stage.cri":
		k.loosen("stream")
	case "stage.match":
		inner := &known{labels: map[string]string{}, loose: map[string]bool{}, extracted: map[string]string{}}
		r.stages(inner, s.Body)
		for name := range inner.labels {
			k.loosen(name)
		}
		for name := range inner.loose {
			k.loosen(name)
		}
	}
}

var groups = regexp.MustCompile(`\(\?P?<([^>]+)>`)

// mapping is an argument that maps names to sources, where nothing means the name.
func (r *run) mapping(e ast.Expr) map[string]string {
	out := map[string]string{}
	object, ok := e.(*ast.ObjectExpr)
	if !ok {
		return out
	}
	for _, f := range object.Fields {
		if out[fieldName(f)] = r.c.text(f.Value); out[fieldName(f)] == "" {
			out[fieldName(f)] = fieldName(f)
		}
	}
	return out
}

// extraction is a value that stage.json or stage.logfmt extracts.
type extraction struct {
	name   string
	keys   []string // where it is in the line
	time   bool     // a stage.timestamp reads it
	layout string
}

// simple is a path into an object.
var simple = regexp.MustCompile(`^("[^"]+"|[A-Za-z0-9_]+)(\.("[^"]+"|[A-Za-z0-9_]+))*$`)

// extractions are what a stage extracts from the line.
func (r *run) extractions(body ast.Body, s *ast.BlockStmt) []extraction {
	if r.c.text(attribute(s.Body, "source")) != "" {
		return nil
	}
	name := "expressions"
	if s.GetBlockName() == "stage.logfmt" {
		name = "mapping"
	}
	var out []extraction
	for name, expression := range r.mapping(attribute(s.Body, name)) {
		if !simple.MatchString(expression) {
			continue
		}
		x := extraction{name: name}
		for _, key := range regexp.MustCompile(`"[^"]+"|[A-Za-z0-9_]+`).FindAllString(expression, -1) {
			x.keys = append(x.keys, strings.Trim(key, `"`))
		}
		if s.GetBlockName() == "stage.logfmt" {
			// The key is what is mapped, the name comes from the left.
			x.keys = []string{expression}
		}
		for _, stamp := range children(body, "stage.timestamp") {
			if r.c.text(attribute(stamp.Body, "source")) == name {
				x.time, x.layout = true, layoutOf(r.c.text(attribute(stamp.Body, "format")))
			}
		}
		out = append(out, x)
	}
	return out
}

func layoutOf(format string) string {
	switch format {
	case "RFC3339":
		return time.RFC3339
	case "RFC3339Nano":
		return time.RFC3339Nano
	}
	return format
}

// form is a form in which lines are put into a source.
type form struct {
	name string
	line func(token string, n int) string
}

// forms are the forms of lines that the stages on the paths from b read. wrapped
// says that lines come as Docker or the CRI stores them.
func (r *run) forms(b *block, wrapped bool) []form {
	var stages []*ast.BlockStmt
	fields := map[string][]extraction{}
	var add func(body ast.Body)
	add = func(body ast.Body) {
		for _, stmt := range body {
			s, ok := stmt.(*ast.BlockStmt)
			if !ok {
				continue
			}
			stages = append(stages, s)
			if kind := s.GetBlockName(); kind == "stage.json" || kind == "stage.logfmt" {
				fields[kind] = append(fields[kind], r.extractions(body, s)...)
			}
			add(s.Body)
		}
	}
	for _, all := range r.c.paths(b, "logs") {
		for _, p := range all {
			for _, step := range p {
				if step.kind == "loki.process" {
					add(step.body)
				}
			}
		}
	}
	out := []form{{"", func(token string, n int) string { return fmt.Sprintf("%s line %d", token, n) }}}
	if x := fields["stage.json"]; len(x) > 0 {
		out = append(out, form{"json", func(token string, n int) string { return jsonLine(x, token, n) }})
	}
	if x := fields["stage.logfmt"]; len(x) > 0 {
		out = append(out, form{"logfmt", func(token string, n int) string { return logfmtLine(x, token, n) }})
	}
	has := func(kind string) bool {
		return slices.ContainsFunc(stages, func(s *ast.BlockStmt) bool { return s.GetBlockName() == kind })
	}
	for i := range out {
		inner := out[i].line
		switch {
		case wrapped && has("stage.docker"):
			out[i].line = func(token string, n int) string {
				line, _ := json.Marshal(map[string]string{"log": inner(token, n) + "\n", "stream": "stdout", "time": time.Now().UTC().Format(time.RFC3339Nano)})
				return string(line)
			}
		case wrapped && has("stage.cri"):
			out[i].line = func(token string, n int) string {
				return time.Now().UTC().Format(time.RFC3339Nano) + " stdout F " + inner(token, n)
			}
		}
	}
	return out
}

func (x extraction) value(token string) string {
	if x.time {
		return time.Now().UTC().Format(x.layout)
	}
	return token
}

func jsonLine(fields []extraction, token string, n int) string {
	object := map[string]any{"n": n, "corpus": token}
	for _, x := range fields {
		at := object
		for _, key := range x.keys[:len(x.keys)-1] {
			next, ok := at[key].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[key] = next
			}
			at = next
		}
		last := x.keys[len(x.keys)-1]
		if _, isObject := at[last].(map[string]any); !isObject {
			at[last] = x.value(token)
		}
	}
	line, _ := json.Marshal(object) // strings, numbers and maps
	return string(line)
}

func logfmtLine(fields []extraction, token string, n int) string {
	line := fmt.Sprintf("corpus=%s n=%d", token, n)
	seen := map[string]bool{}
	for _, x := range fields {
		if key := x.keys[0]; !seen[key] {
			seen[key] = true
			line += fmt.Sprintf(" %s=%q", key, x.value(token))
		}
	}
	return line
}
