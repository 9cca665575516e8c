// SPDX-License-Identifier: GPL-2.0
/*
 * The layers that are in memory. One list under one mutex: it is read when devices come
 * and go, never by I/O. A layer is on the list before it is opened, so that an attach that
 * wants it meanwhile waits instead of reading it once more; files are opened and read without
 * the mutex.
 *
 * A look-up by name, or by what is written in an image, was considered: the inode of an open
 * descriptor cannot be exchanged for another file, and while the layer is there it is pinned,
 * so its address is good as a key.
 */

#include <linux/err.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <qcow/report.h>

#include "layer/cache.h"
#include "layer/image.h"
#include "layer/layer.h"

/**
 * enum qcow_shared_state - what has become of a layer
 * @QCOW_SHARED_OPENING: on the list; the attach that put it there opens it, others wait
 * @QCOW_SHARED_OPEN: on the list, with an image
 * @QCOW_SHARED_FAILED: off the list; each attach that has waited tries again on its own
 *
 *   OPENING ---> OPEN ---> freed with the last user
 *      |
 *      +-------> FAILED -> freed with the last user
 *
 * The last user of a read-only layer takes it off the list before it closes it: an attach that
 * comes then opens the files anew, beside an old layer that nothing reads from. One that has
 * been written to goes off the list when it is closed: its file is not finished before.
 */
enum qcow_shared_state {
	QCOW_SHARED_OPENING,
	QCOW_SHARED_OPEN,
	QCOW_SHARED_FAILED,
};

/**
 * struct qcow_shared - a layer on the list
 * @node: on @layers
 * @state: enum qcow_shared_state
 * @users: devices, layers above, attaches that wait
 * @file: key: its file, as it was before it was opened
 * @data: key: its data file, likewise
 * @raw: key
 * @snapshot: key
 * @buffered: key: direct I/O is not wanted
 * @backing: key: the layer below
 * @writable: it has one user, and its files are in no other layers but its snapshots
 * @beside: it is a snapshot, opened beside the layer that is written to: its position, and the
 *          file, may have changed since, so it is not shared
 * @changing: its snapshots are: none is opened
 * @image: the layer, once it is open
 * @wq: of its stores, or NULL: they use the device's
 *
 * @node, @state, @users and @changing change under @layers_lock, the rest is as it is from
 * QCOW_SHARED_OPEN on; but for a layer that is written to no more, which gets its @wq, then is
 * not @writable, with new keys @file and @data, under @layers_lock; and for @backing of one that
 * is put on top of another.
 */
struct qcow_shared {
	struct list_head node;
	enum qcow_shared_state state;
	unsigned int users;

	struct qcow_layer_file file;
	struct qcow_layer_file data;
	bool raw;
	u32 snapshot;
	bool buffered;
	struct qcow_image *backing;
	bool writable;
	bool beside;
	bool changing;
	struct qcow_image *image;
	struct workqueue_struct *wq;
};

static LIST_HEAD(layers);
static DEFINE_MUTEX(layers_lock);

/* Woken when a layer is QCOW_SHARED_OPENING no more. */
static DECLARE_WAIT_QUEUE_HEAD(layer_opened);

static bool has_file(const struct qcow_shared *layer, const struct qcow_layer_file *file)
{
	return file->id && (file->id == layer->file.id || file->id == layer->data.id);
}

static bool is_of_files(const struct qcow_shared *layer, const struct qcow_layer_params *p)
{
	return layer->file.id == p->file.id && layer->data.id == p->data.id;
}

static bool is_wanted(const struct qcow_shared *layer, const struct qcow_layer_params *p)
{
	return is_of_files(layer, p) && !p->image.writable && !layer->beside && !p->beside &&
	       layer->raw == p->image.raw && layer->snapshot == p->image.snapshot &&
	       layer->buffered == (p->direct == QCOW_DIRECT_OFF) &&
	       layer->backing == p->backing;
}

