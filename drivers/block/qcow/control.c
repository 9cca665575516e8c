// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/qcow-control: copies arguments in, checks what can be checked without an image, and copies
 * the result and the messages out.
 */
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <qcow/head.h>
#include <qcow/report.h>
#include <uapi/linux/qcow.h>

#include "control.h"
#include "device.h"
#include "keys.h"
#include "layer/cache.h"
#include "live/access.h"
#include "live/bitmap.h"
#include "live/commit_backing.h"
#include "live/compact.h"
#include "live/metadata.h"
#include "live/operation.h"
#include "live/overlay.h"
#include "live/rebase.h"
#include "live/resize.h"
#include "meta/snapshot.h"

#define ATTACH_FLAGS	(QCOW_ATTACH_READ_ONLY | QCOW_ATTACH_SNAPSHOT |		\
			 QCOW_ATTACH_NO_PARTSCAN | QCOW_ATTACH_DIRECT | QCOW_ATTACH_BUFFERED |	\
			 QCOW_ATTACH_BESIDE | QCOW_ATTACH_DROP_BITMAPS |			\
			 QCOW_ATTACH_DETECT_ZEROES | QCOW_ATTACH_UNMAP_ZEROES |	\
			 QCOW_ATTACH_COMPRESS | QCOW_ATTACH_NO_DISCARD)
#define DETACH_FLAGS	QCOW_DETACH_LAZY
#define RESIZE_FLAGS	QCOW_RESIZE_SHRINK
#define SNAPSHOT_FLAGS	QCOW_SNAPSHOT_FORCE
#define ACCESS_FLAGS	QCOW_ACCESS_READ_ONLY
#define REBASE_FLAGS	(QCOW_REBASE_NAMES_ONLY | QCOW_REBASE_NO_COMPARE)

static int report_create(struct qcow_report *rep, u32 size)
{
	*rep = (struct qcow_report) { .size = min_t(u32, size, QCOW_MAX_MESSAGE) };
	if (!rep->size)
		return 0;
	rep->buf = kvzalloc(rep->size, GFP_KERNEL);
	return rep->buf ? 0 : -ENOMEM;
}

/* Copy the text out; a caller whose buffer is gone gets none. */
static void report_finish(struct qcow_report *rep, u64 user)
{
	if (rep->buf && copy_to_user(u64_to_user_ptr(user), rep->buf, rep->len + 1))
		pr_debug("message buffer at 0x%llx cannot be written\n", user);
	kvfree(rep->buf);
}

/*
 * Read an extensible argument: the size the caller knows comes first in it, whatever the
 * size encoded in the command.
 */
static int read_args(void *args, size_t known, void __user *user)
{
	u32 size;

	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	if (size < sizeof(size) || size > PAGE_SIZE)
		return -EINVAL;
	return copy_struct_from_user(args, known, user, size);
}

static int check_reserved(u32 reserved, struct qcow_report *rep)
{
	if (!reserved)
		return 0;
	qcow_report(rep, "reserved field: %u, must be 0", reserved);
	return -EINVAL;
}

static int check_flags(u32 flags, u32 known, struct qcow_report *rep)
{
	if (!(flags & ~known))
		return 0;
	qcow_report(rep, "unknown flags 0x%x", flags & ~known);
	return -EINVAL;
}

