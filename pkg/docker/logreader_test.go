package docker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/docker/docker/pkg/stdcopy"
	"github.com/google/go-cmp/cmp"
)

const stamped = "2006-01-02T15:04:05.000000000Z07:00"

func at(nanos int) time.Time { return time.Date(2026, 3, 4, 5, 6, 7, nanos, time.UTC) }

// message is one message on the wire, without a TTY.
func message(kind byte, t time.Time, text string) string {
	payload := t.Format(stamped) + " " + text
	return string(binary.BigEndian.AppendUint32([]byte{kind, 0, 0, 0}, uint32(len(payload)))) + payload
}

type got struct {
	Nanos   int
	Stream  string
	Text    string
	Partial bool
}

// readAll decodes input to its end, and again one byte at a time.
func readAll(t *testing.T, input string, tty bool) ([]got, error) {
	t.Helper()
	out, err := decode(NewLogReader(io.NopCloser(strings.NewReader(input)), tty))
	slow, slowErr := decode(NewLogReader(io.NopCloser(iotest.OneByteReader(strings.NewReader(input))), tty))
	if diff := cmp.Diff(out, slow); diff != "" || (err == nil) != (slowErr == nil) {
		t.Errorf("read byte by byte it differs: %v, %v\n%s", err, slowErr, diff)
	}
	return out, err
}

func decode(r *LogReader) ([]got, error) {
	var out []got
	for {
		f, err := r.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return out, err
		}
		out = append(out, got{f.Time.Nanosecond(), f.Stream, string(f.Text), f.Partial})
	}
}

func checkFrames(t *testing.T, input string, tty bool, want []got) {
	t.Helper()
	out, err := readAll(t, input, tty)
	if err != nil {
		t.Errorf("Next: %v", err)
	}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}

func TestFramesCarryStreamTimeAndText(t *testing.T) {
	checkFrames(t, message(1, at(1), "out\n")+message(2, at(2), "err\n")+message(1, at(3), "\n")+message(0, at(4), "a\x00b \r\n"), false, []got{
		{1, "stdout", "out", false}, {2, "stderr", "err", false}, {3, "stdout", "", false}, {4, "stdout", "a\x00b ", false},
	})
}

func TestTimesOfOtherFormsAreRead(t *testing.T) {
	for _, stamp := range []string{"2026-03-04T05:06:07.000000005Z", "2026-03-04T07:06:07.000000005+02:00"} {
		payload := stamp + " x\n"
		input := string(binary.BigEndian.AppendUint32([]byte{1, 0, 0, 0}, uint32(len(payload)))) + payload
		checkFrames(t, input, false, []got{{5, "stdout", "x", false}})
		checkFrames(t, payload, true, []got{{5, "stdout", "x", false}})
	}
}

func TestAMessageWithoutNewlineIsPartial(t *testing.T) {
	piece := strings.Repeat("x", chunk)
	checkFrames(t, message(1, at(1), piece)+message(2, at(2), "between\n")+message(1, at(1), piece)+message(1, at(1), "end\n"), false, []got{
		{1, "stdout", piece, true}, {2, "stderr", "between", false}, {1, "stdout", piece, true}, {1, "stdout", "end", false},
	})
}

func TestPiecesWithTheirOwnTimesAreOneLineIfTheyAreFull(t *testing.T) {
	piece := strings.Repeat("x", chunk)
	checkFrames(t, message(1, at(1), piece)+message(1, at(2), "end\n"), false, []got{
		{1, "stdout", piece, true}, {2, "stdout", "end", false},
	})
}

func TestALineThatTheProcessLeftUnfinishedEndsWhereTheNextBegins(t *testing.T) {
	want := []got{
		{1, "stdout", "no newline", true}, {1, "stdout", "", false}, {2, "stdout", "next", false},
	}
	checkFrames(t, message(1, at(1), "no newline")+message(1, at(2), "next\n"), false, want)
	checkFrames(t, at(1).Format(stamped)+" no newline"+at(2).Format(stamped)+" next\r\n", true, want)
}

