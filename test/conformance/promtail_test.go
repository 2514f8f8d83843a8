//go:build integration

package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/alloy/syntax/ast"
	"github.com/grafana/alloy/syntax/parser"
	"github.com/grafana/alloy/syntax/vm"
	"go.yaml.in/yaml/v3"
)

// TestCasesAsPromtailFiles runs the recorded cases of logs with their
// configurations rewritten as Promtail files, where Promtail has what they need.
// The output is the same.
func TestCasesAsPromtailFiles(t *testing.T) {
	cases, err := Load(filepath.Join("testdata", "cases"))
	if err != nil {
		t.Fatal(err)
	}
	differences := readDifferences(t)
	later := newMarks(t)
	run := 0
	for _, c := range cases {
		if !strings.HasPrefix(c.Name, "loki.") || differences[c.Name] != "" {
			continue
		}
		_, err := asPromtail(&c, nowhere)
		if why := unlikeAlloy[c.Name]; why != "" {
			err = errors.New(why)
		}
		if err == nil {
			run++
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if err != nil {
				t.Skipf("Promtail has no %v", err)
			}
			c.rewrite = asPromtail
			c.withWholePaths()
			if missing := later.missing(t, &c); len(missing) > 0 {
				t.Skipf("it needs %s", strings.Join(missing, ", "))
			}
			if diff := c.run(t); diff != "" {
				text, _ := asPromtail(&c, nowhere)
				t.Errorf("%s\n%s\n(-Alloy +collector):\n%s", c.About, text, diff)
			}
		})
	}
	if t.Logf("%d cases are rewritten", run); run < 122 {
		t.Errorf("only %d cases are rewritten", run)
	}
}

// unlikeAlloy are cases in which Promtail differs from Alloy: features that it does not
// have.
var unlikeAlloy = map[string]string{
	"loki.process/refused-drop-size": "need of a unit in sizes",
	"loki.source.api/tenant":         "tenants in the labels of pushes",
}

var relativePath = regexp.MustCompile(`filename="(\w)`)

// withWholePaths makes the paths of files whole, as they are in Promtail.
func (c *Case) withWholePaths() {
	var whole func(v any) any
	whole = func(v any) any {
		switch v := v.(type) {
		case string:
			return relativePath.ReplaceAllString(v, `filename="@DIR@/$1`)
		case []any:
			out := make([]any, len(v))
			for i := range v {
				out[i] = whole(v[i])
			}
			return out
		case map[string]any:
			out := object{}
			for key, value := range v {
				out[key] = whole(value)
			}
			return out
		}
		return v
	}
	c.Output = whole(c.Output).(object)
	for name, text := range c.Files {
		if strings.HasPrefix(text, "positions:\n") {
			c.Files[name] = strings.ReplaceAll(text, "  logs/", "  @DIR@/logs/")
		}
	}
}

// nowhere is for a configuration that is only inspected.
var nowhere = place{port: 1000, port2: 2000, out: "http://127.0.0.1:1/case", grpc: "127.0.0.1:1", dir: "/nowhere"}

// object is a mapping of YAML.
type object = map[string]any

// rewriter makes a Promtail file of a case's blocks.
type rewriter struct {
	c      *Case
	p      place
	blocks map[string]*ast.BlockStmt // by id
	file   object
	jobs   []object
	first  string // the component that is first in the case
	writer string // at the end of every pipeline
}

// asPromtail is a case's configuration as a Promtail file. The error names what
// Promtail does not have.
func asPromtail(c *Case, p place) (string, error) {
	tree, err := parser.ParseFile("case", []byte(p.fill(c.Config)))
	if err != nil {
		return "", errors.New("such syntax")
	}
	r := &rewriter{c: c, p: p, blocks: map[string]*ast.BlockStmt{}, file: object{}}
	var sources []*ast.BlockStmt
	for _, stmt := range tree.Body {
		b, ok := stmt.(*ast.BlockStmt)
		if !ok {
			return "", errors.New("arguments outside of blocks")
		}
		name := strings.Join(b.Name, ".")
		r.blocks[name+"."+b.Label] = b
		if r.first == "" {
			r.first = name + "." + b.Label
		}
		if strings.HasPrefix(name, "loki.source.") {
			sources = append(sources, b)
		}
	}
	if slices.ContainsFunc(c.SelfMetrics, func(name string) bool { return !strings.Contains(name, "loki_process_") }) {
		return "", errors.New("metrics of other components than loki.process")
	}
	r.file["positions"] = object{"filename": filepath.Join(p.dir, "positions.yaml")}
	if err := r.jobsOf(sources); err != nil {
		return "", err
	}
	if err := r.clients(); err != nil {
		return "", err
	}
	r.file["scrape_configs"] = r.jobs
	text, err := yaml.Marshal(r.file)
	return string(text), err
}

