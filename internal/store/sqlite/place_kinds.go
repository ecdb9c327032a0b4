//go:build !windows

package sqlite

import "slices"

// remote reports whether a kind of file system is one of other machines, over a network or shared with them.
func remote(kind string) bool {
	return slices.Contains([]string{
		"nfs", "nfs4", "smb", "smb2", "smbfs", "cifs", "afs", "afpfs", "ceph", "coda", "ncp", "ocfs2", "lustre", "gfs2", "gpfs", "beegfs", "vboxsf", "webdav",
	}, kind)
}

// shared reports whether it may be.
func shared(kind string) bool {
	return slices.Contains([]string{"fuse", "osxfuse", "macfuse", "fusefs", "fakeowner", "9p"}, kind)
}

// volatile says when what is in such a file system is lost; empty: it stays.
func volatile(kind string) string {
	switch kind {
	case "tmpfs", "ramfs":
		return "when the machine ends"
	case "overlay":
		return "with the container"
	}
	return ""
}
