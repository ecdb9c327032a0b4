package background

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/gofrs/flock"
)

// maxSlots is how many processes of one name a host may have.
const maxSlots = 10_000

var notPlain = regexp.MustCompile("[^0-9A-Za-z]")

// takeSlot returns the first id of a name that no living process of this user, host and directory for temporary files has. The file that keeps it is locked until it is closed or the process ends, however it
// ends: whoever gets the id next knows that its predecessor is dead. The package for Python names its processes in the same way.
func takeSlot(name string) (workerID string, slot *flock.Flock, err error) {
	user := ""
	if id := os.Getuid(); id >= 0 {
		user = strconv.Itoa(id)
	} else {
		user = os.Getenv("USERNAME")
	}
	host, err := os.Hostname()
	if err != nil {
		return "", nil, fmt.Errorf("name this process: %w", err)
	}
	dir := filepath.Join(os.TempDir(), "thequeue-"+notPlain.ReplaceAllString(user, "_"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("name this process: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", nil, fmt.Errorf("name this process: %w", err)
	}
	if !private(info) {
		return "", nil, fmt.Errorf("name this process: %s must be a directory of this user that nobody else may enter (mode 0700): remove it, set TMPDIR, or give the manager a worker id", dir)
	}
	digest := sha256.Sum256([]byte(name))
	for n := range maxSlots {
		slot := flock.New(filepath.Join(dir, hex.EncodeToString(digest[:])[:16]+"-"+strconv.Itoa(n)+".lock"))
		ok, err := slot.TryLock()
		if err != nil {
			return "", nil, fmt.Errorf("name this process: %w", err)
		}
		if ok {
			return fmt.Sprintf("%s@%s#%d", name, host, n), slot, nil
		}
	}
	return "", nil, fmt.Errorf("name this process: %d processes of this host are called %q already", maxSlots, name)
}
