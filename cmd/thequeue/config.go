package main

import (
	"errors"
	"fmt"

	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/task"
)

type configCmd struct {
	Check  checkCmd  `cmd:"" help:"Read the settings and list everything that is wrong with them."`
	Schema schemaCmd `cmd:"" help:"Print a JSON Schema of the configuration file, for editors and other programs."`
}

type checkCmd struct {
	File   *string `arg:"" optional:"" help:"The file to check (default: that of --config or PRISMQ_CONFIG)."`
	Worker bool    `help:"Demand what a worker needs too: a worker_id, and the programs and directories of its commands."`
	Output string  `short:"o" enum:"table,json" default:"table" help:"How to answer: table for people, json for programs."`
}

// verdict is what a check has found.
type verdict struct {
	File     string            `json:"file"`     // empty: none was named
	OK       bool              `json:"ok"`       // there is no problem
	Problems []task.FieldError `json:"problems"` // never nil
}

func (c *checkCmd) Run(s *session) error {
	if err := c.takeFile(s); err != nil {
		return err
	}
	var need []string
	if c.Worker {
		need = forWork
	}
	_, err := s.settings(func(*config.Config) {}, need...)
	switch {
	case c.Output == "json":
		return errors.Join(err, s.printJSON(verdict{File: s.file(), OK: err == nil, Problems: problemsIn(err)}))
	case err != nil:
		return err
	case s.file() == "":
		_, err = fmt.Fprintln(s.stdout, "no file is named; the environment and the defaults are fine")
	default:
		_, err = fmt.Fprintf(s.stdout, "%s is fine\n", clean(s.file()))
	}
	return err
}

// takeFile puts the argument in the place of --config.
func (c *checkCmd) takeFile(s *session) error {
	switch {
	case c.File == nil:
		return nil
	case *c.File == "":
		return usage("the name of the file is empty: leave it out, or give one")
	case s.cli.Config != "":
		return usage("name one file: as the argument or by --config")
	}
	s.cli.Config = *c.File
	return nil
}

// problemsIn returns the fields that err complains of. A file that cannot be read or parsed is one problem.
func problemsIn(err error) []task.FieldError {
	if bad, ok := errors.AsType[*task.InvalidError](err); ok {
		return bad.Fields
	}
	if err != nil {
		return []task.FieldError{{Field: "the file", Message: oneLine(err.Error())}}
	}
	return []task.FieldError{}
}

type schemaCmd struct{}

func (c *schemaCmd) Run(s *session) error {
	text, err := config.Schema()
	if err != nil {
		return err
	}
	_, err = s.stdout.Write(text)
	return err
}
