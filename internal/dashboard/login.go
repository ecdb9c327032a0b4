package dashboard

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/api"
)

const loginPath = "/login"

// login asks for a key, where one is needed. What is entered goes to the API, which answers with the cookie.
func (d *Dashboard) login(c echo.Context) error {
	next := api.LocalPath(c.QueryParam("next"))
	needed, err := d.queue.APIKeysNeeded(c.Request().Context())
	if err != nil {
		return err
	}
	if !needed && !d.KeysRequired {
		return c.Redirect(http.StatusSeeOther, next)
	}
	return d.showLogin(c, http.StatusOK, "", next)
}

// showLogin shows the form, and what was wrong with a key that was entered.
func (d *Dashboard) showLogin(c echo.Context, status int, problem, next string) error {
	return d.render(c, status, "login", page{Title: "Log in", Body: struct{ Problem, Next string }{problem, api.LocalPath(next)}})
}
