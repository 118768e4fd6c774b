/* The forward pass: from token ids to logits, as docs/blob-format.md states the arithmetic. Rows of a batch are tokens
 * (or, once, the registers); a position is a row of the caches, registers first. */
#include "model.h"

/* --- the layers --------------------------------------------------------------------------------------------------- */

/* out rows = matrix times the rows of x, quantised. */
static void multiply(bt_model *m, const bt_matrix *matrix, const float *x, uint32_t x_stride, uint32_t rows, float *out,
                     uint32_t out_stride) {
    const bt_vectors vectors = {m->q, m->q_scale, m->q_stride};
    for (uint32_t t = 0; t < rows; t++)
        m->kernels->quantize(x + (size_t)t * x_stride, matrix->columns, m->q + (size_t)t * m->q_stride, &m->q_scale[t]);
    m->kernels->multiply(matrix, &vectors, rows, out, out_stride);
}

static void norm_rows(const bt_model *m, const float *x, const float *weight, uint32_t rows, float *out) {
    const size_t width = m->width;
    for (uint32_t t = 0; t < rows; t++)
        m->kernels->rms_norm(x + t * width, weight, m->blob->width, m->blob->eps, out + t * width);
}

static void rotate(float *head, const float *cosines, const float *sines, uint32_t half) {
    for (uint32_t i = 0; i < half; i++) {
        const float a = head[i], b = head[i + half];
        head[i] = a * cosines[i] - b * sines[i];
        head[i + half] = b * cosines[i] + a * sines[i];
    }
}

static float sigmoid(float x) { return 1.0f / (1.0f + bt_exp(-x)); }

/* Queries, keys and values of row t to their final form; keys and values go to the cache. */
static void place(bt_model *m, const bt_block *b, uint32_t layer, uint32_t t, uint32_t position) {
    const bt_blob *blob = m->blob;
    const uint32_t size = blob->head_size;
    float *q = m->qkv + (size_t)t * m->qkv_stride, *k = q + m->inner, *v = k + m->kv_width;
    const float *cosines = m->cosines + (size_t)t * (size / 2), *sines = m->sines + (size_t)t * (size / 2);
    for (uint32_t h = 0; h < blob->heads + blob->kv_heads; h++) { /* the keys follow the queries */
        float *head = q + h * size;
        if (b->query_norm)
            m->kernels->rms_norm(head, h < blob->heads ? b->query_norm : b->key_norm, size, blob->eps, head);
        rotate(head, cosines, sines, size / 2);
    }
    const float scaling = 1.0f / bt_sqrt((float)size);
    for (uint32_t i = 0; i < m->inner; i++) q[i] *= scaling;
    float *first = m->first_values + (size_t)t * m->kv_width;
    if (blob->features & (BT_VALUE_RESIDUAL_ADD | BT_VALUE_RESIDUAL_LEARNED)) {
        if (layer == 0) {
            bt_copy(first, v, m->kv_width * sizeof(float));
        } else {
            const float own = m->value_weights ? m->value_weights[2 * layer] : 1.0f;
            const float other = m->value_weights ? m->value_weights[2 * layer + 1] : 1.0f;
            for (uint32_t i = 0; i < m->kv_width; i++) v[i] = own * v[i] + other * first[i];
        }
    }
    m->kernels->store(&m->caches[layer], position, k, v, blob->kv_heads, size);
}

/* One application of a block to `rows` rows of x, in place. */
static void apply_block(bt_model *m, const bt_block *b, uint32_t layer, uint32_t rows, uint32_t position, float *x) {
    const bt_blob *blob = m->blob;
    const bt_kernels *k = m->kernels;
    const size_t width = m->width;
    norm_rows(m, x, b->attention_norm, rows, m->normed);
    multiply(m, &b->qkv, m->normed, m->width, rows, m->qkv, m->qkv_stride);
    for (uint32_t t = 0; t < rows; t++) place(m, b, layer, t, position + t);
    for (uint32_t t = 0; t < rows; t++) {
        const float *q = m->qkv + (size_t)t * m->qkv_stride, *gates = q + m->inner + 2 * m->kv_width;
        float *attended = m->attended + (size_t)t * m->inner_stride;
        k->attend(&m->caches[layer], q, position + t + 1, blob->heads, blob->kv_heads, blob->head_size, attended,
                  m->scratch);
        if (!(blob->features & BT_OUTPUT_GATE)) continue;
        for (uint32_t h = 0; h < blob->heads; h++) {
            const float gate = sigmoid(gates[h]);
            for (uint32_t i = 0; i < blob->head_size; i++) attended[h * blob->head_size + i] *= gate;
        }
    }
    multiply(m, &b->out, m->attended, m->inner_stride, rows, m->normed, m->width);
    for (uint32_t t = 0; t < rows; t++) k->add(x + t * width, m->normed + t * width, blob->width);

    norm_rows(m, x, b->ffn_norm, rows, m->normed);
    multiply(m, &b->up, m->normed, m->width, rows, m->up, m->up_stride);
    for (uint32_t t = 0; t < rows; t++) {
        float *gate = m->up + (size_t)t * m->up_stride;
        if (blob->features & BT_RELU_SQUARED) k->relu_squared(gate, blob->feed_forward, gate);
        else k->swiglu(gate, gate + blob->feed_forward, blob->feed_forward, gate);
    }
    multiply(m, &b->down, m->up, m->up_stride, rows, m->normed, m->width);
    for (uint32_t t = 0; t < rows; t++) k->add(x + t * width, m->normed + t * width, blob->width);
}

