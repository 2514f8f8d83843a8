package faro

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/go-logfmt/logfmt"

	"collector/pkg/listen"
)

// FuzzPayload checks that each payload that is read becomes as many entries as it has
// items, that each line can be read again, with the same kind and time in both
// formats, and that the memory for it was claimed.
func FuzzPayload(f *testing.F) {
	f.Add([]byte(`{"meta":{"app":{"name":"a"},"session":{"attributes":{"a b":"c"}}},"logs":[{"message":"m\n","level":"info","context":{"x":"y"}}]}`))
	f.Add([]byte(`{"exceptions":[{"type":"T","value":"v","stacktrace":{"frames":[{"function":"f","filename":"a.js","lineno":1,"colno":2}]}}]}`))
	f.Add([]byte(`{"measurements":[{"type":"t","values":{"a":1e300,"=":2}}],"events":[{"name":"e","attributes":{"":"x"}}]}`))
	f.Add([]byte(`{"Logs":[{},null],"traces":{"resourceSpans":[]}} trailing`))
	f.Fuzz(func(t *testing.T, data []byte) {
		budget := listen.NewBudget(64 << 20)
		claim := budget.Claim("fuzz", nil)
		defer claim.Release()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		p, err := parse(claim, data)
		runtime.ReadMemStats(&after)
		if made := after.TotalAlloc - before.TotalAlloc; made > uint64(4*decodedSize(data)+1<<20) {
			t.Errorf("reading %d bytes made %d, of which %d are claimed", len(data), made, decodedSize(data))
		}
		if err != nil {
			return
		}
		plain := linesOf(t, &writer{claim: claim}, p)
		for i, line := range linesOf(t, &writer{claim: claim, json: true}, p) {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			d := logfmt.NewDecoder(strings.NewReader(plain[i]))
			read := map[string]bool{}
			for d.ScanRecord() {
				for d.ScanKeyval() {
					read[string(d.Key())] = true
				}
			}
			if d.Err() != nil || !read["timestamp"] || !read["kind"] || fields["timestamp"] == nil || fields["kind"] == nil {
				t.Errorf("lines %q and %q: %v", plain[i], line, d.Err())
			}
		}
	})
}

func linesOf(t *testing.T, w *writer, p *Payload) (lines []string) {
	logs, err := w.entries(p)
	if err != nil {
		t.Skip(err) // more than a request may have
	}
	for _, s := range logs.Streams {
		for _, e := range s.Entries {
			lines = append(lines, e.Line)
		}
	}
	if len(lines) != p.items() {
		t.Errorf("%d items have become %d entries", p.items(), len(lines))
	}
	return lines
}

// FuzzSourceMap checks that no source map, and no script that names one, ends the
// program.
func FuzzSourceMap(f *testing.F) {
	f.Add([]byte(`{"version":3,"sources":["a.ts"],"names":["n"],"mappings":"AASIA,wCAUE"}`), 1, 5)
	f.Add([]byte(`{"sections":[{"offset":{"line":0,"column":0}}]}`), 1, 5)
	f.Add([]byte(`{"sources":[],"mappings":"AAAA"}`), 1, 0)
	f.Add([]byte("f()\n//# sourceMappingURL=data:application/json;base64,e30="), 0, 0)
	f.Fuzz(func(t *testing.T, data []byte, line, column int) {
		if named := mapOf(data); strings.ContainsAny(named, " \n") {
			t.Errorf("the URL is %q", named)
		}
		found, err := decodeMap("https://a.test/a.js", data)
		if err != nil {
			return
		}
		frame := Frame{Filename: "https://a.test/a.js", Line: line, Column: column}
		before := frame
		(&sourceMaps{log: discard()}).original(found, &frame)
		if frame != before && frame.Function == "" {
			t.Errorf("the frame is %+v", frame)
		}
	})
}