func (r *rewriter) jobsOf(sources []*ast.BlockStmt) error {
	if r.c.Source.Kind == "loki" {
		var to []string
		if err := json.Unmarshal(r.c.Source.ForwardTo, &to); err != nil || len(sources) > 0 {
			return errors.New("two sources of one pipeline")
		}
		job := object{"loki_push_api": object{
			"use_incoming_timestamp": true,
			"server":                 object{"http_listen_address": "127.0.0.1", "http_listen_port": r.p.port + sourcePort, "grpc_listen_port": 0},
		}}
		return r.job(job, "source", to)
	}
	if len(sources) == 0 && r.c.Refused() {
		return r.job(object{"loki_push_api": object{}}, "source", []string{r.first + ".receiver"})
	}
	if len(sources) == 0 {
		return errors.New("pipelines without a source")
	}
	for _, b := range sources {
		job, to, err := r.source(b)
		if err != nil {
			return err
		}
		if err := r.job(job, b.Label, to); err != nil {
			return err
		}
	}
	return nil
}

// job completes a job with what its source forwards to.
func (r *rewriter) job(job object, name string, to []string) error {
	var stages []any
	for {
		if len(to) != 1 {
			return errors.New("pipelines that fork")
		}
		id := strings.TrimSuffix(to[0], ".receiver")
		kind := id[:strings.LastIndexByte(id, '.')]
		b := r.blocks[id]
		switch {
		case kind == "loki.write":
			if len(stages) > 0 {
				job["pipeline_stages"] = stages
			}
			if r.writer != "" && r.writer != id {
				return errors.New("writers of single pipelines")
			}
			job["job_name"], r.writer = name, id
			r.jobs = append(r.jobs, job)
			return nil
		case b == nil:
			return fmt.Errorf("component %s", id)
		case kind == "loki.process" && stages == nil:
			if !slices.ContainsFunc(r.jobs, func(j object) bool { return j["job_name"] == b.Label }) {
				name = b.Label
			}
			made, err := stagesOf(b.Body)
			if err != nil {
				return err
			}
			stages = append([]any{}, made...)
		case kind == "loki.relabel" && stages == nil && job["relabel_configs"] == nil && job["static_configs"] == nil:
			if err := r.relabel(job, b); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s at that place", kind)
		}
		next, err := forwardTo(b)
		if err != nil {
			return err
		}
		to = next
	}
}

// body is the arguments of a block, evaluated, but for references, and its blocks.
func body(stmts ast.Body) (arguments object, blocks []*ast.BlockStmt, err error) {
	arguments = object{}
	for _, stmt := range stmts {
		switch s := stmt.(type) {
		case *ast.BlockStmt:
			blocks = append(blocks, s)
		case *ast.AttributeStmt:
			if _, twice := arguments[s.Name.Name]; twice {
				return nil, nil, errors.New("arguments that are set twice")
			}
			var value any
			if err := vm.New(s.Value).Evaluate(nil, &value); err != nil {
				value = nil
			}
			arguments[s.Name.Name] = value
		}
	}
	return arguments, blocks, nil
}

var reference = regexp.MustCompile(`^[a-z_.]+\.[a-z0-9_]+\.receiver$`)

// forwardTo is what a block forwards to.
func forwardTo(b *ast.BlockStmt) ([]string, error) {
	for _, stmt := range b.Body {
		a, ok := stmt.(*ast.AttributeStmt)
		if !ok || a.Name.Name != "forward_to" {
			continue
		}
		list, ok := a.Value.(*ast.ArrayExpr)
		if !ok {
			return nil, errors.New("such receivers")
		}
		var to []string
		for _, e := range list.Elements {
			path := pathOf(e)
			if !reference.MatchString(path) {
				return nil, errors.New("such receivers")
			}
			to = append(to, path)
		}
		return to, nil
	}
	return nil, errors.New("pipelines without an end")
}

func pathOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.IdentifierExpr:
		return e.Ident.Name
	case *ast.AccessExpr:
		return pathOf(e.Value) + "." + e.Name.Name
	}
	return ""
}

// renamed are the arguments in a that Promtail has under other names, and those that
// it has under the same; others are an error.
func renamed(a object, names string) (object, error) {
	out := object{}
	for name, value := range a {
		found := false
		for pair := range strings.FieldsSeq(names) {
			from, to, other := strings.Cut(pair, ":")
			if found = from == name; found {
				if !other {
					to = from
				}
				if to != "" {
					out[to] = value
				}
				break
			}
		}
		if !found {
			return nil, fmt.Errorf("argument %s there", name)
		}
	}
	return out, nil
}

func (r *rewriter) relabel(job object, b *ast.BlockStmt) error {
	arguments, blocks, err := body(b.Body)
	if err != nil {
		return err
	}
	if _, err := renamed(arguments, "forward_to:"); err != nil {
		return err
	}
	var rules []any
	for _, rule := range blocks {
		a, _, err := body(rule.Body)
		if err != nil {
			return err
		}
		if a, err = renamed(a, "source_labels separator regex modulus target_label replacement action"); err != nil {
			return err
		}
		rules = append(rules, a)
	}
	job["relabel_configs"] = rules
	return nil
}

