// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded: of the calls that read, write, sync or cut the file, the one with the number FAIL
 * fails. Without so many it does nothing; FAILED is a file that is made when it has done it.
 */
#define _LARGEFILE64_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(void)
{
	static int left = -1;

	if (left < 0)
		left = atoi(getenv("FAIL"));
	if (left-- != 0)
		return 0;
	close(open(getenv("FAILED"), O_WRONLY | O_CREAT, 0600));
	left = 1 << 30;
	errno = EIO;
	return 1;
}

ssize_t pread64(int fd, void *buf, size_t len, off64_t offset)
{
	return fails() ? -1 : syscall(SYS_pread64, fd, buf, len, offset);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
	return fails() ? -1 : syscall(SYS_pwrite64, fd, buf, len, offset);
}

int fsync(int fd)
{
	return fails() ? -1 : syscall(SYS_fsync, fd);
}

int ftruncate64(int fd, off64_t len)
{
	return fails() ? -1 : syscall(SYS_ftruncate, fd, len);
}
