// SPDX-License-Identifier: GPL-2.0
/*
 * Which file system of an image is meant: that of the partition that the user names; the only one
 * that there is; or that of the root partition, which is known by its type, as the Discoverable
 * Partitions Specification (UAPI group) has it: one for each architecture. Where none has it, a
 * single one of the type that all Linux file systems may have is the root, too.
 */
#include <unistd.h>

#include <blkid.h>

#include "driver/driver.h"
#include "mount/mount.h"

#if defined(__x86_64__)
#define ROOT_TYPE "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
#elif defined(__i386__)
#define ROOT_TYPE "44479540-f297-41b2-9af7-d131d5f0458a"
#elif defined(__aarch64__)
#define ROOT_TYPE "b921b045-1df0-41c3-af44-4c6f280d3fae"
#elif defined(__arm__)
#define ROOT_TYPE "69dad710-2ce4-4e3c-b16c-21a1d49abed3"
#elif defined(__riscv) && __riscv_xlen == 64
#define ROOT_TYPE "72ec70a6-cf74-40e6-bd49-4bda08e8f224"
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define ROOT_TYPE "c31c45e6-3f39-412e-80fb-4809c4980599"
#elif defined(__s390x__)
#define ROOT_TYPE "5eead9a9-fe09-4a1e-a1d7-520d00531306"
#elif defined(__loongarch64)
#define ROOT_TYPE "77055800-792c-4f94-b39a-98c91b762bb6"
#else
#define ROOT_TYPE ""
#endif

#define LINUX_TYPE "0fc63daf-8483-4772-8e79-3d69d8477de4"
/* In a partition table of DOS. */
#define LINUX_DOS_TYPE 0x83

/* Of a GPT partition: it is not to be mounted unless it is asked for. */
#define FLAG_NO_AUTO BIT_ULL(63)

/**
 * enum kind - what the type of a partition says of a file system on it
 */
enum kind {
	KIND_OTHER,
	KIND_LINUX,
	KIND_ROOT,
};

/**
 * struct candidate - the disk or a partition
 * @fs: what is on it
 * @usage: as libblkid has it, allocated: "filesystem", "crypto"; NULL: nothing that is known
 * @label: of the file system, allocated, or NULL
 * @partition: its number; 0: the disk
 * @kind: of it
 */
struct candidate {
	struct file_system fs;
	char *usage;
	char *label;
	u32 partition;
	enum kind kind;
};

struct candidates {
	struct candidate *list;
	size_t nr;
};

void file_system_free(struct file_system *fs)
{
	free(fs->node);
	free(fs->type);
	*fs = (struct file_system) { 0 };
}

static void candidates_free(struct candidates *all)
{
	while (all->nr) {
		struct candidate *c = &all->list[--all->nr];

		file_system_free(&c->fs);
		free(c->usage);
		free(c->label);
	}
	free(all->list);
}

static char *probed_value(blkid_probe pr, const char *name)
{
	const char *value;

	return blkid_probe_lookup_value(pr, name, &value, NULL) ? NULL : qc_strdup(value);
}

/* @node: is the candidate's. */
static int candidates_add(struct candidates *all, char *node, u32 partition, enum kind kind)
{
	blkid_probe pr = blkid_new_probe_from_filename(node);
	struct candidate *c;
	int ret;

	if (!pr) {
		qc_fail(0, node, "cannot be read");
		free(node);
		return QC_SYSTEM;
	}
	all->list = qc_grow(all->list, all->nr + 1, sizeof(*all->list));
	c = &all->list[all->nr++];
	*c = (struct candidate) { .fs.node = node, .partition = partition, .kind = kind };
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE |
					      BLKID_SUBLKS_LABEL);
	ret = blkid_do_safeprobe(pr);
	if (!ret) {
		c->fs.type = probed_value(pr, "TYPE");
		c->usage = probed_value(pr, "USAGE");
		c->label = probed_value(pr, "LABEL");
	} else if (ret == -2) {
		qc_warn(node, "has signatures of several file systems");
	}
	blkid_free_probe(pr);
	return 0;
}

static enum kind partition_kind(blkid_partition part)
{
	const char *type = blkid_partition_get_type_string(part);
	const char *table = blkid_parttable_get_type(blkid_partition_get_table(part));
	bool gpt = table && !strcmp(table, "gpt");

	if (gpt && blkid_partition_get_flags(part) & FLAG_NO_AUTO)
		return KIND_OTHER;
	if (gpt && type && !strcasecmp(type, ROOT_TYPE))
		return KIND_ROOT;
	if (gpt && type && !strcasecmp(type, LINUX_TYPE))
		return KIND_LINUX;
	if (!gpt && blkid_partition_get_type(part) == LINUX_DOS_TYPE)
		return KIND_LINUX;
	return KIND_OTHER;
}