// source is a job that reads what a source reads.
func (r *rewriter) source(b *ast.BlockStmt) (job object, to []string, err error) {
	arguments, blocks, err := body(b.Body)
	if err != nil {
		return nil, nil, err
	}
	if to, err = forwardTo(b); err != nil {
		return nil, nil, err
	}
	job = object{}
	if rules := ruleSource(b); rules != nil {
		if relabel := r.blocks[strings.TrimSuffix(*rules, ".rules")]; relabel == nil {
			return nil, nil, errors.New("such rules")
		} else if err := r.relabel(job, relabel); err != nil {
			return nil, nil, err
		}
	}
	switch name := strings.Join(b.Name, "."); name {
	case "loki.source.api":
		err = r.pushAPI(job, arguments, blocks)
	case "loki.source.file":
		err = r.files(job, arguments, blocks)
	case "loki.source.syslog":
		err = r.syslog(job, arguments, blocks)
	default:
		err = fmt.Errorf("component %s", name)
	}
	return job, to, err
}

func ruleSource(b *ast.BlockStmt) *string {
	for _, stmt := range b.Body {
		if a, ok := stmt.(*ast.AttributeStmt); ok && a.Name.Name == "relabel_rules" {
			path := pathOf(a.Value)
			return &path
		}
	}
	return nil
}

func (r *rewriter) pushAPI(job, arguments object, blocks []*ast.BlockStmt) error {
	push, err := renamed(arguments, "labels use_incoming_timestamp forward_to: relabel_rules:")
	if err != nil {
		return err
	}
	for _, b := range blocks {
		a, inner, err := body(b.Body)
		if err != nil || b.GetBlockName() != "http" || len(inner) > 0 {
			return errors.New("such servers")
		}
		if push["server"], err = renamed(a, "listen_address:http_listen_address listen_port:http_listen_port"); err != nil {
			return err
		}
	}
	job["loki_push_api"] = push
	return nil
}

func (r *rewriter) files(job, arguments object, blocks []*ast.BlockStmt) error {
	a, err := renamed(arguments, "targets encoding forward_to: legacy_positions_file")
	if err != nil {
		return err
	}
	if file, ok := a["legacy_positions_file"].(string); ok {
		r.file["positions"] = object{"filename": file}
	}
	if encoding, ok := a["encoding"]; ok {
		job["encoding"] = encoding
	}
	patterns := false
	for _, b := range blocks {
		a, _, err := body(b.Body)
		if err != nil {
			return err
		}
		switch b.GetBlockName() {
		case "file_match":
			if a, err = renamed(a, "enabled sync_period"); err != nil {
				return err
			}
			patterns = a["enabled"] == true
			if period, ok := a["sync_period"]; ok {
				r.file["target_config"] = object{"sync_period": period}
			}
		case "decompression":
			if job["decompression"], err = renamed(a, "enabled format initial_delay"); err != nil {
				return err
			}
		default:
			return fmt.Errorf("block %s", b.GetBlockName())
		}
	}
	targets, ok := a["targets"].([]any)
	if !ok || len(targets) == 0 {
		return errors.New("such targets")
	}
	var static []any
	for _, target := range targets {
		labels, ok := target.(object)
		if path, _ := labels["__path__"].(string); !ok || path == "" || !patterns && strings.Contains(path, "*") {
			return errors.New("such targets")
		}
		static = append(static, object{"labels": labels})
	}
	job["static_configs"] = static
	return nil
}

func (r *rewriter) syslog(job, arguments object, blocks []*ast.BlockStmt) error {
	if _, err := renamed(arguments, "forward_to: relabel_rules:"); err != nil || len(blocks) != 1 {
		return errors.New("several listeners of one job")
	}
	a, inner, err := body(blocks[0].Body)
	if err != nil || len(inner) > 0 {
		return errors.New("such listeners")
	}
	job["syslog"], err = renamed(a, "address:listen_address protocol:listen_protocol idle_timeout label_structured_data labels "+
		"use_incoming_timestamp use_rfc5424_message max_message_length syslog_format")
	return err
}

// clients are the writers.
func (r *rewriter) clients() error {
	push := r.p.out + "/loki/api/v1/push"
	if r.blocks[r.writer] == nil {
		r.file["clients"] = []any{object{"url": push, "batchwait": "100ms"}}
		return nil
	}
	arguments, blocks, err := body(r.blocks[r.writer].Body)
	if err != nil {
		return err
	}
	common, err := renamed(arguments, "external_labels")
	if err != nil {
		return err
	}
	var clients []any
	for _, b := range blocks {
		a, inner, err := body(b.Body)
		if err != nil || b.GetBlockName() != "endpoint" || len(inner) > 0 {
			return errors.New("such writers")
		}
		client, err := renamed(a, "url tenant_id headers name batch_wait:batchwait remote_timeout:timeout bearer_token")
		if err != nil {
			return err
		}
		for name, value := range common {
			client[name] = value
		}
		clients = append(clients, client)
	}
	r.file["clients"] = clients
	return nil
}
