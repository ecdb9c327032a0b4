package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"How to answer: table for people, json for programs."`
}

// build says what this binary was made from.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"` // empty: not known
	Go      string `json:"go"`
	System  string `json:"system"`
}

func thisBuild() build {
	b := build{Version: "(devel)", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			b.Commit = setting.Value
		}
	}
	return b
}

func (c *versionCmd) Run(s *session) error {
	b := thisBuild()
	if c.Output == "json" {
		return s.printJSON(b)
	}
	commit := ""
	if b.Commit != "" {
		commit = "commit " + b.Commit + ", "
	}
	_, err := fmt.Fprintf(s.stdout, "thequeue %s (%s%s, %s)\n", b.Version, commit, b.Go, b.System)
	return err
}
