package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/backup"
	"github.com/prismq/thequeue/internal/task"
)

// backups returns what makes them.
func (s *server) backups() (*backup.Keeper, error) {
	if s.Backups == nil {
		return nil, fmt.Errorf("%w: this server makes no backups", task.ErrConflict)
	}
	return s.Backups, nil
}

// createBackup begins one and does not wait for its end. The body may be missing.
func (s *server) createBackup(c echo.Context) error {
	keeper, err := s.backups()
	if err != nil {
		return err
	}
	var in struct {
		Name string `json:"name"`
	}
	if c.Request().ContentLength != 0 {
		if err := s.read(c, &in); err != nil {
			return err
		}
	}
	b, err := keeper.Start(in.Name)
	if err != nil {
		return err
	}
	c.Set(madeName, b.Name)
	c.Response().Header().Set(echo.HeaderLocation, base+"/backups/"+b.Name)
	return s.write(c, http.StatusAccepted, b)
}

func (s *server) listBackups(c echo.Context) error {
	keeper, err := s.backups()
	if err != nil {
		return err
	}
	list, err := keeper.List()
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, list)
}

func (s *server) getBackup(c echo.Context) error {
	keeper, name, err := s.backupName(c)
	if err != nil {
		return err
	}
	b, err := keeper.Get(name)
	if err != nil {
		return err
	}
	return s.write(c, http.StatusOK, b)
}

// verifyBackup may take longer than any other call.
func (s *server) verifyBackup(c echo.Context) error {
	keeper, name, err := s.backupName(c)
	if err != nil {
		return err
	}
	return long(s, c, func(ctx context.Context, _ func(task.Progress)) (task.Backup, error) { return keeper.Verify(ctx, name) })
}

// backupName reads the name in the path.
func (s *server) backupName(c echo.Context) (*backup.Keeper, string, error) {
	keeper, err := s.backups()
	if err != nil {
		return nil, "", err
	}
	name := c.Param("backup")
	if msg := backup.CheckName(name); msg != "" {
		return nil, "", task.Invalid("backup", "%s", msg)
	}
	return keeper, name, nil
}
