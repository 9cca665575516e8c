// SPDX-License-Identifier: GPL-2.0
/*
 * QEMU's image locks: open file description locks on single bytes, all of them shared.
 *
 * A process that uses permission N locks byte 100 + N; one that does not share permission N
 * with other processes locks byte 200 + N. To use N, no other process may have 200 + N
 * locked; not to share it, none may have 100 + N locked. A process locks its own bytes first
 * and tests the others afterwards, so that of two processes at the same time at least one
 * finds the lock of the other.
 *
 * The locks belong to the open file: they stay while the kernel holds it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "image/image.h"

/* The kernel has it in no header for user space. */
#define GFS2_MAGIC		0x01161970

#define USES_BASE	100
#define DENIES_BASE	200

#define PERM_READ	BIT_ULL(0)	/* consistent reads */
#define PERM_WRITE	BIT_ULL(1)
#define PERM_RESIZE	BIT_ULL(3)
#define PERM_BITS	4

static struct flock byte_lock(short type, unsigned int byte)
{
	return (struct flock){
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};
}

static int lock_bytes(int fd, unsigned int base, unsigned int bits)
{
	unsigned int i;

	for (i = 0; i < PERM_BITS; i++) {
		struct flock fl = byte_lock(F_RDLCK, base + i);

		if (bits & BIT_ULL(i) && fcntl(fd, F_OFD_SETLK, &fl))
			return -errno;
	}
	return 0;
}

/* Return: 0, or -EBUSY and the @bit of a byte that another process has locked. */
static int test_bytes(int fd, unsigned int base, unsigned int bits, unsigned int *bit)
{
	unsigned int i;

	for (i = 0; i < PERM_BITS; i++) {
		struct flock fl = byte_lock(F_WRLCK, base + i);

		if (!(bits & BIT_ULL(i)))
			continue;
		if (fcntl(fd, F_OFD_GETLK, &fl))
			return -errno;
		if (fl.l_type != F_UNLCK) {
			*bit = i;
			return -EBUSY;
		}
	}
	return 0;
}

/* As in QEMU by default, a file system without locks is no reason to refuse a file. */
static bool can_lock(int fd)
{
	struct flock fl = byte_lock(F_WRLCK, USES_BASE);

	return !fcntl(fd, F_OFD_GETLK, &fl);
}

static int busy(const char *name, unsigned int base, unsigned int bit, bool write)
{
	const char *does = "uses it and allows no reader";

	if (base == USES_BASE)
		does = BIT_ULL(bit) == PERM_RESIZE ? "may resize it" : "may write to it";
	else if (write)
		does = "uses it and allows no writer";
	qc_fail(0, name, "is in use: another process %s (QEMU, or attached already?)", does);
	qc_hint("stop the virtual machine, or qcowctl detach; holders: lsof %s", name);
	return QC_BUSY;
}

/* Return: as test_bytes(); @base: of the byte. */
static int test_others(int fd, unsigned int uses, unsigned int denies, unsigned int *base,
		       unsigned int *bit)
{
	int err = test_bytes(fd, DENIES_BASE, uses, bit);

	*base = DENIES_BASE;
	if (err)
		return err;
	*base = USES_BASE;
	return test_bytes(fd, USES_BASE, denies, bit);
}

/* How /proc names the file that this process has locked, allocated; NULL: it does not. */
static char *locked_file(int fd)
{
	char *path = qc_printf("/proc/self/fdinfo/%d", fd), *line = NULL, name[64];
	FILE *f = fopen(path, "re");
	bool found = false;
	size_t room = 0;

	while (!found && f && getline(&line, &room, f) > 0)
		found = sscanf(line, "lock: %*u: OFDLCK %*s %*s %*d %63s", name) == 1;
	if (f)
		fclose(f);
	free(line);
	free(path);
	return found ? qc_strdup(name) : NULL;
}

/**
 * struct holders - how many open files have locked each byte
 * @uses: from USES_BASE on
 * @denies: from DENIES_BASE on
 */
struct holders {
	unsigned int uses[PERM_BITS];
	unsigned int denies[PERM_BITS];
};

static void count_range(unsigned int *counts, unsigned int base, u64 start, u64 end)
{
	unsigned int i;

	for (i = 0; i < PERM_BITS; i++)
		counts[i] += base + i >= start && base + i <= end;
}

