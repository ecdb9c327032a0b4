package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestThePageNamesEveryKeyAndVariable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []reflect.Type{reflect.TypeFor[Config](), reflect.TypeFor[Exec](), reflect.TypeFor[HTTP](), reflect.TypeFor[Tracing](), reflect.TypeFor[Backups](), reflect.TypeFor[TLS]()} {
		for i := range of.NumField() {
			tag := of.Field(i).Tag
			if key := tag.Get("conf"); !strings.Contains(string(text), key) || !strings.Contains(string(text), tag.Get("env")) {
				t.Errorf("%s or %q is not on the page", key, tag.Get("env"))
			}
		}
	}
}
