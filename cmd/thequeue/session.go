package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/config"
)

// cli is the grammar of the command line.
type cli struct {
	Config    string `short:"c" placeholder:"FILE" help:"Settings in JSON, YAML or TOML (PRISMQ_CONFIG)."`
	LogLevel  string `placeholder:"LEVEL" help:"What is logged: debug, info, warn or error (PRISMQ_LOG_LEVEL)."`
	LogFormat string `placeholder:"FORMAT" help:"How it is logged: text or json (PRISMQ_LOG_FORMAT)."`

	APIKey         string `name:"api-key" placeholder:"KEY|@FILE" help:"The key to show the server, better in a file or the environment, where others do not see it (PRISMQ_API_KEY)."`
	CAFile         string `name:"ca-file" placeholder:"FILE" help:"Certificates in PEM to trust instead of those of the system (PRISMQ_CA_FILE)."`
	ClientCertFile string `placeholder:"FILE" help:"A certificate in PEM to show the server (PRISMQ_CLIENT_CERT_FILE)."`
	ClientKeyFile  string `placeholder:"FILE" help:"Its private key (PRISMQ_CLIENT_KEY_FILE)."`

	Serve       serveCmd       `cmd:"" help:"Run the server, and workers in it."`
	Work        workCmd        `cmd:"" help:"Run a worker for a server elsewhere."`
	Guard       guardCmd       `cmd:"" hidden:"" help:"Kill what commands have left running when the process that started this one has died."`
	Enqueue     enqueueCmd     `cmd:"" help:"Put tasks into the queue."`
	Get         getCmd         `cmd:"" help:"Show a task."`
	Attempts    attemptsCmd    `cmd:"" help:"List the attempts of a task, oldest first."`
	Logs        logsCmd        `cmd:"" help:"Show the log of a task, or the newest lines of all, and follow them; delete old ones."`
	Events      eventsCmd      `cmd:"" help:"Follow what happens to tasks."`
	Explain     explainCmd     `cmd:"" help:"Tell why a task does not run, or what has become of it."`
	Stranded    strandedCmd    `cmd:"" help:"List tasks that no live worker may take."`
	List        listCmd        `cmd:"" help:"List tasks, newest first."`
	Cancel      cancelCmd      `cmd:"" help:"Cancel queued or running tasks."`
	Requeue     requeueCmd     `cmd:"" help:"Queue failed tasks again, with all their attempts."`
	Bulk        bulkCmd        `cmd:"" help:"Change every task that a filter finds."`
	Stats       statsCmd       `cmd:"" help:"Count the tasks."`
	Metrics     metricsCmd     `cmd:"" help:"Show how the queue does: rates, times, workers."`
	Top         topCmd         `cmd:"" help:"Watch the queue live, in a terminal."`
	Failures    failuresCmd    `cmd:"" help:"Look at what goes wrong, by its reason, and queue the tasks again."`
	Workers     workersCmd     `cmd:"" help:"Look at the workers, have one take nothing new."`
	Types       typesCmd       `cmd:"" help:"Look at task types, pause them, set their rules."`
	Operations  operationsCmd  `cmd:"" help:"Look after what bulk commands have started."`
	Schedules   schedulesCmd   `cmd:"" help:"Make tasks when their time comes."`
	Import      importCmd      `cmd:"" help:"Bring in the tasks of the older queue, a Python program on SQLite."`
	Runs        runsCmd        `cmd:"" help:"Move runs of the older task manager here, and back."`
	Health      healthcheckCmd `cmd:"" name:"healthcheck" help:"Tell by the exit code whether a server takes requests."`
	Migrate     migrateCmd     `cmd:"" help:"Bring the schema of a database up or down."`
	Validate    validateCmd    `cmd:"" help:"Look whether settings and database are as they must be."`
	Fsck        fsckCmd        `cmd:"" help:"Look whether what is stored agrees, and repair counters."`
	Backup      backupCmd      `cmd:"" help:"Make backups of a database, check them, bring them back."`
	Maintenance maintenanceCmd `cmd:"" help:"Look after the database: sizes, vacuum, checks."`
	Move        moveCmd        `cmd:"" help:"Move the store to another database, while it is in use."`
	Keys        keysCmd        `cmd:"" help:"Make, list, rotate and revoke API keys."`
	Conf        configCmd      `cmd:"" name:"config" help:"Check the settings, or describe them."`
	Version     versionCmd     `cmd:"" help:"Show the version of this binary."`
}

// session is one run of the binary: what was asked for, and where from and to.
type session struct {
	cli            cli
	hurry          <-chan struct{} // closed: wait no longer for running tasks
	program        string          // the path of this program; empty: it does not run itself
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	level          slog.LevelVar // of the log
}

// settings returns the configuration with the given flags on top; need is that of config.Source.
func (s *session) settings(flags func(*config.Config), need ...string) (config.Config, error) {
	key, err := s.apiKey()
	if err != nil {
		return config.Config{}, &usageError{err}
	}
	c, err := config.Load(config.Source{File: s.file(), Getenv: s.getenv, Need: need, Flags: func(c *config.Config) {
		replace(&c.LogLevel, s.cli.LogLevel)
		replace(&c.LogFormat, s.cli.LogFormat)
		replace(&c.APIKey, key)
		replace(&c.CAFile, s.cli.CAFile)
		replace(&c.ClientCertFile, s.cli.ClientCertFile)
		replace(&c.ClientKeyFile, s.cli.ClientKeyFile)
		flags(c)
	}})
	if err != nil {
		return c, &usageError{err}
	}
	return c, nil
}

// apiKey is the key of the flag, which may be in a file.
func (s *session) apiKey() (string, error) {
	if !strings.HasPrefix(s.cli.APIKey, "@") {
		return s.cli.APIKey, nil
	}
	text, err := readValue(s.cli.APIKey, s.stdin)
	if err != nil {
		return "", fmt.Errorf("--api-key: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// file is the configuration file that was named; empty: none.
func (s *session) file() string { return cmp.Or(s.cli.Config, s.getenv("PRISMQ_CONFIG")) }

// replace sets a text when there is a new one.
func replace(dst *string, v string) {
	if v != "" {
		*dst = v
	}
}

// process returns what a part that runs until it is told to stop has to know.
func (s *session) process(c config.Config, ready func(addr string)) app.Options {
	o := app.Options{Log: s.logger(c), Getenv: s.getenv, Ready: ready, Hurry: s.hurry, Version: thisBuild().Version}
	o.Guard = s.guard(o)
	return o
}

// setLevel has the log follow the settings, which have been checked.
func (s *session) setLevel(c config.Config) {
	var level slog.Level
	if level.UnmarshalText([]byte(c.LogLevel)) == nil {
		s.level.Set(level)
	}
}

// reloads reads the settings again at each SIGHUP. What is wrong with them is logged, and nothing changes.
func (s *session) reloads(ctx context.Context, log *slog.Logger, flags func(*config.Config), need ...string) <-chan config.Config {
	hangups, out := make(chan os.Signal, 1), make(chan config.Config)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hangups)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
			}
			cfg, err := s.settings(flags, need...)
			if err != nil {
				log.Error("the new configuration is not in force", "error", err)
				continue
			}
			s.setLevel(cfg)
			select {
			case out <- cfg:
			case <-ctx.Done():
			}
		}
	}()
	return out
}

// logger writes to the error output, as the settings say.
func (s *session) logger(c config.Config) *slog.Logger {
	s.setLevel(c)
	o := slog.HandlerOptions{Level: &s.level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(s.stderr, &o))
	}
	return slog.New(slog.NewTextHandler(s.stderr, &o))
}
