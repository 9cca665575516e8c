/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory of compression: workspaces of each method, shared by all images, and buffers.
 */
#ifndef _QCOW_WORKSPACE_H
#define _QCOW_WORKSPACE_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

/**
 * enum qcow_direction - what is done in a workspace
 * @QCOW_DECOMPRESS: compressed clusters are decompressed
 * @QCOW_COMPRESS: clusters are compressed
 */
enum qcow_direction {
	QCOW_DECOMPRESS,
	QCOW_COMPRESS,
};

#define QCOW_NR_DIRECTIONS	2

/**
 * struct qcow_workspace - what one call of a method works in
 * @node: on the pool's list while idle
 * @memory: the method's
 */
struct qcow_workspace {
	struct list_head node;
	u8 memory[] __aligned(8);
};

/**
 * struct qcow_workspaces - the workspaces of one method and direction
 * @bytes: memory of each; 0: this kernel is without the method
 * @max: workspaces at most: more than CPUs would not make anything faster
 * @filling: held while the first one is made
 * @lock: @idle, @nr_idle, @nr
 * @idle: workspaces that are not in use
 * @nr_idle: how many
 * @nr: workspaces there are, never none again after qcow_workspaces_fill()
 * @returned: woken when one becomes idle
 */
struct qcow_workspaces {
	size_t bytes;
	unsigned int max;
	struct mutex filling;	/* taken before @lock */
	spinlock_t lock;	/* protects the next three */
	struct list_head idle;
	unsigned int nr_idle;
	unsigned int nr;
	wait_queue_head_t returned;
};

/* Those of all images; once per module. */
int qcow_workspaces_module_init(void);
void qcow_workspaces_module_exit(void);

/* The workspaces of a method, QCOW_COMPRESSION_*, that the kernel has. Context: any. */
struct qcow_workspaces *qcow_workspaces_of(u32 type, enum qcow_direction direction);

/* Makes no workspace yet. */
void qcow_workspaces_init(struct qcow_workspaces *pool, size_t bytes);

/* All must be idle. */
void qcow_workspaces_destroy(struct qcow_workspaces *pool);

/**
 * qcow_workspaces_fill() - set the first workspace aside
 * @pool: the pool
 * @try: give up early
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: 0 or -ENOMEM.
 */
int qcow_workspaces_fill(struct qcow_workspaces *pool, bool try);

/**
 * qcow_workspaces_get() - a workspace to work in
 * @pool: the pool, filled
 *
 * Waits for one when there are @max or no memory is left. That ends: a thread that has one
 * neither waits nor does I/O.
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: the workspace, for qcow_workspaces_put().
 */
struct qcow_workspace *qcow_workspaces_get(struct qcow_workspaces *pool);
void qcow_workspaces_put(struct qcow_workspaces *pool, struct qcow_workspace *workspace);

/* Idle workspaces that could be freed; one is kept. */
unsigned long qcow_workspaces_spare(struct qcow_workspaces *pool);

/* Free at most @nr of them; returns how many. Process context, does not sleep for memory. */
unsigned long qcow_workspaces_trim(struct qcow_workspaces *pool, unsigned long nr);

/**
 * qcow_workspace_buffer() - a buffer; page aligned if @bytes is a multiple of the page size
 * @bytes: its size
 * @gfp: flags beyond GFP_NOIO: __GFP_NORETRY to give up early
 *
 * Context: process context, may sleep; GFP_NOIO.
 * Return: the buffer, for kvfree(), or NULL.
 */
void *qcow_workspace_buffer(size_t bytes, gfp_t gfp);

#endif /* _QCOW_WORKSPACE_H */
