package corpus

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grafana/alloy/syntax/ast"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"collector/pkg/docker/dockertest"
	"collector/pkg/logs/source/journal/journaltest"
)

// lines makes a feed for each form of a line, which put writes.
func (r *run) lines(b *block, detail string, wrapped bool, put func(line string) error) []*feed {
	var out []*feed
	forms := r.forms(b, wrapped)
	for _, form := range forms {
		f := r.newFeed(b, detail, "logs")
		if f.form = form.name; len(forms) > 1 {
			f.source += map[string]string{"": " (plain)", "json": " (JSON)", "logfmt": " (logfmt)"}[form.name]
		}
		token := r.tokenOf(f)
		if put != nil {
			f.put = func(n int) error { return put(form.line(token, n)) }
		}
		out = append(out, f)
	}
	return out
}

// with gives feeds what is known of their labels.
func with(feeds []*feed, labels map[string]string, loose []string, before ...*block) {
	for _, f := range feeds {
		f.labels, f.loose, f.before = maps.Clone(labels), loose, before
	}
}

func (r *run) feedFiles(b *block) {
	matches := false
	if m := child(b.body, "file_match"); m != nil {
		_ = r.c.eval(attribute(m.Body, "enabled"), &matches)
	}
	for _, o := range r.c.origins(b, attribute(b.body, "targets")) {
		switch {
		case o.object != nil:
			r.feedFile(b, o, matches || o.in.kind == "local.file_match")
		case o.found.kind == "discovery.docker":
			r.feedContainerFile(b, o)
		default:
			r.newFeed(b, "of "+o.found.id, "logs").lost = "the test makes no files for " + o.found.kind
		}
	}
}

func (r *run) feedFile(b *block, o origin, glob bool) {
	var named string
	for _, f := range o.object.Fields {
		switch fieldName(f) {
		case "__path__":
			named = r.c.text(f.Value)
			if strings.HasPrefix(named, "/") {
				o.in.file.replace(f.Value, strconv.Quote(r.path(named)))
			}
		case "__path_exclude__":
			o.in.file.replace(f.Value, strconv.Quote(r.path(r.c.text(f.Value))))
		}
	}
	if !strings.HasPrefix(named, "/") {
		r.newFeed(b, named, "logs").lost = fmt.Sprintf("%q is no path of Linux", named)
		return
	}
	path := r.path(named)
	if glob {
		path = r.path(oneOf(named))
	}
	r.write(path, "")
	feeds := r.lines(b, named, true, appendTo(path))
	with(feeds, r.c.texts(o.object), []string{"filename"}, o.via...)
}

// appendTo writes lines to a file.
func appendTo(path string) func(string) error {
	return func(line string) error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString(line + "\n")
		return err
	}
}

var braces = regexp.MustCompile(`\{([^,}]*)[^}]*\}`)

// oneOf is a path that a pattern matches.
func oneOf(pattern string) string {
	pattern = braces.ReplaceAllString(pattern, "$1")
	pattern = strings.ReplaceAll(pattern, "**", "corpus")
	return strings.NewReplacer("*", "corpus", "?", "x").Replace(pattern)
}

const metaContainer, metaLabel = "__meta_docker_container_", "__meta_docker_container_label_"