static bool has_changed(const struct qcow_layer_file *was, const struct qcow_layer_file *is)
{
	return was->bytes != is->bytes || !timespec64_equal(&was->mtime, &is->mtime);
}

/* A layer has a file of the one that is wanted: whether both can be there. */
static bool go_together(const struct qcow_shared *layer, const struct qcow_layer_params *p)
{
	/* The one reference is that of the device, which does not write meanwhile. */
	if (p->image.writable)
		return p->instead && layer == p->instead->shared && layer->users == 1;
	return !layer->writable || (p->beside && is_of_files(layer, p) &&
				    layer->state == QCOW_SHARED_OPEN && !layer->changing);
}

/* The layer with a reference if it is on the list, else @fresh, which is there from now on. */
static struct qcow_shared *layer_claim_locked(const struct qcow_layer_params *p,
					      struct qcow_shared *fresh)
{
	struct qcow_shared *layer, *wanted = NULL;
	bool written = false;

	lockdep_assert_held(&layers_lock);
	list_for_each_entry(layer, &layers, node) {
		if (!has_file(layer, &p->file) && !has_file(layer, &p->data))
			continue;
		if (!go_together(layer, p))
			return ERR_PTR(-EBUSY);
		written |= layer->writable;
		if (is_wanted(layer, p))
			wanted = layer;
	}
	if (p->beside && !written)
		return ERR_PTR(-ENOENT);
	if (wanted) {
		wanted->users++;
		return wanted;
	}
	list_add(&fresh->node, &layers);
	return fresh;
}

static struct qcow_shared *shared_create(const struct qcow_layer_params *p)
{
	struct qcow_shared *layer = kzalloc(sizeof(*layer), GFP_KERNEL);

	if (!layer)
		return NULL;
	INIT_LIST_HEAD(&layer->node);
	layer->state = QCOW_SHARED_OPENING;
	layer->users = 1;
	layer->file = p->file;
	layer->data = p->data;
	layer->raw = p->image.raw;
	layer->snapshot = p->image.snapshot;
	layer->buffered = p->direct == QCOW_DIRECT_OFF;
	layer->backing = p->backing;
	layer->writable = p->image.writable;
	layer->beside = p->beside;
	return layer;
}

static void shared_free(struct qcow_shared *layer)
{
	if (layer->image)
		qcow_image_close(layer->image);
	if (layer->wq)
		destroy_workqueue(layer->wq);
	if (layer->writable) {
		mutex_lock(&layers_lock);
		list_del_init(&layer->node);
		mutex_unlock(&layers_lock);
	}
	kfree(layer);
}

/* Drop a reference; the last one of a layer that has been opened drops one of what is below. */
static void shared_put(struct qcow_shared *layer)
{
	struct qcow_image *backing;
	bool last;

	while (layer) {
		mutex_lock(&layers_lock);
		last = !--layer->users;
		if (last && !layer->writable)
			list_del_init(&layer->node);
		backing = layer->image ? layer->image->backing : NULL;
		mutex_unlock(&layers_lock);
		if (!last)
			return;
		shared_free(layer);
		layer = backing ? backing->shared : NULL;
	}
}

/* Works of the stores wait for what is below the layer, never for another layer. */
static struct workqueue_struct *layer_create_queue(void)
{
	return alloc_workqueue("qcow-layer", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
}

static struct qcow_image *layer_open_image(struct qcow_shared *layer,
					   const struct qcow_layer_params *p,
					   struct qcow_report *rep)
{
	struct qcow_store *store, *data = NULL;
	struct qcow_image *image;
	int err;

