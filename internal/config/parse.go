package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// document is a file in whatever format: its values, and where they stand.
type document struct {
	tree any                     // of map[string]any, []any and scalars; nil: an empty file
	line func(path []string) int // the line of a key, counted from 1; 0: not known
}

// parserOf returns what reads the format that the extension of a path tells.
func parserOf(path string) (func(text []byte) (document, error), error) {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".json":
		return parseJSON, nil
	case ".yaml", ".yml":
		return parseYAML, nil
	case ".toml":
		return parseTOML, nil
	default:
		return nil, fmt.Errorf("unknown extension %q: use .json, .yaml, .yml or .toml", ext)
	}
}

func parseJSON(text []byte) (document, error) {
	if err := checkJSON(text); err != nil {
		return document{}, err
	}
	doc, err := parseYAML(text) // which knows the lines, but not every number of JSON
	if err != nil || doc.tree == nil {
		return doc, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber() // as they are written
	doc.tree = nil
	if err := dec.Decode(&doc.tree); err != nil {
		return document{}, err
	}
	return doc, nil
}

// checkJSON refuses what is YAML but not JSON. An empty file holds no settings.
func checkJSON(text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	var any json.RawMessage
	err := json.Unmarshal(text, &any)
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("line %d: not valid JSON: %w", 1+bytes.Count(text[:min(int(e.Offset), len(text))], []byte{'\n'}), err)
	}
	return err
}

// parseYAML reads JSON too, of which YAML is a superset. Keys that come twice are an error.
func parseYAML(text []byte) (document, error) {
	tokens := lexer.Tokenize(string(text))
	for _, t := range tokens {
		readExponent(t)
	}
	file, err := parser.Parse(tokens, 0)
	var tree any
	if err == nil {
		docs := slices.DeleteFunc(slices.Clone(file.Docs), func(d *ast.DocumentNode) bool { return d.Body == nil })
		if len(docs) > 1 {
			return document{}, errors.New("holds more than one document (---): put all settings into one")
		}
		if len(docs) == 1 {
			err = yaml.NodeToValue(docs[0].Body, &tree, yaml.Strict())
		}
	}
	if e, ok := errors.AsType[yaml.Error](err); ok {
		return document{}, fmt.Errorf("line %d: %s", e.GetToken().Position.Line, e.GetMessage())
	}
	if err != nil {
		return document{}, err
	}
	return document{tree: tree, line: func(path []string) int {
		b := (&yaml.PathBuilder{}).Root()
		for _, key := range path {
			b = b.Child(key)
		}
		node, err := b.Build().FilterFile(file)
		if err != nil {
			return 0
		}
		return node.GetToken().Position.Line
	}}, nil
}

// wholeExponent is a number of YAML 1.2 (10.3.2) that the parser takes for a text: an exponent behind whole digits.
var wholeExponent = regexp.MustCompile(`^([-+]?[0-9]+)([eE][-+]?[0-9]+)$`)

// readExponent makes a plain 1e3 that is no key the number that it is.
func readExponent(t *token.Token) {
	m := wholeExponent.FindStringSubmatch(t.Value)
	if m == nil || t.Type != token.StringType || t.Next != nil && t.Next.Type == token.MappingValueType {
		return
	}
	if _, err := strconv.ParseFloat(t.Value, 64); err == nil {
		t.Type, t.Value = token.FloatType, m[1]+".0"+m[2]
	}
}

func parseTOML(text []byte) (document, error) {
	var tree map[string]any
	if err := toml.Unmarshal(text, &tree); err != nil {
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, _ := e.Position()
			return document{}, fmt.Errorf("line %d: %w", line, err)
		}
		return document{}, err
	}
	lines := tomlLines(text)
	return document{tree: tree, line: func(path []string) int { return lines[strings.Join(path, "\x00")] }}, nil
}

// tomlLines returns the line of every key of a valid document but of those in inline tables.
func tomlLines(text []byte) map[string]int {
	lines := map[string]int{}
	var p unstable.Parser
	p.Reset(text)
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		var path []string
		if e.Kind == unstable.KeyValue {
			path = table
		}
		for keys := e.Key(); keys.Next(); {
			path = with(path, string(keys.Node().Data))
			lines[strings.Join(path, "\x00")] = p.Shape(keys.Node().Raw).Start.Line
		}
		if e.Kind != unstable.KeyValue {
			table = path
		}
	}
	return lines
}
