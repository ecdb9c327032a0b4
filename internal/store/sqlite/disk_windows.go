package sqlite

import "golang.org/x/sys/windows"

// diskSpace returns how many bytes of the disk of a directory this process may still take, and how many there are.
func diskSpace(dir string) (free, all int64, err error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var mine, total, left uint64
	if err := windows.GetDiskFreeSpaceEx(path, &mine, &total, &left); err != nil {
		return 0, 0, err
	}
	return int64(mine), int64(total), nil
}
