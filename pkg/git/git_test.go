package git

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"collector/pkg/git/gittest"
)

func remote(url string) *Remote {
	return &Remote{URL: url, Client: http.DefaultClient, MaxPack: 1 << 20}
}

// read reads the files of a revision, by path.
func read(t *testing.T, r *Remote, revision string) (commit string, files map[string]string) {
	t.Helper()
	commit, err := r.Resolve(t.Context(), revision)
	if err != nil {
		t.Fatal(err)
	}
	pack, err := r.Fetch(t.Context(), commit)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Files(pack, commit, 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	for _, f := range found {
		files[f.Path] = string(f.Data)
	}
	return commit, files
}

// similar are texts that git stores as deltas of each other.
func similar(n int) map[string]string {
	r := rand.New(rand.NewPCG(1, 2))
	base := make([]byte, 20_000)
	for i := range base {
		base[i] = 'a' + byte(r.IntN(26))
	}
	out := map[string]string{}
	for i := range n {
		out[fmt.Sprintf("folder/%d/text", i)] = string(base[:10_000]) + fmt.Sprint(i) + string(base[10_000+i:])
	}
	return out
}

func TestARevisionIsReadFromARealServer(t *testing.T) {
	s := gittest.New(t)
	want := similar(20)
	want["a.alloy"] = "first"
	first := s.Commit(want)
	s.Git("tag", "-a", "v1", "-m", "a tag with a message")
	s.Git("tag", "plain")
	want["a.alloy"] = "second"
	second := s.Commit(want)
	s.Git("branch", "v1") // a tag comes before a branch
	s.Git("repack", "-q", "-a", "-d", "-f", "--depth=50", "--window=50")
	for revision, commit := range map[string]string{"main": second, "v1": first, "plain": first, first: first, "refs/heads/v1": second, "refs/tags/v1": first} {
		got, files := read(t, remote(s.URL), revision)
		if got != commit {
			t.Errorf("%s is %s, want %s", revision, got, commit)
		}
		want["a.alloy"] = map[string]string{first: "first", second: "second"}[commit]
		if d := cmp.Diff(want, files); d != "" {
			t.Errorf("%s: %s", revision, d)
		}
	}
	if _, err := remote(s.URL).Resolve(t.Context(), "none"); !errors.Is(err, ErrNoRevision) {
		t.Errorf("error %v", err)
	}
	if _, err := remote(s.URL).Fetch(t.Context(), strings.Repeat("1", 40)); err == nil || !strings.Contains(err.Error(), "server says") {
		t.Errorf("error %v", err)
	}
}

func TestLinksAndSubmodulesAreOmitted(t *testing.T) {
	s := gittest.New(t)
	commit := s.Commit(map[string]string{"a": "x"})
	for _, entry := range []string{"120000," + s.Git("hash-object", "-w", "a") + ",link", "160000," + commit + ",module"} {
		s.Git("update-index", "--add", "--cacheinfo", entry)
	}
	s.Git("commit", "-q", "-m", "links")
	if _, files := read(t, remote(s.URL), "main"); len(files) != 1 || files["a"] != "x" {
		t.Errorf("files %v", files)
	}
}

func TestLoginsAndRedirects(t *testing.T) {
	s := gittest.New(t)
	s.Commit(map[string]string{"a": "x"})
	secret := remote(strings.Replace(s.URL, "/modules", "/secret/modules", 1))
	if _, err := secret.Resolve(t.Context(), "main"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("error %v", err)
	}
	secret.Username, secret.Password = "user", "token"
	if _, files := read(t, secret, "main"); files["a"] != "x" {
		t.Errorf("files %v", files)
	}
	if _, files := read(t, remote(strings.Replace(s.URL, "/modules", "/moved/modules", 1)+"/"), "main"); files["a"] != "x" {
		t.Errorf("files %v", files)
	}
}

func TestAPackThatIsTooLargeIsRejected(t *testing.T) {
	s := gittest.New(t)
	commit := s.Commit(similar(1))
	r := remote(s.URL)
	r.MaxPack = 1000
	if _, err := r.Fetch(t.Context(), commit); err == nil || !strings.Contains(err.Error(), "compressed") {
		t.Errorf("error %v", err)
	}
	r = remote(s.URL)
	pack, err := r.Fetch(t.Context(), commit)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Files(pack, commit, 1000); err == nil || !strings.Contains(err.Error(), "allowed") {
		t.Errorf("error %v", err)
	}
}

func TestAServerThatIsNotGitIsReported(t *testing.T) {
	f := func(answer, want string) {
		t.Helper()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
		defer server.Close()
		if _, err := remote(server.URL).Resolve(t.Context(), "main"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", answer, err, want)
		}
	}
	f("<html>", "not come from a Git server")
	f("", "cut off")
	f(line("# service=git-upload-pack\n")+flushLine+line(strings.Repeat("1", 40)+" HEAD\x00agent=x\n")+flushLine, "version 2")
	f(line("version 2\n")+line("object-format=sha256\n")+flushLine, "sha256")
	f(line("ERR no\x07 access\n"), "server says: no  access")
}

func TestFilesAreWrittenOnceAndWithinTheFolder(t *testing.T) {
	folder := t.TempDir()
	files := []File{{"a/b/c", []byte("x")}, {"d", []byte("y")}}
	for range 2 {
		if err := Write(folder, files); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(folder, "a/b/c")); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 2 {
		t.Errorf("entries %v, %v", entries, err)
	}
	if err := Write(folder, []File{{"../outside", nil}}); err == nil {
		t.Error("a file is written outside of the folder")
	}
}

func TestNamesThatLeadOutOfTheFolderAreRejected(t *testing.T) {
	for _, name := range []string{"..", ".", "", "a/b", `a\b`, ".GIT"} {
		var p gittest.Pack
		blob := p.Object(gittest.Blob, []byte("x"))
		tree := p.Object(gittest.Tree, gittest.Entry(modeFile, name, blob))
		commit := p.Object(gittest.Commit, []byte("tree "+tree+"\n\nmessage"))
		if _, err := Files(p.Pack(), commit, 1<<20); err == nil || !strings.Contains(err.Error(), "is named") {
			t.Errorf("%q: error %v", name, err)
		}
	}
}

func TestATreeInManyPlacesIsBounded(t *testing.T) {
	var p gittest.Pack
	id := p.Object(gittest.Blob, bytes.Repeat([]byte("x"), 1000))
	mode := modeFile
	for range 30 {
		id = p.Object(gittest.Tree, append(gittest.Entry(mode, "a", id), gittest.Entry(mode, "b", id)...))
		mode = modeTree
	}
	commit := p.Object(gittest.Commit, []byte("tree "+id+"\n"))
	if _, err := Files(p.Pack(), commit, 1<<20); err == nil {
		t.Error("2^30 files are no error")
	}
}

func TestDeltasThatCannotBeAreErrors(t *testing.T) {
	f := func(want string, make func(p *gittest.Pack)) {
		t.Helper()
		var p gittest.Pack
		make(&p)
		if _, err := objectsOf(p.Pack(), 1<<20); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	delta := func(delta ...byte) func(*gittest.Pack) {
		return func(p *gittest.Pack) { p.RefDelta(p.Object(gittest.Blob, []byte("base")), delta) }
	}
	f("bases of 1 deltas", func(p *gittest.Pack) { p.RefDelta(strings.Repeat("1", 40), []byte{0, 0}) })
	f("base has 4 bytes", delta(5, 0))
	f("copies what its base", delta(4, 2, 0x91, 3, 2))
	f("larger than its size", delta(4, 1, 2, 'a', 'b'))
	f("smaller than its size", delta(4, 3, 2, 'a', 'b'))
	f("cut off", delta(4, 3, 3, 'a', 'b'))
	f("instruction", delta(4, 3, 0))
	f("larger than is allowed", delta(4, 0xff, 0xff, 0xff, 0xff, 7))
	f("larger than is allowed", func(p *gittest.Pack) { p.Head(gittest.Blob, 1<<21); p.Content(nil) })
	f("size is not", func(p *gittest.Pack) { p.Head(gittest.Blob, 3); p.Content([]byte("abcd")) })
	f("follow its last object", func(p *gittest.Pack) { p.Object(gittest.Blob, nil); p.WriteString("x") })
	f("type 5", func(p *gittest.Pack) { p.Head(5, 0) })
}

// FuzzPack packs again what is in a pack: that has the same objects.
func FuzzPack(f *testing.F) {
	var p gittest.Pack
	blob := p.Object(gittest.Blob, []byte("some text of a file"))
	p.RefDelta(blob, []byte{19, 6, 0x90, 4, 2, 'x', 'y'})
	tree := p.Object(gittest.Tree, gittest.Entry(modeFile, "f", blob))
	p.Object(gittest.Commit, []byte("tree "+tree+"\n"))
	f.Add(p.Pack()[12 : len(p.Pack())-20])
	f.Fuzz(func(t *testing.T, body []byte) {
		const limit = 1 << 20
		for count := uint32(1); count < 6; count++ {
			pack := append(binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), count), body...)
			sum := sha1.Sum(pack)
			objects, err := objectsOf(append(pack, sum[:]...), limit)
			if err != nil {
				continue
			}
			var again gittest.Pack
			total := 0
			for id, o := range objects {
				total += len(o.data)
				if again.Object(int(o.kind), o.data) != id {
					t.Fatalf("the object %s is called otherwise", id)
				}
				_, _ = Files(append(pack, sum[:]...), id, limit)
			}
			if total > limit {
				t.Fatalf("%d bytes are unpacked", total)
			}
			second, err := objectsOf(again.Pack(), limit)
			if err != nil || len(second) != len(objects) {
				t.Fatalf("%d objects become %d: %v", len(objects), len(second), err)
			}
		}
	})
}

// FuzzAnswer makes a server answer anything.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(line("shallow-info\n") + line("shallow x\n") + delimLine + line("packfile\n") + line("\x01PACK") + line("\x02progress") + flushLine))
	f.Add([]byte(line("packfile\n") + line("\x03no") + flushLine))
	f.Fuzz(func(t *testing.T, answer []byte) {
		pack, err := readPack(newLines(bytes.NewReader(answer)), 100)
		if err == nil && len(pack) > 100 {
			t.Fatalf("a pack of %d bytes", len(pack))
		}
	})
}
