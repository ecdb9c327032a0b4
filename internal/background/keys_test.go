package background_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/api"
	"github.com/prismq/thequeue/internal/background"
	"github.com/prismq/thequeue/internal/client"
	"github.com/prismq/thequeue/internal/task"
	"github.com/prismq/thequeue/internal/testdb"
)

// A key that may not do what a manager does fails the runs, instead of keeping them for ever; that of an admin does everything.
func TestTheKeyOfAManager(t *testing.T) {
	t.Parallel()
	q := serve(t, testdb.SQLite(t))
	s := httptest.NewServer(api.New(q, api.Options{}))
	t.Cleanup(s.Close)
	keys := map[task.Role]string{"": ""}
	for _, role := range []task.Role{task.RoleAdmin, task.RoleProducer, task.RoleWorker, task.RoleViewer, task.RoleOperator} {
		k, err := q.CreateAPIKey(t.Context(), task.APIKeySpec{Name: string(role), Role: role})
		if err != nil {
			t.Fatal(err)
		}
		keys[role] = k.Key
	}
	for role, key := range keys {
		t.Run("role "+string(role), func(t *testing.T) {
			t.Parallel()
			c, err := client.New(s.URL, client.Options{APIKey: key})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			r := start(t, background.Options{Queue: background.Remote(c), WorkerID: t.Name()})
			r.start(t.Name(), func(context.Context, *background.Running) (*task.JSON, error) { return nil, nil })
			r.wait()
			if role == task.RoleAdmin {
				r.wants(t.Name(), task.RunCompleted)
				return
			}
			run := r.wants(t.Name(), task.RunFailed)
			if why := *run.ErrorMessage; !strings.Contains(why, "key") {
				t.Errorf("it failed by %q", why)
			}
		})
	}
}
