package worker_test

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/prismq/thequeue/internal/worker"
)

// childVariable makes the test binary run a command as a worker would, until it is killed. The value is an argument of the command.
const childVariable = "WORKER_TEST_CHILD"

func TestMain(m *testing.M) {
	if life := os.Getenv(childVariable); life != "" {
		h, err := worker.Exec(worker.ExecCommand{Type: "job", Command: []string{"sh", "-c", `exec >"$0"; echo up; exec sleep 600`, life}})
		if err != nil {
			panic(err)
		}
		_, err = h.Handle(context.Background(), attempt("{}"))
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