/* All layers over `rows` rows in m->hidden, which stand at `position` and on. */
static bt_status apply_layers(bt_model *m, uint32_t rows, uint32_t position, int are_registers) {
    const bt_blob *blob = m->blob;
    const size_t width = m->width, layer_size = (size_t)m->batch * width, bytes = rows * width * sizeof(float);
    const uint32_t half = blob->head_size / 2;
    for (uint32_t t = 0; t < rows; t++)
        for (uint32_t i = 0; i < half; i++)
            bt_sin_cos((float)(position + t) * m->frequencies[i], &m->sines[t * half + i], &m->cosines[t * half + i]);
    for (uint32_t loop = 0; loop < blob->loops; loop++) {
        for (uint32_t t = 0; t < rows; t++) {
            float *hidden = m->hidden + t * width;
            if (loop && m->gate && are_registers) {
                for (uint32_t i = 0; i < blob->width; i++) {
                    const float gate = sigmoid(m->gate[i]);
                    hidden[i] = gate * hidden[i] + (1.0f - gate) * m->registers[t * blob->width + i];
                }
            }
            if (m->steps) m->kernels->add(hidden, m->steps + loop * blob->width, blob->width);
            if (!m->feedback) continue;
            float *before = m->before + t * width;
            if (loop) {
                m->kernels->rms_norm(before, m->feedback, blob->width, blob->eps, m->normed);
                m->kernels->add(hidden, m->normed, blob->width);
            }
            bt_copy(before, hidden, blob->width * sizeof(float));
        }
        if (m->dwa) bt_copy(m->states, m->hidden, bytes);
        for (uint32_t n = 0; n < m->in_loop; n++) {
            const bt_block *b;
            bt_status status = bt_use_block(m, n / blob->block_repeat, &b);
            if (status) return status;
            float *x = m->hidden;
            if (m->dwa) {
                x = m->states + (n + 1) * layer_size;
                bt_copy(x, m->hidden, bytes);
            }
            apply_block(m, b, loop * m->in_loop + n, rows, position, x);
            if (m->dwa)
                m->kernels->average(m->states, layer_size, m->dwa + (size_t)n * (m->in_loop + 1), n + 2,
                                    rows * m->width, m->hidden);
        }
    }
    return BT_OK;
}

static void embed(const bt_model *m, int32_t id, float *to) {
    const bt_matrix *e = &m->embed;
    const uint32_t row = (uint32_t)id, steps = (e->columns + 3) / 4;
    const float scale = e->scale[row];
    if (m->kernels->tiled) {
        const int8_t *tile = e->data + (size_t)(row / BT_LANES) * steps * 64 + (row % BT_LANES) * 4;
        for (uint32_t i = 0; i < e->columns; i++) to[i] = (float)tile[(size_t)(i / 4) * 64 + i % 4] * scale;
    } else {
        const int8_t *from = e->data + (size_t)row * e->columns;
        for (uint32_t i = 0; i < e->columns; i++) to[i] = (float)from[i] * scale;
    }
}

bt_status bt_model_forward(bt_model *m, const int32_t *ids, uint32_t count, uint32_t position) {
    for (uint32_t t = 0; t < count; t++) embed(m, ids[t], m->hidden + (size_t)t * m->width);
    bt_status status = apply_layers(m, count, m->blob->registers + position, 0);
    m->rows = status ? 0 : count;
    return status;
}

