package disk

import "golang.org/x/sys/unix"

// This file tells file systems apart by the number that statfs gives for them.

// Numbers that x/sys does not name.
const (
	cifsMagic  = 0xff534d42
	smb2Magic  = 0xfe534d42
	cephMagic  = 0x00c36400
	lustre     = 0x0bd00bd0
	gfs2Magic  = 0x01161970
	vmhgfs     = 0xbacbacbc
	vboxMagic  = 0x786f4256
	ntfs3Magic = 0x7366746e
)

var kinds = map[uint32]Kind{
	unix.TMPFS_MAGIC:           {Name: "tmpfs", Volatile: true},
	unix.RAMFS_MAGIC:           {Name: "ramfs", Volatile: true},
	unix.NFS_SUPER_MAGIC:       {Name: "NFS", Network: true},
	unix.SMB_SUPER_MAGIC:       {Name: "SMB", Network: true},
	cifsMagic:                  {Name: "CIFS", Network: true},
	smb2Magic:                  {Name: "SMB", Network: true},
	unix.AFS_SUPER_MAGIC:       {Name: "AFS", Network: true},
	unix.CODA_SUPER_MAGIC:      {Name: "Coda", Network: true},
	cephMagic:                  {Name: "Ceph", Network: true},
	lustre:                     {Name: "Lustre", Network: true},
	gfs2Magic:                  {Name: "GFS2", Network: true},
	unix.V9FS_MAGIC:            {Name: "9p", Network: true},
	unix.OVERLAYFS_SUPER_MAGIC: {Name: "overlay", Layered: true},
	unix.FUSE_SUPER_MAGIC:      {Name: "FUSE", Layered: true},
	unix.ECRYPTFS_SUPER_MAGIC:  {Name: "eCryptfs", Layered: true},
	vmhgfs:                     {Name: "vmhgfs", Layered: true},
	vboxMagic:                  {Name: "vboxsf", Layered: true},
	unix.EXT4_SUPER_MAGIC:      {Name: "ext4"},
	unix.XFS_SUPER_MAGIC:       {Name: "XFS"},
	unix.BTRFS_SUPER_MAGIC:     {Name: "Btrfs"},
	unix.F2FS_SUPER_MAGIC:      {Name: "F2FS"},
	zfsMagic:                   {Name: "ZFS"},
	unix.BCACHEFS_SUPER_MAGIC:  {Name: "bcachefs"},
	nilfs2Magic:                {Name: "NILFS2"},
	ntfs3Magic:                 {Name: "NTFS"},
}

// KindOf tells the file system of a file or directory.
func KindOf(name string) (Kind, error) {
	var st unix.Statfs_t
	if err := retryInterrupted(func() error { return unix.Statfs(name, &st) }); err != nil {
		return Kind{}, opError("statfs", name, 0, err)
	}
	// The field is signed on some machines and 32 bits wide on others.
	k := kinds[uint32(st.Type)]
	k.BlockSize = int64(st.Bsize)
	return k, nil
}