// container makes a container that a discovery.docker finds and rules keep.
func (r *run) container(d *block, rules []*relabel.Config, port string, worse func(labels.Labels) int) (dockertest.Container, bool) {
	c := dockertest.Container{Labels: map[string]string{}}
	from := map[string]string{
		metaContainer + "name": fmt.Sprintf("/corpus-%d", len(r.feeds)), metaContainer + "id": strings.Repeat("a", 64),
		metaContainer + "log_stream": "stdout", "__address__": "127.0.0.1:" + port, "__meta_docker_network_name": "bridge",
	}
	for _, filter := range children(d.body, "filter") {
		var values []string
		_ = r.c.eval(attribute(filter.Body, "values"), &values)
		if len(values) == 0 {
			continue
		}
		switch r.c.text(attribute(filter.Body, "name")) {
		case "name":
			from[metaContainer+"name"] = "/" + strings.Trim(values[0], "^$/")
		case "label":
			for _, v := range values {
				name, value, _ := strings.Cut(v, "=")
				c.Labels[name] = value
				from[metaLabel+underscored(name)] = value
			}
		}
	}
	free := sources(rules, func(name string) bool {
		return name == metaContainer+"name" || name == metaContainer+"image" || strings.HasPrefix(name, metaLabel)
	})
	for _, name := range free {
		if from[name] == "" {
			from[name] = "corpus"
		}
	}
	found, ok := satisfy(rules, from, free, []string{"127.0.0.1", "/127.0.0.1", port}, worse)
	c.Name, c.Image = strings.TrimPrefix(found[metaContainer+"name"], "/"), found[metaContainer+"image"]
	for name, value := range found {
		if short, is := strings.CutPrefix(name, metaLabel); is {
			c.Labels[r.dockerLabel(short, c.Labels)] = value
		}
	}
	if port != "" {
		private, _ := strconv.ParseUint(port, 10, 16)
		c.Networks = map[string]string{"bridge": "127.0.0.1"}
		c.Ports = []dockertest.Port{{Private: uint16(private)}}
	}
	return c, ok
}

var noLetter = regexp.MustCompile(`[^a-zA-Z0-9_]`)

func underscored(name string) string { return noLetter.ReplaceAllString(name, "_") }

// dockerLabel is a label of a container whose name in discovery ends in short.
func (r *run) dockerLabel(short string, have map[string]string) string {
	for name := range have {
		if underscored(name) == short {
			return name
		}
	}
	if rest, is := strings.CutPrefix(short, "com_docker_compose_"); is {
		return "com.docker.compose." + rest
	}
	return short
}

// rulesOf are the rules that an argument such as relabel_rules refers to, and
// where they are.
func (r *run) rulesOf(e ast.Expr) ([]*relabel.Config, []*block) {
	if e == nil {
		return nil, nil
	}
	blocks := r.c.references(e)
	return r.c.allRules(blocks...), blocks
}

func (r *run) feedContainers(b *block) {
	rules, from := r.rulesOf(attribute(b.body, "relabel_rules"))
	for _, o := range r.c.origins(b, attribute(b.body, "targets")) {
		if o.object != nil {
			r.newFeed(b, "of a target in the file", "logs").lost = "its target names no container by __meta_docker_container_id"
			continue
		}
		if o.found.kind != "discovery.docker" {
			r.newFeed(b, "of "+o.found.id, "logs").lost = "the test makes no containers for " + o.found.kind
			continue
		}
		made, ok := r.container(o.found, slices.Concat(r.c.allRules(o.via...), rules), "", nil)
		if !ok {
			r.newFeed(b, "of "+o.found.id, "logs").lost = "the test finds no container that its rules keep"
			continue
		}
		engine := r.engine(r.c.text(attribute(o.found.body, "host")))
		id := engine.Run(made)
		feeds := r.lines(b, "of "+o.found.id, false, func(line string) error {
			engine.Print(id, "stdout", line+"\n")
			return nil
		})
		with(feeds, r.c.texts(attribute(b.body, "labels")), nil, slices.Concat(o.via, from)...)
	}
}

