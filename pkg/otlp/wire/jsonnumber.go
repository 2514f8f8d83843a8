package wire

import (
	"errors"
	"math"
	"strconv"
)

// errNotHeld says that a value is a number, but none that its field can hold.
var errNotHeld = errors.New("the value does not fit its field")

var errNoNumber = errors.New("the value is not a number")

// maxExponent is beyond every exponent that matters, and far from overflowing.
const maxExponent = 1 << 20

// parseInteger reads a whole number in any form: 12, 12.0, 1.2e1, "+12". It is
// exact, and its cost depends on the length of the text alone.
func parseInteger(text []byte) (negative bool, v uint64, err error) {
	digits := text
	if len(digits) > 0 && (digits[0] == '-' || digits[0] == '+') {
		negative, digits = digits[0] == '-', digits[1:]
	}
	end, exponent, err := exponentOf(digits)
	if err != nil {
		return false, 0, err
	}
	// The digits up to the last that is not 0 make up the number; zeros are what
	// must be added behind it.
	point, last, any := end, -1, false
	for i, c := range digits[:end] {
		switch {
		case c == '.' && point == end:
			point = i
		case c < '0' || c > '9':
			return wholeWord(text)
		default:
			any = true
			if c != '0' {
				last = i
			}
		}
	}
	if !any {
		return wholeWord(text)
	}
	if last < 0 {
		return negative, 0, nil
	}
	zeros := point - last - 1 + exponent
	if last > point {
		zeros++ // the point itself
	}
	if zeros < 0 {
		return false, 0, errNotHeld
	}
	for _, c := range digits[:last+1] {
		if c == '.' {
			continue
		}
		if v, err = shifted(v, c-'0'); err != nil {
			return false, 0, err
		}
	}
	for range min(zeros, 20) { // the number is not 0: 20 zeros are too many
		if v, err = shifted(v, 0); err != nil {
			return false, 0, err
		}
	}
	return negative, v, nil
}

// shifted is v with a digit more.
func shifted(v uint64, digit byte) (uint64, error) {
	if v > (math.MaxUint64-uint64(digit))/10 {
		return 0, errNotHeld
	}
	return 10*v + uint64(digit), nil
}

// exponentOf returns where the digits before the exponent end, and the exponent.
func exponentOf(digits []byte) (end, exponent int, err error) {
	for end = range digits {
		if digits[end] != 'e' && digits[end] != 'E' {
			continue
		}
		exponent, err := strconv.Atoi(string(digits[end+1:]))
		if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range, it is the largest
			return 0, 0, errNoNumber
		}
		return end, max(min(exponent, maxExponent), -maxExponent), nil
	}
	return len(digits), 0, nil
}

// wholeWord is what parseInteger makes of a text that is no decimal number.
func wholeWord(text []byte) (bool, uint64, error) {
	switch string(text) {
	case "NaN", "Infinity", "-Infinity":
		return false, 0, errNotHeld
	}
	return false, 0, errNoNumber
}

// parseSigned reads a whole number of so many bits.
func parseSigned(text []byte, bits int) (int64, error) {
	negative, v, err := parseInteger(text)
	limit := uint64(1) << (bits - 1)
	switch {
	case err != nil:
		return 0, err
	case negative && v <= limit:
		return -int64(v), nil
	case !negative && v < limit:
		return int64(v), nil
	}
	return 0, errNotHeld
}

// parseUnsigned reads a whole number of so many bits that is not negative.
func parseUnsigned(text []byte, bits int) (uint64, error) {
	negative, v, err := parseInteger(text)
	if err == nil && (negative && v > 0 || bits < 64 && v>>bits > 0) {
		err = errNotHeld
	}
	return v, err
}

// parseDouble reads a number, or "NaN", "Infinity" or "-Infinity".
func parseDouble(text []byte) (float64, error) {
	v, err := strconv.ParseFloat(string(text), 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errNotHeld
	case err != nil:
		return 0, errNoNumber
	}
	return v, nil
}
