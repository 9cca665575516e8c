// SPDX-License-Identifier: GPL-2.0
/*
 * Opens a chain, takes the image locks and holds them until standard input ends:
 * what an attached image does, without the driver.
 */
#include <unistd.h>

#include "image/image.h"

int main(int argc, char **argv)
{
	struct chain_options opts = { 0 };
	struct chain chain;
	char c;
	int err;

	if (argc != 3)
		return QC_USAGE;
	opts.write = !strcmp(argv[1], "rw");
	opts.lock = opts.write ? IMAGE_LOCK_WRITE :
		    strcmp(argv[1], "share") ? IMAGE_LOCK_READ : IMAGE_LOCK_SHARE;
	err = chain_open(&chain, argv[2], &opts);
	if (!err) {
		puts("locked");
		fflush(stdout);
		while (read(0, &c, 1) > 0)
			;
	}
	chain_close(&chain);
	return err;
}