static int check_attach(const struct qcow_attach *args, struct qcow_report *rep)
{
	bool read_only = args->flags & QCOW_ATTACH_READ_ONLY;
	u32 min_cache = read_only ? QCOW_CACHE_MIN_BYTES : QCOW_CACHE_MIN_WRITE_BYTES;
	int err;

	err = check_flags(args->flags, ATTACH_FLAGS, rep);
	if (err)
		return err;
	if ((args->flags & QCOW_ATTACH_DIRECT) && (args->flags & QCOW_ATTACH_BUFFERED)) {
		qcow_report(rep, "direct and buffered I/O exclude each other");
		return -EINVAL;
	}
	if ((args->flags & QCOW_ATTACH_BESIDE) &&
	    !(read_only && args->flags & QCOW_ATTACH_SNAPSHOT)) {
		qcow_report(rep,
			    "beside a device that writes to the image: only a snapshot, read-only");
		return -EINVAL;
	}
	if ((args->flags & QCOW_ATTACH_UNMAP_ZEROES) &&
	    !(args->flags & QCOW_ATTACH_DETECT_ZEROES)) {
		qcow_report(rep, "zeros give their space back only where they are detected");
		return -EINVAL;
	}
	if ((args->flags & QCOW_ATTACH_UNMAP_ZEROES) && (args->flags & QCOW_ATTACH_NO_DISCARD)) {
		qcow_report(rep, "zeros cannot both give their space back and keep it");
		return -EINVAL;
	}
	if ((args->flags & QCOW_ATTACH_COMPRESS) && (args->flags & QCOW_ATTACH_NO_DISCARD)) {
		qcow_report(rep, "clusters that are compressed give their space back");
		return -EINVAL;
	}
	if (!args->nr_layers || args->nr_layers > QCOW_MAX_LAYERS) {
		qcow_report(rep, "layers: %u, must be 1 to %u", args->nr_layers, QCOW_MAX_LAYERS);
		return -EINVAL;
	}
	if (args->index != QCOW_INDEX_ANY && args->index > MINORMASK) {
		qcow_report(rep, "device number: %u, must be at most %u", args->index, MINORMASK);
		return -EINVAL;
	}
	if (args->nr_queues > nr_cpu_ids) {
		qcow_report(rep, "queues: %u, must be at most %u, the number of CPUs",
			    args->nr_queues, nr_cpu_ids);
		return -EINVAL;
	}
	if (args->queue_depth > QCOW_MAX_QUEUE_DEPTH) {
		qcow_report(rep, "queue depth: %u, must be at most %u", args->queue_depth,
			    QCOW_MAX_QUEUE_DEPTH);
		return -EINVAL;
	}
	if (args->logical_block_size && args->logical_block_size != SZ_512 &&
	    args->logical_block_size != SZ_4K) {
		qcow_report(rep, "logical block size: %u, must be 512 or 4096",
			    args->logical_block_size);
		return -EINVAL;
	}
	if (check_reserved(args->reserved, rep))
		return -EINVAL;
	if (args->cache_bytes && args->cache_bytes < min_cache) {
		qcow_report(rep, "cache size: %llu bytes, must be at least %u%s",
			    args->cache_bytes, min_cache, read_only ? "" : " to write");
		return -EINVAL;
	}
	return 0;
}

static int check_layers(const struct qcow_layer *layers, u32 nr, struct qcow_report *rep)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		if (layers[i].flags || layers[i].format > QCOW_FORMAT_QCOW) {
			qcow_report(rep, "layer %u: unknown format %u or flags 0x%x", i,
				    layers[i].format, layers[i].flags);
			return -EINVAL;
		}
		if (layers[i].format == QCOW_FORMAT_RAW && layers[i].data_fd >= 0) {
			qcow_report(rep, "layer %u: a raw image has no external data file", i);
			return -EINVAL;
		}
	}
	return 0;
}

/**
 * struct user_layers - where a caller has what it hands over of layers
 * @fds: address of an array of struct qcow_layer
 * @digests: of __u64, or 0
 * @keys: of __s32, or 0
 * @nr: length of each
 */
struct user_layers {
	u64 fds;
	u64 digests;
	u64 keys;
	u32 nr;
};

static void layers_put(struct qcow_layers *layers, u32 nr)
{
	qcow_keys_put(layers->keys, nr);
	kvfree(layers->digests);
	kvfree(layers->fds);
}

static int keys_get(struct qcow_layers *layers, const struct user_layers *user,
		    struct qcow_report *rep)
{
	s32 *serials = vmemdup_user(u64_to_user_ptr(user->keys),
				    array_size(user->nr, sizeof(*serials)));
	struct qcow_volume_key *keys;

	if (IS_ERR(serials))
		return PTR_ERR(serials);
	keys = qcow_keys_get(serials, user->nr, rep);
	kvfree(serials);
	if (IS_ERR(keys))
		return PTR_ERR(keys);
	layers->keys = keys;
	return 0;
}

