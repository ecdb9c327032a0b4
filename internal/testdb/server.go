package testdb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/prismq/thequeue/internal/store/postgres"
)

// server is a PostgreSQL server on which the tests may create databases.
type server struct {
	url      string // of a database to create others from
	template string // name of a database with the schema of this binary
	stop     func() error
}

// errNone: this machine has nothing to offer; the test may be skipped.
var errNone = errors.New("no PostgreSQL for tests")

// once starts the server of this test binary when the first test asks for it.
type once struct {
	start  sync.Once
	server *server
	err    error
}

var shared once

func (o *once) get(t testing.TB) *server {
	t.Helper()
	o.start.Do(func() {
		if o.server, o.err = start(context.Background()); o.err == nil {
			o.err = o.server.makeTemplate(context.Background())
		}
	})
	if errors.Is(o.err, errNone) && os.Getenv("CI") != "true" {
		t.Skipf("%v; set TEST_POSTGRES_URL to a server on which databases may be created, start Docker, or install the PostgreSQL server", o.err)
	}
	if o.err != nil {
		t.Fatalf("start PostgreSQL for tests: %v", o.err)
	}
	return o.server
}

// stop reports on the standard error: the tests are over.
func (o *once) stop() {
	if o.server == nil {
		return
	}
	err := o.server.exec(context.Background(), "DROP DATABASE IF EXISTS "+o.server.template+" WITH (FORCE)")
	if err := errors.Join(err, o.server.stop()); err != nil {
		fmt.Fprintln(os.Stderr, "testdb: stop PostgreSQL:", err)
	}
}

// start finds a server in the order that the package comment gives.
func start(ctx context.Context) (*server, error) {
	if u := os.Getenv("TEST_POSTGRES_URL"); u != "" {
		return &server{url: u, stop: func() error { return nil }}, nil
	}
	if image := os.Getenv("TEST_POSTGRES_IMAGE"); image != "" {
		return startContainer(ctx, image)
	}
	s, noContainer := startContainer(ctx, "postgres:15-alpine")
	if noContainer == nil {
		return s, nil
	}
	s, noBinaries := startLocal(ctx)
	if noBinaries == nil {
		return s, nil
	}
	return nil, fmt.Errorf("%w: %w; %w", errNone, noContainer, noBinaries)
}

// settings returns what the server is started with, as arguments of its command line.
func settings() []string {
	list := []string{"-c", "max_connections=400", "-c", "shared_buffers=64MB"}
	if os.Getenv("TEST_POSTGRES_FSYNC") != "on" {
		list = append(list, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	return list
}

// exec runs one statement on the server. Creating and dropping the databases of tests is no business of the service's queries.
func (s *server) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// database returns the URL of another database of the server.
func (s *server) database(name string) (string, error) {
	u, err := url.Parse(s.url)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

func (s *server) makeTemplate(ctx context.Context) error {
	s.template = newName("template")
	if err := s.exec(ctx, "CREATE DATABASE "+s.template+" TEMPLATE template0"); err != nil {
		return err
	}
	u, err := s.database(s.template)
	if err != nil {
		return err
	}
	st, err := postgres.Open(ctx, u, postgres.Options{Migrate: true})
	if err != nil {
		return err
	}
	return st.Close()
}

// create makes a database for one test and drops it with the test, with whatever is connected to it by then.
func (s *server) create(t testing.TB, template string) string {
	t.Helper()
	name := newName("test")
	if err := s.exec(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatalf("create a database for the test: %v", err)
	}
	t.Cleanup(func() {
		if err := s.exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the database of the test: %v", err)
		}
	})
	u, err := s.database(name)
	if err != nil {
		t.Fatalf("name the database of the test: %v", err)
	}
	return u
}

// newName returns a name that no other test uses, on this server or by another binary.
func newName(kind string) string { return "thequeue_" + kind + "_" + strings.ToLower(rand.Text()) }
