// SPDX-License-Identifier: GPL-2.0
/*
 * The control node and its ioctls.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "driver/driver.h"
#include "image/image.h"

#define NODE		"/dev/" QCOW_CONTROL_NODE
#define NODE_WAIT_MS	2000
#define POLL_MS		10

static void sleep_ms(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L };

	nanosleep(&ts, NULL);
}

static int open_node(unsigned int wait_ms)
{
	unsigned int waited;
	int fd;

	for (waited = 0;; waited += POLL_MS) {
		fd = open(NODE, O_RDWR | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		if ((errno != ENOENT && errno != ENXIO && errno != ENODEV) || waited >= wait_ms)
			return -errno;
		sleep_ms(POLL_MS);
	}
}

int control_open(bool load)
{
	int fd, err = 0;

	fd = open_node(0);
	if ((fd == -ENOENT || fd == -ENXIO || fd == -ENODEV) && load) {
		err = module_load();
		fd = open_node(err ? 0 : NODE_WAIT_MS);
	}
	if (fd >= 0)
		return fd;

	if (fd == -EACCES || fd == -EPERM) {
		qc_fail_errno(0, -fd, NODE, "cannot open");
		qc_hint("run it as root");
		return -QC_SYSTEM;
	}
	qc_fail_errno(0, -fd, NODE, "the driver is not there");
	if (err)
		qc_fail_errno(0, -err, NULL, "cannot load module '" MODULE_NAME "'");
	qc_hint("qcowctl doctor");
	return -QC_NO_DRIVER;
}

static int exit_code(int err)
{
	switch (err) {
	case 0:
		return QC_OK;
	case EBUSY:
	case EEXIST:
		return QC_BUSY;
	case EINVAL:
	case EUCLEAN:
	case EFBIG:
	case ENODATA:
	case ELOOP:
		return QC_BAD_IMAGE;
	case EOPNOTSUPP:
	case ERANGE:
	case ENAMETOOLONG:
	case EROFS:
	case ENOPKG:
		return QC_UNSUPPORTED;
	case ENODEV:
	case ENXIO:
	case ENOENT:
		return QC_NOT_FOUND;
	case ENOKEY:
	case EKEYREJECTED:
		return QC_WRONG_KEY;
	default:
		return QC_SYSTEM;
	}
}

/*
 * The driver's reads are no accesses: an update of the time would be a transaction of the file
 * system. Only the owner of a file may ask for that; for others it stays as it is.
 */
static void ignore_access_time(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NOATIME);
}

static void ignore_access_times(const struct image *img)
{
	ignore_access_time(img->fd);
	if (img->data_fd >= 0)
		ignore_access_time(img->data_fd);
}

/* Layers as the driver gets them, allocated. */
static struct qcow_layer *encode_layers(const struct image *images, u32 nr)
{
	struct qcow_layer *layers = qc_alloc(nr * sizeof(*layers));
	u32 i;

	for (i = 0; i < nr; i++) {
		ignore_access_times(&images[i]);
		layers[i].image_fd = images[i].fd;
		layers[i].data_fd = images[i].data_fd;
		layers[i].format = images[i].raw ? QCOW_FORMAT_RAW : QCOW_FORMAT_QCOW;
	}
	return layers;
}

/* What has been read of each header, so that the driver finds what has changed since. */
static u64 *encode_digests(const struct image *images, u32 nr)
{
	u64 *digests = qc_alloc(nr * sizeof(*digests));
	u32 i;

	for (i = 0; i < nr; i++)
		digests[i] = images[i].digest;
	return digests;
}

/* What the driver says of an image that it has attached. */
static void warn_lines(const char *image, const char *text)
{
	size_t len;

	for (; *text; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		if (len)
			qc_warn(image, "%.*s", (int)len, text);
	}
}

int control_attach(int fd, const struct chain *chain, struct qcow_attach *arg,
		   struct attach_refusal *refusal)
{
	struct qcow_layer *layers = encode_layers(chain->images, chain->nr);
	u64 *digests = encode_digests(chain->images, chain->nr);
	const char *image = chain->images[0].name;
	char *text = qc_alloc(QCOW_MAX_MESSAGE);
	int err;

	arg->size = sizeof(*arg);
	arg->layers = (uintptr_t)layers;
	arg->nr_layers = chain->nr;
	arg->digests = (uintptr_t)digests;
	arg->message = (uintptr_t)text;
	arg->message_size = QCOW_MAX_MESSAGE;
	err = ioctl(fd, QCOW_ATTACH, arg) ? errno : 0;
	refusal->err = err;
	refusal->bitmaps = err && strstr(text, "bitmap cannot be kept");
	if (err && !qc_lines(image, text)) {
		qc_fail_errno(0, err, image, "cannot attach");
		if (err == EPERM)
			qc_hint("run it as root");
	} else if (!err) {
		warn_lines(image, text);
	}
	free(text);
	free(digests);
	free(layers);
	return exit_code(err);
}

