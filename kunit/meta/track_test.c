// SPDX-License-Identifier: GPL-2.0
/*
 * Notes of what has been written to: what is marked is taken, once, also while others mark.
 */

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/limits.h>
#include <linux/sizes.h>
#include <linux/workqueue.h>

#include "meta/track.h"

static struct qcow_track *track_create(struct kunit *test, u64 bytes)
{
	struct qcow_track *track = qcow_track_create(bytes);

	KUNIT_ASSERT_NOT_NULL(test, track);
	return track;
}

static void expect_taken(struct kunit *test, struct qcow_track *track, u64 most, u64 guest, u64 len)
{
	u64 at = 0, part = most;

	KUNIT_EXPECT_TRUE(test, qcow_track_take(track, &at, &part));
	KUNIT_EXPECT_EQ(test, guest, at);
	KUNIT_EXPECT_EQ(test, len, part);
}

static void expect_empty(struct kunit *test, struct qcow_track *track)
{
	u64 guest = 0, len = SZ_1G;

	KUNIT_EXPECT_FALSE(test, qcow_track_take(track, &guest, &len));
	KUNIT_EXPECT_EQ(test, 0ULL, qcow_track_bytes(track));
}

static void parts_are_taken(struct kunit *test)
{
	struct qcow_track *track = track_create(test, SZ_1M + 512);
	u64 guest = SZ_64K, len = SZ_1G;

	KUNIT_EXPECT_EQ(test, 12U, track->bits);
	expect_empty(test, track);
	qcow_track_mark(track, SZ_8K, 0);
	expect_empty(test, track);
	/* The last byte of a part, and the first of the next one. */
	qcow_track_mark(track, SZ_8K - 1, 2);
	/* The end of the disk, and beyond. */
	qcow_track_mark(track, SZ_1M, 512);
	qcow_track_mark(track, SZ_1M, SZ_1G);
	KUNIT_EXPECT_EQ(test, 3ULL * SZ_4K, qcow_track_bytes(track));
	expect_taken(test, track, SZ_4K, SZ_4K, SZ_4K);
	expect_taken(test, track, SZ_1G, SZ_8K, SZ_4K);
	KUNIT_EXPECT_TRUE(test, qcow_track_take(track, &guest, &len));
	KUNIT_EXPECT_EQ(test, (u64)SZ_1M, guest);
	expect_empty(test, track);
	qcow_track_destroy(track);
}

/* A part is more than is asked for: it is taken as a whole. */
static void disk_of_exabytes(struct kunit *test)
{
	struct qcow_track *track = track_create(test, S64_MAX);
	u64 part = 1ULL << track->bits;

	KUNIT_EXPECT_GT(test, part, (u64)SZ_1G);
	KUNIT_EXPECT_LE(test, track->nr, 1UL << 27);
	qcow_track_mark(track, S64_MAX - 512, 512);
	qcow_track_mark(track, 0, part + 1);
	KUNIT_EXPECT_EQ(test, 3 * part, qcow_track_bytes(track));
	expect_taken(test, track, SZ_1G, 0, part);
	expect_taken(test, track, SZ_1G, part, part);
	expect_taken(test, track, SZ_1G, (track->nr - 1) * part, part);
	expect_empty(test, track);
	qcow_track_destroy(track);
}

#define RACE_PARTS	64
#define RACE_ROUNDS	2000

/**
 * struct marker - one that writes, and says so
 * @work: does it
 * @track: notes
 * @value: of each part: how often it has been written to
 * @done: no more comes
 */
struct marker {
	struct work_struct work;
	struct qcow_track *track;
	u32 value[RACE_PARTS];
	bool done;
};

static void marker_work(struct work_struct *work)
{
	struct marker *m = container_of(work, struct marker, work);
	u32 i;

	for (i = 0; i < RACE_PARTS * RACE_ROUNDS; i++) {
		u32 part = (i * 7) % RACE_PARTS;

		WRITE_ONCE(m->value[part], m->value[part] + 1);
		qcow_track_mark(m->track, (u64)part * SZ_4K, SZ_4K);
	}
	/* Pairs with smp_load_acquire() in marked_while_taken(): all has been marked. */
	smp_store_release(&m->done, true);
}

static void copy_marked(struct marker *m, u32 *copy)
{
	u64 guest = 0, len = SZ_1M, i;

	while (qcow_track_take(m->track, &guest, &len)) {
		for (i = guest / SZ_4K; i < (guest + len) / SZ_4K; i++)
			copy[i] = READ_ONCE(m->value[i]);
		guest += len;
		len = SZ_1M;
	}
}

/* What is copied after its note was taken is all there is when no note is left. */
static void marked_while_taken(struct kunit *test)
{
	struct marker *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	u32 *copy = kunit_kcalloc(test, RACE_PARTS, sizeof(*copy), GFP_KERNEL);
	unsigned int i, rounds = 0;
	bool done;

	KUNIT_ASSERT_NOT_NULL(test, m);
	KUNIT_ASSERT_NOT_NULL(test, copy);
	m->track = track_create(test, RACE_PARTS * SZ_4K);
	INIT_WORK(&m->work, marker_work);
	queue_work(system_unbound_wq, &m->work);
	do {
		/* Pairs with smp_store_release() in marker_work(). */
		done = smp_load_acquire(&m->done);
		copy_marked(m, copy);
		rounds++;
		cond_resched();
	} while (!done);
	flush_work(&m->work);
	for (i = 0; i < RACE_PARTS; i++)
		KUNIT_EXPECT_EQ_MSG(test, m->value[i], copy[i], "part %u", i);
	expect_empty(test, m->track);
	qcow_track_destroy(m->track);
	kunit_info(test, "%u rounds", rounds);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(parts_are_taken),
	KUNIT_CASE(disk_of_exabytes),
	KUNIT_CASE(marked_while_taken),
	{}
};

static struct kunit_suite suite = {
	.name = "qcow_track",
	.test_cases = cases,
};

kunit_test_suite(suite);
