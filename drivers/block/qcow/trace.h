/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: where the bytes of a request are, and what had to be done for it.
 * Documentation/admin-guide.rst, "Watching a device", has every event.
 *
 * A device is shown as the block layer's events show it. A layer may belong to several devices:
 * where the event has no device it is shown as the events of files do, by file system and inode,
 * where it has one by its place in the chain, 0: the active image.
 *
 * The arguments are what the caller has at hand; all else is looked up while an event is on.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM qcow

#if !defined(_QCOW_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _QCOW_TRACE_H

#include <linux/blk_types.h>
#include <linux/tracepoint.h>
#include <qcow/l2.h>

struct qcow_image;
struct qcow_mapping;
struct qcow_meta;
struct qcow_request;
struct qcow_run;
struct qcow_space;
struct qcow_store;

TRACE_DEFINE_ENUM(QCOW_EXTENT_HOLE);
TRACE_DEFINE_ENUM(QCOW_EXTENT_ZERO);
TRACE_DEFINE_ENUM(QCOW_EXTENT_DATA);
TRACE_DEFINE_ENUM(QCOW_EXTENT_COMPRESSED);

#define show_qcow_kind(kind)						\
	__print_symbolic(kind,						\
			 { QCOW_EXTENT_HOLE, "hole" },			\
			 { QCOW_EXTENT_ZERO, "zero" },			\
			 { QCOW_EXTENT_DATA, "data" },			\
			 { QCOW_EXTENT_COMPRESSED, "compressed" })

/* This header is read several times. */
#ifndef _QCOW_TRACE_OP
#define _QCOW_TRACE_OP

/**
 * enum qcow_trace_op - what a request does; those of the block layer are no plain numbers
 * @QCOW_TRACE_READ: read
 * @QCOW_TRACE_WRITE: write
 * @QCOW_TRACE_DISCARD: discard
 * @QCOW_TRACE_WRITE_ZEROES: write zeros
 * @QCOW_TRACE_OWN: copy, for a job of the driver
 */
enum qcow_trace_op {
	QCOW_TRACE_READ,
	QCOW_TRACE_WRITE,
	QCOW_TRACE_DISCARD,
	QCOW_TRACE_WRITE_ZEROES,
	QCOW_TRACE_OWN,
};

#endif /* _QCOW_TRACE_OP */

TRACE_DEFINE_ENUM(QCOW_TRACE_READ);
TRACE_DEFINE_ENUM(QCOW_TRACE_WRITE);
TRACE_DEFINE_ENUM(QCOW_TRACE_DISCARD);
TRACE_DEFINE_ENUM(QCOW_TRACE_WRITE_ZEROES);
TRACE_DEFINE_ENUM(QCOW_TRACE_OWN);

#define show_qcow_op(op)						\
	__print_symbolic(op,						\
			 { QCOW_TRACE_READ, "read" },			\
			 { QCOW_TRACE_WRITE, "write" },			\
			 { QCOW_TRACE_DISCARD, "discard" },		\
			 { QCOW_TRACE_WRITE_ZEROES, "write_zeroes" },	\
			 { QCOW_TRACE_OWN, "own" })

/* The next @len bytes of a request are at @host of a layer; NULL: no layer has them. */
TRACE_EVENT(qcow_map,
	    TP_PROTO(const struct qcow_request *req, u64 len, enum qcow_extent_kind kind,
		     const struct qcow_image *image, u64 host),
	    TP_ARGS(req, len, kind, image, host),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(unsigned int, op)
			     __field(sector_t, sector)
			     __field(u64, bytes)
			     __field(int, layer)
			     __field(unsigned int, kind)
			     __field(u64, host)),
	    TP_fast_assign(__entry->dev = trace_dev(req);
			   __entry->op = trace_op(req);
			   __entry->sector = req->pos >> SECTOR_SHIFT;
			   __entry->bytes = len;
			   __entry->layer = trace_layer(req->dev->chain, image);
			   __entry->kind = kind;
			   __entry->host = host;),
	    TP_printk("%d,%d %s %llu + %llu layer %d %s at 0x%llx",
		      MAJOR(__entry->dev), MINOR(__entry->dev), show_qcow_op(__entry->op),
		      (unsigned long long)__entry->sector, __entry->bytes, __entry->layer,
		      show_qcow_kind(__entry->kind), __entry->host)
);

/* A part of a request has failed. */
TRACE_EVENT(qcow_error,
	    TP_PROTO(const struct qcow_request *req, u64 guest, u64 len, int err),
	    TP_ARGS(req, guest, len, err),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(unsigned int, op)
			     __field(sector_t, sector)
			     __field(u64, bytes)
			     __field(int, error)),
	    TP_fast_assign(__entry->dev = trace_dev(req);
			   __entry->op = trace_op(req);
			   __entry->sector = guest >> SECTOR_SHIFT;
			   __entry->bytes = len;
			   __entry->error = err;),
	    TP_printk("%d,%d %s %llu + %llu error %d",
		      MAJOR(__entry->dev), MINOR(__entry->dev), show_qcow_op(__entry->op),
		      (unsigned long long)__entry->sector, __entry->bytes, __entry->error)
);

