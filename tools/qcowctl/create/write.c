// SPDX-License-Identifier: GPL-2.0
/*
 * Writes a new image according to its layout, tables first and the header last: a file that is
 * not complete is not an image. Tables are written in full, also where they are empty, so that
 * the file system allocates their space.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#include <qcow/refcount.h>

#include "create/internal.h"

#define CHUNK_BYTES	(1024U * 1024)

static int write_at(const struct target *t, const void *buf, size_t len, u64 where)
{
	while (len) {
		ssize_t done = pwrite(t->fd, buf, len, where);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return qc_fail_errno(QC_SYSTEM, done ? errno : ENOSPC, t->name,
					     "cannot write at %llu", where);
		buf = (const char *)buf + done;
		len -= done;
		where += done;
	}
	return 0;
}

static int write_zeros(const struct target *t, u64 where, u64 len)
{
	size_t chunk = min_t(u64, len, CHUNK_BYTES);
	u64 range[2] = { where, len };
	void *zeros;
	int err = 0;

	if (target_is_device(t) && len && !ioctl(t->fd, BLKZEROOUT, range))
		return 0;
	zeros = qc_alloc(chunk);
	while (len && !err) {
		size_t now = min_t(u64, len, chunk);

		err = write_at(t, zeros, now, where);
		where += now;
		len -= now;
	}
	free(zeros);
	return err;
}

/*
 * Set the length of the file and, depending on the mode, reserve its space. A device has
 * both, but old content.
 */
static int make_room(const struct target *t, enum preallocation mode, u64 bytes)
{
	int err = 0;

	if (target_is_device(t)) {
		if (bytes <= t->bytes)
			return 0;
		return qc_fail(QC_SYSTEM, t->name, "the device has %llu bytes, %llu are needed",
			       t->bytes, bytes);
	}
	if (mode == PREALLOC_FALLOC || mode == PREALLOC_FULL)
		err = bytes ? posix_fallocate(t->fd, 0, bytes) : 0;
	if (!err && ftruncate(t->fd, bytes))
		err = errno;
	if (!err)
		return 0;
	return qc_fail_errno(QC_SYSTEM, err, t->name, "cannot make it %llu bytes long", bytes);
}

static int write_refcount_table(const struct target *t, const struct layout *layout)
{
	size_t len = layout->refcounts.table_clusters << layout->h.cluster_bits;
	__be64 *table = qc_alloc(len);
	u64 i;
	int err;

	for (i = 0; i < layout->refcounts.blocks; i++) {
		u64 block = layout->blocks_offset + (i << layout->h.cluster_bits);

		table[i] = cpu_to_be64(qcow_refcount_table_encode(block));
	}
	err = write_at(t, table, len, layout->h.refcount_table_offset);
	free(table);
	return err;
}

/* All clusters have the count 1: only the last block differs from the first. */
static int write_refcount_blocks(const struct target *t, const struct layout *layout)
{
	u32 bits = layout->h.cluster_bits, order = layout->h.refcount_order;
	u64 per_block = BIT_ULL(qcow_refcount_block_bits(bits, order));
	void *block = qc_alloc((size_t)1 << bits);
	u64 done = 0, i, j;
	int err = 0;

	for (i = 0; i < layout->refcounts.blocks && !err; i++, done += per_block) {
		u64 used = min(per_block, layout->clusters - done);

		for (j = 0; j < per_block && (!i || used < per_block); j++)
			qcow_refcount_set(block, order, j, j < used);
		err = write_at(t, block, (size_t)1 << bits, layout->blocks_offset + (i << bits));
	}
	free(block);
	return err;
}

static int write_l1(const struct target *t, const struct layout *layout)
{
	size_t per_chunk = CHUNK_BYTES / sizeof(__be64);
	__be64 *chunk;
	u64 i, j, now;
	int err = 0;

	if (!layout->l2_tables)
		return write_zeros(t, layout->h.l1_offset, layout->l1_bytes);
	chunk = qc_alloc(CHUNK_BYTES);
	for (i = 0; i < layout->l2_tables && !err; i += now) {
		now = min_t(u64, layout->l2_tables - i, per_chunk);
		for (j = 0; j < now; j++) {
			u64 table = layout->l2_offset + ((i + j) << layout->h.cluster_bits);

			chunk[j] = cpu_to_be64(qcow_l1_encode(&layout->g, table));
		}
		err = write_at(t, chunk, now * sizeof(__be64),
			       layout->h.l1_offset + i * sizeof(__be64));
	}
	free(chunk);
	return err;
}

