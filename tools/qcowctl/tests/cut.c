// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded: the power goes at the write with the number CUT, of which the first sector
 * reaches the disk. For check-cut.sh.
 */
#define _LARGEFILE64_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECTOR	512
#define STATUS	77

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t offset)
{
	static int left = -1;

	if (left < 0)
		left = atoi(getenv("CUT"));
	if (left-- > 0)
		return syscall(SYS_pwrite64, fd, buf, len, offset);
	syscall(SYS_pwrite64, fd, buf, len > SECTOR ? SECTOR : 0, offset);
	_exit(STATUS);
}
