// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded: the driver, as far as keys go. An attach fails with the error number CONTROL_ERROR,
 * and the file CONTROL_LOG gets a line for each layer: type and description of its key, "0" without
 * one. And one for each secret that is still in the memory of the process then: CONTROL_SECRETS
 * names files that have them with all bits inverted. At the end there is one for each key that the
 * keyring of the process still has.
 */
#define _LARGEFILE64_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/keyctl.h>
#include "../../../include/uapi/linux/qcow.h"

#define MAX_SECRET	4096
/* What is larger is none of a program's memory: ASan has such maps. */
#define MAX_MAP		(64UL << 20)

static int control = -1;
static FILE *out;

/* One that is invalid is none. */
static void log_key(const char *head, int32_t serial)
{
	char text[256] = "";

	if (!serial)
		fprintf(out, "%s0\n", head);
	else if (syscall(SYS_keyctl, KEYCTL_DESCRIBE, serial, text, sizeof(text) - 1) > 0)
		fprintf(out, "%s%.*s %s\n", head, (int)strcspn(text, ";"), text,
			strrchr(text, ';') + 1);
}

static bool has_secret(const unsigned char *mem, size_t bytes, const unsigned char *inverted,
		       size_t len)
{
	size_t at, i;

	for (at = 0; at + len <= bytes; at++) {
		for (i = 0; i < len && (mem[at + i] ^ inverted[i]) == 0xff; i++)
			;
		if (i == len)
			return true;
	}
	return false;
}

static bool is_in_memory(const unsigned char *inverted, size_t len)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	bool found = false;
	char line[512], perm[5];

	while (maps && !found && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %4s", &from, &to, perm) == 3 &&
		    !strncmp(perm, "rw", 2) && to - from <= MAX_MAP)
			found = has_secret((void *)from, to - from, inverted, len);
	if (maps)
		fclose(maps);
	return found;
}

static void log_secrets(void)
{
	const char *list = getenv("CONTROL_SECRETS");
	unsigned char inverted[MAX_SECRET];
	char *names = strdup(list ? list : ""), *name;
	ssize_t len;
	int fd;

	for (name = strtok(names, " "); name; name = strtok(NULL, " ")) {
		fd = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY);
		len = read(fd, inverted, sizeof(inverted));
		close(fd);
		if (len <= 0 || is_in_memory(inverted, len))
			fprintf(out, "%s is in memory\n", name);
	}
	free(names);
}

int open64(const char *path, int flags, ...)
{
	va_list args;
	int fd, mode;

	va_start(args, flags);
	mode = va_arg(args, int);
	va_end(args);
	if (strcmp(path, "/dev/qcow-control"))
		return syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode);
	fd = syscall(SYS_openat, AT_FDCWD, "/dev/null", flags);
	control = fd;
	return fd;
}

int ioctl(int fd, unsigned long request, ...)
{
	const struct qcow_attach *arg;
	const int32_t *keys;
	va_list args;
	uint32_t i;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (fd != control || request != QCOW_ATTACH)
		return syscall(SYS_ioctl, fd, request, arg);
	keys = (void *)(uintptr_t)arg->keys;
	out = fopen(getenv("CONTROL_LOG"), "w");
	for (i = 0; i < arg->nr_layers; i++)
		log_key("", keys ? keys[i] : 0);
	log_secrets();
	errno = atoi(getenv("CONTROL_ERROR"));
	return -1;
}

static void __attribute__((destructor)) log_left(void)
{
	int32_t left[16];
	long bytes = syscall(SYS_keyctl, KEYCTL_READ, KEY_SPEC_PROCESS_KEYRING, left,
			     sizeof(left));
	long i;

	if (!out)
		return;
	for (i = 0; i < bytes / (long)sizeof(left[0]); i++)
		log_key("left: ", left[i]);
	fclose(out);
}