	if (!layer->writable) {
		layer->wq = layer_create_queue();
		if (!layer->wq)
			return ERR_PTR(-ENOMEM);
	}
	err = p->open(p, layer->wq ?: p->wq, &store, &data, rep);
	if (err)
		return ERR_PTR(err);
	image = qcow_image_open(&p->image, store, data, rep);
	if (IS_ERR(image))
		return image;
	image->backing = p->backing;
	image->shared = layer;
	return image;
}

/* Open a layer that this caller has put on the list. */
static struct qcow_image *layer_open(struct qcow_shared *layer,
				     const struct qcow_layer_params *p, struct qcow_report *rep)
{
	struct qcow_image *image = layer_open_image(layer, p, rep);

	mutex_lock(&layers_lock);
	if (IS_ERR(image)) {
		list_del_init(&layer->node);
		WRITE_ONCE(layer->state, QCOW_SHARED_FAILED);
	} else {
		layer->image = image;
		/* Pairs with smp_load_acquire() in layer_wait_open(): there is an image. */
		smp_store_release(&layer->state, QCOW_SHARED_OPEN);
	}
	mutex_unlock(&layers_lock);
	wake_up_all(&layer_opened);

	if (IS_ERR(image))
		shared_put(layer);
	return image;
}

/* Whether a layer that has been opened for other devices is good for this caller. */
static int layer_check_open(const struct qcow_shared *layer, const struct qcow_layer_params *p,
			    struct qcow_report *rep)
{
	const struct qcow_image *image = layer->image;

	if (has_changed(&layer->file, &p->file) || has_changed(&layer->data, &p->data)) {
		qcow_report(rep,
			    "the file has changed since other devices opened it: its size or its modification time");
		return -ESTALE;
	}
	if (p->direct == QCOW_DIRECT_ON && !(image->store->direct && image->data->direct)) {
		qcow_report(rep, "direct I/O is not possible on the file system of the file");
		return -EOPNOTSUPP;
	}
	return qcow_image_check_digest(image, p->image.digest, rep) ?:
		qcow_image_check_key(image, p->image.key, rep);
}

/*
 * Use a layer that another caller has put on the list; drops the reference where it cannot
 * be used. -EAGAIN: opening it has failed there.
 */
static struct qcow_image *layer_wait_open(struct qcow_shared *layer,
					  const struct qcow_layer_params *p,
					  struct qcow_report *rep)
{
	enum qcow_shared_state state;
	int err;

	/* Pairs with smp_store_release() in layer_open(). */
	err = wait_event_killable(layer_opened, (state = smp_load_acquire(&layer->state)) !=
						QCOW_SHARED_OPENING);
	if (err)
		err = -EINTR;
	else if (state == QCOW_SHARED_FAILED)
		err = -EAGAIN;
	else
		err = layer_check_open(layer, p, rep);
	if (err) {
		shared_put(layer);
		return ERR_PTR(err);
	}
	qcow_cache_raise(layer->image->cache, p->image.cache_bytes);
	/* The layer has a reference of its own of what is below. */
	qcow_layer_put(p->backing);
	return layer->image;
}

struct qcow_image *qcow_layer_get(const struct qcow_layer_params *p, struct qcow_report *rep)
{
	struct qcow_shared *fresh, *layer;
	struct qcow_image *image;

	do {
		fresh = shared_create(p);
		if (!fresh)
			return ERR_PTR(-ENOMEM);
		mutex_lock(&layers_lock);
		layer = layer_claim_locked(p, fresh);
		mutex_unlock(&layers_lock);
		if (layer == fresh)
			return layer_open(layer, p, rep);
		kfree(fresh);
		if (IS_ERR(layer))
			return ERR_CAST(layer);
		image = layer_wait_open(layer, p, rep);
	} while (image == ERR_PTR(-EAGAIN));
	return image;
}

struct qcow_image *qcow_layer_hold(struct qcow_image *layer)
{
	if (layer) {
		mutex_lock(&layers_lock);
		layer->shared->users++;
		mutex_unlock(&layers_lock);
	}
	return layer;
}

void qcow_layer_put(struct qcow_image *layer)
{
	if (layer)
		shared_put(layer->shared);
}

enum qcow_direct qcow_layer_direct(const struct qcow_image *layer)
{
	/* Where direct I/O was asked for it was possible. */
	return layer->shared->buffered ? QCOW_DIRECT_OFF : QCOW_DIRECT_AUTO;
}

void qcow_layer_stack(struct qcow_image *top, struct qcow_image *below)
{
	mutex_lock(&layers_lock);
	top->backing = below;
	top->shared->backing = below;
	mutex_unlock(&layers_lock);
}

void qcow_layer_replace(struct qcow_image *layer, struct qcow_image *old)
{
	qcow_layer_stack(layer, old->backing);
	qcow_layer_stack(old, NULL);
}

int qcow_layer_reopen(const struct qcow_layer_params *p, struct qcow_reopened *again,
		      struct qcow_report *rep)
{
	int err = -ENOMEM;

