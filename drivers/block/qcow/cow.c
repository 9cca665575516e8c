// SPDX-License-Identifier: GPL-2.0
/*
 * Reading guest ranges in a worker. Does not know what for. Called by write.c.
 */
#include <linux/minmax.h>
#include <linux/string.h>

#include "cow.h"
#include "image.h"
#include "inflate.h"
#include "map.h"
#include "store.h"

/* The last cluster of a file may end within it and reads as zeros from there on. */
static int read_data(const struct qcow_mapping *map, void *buf)
{
	struct qcow_store *store = map->image->data;
	u64 bytes = READ_ONCE(store->bytes);
	u64 there = map->ext.host < bytes ? min(map->ext.len, bytes - map->ext.host) : 0;

	memset(buf + there, 0, map->ext.len - there);
	return there ? qcow_store_read(store, buf, map->ext.host, there) : 0;
}

static int read_compressed(const struct qcow_mapping *map, struct qcow_inflate *inflate,
			   u64 guest, void *buf)
{
	u64 mask = qcow_cluster_bytes(&map->image->geo) - 1;
	struct qcow_inflated *cluster;
	int err;

	err = qcow_inflate_load(inflate, map->image, &map->ext, NULL, &cluster);
	if (err)
		return err;
	memcpy(buf, cluster->data + (guest & mask), map->ext.len);
	qcow_inflated_put(inflate, cluster);
	return 0;
}

int qcow_cow_read(struct qcow_image *top, struct qcow_inflate *inflate, u64 guest, void *buf,
		  u64 len)
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
		if (map.ext.kind == QCOW_EXTENT_ZERO)
			memset(buf, 0, map.ext.len);
		else if (map.ext.kind == QCOW_EXTENT_COMPRESSED)
			err = read_compressed(&map, inflate, guest, buf);
		else
			err = read_data(&map, buf);
		guest += map.ext.len;
		buf += map.ext.len;
		len -= map.ext.len;
	}
	return err;
}
