package api

import (
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/labstack/echo/v4"

	"github.com/prismq/thequeue/internal/task"
)

// appender is a value that writes itself as JSON: a task or a lease with every byte of its payload kept, and what is written too often for an
// encoder that must find out its shape.
type appender interface{ AppendJSON(b []byte) []byte }

// writeOne answers with one value.
func writeOne[T appender](s *server, c echo.Context, status int, v T) error {
	buf := s.buffer()
	defer s.recycle(buf)
	buf.Write(v.AppendJSON(buf.AvailableBuffer()))
	return c.Blob(status, echo.MIMEApplicationJSON, buf.Bytes())
}

// writeMany answers with an array of values between two pieces of text.
func writeMany[T appender](s *server, c echo.Context, before string, vs []T, after string) error {
	buf := s.buffer()
	defer s.recycle(buf)
	buf.WriteString(before + "[")
	for i, v := range vs {
		if i > 0 {
			buf.WriteByte(',')
		}
		buf.Write(v.AppendJSON(buf.AvailableBuffer()))
	}
	buf.WriteString("]" + after)
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, buf.Bytes())
}

// write answers with any other value.
func (s *server) write(c echo.Context, status int, v any) error {
	return s.writeAs(c, status, echo.MIMEApplicationJSON, v)
}

func (s *server) writeAs(c echo.Context, status int, contentType string, v any) error {
	buf := s.buffer()
	defer s.recycle(buf)
	if err := json.MarshalWrite(buf, v); err != nil {
		return err
	}
	return c.Blob(status, contentType, buf.Bytes())
}

// answerTask answers with the task that a call returned, or with its error.
func (s *server) answerTask(c echo.Context, t task.Task, err error) error {
	if err != nil {
		return err
	}
	return writeOne(s, c, http.StatusOK, t)
}
