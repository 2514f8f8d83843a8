package proc

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestTimesAreReadAfterANameOfAnyKind(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"12 (collector) S 1 12 12 0 -1 4194304 900 0 0 0 250 75 0 0 20 0 9 0 100 1 2\n":      3250 * time.Millisecond,
		"12 (a ) S 1 (b) c) R 1 12 12 0 -1 4194304 900 0 7 7 1 2 9 9 20 0 9 0 100 1 2 3 4\n": 30 * time.Millisecond,
	} {
		if got, err := parseStat(text); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
}

func TestDamagedStatIsAnError(t *testing.T) {
	for _, text := range []string{"", "12 (x) S 1 2", "12 x S 1 12 12 0 -1 4194304 900 0 0 0 250 75 0", "1 (x) S 1 2 3 0 -1 4 9 0 0 0 a 75 0"} {
		if got, err := parseStat(text); err == nil {
			t.Errorf("%q: %v and no error", text, got)
		}
	}
}

func TestSizesAreReadByTheirWholeName(t *testing.T) {
	const text = "Name:\tx\nVmRSSx:\t     1 kB\nVmHWM:\t  2048 kB\nVmRSS:\t   512 kB\nPss_Dirty: 3 kB\nPss:  7 kB\n"
	for name, want := range map[string]int64{"VmRSS": 512 << 10, "VmHWM": 2 << 20, "Pss": 7 << 10} {
		if got, err := parseSize(text, name); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", name, got, err, want)
		}
	}
	for name, text := range map[string]string{"VmPeak": text, "Pss": "Pss: many kB"} {
		if got, err := parseSize(text, name); err == nil {
			t.Errorf("%s: %d and no error", name, got)
		}
	}
}

// TestOwnUsage reads what this process has cost.
func TestOwnUsage(t *testing.T) {
	before, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if before.RSS < 1<<20 || before.Peak < before.RSS || before.PSS <= 0 || before.PSS > before.RSS+1<<20 {
		t.Errorf("%+v", before)
	}
	for after := before; after.CPU == before.CPU; { // burns a tick
		if after, err = Read(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEndedProcessIsAnError(t *testing.T) {
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	if u, err := Read(c.Process.Pid); err == nil {
		t.Errorf("%+v and no error", u)
	}
}
