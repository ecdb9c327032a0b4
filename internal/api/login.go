package api

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

const (
	// cookieLife is how long a browser keeps a key, in seconds.
	cookieLife = 12 * 60 * 60
	// maxLogin is the longest form with a key, in bytes.
	maxLogin = 4 << 10
)

// login gives a browser the key that its user has entered, in a cookie that no script and no other site can use.
func (s *server) login(c echo.Context) error {
	r := c.Request()
	if t, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType)); err != nil || t != echo.MIMEApplicationForm {
		return task.Invalid("body", "must be a form: send it with Content-Type: %s", echo.MIMEApplicationForm)
	}
	r.Body = http.MaxBytesReader(c.Response().Writer, r.Body, maxLogin)
	if err := r.ParseForm(); err != nil {
		return task.Invalid("body", "cannot be read as a form")
	}
	key, err := s.authenticate(c, strings.TrimSpace(r.PostForm.Get("key")))
	if err == nil && (!Views.Has(key.Role) || key.Types != nil) {
		err = errNoPages
	}
	if err != nil {
		return err
	}
	s.setCookie(c, strings.TrimSpace(r.PostForm.Get("key")), cookieLife)
	return c.Redirect(http.StatusSeeOther, LocalPath(r.PostForm.Get("next")))
}

// logout takes the key away from the browser.
func (s *server) logout(c echo.Context) error {
	s.setCookie(c, "", -1)
	return c.Redirect(http.StatusSeeOther, "/login")
}

// setCookie believes a proxy that says it was asked by https: who lies about that gets a cookie that is sent less.
func (s *server) setCookie(c echo.Context, value string, life int) {
	c.SetCookie(&http.Cookie{Name: KeyCookie, Value: value, Path: "/", MaxAge: life, HttpOnly: true, Secure: c.Scheme() == "https", SameSite: http.SameSiteStrictMode})
}

// LocalPath returns where to go on: a path of this server, the first page for any other text.
func LocalPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") || strings.ContainsAny(text, "\\\r\n\t") {
		return "/"
	}
	return u.RequestURI()
}

// errNoPages: the key is in force, but not for the pages.
var errNoPages = errors.New("the pages need a key with the role viewer, operator or admin that is not limited to some types")
