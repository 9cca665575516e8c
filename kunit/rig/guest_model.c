// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest knows of its disk.
 */

#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/blk_types.h>
#include <linux/string.h>

#include "rig/guest_model.h"

#define STAMP_MAGIC	0x7175656d75737431ULL

/* Repeated all over a sector, so that a sector made of two shows. */
struct stamp {
	u64 magic;
	u64 seed;
	u64 sector;
	u64 version;
};

/* Words for each sector. */
#define NR_WORDS	4

struct guest_model *guest_model_create(struct kunit *test, u32 nr, u64 seed)
{
	struct guest_model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, m);
	m->seed = seed;
	m->nr = nr;
	m->issued = kunit_kcalloc(test, 2 * NR_WORDS * nr, sizeof(u32), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m->issued);
	m->zero_end = m->issued + nr;
	m->acked = m->zero_end + nr;
	m->durable = m->acked + nr;
	m->begin = m->durable + nr;
	m->busy = kunit_kcalloc(test, BITS_TO_LONGS(nr), sizeof(long), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m->busy);
	mutex_init(&m->lock);
	init_waitqueue_head(&m->idle);
	guest_model_begin(m, 0, nr, GUEST_ZERO);
	return m;
}

/* Backing images have stamps everywhere: zeros above them are a version of their own. */
void guest_model_begin(struct guest_model *m, u32 first, u32 nr, enum guest_write what)
{
	u32 version = what == GUEST_ZERO ? 1 : 0;
	u32 i;

	for (i = first; i < min(first + nr, m->nr); i++) {
		m->issued[i] = version;
		m->acked[i] = version;
		m->durable[i] = version;
		m->zero_end[i] = what == GUEST_ZERO ? version + 1 : 0;
	}
}

void guest_model_save(struct guest_model *m)
{
	memcpy(m->begin, m->issued, NR_WORDS * m->nr * sizeof(u32));
}

void guest_model_restart(struct guest_model *m)
{
	memcpy(m->issued, m->begin, NR_WORDS * m->nr * sizeof(u32));
}

void guest_stamp(const struct guest_model *m, void *buf, u32 sector, u32 version)
{
	struct stamp *stamp = buf;
	unsigned int i;

	for (i = 0; i < SECTOR_SIZE / sizeof(*stamp); i++)
		stamp[i] = (struct stamp) { STAMP_MAGIC, m->seed, sector, version };
}

static u32 claim_locked(struct guest_model *m, u32 first, u32 nr)
{
	unsigned long end;

	lockdep_assert_held(&m->lock);
	end = find_next_bit(m->busy, first + nr, first);
	bitmap_set(m->busy, first, end - first);
	return end - first;
}

u32 guest_model_claim(struct guest_model *m, u32 first, u32 nr)
{
	u32 got;

	for (;;) {
		mutex_lock(&m->lock);
		got = claim_locked(m, first, nr);
		mutex_unlock(&m->lock);
		if (got)
			return got;
		wait_event(m->idle, !test_bit(first, m->busy));
	}
}

void guest_model_release(struct guest_model *m, u32 first, u32 nr)
{
	mutex_lock(&m->lock);
	bitmap_clear(m->busy, first, nr);
	mutex_unlock(&m->lock);
	wake_up_all(&m->idle);
}

void guest_model_write(struct guest_model *m, u32 first, u32 nr, enum guest_write what,
		       void *buf)
{
	u32 i;

	mutex_lock(&m->lock);
	for (i = first; i < first + nr; i++) {
		m->issued[i]++;
		if (what != GUEST_STAMP)
			m->zero_end[i] = m->issued[i] + 1;
		else
			guest_stamp(m, buf + (i - first) * SECTOR_SIZE, i, m->issued[i]);
	}
	mutex_unlock(&m->lock);
}

void guest_model_written(struct guest_model *m, u32 first, u32 nr, enum guest_write what,
			 bool durable)
{
	u32 i;

	if (what == GUEST_HINT)
		return;
	mutex_lock(&m->lock);
	for (i = first; i < first + nr; i++) {
		m->acked[i] = m->issued[i];
		if (durable)
			m->durable[i] = m->issued[i];
	}
	mutex_unlock(&m->lock);
}

void guest_model_flush(struct guest_model *m, u32 *promise)
{
	mutex_lock(&m->lock);
	memcpy(promise, m->acked, m->nr * sizeof(*promise));
	mutex_unlock(&m->lock);
}

void guest_model_flushed(struct guest_model *m, const u32 *promise)
{
	u32 i;

	mutex_lock(&m->lock);
	for (i = 0; i < m->nr; i++)
		m->durable[i] = max(m->durable[i], promise[i]);
	mutex_unlock(&m->lock);
}

void guest_model_durable(struct guest_model *m, u32 *least)
{
	mutex_lock(&m->lock);
	memcpy(least, m->durable, m->nr * sizeof(*least));
	mutex_unlock(&m->lock);
}

static bool is_zero(const void *buf)
{
	return !memchr_inv(buf, 0, SECTOR_SIZE);
}

/* All stamps of the sector are the first one. */
static bool is_whole(const void *buf)
{
	return !memcmp(buf, buf + sizeof(struct stamp), SECTOR_SIZE - sizeof(struct stamp));
}

static int bad(const struct guest_model *m, u32 least, u32 sector, const void *buf, char *text,
	       size_t size)
{
	const struct stamp *stamp = buf;

	snprintf(text, size,
		 "sector %u: versions %u to %u may be there (zeros: before %u); there is %s, magic %llx seed %llx sector %llu version %llu",
		 sector, least, m->issued[sector], m->zero_end[sector],
		 is_zero(buf) ? "zeros" : is_whole(buf) ? "a whole sector" : "a mixture",
		 stamp->magic, stamp->seed, stamp->sector, stamp->version);
	return -EUCLEAN;
}

int guest_model_check(struct guest_model *m, const u32 *least, u32 first, u32 nr,
		      const void *buf, char *text, size_t size)
{
	u32 i;

	for (i = first; i < first + nr; i++, buf += SECTOR_SIZE) {
		const struct stamp *stamp = buf;
		bool right;

		if (stamp->magic != STAMP_MAGIC)
			right = is_zero(buf) && READ_ONCE(m->zero_end[i]) > least[i];
		else
			right = is_whole(buf) && stamp->seed == m->seed && stamp->sector == i &&
				stamp->version >= least[i] &&
				stamp->version <= READ_ONCE(m->issued[i]);
		if (!right)
			return bad(m, least[i], i, buf, text, size);
	}
	return 0;
}

void guest_model_adopt(struct guest_model *m, const void *buf)
{
	u32 i;

	for (i = 0; i < m->nr; i++, buf += SECTOR_SIZE) {
		const struct stamp *stamp = buf;

		if (is_zero(buf)) {
			m->issued[i]++;
			m->zero_end[i] = m->issued[i] + 1;
			m->acked[i] = m->issued[i];
		} else {
			m->zero_end[i] = 0;
			m->acked[i] = stamp->version;
		}
		m->durable[i] = m->acked[i];
	}
}
