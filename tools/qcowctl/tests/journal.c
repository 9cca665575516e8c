// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded: records what is written to files, for journal.py. A record is a letter (w: write, s:
 * sync, p: punch, t: truncate), the file's inode, offset and length as numbers of 64 bits, and for
 * a write the bytes.
 */
#define _LARGEFILE64_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void record(int file, char what, uint64_t offset, uint64_t len, const void *buf)
{
	static int fd = -1;
	struct stat64 st;
	uint64_t inode;

	if (fd < 0)
		fd = open(getenv("JOURNAL"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fstat64(file, &st))
		abort();
	inode = st.st_ino;
	if (write(fd, &what, 1) != 1 || write(fd, &inode, 8) != 8 || write(fd, &offset, 8) != 8 ||
	    write(fd, &len, 8) != 8 || (buf && write(fd, buf, len) != (ssize_t)len))
		abort();
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
	record(fd, 'w', offset, len, buf);
	return syscall(SYS_pwrite64, fd, buf, len, offset);
}

int fsync(int fd)
{
	record(fd, 's', 0, 0, NULL);
	return syscall(SYS_fsync, fd);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
	record(fd, 'p', offset, len, NULL);
	return syscall(SYS_fallocate, fd, mode, offset, len);
}

int ftruncate64(int fd, off64_t len)
{
	record(fd, 't', len, 0, NULL);
	return syscall(SYS_ftruncate, fd, len);
}
