package process

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-logfmt/logfmt"
	"github.com/prometheus/prometheus/model/labels"
)

// explain says what a stage finds in an entry that it has not processed yet, in
// words: why it can't do what it is for, or why it leaves the entry alone; empty where
// the changes say it all. failed is set for what is probably a mistake. It changes
// nothing but what the stage uses again.
func explain(s Stage, c *StageConfig, e *Entry) (words string, failed bool) {
	switch s := s.(type) {
	case *jsonStage:
		return s.explain(e)
	case *fixed:
		return s.explain(e)
	case *cri:
		return explainCRI(e)
	case *logfmtStage:
		return s.explain(e)
	case *regexStage:
		return explainMatch(e, s.source, s.expression.MatchString, s.expression.String())
	case *pattern:
		return s.explain(e, c.Pattern.Pattern)
	case *timestamp:
		return s.explain(e, c.Timestamp)
	case *geoIP:
		return s.explain(e)
	case *splitJSON:
		return s.explain(e)
	case *replace:
		if s.template == nil {
			return "The template can't be parsed, so that nothing is replaced.", true
		}
		return explainMatch(e, s.source, s.expression.MatchString, s.expression.String())
	}
	return explainSimple(s, c, e)
}

// explainSimple is explain for stages about which there is less to say.
func explainSimple(s Stage, c *StageConfig, e *Entry) (words string, failed bool) {
	switch s := s.(type) {
	case *labelsStage:
		return s.explain(e)
	case *structuredMetadata:
		return s.explain(e)
	case *outputStage:
		return missing(e, s.source)
	case *luhn:
		return missing(e, s.source)
	case *tenant:
		return s.explain(e)
	case *templateStage:
		return s.explain(e)
	case *eventLogMessage:
		return missing(e, s.cfg.Source)
	case *windowsEvent:
		return missing(e, s.cfg.Source)
	case *dropStage:
		return s.explain(e, c.Drop), false
	case *multiline:
		return s.explain(e), false
	case *metricsStage:
		return s.explain(e), false
	case *sampling:
		return fmt.Sprintf("It keeps %.3g %% of the entries, at random; on this page, all pass.", 100*s.rate), false
	case *limit:
		return fmt.Sprintf("It allows %v entries per second, with bursts of %d; only the entries on this page count here.", s.cfg.Rate, s.cfg.Burst), false
	}
	return "", false
}

// quoted is a text as it is shown within a sentence. It is whole: who shows it has to
// find the secrets in it before it is cut.
func quoted(text string) string { return "“" + text + "”" }

// missing says that an extracted value is not there, or is no text.
func missing(e *Entry, name string) (words string, failed bool) {
	if name == "" {
		return "", false
	}
	v, ok := e.Extracted.Get(name)
	if !ok {
		return "There is no extracted value " + quoted(name) + ".", true
	}
	if _, ok := v.String(); !ok {
		return "The extracted value " + quoted(name) + " is null.", true
	}
	return "", false
}

// within names what a stage reads.
func within(source string) string {
	if source == "" {
		return "The line"
	}
	return "The extracted value " + quoted(source)
}

// explainMatch says that an expression does not match.
func explainMatch(e *Entry, source string, matches func(string) bool, expression string) (words string, failed bool) {
	if words, failed := missing(e, source); words != "" {
		return words, failed
	}
	if text, _ := e.input(source); !matches(text) {
		return within(source) + " does not match " + quoted(expression) + ".", true
	}
	return "", false
}

func (s *jsonStage) explain(e *Entry) (words string, failed bool) {
	if words, failed := missing(e, s.source); words != "" {
		return words, failed
	}
	text, _ := e.input(s.source)
	if s.paths == nil || !s.paths.find(text) {
		var data map[string]any
		if err := s.json.UnmarshalFromString(text, &data); err != nil {
			return within(s.source) + " is not a JSON object: " + plainJSON(text, err) + ".", true
		}
	}
	probe := Entry{Line: text}
	s.read(&probe, text)
	var none []string
	for _, name := range s.names {
		if v, ok := probe.Extracted.Get(name); !ok || v.kind == kindNull {
			none = append(none, quoted(name))
		}
	}
	if len(none) > 0 {
		return "Nothing is found for " + strings.Join(none, ", ") + ".", false
	}
	return "", false
}

// plainJSON says what is wrong with a text that should be a JSON object, without
// what the library says of its own types.
func plainJSON(text string, err error) string {
	switch text = strings.TrimSpace(text); {
	case text == "":
		return "it is empty"
	case text[0] != '{':
		return "it begins with " + quoted(string([]rune(text)[:1]))
	}
	message := err.Error()
	if at := strings.Index(message, ", error found in #"); at > 0 {
		message = message[:at]
	}
	if _, rest, ok := strings.Cut(message, ": "); ok {
		message = rest
	}
	return message
}

