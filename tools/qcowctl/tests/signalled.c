// SPDX-License-Identifier: GPL-2.0
/*
 * To be preloaded: a signal that ends the process comes before each of its writes to a file other
 * than the standard streams.
 */
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t write(int fd, const void *buf, size_t len)
{
	if (fd > STDERR_FILENO)
		raise(SIGTERM);
	return syscall(SYS_write, fd, buf, len);
}
