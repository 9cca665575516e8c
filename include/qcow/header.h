/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The header of an image: decode, validate. Every number in a parsed header is within the
 * limits of ondisk.h and, for a caller that says where the file ends, inside the file; no caller
 * checks it again.
 */
#ifndef _QCOW_HEADER_H
#define _QCOW_HEADER_H

#include <qcow/l2.h>
#include <qcow/ondisk.h>
#include <qcow/report.h>
#include <qcow/types.h>

/* Length of the first read of an image: qcow_header_span() needs no more. */
#define QCOW_PROBE_BYTES	4096

/**
 * struct qcow_header - a validated header, CPU order
 * @version: 1, 2 or 3
 * @cluster_bits: log2 of the cluster size
 * @l2_bits: log2 of the entries of one L2 table
 * @size: virtual size in bytes as the header has it; the geometry has it rounded
 * @l1_offset: of the active L1 table, bytes
 * @l1_entries: of the active L1 table; may be fewer or more than @size needs
 * @backing_offset: of the backing file's name, 0: no backing file
 * @backing_len: of the name, bytes, without NUL
 * @crypt_method: QCOW_CRYPT_*
 * @compression_type: QCOW_COMPRESSION_*
 * @mtime: version 1, seconds
 * @refcount_table_offset: bytes; 0 in version 1
 * @refcount_table_clusters: length of the refcount table
 * @refcount_order: refcount width is 1 << refcount_order bits; 4 in version 2
 * @nr_snapshots: internal snapshots
 * @snapshots_offset: of the snapshot table
 * @incompatible: feature bits, 0 before version 3; unknown ones have been refused
 * @compatible: feature bits
 * @autoclear: feature bits
 * @length: of the header, extensions follow; 48, 72, or what version 3 says
 */
struct qcow_header {
	u32 version;
	u32 cluster_bits;
	u32 l2_bits;
	u64 size;
	u64 l1_offset;
	u32 l1_entries;
	u64 backing_offset;
	u32 backing_len;
	u32 crypt_method;
	u32 compression_type;
	u32 mtime;
	u64 refcount_table_offset;
	u32 refcount_table_clusters;
	u32 refcount_order;
	u32 nr_snapshots;
	u64 snapshots_offset;
	u64 incompatible;
	u64 compatible;
	u64 autoclear;
	u32 length;
};

/**
 * qcow_header_span() - how much of the file qcow_header_parse() needs
 * @buf: the first bytes of the file
 * @len: bytes at @buf, QCOW_PROBE_BYTES unless the file is shorter
 *
 * Return: bytes from the start of the file that hold the header and its extensions: the
 * header (version 1), to the end of the extensions if that is in @buf, else one cluster (2,
 * 3); @len without a QCOW header, for which qcow_header_parse() has the message. At most
 * 1 << QCOW_MAX_CLUSTER_BITS.
 */
size_t qcow_header_span(const void *buf, size_t len);

/**
 * qcow_header_parse() - decode and validate
 * @h: result
 * @buf: the first bytes of the file
 * @len: bytes at @buf: min(qcow_header_span(), @file_bytes)
 * @file_bytes: length of the file, which must hold all tables; S64_MAX for a reader that takes
 *              what is missing of them as zeros
 * @rep: says which field is wrong, with its value
 *
 * Checks the magic, the version, unknown incompatible bits (named from the feature name
 * table), cluster and L2 sizes, every offset and count against the limits of ondisk.h and
 * @file_bytes, backing name, refcount width, compression type, header length. Header extensions
 * end where @buf does. Encrypted, dirty and corrupt images are valid here; the caller decides
 * about them.
 *
 * Return: 0; -EINVAL: not a QCOW image or a bad field; -EOPNOTSUPP: a version or an
 * incompatible feature that is not known; -EFBIG: a table over the limit; -EUCLEAN: a table
 * beyond @file_bytes.
 */
int qcow_header_parse(struct qcow_header *h, const void *buf, size_t len, u64 file_bytes,
		      struct qcow_report *rep);

/**
 * qcow_header_digest() - all that a header says, as a number
 * @buf: header and extensions
 * @len: bytes at @buf: min(qcow_header_span(), length of the file)
 * @name: name of the backing file, as it is in the file
 * @name_len: bytes at @name, 0: the header has none
 *
 * For two readers of one file to see whether they have read the same; no protection against
 * a writer who wants to deceive them.
 *
 * Return: FNV-1a, 64 bits, of @buf and then @name.
 */
u64 qcow_header_digest(const void *buf, size_t len, const void *name, size_t name_len);

/**
 * qcow_header_put() - put what changes while an image is in use into its header
 * @h: the header, version 2 or 3
 * @buf: the header as it is in the file, QCOW_V2_HEADER_BYTES or QCOW_V3_HEADER_BYTES of it
 *
 * That is the size, where the L1 table, the refcount table and the snapshot table are, and in
 * version 3 the feature bits. It is all in the first 512 bytes of the file: one write changes it.
 */
void qcow_header_put(const struct qcow_header *h, void *buf);

/**
 * qcow_header_geometry() - what mapping needs, from a validated header
 * @h: the header
 * @file_bytes: length of the file, which must hold L2 tables as a whole; S64_MAX: as for
 *              qcow_header_parse()
 * @g: result
 */
void qcow_header_geometry(const struct qcow_header *h, u64 file_bytes, struct qcow_geometry *g);

/**
 * struct qcow_ext - one header extension, in place
 * @type: QCOW_EXT_*
 * @len: bytes at @data
 * @data: points into the buffer that was walked
 */
struct qcow_ext {
	u32 type;
	u32 len;
	const void *data;
};