func (s *fixed) explain(e *Entry) (words string, failed bool) {
	if of, ok := s.stages[0].(*jsonStage); ok {
		if words, failed := of.explain(e); words != "" {
			return words + " Docker writes {\"log\":…,\"stream\":…,\"time\":…}.", failed
		}
	}
	return "", false
}

func explainCRI(e *Entry) (words string, failed bool) {
	parts := strings.SplitN(e.Line, " ", 4)
	if len(parts) == 4 && parts[0] != "" && (parts[1] == "stdout" || parts[1] == "stderr") && parts[2] != "" {
		if _, err := time.Parse(time.RFC3339Nano, parts[0]); err != nil {
			return quoted(parts[0]) + " is not a time, so that the time stays.", true
		}
		if parts[2] == "P" {
			return "This is part of a line (flag P); it is held until the rest arrives.", false
		}
		return "", false
	}
	return "The line is not in the format of CRI: time, stdout or stderr, F or P, text.", true
}

func (s *logfmtStage) explain(e *Entry) (words string, failed bool) {
	if words, failed := missing(e, s.source); words != "" {
		return words, failed
	}
	text, _ := e.input(s.source)
	found := map[string]bool{}
	d := logfmt.NewDecoder(strings.NewReader(text))
	for d.ScanRecord() {
		for d.ScanKeyval() {
			found[string(d.Key())] = true
		}
	}
	if err := d.Err(); err != nil {
		return within(s.source) + " is not logfmt: " + strings.TrimPrefix(err.Error(), "logfmt ") + ". What comes before is used.", true
	}
	var none []string
	for _, name := range s.names {
		if !found[name.from] {
			none = append(none, quoted(name.from))
		}
	}
	if slices.Sort(none); len(none) > 0 {
		return "It has no " + strings.Join(none, ", ") + ".", false
	}
	return "", false
}

func (s *pattern) explain(e *Entry, pattern string) (words string, failed bool) {
	if words, failed := missing(e, s.source); words != "" {
		return words, failed
	}
	text, _ := e.input(s.source)
	rest, ok := strings.CutPrefix(text, s.begin)
	if text == "" || !ok {
		return within(s.source) + " does not match " + quoted(pattern) + ": it does not begin with " + quoted(s.begin) + ".", true
	}
	for _, f := range s.fields {
		if f.until == "" {
			break
		}
		if _, rest, ok = strings.Cut(rest, f.until); !ok {
			return fmt.Sprintf("%s does not match %s: no %s comes after <%s>, which gets the rest.", within(s.source), quoted(pattern), quoted(f.until), f.name), true
		}
	}
	return "", false
}

func (s *timestamp) explain(e *Entry, c *TimestampConfig) (words string, failed bool) {
	words, _ = missing(e, s.source)
	if words == "" {
		if _, ok := s.parse(e); ok {
			return "", false
		}
		text, _ := e.Extracted.Text(s.source)
		words = quoted(text) + " is not a time of the format " + quoted(c.Format)
		for _, other := range c.FallbackFormats {
			words += " or " + quoted(other)
		}
		words += "."
	}
	if s.fudge {
		if _, ok := s.last.get(e); ok {
			return words + " It gets the previous entry's time plus 1 ns (action_on_failure).", true
		}
	}
	return words + " The time stays as it is.", true
}

func (s *geoIP) explain(e *Entry) (words string, failed bool) {
	if words, failed := missing(e, s.source); words != "" {
		return words, failed
	}
	text, _ := e.Extracted.Text(s.source)
	ip := net.ParseIP(text)
	if ip == nil {
		return quoted(text) + " is not an IP address.", true
	}
	var record any
	if err := s.db.Lookup(ip, &record); err != nil || record == nil {
		return "The database does not have " + quoted(text) + ".", true
	}
	return "", false
}

func (s *splitJSON) explain(e *Entry) (words string, failed bool) {
	if words, failed := missing(e, s.source); words != "" {
		return words, failed
	}
	switch elements, ok := s.elements(e); {
	case !ok:
		return within(s.source) + " is not a JSON list.", false
	case len(elements) == 0:
		return "The list is empty.", false
	}
	return "", false
}

func (s *labelsStage) explain(e *Entry) (words string, failed bool) {
	for _, from := range s.sources {
		switch value, ok := s.value(e, from.from); {
		case ok && !utf8.ValidString(value):
			return quoted(from.from) + " is not valid UTF-8.", true
		case ok:
		case s.metadata:
			return "There is no structured metadata " + quoted(from.from) + ".", true
		default:
			return missing(e, from.from)
		}
	}
	return "", false
}

func (s *structuredMetadata) explain(e *Entry) (words string, failed bool) {
	for _, from := range s.sources {
		if _, ok := e.Labels.Get(from.from); ok {
			continue
		}
		if _, ok := e.Extracted.Text(from.from); !ok {
			return "There is no extracted value and no label " + quoted(from.from) + ".", true
		}
	}
	return "", false
}

