// SPDX-License-Identifier: GPL-2.0
/*
 * File names as text: nothing here asks a file system.
 */
#include "image/image.h"

char *path_dirname(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return qc_strdup(".");
	return slash == path ? qc_strdup("/") : qc_strndup(path, slash - path);
}

/* Append the components of @path to @out, which is "" or begins with a slash. */
static size_t append(char *out, size_t len, const char *path)
{
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && !strncmp(path, "..", 2)) {
			while (len && out[len - 1] != '/')
				len--;
			if (len)
				len--;
		} else if (n && !(n == 1 && *path == '.')) {
			out[len++] = '/';
			memcpy(out + len, path, n);
			len += n;
		}
		path += n;
		path += strspn(path, "/");
	}
	return len;
}

char *path_absolute(const char *base, const char *path)
{
	char *out = qc_alloc(strlen(base) + strlen(path) + 4);
	size_t len = 0;

	if (*path != '/')
		len = append(out, len, base);
	len = append(out, len, path);
	if (!len)
		out[len++] = '/';
	out[len] = '\0';
	return out;
}

const char *path_below(const char *dir, const char *path)
{
	size_t len = strlen(dir);

	if (!strcmp(dir, "/"))
		return path[1] ? path + 1 : NULL;
	if (strncmp(dir, path, len) || path[len] != '/' || !path[len + 1])
		return NULL;
	return path + len + 1;
}

bool path_has_protocol(const char *path)
{
	return path[strcspn(path, ":/")] == ':';
}
