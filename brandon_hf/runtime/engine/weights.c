/* The weights of a model: from the blob to where and how the kernels want them. */
#include "model.h"

/* Floats, with zeros after them to a whole vector; NULL where the model has none. */
static const float *load_floats(bt_arena *arena, const bt_blob *blob, const bt_tensor *tensor, uint64_t shift,
                                bt_status *status) {
    if (!tensor->rows) return NULL;
    const uint32_t count = tensor->columns * tensor->rows, room = bt_padded(count, BT_LANES);
    float *to = bt_take(arena, (size_t)room * sizeof(float));
    if (!to || *status) return NULL;
    bt_fill(to + count, 0, (room - count) * sizeof(float));
    *status = bt_read(&blob->source, tensor->offset + shift, to, tensor->bytes);
    for (uint32_t i = 0; i < count; i++) { /* the file is little-endian */
        union {
            uint32_t bits;
            float number;
        } u;
        u.bits = bt_u32((const uint8_t *)(to + i));
        to[i] = u.number;
    }
    return to;
}

/* Rows of any bits into tiles, through one row at a time. */
static bt_status load_tiles(const bt_blob *blob, bt_matrix *matrix, const bt_tensor *tensor, const bt_tensor *group,
                            uint64_t shift, int8_t *tiles, int32_t *sums, int8_t *row, int8_t *packed) {
    const uint32_t steps = (matrix->columns + 3) / 4, room = bt_padded(matrix->rows, BT_LANES);
    bt_fill(tiles, 0, (size_t)room * steps * 4);
    bt_fill(sums, 0, room * sizeof(int32_t));
    for (uint32_t r = 0; r < matrix->rows; r++) {
        const uint32_t bytes = tensor->columns, groups = group->rows ? group->columns : 0;
        bt_matrix one = *matrix;
        bt_status status = bt_read(&blob->source, tensor->offset + shift + (uint64_t)r * bytes, packed, bytes);
        if (!status && groups)
            status = bt_read(&blob->source, group->offset + shift + (uint64_t)r * groups, packed + bytes, groups);
        if (status) return status;
        one.data = packed, one.group = packed + bytes;
        bt_unpack_row(&one, 0, row);
        int8_t *tile = tiles + (size_t)(r / BT_LANES) * steps * 64 + (r % BT_LANES) * 4;
        int32_t sum = 0;
        for (uint32_t i = 0; i < matrix->columns; i++) {
            tile[(size_t)(i / 4) * 64 + i % 4] = row[i];
            sum += row[i];
        }
        sums[r] = sum;
    }
    matrix->data = tiles;
    matrix->sums = sums;
    matrix->bits = 8;
    return BT_OK;
}

/* A matrix where and how the kernels want it. Streamed ones get their data when their block is read. */
static void load_matrix(bt_model *m, bt_arena *arena, bt_matrix *matrix, const bt_tensor *tensor,
                        const bt_tensor *group, const bt_tensor *scale, uint64_t shift, uint32_t columns, uint32_t bits,
                        int streamed, bt_status *status) {
    const bt_blob *blob = m->blob;
    matrix->rows = tensor->rows;
    matrix->columns = columns;
    matrix->bits = bits;
    matrix->scale = load_floats(arena, blob, scale, shift, status);
    if (streamed) return;
    if (m->kernels->tiled) {
        const uint32_t room = bt_padded(matrix->rows, BT_LANES);
        int8_t *tiles = bt_take(arena, (size_t)room * bt_padded(columns, 4));
        int32_t *sums = bt_take(arena, room * sizeof(int32_t));
        if (tiles && sums && !*status)
            *status = load_tiles(blob, matrix, tensor, group, shift, tiles, sums, m->row, (int8_t *)m->q);
        return;
    }
    const bt_tensor *parts[2] = {tensor, group};
    const int8_t *found[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        if (!parts[i]->rows) continue;
        if (m->where == BT_WEIGHTS_IN_PLACE) {
            found[i] = (const int8_t *)blob->source.data + parts[i]->offset + shift;
            continue;
        }
        int8_t *to = bt_take(arena, parts[i]->bytes);
        if (to && !*status) *status = bt_read(&blob->source, parts[i]->offset + shift, to, parts[i]->bytes);
        found[i] = to;
    }
    matrix->data = found[0];
    matrix->group = found[1];
}

static const int MATRIX[4] = {BT_QKV, BT_OUT, BT_UP, BT_DOWN};