func TestPodmanJoinsPiecesOfAnyLengthAndTime(t *testing.T) {
	r := NewLogReader(io.NopCloser(strings.NewReader(message(1, at(1), "a")+message(1, at(2), "b\n"))), false)
	r.joinAll = true
	out, err := decode(r)
	if diff := cmp.Diff([]got{{1, "stdout", "a", true}, {2, "stdout", "b", false}}, out); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestAMessageLongerThanAFrameIsCutIntoPieces(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", maxPiece/16) + "rest"
	checkFrames(t, message(1, at(1), text+"\n")+message(1, at(2), "next\n"), false, []got{
		{1, "stdout", text[:maxPiece], true}, {1, "stdout", "rest", false}, {2, "stdout", "next", false},
	})
	checkFrames(t, message(1, at(1), text[:maxPiece]+"\n"), false, []got{
		{1, "stdout", text[:maxPiece], true}, {1, "stdout", "", false},
	})
}

func TestCarriageReturnsBeforeLineEndsAreRemoved(t *testing.T) {
	checkFrames(t, message(1, at(1), "status=200\r\n")+message(2, at(2), "\r\n")+message(1, at(3), "10%\r20%\r\n")+message(1, at(4), "two\r\r\n"), false, []got{
		{1, "stdout", "status=200", false}, {2, "stderr", "", false}, {3, "stdout", "10%\r20%", false}, {4, "stdout", "two\r", false},
	})
	// The driver local before 23.0 omits the line end of a last piece.
	checkFrames(t, message(1, at(1), "end\r")+message(1, at(2), "next\r"), false, []got{
		{1, "stdout", "end", true}, {1, "stdout", "", false}, {2, "stdout", "next", true},
	})
	full := strings.Repeat("x", maxPiece-1) + "\r"
	checkFrames(t, message(1, at(1), full+"\n"), false, []got{{1, "stdout", full[:maxPiece-1], true}, {1, "stdout", "", false}})
	checkFrames(t, message(1, at(1), full+"y\r\n"), false, []got{
		{1, "stdout", full[:maxPiece-1], true}, {1, "stdout", "\r", true}, {1, "stdout", "y", false},
	})
}

func TestALineEndIsRemovedWhereverAPieceEndsInIt(t *testing.T) {
	text := "a\r\n\r\nb\rc\r\r\n\rd\r\n"
	want := []string{"a", "", "b\rc\r", "\rd"}
	for cut := range 1 << (len(text) - 1) { // at each place, or not
		var wire strings.Builder
		line, start := 1, 0
		for i := range len(text) {
			if last := text[i] == '\n'; last || i < len(text)-1 && cut>>i&1 == 1 {
				wire.WriteString(message(1, at(line), text[start:i+1]))
				wire.WriteString(message(2, at(line), "between\r\n"))
				if start = i + 1; last {
					line++
				}
			}
		}
		frames, err := decode(NewLogReader(io.NopCloser(strings.NewReader(wire.String())), false))
		if err != nil {
			t.Fatal(err)
		}
		lines := []string{""}
		for _, f := range frames {
			switch {
			case f.Stream == "stderr" && (f.Text != "between" || f.Partial):
				t.Fatalf("cut %b: the other stream has %+v", cut, f)
			case f.Stream == "stdout":
				lines[len(lines)-1] += f.Text
				if !f.Partial {
					lines = append(lines, "")
				}
			}
		}
		if diff := cmp.Diff(append(want, ""), lines); diff != "" {
			t.Fatalf("cut %b (-want +got):\n%s", cut, diff)
		}
	}
}

func TestAFullPieceThatEndsInACarriageReturnIsFull(t *testing.T) {
	piece := strings.Repeat("x", chunk-1)
	// Before 18.06, each piece has its own time.
	checkFrames(t, message(1, at(1), piece+"\r")+message(1, at(2), "\n")+message(1, at(3), "next\n"), false, []got{
		{1, "stdout", piece, true}, {2, "stdout", "", false}, {3, "stdout", "next", false},
	})
	checkFrames(t, message(1, at(1), piece+"\r")+message(1, at(2), piece)+message(1, at(3), "next\n"), false, []got{
		{1, "stdout", piece, true}, {2, "stdout", "\r", true}, {2, "stdout", piece, true}, {1, "stdout", "", false}, {3, "stdout", "next", false},
	})
}

func TestTTYLines(t *testing.T) {
	line := func(n int, text string) string { return at(n).Format(stamped) + " " + text }
	checkFrames(t, line(1, "one\r\n")+line(2, "\r\n")+line(3, "bare\n")+line(4, "a\rb\r\n")+line(5, "unfinished"), true, []got{
		{1, "stdout", "one", false}, {2, "stdout", "", false}, {3, "stdout", "bare", false}, {4, "stdout", "a\rb", false}, {5, "stdout", "unfinished", true},
	})
}

func TestTTYPiecesOfALongLineComeWithoutTheTimesBetween(t *testing.T) {
	piece := strings.Repeat("x", chunk)
	stamp := at(1).Format(stamped) + " "
	checkFrames(t, stamp+piece+stamp+piece+stamp+"end\r\n"+at(2).Format(stamped)+" next\r\n", true, []got{
		{1, "stdout", piece, true}, {1, "stdout", piece, true}, {1, "stdout", "end", false}, {2, "stdout", "next", false},
	})
}

func TestTTYCarriageReturnsBetweenPieces(t *testing.T) {
	stamp, next := at(1).Format(stamped)+" ", at(2).Format(stamped)+" next\r\n"
	piece := strings.Repeat("x", chunk-1)
	// The line end is cut in two.
	checkFrames(t, stamp+piece+"\r"+stamp+"\n"+next, true, []got{
		{1, "stdout", piece, true}, {1, "stdout", "", false}, {2, "stdout", "next", false},
	})
	// The last piece of a long line has no "\n", as with the driver local.
	checkFrames(t, stamp+piece+"x"+stamp+"\r"+next, true, []got{
		{1, "stdout", piece + "x", true}, {1, "stdout", "", true}, {1, "stdout", "", false}, {2, "stdout", "next", false},
	})
	checkFrames(t, stamp+piece+"\r"+stamp+next, true, []got{
		{1, "stdout", piece, true}, {1, "stdout", "", true}, {1, "stdout", "", false}, {2, "stdout", "next", false},
	})
	// The process wrote it.
	checkFrames(t, stamp+piece+"\r"+stamp+"more\r\n"+next, true, []got{
		{1, "stdout", piece, true}, {1, "stdout", "\r", true}, {1, "stdout", "more", false}, {2, "stdout", "next", false},
	})
	checkFrames(t, stamp+"unfinished\r", true, []got{{1, "stdout", "unfinished", true}})
}

func TestTTYTimesThatTheProcessPrintedStay(t *testing.T) {
	for _, printed := range []time.Time{at(0), at(0).Add(-time.Hour), time.Now().Add(24 * time.Hour).UTC()} {
		text := "time=" + printed.Format(stamped) + " level=info"
		checkFrames(t, at(1).Format(stamped)+" "+text+"\r\n", true, []got{{1, "stdout", text, false}})
	}
}

// Times that the Engine wrote before the clock was set back are still distinguished from
// those that the process printed.
func TestTTYPiecesAreJoinedAfterTheClockWasSetBack(t *testing.T) {
	piece, stamp := strings.Repeat("x", chunk), at(1).Format(stamped)+" "
	r := NewLogReader(io.NopCloser(strings.NewReader(stamp+piece+stamp+"end\r\n")), true)
	r.now = func() time.Time { return at(1).Add(-time.Hour) }
	for _, want := range []string{piece, "end"} {
		if f, err := r.Next(); err != nil || string(f.Text) != want {
			t.Fatalf("%d bytes, want %d; %v", len(f.Text), len(want), err)
		}
	}
}

func TestTTYLinesWithoutEndAreCutIntoPieces(t *testing.T) {
	text := strings.Repeat("y", 2*maxPiece+10)
	checkFrames(t, at(1).Format(stamped)+" "+text+"\r\n", true, []got{
		{1, "stdout", text[:maxPiece], true}, {1, "stdout", text[:maxPiece], true}, {1, "stdout", "yyyyyyyyyy", false},
	})
}

func TestErrorsOfTheEngineInTheStream(t *testing.T) {
	text := "Error grabbing logs: invalid character '\\x00' looking for beginning of value\n"
	frame := string(binary.BigEndian.AppendUint32([]byte{3, 0, 0, 0}, uint32(len(text)))) + text
	for _, test := range []struct {
		input string
		tty   bool
	}{{message(1, at(1), "before\n") + frame, false}, {at(1).Format(stamped) + " before\r\n" + text, true}} {
		out, err := readAll(t, test.input, test.tty)
		if !IsCorrupt(err) || !strings.Contains(err.Error(), `invalid character '\x00'`) {
			t.Errorf("tty %v: error %v, want one that IsCorrupt with the Engine's words", test.tty, err)
		}
		if diff := cmp.Diff([]got{{1, "stdout", "before", false}}, out); diff != "" {
			t.Error(diff)
		}
	}
}

func TestMalformedInputSaysWhatIsWrong(t *testing.T) {
	short := string(binary.BigEndian.AppendUint32([]byte{1, 0, 0, 0}, 5)) + "hello"
	huge := string(binary.BigEndian.AppendUint32([]byte{1, 0, 0, 0}, 1<<32-1)) + at(1).Format(stamped) + " x"
	for _, test := range []struct {
		input string
		tty   bool
		want  string
	}{
		{"\x01\x00\x00", false, "header of a message is cut off"},
		{"\x07\x00\x00\x00\x00\x00\x00\x01x", false, "is not a message header"},
		{at(1).Format(stamped) + " x\n", false, "is this the log of a container with a TTY?"},
		{short, false, `at byte 8: a message starts with "hello" instead of a time`},
		{message(1, at(1), "x\n")[:35], false, "the time of a message is cut off"},
		{message(1, at(1), "hello\n")[:42], false, "a message is cut off"},
		{huge, false, "a message is cut off"},
		{"no time at all, and a long text that goes on\n", true, "instead of a time"},
		{message(1, at(1), "x\n"), true, "instead of a time"},
	} {
		_, err := readAll(t, test.input, test.tty)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.50q: error %v, want %q", test.input, err, test.want)
		}
	}
}

