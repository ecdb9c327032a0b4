package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	_ "time/tzdata" // for machines without the IANA database of time zones
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	hurry, signals := make(chan struct{}), make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop()
		<-signals
		close(hurry)
		signal.Reset() // a third signal ends the process at once
	}()
	program, err := os.Executable()
	if err != nil {
		program = "" // commands run without a guard
	}
	os.Exit(run(ctx, hurry, program, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// run carries one command out and returns the exit code. It ends early when ctx does, and waits for running tasks no longer once hurry
// is closed; a nil hurry never is. program is the path of this program, empty where it is not to run itself.
func run(ctx context.Context, hurry <-chan struct{}, program string, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	s := &session{hurry: hurry, program: program, getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr}
	var ended bool // by --help
	parser, err := kong.New(&s.cli, kong.Name("thequeue"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(func(int) { ended = true }), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(s))
	if err != nil {
		panic(err) // the grammar is wrong
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	for i, arg := range args {
		if !utf8.ValidString(arg) {
			return s.report(usage("argument %d (%q) is not valid UTF-8", i+1, arg))
		}
	}
	command, err := parser.Parse(args)
	switch {
	case ended:
		return exitOK
	case err != nil:
		return s.report(usage("%s; see thequeue --help", err))
	}
	if err := nothingEmpty(command); err != nil {
		return s.report(err)
	}
	return s.report(command.Run())
}

// nothingEmpty refuses a flag that was given an empty text: it comes from a variable that is not set, and would stand for the default.
func nothingEmpty(command *kong.Context) error {
	for _, p := range command.Path {
		if p.Flag == nil {
			continue
		}
		v := reflect.Indirect(p.Flag.Target)
		if v.Kind() == reflect.String && v.Len() == 0 {
			return usage("--%s is empty: leave it out, or give it a value", p.Flag.Name)
		}
	}
	return nil
}

const description = `A task queue in one binary: start it with "thequeue serve", then "thequeue enqueue echo".

Settings come from a file (--config), then the environment (PRISMQ_…), then flags; the later wins.`
