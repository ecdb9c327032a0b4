// Package e2e tests the built binary: real processes, real databases of both engines, real signals.
//
// With E2E_COVERDIR set the binary is built to record coverage, and every process that ends by itself writes its share there.
// The tests that draw at random print their seed; -seed, or E2E_SEED, repeats one.
package e2e

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/prismq/thequeue/internal/testdb"
)

var seedFlag = flag.Uint64("seed", 0, "of the tests that draw at random; 0: a new one each time")

// binary is the path of the program under test; coverDir is where its processes leave their coverage, empty for nowhere.
var binary, coverDir string

// alive is open as long as this process runs.
var alive io.Closer

func TestMain(m *testing.M) {
	flag.Parse()
	if runtime.GOOS == "windows" {
		fmt.Println("the tests of the binary need the signals of POSIX")
		return
	}
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, "build the binary under test:", err)
		os.Exit(1)
	}
	testdb.Main(m)
}

// build makes the binary in a directory that a shell removes as soon as this process ends, however it does.
func build() error {
	dir, err := os.MkdirTemp("", "thequeue-e2e-")
	if err != nil {
		return err
	}
	janitor := exec.Command("/bin/sh", "-c", `read -r _; rm -rf "$1"`, "sh", dir)
	if alive, err = janitor.StdinPipe(); err != nil {
		return err
	}
	if err := janitor.Start(); err != nil {
		return err
	}
	binary = filepath.Join(dir, "thequeue")
	args := []string{"build", "-o", binary}
	if os.Getenv("E2E_COVERDIR") != "" {
		if coverDir, err = filepath.Abs(os.Getenv("E2E_COVERDIR")); err != nil {
			return err
		}
		if err := os.MkdirAll(coverDir, 0o755); err != nil {
			return err
		}
		args = append(args, "-cover")
	}
	cmd := exec.Command("go", append(args, "github.com/prismq/thequeue/cmd/thequeue")...)
	// The binary is built as it is released: the flags of this test run, like -race, are not its own.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

// newSeed returns the seed of this test and says how to repeat it.
func newSeed(t *testing.T) uint64 {
	t.Helper()
	fromEnv, err := strconv.ParseUint(cmp.Or(os.Getenv("E2E_SEED"), "0"), 10, 64)
	if err != nil {
		t.Fatalf("E2E_SEED: %v", err)
	}
	seed := cmp.Or(*seedFlag, fromEnv, rand.Uint64())
	t.Logf("seed %d: repeat with E2E_SEED=%d", seed, seed)
	return seed
}

// onEachEngine runs fn in parallel subtests, each with a new database: the path of a file that does not exist yet, and the URL of a migrated
// PostgreSQL database.
func onEachEngine(t *testing.T, fn func(t *testing.T, database string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		fn(t, filepath.Join(t.TempDir(), "queue.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		fn(t, testdb.PostgresURL(t))
	})
}