func TestAConnectionThatBreaksBetweenMessagesIsNoEnd(t *testing.T) {
	broken := errors.New("connection reset")
	for _, tty := range []bool{false, true} {
		input := message(1, at(1), "x\n")
		if tty {
			input = input[headerLen:]
		}
		out, err := decode(NewLogReader(io.NopCloser(io.MultiReader(strings.NewReader(input), iotest.ErrReader(broken))), tty))
		if len(out) != 1 || !errors.Is(err, broken) {
			t.Errorf("tty %v: %v, %v", tty, out, err)
		}
	}
}

func TestTheBufferFollowsWhatArrivesNotWhatIsAnnounced(t *testing.T) {
	huge := string(binary.BigEndian.AppendUint32([]byte{1, 0, 0, 0}, 1<<32-1)) + at(1).Format(stamped) + " x"
	r := NewLogReader(io.NopCloser(strings.NewReader(huge)), false)
	if _, err := r.Next(); err == nil || len(r.buf) > firstBuffer {
		t.Errorf("error %v, buffer of %d bytes", err, len(r.buf))
	}
	long := message(1, at(1), strings.Repeat("x", maxPiece)+"\n")
	for range 2 * shrinkAfter {
		long += message(1, at(2), "short\n")
	}
	r = NewLogReader(io.NopCloser(strings.NewReader(long)), false)
	most := 0
	for {
		if _, err := r.Next(); err != nil {
			break
		}
		most = max(most, len(r.buf))
	}
	if most < maxPiece || len(r.buf) != firstBuffer {
		t.Errorf("the buffer had %d bytes and has %d, want %d", most, len(r.buf), firstBuffer)
	}
}