bt_status bt_model_logits(bt_model *m, uint32_t index, float *logits) {
    if (index >= m->rows) return BT_NO_LOGITS;
    m->kernels->rms_norm(m->hidden + (size_t)index * m->width, m->output_norm, m->blob->width, m->blob->eps, m->normed);
    multiply(m, m->output.rows ? &m->output : &m->embed, m->normed, m->width, 1, logits,
             bt_padded(m->blob->vocab, BT_LANES));
    return BT_OK;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static void take_caches(bt_model *m, bt_arena *arena, bt_kv type, uint32_t positions) {
    const bt_blob *blob = m->blob;
    static const uint8_t SIZE[] = {4, 2, 1};
    for (uint32_t layer = 0; layer < blob->layers; layer++) {
        bt_cache cache = {0};
        cache.type = type;
        cache.positions = positions;
        const size_t rows = (size_t)blob->kv_heads * positions, size = SIZE[type];
        const uint64_t values = (uint64_t)rows * bt_padded(blob->head_size, BT_LANES) * size; /* may be beyond size_t */
        cache.keys = bt_take(arena, rows * blob->head_size * size);
        cache.values = bt_take(arena, values < SIZE_MAX ? (size_t)values : SIZE_MAX);
        if (type == BT_KV_I8) {
            cache.key_scales = bt_take(arena, rows * sizeof(float));
            cache.value_scales = bt_take(arena, rows * sizeof(float));
        }
        if (m->caches) m->caches[layer] = cache;
    }
}

static void take_activations(bt_model *m, bt_arena *arena, uint32_t positions) {
    const bt_blob *blob = m->blob;
    const size_t batch = m->batch, row = m->width * sizeof(float), f = sizeof(float);
    m->hidden = bt_take(arena, batch * row);
    m->before = m->blob->features & BT_LOOP_FEEDBACK ? bt_take(arena, batch * row) : NULL;
    m->normed = bt_take(arena, batch * row);
    m->states = blob->features & BT_DEPTH_WEIGHTED_AVERAGE ? bt_take(arena, (m->in_loop + 1) * batch * row) : NULL;
    m->qkv = bt_take(arena, batch * m->qkv_stride * f);
    m->attended = bt_take(arena, batch * m->inner_stride * f);
    m->up = bt_take(arena, batch * m->up_stride * f);
    m->first_values = bt_take(arena, batch * m->kv_width * f);
    m->cosines = bt_take(arena, batch * (blob->head_size / 2) * f);
    m->sines = bt_take(arena, batch * (blob->head_size / 2) * f);
    m->scratch = bt_take(arena, (size_t)(blob->heads / blob->kv_heads) * positions * f);
    m->q_scale = bt_take(arena, batch * f);
    m->q = bt_take(arena, batch * m->q_stride + BT_MAX_WIDTH); /* a packed row and its groups, while loading */
    m->row = bt_take(arena, bt_padded(m->q_stride, 64));
}

static uint32_t most(uint32_t a, uint32_t b) { return a > b ? a : b; }

bt_status bt_model_open(bt_model **model, const bt_blob *blob, const bt_options *options, const bt_kernels *kernels,
                        bt_arena *arena, bt_info *info) {
    bt_model counted;
    const size_t start = arena->used;
    bt_model *m = bt_take(arena, sizeof *m);
    if (!m) m = &counted;
    bt_fill(m, 0, sizeof *m);
    const uint32_t registers = blob->registers;
    const uint32_t positions = bt_padded(registers + options->context, BT_LANES);
    m->blob = blob;
    m->kernels = kernels;
    m->where = options->weights;
    m->batch = most(options->batch, registers);
    m->in_loop = blob->layers / blob->loops;
    m->inner = blob->heads * blob->head_size;
    m->kv_width = blob->kv_heads * blob->head_size;
    m->width = bt_padded(blob->width, BT_LANES);
    m->qkv_stride = bt_padded(blob->block[BT_QKV].rows, BT_LANES);
    m->inner_stride = bt_padded(m->inner, BT_LANES);
    m->up_stride = bt_padded(blob->block[BT_UP].rows, BT_LANES);
    m->q_stride = bt_padded(most(most(blob->width, m->inner), blob->feed_forward), 64);
    m->streamed_block = blob->unique_blocks;

    size_t before = arena->used;
    take_activations(m, arena, positions);
    info->activation_bytes = arena->used - before + (before - start);
    before = arena->used;
    m->caches = bt_take(arena, blob->layers * sizeof *m->caches);
    take_caches(m, arena, options->kv, positions);
    info->kv_bytes = arena->used - before;
    before = arena->used;

    if (arena->base && arena->used > arena->size) return BT_ARENA_TOO_SMALL;
    bt_status status = bt_load_weights(m, arena);
    info->weight_bytes = arena->used - before;
    if (status || !arena->base) return status;
    if (arena->used > arena->size) return BT_ARENA_TOO_SMALL;
    *model = m;
    if (!registers) return BT_OK;
    for (uint32_t t = 0; t < registers; t++)
        bt_copy(m->hidden + (size_t)t * m->width, m->registers + (size_t)t * blob->width, blob->width * sizeof(float));
    return apply_layers(m, registers, 0, 1);
}
