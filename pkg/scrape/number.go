package scrape

import (
	"math"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/value"
)

// number reads the number that starts at i and ends before a blank or a line
// end, and returns where it ends. It agrees to the bit with what textparse
// reads; numbers of up to 19 digits with small exponents, which is nearly all
// of them, are read without strconv.
func number(b []byte, i int) (v float64, end int, ok bool) {
	start := i
	negative := false
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		negative = b[i] == '-'
		i++
	}
	var mantissa uint64
	digitsFrom := i
	for i < len(b) && b[i]-'0' <= 9 {
		mantissa = mantissa*10 + uint64(b[i]-'0')
		i++
	}
	digits, exponent := i-digitsFrom, 0
	if i < len(b) && b[i] == '.' {
		i++
		from := i
		for i < len(b) && b[i]-'0' <= 9 {
			mantissa = mantissa*10 + uint64(b[i]-'0')
			i++
		}
		exponent = from - i
		digits += i - from
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		var e int
		if e, i, ok = smallExponent(b, i+1); !ok {
			return slowNumber(b, start)
		}
		exponent += e
	}
	if digits == 0 || digits > 19 || i >= len(b) || !blank(b[i]) {
		return slowNumber(b, start)
	}
	if v, ok = scale(mantissa, exponent); !ok {
		return slowNumber(b, start)
	}
	if negative {
		v = -v
	}
	return v, i, true
}

func blank(c byte) bool { return c == '\n' || c == ' ' || c == '\t' }

// smallExponent reads an exponent of one or two digits.
func smallExponent(b []byte, i int) (e, end int, ok bool) {
	negative := false
	if i < len(b) && (b[i] == '-' || b[i] == '+') {
		negative = b[i] == '-'
		i++
	}
	from := i
	for i < len(b) && b[i]-'0' <= 9 && i-from < 3 {
		e = e*10 + int(b[i]-'0')
		i++
	}
	if n := i - from; n < 1 || n > 2 {
		return 0, 0, false
	}
	if negative {
		e = -e
	}
	return e, i, true
}

// scale is mantissa × 10^exponent where that takes a single rounding, as both
// factors are exact, and so is the nearest float64.
func scale(mantissa uint64, exponent int) (float64, bool) {
	switch {
	case exponent == 0:
		return float64(mantissa), true
	case mantissa > 1<<53 || exponent < -22 || exponent > 22:
		return 0, false
	case exponent < 0:
		return float64(mantissa) / pow10(-exponent), true
	}
	return float64(mantissa) * pow10(exponent), true
}

// pow10 is a switch, as a table would be copied on each call.
func pow10(n int) float64 {
	switch n {
	case 1:
		return 1e1
	case 2:
		return 1e2
	case 3:
		return 1e3
	case 4:
		return 1e4
	case 5:
		return 1e5
	case 6:
		return 1e6
	case 7:
		return 1e7
	case 8:
		return 1e8
	case 9:
		return 1e9
	case 10:
		return 1e10
	case 11:
		return 1e11
	case 12:
		return 1e12
	case 13:
		return 1e13
	case 14:
		return 1e14
	case 15:
		return 1e15
	case 16:
		return 1e16
	case 17:
		return 1e17
	case 18:
		return 1e18
	case 19:
		return 1e19
	case 20:
		return 1e20
	case 21:
		return 1e21
	case 22:
		return 1e22
	}
	return 1
}

// slowNumber reads what number does not handle.
func slowNumber(b []byte, i int) (v float64, end int, ok bool) {
	end = i
	for end < len(b) && !blank(b[end]) {
		end++
	}
	token := string(b[i:end])
	// textparse rejects what Go has added to the syntax of numbers.
	if strings.ContainsAny(token, "pP_") {
		return 0, 0, false
	}
	v, err := strconv.ParseFloat(token, 64)
	if err != nil {
		return 0, 0, false
	}
	if math.IsNaN(v) {
		v = math.Float64frombits(value.NormalNaN)
	}
	return v, end, true
}

// tail is what follows a series on its line.
type tail struct {
	v        float64
	t        int64
	own      bool // t is set
	exemplar bool // an exemplar follows at end, else end is the next line
	end      int
}

// textTail reads a value and a timestamp in milliseconds, in the Prometheus
// text format.
func textTail(b []byte, i int) (tail, bool) {
	from := i
	if i = skipBlanks(b, i); i == from {
		return tail{}, false
	}
	v, i, ok := number(b, i)
	if !ok {
		return tail{}, false
	}
	if i = skipBlanks(b, i); i < len(b) && b[i] == '\n' {
		return tail{v: v, end: i + 1}, true
	}
	from = i
	var t uint64
	for i < len(b) && b[i]-'0' <= 9 && i-from < 19 {
		t = t*10 + uint64(b[i]-'0')
		i++
	}
	ok = i > from && t <= math.MaxInt64
	if i = skipBlanks(b, i); !ok || i >= len(b) || b[i] != '\n' {
		return tail{}, false
	}
	return tail{v: v, t: int64(t), own: true, end: i + 1}, true
}

func skipBlanks(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// openMetricsTail reads a value and a timestamp in seconds, each after exactly
// one blank, in OpenMetrics.
func openMetricsTail(b []byte, i int) (tail, bool) {
	if i >= len(b) || b[i] != ' ' {
		return tail{}, false
	}
	v, i, ok := number(b, i+1)
	if !ok || i >= len(b) {
		return tail{}, false
	}
	out := tail{v: v}
	if b[i] == ' ' && i+1 < len(b) && b[i+1] != '#' {
		var seconds float64
		if seconds, i, ok = number(b, i+1); !ok || math.IsNaN(seconds) || math.IsInf(seconds, 0) {
			return tail{}, false
		}
		out.t, out.own = int64(seconds*1000), true
	}
	rest := b[min(i, len(b)):]
	switch {
	case len(rest) > 0 && rest[0] == '\n':
		out.end = i + 1
	case len(rest) > 4 && string(rest[:4]) == " # {":
		out.end, out.exemplar = i, true
	default:
		return tail{}, false
	}
	return out, true
}
