/* A model: what weights.c loads and model.c computes with. */
#ifndef BRANDON_MODEL_H
#define BRANDON_MODEL_H

#include "engine.h"

typedef struct {
    const float *attention_norm, *query_norm, *key_norm, *ffn_norm;
    bt_matrix qkv, out, up, down;
} bt_block;

struct bt_model {
    const bt_blob *blob;
    const bt_kernels *kernels;
    bt_weights where;
    uint32_t batch, in_loop, inner, kv_width;
    /* weights */
    bt_matrix embed, output;
    const float *output_norm, *frequencies, *registers, *dwa, *value_weights, *steps, *feedback, *gate;
    bt_block *blocks;
    int8_t *streamed; /* the matrices of one block */
    uint32_t streamed_block;
    /* what the layers keep */
    bt_cache *caches;
    /* activations of a batch, a row per token; row strides are multiples of 16 */
    uint32_t width, qkv_stride, inner_stride, up_stride, q_stride;
    float *states; /* what the layers of a loop left: layer x batch x width */
    float *hidden, *before, *normed, *qkv, *attended, *up, *first_values, *cosines, *sines, *scratch;
    uint8_t *q;
    float *q_scale;
    int8_t *row; /* one row of a matrix, unpacked */
    uint32_t rows; /* of the last forward pass */
};

static inline uint32_t bt_padded(uint32_t count, uint32_t to) { return (count + to - 1) / to * to; }

/* Load all weights, or count what they need, after the activations: tiles are made through m->q and m->row. */
bt_status bt_load_weights(bt_model *model, bt_arena *arena);

/* A block with its matrices in memory, which are read now where they are streamed. */
bt_status bt_use_block(bt_model *model, uint32_t number, const bt_block **found);

#endif
