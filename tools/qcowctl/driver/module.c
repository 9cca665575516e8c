// SPDX-License-Identifier: GPL-2.0
/*
 * The driver's module, as modprobe finds it.
 */
#include <errno.h>

#include <libkmod.h>

#include "driver/driver.h"

static int insert_found(struct kmod_list *list)
{
	struct kmod_list *item;
	int err = -ENOENT;

	kmod_list_foreach(item, list) {
		struct kmod_module *mod = kmod_module_get_module(item);

		err = kmod_module_probe_insert_module(mod, KMOD_PROBE_IGNORE_LOADED, NULL, NULL,
						      NULL, NULL);
		kmod_module_unref(mod);
		if (err)
			break;
	}
	return err;
}

/* libkmod would print messages of its own: the user gets the error instead. */
static void no_log(void *data, int priority, const char *file, int line, const char *fn,
		   const char *format, va_list args)
{
	(void)data;
	(void)priority;
	(void)file;
	(void)line;
	(void)fn;
	(void)format;
	(void)args;
}

/* @dir: of the modules of a kernel, or NULL: of the running one. */
static struct kmod_ctx *open_index(const char *dir)
{
	struct kmod_ctx *ctx = kmod_new(dir, NULL);

	if (ctx)
		kmod_set_log_fn(ctx, no_log, NULL);
	return ctx;
}

int module_load(void)
{
	struct kmod_ctx *ctx = open_index(NULL);
	struct kmod_list *list = NULL;
	int err;

	if (!ctx)
		return -ENOMEM;
	err = kmod_module_new_from_lookup(ctx, MODULE_NAME, &list);
	if (!err)
		err = insert_found(list);
	kmod_module_unref_list(list);
	kmod_unref(ctx);
	return err;
}

/* What is in the file itself. */
static void read_info(struct kmod_module *mod, struct module_file *file)
{
	struct kmod_list *info = NULL, *item;

	if (kmod_module_get_info(mod, &info) < 0)
		return;
	kmod_list_foreach(item, info) {
		const char *key = kmod_module_info_get_key(item);
		const char *value = kmod_module_info_get_value(item);

		if (!file->version && !strcmp(key, "version"))
			file->version = qc_strdup(value);
		else if (!file->signer && !strcmp(key, "signer"))
			file->signer = qc_strdup(value);
	}
	kmod_module_info_free_list(info);
}

bool module_find(const char *root, const char *release, struct module_file *file)
{
	char *dir = qc_printf("%s/lib/modules/%s", root, release);
	struct kmod_ctx *ctx = open_index(dir);
	struct kmod_list *list = NULL;
	struct kmod_module *mod;
	const char *path;

	*file = (struct module_file) { 0 };
	if (ctx && !kmod_module_new_from_lookup(ctx, MODULE_NAME, &list) && list) {
		mod = kmod_module_get_module(list);
		path = kmod_module_get_path(mod);
		if (path) {
			file->path = qc_strdup(path);
			read_info(mod, file);
		}
		kmod_module_unref(mod);
	}
	kmod_module_unref_list(list);
	kmod_unref(ctx);
	free(dir);
	return file->path;
}

void module_file_free(struct module_file *file)
{
	free(file->path);
	free(file->version);
	free(file->signer);
}
