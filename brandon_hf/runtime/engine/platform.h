/* The host on a POSIX system: the file of a blob, and the memory of an engine. */
#ifndef BRANDON_PLATFORM_H
#define BRANDON_PLATFORM_H

#include "brandon.h"

typedef struct bt_host bt_host;

/* Open a blob and an engine on it. The file is mapped where the weights are used in place, otherwise read through a
 * small buffer, so that it never stands in memory beside its copy. BT_READ_FAILED leaves the reason in errno. */
bt_status bt_host_open(bt_host **host, const char *path, const bt_options *options);

/* Give everything back; NULL is nothing. */
void bt_host_close(bt_host *host);

bt_engine *bt_host_engine(const bt_host *host);

/* The sizes of bt_options and bt_info in bytes, by which a caller in another language sees that it means the same. */
uint32_t bt_host_sizes(void);

#endif
