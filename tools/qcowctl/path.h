/* SPDX-License-Identifier: GPL-2.0 */
/*
 * File names as text: nothing here looks at a file system, but for the working directory.
 */
#ifndef QCOWCTL_PATH_H
#define QCOWCTL_PATH_H

#include <stdbool.h>

/* Directory part, "." when there is none. */
char *path_dirname(const char *path);
/* Absolute, without ".", ".." and "//"; relative names start at @base (absolute). */
char *path_absolute(const char *base, const char *path);
/* What of @path (both absolute and normalised) comes after @dir, NULL: not inside. */
const char *path_below(const char *dir, const char *path);
/* Is there a ".." component? */
bool path_has_dotdot(const char *path);
/* Would QEMU read it as "protocol:rest"? */
bool path_has_protocol(const char *path);

#endif /* QCOWCTL_PATH_H */
