#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#define _FILE_OFFSET_BITS 64
#include "platform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

#define BUFFER 65536u

struct bt_host {
    bt_engine *engine;
    bt_source source;
    void *arena;
    size_t arena_bytes;
    int file;
    uint64_t start; /* of what the buffer holds */
    uint32_t held;
    uint8_t buffer[BUFFER];
};

/* Up to `count` bytes from `offset` on; how many there were, or -1. */
static int64_t read_at(int file, uint64_t offset, uint8_t *to, uint32_t count) {
    uint32_t done = 0;
    while (done < count) {
        ssize_t now = pread(file, to + done, count - done, (off_t)(offset + done));
        if (now < 0 && errno == EINTR) continue;
        if (now < 0) return -1;
        if (now == 0) break;
        done += (uint32_t)now;
    }
    return done;
}

/* The read callback: the parser asks for a few bytes at a time, the model for whole tensors. */
static int read_file(void *context, uint64_t offset, void *to, uint32_t count) {
    bt_host *host = context;
    if (count >= BUFFER) return read_at(host->file, offset, to, count) == (int64_t)count;
    if (offset < host->start || offset + count > host->start + host->held) {
        int64_t held = read_at(host->file, offset, host->buffer, BUFFER);
        host->start = offset;
        host->held = held < 0 ? 0 : (uint32_t)held;
        if (count > host->held) return 0;
    }
    memcpy(to, host->buffer + (offset - host->start), count);
    return 1;
}

static bt_status open_source(bt_host *host, const char *path, int map) {
    struct stat about;
    host->file = open(path, O_RDONLY);
    if (host->file < 0 || fstat(host->file, &about)) return BT_READ_FAILED;
    if (!S_ISREG(about.st_mode)) {
        errno = S_ISDIR(about.st_mode) ? EISDIR : EINVAL;
        return BT_READ_FAILED;
    }
    host->source.size = (uint64_t)about.st_size;
    host->source.read = read_file;
    host->source.context = host;
    if (map && about.st_size > 0) {
        void *data = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, host->file, 0);
        if (data == MAP_FAILED) return BT_READ_FAILED;
        host->source.data = data;
    }
    return BT_OK;
}

static bt_status open_engine(bt_host *host, const bt_options *options) {
    bt_info info;
    bt_status status = bt_measure(&host->source, options, &info);
    if (status) return status;
    void *arena = mmap(NULL, info.arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED) return BT_ARENA_TOO_SMALL;
    host->arena = arena;
    host->arena_bytes = info.arena_bytes;
    return bt_open(&host->engine, &host->source, options, arena, info.arena_bytes);
}

bt_status bt_host_open(bt_host **made, const char *path, const bt_options *options) {
    bt_host *host = calloc(1, sizeof *host);
    if (!host) return BT_ARENA_TOO_SMALL;
    host->file = -1;
    errno = 0;
    bt_status status = open_source(host, path, options->weights == BT_WEIGHTS_IN_PLACE);
    if (!status) status = open_engine(host, options);
    if (!status) {
        *made = host;
        return BT_OK;
    }
    const int reason = errno;
    bt_host_close(host);
    errno = reason;
    return status;
}

void bt_host_close(bt_host *host) {
    if (!host) return;
    if (host->arena) munmap(host->arena, host->arena_bytes);
    if (host->source.data) munmap((void *)(uintptr_t)host->source.data, (size_t)host->source.size);
    if (host->file >= 0) close(host->file);
    free(host);
}

bt_engine *bt_host_engine(const bt_host *host) { return host->engine; }

uint32_t bt_host_sizes(void) {
    return (uint32_t)(sizeof(bt_options) << 20 | sizeof(bt_info) << 8 | sizeof(bt_sampling));
}
