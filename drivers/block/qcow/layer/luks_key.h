/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The volume key of an image that is encrypted with LUKS.
 */
#ifndef _QCOW_LUKS_KEY_H
#define _QCOW_LUKS_KEY_H

struct qcow_luks;
struct qcow_report;
struct qcow_volume_key;

/**
 * qcow_luks_check_key() - whether a key is the volume key of an image
 * @luks: its LUKS header, which has a digest of it
 * @key: the key
 * @rep: says that it is not
 *
 * Takes as long as the iterations that the header states.
 *
 * Context: process context, may sleep.
 * Return: 0; -EKEYREJECTED; -EOPNOTSUPP: this kernel is without the hash; -EINTR: the task is being
 * killed; -ENOMEM.
 */
int qcow_luks_check_key(const struct qcow_luks *luks, const struct qcow_volume_key *key,
			struct qcow_report *rep);

#endif /* _QCOW_LUKS_KEY_H */
