// SPDX-License-Identifier: GPL-2.0
/*
 * The cache of decompressed clusters: look-up, parking on what is being made, eviction.
 * Reads and decompresses nothing: inflate_load.c does. request.c calls.
 */
#include <linux/err.h>
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

#include "layer/cache.h"
#include "compat.h"
#include "data/inflate_impl.h"
#include "inject.h"

static struct hlist_head *bucket(struct qcow_inflate *inf, const struct qcow_image *image,
				 u64 host)
{
	return &inf->table[hash_64(host + (unsigned long)image, QCOW_INFLATE_HASH_BITS)];
}

static struct qcow_inflated *lookup_locked(struct qcow_inflate *inf,
					   const struct qcow_image *image, u64 host)
{
	struct qcow_inflated *c;

	lockdep_assert_held(&inf->lock);
	hlist_for_each_entry(c, bucket(inf, image, host), hash) {
		if (c->host == host && c->image == image)
			return c;
	}
	return NULL;
}

static void use_locked(struct qcow_inflate *inf, struct qcow_inflated *c)
{
	lockdep_assert_held(&inf->lock);
	refcount_inc(&c->refs);
	list_move_tail(&c->lru, &inf->lru);
}

/* With the cache's reference and the loader's. */
static void insert_locked(struct qcow_inflate *inf, struct qcow_inflated *c)
{
	lockdep_assert_held(&inf->lock);
	refcount_set(&c->refs, 2);
	c->loading = true;
	INIT_LIST_HEAD(&c->lru);
	INIT_LIST_HEAD(&c->waiters);
	hlist_add_head(&c->hash, bucket(inf, c->image, c->host));
	inf->bytes += c->bytes;
}

static void remove_locked(struct qcow_inflate *inf, struct qcow_inflated *c)
{
	lockdep_assert_held(&inf->lock);
	hlist_del_init(&c->hash);
	if (!list_empty(&c->lru)) {
		list_del_init(&c->lru);
		inf->nr--;
	}
	inf->bytes -= c->bytes;
}

void qcow_inflate_reserve_return(struct qcow_inflate *inf)
{
	spin_lock(&inf->lock);
	inf->reserve.busy = false;
	spin_unlock(&inf->lock);
	wake_up(&inf->reserve.returned);
}

bool qcow_inflate_reserve_take(struct qcow_inflate *inf)
{
	struct qcow_inflate_reserve *r = &inf->reserve;
	bool taken = false;

	spin_lock(&inf->lock);
	if (!r->busy) {
		r->busy = true;
		taken = true;
	} else if (!list_empty(&r->cluster.lru)) {
		remove_locked(inf, &r->cluster);
		taken = refcount_dec_and_test(&r->cluster.refs);
	}
	spin_unlock(&inf->lock);
	return taken;
}

void qcow_inflate_free(struct qcow_inflate *inf, struct qcow_inflated *c)
{
	if (qcow_inflate_is_reserve(inf, c)) {
		qcow_inflate_reserve_return(inf);
		return;
	}
	kvfree(c->data);
	kfree(c);
}

/* Nobody waits for a cluster that is out of the cache: @waiters links them. */
static void free_clusters(struct qcow_inflate *inf, struct list_head *dead)
{
	struct qcow_inflated *c, *next;

	list_for_each_entry_safe(c, next, dead, waiters) {
		list_del_init(&c->waiters);
		qcow_inflate_free(inf, c);
	}
}

/* Take the least recently used cluster that nobody holds out of the cache. */
static struct qcow_inflated *evict_locked(struct qcow_inflate *inf)
{
	struct qcow_inflated *c;

	lockdep_assert_held(&inf->lock);
	list_for_each_entry(c, &inf->lru, lru) {
		if (refcount_dec_if_one(&c->refs)) {
			remove_locked(inf, c);
			return c;
		}
	}
	return NULL;
}

struct qcow_inflated *qcow_inflate_make_room(struct qcow_inflate *inf, u32 bytes)
{
	struct qcow_inflated *c, *again = NULL;
	LIST_HEAD(dead);

	spin_lock(&inf->lock);
	while (inf->bytes + bytes > inf->limit) {
		c = evict_locked(inf);
		if (!c)
			break;
		if (!again && c->bytes == bytes && !qcow_inflate_is_reserve(inf, c))
			again = c;
		else
			list_add(&c->waiters, &dead);
	}
	spin_unlock(&inf->lock);

	free_clusters(inf, &dead);
	return again;
}

void qcow_inflate_publish(struct qcow_inflate *inf, struct qcow_inflated *c, int err)
{
	struct qcow_waiter *waiter, *next;
	LIST_HEAD(waiters);

	spin_lock(&inf->lock);
	list_splice_init(&c->waiters, &waiters);
	c->loading = false;
	if (err) {
		remove_locked(inf, c);
	} else {
		list_add_tail(&c->lru, &inf->lru);
		inf->nr++;
	}
	spin_unlock(&inf->lock);

	if (qcow_inflate_is_reserve(inf, c))
		wake_up(&inf->reserve.returned);
	list_for_each_entry_safe(waiter, next, &waiters, node) {
		list_del_init(&waiter->node);
		waiter->wake(waiter);
	}
}

