package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/app"
	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/config"
	"github.com/prismq/thequeue/internal/task"
)

// backupCmd makes backups and brings them back.
type backupCmd struct {
	Database  string `xor:"backup" placeholder:"PATH|URL" help:"A SQLite file or a postgres:// URL, also while a server has it (PRISMQ_DATABASE_URL, PRISMQ_QUEUE_DB_PATH; default: queue.db in your data directory)."`
	Server    string `xor:"backup" placeholder:"URL" help:"Have this server do it, in its own directory: create, list, latest and verify."`
	Directory string `placeholder:"DIR" help:"Where the backups are (PRISMQ_BACKUPS_DIRECTORY; default: beside the SQLite file)."`

	Create  backupCreateCmd  `cmd:"" help:"Make a backup, while the queue goes on."`
	List    backupListCmd    `cmd:"" help:"List the backups, newest first."`
	Latest  backupLatestCmd  `cmd:"" help:"Show the newest backup."`
	Verify  backupVerifyCmd  `cmd:"" help:"Read a backup to its end and check that it can be restored."`
	Restore backupRestoreCmd `cmd:"" help:"Put a backup in the place of the database, which no server may have open."`
	Prune   backupPruneCmd   `cmd:"" help:"Delete all but the newest backups."`
}

// answering is how a command answers.
type answering struct {
	Output string `short:"o" enum:"table,json" default:"table" help:"How to answer: table for people, json for programs."`
}

// backups are those of a server, or of a database of this machine.
type backups interface {
	create(ctx context.Context, name string, c backupCreateCmd, progress func(done, total int64)) (task.Backup, error)
	list(ctx context.Context) ([]task.Backup, error)
	verify(ctx context.Context, name string, progress func(done, total int64)) (task.Backup, error)
}

// open returns those that the flags name.
func (c backupCmd) open(s *session) (backups, func(), error) {
	if c.Server == "" {
		d, err := c.directory(s)
		return localBackups{d}, func() {}, err
	}
	if c.Directory != "" {
		return nil, nil, usage("--directory: a server has its backups where its own configuration says: leave it out, or name a --database")
	}
	cfg, err := s.settings(func(cfg *config.Config) { cfg.Server = c.Server })
	if err != nil {
		return nil, nil, err
	}
	remote, err := app.Dial(cfg)
	if err != nil {
		return nil, nil, err
	}
	return remoteBackups{remote, config.Redact(cfg.Server)}, remote.Close, nil
}

// directory returns that of a database of this machine.
func (c backupCmd) directory(s *session) (localDirectory, error) {
	cfg, err := s.settings(func(cfg *config.Config) {
		replace(&cfg.Database, c.Database)
		replace(&cfg.Backups.Directory, c.Directory)
	}, "database")
	if err != nil {
		return localDirectory{}, err
	}
	return localDirectory{app.Backups(cfg, s.getenv), cfg}, nil
}

// localDirectory is a directory and the settings that it follows from.
type localDirectory struct {
	*backup.Directory
	cfg config.Config
}

// localBackups are those of a database of this machine.
type localBackups struct{ dir localDirectory }

func (l localBackups) create(ctx context.Context, name string, c backupCreateCmd, progress func(done, total int64)) (task.Backup, error) {
	if err := mustExist(l.dir.cfg.Database); err != nil {
		return task.Backup{}, err
	}
	compress := l.dir.cfg.Backups.Compress
	if c.Compress != nil {
		compress = *c.Compress
	}
	rate := int64(backup.DefaultBytesPerSecond)
	if c.Rate != nil {
		rate = int64(*c.Rate) << 20
	}
	return l.dir.Create(ctx, backup.Options{Name: name, Compress: compress, BytesPerSecond: rate, Progress: progress})
}

func (l localBackups) list(context.Context) ([]task.Backup, error) { return l.dir.List() }

func (l localBackups) verify(ctx context.Context, name string, progress func(done, total int64)) (task.Backup, error) {
	return l.dir.Verify(ctx, name, 0, progress)
}

// remoteBackups are those of a server.
type remoteBackups struct {
	client *client.Client
	where  string
}

// lookEvery is the time between two looks at a backup that a server makes.
const lookEvery = 200 * time.Millisecond

func (r remoteBackups) create(ctx context.Context, name string, c backupCreateCmd, progress func(done, total int64)) (task.Backup, error) {
	if c.Compress != nil || c.Rate != nil {
		return task.Backup{}, usage("a server makes its backups as its own configuration says: leave --compress and --rate out")
	}
	b, err := r.client.CreateBackup(ctx, name)
	for err == nil && b.State == task.BackupRunning {
		progress(int64(b.Progress), 100)
		wait := time.NewTimer(lookEvery)
		select {
		case <-wait.C:
			b, err = r.client.Backup(ctx, b.Name)
		case <-ctx.Done():
			err = ctx.Err()
		}
		wait.Stop()
	}
	if err == nil && b.State == task.BackupFailed {
		err = fmt.Errorf("the server: %s", text(b.ErrorMessage))
	}
	return b, r.about(err)
}

