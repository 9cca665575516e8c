// SPDX-License-Identifier: GPL-2.0
/*
 * Opens a chain as attach does, and prints the names of its layers. Runs a command of another
 * program just before the first lock is taken: what that changes must be what is handed over.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "image/image.h"

static const char *command;

/* In place of the C library's. */
int fcntl(int fd, int cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	if (cmd == F_OFD_SETLK && command) {
		if (system(command))
			exit(QC_SYSTEM);
		command = NULL;
	}
	return syscall(SYS_fcntl, fd, cmd, arg);
}

int main(int argc, char **argv)
{
	struct chain_options opts = { .lock = IMAGE_LOCK_READ };
	struct chain chain;
	u32 i;
	int err;

	if (argc != 3)
		return QC_USAGE;
	command = argv[2];
	err = chain_open(&chain, argv[1], &opts);
	for (i = 0; i < chain.nr && !err; i++)
		puts(chain.images[i].name);
	chain_close(&chain);
	return command ? QC_SYSTEM : err;
}
