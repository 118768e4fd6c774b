/* Reading the bytes of a blob: little-endian numbers at any address, and arrays from their front to their end. */
#include "engine.h"

uint32_t bt_u32(const uint8_t *b) {
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint64_t bt_u64(const uint8_t *b) { return (uint64_t)bt_u32(b) | (uint64_t)bt_u32(b + 4) << 32; }

bt_status bt_read(const bt_source *source, uint64_t offset, void *to, uint64_t count) {
    if (offset > source->size || count > source->size - offset) return BT_TRUNCATED;
    if (source->data) {
        bt_copy(to, source->data + offset, (size_t)count);
        return BT_OK;
    }
    uint8_t *bytes = to;
    while (count) {
        uint32_t part = count > 0x40000000u ? 0x40000000u : (uint32_t)count;
        if (!source->read || !source->read(source->context, offset, bytes, part)) return BT_READ_FAILED;
        offset += part, bytes += part, count -= part;
    }
    return BT_OK;
}

void bt_read_from(bt_reader *r, const bt_source *source, uint64_t start, uint64_t end) {
    r->source = source;
    r->offset = r->window_start = start;
    r->end = end;
    r->window_bytes = 0;
    r->status = BT_OK;
}

void bt_get(bt_reader *r, void *to, uint32_t count) {
    uint8_t *bytes = to;
    while (count && !r->status) {
        if (r->offset < r->window_start || r->offset - r->window_start >= r->window_bytes) {
            const uint64_t left = r->offset < r->end ? r->end - r->offset : 0;
            r->window_start = r->offset;
            r->window_bytes = left < sizeof r->window ? (uint32_t)left : (uint32_t)sizeof r->window;
            r->status = left ? bt_read(r->source, r->offset, r->window, r->window_bytes) : BT_TRUNCATED;
            if (r->status) break;
        }
        const uint32_t at = (uint32_t)(r->offset - r->window_start), there = r->window_bytes - at;
        const uint32_t part = there < count ? there : count;
        bt_copy(bytes, r->window + at, part);
        r->offset += part, bytes += part, count -= part;
    }
    if (r->status) bt_fill(bytes, 0, count);
}

uint32_t bt_get_u32(bt_reader *r) {
    uint8_t b[4];
    bt_get(r, b, 4);
    return bt_u32(b);
}

uint64_t bt_get_u64(bt_reader *r) {
    uint8_t b[8];
    bt_get(r, b, 8);
    return bt_u64(b);
}

void bt_skip(bt_reader *r, uint64_t count) {
    if (r->status) return;
    if (count > r->end - r->offset) r->status = BT_TRUNCATED;
    else r->offset += count;
}

void bt_get_text(bt_reader *r, char *text, uint32_t capacity) {
    const uint64_t length = bt_get_u64(r);
    const uint32_t kept = length < capacity ? (uint32_t)length : capacity - 1;
    bt_get(r, text, kept);
    bt_skip(r, length - kept);
    for (uint32_t i = 0; i < kept; i++) text[i] = text[i] ? text[i] : '\x7f';
    text[r->status ? 0 : kept] = 0;
}

uint32_t bt_get_string(bt_reader *r, uint8_t *to, uint32_t capacity, bt_status too_long) {
    const uint64_t bytes = bt_get_u64(r);
    if (!r->status && bytes > capacity) r->status = too_long;
    if (!r->status) bt_get(r, to, (uint32_t)bytes);
    return r->status ? 0 : (uint32_t)bytes;
}