func (r remoteBackups) list(ctx context.Context) ([]task.Backup, error) {
	list, err := r.client.Backups(ctx)
	return list, r.about(err)
}

func (r remoteBackups) verify(ctx context.Context, name string, _ func(done, total int64)) (task.Backup, error) {
	b, err := r.client.VerifyBackup(ctx, name)
	return b, r.about(err)
}

// about says which server does not answer.
func (r remoteBackups) about(err error) error {
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return fmt.Errorf("%w: no server answers at %s: start one with thequeue serve, or name a --database", err, r.where)
	}
	return err
}

// watched calls do with what shows its progress in a terminal.
func (s *session) watched(do func(progress func(done, total int64)) error) error {
	bar := s.progress(-1, true)
	err := do(func(done, total int64) {
		if total > 0 && bar.GetMax64() != total {
			bar.ChangeMax64(total)
		}
		bar.Set64(done) // an error of the terminal is none of the backup
	})
	bar.Exit()
	return err
}

func (s *session) printBackup(b task.Backup, output string) error {
	if output == "json" {
		return s.printJSON(b)
	}
	return s.printRows([][]string{
		{"backup", b.Name}, {"file", b.File}, {"size", fmt.Sprint(b.SizeBytes)}, {"created", when(b.CreatedAtUTC)}, {"schema", version(b.SchemaVersion)},
		{"sha256", text(b.SHA256)}, {"verified", instant(b.VerifiedAtUTC)},
	})
}

func version(v *int64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprint(*v)
}

func (s *session) printBackups(list []task.Backup, output string) error {
	if output == "json" {
		return s.printJSON(list)
	}
	rows := [][]string{{"BACKUP", "SIZE", "CREATED", "SCHEMA", "VERIFIED", "FILE"}}
	for _, b := range list {
		rows = append(rows, []string{b.Name, fmt.Sprint(b.SizeBytes), when(b.CreatedAtUTC), version(b.SchemaVersion), instant(b.VerifiedAtUTC), b.File})
	}
	return s.printRows(rows)
}

// aboutBackup names the backup that an error is about.
func aboutBackup(name string, err error) error {
	if errors.Is(err, task.ErrNotFound) {
		return fmt.Errorf("backup %s %w", name, task.ErrNotFound)
	}
	return err
}

type backupCreateCmd struct {
	Name     string `arg:"" optional:"" help:"Its name (default: one by the time, in UTC)."`
	Compress *bool  `negatable:"" help:"Compress it with zstd (PRISMQ_BACKUPS_COMPRESS; default: not)."`
	Rate     *int   `placeholder:"MIB" help:"Write so many MiB a second at most; 0: as fast as it goes (default 64)."`
	answering
}

func (c *backupCreateCmd) Run(ctx context.Context, s *session) error {
	if c.Rate != nil && (*c.Rate < 0 || *c.Rate > 1<<20) {
		return usage("--rate must lie between 0 and %d", 1<<20)
	}
	q, done, err := s.cli.Backup.open(s)
	if err != nil {
		return err
	}
	defer done()
	var b task.Backup
	err = s.watched(func(progress func(done, total int64)) (err error) {
		b, err = q.create(ctx, c.Name, *c, progress)
		return err
	})
	if err != nil {
		return err
	}
	return s.printBackup(b, c.Output)
}

type backupListCmd struct{ answering }

func (c *backupListCmd) Run(ctx context.Context, s *session) error {
	q, done, err := s.cli.Backup.open(s)
	if err != nil {
		return err
	}
	defer done()
	list, err := q.list(ctx)
	if err != nil {
		return err
	}
	return s.printBackups(list, c.Output)
}

type backupLatestCmd struct{ answering }

func (c *backupLatestCmd) Run(ctx context.Context, s *session) error {
	q, done, err := s.cli.Backup.open(s)
	if err != nil {
		return err
	}
	defer done()
	b, err := latest(ctx, q)
	if err != nil {
		return err
	}
	return s.printBackup(b, c.Output)
}

// latest returns the newest backup.
func latest(ctx context.Context, q backups) (task.Backup, error) {
	list, err := q.list(ctx)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%w: there is no backup yet: thequeue backup create makes one", task.ErrNotFound)
	}
	if err != nil {
		return task.Backup{}, err
	}
	return list[0], nil
}

type backupVerifyCmd struct {
	Name string `arg:"" optional:"" help:"Its name (default: the newest)."`
	answering
}

