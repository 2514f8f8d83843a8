package uitest

import (
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// CheckPage checks what holds for every page: well-formed, nothing inline,
// nothing from elsewhere, and a structure that a screen reader can follow.
func CheckPage(t *testing.T, path, page string) {
	t.Helper()
	if !strings.HasPrefix(page, "<!doctype html>") {
		t.Errorf("%s: no doctype", path)
	}
	wellFormed(t, path, page)
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	ids, headings, current := map[string]bool{}, 0, 0
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.DataAtom == atom.Script && n.FirstChild != nil || n.DataAtom == atom.Style {
			t.Errorf("%s: inline <%s>", path, n.Data)
		}
		if n.DataAtom == atom.H1 {
			headings++
		}
		if n.DataAtom == atom.Th && attribute(n, "scope") == "" {
			t.Errorf("%s: a head of a table without scope", path)
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("%s: <%s %s=…>", path, n.Data, a.Key)
			}
			if (a.Key == "href" || a.Key == "src" || a.Key == "action") && (strings.Contains(a.Val, "://") || strings.HasPrefix(a.Val, "//")) {
				t.Errorf("%s: leads to %s", path, a.Val)
			}
			if a.Key == "aria-current" && a.Val == "page" {
				current++
			}
			if a.Key == "id" {
				if ids[a.Val] {
					t.Errorf("%s: the id %s is used more than once", path, a.Val)
				}
				ids[a.Val] = true
			}
		}
	}
	if headings != 1 || current > 1 || !ids["main"] {
		t.Errorf("%s: %d h1, %d current entries, main %v", path, headings, current, ids["main"])
	}
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// wellFormed checks that every element that is opened is closed, in order.
func wellFormed(t *testing.T, path, page string) {
	t.Helper()
	void := map[string]bool{"meta": true, "link": true, "input": true, "br": true, "hr": true, "img": true, "wbr": true}
	var open []string
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("%s: not closed: %v", path, open)
			}
			return
		case html.StartTagToken:
			if name, _ := z.TagName(); !void[string(name)] {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Errorf("%s: </%s> closes %v", path, name, open)
				return
			}
			open = open[:len(open)-1]
		}
	}
}

// MaxPage is the maximum size of a page in bytes, uncompressed.
const MaxPage = 500 << 10
