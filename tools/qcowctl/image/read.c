// SPDX-License-Identifier: GPL-2.0
/*
 * Reads the guest's bytes of a chain, as far as its mapping is whole.
 */
#include <errno.h>

#include "image/image.h"

/**
 * struct reader - reads a chain
 * @chain: the chain
 * @ext: its mapping
 * @cluster: the decompressed cluster
 * @compressed: as it is in the file
 */
struct reader {
	const struct chain *chain;
	struct extents *ext;
	unsigned char *cluster;
	unsigned char *compressed;
};

struct reader *reader_open(const struct chain *chain)
{
	struct reader *r = qc_alloc(sizeof(*r));

	r->chain = chain;
	r->ext = extents_open(chain);
	return r;
}

void reader_close(struct reader *r)
{
	if (!r)
		return;
	extents_close(r->ext);
	free(r->cluster);
	free(r->compressed);
	free(r);
}

static int read_compressed(struct reader *r, const struct image *img,
			   const struct guest_range *range, u64 guest, size_t len, void *buf)
{
	size_t bytes = (size_t)1 << img->h.cluster_bits;
	int err;

	r->cluster = qc_grow(r->cluster, bytes, 1);
	r->compressed = qc_grow(r->compressed, range->compressed_len, 1);
	err = image_pread_padded(img, r->compressed, range->compressed_len, range->host_offset);
	if (err)
		return qc_fail_errno(QC_SYSTEM, -err, img->name, "guest offset %llu: cannot read",
				     guest);
	if (!codec_decompress(img->h.compression_type, r->compressed, range->compressed_len,
			      r->cluster, bytes))
		return qc_fail(QC_BAD_IMAGE, img->name,
			       "guest offset %llu: compressed data do not give a cluster", guest);
	memcpy(buf, r->cluster + (guest & (bytes - 1)), len);
	return 0;
}

static int read_data(const struct image *img, u64 host, u64 guest, size_t len, void *buf)
{
	int fd = img->data_fd >= 0 ? img->data_fd : img->fd;
	int err = image_pread_eof(fd, buf, len, host);

	if (!err)
		return 0;
	return qc_fail_errno(QC_SYSTEM, -err, img->name, "guest offset %llu: cannot read", guest);
}

static int read_range(struct reader *r, const struct guest_range *range, u64 guest, size_t len,
		      void *buf)
{
	const struct image *img = &r->chain->images[range->depth];

	if (range->damaged)
		return QC_BAD_IMAGE;
	if (range->kind == QCOW_EXTENT_COMPRESSED)
		return read_compressed(r, img, range, guest, len, buf);
	if (range->kind == QCOW_EXTENT_DATA)
		return read_data(img, range->host_offset, guest, len, buf);
	memset(buf, 0, len);
	return 0;
}

int reader_read(struct reader *r, u64 guest, size_t len, void *buf)
{
	struct guest_range range;
	size_t part;
	int err = 0, walk_err;

	extents_seek(r->ext, guest);
	while (!err && len) {
		if (!extents_next(r->ext, &range, &walk_err)) {
			memset(buf, 0, len);
			break;
		}
		part = min_t(u64, len, range.len);
		err = read_range(r, &range, guest, part, buf);
		buf = (char *)buf + part;
		guest += part;
		len -= part;
	}
	return err;
}
