package wire

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/otlp/flow"
)

// jsonWriter writes random requests, in every form that the library reads.
type jsonWriter struct {
	strings.Builder
	*rand.Rand
}

func (w *jsonWriter) message(m message, depth int) {
	w.WriteByte('{')
	names := strings.Fields(m.names())
	if m.isResource() {
		names = append(names, m.deprecatedName()+"[]")
	}
	comma := false
	for i, name := range names {
		if name == "-" || depth > 12 || depth > 2 && w.IntN(5) == 0 {
			continue
		}
		if comma {
			w.WriteByte(',')
		}
		comma = true
		name, repeated := strings.CutSuffix(name, "[]")
		k := kind(m.scopes())
		if i < len(m.fields()) {
			k = kind(m.fields()[i])
		}
		fmt.Fprintf(w, "%q:%s", w.name(name), []string{"", " ", "\n\t"}[w.IntN(3)])
		if !repeated {
			w.value(k, depth)
			continue
		}
		w.WriteByte('[')
		for n := range w.IntN(3) + max(0, 2-depth) {
			if n > 0 {
				w.WriteByte(',')
			}
			w.value(k, depth)
		}
		w.WriteByte(']')
	}
	if w.IntN(9) == 0 && !comma {
		w.WriteString(`"unknown":[{"a":[]},-1.5e3,true,"x\n"]`)
	}
	w.WriteByte('}')
}

// name is a name, sometimes with underscores.
func (w *jsonWriter) name(name string) string {
	if w.IntN(3) > 0 {
		return name
	}
	var b strings.Builder
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(c)))
	}
	return b.String()
}

func (w *jsonWriter) value(k kind, depth int) {
	if k >= firstMessage {
		w.message(message(k), depth+1)
		return
	}
	switch k {
	case kindBool:
		fmt.Fprint(w, w.IntN(2) == 0)
	case kindString:
		fmt.Fprintf(w, `"%s"`, []string{"", "a", "é😀", `\u00e9\ud83d\ude00`, `\"\\\/\b\f\n\r\t`}[w.IntN(5)])
	case kindBytes:
		fmt.Fprintf(w, "%q", base64.StdEncoding.EncodeToString(make([]byte, w.IntN(5))))
	case kindTraceID, kindSpanID:
		id := make([]byte, w.IntN(2)*k.idLength())
		for i := range id {
			id[i] = byte(w.Uint32())
		}
		fmt.Fprintf(w, "%q", hex.EncodeToString(id))
	case kindSpanKind, kindStatusCode, kindSeverity, kindTemporality:
		names := strings.Fields(k.names())
		if n := w.IntN(len(names)); w.IntN(2) == 0 && names[n] != "SEVERITY_NUMBER_TRACE" { // which the library misspells
			fmt.Fprintf(w, "%q", names[n])
		} else {
			fmt.Fprint(w, n-1)
		}
	default:
		w.number(k)
	}
}

func (w *jsonWriter) number(k kind) {
	u := w.Uint64() >> w.IntN(64)
	var text string
	switch k {
	case kindUint32, kindFixed32:
		text = strconv.FormatUint(u>>32, 10)
	case kindSint32:
		text = strconv.FormatInt(int64(int32(u)), 10)
	case kindInt64, kindSfixed64:
		text = strconv.FormatInt(int64(u), 10)
	case kindDouble, kindDoubles:
		text = strconv.FormatFloat(w.NormFloat64()*float64(u), "eg"[w.IntN(2)], w.IntN(20)-1, 64)
		if w.IntN(4) == 0 {
			text = []string{"0", "-0", "1E+2", "5e-324", "1e21", "-1.5"}[w.IntN(6)]
		}
		if w.IntN(9) == 0 {
			text = []string{`"NaN"`, `"Infinity"`, `"-Infinity"`}[w.IntN(3)]
		}
	default:
		text = strconv.FormatUint(u, 10)
	}
	if w.IntN(2) == 0 && text[0] != '"' {
		text = `"` + text + `"`
	}
	w.WriteString(text)
}

// FuzzJSONOfEveryKind: random requests, written in every form that the library
// reads, are read as the library reads them.
func FuzzJSONOfEveryKind(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := jsonWriter{Rand: rand.New(rand.NewPCG(seed, 0))}
		s := flow.Signals()[seed%3]
		w.message(requestOf(s), 0)
		r := newRequest(s)
		if err := r.UnmarshalJSON([]byte(w.String())); err != nil {
			t.Fatalf("the library does not read %s: %v", w.String(), err)
		}
		want, err := r.MarshalProto()
		if err != nil {
			t.Fatal(err)
		}
		got, lost, err := readJSON(s, []byte(w.String()))
		if err != nil || lost.Values > 0 {
			t.Fatalf("%s: %v, %+v", w.String(), err, lost)
		}
		if diff := cmp.Diff(canonical(t, s, want), canonical(t, s, got)); diff != "" {
			t.Fatalf("%s: library -, receiver +: %s", w.String(), diff)
		}
		if _, err := walk(s, got); err != nil {
			t.Fatalf("%s: %v", w.String(), err)
		}
	})
}
