/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Internal snapshots of an image: of one that no other program has open, or an attached one.
 */
#ifndef QCOWCTL_SNAPSHOT_H
#define QCOWCTL_SNAPSHOT_H

#include <stdbool.h>

#include <qcow/types.h>

/**
 * enum snapshot_verb - what to do
 * @SNAPSHOT_CREATE: the active state becomes a snapshot too
 * @SNAPSHOT_APPLY: a snapshot becomes the active state too; what that was is lost
 * @SNAPSHOT_DELETE: a snapshot goes away
 */
enum snapshot_verb {
	SNAPSHOT_CREATE,
	SNAPSHOT_APPLY,
	SNAPSHOT_DELETE,
};

/**
 * snapshot_change() - create, apply or delete a snapshot
 * @name: of the image; no policy restricts it
 * @verb: what to do
 * @what: create: the name of the new one; apply: id or else name, delete: name or else id
 *
 * The image is checked first. When the power fails, it is as before or as after. May block.
 *
 * Return: enum qc_exit; after an error the image is as before, unless the message says that it is
 * not known what is on the disk.
 */
int snapshot_change(const char *name, enum snapshot_verb verb, const char *what);

/**
 * struct snapshot_options - of an attached image
 * @force: apply it though the device is open
 * @no_freeze: do not freeze file systems on the device while a snapshot is created
 */
struct snapshot_options {
	bool force;
	bool no_freeze;
};

/**
 * snapshot_change_attached() - the same of an attached image, by the driver
 * @index: of the device
 * @verb: what to do
 * @what: as for snapshot_change()
 * @opts: options
 *
 * Return: enum qc_exit; after an error the image is as before, unless the kernel's log says that it
 * is read-only from then on.
 */
int snapshot_change_attached(u32 index, enum snapshot_verb verb, const char *what,
			     const struct snapshot_options *opts);

/**
 * snapshot_list() - print the snapshots of an image
 * @name: of the image; no policy restricts it
 * @json: as JSON, with the keys of qemu-img info; else as the table of qemu-img snapshot -l
 *
 * Takes no lock. Return: enum qc_exit.
 */
int snapshot_list(const char *name, bool json);

#endif /* QCOWCTL_SNAPSHOT_H */
