/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Internal snapshots of an attached image: created, applied and deleted by shadow paging.
 *
 * Context of all functions: process context but that of the worker, a commit, or I/O of the device;
 * may sleep.
 */
#ifndef _QCOW_META_SNAPSHOT_H
#define _QCOW_META_SNAPSHOT_H

#include <linux/types.h>
#include <uapi/linux/qcow.h>

struct qcow_meta;
struct qcow_report;
struct qcow_snapshot_job;

/**
 * struct qcow_snapshot_change - what is to be done
 * @action: enum qcow_snapshot_action
 * @id: of the snapshot, not NUL terminated
 * @id_len: bytes at @id
 * @name: of one that is created, likewise
 * @name_len: bytes at @name
 * @date_sec: its time, UTC
 * @date_nsec: sub-second part
 * @block_bytes: logical block size of the device
 * @is_shut: it is not open, and cannot be opened meanwhile
 */
struct qcow_snapshot_change {
	enum qcow_snapshot_action action;
	const char *id;
	u32 id_len;
	const char *name;
	u32 name_len;
	u32 date_sec;
	u32 date_nsec;
	u32 block_bytes;
	bool is_shut;
};

/**
 * qcow_snapshot_begin() - begin a change
 * @meta: the metadata
 * @change: what is to be done; stays until qcow_snapshot_end()
 * @rep: says what is wrong; likewise
 *
 * Return: the change, for qcow_snapshot_end(), or ERR_PTR(-ENOMEM).
 */
struct qcow_snapshot_job *qcow_snapshot_begin(struct qcow_meta *meta,
					      const struct qcow_snapshot_change *change,
					      struct qcow_report *rep);

/**
 * qcow_snapshot_prepare() - do what can be done while the device is in use
 * @job: the change
 *
 * Return: 0; or as qcow_snapshot_finish(), which is not to be called then.
 */
int qcow_snapshot_prepare(struct qcow_snapshot_job *job);

/**
 * qcow_snapshot_catch_up() - do what has come since, with the device in use still
 * @job: prepared
 *
 * Return: as qcow_snapshot_prepare().
 */
int qcow_snapshot_catch_up(struct qcow_snapshot_job *job);

/**
 * qcow_snapshot_finish() - do the rest
 * @job: prepared. All that has changed is on disk, and no reader has the image's tables
 *       meanwhile: L2 slices, L1 table and size are replaced
 *
 * A power cut finds all of it done, or nothing; then clusters may be leaked.
 *
 * Return: 0; else nothing has changed, unless the header could not be written, after which the
 * image is read-only: -EOPNOTSUPP (version 1, an external data file), -EEXIST (another has that
 * id), -ENOENT (none has), -EFBIG (too many), -ERANGE (counts are too narrow), -EUCLEAN, -ENOSPC,
 * -EINTR (the task is being killed), -ENOMEM, -EIO, ...
 */
int qcow_snapshot_finish(struct qcow_snapshot_job *job);

/* Free it. What is prepared and not finished is given up. */
void qcow_snapshot_end(struct qcow_snapshot_job *job);

#endif /* _QCOW_META_SNAPSHOT_H */