func (c *backupVerifyCmd) Run(ctx context.Context, s *session) error {
	q, done, err := s.cli.Backup.open(s)
	if err != nil {
		return err
	}
	defer done()
	if c.Name == "" {
		b, err := latest(ctx, q)
		if err != nil {
			return err
		}
		c.Name = b.Name
	}
	var b task.Backup
	err = s.watched(func(progress func(done, total int64)) (err error) {
		b, err = q.verify(ctx, c.Name, progress)
		return err
	})
	if err != nil {
		return aboutBackup(c.Name, err)
	}
	return s.printBackup(b, c.Output)
}

type backupRestoreCmd struct {
	Name   string `arg:"" optional:"" help:"Its name."`
	Latest bool   `help:"The newest one."`
	To     string `placeholder:"PATH|URL" help:"Another place for it (default: that of the database)."`
	Yes    bool   `short:"y" help:"Do not ask."`
	answering
}

// Validate is called by the parser.
func (c *backupRestoreCmd) Validate() error {
	if (c.Name == "") == !c.Latest {
		return usage("name a backup, or take the newest with --latest")
	}
	return nil
}

func (c *backupRestoreCmd) Run(ctx context.Context, s *session) error {
	if s.cli.Backup.Server != "" {
		return usage("a server that runs is not given other tasks: stop it, and restore on its machine with --database")
	}
	d, err := s.cli.Backup.directory(s)
	if err != nil {
		return err
	}
	if c.To != "" && config.IsPostgres(c.To) != config.IsPostgres(d.cfg.Database) {
		return usage("--to: a backup goes back to the kind of database that it is of")
	}
	b, err := d.Get(c.Name)
	if c.Latest {
		b, err = latest(ctx, localBackups{d})
	}
	if err != nil {
		return aboutBackup(c.Name, err)
	}
	target := cmp.Or(c.To, d.cfg.Database)
	question := fmt.Sprintf("Put backup %s of %s in the place of %s?", b.Name, when(b.CreatedAtUTC), config.Redact(target))
	if ok, err := s.confirm(question, c.Yes); err != nil || !ok {
		return err
	}
	var done task.Restored
	err = s.watched(func(progress func(done, total int64)) (err error) {
		done, err = d.Restore(ctx, b.Name, c.To, progress)
		return err
	})
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return s.printJSON(done)
	}
	rows := [][]string{{"backup", done.Name}, {"database", done.Database}, {"schema", fmt.Sprint(done.SchemaVersion)}, {"replaced", text(done.ReplacedFile)}}
	if done.Note != "" {
		rows = append(rows, []string{"note", done.Note})
	}
	return s.printRows(rows)
}

// confirm reports whether the answer to a question is yes.
func (s *session) confirm(question string, yes bool) (bool, error) {
	if yes {
		return true, nil
	}
	fmt.Fprintf(s.stderr, "%s [y/N] ", question)
	answer, err := bufio.NewReader(s.stdin).ReadString('\n')
	if err != nil && answer == "" {
		fmt.Fprintln(s.stderr)
		return false, usage("nobody answers: add --yes to go on without a question")
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer == "y" || answer == "yes" {
		return true, nil
	}
	_, err = fmt.Fprintln(s.stdout, "Nothing was changed")
	return false, err
}

type backupPruneCmd struct {
	Keep   *int `placeholder:"N" help:"How many are kept, those with a name of their own too (PRISMQ_BACKUPS_KEEP; default 10)."`
	DryRun bool `help:"Say which would be deleted and do nothing."`
	Yes    bool `short:"y" help:"Do not ask."`
	answering
}

func (c *backupPruneCmd) Run(ctx context.Context, s *session) error {
	if s.cli.Backup.Server != "" {
		return usage("a server deletes by its own backups.keep; others are deleted on its machine with --database")
	}
	d, err := s.cli.Backup.directory(s)
	if err != nil {
		return err
	}
	keep := d.cfg.Backups.Keep
	if c.Keep != nil {
		keep = *c.Keep
	}
	if keep < 1 {
		return usage("--keep must be 1 or more")
	}
	gone, err := d.Prune(keep, false, true)
	if err != nil {
		return err
	}
	if !c.DryRun && len(gone) > 0 {
		if ok, err := s.confirm(fmt.Sprintf("Delete %d backups, from %s to %s?", len(gone), gone[len(gone)-1].Name, gone[0].Name), c.Yes); err != nil || !ok {
			return err
		}
		if gone, err = d.Prune(keep, false, false); err != nil {
			return err
		}
	}
	if c.Output == "json" {
		return s.printJSON(gone)
	}
	verb := "deleted"
	if c.DryRun {
		verb = "would be deleted"
	}
	for _, b := range gone {
		if _, err := fmt.Fprintf(s.stdout, "%s %s\n", b.Name, verb); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(s.stdout, "%d backups %s\n", len(gone), verb)
	return err
}