/* Return: 0 or errno; EBUSY and EINPROGRESS are left to the caller to tell. */
static int call_detach(int fd, u32 index, u32 flags, const char *name)
{
	char *text = qc_alloc(QCOW_MAX_MESSAGE);
	struct qcow_detach arg = {
		.size = sizeof(arg),
		.flags = flags,
		.index = index,
		.message_size = QCOW_MAX_MESSAGE,
		.message = (uintptr_t)text,
	};
	int err = ioctl(fd, QCOW_DETACH, &arg) ? errno : 0;

	if (err == ENODEV || err == ENXIO || err == ENOENT)
		qc_fail(0, name, "no such device");
	else if (err && err != EBUSY && err != EINPROGRESS && !qc_lines(name, text))
		qc_fail_errno(0, err, name, "cannot detach");
	free(text);
	return err;
}

int control_detach(int fd, u32 index, u32 flags)
{
	char *name = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", index);
	int err = call_detach(fd, index, flags, name);

	if (err == EINPROGRESS) {
		/* Lazy, and the device is open: that is what the user asked for. */
		qc_fail(0, name, "is in use, goes away at its last close");
		err = 0;
	}
	free(name);
	return exit_code(err);
}

int control_autoclear(int fd, u32 index)
{
	char *name = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", index);
	int err = call_detach(fd, index, QCOW_DETACH_LAZY, name);

	free(name);
	return err == EINPROGRESS ? 0 : exit_code(err);
}

/*
 * The outcome of a live operation. @err: 0 or errno; @text: the driver's message; @cannot: what an
 * older driver does not do; @failed: where it says nothing. Return: 0 or errno.
 */
static int report_operation(int err, u32 index, const char *text, const char *cannot,
			    const char *failed)
{
	char *name = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", index);

	if (err == ENOTTY) {
		qc_fail(0, name, "the driver that is loaded is older, and %s", cannot);
		err = EOPNOTSUPP;
	} else if (err && !qc_lines(name, text)) {
		qc_fail_errno(0, err, name, "%s", failed);
		if (err == EPERM)
			qc_hint("run it as root");
	}
	free(name);
	return err;
}

/*
 * A live operation. @arg: @size bytes, all but size and message buffer; @watch: ended by this, or
 * NULL; the rest as for report_operation(). Return: 0 or errno.
 */
static int call_job(int fd, unsigned long request, void *arg, u32 size, u32 index,
		    struct job_watch *watch, const char *cannot, const char *failed)
{
	char *text = qc_alloc(QCOW_MAX_MESSAGE);
	struct qcow_call head;
	int err;

	memcpy(&head, arg, sizeof(head));
	head.size = size;
	head.message = (uintptr_t)text;
	head.message_size = QCOW_MAX_MESSAGE;
	memcpy(arg, &head, sizeof(head));
	err = ioctl(fd, request, arg) ? errno : 0;
	/* A bar on the terminal makes room for what is said. */
	if (watch)
		job_watch_end(watch, !err);
	err = report_operation(err, index, text, cannot, failed);
	free(text);
	return err;
}

static int call_operation(int fd, unsigned long request, void *arg, u32 size, u32 index,
			  const char *cannot, const char *failed)
{
	return call_job(fd, request, arg, size, index, NULL, cannot, failed);
}

int control_change_snapshot(int fd, struct qcow_change_snapshot *arg)
{
	int err = call_operation(fd, QCOW_CHANGE_SNAPSHOT, arg, sizeof(*arg), arg->index,
				 "has no snapshots of it", "cannot change its snapshots");

	return exit_code(err);
}

int control_resize(int fd, u32 index, u64 bytes, u32 flags)
{
	struct qcow_resize arg = {
		.flags = flags,
		.index = index,
		.bytes = bytes,
	};
	int err = call_operation(fd, QCOW_RESIZE, &arg, sizeof(arg), index, "cannot resize it",
				 "cannot resize");

	switch (err) {
	case EINVAL:
	case EFBIG:
		return QC_USAGE;
	case EEXIST:
		return QC_BAD_IMAGE;
	default:
		return exit_code(err);
	}
}

int control_overlay(int fd, u32 index, const struct image *top, const struct image *image,
		    s32 key, const struct nodes *nodes)
{
	char *text = qc_alloc(QCOW_MAX_MESSAGE);
	struct qcow_overlay arg = {
		.size = sizeof(arg),
		.index = index,
		.message_size = QCOW_MAX_MESSAGE,
		.message = (uintptr_t)text,
		.overlay_fd = top->fd,
		.image_fd = image->fd,
		.data_fd = image->data_fd,
		.nr_freeze = nodes->nr,
		.freeze = (uintptr_t)nodes->fds,
		.key = key,
	};
	int err;

	ignore_access_time(top->fd);
	ignore_access_times(image);
	err = ioctl(fd, QCOW_OVERLAY, &arg) ? errno : 0;
	err = report_operation(err, index, text, "puts no overlay on it",
			       "cannot put an overlay on it");
	if (!err)
		warn_lines(top->name, text);
	free(text);
	return exit_code(err);
}

bool control_has_access(int fd, u32 index, u32 flags)
{
	/* Where there is something to change they are refused. */
	struct qcow_set_access arg = {
		.size = sizeof(arg),
		.flags = flags,
		.index = index,
		.image_fd = -1,
		.data_fd = -1,
	};

	return !ioctl(fd, QCOW_SET_ACCESS, &arg);
}