static void load_block(bt_model *m, bt_arena *arena, uint32_t number, bt_block *to, bt_status *status) {
    const bt_blob *blob = m->blob;
    const bt_tensor *t = blob->block;
    const uint64_t shift = number * blob->block_stride;
    bt_matrix *matrices[4] = {&to->qkv, &to->out, &to->up, &to->down};
    const uint32_t columns[4] = {blob->width, m->inner, blob->width, blob->feed_forward};
    const int scales[4] = {BT_QKV_SCALE, BT_OUT_SCALE, BT_UP_SCALE, BT_DOWN_SCALE};
    to->attention_norm = load_floats(arena, blob, &t[BT_ATTENTION_NORM], shift, status);
    to->query_norm = load_floats(arena, blob, &t[BT_QUERY_NORM], shift, status);
    to->key_norm = load_floats(arena, blob, &t[BT_KEY_NORM], shift, status);
    to->ffn_norm = load_floats(arena, blob, &t[BT_FFN_NORM], shift, status);
    for (int i = 0; i < 4; i++)
        load_matrix(m, arena, matrices[i], &t[MATRIX[i]], &t[MATRIX[i] - BT_QKV + BT_QKV_GROUP], &t[scales[i]], shift,
                    columns[i], blob->weight_bits, m->where == BT_WEIGHTS_STREAMED, status);
}

bt_status bt_load_weights(bt_model *m, bt_arena *arena) {
    const bt_blob *blob = m->blob;
    bt_status status = BT_OK;
    const bt_tensor none = {0}, *g = blob->global;
    const bt_matrix no_matrix = {0};
    m->embed = m->output = no_matrix;
    load_matrix(m, arena, &m->embed, &g[BT_EMBED], &none, &g[BT_EMBED_SCALE], 0, blob->width, 8, 0, &status);
    if (!(blob->features & BT_TIED_EMBEDDINGS))
        load_matrix(m, arena, &m->output, &g[BT_OUTPUT], &none, &g[BT_OUTPUT_SCALE], 0, blob->width, 8, 0, &status);
    m->output_norm = load_floats(arena, blob, &g[BT_OUTPUT_NORM], 0, &status);
    m->frequencies = load_floats(arena, blob, &g[BT_ROPE_FREQS], 0, &status);
    m->registers = load_floats(arena, blob, &g[BT_REGISTERS], 0, &status);
    m->dwa = load_floats(arena, blob, &g[BT_DWA], 0, &status);
    m->value_weights = load_floats(arena, blob, &g[BT_VALUE_WEIGHTS], 0, &status);
    m->steps = load_floats(arena, blob, &g[BT_STEP], 0, &status);
    m->feedback = load_floats(arena, blob, &g[BT_FEEDBACK], 0, &status);
    m->gate = load_floats(arena, blob, &g[BT_GATE], 0, &status);
    m->blocks = bt_take(arena, blob->unique_blocks * sizeof *m->blocks);
    for (uint32_t n = 0; n < blob->unique_blocks; n++) {
        bt_block b;
        bt_fill(&b, 0, sizeof b);
        load_block(m, arena, n, &b, &status);
        if (m->blocks) m->blocks[n] = b;
    }
    if (m->where == BT_WEIGHTS_STREAMED) {
        const bt_tensor *t = blob->block, *from = &t[t[BT_QKV_GROUP].rows ? BT_QKV_GROUP : BT_QKV];
        m->streamed = bt_take(arena, (size_t)(t[BT_DOWN].offset + t[BT_DOWN].bytes - from->offset));
    }
    return status;
}

bt_status bt_use_block(bt_model *m, uint32_t number, const bt_block **found) {
    bt_block *b = &m->blocks[number];
    *found = b;
    if (m->where != BT_WEIGHTS_STREAMED || m->streamed_block == number) return BT_OK;
    const bt_tensor *t = m->blob->block;
    const uint64_t shift = number * m->blob->block_stride;
    const uint64_t start = t[t[BT_QKV_GROUP].rows ? BT_QKV_GROUP : BT_QKV].offset;
    m->streamed_block = m->blob->unique_blocks; /* none, should the read fail half-way */
    bt_status status = bt_read(&m->blob->source, start + shift, m->streamed,
                               t[BT_DOWN].offset + t[BT_DOWN].bytes - start);
    if (status) return status;
    bt_matrix *matrices[4] = {&b->qkv, &b->out, &b->up, &b->down};
    for (int i = 0; i < 4; i++) {
        matrices[i]->data = m->streamed + (t[MATRIX[i]].offset - start);
        if (t[BT_QKV_GROUP].rows)
            matrices[i]->group = m->streamed + (t[MATRIX[i] - BT_QKV + BT_QKV_GROUP].offset - start);
    }
    m->streamed_block = number;
    return BT_OK;
}