// FuzzLogReader: for a stream that is well formed the texts joined are what
// the library's decoder gives; any input ends, in bounded memory, and the same
// way however it is cut into reads.
func FuzzLogReader(f *testing.F) {
	f.Add([]byte("a\nb\n"), uint8(3), false)
	f.Add([]byte(message(1, at(1), "x\n")+message(2, at(2), "y")), uint8(1), false)
	f.Add([]byte(at(1).Format(stamped)+" x\r\n"+at(1).Format(stamped)+" y"), uint8(0), true)
	f.Add([]byte("\x03\x00\x00\x00\x00\x00\x00\x04oops"), uint8(0), false)
	f.Add(bytes.Repeat([]byte("x"), 3*chunk), uint8(9), true)
	f.Fuzz(func(t *testing.T, data []byte, seed uint8, tty bool) {
		input := string(data)
		one := NewLogReader(io.NopCloser(strings.NewReader(input)), tty)
		want, wantErr := decode(one)
		if len(one.buf) > 4*maxPiece {
			t.Fatalf("a buffer of %d bytes", len(one.buf))
		}
		chopped, choppedErr := decode(NewLogReader(io.NopCloser(iotest.HalfReader(strings.NewReader(input))), tty))
		if diff := cmp.Diff(want, chopped); diff != "" || (wantErr == nil) != (choppedErr == nil) {
			t.Fatalf("cut differently it differs: %v, %v\n%s", wantErr, choppedErr, diff)
		}
		agreesWithLibrary(t, input, rand.New(rand.NewPCG(uint64(seed), 1)))
	})
}

