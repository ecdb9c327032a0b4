package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/prismq/thequeue/tests/bench/bare"
)

// Machine is where the figures come from.
type Machine struct {
	CPU        string
	Cores      int
	Kernel     string
	FileSystem string // of the directory of data
	Go         string
	Load       string  // the load averages when the run began
	Syncs      float64 // pages of 4 KiB a second, of a file that does not grow
}

// lookAround describes this machine; dir is where the data are.
func lookAround(dir string) (Machine, error) {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version(), CPU: runtime.GOARCH, Kernel: runtime.GOOS, FileSystem: "unknown"}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, ok := strings.Cut(string(b), "model name"); ok {
			name, _, _ := strings.Cut(after, "\n")
			m.CPU = strings.Trim(name, "\t :")
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = "Linux " + strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load = strings.Join(strings.Fields(string(b))[:3], " ")
	}
	if out, err := exec.Command("df", "--output=fstype", dir).Output(); err == nil {
		if lines := strings.Fields(string(out)); len(lines) == 2 {
			m.FileSystem = lines[1]
		}
	}
	var err error
	m.Syncs, err = syncRate(dir)
	return m, err
}

// syncTime is how long the rate of syncs is measured.
const syncTime = 500 * time.Millisecond

// syncRate syncs pages one by one, as each commit of SQLite does at least once, and returns how many go in a second.
func syncRate(dir string) (float64, error) {
	d, err := bare.OpenDisk(dir)
	if err != nil {
		return 0, err
	}
	n, begin := 0, time.Now()
	for ; err == nil && time.Since(begin) < syncTime; n++ {
		err = d.Sync()
	}
	return float64(n) / time.Since(begin).Seconds(), errors.Join(err, d.Close())
}

// String is one line.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s, %s (%.0f synced pages of 4 KiB a second), %s, load at the start %s",
		m.CPU, m.Cores, m.Kernel, m.FileSystem, m.Syncs, m.Go, m.Load)
}