static int digests_get(struct qcow_layers *layers, const struct user_layers *user)
{
	u64 *digests = vmemdup_user(u64_to_user_ptr(user->digests),
				    array_size(user->nr, sizeof(*digests)));

	if (IS_ERR(digests))
		return PTR_ERR(digests);
	layers->digests = digests;
	return 0;
}

/* @layers: result, for layers_put(), also after an error. */
static int layers_get(struct qcow_layers *layers, const struct user_layers *user,
		      struct qcow_report *rep)
{
	struct qcow_layer *fds = vmemdup_user(u64_to_user_ptr(user->fds),
					      array_size(user->nr, sizeof(*fds)));
	int err;

	*layers = (struct qcow_layers) {};
	if (IS_ERR(fds))
		return PTR_ERR(fds);
	layers->fds = fds;
	err = check_layers(fds, user->nr, rep);
	if (!err && user->digests)
		err = digests_get(layers, user);
	if (!err && user->keys)
		err = keys_get(layers, user, rep);
	return err;
}

static int attach_layers(const struct qcow_attach *args, struct qcow_report *rep)
{
	const struct user_layers user = {
		.fds = args->layers, .digests = args->digests, .keys = args->keys,
		.nr = args->nr_layers,
	};
	struct qcow_layers layers;
	int err = layers_get(&layers, &user, rep);

	if (!err && layers.fds[0].format != QCOW_FORMAT_QCOW) {
		qcow_report(rep, "the active image must be a QCOW image");
		err = -EINVAL;
	}
	if (!err)
		err = qcow_device_attach(args, &layers, rep);
	layers_put(&layers, args->nr_layers);
	return err;
}

static long ctl_attach(struct qcow_attach __user *user)
{
	struct qcow_report rep;
	struct qcow_attach args = {};
	int ret;

	ret = read_args(&args, sizeof(args), user);
	if (ret)
		return ret;
	/* Once there is a device, nothing may fail any more: try the way back first. */
	if (put_user(args.index, &user->index))
		return -EFAULT;
	ret = report_create(&rep, args.message_size);
	if (ret)
		return ret;

	ret = check_attach(&args, &rep);
	if (!ret)
		ret = attach_layers(&args, &rep);
	report_finish(&rep, args.message);
	if (ret < 0)
		return ret;
	return put_user(ret, &user->index) ? -EFAULT : 0;
}

static int call_detach(void *data, void __user *user, struct qcow_report *rep)
{
	const struct qcow_detach *args = data;

	return qcow_device_detach(args->index, args->flags & QCOW_DETACH_LAZY, rep);
}

static int call_resize(void *data, void __user *user, struct qcow_report *rep)
{
	const struct qcow_resize *args = data;

	return qcow_device_resize(args->index, args->bytes, args->flags & QCOW_RESIZE_SHRINK, rep);
}

static void freeze_put(struct qcow_freeze *freeze)
{
	while (freeze->nr)
		fput(freeze->nodes[--freeze->nr]);
	kfree(freeze->nodes);
}

/* @user: address of @nr descriptors. */
static int freeze_get(struct qcow_freeze *freeze, u64 user, u32 nr, struct qcow_report *rep)
{
	s32 __user *fds = u64_to_user_ptr(user);
	u32 i;
	s32 fd;

	*freeze = (struct qcow_freeze) {};
	if (nr > QCOW_MAX_FREEZE) {
		qcow_report(rep, "block devices: %u, at most %u", nr, QCOW_MAX_FREEZE);
		return -EINVAL;
	}
	if (!nr)
		return 0;
	freeze->nodes = kcalloc(nr, sizeof(*freeze->nodes), GFP_KERNEL);
	if (!freeze->nodes)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		if (get_user(fd, &fds[i]))
			goto fault;
		freeze->nodes[i] = fget(fd);
		if (!freeze->nodes[i]) {
			qcow_report(rep, "descriptor %d is not open", fd);
			freeze_put(freeze);
			return -EBADF;
		}
		freeze->nr++;
	}
	return 0;

fault:
	freeze_put(freeze);
	return -EFAULT;
}

