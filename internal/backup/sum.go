package backup

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prismq/thequeue/internal/task"
)

// note is what the file beside a backup tells. It has the form of `sha256sum -c`, for which the lines of ours are comments.
type note struct {
	sum      string // in hexadecimal
	created  time.Time
	version  int64 // of the schema
	verified time.Time
}

// maxNote bounds how much of such a file is read.
const maxNote = 4 << 10

func (n note) text(file string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# created_at_utc %s\n# schema_version %d\n", n.created.UTC().Format(time.RFC3339Nano), n.version)
	if !n.verified.IsZero() {
		fmt.Fprintf(&b, "# verified_at_utc %s\n", n.verified.UTC().Format(time.RFC3339Nano))
	}
	fmt.Fprintf(&b, "%s  %s\n", n.sum, file)
	return b.String()
}

// fill says in b what the note tells.
func (n note) fill(b *task.Backup) {
	if n.sum != "" {
		b.SHA256 = &n.sum
	}
	if !n.created.IsZero() {
		b.CreatedAtUTC = n.created
	}
	if n.version > 0 {
		b.SchemaVersion = &n.version
	}
	if !n.verified.IsZero() {
		b.VerifiedAtUTC = &n.verified
	}
}

// readNote returns the note beside a file; nothing is in it when there is none.
func (d *Directory) readNote(root *os.Root, file string) (n note, err error) {
	f, err := openPlain(root, file+sumSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err != nil {
		return n, err
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxNote))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 3 && words[0] == "#" && words[1] == "created_at_utc":
			n.created = instant(words[2])
		case len(words) == 3 && words[0] == "#" && words[1] == "verified_at_utc":
			n.verified = instant(words[2])
		case len(words) == 3 && words[0] == "#" && words[1] == "schema_version":
			n.version, _ = strconv.ParseInt(words[2], 10, 64) // 0: not known
		case len(words) == 2 && strings.TrimPrefix(words[1], "*") == file:
			if sum, err := hex.DecodeString(words[0]); err == nil && len(sum) == 32 {
				n.sum = strings.ToLower(words[0])
			}
		}
	}
	return n, lines.Err()
}

// instant reads a time; zero where it is none.
func instant(text string) time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// writeNote puts a note beside a file, or another in its place.
func (d *Directory) writeNote(root *os.Root, file string, n note) error {
	temp := partial + file + sumSuffix
	if err := root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(n.text(file))
	if err = errors.Join(err, asOwner(f, d.Path), f.Sync(), f.Close()); err != nil {
		return err
	}
	return root.Rename(temp, file+sumSuffix)
}
