// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer entry over what qcowctl reads: the input is an image file, and every command that
 * looks at images, or repairs them, looks at it. It ends with a status that the manual page has
 * for images: what is in one is no error of the system. The file is in a directory of its own, in
 * memory, with one that it may name as its backing file.
 */
#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

#include "check/check.h"
#include "qcowctl.h"

#define MAX_ARGS	8

/* The first file is as long as the input; the second goes on with a hole. */
#define LONG_BYTES	0x100000

/* Of cmd/main.c, which the Makefile gives this name. */
int qcowctl_main(int argc, char **argv);

/* What the commands may end with. */
#define LOOKED		(BIT_ULL(QC_OK) | BIT_ULL(QC_NOT_QCOW) | BIT_ULL(QC_BAD_IMAGE) | \
			 BIT_ULL(QC_UNSUPPORTED) | BIT_ULL(QC_POLICY) | BIT_ULL(QC_NOT_FOUND))
#define CHECKED		(BIT_ULL(CHECK_OK) | BIT_ULL(CHECK_FAILED) | BIT_ULL(CHECK_CORRUPT) | \
			 BIT_ULL(CHECK_LEAKS) | BIT_ULL(CHECK_NO_FORMAT))
/* No status: the image is without corruptions when the command has succeeded. */
#define CHANGES		BIT_ULL(62)

struct run {
	u64 allowed;
	const char *args[MAX_ARGS];
};

static const struct run runs[] = {
	{ LOOKED, { "info", "image" } },
	{ LOOKED, { "info", "--backing-chain", "--output", "json", "image" } },
	{ LOOKED, { "map", "image" } },
	{ LOOKED, { "map", "--output", "json", "--backing-format", "raw", "image" } },
	{ LOOKED, { "snapshot", "-l", "image" } },
	{ LOOKED | CHANGES, { "snapshot", "-c", "new", "image" } },
	{ LOOKED | CHANGES, { "snapshot", "-a", "1", "image" } },
	{ LOOKED | CHANGES, { "snapshot", "-d", "new", "image" } },
	{ LOOKED, { "key", "list", "image" } },
	{ LOOKED | CHANGES, { "key", "erase", "--slot", "1", "--force", "image" } },
	{ LOOKED, { "map", "--bitmap", "b0", "image" } },
	{ LOOKED, { "map", "--bitmap", "b1", "--output", "json", "image" } },
	{ LOOKED | BIT_ULL(QC_USAGE) | CHANGES, { "bitmap", "--add", "image", "new" } },
	{ LOOKED | CHANGES, { "bitmap", "--merge", "b0", "--disable", "image", "new" } },
	{ LOOKED | CHANGES, { "bitmap", "--clear", "image", "b1" } },
	{ LOOKED | CHANGES, { "bitmap", "--remove", "image", "b0" } },
	{ LOOKED | CHANGES, { "bitmap", "--remove", "image", "new" } },
	{ LOOKED | BIT_ULL(QC_USAGE) | CHANGES, { "resize", "+1M", "image" } },
	{ LOOKED | CHANGES, { "compact", "image" } },
	{ LOOKED | CHANGES, { "compact", "--compress", "zlib", "image" } },
	{ LOOKED | BIT_ULL(QC_USAGE), { "rebase", "-b", "", "image" } },
	{ LOOKED | BIT_ULL(QC_USAGE), { "stream", "--backing-format", "raw", "image" } },
	{ LOOKED, { "rebase", "-u", "-b", "base.raw", "-F", "raw", "image" } },
	{ CHECKED, { "check", "image" } },
	{ CHECKED, { "check", "--output", "json", "-r", "leaks", "image" } },
	{ CHECKED, { "check", "-r", "all", "image" } },
	/* What has been repaired, or not. */
	{ LOOKED, { "map", "image" } },
};

/* Nothing else is changed, and a change makes none. */
static const struct run whole = {
	BIT_ULL(CHECK_OK) | BIT_ULL(CHECK_LEAKS), { "check", "image" },
};

static void write_file(const char *name, const uint8_t *data, size_t size, off_t bytes)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size || ftruncate(fd, bytes)) {
		perror(name);
		abort();
	}
	close(fd);
}

static int run_command(const struct run *run)
{
	char *argv[MAX_ARGS + 2] = { "qcowctl" };
	int argc = 1, status;

	while (run->args[argc - 1]) {
		argv[argc] = (char *)run->args[argc - 1];
		argc++;
	}
	/* getopt() begins anew. */
	optind = 0;
	status = qcowctl_main(argc, argv);
	if (status >= 0 && status < 64 && run->allowed & BIT_ULL(status))
		return status;
	fprintf(stderr, "%s: ends with %d\n", run->args[0], status);
	abort();
}

static void run_all(const uint8_t *data, size_t size, off_t bytes)
{
	size_t i;

	write_file("image", data, size, bytes);
	for (i = 0; i < ARRAY_SIZE(runs); i++)
		if (run_command(&runs[i]) == QC_OK && runs[i].allowed & CHANGES)
			run_command(&whole);
}

static char *directory;

static void leave(void)
{
	unlink("image");
	unlink("base.raw");
	rmdir(directory);
	free(directory);
}

static void begin(void)
{
	directory = qc_strdup("/dev/shm/qcow-fuzz-XXXXXX");
	if (!mkdtemp(directory) || chdir(directory)) {
		perror(directory);
		abort();
	}
	write_file("base.raw", (const uint8_t *)"base", 4, LONG_BYTES);
	atexit(leave);
}

/* The Makefile gives it the name that libFuzzer calls. */
int fuzz_one(const uint8_t *data, size_t size)
{
	if (!directory)
		begin();
	run_all(data, size, size);
	run_all(data, size, LONG_BYTES);
	return 0;
}