static int check_snapshot(const struct qcow_change_snapshot *args, struct qcow_report *rep)
{
	if (args->action > QCOW_SNAPSHOT_DELETE) {
		qcow_report(rep, "unknown action %u", args->action);
		return -EINVAL;
	}
	if (!args->id_len || args->id_len > QCOW_MAX_SNAPSHOT_TEXT ||
	    args->name_len > QCOW_MAX_SNAPSHOT_TEXT) {
		qcow_report(rep, "id of %u bytes, name of %u bytes: 1 to %u, and up to %u",
			    args->id_len, args->name_len, QCOW_MAX_SNAPSHOT_TEXT,
			    QCOW_MAX_SNAPSHOT_TEXT);
		return -EINVAL;
	}
	return 0;
}

static int change_snapshot(const struct qcow_change_snapshot *args, struct qcow_report *rep)
{
	struct qcow_snapshot_change change = {
		.action = args->action, .id_len = args->id_len, .name_len = args->name_len,
		.date_sec = args->date_sec, .date_nsec = args->date_nsec,
	};
	struct qcow_freeze freeze;
	void *id, *name;
	int err;

	id = memdup_user(u64_to_user_ptr(args->id), args->id_len);
	if (IS_ERR(id))
		return PTR_ERR(id);
	name = memdup_user(u64_to_user_ptr(args->name), args->name_len);
	err = PTR_ERR_OR_ZERO(name);
	if (err)
		goto free_id;
	change.id = id;
	change.name = name;
	err = freeze_get(&freeze, args->freeze, args->nr_freeze, rep);
	if (err)
		goto free_name;
	err = qcow_device_snapshot(args->index, &change, &freeze,
				   args->flags & QCOW_SNAPSHOT_FORCE, rep);
	freeze_put(&freeze);
free_name:
	kfree(name);
free_id:
	kfree(id);
	return err;
}

static int call_change_snapshot(void *data, void __user *user, struct qcow_report *rep)
{
	return check_snapshot(data, rep) ?: change_snapshot(data, rep);
}

static int call_overlay(void *data, void __user *user, struct qcow_report *rep)
{
	const struct qcow_overlay *args = data;
	struct qcow_freeze freeze;
	int err;

	err = check_reserved(args->reserved, rep);
	if (!err)
		err = freeze_get(&freeze, args->freeze, args->nr_freeze, rep);
	if (err)
		return err;
	err = qcow_device_overlay(args, &freeze, rep);
	freeze_put(&freeze);
	return err;
}

static int call_set_access(void *data, void __user *user, struct qcow_report *rep)
{
	const struct qcow_set_access *args = data;
	struct qcow_freeze freeze;
	int err;

	err = check_reserved(args->reserved, rep);
	if (!err)
		err = freeze_get(&freeze, args->freeze, args->nr_freeze, rep);
	if (err)
		return err;
	err = qcow_device_set_access(args, &freeze, rep);
	freeze_put(&freeze);
	return err;
}

static int check_rebase(const struct qcow_rebase *args, struct qcow_report *rep)
{
	bool names_only = args->flags & QCOW_REBASE_NAMES_ONLY;
	bool has_layers = !names_only && args->name_len;
	int err = check_reserved(args->reserved, rep);

	if (err)
		return err;
	if (names_only && (args->rate || args->flags & QCOW_REBASE_NO_COMPARE)) {
		qcow_report(rep, "how to copy is said, and nothing is to be copied");
		return -EINVAL;
	}
	if (args->name_len > QCOW_MAX_BACKING_TEXT || args->format_len > QCOW_MAX_BACKING_TEXT) {
		qcow_report(rep, "backing file name of %u bytes, format of %u: at most %u",
			    args->name_len, args->format_len, QCOW_MAX_BACKING_TEXT);
		return -EINVAL;
	}
	if (args->format_len && !args->name_len) {
		qcow_report(rep, "a format of the backing file, and no backing file");
		return -EINVAL;
	}
	if (args->nr_layers < has_layers || args->nr_layers > has_layers * (QCOW_MAX_LAYERS - 1)) {
		qcow_report(rep, "layers: %u, must be %u to %u", args->nr_layers, has_layers,
			    has_layers * (QCOW_MAX_LAYERS - 1));
		return -EINVAL;
	}
	return 0;
}