	*again = (struct qcow_reopened) {
		.name = kstrdup(p->image.name, GFP_KERNEL), .wq = layer_create_queue(),
	};
	if (again->name && again->wq)
		err = p->open(p, again->wq, &again->store, &again->data, rep);
	if (err) {
		again->store = NULL;
		again->data = NULL;
		qcow_reopened_destroy(again);
	}
	return err;
}

void qcow_reopened_destroy(struct qcow_reopened *again)
{
	if (again->data)
		qcow_store_destroy(again->data);
	if (again->store)
		qcow_store_destroy(again->store);
	if (again->wq)
		destroy_workqueue(again->wq);
	kfree(again->name);
	*again = (struct qcow_reopened) {};
}

void qcow_layer_end_writing(struct qcow_image *layer, struct qcow_reopened *again)
{
	struct qcow_reopened was = { .name = layer->name };

	qcow_image_replace_stores(layer, again->store, again->data, &was.store, &was.data);
	layer->name = again->name;
	layer->shared->wq = again->wq;
	*again = was;
}

void qcow_layer_share(struct qcow_image *layer, const struct qcow_layer_file *file,
		      const struct qcow_layer_file *data)
{
	mutex_lock(&layers_lock);
	layer->shared->file = *file;
	layer->shared->data = *data;
	layer->shared->writable = false;
	mutex_unlock(&layers_lock);
}

static bool is_snapshot_of(const struct qcow_shared *layer, const struct qcow_shared *active)
{
	return layer->beside && has_file(layer, &active->file);
}

bool qcow_layer_is_beside(const struct qcow_image *image)
{
	return image->shared->beside;
}

int qcow_layer_begin_change(struct qcow_image *image)
{
	struct qcow_shared *active = image->shared, *layer;
	int err = 0;

	mutex_lock(&layers_lock);
	list_for_each_entry(layer, &layers, node) {
		if (is_snapshot_of(layer, active) && layer->state == QCOW_SHARED_OPENING)
			err = -EBUSY;
	}
	active->changing = !err;
	mutex_unlock(&layers_lock);
	return err;
}

void qcow_layer_end_change(struct qcow_image *image)
{
	mutex_lock(&layers_lock);
	image->shared->changing = false;
	mutex_unlock(&layers_lock);
}

bool qcow_layer_has_snapshot(const struct qcow_image *image, const char *id, u32 len)
{
	struct qcow_shared *layer;
	bool has = false;

	mutex_lock(&layers_lock);
	list_for_each_entry(layer, &layers, node) {
		if (is_snapshot_of(layer, image->shared) && layer->image)
			has |= layer->image->snapshot_id_len == len &&
			       !memcmp(layer->image->snapshot_id, id, len);
	}
	mutex_unlock(&layers_lock);
	return has;
}

unsigned int qcow_layer_shared(const struct qcow_image *top)
{
	unsigned int nr = 0;

	mutex_lock(&layers_lock);
	/* What is below a layer of several chains is in all of them. */
	for (; top; top = top->backing)
		nr += nr || top->shared->users > 1;
	mutex_unlock(&layers_lock);
	return nr;
}
