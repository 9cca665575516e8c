// SPDX-License-Identifier: GPL-2.0
/*
 * Copy-on-write reads, in a worker: whole ranges, one extent after the other.
 */
#include <linux/minmax.h>
#include <linux/string.h>

#include "data/cow.h"
#include "data/crypt.h"
#include "layer/image.h"
#include "layer/decompress.h"
#include "layer/map.h"
#include "store/store.h"
#include "trace.h"

static int cow_read_compressed(const struct qcow_mapping *map, u64 guest, void *buf)
{
	u64 mask = qcow_cluster_bytes(&map->image->geo) - 1;
	struct qcow_cluster *cluster;
	int err;

	err = qcow_decompress_load(map->image, &map->ext, NULL, &cluster);
	if (err)
		return err;
	memcpy(buf, cluster->data + (guest & mask), map->ext.len);
	qcow_decompress_put(cluster);
	return 0;
}

int qcow_cow_read(struct qcow_image *top, u64 guest, void *buf, u64 len)
{
	struct qcow_mapping map;
	int err = 0;

	while (len && !err) {
		if (guest >= top->size) {
			memset(buf, 0, len);
			break;
		}
		err = qcow_map_wait(top, guest, min(len, top->size - guest), NULL, &map);
		if (err)
			break;
		trace_qcow_copy(top, guest, &map);
		if (map.ext.kind == QCOW_EXTENT_ZERO)
			memset(buf, 0, map.ext.len);
		else if (map.ext.kind == QCOW_EXTENT_COMPRESSED)
			err = cow_read_compressed(&map, guest, buf);
		else
			err = qcow_data_read(map.image, guest, map.ext.host, buf, map.ext.len);
		guest += map.ext.len;
		buf += map.ext.len;
		len -= map.ext.len;
	}
	return err;
}

/* The same bytes are others in a file that encrypts them in its own way. */
bool qcow_cow_can_share(const struct qcow_image *image, const struct qcow_image *from)
{
	return !image->crypt && !from->crypt && qcow_store_can_clone(image->data, from->data);
}

u64 qcow_cow_share(struct qcow_image *top, u64 guest, const struct qcow_image *image, u64 host,
		   u64 len)
{
	struct qcow_mapping map;

	if (qcow_map_wait(top, guest, len, NULL, &map) || map.ext.kind != QCOW_EXTENT_DATA ||
	    map.image->data == image->data || !qcow_cow_can_share(image, map.image))
		return 0;
	return qcow_store_clone(image->data, host, map.image->data, map.ext.host, map.ext.len);
}
