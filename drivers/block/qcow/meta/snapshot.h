/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Internal snapshots of an attached image: created, applied and deleted by shadow paging.
 *
 * Context of all functions: as of shadow.h, and no reader has the image's tables meanwhile: L2
 * slices, L1 table and size are replaced.
 */
#ifndef _QCOW_META_SNAPSHOT_H
#define _QCOW_META_SNAPSHOT_H

#include <linux/types.h>
#include <uapi/linux/qcow.h>

struct qcow_meta;
struct qcow_report;

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
 * qcow_snapshot_run() - do it
 * @meta: the metadata; all that has changed is on disk
 * @change: what
 * @cancelled: set from outside when the task that waits for this is being killed
 * @rep: says what is wrong
 *
 * A power cut finds all of it done, or nothing; then clusters may be leaked.
 *
 * Return: 0; else nothing has changed, unless the header could not be written, after which the
 * image is read-only: -EOPNOTSUPP (version 1, an external data file), -EEXIST (another has that
 * id), -ENOENT (none has), -EFBIG (too many), -ERANGE (counts are too narrow), -EUCLEAN, -ENOSPC,
 * -EINTR (cancelled), -ENOMEM, -EIO, ...
 */
int qcow_snapshot_run(struct qcow_meta *meta, const struct qcow_snapshot_change *change,
		      const bool *cancelled, struct qcow_report *rep);

#endif /* _QCOW_META_SNAPSHOT_H */
