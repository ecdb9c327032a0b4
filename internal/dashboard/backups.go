package dashboard

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/clock"
	"github.com/prismq/thequeue/internal/task"
)

// backupList is what the maintenance tells of backups; nil where this server makes none.
type backupList struct {
	Directory string
	Backups   []task.Backup
	Now       *task.Backup // that is being made, or of those made here has failed last; nil: neither
	Unread    string       // why the directory cannot be read
}

// backupPart is what the part of the page is made of.
type backupPart struct {
	Backups *backupList
	At      time.Time
}

// verifyTime is how long a verification may take, however large the backup.
const verifyTime = 6 * time.Hour

func (d *Dashboard) backups() *backupList {
	if d.Backups == nil {
		return nil
	}
	list := &backupList{Directory: d.Backups.Path()}
	if last := d.Backups.Last(); last != nil && last.State != task.BackupComplete {
		list.Now = last
	}
	var err error
	if list.Backups, err = d.Backups.List(); err != nil {
		list.Unread = err.Error()
	}
	return list
}

func (d *Dashboard) askBackup(echo.Context) (question, error) {
	if d.Backups == nil {
		return question{}, task.ErrNotFound
	}
	return question{
		Title: "Make a backup?", Text: "It goes to " + d.Backups.Path() + " on the machine of the server, and the queue goes on meanwhile.", Verb: "Make a backup",
		Back: "/maintenance#backups", Section: "maintenance",
	}, nil
}

func (d *Dashboard) makeBackup(echo.Context) (did, error) {
	if d.Backups == nil {
		return did{}, task.ErrNotFound
	}
	b, err := d.Backups.Start("")
	return did{"backup", b.Name, "Backup " + b.Name + " was begun", "/maintenance"}, err
}

func (d *Dashboard) askVerify(c echo.Context) (question, error) {
	b, err := d.backup(c)
	return question{
		Title: "Verify backup " + b.Name + "?", Text: "All " + byteSize(b.SizeBytes) + " of it are read, and the database in it is checked, which takes a while.", Verb: "Verify",
		Back: "/maintenance#backups", Section: "maintenance",
	}, err
}

func (d *Dashboard) verifyBackup(c echo.Context) (did, error) {
	b, err := d.backup(c)
	if err != nil {
		return did{}, err
	}
	name := b.Name
	control := http.NewResponseController(c.Response().Writer)
	err = errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(clock.Wall().Add(verifyTime))) // the form has come: the time for it must not end the request
	if err == nil || errors.Is(err, http.ErrNotSupported) {
		_, err = d.Backups.Verify(c.Request().Context(), b.Name)
	}
	return did{"verify backup", name, "Backup " + name + " was verified: it can be restored", "/maintenance"}, err
}

// backup is that of the path.
func (d *Dashboard) backup(c echo.Context) (task.Backup, error) {
	if d.Backups == nil {
		return task.Backup{}, task.ErrNotFound
	}
	name, err := pathText(c, "backup")
	if err != nil {
		return task.Backup{}, err
	}
	return d.Backups.Get(name)
}
