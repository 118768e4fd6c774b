/* The tensors of a blob. The keys tell which there are, their shapes and their places: a table that says anything else
 * is refused. And the check of all values. */
#include "engine.h"

enum { GGML_F32 = 0, GGML_I8 = 24 };

/* --- the table ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *name; /* of a block's: what follows "blk.N." */
    uint32_t type, columns, rows; /* rows 0: not in this model; in GGUF a single row has one dimension */
} expected;

static void expect_globals(const bt_blob *b, expected *e) {
    const uint32_t f = b->features, in_loop = b->layers / b->loops, untied = f & BT_TIED_EMBEDDINGS ? 0 : b->vocab;
    const expected list[BT_GLOBAL_TENSORS] = {
        {"token_embd.scale", GGML_F32, b->vocab, 1},
        {"token_embd.weight", GGML_I8, b->width, b->vocab},
        {"output.scale", GGML_F32, untied, untied ? 1 : 0},
        {"output.weight", GGML_I8, b->width, untied},
        {"output_norm.weight", GGML_F32, b->width, 1},
        {"rope_freqs.weight", GGML_F32, b->head_size / 2, 1},
        {"registers.weight", GGML_F32, b->width, b->registers},
        {"dwa.weight", GGML_F32, in_loop + 1, f & BT_DEPTH_WEIGHTED_AVERAGE ? in_loop : 0},
        {"value_residual.weight", GGML_F32, 2, f & BT_VALUE_RESIDUAL_LEARNED ? b->layers : 0},
        {"step_embd.weight", GGML_F32, b->width, f & BT_STEP_EMBEDDING ? b->loops : 0},
        {"feedback_norm.weight", GGML_F32, b->width, f & BT_LOOP_FEEDBACK ? 1 : 0},
        {"resonance_gate.weight", GGML_F32, b->width, f & BT_RESONANCE_GATE ? 1 : 0},
    };
    bt_copy(e, list, sizeof list);
}

static void expect_block(const bt_blob *b, expected *e) {
    const uint32_t f = b->features, bits = b->weight_bits, inner = b->heads * b->head_size;
    const uint32_t qkv = inner + 2 * b->kv_heads * b->head_size + (f & BT_OUTPUT_GATE ? b->heads : 0);
    const uint32_t up = f & BT_RELU_SQUARED ? b->feed_forward : 2 * b->feed_forward, norms = f & BT_QK_NORM ? 1 : 0;
    const uint32_t pack = 8 / bits, grouped = bits == 4 ? 1 : 0;
    const expected list[BT_BLOCK_TENSORS] = {
        {"attn_norm.weight", GGML_F32, b->width, 1},
        {"attn_q_norm.weight", GGML_F32, b->head_size, norms},
        {"attn_k_norm.weight", GGML_F32, b->head_size, norms},
        {"attn_qkv.scale", GGML_F32, qkv, 1},
        {"attn_output.scale", GGML_F32, b->width, 1},
        {"ffn_norm.weight", GGML_F32, b->width, 1},
        {"ffn_up.scale", GGML_F32, up, 1},
        {"ffn_down.scale", GGML_F32, b->width, 1},
        {"attn_qkv.group", GGML_I8, b->width / 16, qkv * grouped},
        {"attn_output.group", GGML_I8, inner / 16, b->width * grouped},
        {"ffn_up.group", GGML_I8, b->width / 16, up * grouped},
        {"ffn_down.group", GGML_I8, b->feed_forward / 16, b->width * grouped},
        {"attn_qkv.weight", GGML_I8, b->width / pack, qkv},
        {"attn_output.weight", GGML_I8, inner / pack, b->width},
        {"ffn_up.weight", GGML_I8, b->width / pack, up},
        {"ffn_down.weight", GGML_I8, b->feed_forward / pack, b->width},
    };
    bt_copy(e, list, sizeof list);
}

/* The block in "blk.N.rest", or -1; *rest is what follows. */
static int block_number(const char *name, const char **rest) {
    if (!bt_begins(name, "blk.")) return -1;
    const char *at = name + 4;
    int number = 0, digits = 0;
    for (; *at >= '0' && *at <= '9' && digits < 4; at++, digits++) number = 10 * number + (*at - '0');
    if (!digits || *at != '.' || (digits > 1 && name[4] == '0')) return -1;
    *rest = at + 1;
    return number;
}