/* @text: result, allocated; NULL: there is none. */
static int text_get(char **text, u64 user, u32 len, const char *what, struct qcow_report *rep)
{
	*text = NULL;
	if (!len)
		return 0;
	*text = memdup_user_nul(u64_to_user_ptr(user), len);
	if (IS_ERR(*text))
		return PTR_ERR(*text);
	if (strlen(*text) == len)
		return 0;
	qcow_report(rep, "%s: has a NUL after %zu of %u bytes", what, strlen(*text), len);
	kfree(*text);
	return -EINVAL;
}

static int rebase_layers(const struct qcow_rebase *args, const struct qcow_backing_names *names,
			 struct qcow_report *rep)
{
	const struct user_layers user = {
		.fds = args->layers, .digests = args->digests, .keys = args->keys,
		.nr = args->nr_layers,
	};
	struct qcow_layers layers = {};
	int err = 0;

	if (args->nr_layers)
		err = layers_get(&layers, &user, rep);
	if (!err)
		err = qcow_device_rebase(args, &layers, names, rep);
	layers_put(&layers, args->nr_layers);
	return err;
}

static int rebase_names(const struct qcow_rebase *args, struct qcow_report *rep)
{
	char *name, *format;
	int err;

	err = text_get(&name, args->name, args->name_len, "backing file name", rep);
	if (err)
		return err;
	err = text_get(&format, args->format, args->format_len, "backing file format", rep);
	if (!err) {
		const struct qcow_backing_names names = { .backing = name, .format = format };

		err = rebase_layers(args, &names, rep);
		kfree(format);
	}
	kfree(name);
	return err;
}

static int call_rebase(void *data, void __user *user, struct qcow_report *rep)
{
	return check_rebase(data, rep) ?: rebase_names(data, rep);
}

static int call_commit_backing(void *data, void __user *user, struct qcow_report *rep)
{
	const struct qcow_commit_backing *args = data;

	return check_reserved(args->reserved, rep) ?: qcow_device_commit_backing(args, rep);
}

static int check_bitmap_name(u64 name, u32 len, struct qcow_report *rep)
{
	if (len && len <= QCOW_MAX_BITMAP_TEXT)
		return 0;
	qcow_report(rep, "bitmap name of %u bytes, must be 1 to %u", len, QCOW_MAX_BITMAP_TEXT);
	return -EINVAL;
}

static int check_change_bitmap(const struct qcow_change_bitmap *args, struct qcow_report *rep)
{
	int err = check_bitmap_name(args->name, args->name_len, rep);

	if (!err && args->action == QCOW_BITMAP_MERGE)
		err = check_bitmap_name(args->source, args->source_len, rep);
	if (err)
		return err;
	if (args->action > QCOW_BITMAP_MERGE) {
		qcow_report(rep, "action %u is unknown", args->action);
		return -EINVAL;
	}
	if (check_reserved(args->reserved, rep))
		return -EINVAL;
	if (args->action != QCOW_BITMAP_MERGE && args->source_len) {
		qcow_report(rep, "a source of %u bytes, and nothing to merge", args->source_len);
		return -EINVAL;
	}
	if (args->action != QCOW_BITMAP_ADD && args->granularity) {
		qcow_report(rep, "a granularity of %llu bytes, and no new bitmap",
			    args->granularity);
		return -EINVAL;
	}
	return 0;
}

static int change_bitmap(const struct qcow_change_bitmap *args, struct qcow_report *rep)
{
	char *name, *source;
	int err;

	err = text_get(&name, args->name, args->name_len, "bitmap name", rep);
	if (err)
		return err;
	err = text_get(&source, args->source, args->source_len, "bitmap name", rep);
	if (!err) {
		err = qcow_device_change_bitmap(args, name, source, rep);
		kfree(source);
	}
	kfree(name);
	return err;
}

static int call_change_bitmap(void *data, void __user *user, struct qcow_report *rep)
{
	return check_change_bitmap(data, rep) ?: change_bitmap(data, rep);
}