/* Bytes at @guest of a chain are read to be written elsewhere, as copy-on-write does. */
TRACE_EVENT(qcow_copy,
	    TP_PROTO(const struct qcow_image *top, u64 guest, const struct qcow_mapping *map),
	    TP_ARGS(top, guest, map),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(sector_t, sector)
			     __field(u64, bytes)
			     __field(int, layer)
			     __field(unsigned int, kind)),
	    TP_fast_assign(__entry->dev = top->devt;
			   __entry->sector = guest >> SECTOR_SHIFT;
			   __entry->bytes = map->ext.len;
			   __entry->layer = trace_layer(top, map->image);
			   __entry->kind = map->ext.kind;),
	    TP_printk("%d,%d %llu + %llu layer %d %s",
		      MAJOR(__entry->dev), MINOR(__entry->dev), (unsigned long long)__entry->sector,
		      __entry->bytes, __entry->layer, show_qcow_kind(__entry->kind))
);

/* Host clusters have been taken. */
TRACE_EVENT(qcow_alloc,
	    TP_PROTO(const struct qcow_space *space, const struct qcow_run *run, bool data),
	    TP_ARGS(space, run, data),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(u64, host)
			     __field(u64, clusters)
			     __field(bool, data)),
	    TP_fast_assign(__entry->dev = space->image->devt;
			   __entry->host = run->first << space->image->geo.cluster_bits;
			   __entry->clusters = run->nr;
			   __entry->data = data;),
	    TP_printk("%d,%d 0x%llx + %llu clusters %s",
		      MAJOR(__entry->dev), MINOR(__entry->dev), __entry->host, __entry->clusters,
		      __entry->data ? "data" : "metadata")
);

/* What has been changed is copied, and is written from now on. */
TRACE_EVENT(qcow_commit_begin,
	    TP_PROTO(const struct qcow_meta *meta),
	    TP_ARGS(meta),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(u64, seq)
			     __field(size_t, l1)
			     __field(size_t, l2)
			     __field(size_t, counts)),
	    TP_fast_assign(__entry->dev = meta->image->devt;
			   __entry->seq = meta->commit.seq;
			   __entry->l1 = trace_count(&meta->commit.l1);
			   __entry->l2 = trace_count(&meta->commit.l2);
			   __entry->counts = trace_count(&meta->commit.counts);),
	    TP_printk("%d,%d seq %llu l1 %zu l2 %zu counts %zu",
		      MAJOR(__entry->dev), MINOR(__entry->dev), __entry->seq, __entry->l1,
		      __entry->l2, __entry->counts)
);

TRACE_EVENT(qcow_commit_end,
	    TP_PROTO(const struct qcow_meta *meta, int err),
	    TP_ARGS(meta, err),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(u64, seq)
			     __field(int, error)),
	    TP_fast_assign(__entry->dev = meta->image->devt;
			   __entry->seq = meta->commit.seq;
			   __entry->error = err;),
	    TP_printk("%d,%d seq %llu error %d",
		      MAJOR(__entry->dev), MINOR(__entry->dev), __entry->seq, __entry->error)
);

DECLARE_EVENT_CLASS(qcow_place,
		    TP_PROTO(const struct qcow_store *store, u64 host, u64 len),
		    TP_ARGS(store, host, len),
		    TP_STRUCT__entry(__field(dev_t, dev)
				     __field(ino_t, ino)
				     __field(u64, host)
				     __field(u64, bytes)),
		    TP_fast_assign(__entry->dev = trace_file_dev(store);
				   __entry->ino = trace_file_ino(store);
				   __entry->host = host;
				   __entry->bytes = len;),
		    TP_printk("file %d:%d:%lu at 0x%llx + %llu",
			      MAJOR(__entry->dev), MINOR(__entry->dev), (unsigned long)__entry->ino,
			      __entry->host, __entry->bytes)
);

/* Slices of an L2 table or of a refcount block are not cached, and are read. */
DEFINE_EVENT(qcow_place, qcow_miss,
	     TP_PROTO(const struct qcow_store *store, u64 host, u64 len),
	     TP_ARGS(store, host, len)
);

/* The compressed data of a cluster has been read. */
DEFINE_EVENT(qcow_place, qcow_decompress_begin,
	     TP_PROTO(const struct qcow_store *store, u64 host, u64 len),
	     TP_ARGS(store, host, len)
);

TRACE_EVENT(qcow_decompress_end,
	    TP_PROTO(const struct qcow_store *store, u64 host, int err),
	    TP_ARGS(store, host, err),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(ino_t, ino)
			     __field(u64, host)
			     __field(int, error)),
	    TP_fast_assign(__entry->dev = trace_file_dev(store);
			   __entry->ino = trace_file_ino(store);
			   __entry->host = host;
			   __entry->error = err;),
	    TP_printk("file %d:%d:%lu at 0x%llx error %d",
		      MAJOR(__entry->dev), MINOR(__entry->dev), (unsigned long)__entry->ino,
		      __entry->host, __entry->error)
);

#endif /* _QCOW_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