/**
 * qcow_ext_next() - walk the header extensions
 * @h: the header
 * @buf: the first bytes of the file, as for qcow_header_parse()
 * @len: bytes at @buf
 * @pos: position of the walk, 0 to begin
 * @ext: the next extension, also of unknown type
 * @rep: says what is wrong
 *
 * An extension that @buf does not hold as a whole is the end: what a file has not reads as zeros.
 *
 * Return: 1 with @ext filled, 0 at the end, -EINVAL when an extension leaves the first cluster or
 * reaches into the backing file's name, or is of a known type with a length that its type
 * does not have. qcow_header_parse() has walked all of them.
 */
int qcow_ext_next(const struct qcow_header *h, const void *buf, size_t len, size_t *pos,
		  struct qcow_ext *ext, struct qcow_report *rep);

/**
 * qcow_ext_feature_name() - name of a feature bit in the image's own table
 * @h: the header
 * @buf: the first bytes of the file
 * @len: bytes at @buf
 * @type: QCOW_FEATURE_*
 * @bit: 0-63
 * @name: buffer of at least 47 bytes; empty when the table does not know the bit
 *
 * Unprintable bytes of the name come out as '?'.
 */
void qcow_ext_feature_name(const struct qcow_header *h, const void *buf, size_t len, u8 type,
			   u8 bit, char *name);

/**
 * struct qcow_snapshot - a validated snapshot table entry, CPU order
 * @l1_offset: of its L1 table, bytes
 * @l1_entries: of that table
 * @disk_bytes: virtual size when it was created
 * @sized: the table has that; else it is the image's
 * @vm_state_bytes: saved VM state, 0: none
 * @date_sec: time of creation, UTC
 * @date_nsec: sub-second part
 * @vm_clock_nsec: time the guest had run
 * @icount: executed instructions, ~0: not recorded
 * @id: its id, not NUL terminated, points into the table
 * @id_len: bytes at @id
 * @name: its name, likewise
 * @name_len: bytes at @name
 */
struct qcow_snapshot {
	u64 l1_offset;
	u32 l1_entries;
	u64 disk_bytes;
	bool sized;
	u64 vm_state_bytes;
	u32 date_sec;
	u32 date_nsec;
	u64 vm_clock_nsec;
	u64 icount;
	const char *id;
	u32 id_len;
	const char *name;
	u32 name_len;
};

/**
 * qcow_snapshot_next() - walk the snapshot table
 * @h: the header
 * @file_bytes: length of the file, which must hold table and L1 tables; S64_MAX: as for
 *              qcow_header_parse()
 * @buf: bytes of the table from @h->snapshots_offset on
 * @len: bytes at @buf
 * @pos: position of the walk, 0 to begin
 * @idx: index of the entry at @pos, 0 to begin
 * @snap: the next entry
 * @rep: says what is wrong
 *
 * The table's length is not recorded on disk: -EAGAIN means that the entry does not end within
 * @len, read more (QCOW_MAX_SNAPSHOT_TABLE_BYTES at most) and call again with the same
 * @pos and @idx.
 *
 * Return: 1 with @snap filled, 0 after the last one, -EAGAIN, -EINVAL, -EFBIG, -EUCLEAN.
 */
int qcow_snapshot_next(const struct qcow_header *h, u64 file_bytes, const void *buf, size_t len,
		       size_t *pos, u32 *idx, struct qcow_snapshot *snap, struct qcow_report *rep);

/**
 * qcow_snapshot_bytes() - length of the entry that qcow_snapshot_put() makes
 * @snap: the snapshot
 *
 * Return: bytes; the next entry begins at the next multiple of 8.
 */
static inline u32 qcow_snapshot_bytes(const struct qcow_snapshot *snap)
{
	return sizeof(struct qcow_disk_snapshot) + sizeof(struct qcow_disk_snapshot_extra) +
	       snap->id_len + snap->name_len;
}

/**
 * qcow_snapshot_put() - make a snapshot table entry
 * @snap: the snapshot; id and name have at most 65535 bytes each
 * @buf: qcow_snapshot_bytes() bytes of the table, at a multiple of 8
 *
 * All versions get the extra data that QEMU writes. As there, a VM state whose length 32 bits do
 * not hold is one of 0 bytes to programs that do not read the extra data.
 */
void qcow_snapshot_put(const struct qcow_snapshot *snap, void *buf);

/**
 * qcow_snapshot_id_number() - the number that an id begins with
 * @snap: a snapshot
 *
 * A new snapshot has the highest number plus 1, as in QEMU, which makes it unique.
 *
 * Return: the number; 0: none; U64_MAX: that or a larger one.
 */
u64 qcow_snapshot_id_number(const struct qcow_snapshot *snap);

/**
 * qcow_header_check_resize() - whether an image may get another size
 * @h: the header
 * @size: new virtual size, bytes
 * @block_bytes: it must be a multiple of
 * @shrink: it may be less than the present one
 * @l1_entries: result: entries of the L1 table that it needs
 * @rep: says why not
 *
 * Return: 0; -EINVAL: @size; -EFBIG: over a limit; -EUCLEAN: marked corrupt or dirty.
 */
int qcow_header_check_resize(const struct qcow_header *h, u64 size, u32 block_bytes, bool shrink,
			     u32 *l1_entries, struct qcow_report *rep);

/**
 * qcow_snapshot_check_resize() - whether a snapshot keeps its size when the image gets another
 * @snap: from qcow_snapshot_next()
 * @position: in the table
 * @rep: says that it does not
 *
 * Return: 0 or -EOPNOTSUPP.
 */
int qcow_snapshot_check_resize(const struct qcow_snapshot *snap, u32 position,
			       struct qcow_report *rep);

#endif /* _QCOW_HEADER_H */