/* What is wrong with a name that is not the expected one: the format lists tensors in one order. */
static bt_status misplaced(const char *name, uint32_t number, const expected *globals, const expected *block,
                           const bt_blob *blob) {
    const char *rest = name;
    int in = block_number(name, &rest);
    const expected *list = in < 0 ? globals : block;
    uint32_t count = in < 0 ? BT_GLOBAL_TENSORS : BT_BLOCK_TENSORS, present = 0;
    uint32_t in_block = 0, before = 0;
    for (uint32_t i = 0; i < BT_BLOCK_TENSORS; i++) in_block += block[i].rows != 0;
    for (uint32_t i = 0; in >= 0 && i < BT_GLOBAL_TENSORS; i++) before += globals[i].rows != 0;
    if (in >= (int)blob->unique_blocks) return BT_TENSOR_UNKNOWN;
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].rows && bt_same(rest, list[i].name)) {
            uint32_t place = before + present + (in < 0 ? 0 : (uint32_t)in * in_block);
            return place < number ? BT_TENSOR_REPEATED : BT_TENSOR_MISSING;
        }
        present += list[i].rows != 0;
    }
    return BT_TENSOR_UNKNOWN;
}

/* Read one row of the table and compare it with what must stand there; *offset counts on to the next tensor. */
static bt_status get_tensor(bt_reader *r, const expected *e, bt_tensor *tensor, uint64_t *offset) {
    const uint32_t dimensions = bt_get_u32(r);
    if (dimensions != 1 && dimensions != 2) return r->status ? r->status : BT_TENSOR_SHAPE;
    uint64_t columns = bt_get_u64(r), rows = dimensions == 2 ? bt_get_u64(r) : 1;
    uint32_t type = bt_get_u32(r);
    uint64_t at = bt_get_u64(r);
    if (r->status) return r->status;
    if (columns != e->columns || rows != e->rows) return BT_TENSOR_SHAPE;
    if (type != e->type) return BT_TENSOR_TYPE;
    if (at % BT_ALIGNMENT) return BT_TENSOR_ALIGNMENT;
    if (at != *offset) return BT_TENSOR_OVERLAP;
    tensor->offset = at;
    tensor->columns = e->columns;
    tensor->rows = e->rows;
    tensor->bytes = e->columns * e->rows * (type == GGML_F32 ? 4 : 1);
    *offset = (at + tensor->bytes + BT_ALIGNMENT - 1) / BT_ALIGNMENT * BT_ALIGNMENT;
    return BT_OK;
}