int qcow_inflate_join(struct qcow_inflate *inf, struct qcow_image *image, u64 host,
		      struct qcow_waiter *waiter, struct qcow_inflated *fresh,
		      struct qcow_inflated **cluster)
{
	struct qcow_inflated *c;
	int err = 0;

	spin_lock(&inf->lock);
	c = lookup_locked(inf, image, host);
	if (!c) {
		if (fresh)
			insert_locked(inf, fresh);
		err = -ENOENT;
	} else if (c->loading) {
		list_add_tail(&waiter->node, &c->waiters);
		err = -EINPROGRESS;
	} else {
		use_locked(inf, c);
		*cluster = c;
	}
	spin_unlock(&inf->lock);
	return err;
}

struct qcow_inflated *qcow_inflate_find(struct qcow_inflate *inf, struct qcow_image *image,
					u64 host)
{
	struct qcow_inflated *c;

	if (qcow_inject(QCOW_INJECT_MISS))
		return NULL;
	spin_lock(&inf->lock);
	c = lookup_locked(inf, image, host);
	if (c && c->loading)
		c = NULL;
	if (c)
		use_locked(inf, c);
	spin_unlock(&inf->lock);
	return c;
}

void qcow_inflated_put(struct qcow_inflate *inf, struct qcow_inflated *cluster)
{
	/* Others leave the cache only when nobody holds them. */
	if (!refcount_dec_and_test(&cluster->refs))
		return;
	if (!WARN_ON_ONCE(!qcow_inflate_is_reserve(inf, cluster)))
		qcow_inflate_reserve_return(inf);
}

void qcow_inflate_drop(struct qcow_inflate *inf, struct qcow_image *image, u64 host)
{
	struct qcow_inflated *c;

	spin_lock(&inf->lock);
	c = lookup_locked(inf, image, host);
	if (c && !WARN_ON_ONCE(c->loading || !refcount_dec_if_one(&c->refs)))
		remove_locked(inf, c);
	else
		c = NULL;
	spin_unlock(&inf->lock);
	if (c)
		qcow_inflate_free(inf, c);
}

u64 qcow_inflate_bytes(struct qcow_inflate *inf)
{
	u64 bytes;

	spin_lock(&inf->lock);
	bytes = inf->bytes;
	spin_unlock(&inf->lock);
	return bytes;
}

static unsigned long shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct qcow_inflate *inf = qcow_shrinker_data(shrinker);
	unsigned long count = READ_ONCE(inf->nr);
	unsigned int i;

	for (i = 0; i < QCOW_NR_CODECS; i++)
		count += qcow_workspaces_spare(&inf->workspaces[i]);
	return count;
}

static unsigned long shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct qcow_inflate *inf = qcow_shrinker_data(shrinker);
	struct qcow_inflated *c;
	unsigned long freed = 0;
	LIST_HEAD(dead);
	unsigned int i;

	spin_lock(&inf->lock);
	while (freed < sc->nr_to_scan) {
		c = evict_locked(inf);
		if (!c)
			break;
		list_add(&c->waiters, &dead);
		freed++;
	}
	spin_unlock(&inf->lock);
	free_clusters(inf, &dead);

	for (i = 0; i < QCOW_NR_CODECS; i++)
		freed += qcow_workspaces_trim(&inf->workspaces[i], sc->nr_to_scan - freed);
	return freed ?: SHRINK_STOP;
}

struct qcow_inflate *qcow_inflate_create(u64 limit)
{
	struct qcow_inflate *inf;
	unsigned int i;

	inf = kzalloc(sizeof(*inf), GFP_KERNEL);
	if (!inf)
		return ERR_PTR(-ENOMEM);

	inf->limit = limit;
	spin_lock_init(&inf->lock);
	INIT_LIST_HEAD(&inf->lru);
	mutex_init(&inf->reserve.growing);
	INIT_LIST_HEAD(&inf->reserve.cluster.lru);
	init_waitqueue_head(&inf->reserve.returned);
	for (i = 0; i < QCOW_NR_CODECS; i++)
		qcow_workspaces_init(&inf->workspaces[i], qcow_codec_get(i));

	inf->shrinker = qcow_shrinker_create("qcow-inflate", shrink_count, shrink_scan, inf);
	if (!inf->shrinker) {
		kfree(inf);
		return ERR_PTR(-ENOMEM);
	}
	return inf;
}

void qcow_inflate_destroy(struct qcow_inflate *inf)
{
	struct qcow_inflated *c;
	unsigned int i;

	qcow_shrinker_destroy(inf->shrinker);

	while (!list_empty(&inf->lru)) {
		spin_lock(&inf->lock);
		c = evict_locked(inf);
		spin_unlock(&inf->lock);
		if (WARN_ON(!c))
			break;
		qcow_inflate_free(inf, c);
	}
	WARN_ON(inf->bytes || inf->reserve.busy);

	for (i = 0; i < QCOW_NR_CODECS; i++)
		qcow_workspaces_destroy(&inf->workspaces[i]);
	kvfree(inf->reserve.cluster.data);
	kvfree(inf->reserve.src);
	mutex_destroy(&inf->reserve.growing);
	kfree(inf);
}

#if IS_ENABLED(CONFIG_KUNIT)
void qcow_inflate_starve(struct qcow_inflate *inf, bool starved)
{
	WRITE_ONCE(inf->starved, starved);
}
#endif