static int add_partitions(struct candidates *all, blkid_partlist list, const char *disk)
{
	int i, err = 0, nr = blkid_partlist_numof_partitions(list);

	for (i = 0; !err && i < nr; i++) {
		blkid_partition part = blkid_partlist_get_partition(list, i);
		u32 number = blkid_partition_get_partno(part);
		char *node = qc_printf("%sp%u", disk, number);

		/* The kernel leaves out those that are not on the disk. */
		if (access(node, F_OK))
			free(node);
		else
			err = candidates_add(all, node, number, partition_kind(part));
	}
	return err;
}

/* The partitions; the disk where it has none. */
static int find_candidates(struct candidates *all, const char *disk)
{
	blkid_probe pr = blkid_new_probe_from_filename(disk);
	blkid_partlist list;
	int err = 0;

	if (!pr)
		return qc_fail(QC_SYSTEM, disk, "cannot be read");
	blkid_probe_enable_partitions(pr, 1);
	list = blkid_probe_get_partitions(pr);
	if (list)
		err = add_partitions(all, list, disk);
	blkid_free_probe(pr);
	if (!err && !all->nr)
		err = candidates_add(all, qc_strdup(disk), 0, KIND_LINUX);
	return err;
}

/* A member of a pool, such as ZFS has, is for libblkid a file system, too. */
static bool is_file_system(const struct candidate *c)
{
	size_t len = c->fs.type ? strlen(c->fs.type) : 0;

	return len && c->usage && !strcmp(c->usage, "filesystem") &&
	       (len < 7 || strcmp(c->fs.type + len - 7, "_member"));
}

/* What libblkid calls ntfs is for the kernel, where nothing else mounts it, ntfs3. */
static const char *mount_type(const char *type)
{
	return !strcmp(type, "ntfs") && access("/sbin/mount.ntfs", X_OK) ? "ntfs3" : type;
}

/* The only file system of at least that kind, or NULL; @nr: how many there are. */
static struct candidate *only_one(const struct candidates *all, enum kind least, size_t *nr)
{
	struct candidate *found = NULL;
	size_t i;

	*nr = 0;
	for (i = 0; i < all->nr; i++) {
		if (!is_file_system(&all->list[i]) || all->list[i].kind < least)
			continue;
		found = &all->list[i];
		(*nr)++;
	}
	return *nr == 1 ? found : NULL;
}

static struct candidate *by_number(const struct candidates *all, u32 partition)
{
	size_t i;

	for (i = 0; i < all->nr; i++)
		if (all->list[i].partition == partition)
			return &all->list[i];
	return NULL;
}

static struct candidate *choose(const struct candidates *all, const struct mount_request *m)
{
	struct candidate *found;
	size_t nr;

	if (m->partition)
		return by_number(all, m->partition);
	found = m->root ? NULL : only_one(all, KIND_OTHER, &nr);
	if (!found)
		found = only_one(all, KIND_ROOT, &nr);
	/* Of several root partitions none is the one. */
	if (!found && !nr)
		found = only_one(all, KIND_LINUX, &nr);
	return found;
}

/* Say what there is instead. */
static void list_candidates(const struct candidates *all, const char *image)
{
	size_t i;

	for (i = 0; i < all->nr; i++) {
		const struct candidate *c = &all->list[i];
		char *where = c->partition ? qc_printf("partition %u", c->partition) :
					     qc_strdup("the disk");

		qc_fail(0, image, "%s: %s%s%s", where, c->fs.type ? c->fs.type : "nothing known",
			c->label ? ", labelled " : "", c->label ? c->label : "");
		free(where);
	}
}

static int check_chosen(const struct candidates *all, const struct candidate *chosen,
			const struct mount_request *m)
{
	const char *image = m->attach.image;
	size_t nr;

	if (chosen && (is_file_system(chosen) || (m->partition && m->type)))
		return 0;
	if (m->partition && !chosen)
		qc_fail(0, image, "has no partition %u", m->partition);
	else if (m->partition)
		qc_fail(0, image, "partition %u has no file system", m->partition);
	else if (m->root)
		qc_fail(0, image, "which partition is the root cannot be told");
	else if (only_one(all, KIND_OTHER, &nr), nr)
		qc_fail(0, image, "has %zu file systems, and which one is the root cannot be told",
			nr);
	else
		qc_fail(0, image, "has no file system that can be mounted");
	list_candidates(all, image);
	if (!m->partition && (only_one(all, KIND_OTHER, &nr), nr))
		qc_hint("-p N, or in the options partition=N");
	return QC_NOT_FOUND;
}

int choose_file_system(struct file_system *fs, const struct mount_request *m, u32 index)
{
	char *disk = qc_printf("/dev/" QCOW_DEVICE_PREFIX "%u", index);
	struct candidates all = { 0 };
	struct candidate *chosen = NULL;
	int err;

	*fs = (struct file_system) { 0 };
	err = find_candidates(&all, disk);
	if (!err) {
		chosen = choose(&all, m);
		err = check_chosen(&all, chosen, m);
	}
	if (!err) {
		fs->node = qc_strdup(chosen->fs.node);
		fs->type = qc_strdup(m->type ? m->type : mount_type(chosen->fs.type));
	}
	candidates_free(&all);
	free(disk);
	return err;
}
