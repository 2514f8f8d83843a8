package componenttest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// stage is what an example finds instead of the machines, ports and files that it
// names.
type stage struct {
	dir    string
	server string // see Suite
}

func newStage(t *testing.T, handler http.Handler) stage {
	if handler == nil {
		handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return stage{dir: t.TempDir(), server: server.URL}
}

var (
	engine      = regexp.MustCompile(`unix:///[^"]*`)
	url         = regexp.MustCompile(`"https?://[^/"]+`)
	anyAddress  = regexp.MustCompile(`"0\.0\.0\.0"`)
	listener    = regexp.MustCompile(`"(?:0\.0\.0\.0|127\.0\.0\.1|localhost)?:[0-9]+"`)
	listenPort  = regexp.MustCompile(`\blisten_port(\s*)= [0-9]+`)
	serverBlock = regexp.MustCompile(`\b(grpc|http) \{[^{}]*\}`)
	serverPort  = regexp.MustCompile(`\b(endpoint|listen_port)\b`)
	remote      = regexp.MustCompile(`"[a-z][a-z0-9.-]*:[0-9]+"`)
	path        = regexp.MustCompile(`"/(?:etc|var|run|home|opt|srv|tmp|data)/[^"]*"`)
	pattern     = regexp.MustCompile(`[*?{\[]`)
)

// set is the example with what is on the stage. The files that it reads are there,
// and empty.
func (s stage) set(t *testing.T, example string) string {
	t.Helper()
	anyPort := "listen_address = \"127.0.0.1\"\nlisten_port = 0"
	if strings.Contains(example, "otelcol.receiver.") {
		anyPort = "endpoint = \"127.0.0.1:0\""
	}
	for _, r := range []struct {
		what *regexp.Regexp
		by   string
	}{
		{engine, "unix://" + filepath.Join(s.dir, "docker.sock")},
		{url, `"` + s.server},
		{listener, `"127.0.0.1:0"`},
		{anyAddress, `"127.0.0.1"`},
		{listenPort, "listen_port${1}= 0"},
		{remote, `"127.0.0.1:1"`}, // where nobody listens
	} {
		example = r.what.ReplaceAllString(example, r.by)
	}
	// The port of a server that names none is a fixed one, which may be in use.
	example = serverBlock.ReplaceAllStringFunc(example, func(block string) string {
		if serverPort.MatchString(block) {
			return block
		}
		return strings.Replace(block, "{", "{\n"+anyPort+"\n", 1)
	})
	return path.ReplaceAllStringFunc(example, func(quoted string) string {
		file := filepath.Join(s.dir, quoted[1:len(quoted)-1])
		if !pattern.MatchString(file) {
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return `"` + file + `"`
	})
}
