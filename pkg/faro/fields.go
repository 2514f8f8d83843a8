package faro

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"
)

// fields are the keys of a line and their values, texts or numbers, in their order.
type fields struct {
	keys   []string
	values []any
	at     map[string]int // the place of each key
	size   int            // of keys and texts, about
}

func newFields() *fields { return &fields{at: make(map[string]int)} }

func (f *fields) reset() {
	clear(f.at)
	clear(f.values)
	f.keys, f.values, f.size = f.keys[:0], f.values[:0], 0
}

// set sets a key, which keeps its place if it is there already.
func (f *fields) set(key string, value any) {
	i, ok := f.at[key]
	if !ok {
		i = len(f.keys)
		f.at[key] = i
		f.keys, f.values = append(f.keys, key), append(f.values, nil)
	}
	f.values[i] = value
	const number = 16
	if text, ok := value.(string); ok {
		f.size += len(key) + len(text)
	} else {
		f.size += len(key) + number
	}
}

// text sets a key, unless the text is empty.
func (f *fields) text(key, text string) {
	if text != "" {
		f.set(key, text)
	}
}

// texts sets the keys of m, by name, with a prefix, as text does.
func (f *fields) texts(prefix string, m map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		f.text(prefix+key, m[key])
	}
}

// add sets what is set in other.
func (f *fields) add(other *fields) {
	for i, key := range other.keys {
		f.set(key, other.values[i])
	}
}

// get returns the value of a key as text.
func (f *fields) get(key string) (string, bool) {
	i, ok := f.at[key]
	if !ok {
		return "", false
	}
	return fmt.Sprint(f.values[i]), true
}

func (f *fields) trace(t Trace) {
	f.text("traceID", t.TraceID)
	f.text("spanID", t.SpanID)
}

func (f *fields) log(l *Log) {
	f.text("timestamp", l.Timestamp.String())
	f.text("kind", "log")
	f.text("message", l.Message)
	f.text("level", l.Level)
	f.texts("context_", l.Context)
	f.trace(l.Trace)
}

func (f *fields) exception(e *Exception) {
	f.text("timestamp", e.Timestamp.String())
	f.text("kind", "exception")
	f.text("type", e.Type)
	f.text("value", e.Value)
	f.text("stacktrace", e.text())
	f.text("hash", strconv.FormatUint(xxh3.HashString(e.Value), 10))
	f.texts("context_", e.Context)
	f.trace(e.Trace)
}

// text is the exception as browsers show it.
func (e *Exception) text() string {
	var b strings.Builder
	b.WriteString(e.Type + ": " + e.Value)
	if e.Stacktrace != nil {
		for _, frame := range e.Stacktrace.Frames {
			module := ""
			if frame.Module != "" {
				module = frame.Module + "|"
			}
			fmt.Fprintf(&b, "\n  at %s (%s%s:%d:%d)", frame.Function, module, frame.Filename, frame.Line, frame.Column)
		}
	}
	return b.String()
}

// measurement has each value twice: as a text with six places under its own name, and
// as a number.
func (f *fields) measurement(m *Measurement) {
	f.text("timestamp", m.Timestamp.String())
	f.text("kind", "measurement")
	f.text("type", m.Type)
	names := slices.Sorted(maps.Keys(m.Values))
	for _, name := range names {
		f.text(name, strconv.FormatFloat(m.Values[name], 'f', 6, 64))
	}
	f.trace(m.Trace)
	f.texts("context_", m.Context)
	for _, name := range names {
		f.set("value_"+name, m.Values[name])
	}
}

func (f *fields) event(e *Event) {
	f.text("timestamp", e.Timestamp.String())
	f.text("kind", "event")
	f.text("event_name", e.Name)
	f.text("event_domain", e.Domain)
	f.texts("event_data_", e.Attributes)
	f.trace(e.Trace)
}

func (f *fields) meta(m *Meta) {
	f.text("sdk_name", m.SDK.Name)
	f.text("sdk_version", m.SDK.Version)
	integrations := make([]string, len(m.SDK.Integrations))
	for i, integration := range m.SDK.Integrations {
		integrations[i] = integration.Name + ":" + integration.Version
	}
	f.text("sdk_integrations", strings.Join(integrations, ","))
	f.text("app_name", m.App.Name)
	f.text("app_namespace", m.App.Namespace)
	f.text("app_release", m.App.Release)
	f.text("app_version", m.App.Version)
	f.text("app_environment", m.App.Environment)
	f.text("user_email", m.User.Email)
	f.text("user_id", m.User.ID)
	f.text("user_username", m.User.Username)
	f.texts("user_attr_", m.User.Attributes)
	f.text("session_id", m.Session.ID)
	f.texts("session_attr_", m.Session.Attributes)
	f.text("page_id", m.Page.ID)
	f.text("page_url", m.Page.URL)
	f.texts("page_attr_", m.Page.Attributes)
	f.text("browser_name", m.Browser.Name)
	f.text("browser_version", m.Browser.Version)
	f.text("browser_os", m.Browser.OS)
	f.text("browser_mobile", strconv.FormatBool(m.Browser.Mobile))
	f.text("browser_userAgent", m.Browser.UserAgent)
	f.text("browser_language", m.Browser.Language)
	f.text("browser_viewportWidth", m.Browser.ViewportWidth)
	f.text("browser_viewportHeight", m.Browser.ViewportHeight)
	f.text("view_name", m.View.Name)
}
