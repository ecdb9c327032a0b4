package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prismq/thequeue/internal/store"
	"github.com/prismq/thequeue/internal/task"
)

// goneProcess has a number that no process has: it is beyond the greatest one.
const goneProcess = "999999999 serve\n"

// Who is refused because a command has the file alone is told which one, and by whom.
func TestWhoHasTheFileIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	st := openAt(t, path, Options{Migrate: true})
	process := fmt.Sprintf("(process %d)", os.Getpid())
	for command, want := range map[string]string{
		byAnalyze: "thequeue maintenance analyze " + process, byRestore: "thequeue backup restore " + process, byServe: "another server has the database open " + process,
	} {
		l, err := hold(st.path, command)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), path, Options{Serve: true}); !errors.Is(err, ErrServed) || !strings.Contains(err.Error(), want) {
			t.Errorf("a server beside %s: %v", command, err)
		}
		if _, err := st.FullVacuum(t.Context(), quiet); !errors.Is(err, task.ErrConflict) || command != byServe && !strings.Contains(err.Error(), want) {
			t.Errorf("a vacuum beside %s: %v", command, err)
		}
		var c store.Checks
		if checkServer(&c, path); !strings.Contains(c[0].Message, process) {
			t.Errorf("validate beside %s: %+v", command, c)
		}
		if err := letGo(l); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(path + lockSuffix); err != nil || len(text) != 0 {
			t.Errorf("%q is noted, error %v, when nobody has the lock", text, err)
		}
	}
	l, err := hold(st.path, byServe)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	for _, text := range []string{"", "12\n", "7 \x1b[2J\n", strings.Repeat("9", 30) + " serve\n", goneProcess} {
		if err := os.WriteFile(path+lockSuffix, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := holder(st.path); got.Error() != ErrServed.Error() {
			t.Errorf("%q: %s", text, got)
		}
	}
}