static int map_bitmap(struct qcow_map_bitmap *args, const char *name, struct qcow_report *rep)
{
	u32 nr = min(args->nr_ranges, QCOW_MAX_BITMAP_RANGES);
	struct qcow_bitmap_range *ranges;
	int err;

	ranges = kvmalloc_array(max(nr, 1U), sizeof(*ranges), GFP_KERNEL_ACCOUNT);
	if (!ranges)
		return -ENOMEM;
	err = qcow_device_map_bitmap(args, name, ranges, &nr, rep);
	if (!err && copy_to_user(u64_to_user_ptr(args->ranges), ranges, nr * sizeof(*ranges)))
		err = -EFAULT;
	args->nr_ranges = nr;
	kvfree(ranges);
	return err;
}

static int call_map_bitmap(void *data, void __user *user, struct qcow_report *rep)
{
	struct qcow_map_bitmap __user *result = user;
	struct qcow_map_bitmap *args = data;
	char *name;
	int err;

	err = check_bitmap_name(args->name, args->name_len, rep);
	if (!err)
		err = text_get(&name, args->name, args->name_len, "bitmap name", rep);
	if (err)
		return err;
	err = map_bitmap(args, name, rep);
	kfree(name);
	if (!err && (put_user(args->start, &result->start) ||
		     put_user(args->granularity, &result->granularity) ||
		     put_user(args->nr_ranges, &result->nr_ranges)))
		err = -EFAULT;
	return err;
}

/* Nothing can fail any more once the descriptor is there. */
static int open_metadata(struct qcow_open_metadata *args, struct qcow_open_metadata __user *user,
			 struct qcow_report *rep)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);
	struct file *file;
	int err;

	if (fd < 0)
		return fd;
	file = qcow_device_open_metadata(args, rep);
	err = PTR_ERR_OR_ZERO(file);
	if (!err && (put_user(args->bytes, &user->bytes) || put_user(fd, &user->fd))) {
		fput(file);
		err = -EFAULT;
	}
	if (err)
		put_unused_fd(fd);
	else
		fd_install(fd, file);
	return err;
}

static int call_open_metadata(void *data, void __user *user, struct qcow_report *rep)
{
	struct qcow_open_metadata *args = data;

	return check_reserved(args->reserved, rep) ?: open_metadata(args, user, rep);
}

static int free_leaks(const struct qcow_free_leaks *args, struct qcow_report *rep)
{
	struct qcow_leak *leaks;
	struct file *file;
	int err;

	if (args->nr_leaks > QCOW_MAX_LEAKS) {
		qcow_report(rep, "ranges: %u, at most %u", args->nr_leaks, QCOW_MAX_LEAKS);
		return -EINVAL;
	}
	leaks = vmemdup_user(u64_to_user_ptr(args->leaks),
			     array_size(args->nr_leaks, sizeof(*leaks)));
	if (IS_ERR(leaks))
		return PTR_ERR(leaks);
	file = fget(args->fd);
	if (file) {
		err = qcow_metadata_free_leaks(file, leaks, args->nr_leaks, rep);
		fput(file);
	} else {
		qcow_report(rep, "descriptor %d is not open", args->fd);
		err = -EBADF;
	}
	kvfree(leaks);
	return err;
}

static int call_free_leaks(void *data, void __user *user, struct qcow_report *rep)
{
	const struct qcow_free_leaks *args = data;

	return check_reserved(args->reserved, rep) ?: free_leaks(args, rep);
}

static int call_compact(void *data, void __user *user, struct qcow_report *rep)
{
	return qcow_device_compact(data, rep);
}

static int call_wait(void *data, void __user *user, struct qcow_report *rep)
{
	const struct qcow_wait *args = data;

	if (args->flags == (QCOW_WAIT_CANCEL | QCOW_WAIT_DETACH)) {
		qcow_report(rep, "a detach that has begun cannot be cancelled");
		return -EINVAL;
	}
	if (args->flags & QCOW_WAIT_DETACH)
		return qcow_device_wait_detach(args->index);
	return qcow_device_wait(args->index, args->flags & QCOW_WAIT_CANCEL, rep);
}

