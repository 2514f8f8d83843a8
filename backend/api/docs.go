package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

//go:embed openapi.json
var openAPI []byte

//go:embed docs.css
var docsStyle string

// document is as much of OpenAPI 3 as the page shows.
type document struct {
	Info struct{ Title, Version, Description string }
	Tags []struct{ Name, Description string }
	// Paths hold operations by method.
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]json.RawMessage }
}

type operation struct {
	Tags                 []string
	Summary, Description string
	Parameters           []struct {
		Name, In string
		Required bool
		Schema   json.RawMessage
	}
	RequestBody struct {
		Content map[string]struct {
			Schema  json.RawMessage
			Example json.RawMessage
		}
	}
	Responses map[string]struct {
		Description string
		Content     map[string]struct{ Schema json.RawMessage }
	}
}

// section is a tag with its operations, in the order they are shown in.
type section struct {
	Name, Description string
	Operations        []listed
}

type listed struct {
	Method, Path string
	operation
}

// docsFile serves the document, for programs.
func docsFile() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(openAPI) // fails only if the client has disconnected
	})
}

// docsPage serves the document, for people. The page is rendered once and loads nothing
// else, which its policy makes browsers enforce.
func docsPage() http.Handler {
	page := render(openAPI)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		_, _ = w.Write(page)
	})
}

// render panics if the document is broken: it is part of the program, and tested.
func render(source []byte) []byte {
	var doc document
	if err := json.Unmarshal(source, &doc); err != nil {
		panic("BUG: the embedded OpenAPI document: " + err.Error())
	}
	var out bytes.Buffer
	_ = doc.page().Render(&out) // a buffer takes everything
	return out.Bytes()
}

func (d document) sections() []section {
	var sections []section
	for _, tag := range d.Tags {
		s := section{Name: tag.Name, Description: tag.Description}
		for path, operations := range d.Paths {
			for method, o := range operations {
				if slices.Contains(o.Tags, tag.Name) {
					s.Operations = append(s.Operations, listed{strings.ToUpper(method), path, o})
				}
			}
		}
		slices.SortFunc(s.Operations, inOrder)
		sections = append(sections, s)
	}
	return sections
}

func inOrder(a, b listed) int {
	if c := strings.Compare(a.Path, b.Path); c != 0 {
		return c
	}
	methods := []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	return slices.Index(methods, a.Method) - slices.Index(methods, b.Method)
}

// schemaText writes a schema the way it is read most easily: a reference by
// its name, anything else as it is.
func schemaText(schema json.RawMessage) string {
	var reference struct {
		Ref string `json:"$ref"`
	}
	if json.Unmarshal(schema, &reference) == nil && reference.Ref != "" {
		return reference.Ref[strings.LastIndexByte(reference.Ref, '/')+1:]
	}
	var text bytes.Buffer
	if json.Compact(&text, schema) != nil {
		return string(schema)
	}
	return text.String()
}
