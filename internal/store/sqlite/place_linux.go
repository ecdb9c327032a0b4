package sqlite

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// fileSystems are the kinds of file systems by the number that statfs(2) has for them.
var fileSystems = map[uint32]string{
	unix.NFS_SUPER_MAGIC: "nfs", unix.SMB_SUPER_MAGIC: "smb", unix.SMB2_SUPER_MAGIC: "smb2", unix.CIFS_SUPER_MAGIC: "cifs", unix.AFS_SUPER_MAGIC: "afs", unix.AFS_FS_MAGIC: "afs",
	unix.CEPH_SUPER_MAGIC: "ceph", unix.V9FS_MAGIC: "9p", unix.CODA_SUPER_MAGIC: "coda", unix.NCP_SUPER_MAGIC: "ncp", unix.OCFS2_SUPER_MAGIC: "ocfs2", unix.FUSE_SUPER_MAGIC: "fuse",
	0x0bd00bd0: "lustre", 0x01161970: "gfs2", 0x786f4256: "vboxsf", 0x47504653: "gpfs", 0x19830326: "beegfs", 0x6a656a63: "fakeowner",
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.F2FS_SUPER_MAGIC: "f2fs", unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlay",
	0x2fc12fc1: "zfs", 0xca451a4e: "bcachefs", unix.ECRYPTFS_SUPER_MAGIC: "ecryptfs", unix.MSDOS_SUPER_MAGIC: "vfat", unix.RAMFS_MAGIC: "ramfs",
}

// fileSystem returns the kind of the file system of a directory.
func fileSystem(dir string) (kind string, known bool, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", false, err
	}
	if kind, known = fileSystems[uint32(st.Type)]; !known { //nolint:unconvert // the type differs between machines
		kind, known = fmt.Sprintf("a file system of the kind %#x", uint32(st.Type)), true
	}
	return kind, known, nil
}
