// SPDX-License-Identifier: GPL-2.0
/*
 * The set of host ranges that hold metadata. Filled at attach and changed by the metadata worker
 * alone; a thread that writes data asks it before, under RCU, without a lock.
 */
#include <linux/bitops.h>
#include <linux/kernel.h>

#include "meta/overlap.h"

/* Granules to one entry of the xarray; fewer bits than a value has anywhere. */
#define ENTRY_BITS	(BITS_PER_LONG == 64 ? 5 : 4)
#define ENTRY_GRANULES	BIT(ENTRY_BITS)

void qcow_overlap_init(struct qcow_overlap *overlap, u8 bits)
{
	/* What an image has metadata in is up to it: charged to the task that attaches it. */
	xa_init_flags(&overlap->map, XA_FLAGS_ACCOUNT);
	overlap->bits = bits;
}

void qcow_overlap_destroy(struct qcow_overlap *overlap)
{
	xa_destroy(&overlap->map);
}

/* The part of granules @first to @last that the entry at @key has. */
static unsigned long overlap_entry_mask(u64 key, u64 first, u64 last)
{
	u64 begin = max(first, key << ENTRY_BITS) - (key << ENTRY_BITS);
	u64 end = min(last, (key << ENTRY_BITS) + ENTRY_GRANULES - 1) - (key << ENTRY_BITS);

	return GENMASK(end, begin);
}

static unsigned long overlap_entry_bits(struct qcow_overlap *overlap, u64 key)
{
	void *entry = xa_load(&overlap->map, key);

	return entry ? xa_to_value(entry) : 0;
}

/* Memory for all entries of granules @first to @last, or for none. */
static int overlap_reserve(struct qcow_overlap *overlap, u64 first, u64 last)
{
	u64 key;
	int err;

	for (key = first >> ENTRY_BITS; key <= last >> ENTRY_BITS; key++) {
		err = xa_reserve(&overlap->map, key, GFP_NOIO);
		if (err)
			goto release;
	}
	return 0;

release:
	while (key-- > first >> ENTRY_BITS)
		xa_release(&overlap->map, key);
	return err;
}

/* No memory is needed: an entry is there, or reserved, or has no bits to clear. */
static void overlap_update(struct qcow_overlap *overlap, u64 first, u64 last, bool set)
{
	u64 key;

	for (key = first >> ENTRY_BITS; key <= last >> ENTRY_BITS; key++) {
		unsigned long mask = overlap_entry_mask(key, first, last);
		unsigned long old = overlap_entry_bits(overlap, key);
		unsigned long bits = set ? old | mask : old & ~mask;

		WARN_ON_ONCE(xa_err(xa_store(&overlap->map, key, bits ? xa_mk_value(bits) : NULL,
					     GFP_NOIO)));
	}
}

int qcow_overlap_add(struct qcow_overlap *overlap, u64 host, u64 len)
{
	u64 first = host >> overlap->bits;
	u64 last = (host + len - 1) >> overlap->bits;
	int err;

	if (!len)
		return 0;
	err = overlap_reserve(overlap, first, last);
	if (!err)
		overlap_update(overlap, first, last, true);
	return err;
}

void qcow_overlap_del(struct qcow_overlap *overlap, u64 host, u64 len)
{
	if (len)
		overlap_update(overlap, host >> overlap->bits, (host + len - 1) >> overlap->bits,
			       false);
}

bool qcow_overlap_hit(struct qcow_overlap *overlap, u64 host, u64 len)
{
	u64 first = host >> overlap->bits;
	u64 last = (host + len - 1) >> overlap->bits;
	u64 key;

	for (key = first >> ENTRY_BITS; key <= last >> ENTRY_BITS; key++) {
		if (overlap_entry_bits(overlap, key) & overlap_entry_mask(key, first, last))
			return true;
	}
	return false;
}
