package api

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
	"github.com/labstack/echo/v4"
)

var (
	//go:embed openapi.yaml
	openapiYAML []byte
	//go:embed page.html
	pageHTML string
)

// document holds the OpenAPI document in the two forms that are served. Each is made when it is first asked for: reading the YAML takes
// longer than everything else at start.
type document struct {
	json func() ([]byte, error)
	page func() ([]byte, error)
}

func newDocument() *document {
	return &document{
		json: sync.OnceValues(func() ([]byte, error) { return yaml.YAMLToJSON(openapiYAML) }),
		page: sync.OnceValues(renderPage),
	}
}

func (s *server) openAPI(c echo.Context) error {
	b, err := s.doc.json()
	if err != nil {
		return err
	}
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, b)
}

func (s *server) page(c echo.Context) error {
	b, err := s.doc.page()
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderContentSecurityPolicy, "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	c.Response().Header().Set(echo.HeaderXContentTypeOptions, "nosniff")
	return c.HTMLBlob(http.StatusOK, b)
}

// spec is what the page reads of the document.
type spec struct {
	Info       struct{ Title, Description string }
	Tags       []struct{ Name, Description string }
	Paths      map[string]struct{ Get, Post, Put, Delete *operation }
	Components struct {
		Schemas map[string]schema
	}
}

// operation is one call. The last three fields are not in the document at this place; they are filled in for the page.
type operation struct {
	ID                   string `yaml:"operationId"`
	Tags                 []string
	Summary, Description string
	Parameters           []struct{ Name, In, Description string }
	RequestBody          struct {
		Content map[string]struct{ Schema schema }
	} `yaml:"requestBody"`

	Method, Path string `yaml:"-"`
	Body         schema `yaml:"-"`
}

type schema struct {
	Ref         string `yaml:"$ref"`
	Type        string
	Description string
	Required    []string
	Properties  map[string]schema
}

// Must reports whether the field must be given.
func (s schema) Must(name string) bool { return slices.Contains(s.Required, name) }

// Operations returns the calls under one tag, ordered by path.
func (s spec) Operations(tag string) []operation {
	var out []operation
	for path, item := range s.Paths {
		for method, op := range map[string]*operation{http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodDelete: item.Delete} {
			if op == nil || !slices.Contains(op.Tags, tag) {
				continue
			}
			full := *op
			full.Method, full.Path, full.Body = method, path, s.resolve(op.RequestBody.Content[echo.MIMEApplicationJSON].Schema)
			out = append(out, full)
		}
	}
	slices.SortFunc(out, func(a, b operation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	return out
}

// resolve returns the schema that a reference names, and a description and type for each of its fields.
func (s spec) resolve(of schema) schema {
	if name, ok := strings.CutPrefix(of.Ref, "#/components/schemas/"); ok {
		of = s.Components.Schemas[name]
	}
	fields := make(map[string]schema, len(of.Properties))
	for name, f := range of.Properties {
		if target, ok := strings.CutPrefix(f.Ref, "#/components/schemas/"); ok {
			f = s.Components.Schemas[target]
		}
		fields[name] = f
	}
	of.Properties = fields
	return of
}

// Problems returns the rows of the error table, one for each code.
func (spec) Problems() []problem {
	var out []problem
	for _, r := range slices.Concat(table, []row{invalid, internal}) {
		if !slices.ContainsFunc(out, func(p problem) bool { return p.ErrorCode == r.code }) {
			out = append(out, problem{ErrorCode: r.code, Status: r.status, Title: r.title})
		}
	}
	return out
}

func renderPage() ([]byte, error) {
	var s spec
	if err := yaml.Unmarshal(openapiYAML, &s); err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return nil, fmt.Errorf("parse the API page: %w", err)
	}
	var out bytes.Buffer
	err = t.Execute(&out, s)
	return out.Bytes(), err
}