func (s *tenant) explain(e *Entry) (words string, failed bool) {
	if s.cfg.Source != "" {
		return missing(e, s.cfg.Source)
	}
	if _, ok := e.Labels.Get(s.cfg.Label); s.cfg.Label != "" && !ok {
		return "There is no label " + quoted(s.cfg.Label) + ".", true
	}
	return "", false
}

func (s *templateStage) explain(e *Entry) (words string, failed bool) {
	var in templateInput
	in.of(e, s.source)
	switch err := s.template.executeLibrary(&in); {
	case err != nil:
		return "The template fails, and changes nothing: " + strings.TrimPrefix(err.Error(), "template: template:") + ".", true
	case s.template.out.Len() == 0:
		return "The template's result is empty, so the value is removed.", false
	}
	return "", false
}

// explain says which condition decides: all have to hold for an entry to be dropped.
func (s *dropStage) explain(e *Entry, c *DropConfig) string {
	text, ok := e.Line, true
	what := "The line"
	if len(s.sources) > 0 {
		text, ok = s.join(e)
		what = "The value of " + quoted(c.Source)
	}
	switch {
	case s.longer != 0 && len(e.Line) <= s.longer:
		return fmt.Sprintf("The line has %d bytes, not more than %s (longer_than).", len(e.Line), c.LongerThan)
	case s.older != 0 && !e.Time.Before(time.Now().Add(-s.older)):
		return fmt.Sprintf("Its time, %s, is not older than %s (older_than).", e.Time.UTC().Format(time.RFC3339), s.older)
	case s.expr == nil && s.value == "" && !s.has(e):
		return "There is no extracted value " + quoted(c.Source) + "."
	case s.expr == nil && s.value == "":
		return s.dropWords(e, c)
	case !ok:
		return what + " is not a string."
	case s.expr != nil && !s.expr.MatchString(text):
		return what + " does not match " + quoted(c.Expression) + "."
	case s.expr != nil:
		return what + " matches " + quoted(c.Expression) + "."
	case text != s.value:
		return what + " is " + quoted(text) + ", not " + quoted(s.value) + "."
	}
	return what + " is " + quoted(text) + "."
}

// dropWords says why an entry is dropped of which no text is looked at.
func (s *dropStage) dropWords(e *Entry, c *DropConfig) string {
	switch {
	case s.longer != 0:
		return fmt.Sprintf("The line has %d bytes, more than %s (longer_than).", len(e.Line), c.LongerThan)
	case s.older != 0:
		return fmt.Sprintf("Its time, %s, is older than %s (older_than).", e.Time.UTC().Format(time.RFC3339), s.older)
	}
	return "There is an extracted value " + quoted(c.Source) + "."
}

func (m *multiline) explain(e *Entry) string {
	switch known := m.get(e.Labels.Held(m.cache)) != nil; {
	case m.first.MatchString(e.Line):
		return "The line matches " + quoted(m.cfg.FirstLine) + " (firstline): it begins a block."
	case known:
		return "The line does not match " + quoted(m.cfg.FirstLine) + " (firstline): it belongs to the block."
	}
	return "The line does not match " + quoted(m.cfg.FirstLine) + " (firstline), and no block with the same labels is open."
}

func (s *metricsStage) explain(e *Entry) string {
	var without []string
	for i := range s.metrics {
		m := &s.metrics[i]
		if _, ok := e.Extracted.Get(m.source); !ok && !m.all {
			without = append(without, quoted(m.source))
		}
	}
	if len(without) == 0 {
		return ""
	}
	slices.Sort(without)
	return "There is no extracted value " + strings.Join(slices.Compact(without), ", ") + "."
}

// explain says why a selector does not choose an entry, and else nothing.
func (m *match) explain(e *Entry) string {
	for _, matcher := range m.selector.matchers {
		value, ok := e.Labels.Get(matcher.Name)
		switch {
		case matcher.Matches(value):
		case !ok:
			return "The selector does not match: there is no label " + quoted(matcher.Name) + ", but it requires " + shown(matcher) + "."
		default:
			return "The selector does not match: " + matcher.Name + " is " + quoted(value) + ", but it requires " + shown(matcher) + "."
		}
	}
	for i := range m.selector.filters {
		f := &m.selector.filters[i]
		one := selector{filters: m.selector.filters[i : i+1]}
		if one.line(e.Line) {
			continue
		}
		verb, verbs, what := "contain", "contains", f.text
		if f.re != nil {
			verb, verbs, what = "match", "matches", f.re.String()
		}
		if f.not {
			return "The selector does not match: the line " + verbs + " " + quoted(what) + "."
		}
		return "The selector does not match: the line does not " + verb + " " + quoted(what) + "."
	}
	return ""
}

func shown(m *labels.Matcher) string { return m.Name + m.Type.String() + quoted(m.Value) }