bt_status bt_parse_tensors(bt_reader *r, uint64_t count, bt_blob *blob) {
    expected globals[BT_GLOBAL_TENSORS], block[BT_BLOCK_TENSORS];
    expect_globals(blob, globals);
    expect_block(blob, block);
    uint32_t number = 0;
    uint64_t offset = 0, first_block = 0;
    for (uint32_t in = 0; in <= blob->unique_blocks; in++) { /* 0: the globals, then the blocks */
        const expected *list = in ? block : globals;
        for (uint32_t i = 0; i < (in ? (uint32_t)BT_BLOCK_TENSORS : (uint32_t)BT_GLOBAL_TENSORS); i++) {
            if (!list[i].rows) continue;
            if (number == count) return BT_TENSOR_MISSING;
            char name[64];
            const char *rest = name;
            bt_get_text(r, name, sizeof name);
            if (r->status) return r->status;
            int named = block_number(name, &rest);
            if (named != (int)in - 1 || !bt_same(rest, list[i].name))
                return misplaced(name, number, globals, block, blob);
            bt_tensor tensor;
            bt_status status = get_tensor(r, &list[i], &tensor, &offset);
            if (status) return status;
            if (in == 0) blob->global[i] = tensor;
            if (in == 1) blob->block[i] = tensor;
            number++;
        }
        if (in == 0) first_block = offset;
        if (in == 1) blob->block_stride = offset - first_block;
    }
    if (number != count) {
        char name[64];
        bt_get_text(r, name, sizeof name);
        return r->status ? r->status : misplaced(name, number, globals, block, blob);
    }
    const uint64_t data = (r->offset + BT_ALIGNMENT - 1) / BT_ALIGNMENT * BT_ALIGNMENT;
    if (data > r->end || offset > r->end - data) return BT_TRUNCATED;
    if (offset < r->end - data) return BT_TENSOR_OVERLAP; /* something follows the last tensor */
    for (int i = 0; i < BT_GLOBAL_TENSORS; i++)
        if (globals[i].rows) blob->global[i].offset += data;
    for (int i = 0; i < BT_BLOCK_TENSORS; i++)
        if (block[i].rows) blob->block[i].offset += data;
    return BT_OK;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

#define CHUNK 2048u

static bt_status check_floats(const bt_source *source, const bt_tensor *tensor, int is_scale) {
    uint8_t chunk[CHUNK];
    for (uint32_t at = 0; at < tensor->bytes; at += CHUNK) {
        uint32_t bytes = tensor->bytes - at < CHUNK ? tensor->bytes - at : CHUNK;
        bt_status status = bt_read(source, tensor->offset + at, chunk, bytes);
        if (status) return status;
        for (uint32_t i = 0; i < bytes; i += 4) {
            uint32_t bits = bt_u32(chunk + i);
            if ((bits >> 23 & 255) == 255 || (is_scale && bits >> 31)) return BT_NOT_FINITE;
        }
    }
    return BT_OK;
}

static bt_status check_weights(const bt_source *source, const bt_tensor *tensor, uint32_t bits, int is_group) {
    uint8_t chunk[CHUNK];
    for (uint32_t at = 0; at < tensor->bytes; at += CHUNK) {
        uint32_t bytes = tensor->bytes - at < CHUNK ? tensor->bytes - at : CHUNK, bad = 0;
        bt_status status = bt_read(source, tensor->offset + at, chunk, bytes);
        if (status) return status;
        for (uint32_t i = 0; i < bytes; i++) {
            uint8_t b = chunk[i];
            if (is_group) bad |= (uint32_t)(b < 1 || b > 18);
            else if (bits == 8) bad |= (uint32_t)(b == 0x80);
            else if (bits == 4) bad |= (uint32_t)(!(b & 15) || !(b >> 4));
            else bad |= b & b >> 1 & 0x55u; /* a code of 3 */
        }
        if (bad) return BT_WEIGHT_RANGE;
    }
    return BT_OK;
}

static bt_status check_sum(const bt_blob *blob) {
    uint32_t table[256], crc = 0xffffffffu;
    uint8_t chunk[CHUNK];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t entry = i;
        for (int bit = 0; bit < 8; bit++) entry = entry >> 1 ^ (entry & 1 ? 0xedb88320u : 0);
        table[i] = entry;
    }
    for (uint64_t at = 0; at < blob->source.size; at += CHUNK) {
        uint64_t left = blob->source.size - at;
        uint32_t bytes = left < CHUNK ? (uint32_t)left : CHUNK;
        bt_status status = bt_read(&blob->source, at, chunk, bytes);
        if (status) return status;
        for (uint32_t i = 0; i < 4; i++) { /* the sum itself counts as zeros */
            uint64_t own = blob->checksum_offset + i;
            if (own >= at && own < at + bytes) chunk[own - at] = 0;
        }
        for (uint32_t i = 0; i < bytes; i++) crc = crc >> 8 ^ table[(crc ^ chunk[i]) & 255];
    }
    return ~crc == blob->checksum ? BT_OK : BT_CHECKSUM;
}

bt_status bt_check_values(const bt_blob *blob) {
    bt_status status = check_sum(blob);
    for (int i = 0; i < BT_GLOBAL_TENSORS && !status; i++) {
        int matrix = i == BT_EMBED || i == BT_OUTPUT, scale = i == BT_EMBED_SCALE || i == BT_OUTPUT_SCALE;
        status = matrix ? check_weights(&blob->source, &blob->global[i], 8, 0)
                        : check_floats(&blob->source, &blob->global[i], scale);
    }
    for (uint32_t n = 0; n < blob->unique_blocks; n++) {
        for (int i = 0; i < BT_BLOCK_TENSORS && !status; i++) {
            bt_tensor tensor = blob->block[i];
            tensor.offset += n * blob->block_stride;
            int scale = i == BT_QKV_SCALE || i == BT_OUT_SCALE || i == BT_UP_SCALE || i == BT_DOWN_SCALE;
            status = i >= BT_QKV_GROUP ? check_weights(&blob->source, &tensor, blob->weight_bits, i < BT_QKV)
                                       : check_floats(&blob->source, &tensor, scale);
        }
    }
    return status;
}