/* Whether other hosts may have locks on the file, which /proc does not show. */
static bool is_on_other_hosts(int fd)
{
	static const unsigned int magics[] = {
		NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, CIFS_SUPER_MAGIC, SMB2_SUPER_MAGIC, V9FS_MAGIC,
		CEPH_SUPER_MAGIC, OCFS2_SUPER_MAGIC, GFS2_MAGIC, AFS_SUPER_MAGIC, AFS_FS_MAGIC,
		CODA_SUPER_MAGIC, FUSE_SUPER_MAGIC,
	};
	struct statfs fs;
	size_t i;

	if (fstatfs(fd, &fs))
		return true;
	for (i = 0; i < ARRAY_SIZE(magics); i++)
		if ((unsigned int)fs.f_type == magics[i])
			return true;
	return false;
}

/* @file: from locked_file(). Return: 0 or -errno. */
static int count_holders(const char *file, struct holders *holders)
{
	FILE *f = fopen("/proc/locks", "re");
	char *line = NULL, name[64], last[32];
	size_t room = 0;
	u64 start, end;

	*holders = (struct holders){ 0 };
	if (!f)
		return -errno;
	while (getline(&line, &room, f) > 0) {
		if (sscanf(line, "%*u: %*s %*s %*s %*d %63s %llu %31s", name, &start, last) != 3 ||
		    strcmp(name, file))
			continue;
		end = strcmp(last, "EOF") ? strtoull(last, NULL, 10) : UINT64_MAX;
		count_range(holders->uses, USES_BASE, start, end);
		count_range(holders->denies, DENIES_BASE, start, end);
	}
	fclose(f);
	free(line);
	return 0;
}

/*
 * Of a device and this process each has an open file: the one has the locks of a reader, the other
 * those of a writer. A lock tells of no owner, so what is more than that is another's; where the
 * device itself shares with writers, a reader that does not could be taken for it, so that there
 * is one at all is enough. Return: as test_others(), or -EREMOTE.
 */
static int test_replaced(int fd, unsigned int *base, unsigned int *bit)
{
	char *file = locked_file(fd);
	struct holders holders;
	unsigned int i;
	int err = file ? count_holders(file, &holders) : -ENOENT;

	if (is_on_other_hosts(fd))
		err = -EREMOTE;
	for (i = 0; !err && i < PERM_BITS; i++) {
		bool reads = BIT_ULL(i) == PERM_READ;

		if (!(BIT_ULL(i) & (PERM_READ | PERM_WRITE | PERM_RESIZE)))
			continue;
		if (holders.denies[i] > (reads ? 0 : 2) || (reads && holders.uses[i] > 2))
			*base = DENIES_BASE;
		else if (!reads && holders.uses[i] > 1)
			*base = USES_BASE;
		else
			continue;
		*bit = i;
		err = -EBUSY;
	}
	free(file);
	return err;
}

int lock_file(int fd, const char *name, enum image_lock mode)
{
	bool write = mode == IMAGE_LOCK_WRITE || mode == IMAGE_LOCK_REPLACE;
	unsigned int uses = PERM_READ | (write ? PERM_WRITE | PERM_RESIZE : 0);
	unsigned int denies = mode == IMAGE_LOCK_SHARE ? 0 : PERM_WRITE | PERM_RESIZE;
	unsigned int bit = 0, base = 0;
	int err;

	if (mode == IMAGE_LOCK_NONE)
		return 0;
	if (!can_lock(fd)) {
		qc_warn(name, "no locks on this file system: nothing keeps others from it");
		return 0;
	}
	err = lock_bytes(fd, USES_BASE, uses);
	if (!err)
		err = lock_bytes(fd, DENIES_BASE, denies);
	if (!err && mode == IMAGE_LOCK_REPLACE)
		err = test_replaced(fd, &base, &bit);
	else if (!err && mode != IMAGE_LOCK_BESIDE)
		err = test_others(fd, uses, denies, &base, &bit);
	if (err == -EBUSY)
		return busy(name, base, bit, write);
	if (err == -EREMOTE) {
		qc_fail(0, name, "lies where locks of other hosts are not seen");
		qc_hint("qcowctl detach and attach");
		return QC_UNSUPPORTED;
	}
	if (err == -EAGAIN || err == -EACCES) {
		qc_fail(0, name, "another process holds its lock bytes exclusively");
		return QC_BUSY;
	}
	return err ? qc_fail_errno(QC_SYSTEM, -err, name, "cannot lock") : 0;
}

bool lock_has_writer(int fd)
{
	unsigned int bit;

	return test_bytes(fd, USES_BASE, PERM_WRITE | PERM_RESIZE, &bit) == -EBUSY;
}

int lock_image(const struct image *img, enum image_lock mode)
{
	int err = lock_file(img->fd, img->name, mode);

	return err || img->data_fd < 0 ? err : lock_file(img->data_fd, img->data_path, mode);
}
