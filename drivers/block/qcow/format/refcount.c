// SPDX-License-Identifier: GPL-2.0
/*
 * Reference counts of every width, in blocks that are in memory.
 */
#include <qcow/refcount.h>

/* A count of whole bytes, most significant first. */
static u64 get_bytes(const u8 *p, u32 bytes)
{
	u64 count = 0;

	while (bytes--)
		count = count << 8 | *p++;
	return count;
}

static void set_bytes(u8 *p, u32 bytes, u64 count)
{
	while (bytes--) {
		p[bytes] = count;
		count >>= 8;
	}
}

u64 qcow_refcount_get(const void *block, u32 order, u64 idx)
{
	const u8 *bytes = block;
	u32 shift;

	if (order >= 3)
		return get_bytes(bytes + (idx << (order - 3)), 1U << (order - 3));
	shift = (idx << order) & 7;
	return (bytes[idx >> (3 - order)] >> shift) & qcow_refcount_max(order);
}

void qcow_refcount_set(void *block, u32 order, u64 idx, u64 count)
{
	u8 *bytes = block;
	u8 mask, *byte;
	u32 shift;

	if (order >= 3) {
		set_bytes(bytes + (idx << (order - 3)), 1U << (order - 3), count);
		return;
	}
	byte = &bytes[idx >> (3 - order)];
	shift = (idx << order) & 7;
	mask = qcow_refcount_max(order) << shift;
	*byte = (*byte & ~mask) | ((count << shift) & mask);
}

static int flaw_at(struct qcow_flaw *flaw, u64 entry, const char *what, u64 value)
{
	flaw->table = "refcount table entry";
	flaw->entry = entry;
	flaw->what = what;
	flaw->value = value;
	return -EUCLEAN;
}

int qcow_refcount_table_decode(u32 cluster_bits, u64 file_bytes, u64 entry, u64 *block,
			       struct qcow_flaw *flaw)
{
	u64 host = entry & QCOW_REFCOUNT_TABLE_OFFSET;

	*block = 0;
	if (entry & QCOW_REFCOUNT_TABLE_RESERVED)
		return flaw_at(flaw, entry, "reserved bits", entry & QCOW_REFCOUNT_TABLE_RESERVED);
	if (!IS_ALIGNED(host, BIT_ULL(cluster_bits)))
		return flaw_at(flaw, entry, "refcount block not at a cluster border", host);
	if (host && (host > file_bytes || BIT_ULL(cluster_bits) > file_bytes - host))
		return flaw_at(flaw, entry, "refcount block beyond the end of the file", host);
	*block = host;
	return 0;
}
