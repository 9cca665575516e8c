// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded: at the first rename the file OTHER, if there is such a variable, goes to the new name
 * before. With PLAIN the file system knows no rename with flags.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags)
{
	static bool done;
	const char *other = getenv("OTHER");

	if (other && !done)
		renameat(AT_FDCWD, other, to_dir, to);
	done = true;
	if (flags && getenv("PLAIN")) {
		errno = EINVAL;
		return -1;
	}
	return syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}