/* Memory for any of them. */
union call_args {
	struct qcow_call head;
	struct qcow_detach detach;
	struct qcow_resize resize;
	struct qcow_change_snapshot change_snapshot;
	struct qcow_overlay overlay;
	struct qcow_set_access set_access;
	struct qcow_rebase rebase;
	struct qcow_wait wait;
	struct qcow_commit_backing commit_backing;
	struct qcow_change_bitmap change_bitmap;
	struct qcow_map_bitmap map_bitmap;
	struct qcow_open_metadata open_metadata;
	struct qcow_free_leaks free_leaks;
	struct qcow_compact compact;
};

/**
 * struct call - a call
 * @bytes: of its argument
 * @flags: that are known
 * @run: does it with the argument, which has come from @user
 */
struct call {
	size_t bytes;
	u32 flags;
	int (*run)(void *data, void __user *user, struct qcow_report *rep);
};

#define CALL(name, known)						\
	{								\
		.bytes = sizeof(struct qcow_##name) +			\
			 BUILD_BUG_ON_ZERO(offsetof(struct qcow_##name, message) !=	\
					   offsetof(struct qcow_call, message)),	\
		.flags = known, .run = call_##name,			\
	}

static const struct call calls[] = {
	[_IOC_NR(QCOW_DETACH)] = CALL(detach, DETACH_FLAGS),
	[_IOC_NR(QCOW_RESIZE)] = CALL(resize, RESIZE_FLAGS),
	[_IOC_NR(QCOW_CHANGE_SNAPSHOT)] = CALL(change_snapshot, SNAPSHOT_FLAGS),
	[_IOC_NR(QCOW_OVERLAY)] = CALL(overlay, 0),
	[_IOC_NR(QCOW_SET_ACCESS)] = CALL(set_access, ACCESS_FLAGS),
	[_IOC_NR(QCOW_REBASE)] = CALL(rebase, REBASE_FLAGS),
	[_IOC_NR(QCOW_WAIT)] = CALL(wait, QCOW_WAIT_CANCEL | QCOW_WAIT_DETACH),
	[_IOC_NR(QCOW_COMMIT_BACKING)] = CALL(commit_backing, 0),
	[_IOC_NR(QCOW_CHANGE_BITMAP)] = CALL(change_bitmap, 0),
	[_IOC_NR(QCOW_MAP_BITMAP)] = CALL(map_bitmap, 0),
	[_IOC_NR(QCOW_OPEN_METADATA)] = CALL(open_metadata, 0),
	[_IOC_NR(QCOW_FREE_LEAKS)] = CALL(free_leaks, 0),
	[_IOC_NR(QCOW_COMPACT)] = CALL(compact, 0),
};

static long ctl_call(const struct call *call, void __user *user)
{
	struct qcow_report rep;
	union call_args args;
	int ret;

	ret = read_args(&args, call->bytes, user);
	if (!ret)
		ret = report_create(&rep, args.head.message_size);
	if (ret)
		return ret;
	ret = check_flags(args.head.flags, call->flags, &rep);
	if (!ret)
		ret = call->run(&args, user, &rep);
	report_finish(&rep, args.head.message);
	return ret;
}

static long ctl_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	/* The number alone decides: the size in the command grows with the structure. */
	unsigned int nr = _IOC_NR(cmd);

	if (_IOC_TYPE(cmd) != QCOW_IOCTL_TYPE)
		return -ENOTTY;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (nr == _IOC_NR(QCOW_ATTACH))
		return ctl_attach((void __user *)arg);
	if (nr >= ARRAY_SIZE(calls))
		return -ENOTTY;
	nr = array_index_nospec(nr, ARRAY_SIZE(calls));
	return calls[nr].run ? ctl_call(&calls[nr], (void __user *)arg) : -ENOTTY;
}

static const struct file_operations ctl_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = ctl_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice ctl_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = QCOW_CONTROL_NODE,
	.fops = &ctl_fops,
	.mode = 0600,
};

int qcow_control_module_init(void)
{
	return misc_register(&ctl_misc);
}

void qcow_control_module_exit(void)
{
	misc_deregister(&ctl_misc);
}