static int write_luks(const struct target *t, const struct layout *layout)
{
	u64 end = round_up(layout->luks.bytes, BIT_ULL(layout->h.cluster_bits));
	size_t bytes = layout->luks_content_bytes;
	int err;

	if (!layout->luks.bytes)
		return 0;
	err = write_at(t, layout->luks_content, bytes, layout->luks.host_offset);
	return err ? err : write_zeros(t, layout->luks.host_offset + bytes, end - bytes);
}

/*
 * A subcluster without data reads from the backing file. All of them have data only with a raw
 * data file, which has to be what the guest reads.
 */
static int write_l2_tables(const struct target *t, const struct layout *layout,
			   const struct create_spec *spec)
{
	u32 bits = layout->h.cluster_bits;
	u64 per_table = BIT_ULL(layout->h.l2_bits);
	u64 data = spec->data_file ? 0 : layout->data_offset;
	u64 bitmap = spec->data_file_raw ? QCOW_L2_ALL_ALLOCATED : 0;
	__be64 *table = qc_alloc((size_t)1 << bits);
	u64 i, j;
	int err = 0;

	for (i = 0; i < layout->l2_tables && !err; i++) {
		u64 first = i * per_table;
		u64 used = min(per_table, layout->guest_clusters - first);

		memset(table, 0, (size_t)1 << bits);
		for (j = 0; j < used; j++)
			qcow_l2_put(&layout->g, table, j,
				    qcow_l2_encode_data(&layout->g, data + ((first + j) << bits)),
				    bitmap);
		err = write_at(t, table, (size_t)1 << bits, layout->l2_offset + (i << bits));
	}
	free(table);
	return err;
}

static int write_tables(const struct target *t, const struct layout *layout,
			const struct create_spec *spec)
{
	int err;

	/* An L1 table of up to 256 MiB is left a hole in a new file. */
	if (spec->version == 1)
		return target_is_device(t) ? write_l1(t, layout) : 0;
	err = write_refcount_table(t, layout);
	if (!err)
		err = write_refcount_blocks(t, layout);
	if (!err)
		err = write_l1(t, layout);
	if (!err)
		err = write_luks(t, layout);
	if (!err)
		err = write_l2_tables(t, layout, spec);
	return err;
}

/* Preallocated clusters have to read as zeros. */
static int write_data(const struct target *t, enum preallocation mode, u64 where, u64 end)
{
	if (mode == PREALLOC_FULL || (mode != PREALLOC_OFF && target_is_device(t)))
		return write_zeros(t, where, end - where);
	return 0;
}

static int sync_target(const struct target *t)
{
	if (fsync(t->fd))
		return qc_fail_errno(QC_SYSTEM, errno, t->name, "cannot flush");
	return 0;
}

int write_image(const struct target *t, const struct layout *layout,
		const struct create_spec *spec)
{
	bool data = spec->preallocation != PREALLOC_OFF && !spec->data_file;
	int err;

	err = make_room(t, spec->preallocation, layout->file_end);
	/* A device has no valid header while its tables are incomplete. */
	if (!err)
		err = write_zeros(t, 0, layout->head_len);
	if (!err && target_is_device(t))
		err = sync_target(t);
	if (!err)
		err = write_tables(t, layout, spec);
	if (!err && data)
		err = write_data(t, spec->preallocation, layout->data_offset, layout->file_end);
	if (!err)
		err = sync_target(t);
	if (!err)
		err = write_at(t, layout->head, layout->head_len, 0);
	return err;
}

int write_data_file(const struct target *t, const struct create_spec *spec)
{
	int err = make_room(t, spec->preallocation, spec->size);

	/* With data_file_raw, the old content of a device is what the guest reads. */
	if (!err && !(target_is_device(t) && spec->data_file_raw))
		err = write_data(t, spec->preallocation, 0, spec->size);
	return err;
}