int control_set_access(int fd, u32 index, const struct image *image, const struct nodes *nodes,
		       u32 flags)
{
	char *text = qc_alloc(QCOW_MAX_MESSAGE);
	struct qcow_set_access arg = {
		.size = sizeof(arg),
		.flags = flags,
		.index = index,
		.message_size = QCOW_MAX_MESSAGE,
		.message = (uintptr_t)text,
		.image_fd = image->fd,
		.data_fd = image->data_fd,
		.nr_freeze = nodes->nr,
		.freeze = (uintptr_t)nodes->fds,
	};
	int err;

	ignore_access_times(image);
	err = ioctl(fd, QCOW_SET_ACCESS, &arg) ? errno : 0;
	err = report_operation(err, index, text,
			       "cannot make it read-only or writable", "cannot change its access");
	if (!err)
		warn_lines(image->name, text);
	free(text);
	return exit_code(err);
}

int control_rebase(int fd, const struct chain *chain, struct qcow_rebase *arg,
		   struct job_watch *watch)
{
	const struct image *below = chain->images + 1;
	u32 nr = chain->nr - 1;
	struct qcow_layer *layers = encode_layers(below, nr);
	u64 *digests = encode_digests(below, nr);
	char *text = qc_alloc(QCOW_MAX_MESSAGE);
	int err;

	arg->size = sizeof(*arg);
	arg->layers = (uintptr_t)layers;
	arg->nr_layers = nr;
	arg->digests = (uintptr_t)digests;
	arg->message = (uintptr_t)text;
	arg->message_size = QCOW_MAX_MESSAGE;
	err = ioctl(fd, QCOW_REBASE, arg) ? errno : 0;
	/* A bar on the terminal makes room for what is said. */
	job_watch_end(watch, !err);
	err = report_operation(err, arg->index, text, "gives it no other backing file",
			       "cannot rebase");
	if (!err)
		warn_lines(chain->images[0].name, text);
	free(text);
	free(digests);
	free(layers);
	return exit_code(err);
}

int control_commit_backing(int fd, u32 index, const struct image *base, int top_fd, u64 rate,
			   struct job_watch *watch)
{
	char *text = qc_alloc(QCOW_MAX_MESSAGE);
	struct qcow_commit_backing arg = {
		.size = sizeof(arg),
		.index = index,
		.message_size = QCOW_MAX_MESSAGE,
		.message = (uintptr_t)text,
		.image_fd = base->fd,
		.data_fd = base->data_fd,
		.rate = rate,
		.top_fd = top_fd,
	};
	int err;

	ignore_access_times(base);
	err = ioctl(fd, QCOW_COMMIT_BACKING, &arg) ? errno : 0;
	/* A bar on the terminal makes room for what is said. */
	job_watch_end(watch, !err);
	err = report_operation(err, index, text, "commits nothing", "cannot commit it");
	if (!err)
		warn_lines(base->name, text);
	free(text);
	return exit_code(err);
}

static int bitmap_exit_code(int err)
{
	switch (err) {
	case EINVAL:
	case EFBIG:
	case EEXIST:
		return QC_USAGE;
	default:
		return exit_code(err);
	}
}

int control_change_bitmap(int fd, struct qcow_change_bitmap *arg)
{
	int err = call_operation(fd, QCOW_CHANGE_BITMAP, arg, sizeof(*arg), arg->index,
				 "changes no bitmaps of it", "cannot change its bitmaps");

	return bitmap_exit_code(err);
}

int control_map_bitmap(int fd, struct qcow_map_bitmap *arg)
{
	int err = call_operation(fd, QCOW_MAP_BITMAP, arg, sizeof(*arg), arg->index,
				 "has no bitmaps of it", "cannot read its bitmap");

	return exit_code(err);
}

int control_open_metadata(int fd, struct qcow_open_metadata *arg)
{
	int err = call_operation(fd, QCOW_OPEN_METADATA, arg, sizeof(*arg), arg->index,
				 "does not let it be checked", "cannot read its metadata");

	return exit_code(err);
}

int control_free_leaks(int fd, u32 index, struct qcow_free_leaks *arg)
{
	int err = call_operation(fd, QCOW_FREE_LEAKS, arg, sizeof(*arg), index,
				 "frees no leaks", "cannot free leaked clusters");

	return exit_code(err);
}

int control_compact(int fd, u32 index, u64 rate, struct job_watch *watch)
{
	struct qcow_compact arg = { .index = index, .rate = rate };

	return exit_code(call_job(fd, QCOW_COMPACT, &arg, sizeof(arg), index, watch,
				  "cannot compact it", "cannot be compacted"));
}

int control_wait(int fd, u32 index, u32 flags)
{
	struct qcow_wait arg = {
		.flags = flags,
		.index = index,
	};
	int err = call_operation(fd, QCOW_WAIT, &arg, sizeof(arg), index, "has no jobs",
				 "cannot wait for its job");

	return exit_code(err);
}
