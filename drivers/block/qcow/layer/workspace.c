// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of compression. Once a pool is filled one workspace at least stays, so that a thread
 * that gets no memory can wait for it.
 */
#include <linux/cpumask.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

#include "compat.h"
#include "layer/codec.h"
#include "layer/workspace.h"

/*
 * Of all images: more workspaces than CPUs would make nothing faster, and a thread that has one
 * neither sleeps nor does I/O.
 */
static struct qcow_workspaces all[QCOW_NR_CODECS][QCOW_NR_DIRECTIONS];
static struct shrinker *workspace_shrinker;

void *qcow_workspace_buffer(size_t bytes, gfp_t gfp)
{
	unsigned int noio = memalloc_noio_save();
	void *buf;

	/* For vmalloc() only GFP_KERNEL is good; the scope makes it GFP_NOIO. */
	buf = kvmalloc(max_t(size_t, bytes, 1), gfp | GFP_KERNEL);
	memalloc_noio_restore(noio);
	return buf;
}

static struct qcow_workspace *workspace_create(struct qcow_workspaces *pool, bool try)
{
	struct qcow_workspace *workspace;
	bool counted;

	workspace = qcow_workspace_buffer(struct_size(workspace, memory, pool->bytes),
					  __GFP_NOWARN | (try ? __GFP_NORETRY : 0));
	if (!workspace)
		return NULL;

	/* Counted only now that it is there: a thread that waits counts on @nr to come back. */
	spin_lock(&pool->lock);
	counted = pool->nr < pool->max;
	if (counted)
		pool->nr++;
	spin_unlock(&pool->lock);
	if (counted)
		return workspace;
	kvfree(workspace);
	return NULL;
}

void qcow_workspaces_init(struct qcow_workspaces *pool, size_t bytes)
{
	pool->bytes = bytes;
	pool->max = num_online_cpus();
	mutex_init(&pool->filling);
	spin_lock_init(&pool->lock);
	INIT_LIST_HEAD(&pool->idle);
	pool->nr_idle = 0;
	pool->nr = 0;
	init_waitqueue_head(&pool->returned);
}

void qcow_workspaces_destroy(struct qcow_workspaces *pool)
{
	struct qcow_workspace *workspace, *next;

	list_for_each_entry_safe(workspace, next, &pool->idle, node) {
		kvfree(workspace);
		pool->nr--;
	}
	WARN_ON(pool->nr);
	mutex_destroy(&pool->filling);
}

int qcow_workspaces_fill(struct qcow_workspaces *pool, bool try)
{
	struct qcow_workspace *workspace;
	int err = 0;

	if (READ_ONCE(pool->nr))
		return 0;

	mutex_lock(&pool->filling);
	if (!READ_ONCE(pool->nr)) {
		workspace = workspace_create(pool, try);
		if (workspace)
			qcow_workspaces_put(pool, workspace);
		else
			err = -ENOMEM;
	}
	mutex_unlock(&pool->filling);
	return err;
}

static struct qcow_workspace *workspace_get_idle(struct qcow_workspaces *pool, bool *may_create)
{
	struct qcow_workspace *workspace;

	spin_lock(&pool->lock);
	workspace = list_first_entry_or_null(&pool->idle, struct qcow_workspace, node);
	if (workspace) {
		list_del(&workspace->node);
		pool->nr_idle--;
	}
	*may_create = pool->nr < pool->max;
	spin_unlock(&pool->lock);
	return workspace;
}

struct qcow_workspace *qcow_workspaces_get(struct qcow_workspaces *pool)
{
	struct qcow_workspace *workspace;
	bool may_create;

	for (;;) {
		workspace = workspace_get_idle(pool, &may_create);
		if (!workspace && may_create)
			workspace = workspace_create(pool, true);
		if (workspace)
			return workspace;
		wait_event(pool->returned, !list_empty_careful(&pool->idle));
	}
}

void qcow_workspaces_put(struct qcow_workspaces *pool, struct qcow_workspace *workspace)
{
	spin_lock(&pool->lock);
	list_add(&workspace->node, &pool->idle);
	pool->nr_idle++;
	spin_unlock(&pool->lock);
	wake_up(&pool->returned);
}

unsigned long qcow_workspaces_spare(struct qcow_workspaces *pool)
{
	unsigned long spare;

	spin_lock(&pool->lock);
	spare = pool->nr_idle;
	if (spare && spare == pool->nr)
		spare--;
	spin_unlock(&pool->lock);
	return spare;
}

unsigned long qcow_workspaces_trim(struct qcow_workspaces *pool, unsigned long nr)
{
	struct qcow_workspace *workspace, *next;
	unsigned long freed = 0;
	LIST_HEAD(dead);

	spin_lock(&pool->lock);
	while (freed < nr && pool->nr > 1 && !list_empty(&pool->idle)) {
		list_move(pool->idle.next, &dead);
		pool->nr_idle--;
		pool->nr--;
		freed++;
	}
	spin_unlock(&pool->lock);

	list_for_each_entry_safe(workspace, next, &dead, node)
		kvfree(workspace);
	return freed;
}

struct qcow_workspaces *qcow_workspaces_of(u32 type, enum qcow_direction direction)
{
	return &all[type][direction];
}

static unsigned long workspace_shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long count = 0;
	unsigned int i;

	for (i = 0; i < QCOW_NR_CODECS; i++)
		count += qcow_workspaces_spare(&all[i][QCOW_DECOMPRESS]) +
			 qcow_workspaces_spare(&all[i][QCOW_COMPRESS]);
	return count;
}

static unsigned long workspace_shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long freed = 0;
	unsigned int i;

	for (i = 0; i < QCOW_NR_CODECS; i++) {
		freed += qcow_workspaces_trim(&all[i][QCOW_DECOMPRESS], sc->nr_to_scan - freed);
		freed += qcow_workspaces_trim(&all[i][QCOW_COMPRESS], sc->nr_to_scan - freed);
	}
	return freed ?: SHRINK_STOP;
}

int qcow_workspaces_module_init(void)
{
	unsigned int i;

	for (i = 0; i < QCOW_NR_CODECS; i++) {
		const struct qcow_codec *codec = qcow_codec_get(i);

		qcow_workspaces_init(&all[i][QCOW_DECOMPRESS],
				     codec->missing ? 0 : codec->workspace_bytes());
		qcow_workspaces_init(&all[i][QCOW_COMPRESS],
				     codec->compress_missing ? 0 :
				     codec->compress_workspace_bytes());
	}
	workspace_shrinker = qcow_shrinker_create("qcow-workspaces", workspace_shrink_count,
						  workspace_shrink_scan, NULL);
	return workspace_shrinker ? 0 : -ENOMEM;
}

void qcow_workspaces_module_exit(void)
{
	unsigned int i;

	qcow_shrinker_destroy(workspace_shrinker);
	for (i = 0; i < QCOW_NR_CODECS; i++) {
		qcow_workspaces_destroy(&all[i][QCOW_DECOMPRESS]);
		qcow_workspaces_destroy(&all[i][QCOW_COMPRESS]);
	}
}
