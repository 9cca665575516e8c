// SPDX-License-Identifier: GPL-2.0
/*
 * The table of internal snapshots: walks over bytes that the caller has read, makes an entry. What
 * an entry of another program has beyond the fields that are known is kept by copying its bytes.
 */
#include <qcow/header.h>

#include "format/format.h"

/* Check that byte @end of the table is within limit and file, and in the buffer. */
static int check_reach(const struct qcow_header *h, u64 file_bytes, size_t len, u64 end, u32 idx,
		       struct qcow_report *rep)
{
	if (end > QCOW_MAX_SNAPSHOT_TABLE_BYTES) {
		qcow_report(rep, "snapshot table has %llu bytes at entry %u, at most %llu are read",
			    end, idx, QCOW_MAX_SNAPSHOT_TABLE_BYTES);
		return -EFBIG;
	}
	if (h->snapshots_offset > file_bytes || end > file_bytes - h->snapshots_offset) {
		qcow_report(rep, "snapshot table entry %u reaches beyond the end of the file", idx);
		return -EUCLEAN;
	}
	return end > len ? -EAGAIN : 0;
}

/* Fields that older programs do not record get the values that hold for their images. */
static void decode_extra(const struct qcow_header *h, struct qcow_snapshot *snap,
			 const void *buf, u32 extra_len)
{
	struct qcow_disk_snapshot_extra extra = {};

	memcpy(&extra, buf, min_t(size_t, extra_len, sizeof(extra)));
	if (extra_len >= offsetof(struct qcow_disk_snapshot_extra, disk_bytes))
		snap->vm_state_bytes = be64_to_cpu(extra.vm_state_bytes);
	snap->sized = extra_len >= offsetof(struct qcow_disk_snapshot_extra, icount);
	snap->disk_bytes = snap->sized ? be64_to_cpu(extra.disk_bytes) : h->size;
	snap->icount = U64_MAX;
	if (extra_len >= sizeof(extra))
		snap->icount = be64_to_cpu(extra.icount);
}

static void decode_entry(const struct qcow_header *h, struct qcow_snapshot *snap,
			 const struct qcow_disk_snapshot *disk)
{
	u32 extra_len = be32_to_cpu(disk->extra_len);
	const char *extra = (const char *)(disk + 1);

	snap->l1_offset = be64_to_cpu(disk->l1_offset);
	snap->l1_entries = be32_to_cpu(disk->l1_entries);
	snap->date_sec = be32_to_cpu(disk->date_sec);
	snap->date_nsec = be32_to_cpu(disk->date_nsec);
	snap->vm_clock_nsec = be64_to_cpu(disk->vm_clock_nsec);
	snap->vm_state_bytes = be32_to_cpu(disk->vm_state_bytes);
	decode_extra(h, snap, extra, extra_len);
	snap->id = extra + extra_len;
	snap->id_len = be16_to_cpu(disk->id_len);
	snap->name = snap->id + snap->id_len;
	snap->name_len = be16_to_cpu(disk->name_len);
}

static int check_entry(const struct qcow_header *h, u64 file_bytes,
		       const struct qcow_snapshot *snap, struct qcow_report *rep)
{
	const struct qcow_table table = {
		.name = "L1 table",
		.host_offset = snap->l1_offset,
		.entries = snap->l1_entries,
		.entry_bytes = sizeof(__be64),
		.max_bytes = qcow_header_max_l1_bytes(h),
	};
	u32 l1_needed;
	int err;

	err = qcow_header_check_table(h, &table, file_bytes, rep);
	if (!err)
		err = qcow_header_check_size(h, snap->disk_bytes, &l1_needed, rep);
	return err;
}

int qcow_snapshot_next(const struct qcow_header *h, u64 file_bytes, const void *buf, size_t len,
		       size_t *pos, u32 *idx, struct qcow_snapshot *snap, struct qcow_report *rep)
{
	const struct qcow_disk_snapshot *disk;
	u64 end = *pos + sizeof(*disk);
	u32 extra_len;
	int err;

	if (*idx >= h->nr_snapshots)
		return 0;
	err = check_reach(h, file_bytes, len, end, *idx, rep);
	if (err)
		return err;

	disk = buf + *pos;
	extra_len = be32_to_cpu(disk->extra_len);
	if (extra_len > QCOW_MAX_SNAPSHOT_EXTRA) {
		qcow_report(rep, "snapshot table entry %u has %u bytes of extra data, at most %u",
			    *idx, extra_len, QCOW_MAX_SNAPSHOT_EXTRA);
		return -EFBIG;
	}
	end += extra_len + be16_to_cpu(disk->id_len) + be16_to_cpu(disk->name_len);
	err = check_reach(h, file_bytes, len, end, *idx, rep);
	if (err)
		return err;

	decode_entry(h, snap, disk);
	err = check_entry(h, file_bytes, snap, rep);
	if (err) {
		qcow_report(rep, "that is in snapshot table entry %u", *idx);
		return err;
	}
	*pos = round_up(end, 8);
	(*idx)++;
	return 1;
}

void qcow_snapshot_put(const struct qcow_snapshot *snap, void *buf)
{
	const struct qcow_disk_snapshot disk = {
		.l1_offset = cpu_to_be64(snap->l1_offset),
		.l1_entries = cpu_to_be32(snap->l1_entries),
		.id_len = cpu_to_be16(snap->id_len),
		.name_len = cpu_to_be16(snap->name_len),
		.date_sec = cpu_to_be32(snap->date_sec),
		.date_nsec = cpu_to_be32(snap->date_nsec),
		.vm_clock_nsec = cpu_to_be64(snap->vm_clock_nsec),
		.vm_state_bytes = cpu_to_be32(snap->vm_state_bytes <= U32_MAX ?
					      snap->vm_state_bytes : 0),
		.extra_len = cpu_to_be32(sizeof(struct qcow_disk_snapshot_extra)),
	};
	const struct qcow_disk_snapshot_extra extra = {
		.vm_state_bytes = cpu_to_be64(snap->vm_state_bytes),
		.disk_bytes = cpu_to_be64(snap->disk_bytes),
		.icount = cpu_to_be64(snap->icount),
	};
	u8 *p = buf;

	memcpy(p, &disk, sizeof(disk));
	p += sizeof(disk);
	memcpy(p, &extra, sizeof(extra));
	p += sizeof(extra);
	memcpy(p, snap->id, snap->id_len);
	memcpy(p + snap->id_len, snap->name, snap->name_len);
}

u64 qcow_snapshot_id_number(const struct qcow_snapshot *snap)
{
	u64 number = 0;
	u32 i;

	for (i = 0; i < snap->id_len; i++) {
		u8 digit = snap->id[i] - '0';

		if (digit > 9)
			break;
		if (check_mul_overflow(number, (u64)10, &number) ||
		    check_add_overflow(number, (u64)digit, &number))
			return U64_MAX;
	}
	return number;
}