// agreesWithLibrary makes messages of the lines of a text, and decodes them.
func agreesWithLibrary(t *testing.T, text string, random *rand.Rand) {
	var wire bytes.Buffer
	writers := []io.Writer{stdcopy.NewStdWriter(&wire, stdcopy.Stdout), stdcopy.NewStdWriter(&wire, stdcopy.Stderr)}
	n := 0
	for line := range strings.Lines(text) {
		n++
		fmt.Fprintf(writers[random.IntN(2)], "%s %s", at(n).Format(stamped), line)
	}
	var stdout, stderr bytes.Buffer
	if _, err := stdcopy.StdCopy(&stdout, &stderr, bytes.NewReader(wire.Bytes())); err != nil {
		t.Fatal(err)
	}
	frames, err := decode(NewLogReader(io.NopCloser(&wire), false))
	if err != nil {
		t.Fatal(err)
	}
	mine := map[string]*strings.Builder{"stdout": {}, "stderr": {}}
	begun := map[string]bool{}
	for _, f := range frames {
		b := mine[f.Stream]
		if !begun[f.Stream] {
			fmt.Fprintf(b, "%s ", at(f.Nanos).Format(stamped))
		}
		b.WriteString(f.Text)
		begun[f.Stream] = f.Partial
		if !f.Partial {
			b.WriteByte('\n')
		}
	}
	// A carriage return at the end of a line belongs to the line end.
	content := func(raw string) string { return strings.TrimSuffix(strings.ReplaceAll(raw, "\r\n", "\n"), "\r") }
	if mine["stdout"].String() != content(stdout.String()) || mine["stderr"].String() != content(stderr.String()) {
		t.Fatalf("%q decoded as %v", text, frames)
	}
}

// FuzzParseStamp: it accepts what time.Parse does with the fixed form, and
// gives the same.
func FuzzParseStamp(f *testing.F) {
	f.Add("2026-02-29T05:06:07.123456789Z ")
	f.Add("2024-02-29T23:59:60.000000000Z ")
	f.Add("0000-01-01T00:00:00,000000000Z ")
	f.Add("0000-00-00T00:00:00.000000000Z ")
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) != stampLen+1 || s[19] == ',' || s[20] == '+' || s[20] == '-' {
			return // the Engine writes no comma and no sign, which time.Parse takes
		}
		got, ok := parseStamp([]byte(s))
		want, err := time.Parse("2006-01-02T15:04:05.000000000Z ", s)
		if ok != (err == nil) || ok && !got.Equal(want) {
			t.Errorf("%q: %v %v, want %v %v", s, got, ok, want, err)
		}
	})
}

func BenchmarkLogReader(b *testing.B) {
	line := message(1, at(1), strings.Repeat("x", 120)+"\n")
	for _, tty := range []bool{false, true} {
		one := line
		if tty {
			one = line[headerLen:len(line)-1] + "\r\n"
		}
		input := strings.Repeat(one, 10_000)
		b.Run(fmt.Sprintf("tty=%v", tty), func(b *testing.B) {
			b.SetBytes(int64(len(input)))
			b.ReportAllocs()
			for b.Loop() {
				r := NewLogReader(io.NopCloser(strings.NewReader(input)), tty)
				for {
					if _, err := r.Next(); err != nil {
						break
					}
				}
			}
		})
	}
}
