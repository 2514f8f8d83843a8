package component

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"collector/pkg/mask"
)

// Secret is a string that shows as "(secret)" wherever it is printed, logged
// or encoded. Convert it to string to use it.
type Secret string

func (s Secret) String() string               { return mask.Redacted }
func (s Secret) MarshalText() ([]byte, error) { return []byte(mask.Redacted), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(mask.Redacted) }

// Format is what package fmt uses for every verb, even one that a string has
// no use for.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask.Redacted) }

// Bytes is a size in bytes, written with a unit: "512KiB", "1MiB", "1.5GB".
// As in Alloy, KB means KiB and a bare number is an error.
type Bytes int64

// The units of Bytes.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// UnmarshalText reads a size with its unit.
func (b *Bytes) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	i := strings.LastIndexAny(s, "0123456789.") + 1
	number, unit := s[:i], strings.ToUpper(strings.TrimSpace(s[i:]))
	scale := map[string]float64{
		"B": 1, "KIB": 1 << 10, "KB": 1 << 10, "MIB": 1 << 20, "MB": 1 << 20,
		"GIB": 1 << 30, "GB": 1 << 30, "TIB": 1 << 40, "TB": 1 << 40,
	}[unit]
	if scale == 0 {
		return fmt.Errorf("%q is not a size: write a number with a unit, such as \"4MiB\" (B, KiB, MiB, GiB, TiB)", s)
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || strings.Trim(number, "0123456789.") != "" || v*scale > 1<<62 {
		return fmt.Errorf("%q is not a size: write a number with a unit, such as \"4MiB\"", s)
	}
	*b = Bytes(v * scale)
	return nil
}

// MarshalText writes the size with the largest unit that divides it.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

func (b Bytes) String() string {
	for _, u := range []struct {
		size Bytes
		name string
	}{{GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}} {
		if b != 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}
