/* A heap of indices, as an array whose root comes last of all: entry i comes after its children, 2i + 1 and 2i + 2.
 * The order is a function, inlined. Sorting takes n log n steps whatever the order was. */
#ifndef BRANDON_HEAP_H
#define BRANDON_HEAP_H

#include "engine.h"

/* Whether a comes after b; never both ways. */
typedef int bt_after(const void *context, uint32_t a, uint32_t b);

/* Let the entry at `at` sink to its place. */
static INLINE void bt_sink(bt_after *after, const void *context, uint32_t *heap, uint32_t count, uint32_t at) {
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= count) return;
        if (child + 1 < count && after(context, heap[child + 1], heap[child])) child++;
        if (!after(context, heap[child], heap[at])) return;
        const uint32_t swap = heap[at];
        heap[at] = heap[child], heap[child] = swap;
        at = child;
    }
}

static INLINE void bt_make_heap(bt_after *after, const void *context, uint32_t *heap, uint32_t count) {
    for (uint32_t i = count / 2; i-- > 0;) bt_sink(after, context, heap, count, i);
}

static INLINE void bt_sort(bt_after *after, const void *context, uint32_t *indices, uint32_t count) {
    bt_make_heap(after, context, indices, count);
    for (uint32_t left = count; left > 1; left--) {
        const uint32_t last = indices[0];
        indices[0] = indices[left - 1], indices[left - 1] = last;
        bt_sink(after, context, indices, left - 1, 0);
    }
}

#endif