// feedContainerFile feeds the file of a container that rules give a __path__.
func (r *run) feedContainerFile(b *block, o origin) {
	for _, via := range o.via {
		for _, rule := range children(via.body, "rule") {
			if r.c.text(attribute(rule.Body, "target_label")) == "__path__" {
				if e := attribute(rule.Body, "replacement"); strings.HasPrefix(r.c.text(e), "/") {
					via.file.replace(e, strconv.Quote(r.path(r.c.text(e))))
				}
			}
		}
	}
	rules := r.c.allRules(o.via...)
	made, ok := r.container(o.found, rules, "", nil)
	if !ok {
		r.newFeed(b, "of "+o.found.id, "logs").lost = "the test finds no container that its rules keep"
		return
	}
	engine := r.engine(r.c.text(attribute(o.found.body, "host")))
	id := engine.Create(made)
	_, out := passed(rules, map[string]string{metaContainer + "id": id, metaContainer + "name": "/" + made.Name})
	path := r.path(out.Get("__path__"))
	r.write(path, "")
	engine.Start(id)
	with(r.lines(b, "of "+o.found.id, true, appendTo(path)), nil, []string{"filename"}, o.via...)
}

func (r *run) feedJournal(b *block) {
	dir := r.path("journal/" + b.label)
	b.file.set(b.node, "path", strconv.Quote(dir))
	rules, before := r.rulesOf(attribute(b.body, "relabel_rules"))
	const prefix = "__journal_"
	from := map[string]string{
		prefix + "_systemd_unit": "corpus.service", prefix + "syslog_identifier": "corpus", prefix + "_hostname": "corpus", prefix + "priority": "6",
		prefix + "_transport": "journal",
	}
	for match := range strings.FieldsSeq(r.c.text(attribute(b.body, "matches"))) {
		name, value, _ := strings.Cut(match, "=")
		from[prefix+strings.ToLower(name)] = value
	}
	found, ok := satisfy(rules, from, sources(rules, func(name string) bool { return strings.HasPrefix(name, prefix) }), nil, nil)
	if !ok {
		r.newFeed(b, "", "logs").lost = "the test finds no entry that its rules keep"
		return
	}
	var fields []string
	for name, value := range found {
		if !strings.HasSuffix(name, "_keyword") {
			fields = append(fields, strings.ToUpper(strings.TrimPrefix(name, prefix))+"="+value)
		}
	}
	journal := journaltest.NewWriter(journaltest.Options{FileID: 1, MachineID: 2, BootID: 3, SeqnumID: 4})
	feeds := r.lines(b, "", false, nil)
	asJSON := false
	_ = r.c.eval(attribute(b.body, "format_as_json"), &asJSON)
	if asJSON {
		r.feeds = r.feeds[:len(r.feeds)-len(feeds)+1] // the fields are the entry's
		feeds = feeds[:1]
	}
	forms := r.forms(b, false)
	now := uint64(time.Now().UnixMicro())
	for i, f := range feeds {
		journal.Append(now+uint64(i), uint64(1000+i), append([]string{"MESSAGE=" + forms[i].line(r.tokenOf(f), 0)}, fields...)...)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := journal.Write(filepath.Join(dir, "system.journal")); err != nil {
		r.t.Fatal(err)
	}
	with(feeds, r.c.texts(attribute(b.body, "labels")), nil, before...)
}

func (r *run) feedSyslog(b *block) {
	_, before := r.rulesOf(attribute(b.body, "relabel_rules"))
	for _, listener := range children(b.body, "listener") {
		address := freeAddress(r.t)
		b.file.set(listener, "address", strconv.Quote(address))
		protocol := r.c.text(attribute(listener.Body, "protocol"))
		if protocol == "" {
			protocol = "tcp"
		}
		format := r.c.text(attribute(listener.Body, "syslog_format"))
		feeds := r.lines(b, protocol, false, func(line string) error {
			conn, err := net.Dial(protocol, address)
			if err != nil {
				return err
			}
			defer conn.Close()
			now := time.Now().UTC()
			switch format {
			case "raw":
			case "rfc3164":
				line = now.Format("<13>Jan _2 15:04:05 ") + "corpus app: " + line
			default:
				line = "<13>1 " + now.Format(time.RFC3339Nano) + " corpus app - - - " + line
			}
			_, err = conn.Write([]byte(line + "\n"))
			return err
		})
		with(feeds, r.c.texts(attribute(listener.Body, "labels")), nil, before...)
	}
}
