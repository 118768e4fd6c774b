/* The container: GGUF version 3, read byte by byte, as strings and 64-bit fields stand at any address and some
 * processors trap on that. Every count is checked against the size of the file before it is used. */
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

/* --- a cursor over the header, which reads ahead ----------------------------------------------------------------- */

enum { GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY,
       GGUF_U64, GGUF_I64, GGUF_F64, GGUF_TYPES };
enum { GGML_F32 = 0, GGML_I8 = 24 };

static const uint8_t TYPE_SIZE[GGUF_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

typedef struct {
    const bt_source *source;
    uint64_t offset;
    bt_status status; /* the first that went wrong; zeros are read from then on */
    uint64_t window_start;
    uint32_t window_bytes;
    uint8_t window[512];
} cursor;

static void get(cursor *c, void *to, uint32_t count) {
    uint8_t *bytes = to;
    while (count && !c->status) {
        if (c->offset < c->window_start || c->offset >= c->window_start + c->window_bytes) {
            uint64_t left = c->offset < c->source->size ? c->source->size - c->offset : 0;
            c->window_start = c->offset;
            c->window_bytes = left < sizeof c->window ? (uint32_t)left : (uint32_t)sizeof c->window;
            c->status = left ? bt_read(c->source, c->offset, c->window, c->window_bytes) : BT_TRUNCATED;
            if (c->status) break;
        }
        uint32_t at = (uint32_t)(c->offset - c->window_start), part = c->window_bytes - at;
        if (part > count) part = count;
        bt_copy(bytes, c->window + at, part);
        c->offset += part, bytes += part, count -= part;
    }
    if (c->status) bt_fill(bytes, 0, count);
}

static uint32_t get_u32(cursor *c) {
    uint8_t b[4];
    get(c, b, 4);
    return bt_u32(b);
}

static uint64_t get_u64(cursor *c) {
    uint8_t b[8];
    get(c, b, 8);
    return bt_u64(b);
}

static void skip(cursor *c, uint64_t count) {
    if (c->status) return;
    if (count > c->source->size - c->offset) c->status = BT_TRUNCATED;
    else c->offset += count;
}

/* The first `capacity` - 1 bytes of a string as text; zeros in it become bytes that no name has. */
static void get_text(cursor *c, char *text, uint32_t capacity) {
    const uint64_t length = get_u64(c);
    const uint32_t kept = length < capacity ? (uint32_t)length : capacity - 1;
    get(c, text, kept);
    skip(c, length - kept);
    for (uint32_t i = 0; i < kept; i++) text[i] = text[i] ? text[i] : '\x7f';
    text[c->status ? 0 : kept] = 0;
}

static bt_span get_span(cursor *c, uint32_t type, uint64_t count) {
    bt_span span = {c->offset, count, 0};
    if (type == GGUF_STRING) {
        for (uint64_t i = 0; i < count && !c->status; i++) skip(c, get_u64(c));
    } else if (count > c->source->size / TYPE_SIZE[type]) {
        c->status = BT_TRUNCATED;
    } else {
        skip(c, count * TYPE_SIZE[type]);
    }
    span.bytes = c->offset - span.offset;
    return span;
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

/* What is read of a value of any type. */
typedef struct {
    uint32_t type, element; /* of an array: the type of its elements */
    uint32_t number;        /* integers of up to 32 bits, and the bits of a float */
    bt_span span;           /* strings and arrays */
    char text[24];          /* strings that are short */
} value;

enum { KEY_ARCHITECTURE, KEY_ALIGNMENT, KEY_VERSION, KEY_CHECKSUM, KEY_FEATURES, KEY_BITS, KEY_VOCAB, KEY_WIDTH,
       KEY_FFN,
       KEY_LAYERS, KEY_UNIQUE, KEY_REPEAT, KEY_LOOPS, KEY_HEADS, KEY_KV_HEADS, KEY_HEAD_SIZE, KEY_EPS, KEY_ROPE_BASE,
       KEY_REGISTERS, KEY_CONTEXT, KEY_CHAT, KEY_STOPS, KEY_MODEL, KEY_TOKENS, KEY_TYPES, REQUIRED_KEYS,
       KEY_PRE = REQUIRED_KEYS, KEY_MERGES, KEY_SCORES, KEY_CHARSMAP, KEY_SPACE_PREFIX, KEY_REMOVE_SPACES, KEY_BOS,
       KEY_EOS,
       KEY_PAD, KEY_UNKNOWN, KEY_EOT, KEY_ADD_BOS, KEYS };

#define OURS "brandon-tiny."
#define TOKENIZER "tokenizer.ggml."
static const struct {
    const char *name;
    uint8_t type, element;
} KEY[KEYS] = {
    {"general.architecture", GGUF_STRING, 0},
    {"general.alignment", GGUF_U32, 0},
    {OURS "blob_version", GGUF_U32, 0},
    {OURS "checksum", GGUF_U32, 0},
    {OURS "features", GGUF_U32, 0},
    {OURS "weight_bits", GGUF_U32, 0},
    {OURS "vocab_size", GGUF_U32, 0},
    {OURS "embedding_length", GGUF_U32, 0},
    {OURS "feed_forward_length", GGUF_U32, 0},
    {OURS "block_count", GGUF_U32, 0},
    {OURS "unique_block_count", GGUF_U32, 0},
    {OURS "block_repeat", GGUF_U32, 0},
    {OURS "loop_count", GGUF_U32, 0},
    {OURS "attention.head_count", GGUF_U32, 0},
    {OURS "attention.head_count_kv", GGUF_U32, 0},
    {OURS "attention.key_length", GGUF_U32, 0},
    {OURS "attention.layer_norm_rms_epsilon", GGUF_F32, 0},
    {OURS "rope.freq_base", GGUF_F32, 0},
    {OURS "register_count", GGUF_U32, 0},
    {OURS "context_length", GGUF_U32, 0},
    {OURS "chat_format", GGUF_STRING, 0},
    {OURS "stop_token_ids", GGUF_ARRAY, GGUF_I32},
    {TOKENIZER "model", GGUF_STRING, 0},
    {TOKENIZER "tokens", GGUF_ARRAY, GGUF_STRING},
    {TOKENIZER "token_type", GGUF_ARRAY, GGUF_I32},
    {TOKENIZER "pre", GGUF_STRING, 0},
    {TOKENIZER "merges", GGUF_ARRAY, GGUF_STRING},
    {TOKENIZER "scores", GGUF_ARRAY, GGUF_F32},
    {TOKENIZER "precompiled_charsmap", GGUF_ARRAY, GGUF_U8},
    {TOKENIZER "add_space_prefix", GGUF_BOOL, 0},
    {TOKENIZER "remove_extra_whitespaces", GGUF_BOOL, 0},
    {TOKENIZER "bos_token_id", GGUF_U32, 0},
    {TOKENIZER "eos_token_id", GGUF_U32, 0},
    {TOKENIZER "padding_token_id", GGUF_U32, 0},
    {TOKENIZER "unknown_token_id", GGUF_U32, 0},
    {TOKENIZER "eot_token_id", GGUF_U32, 0},
    {TOKENIZER "add_bos_token", GGUF_BOOL, 0},
};

static int same(const char *a, const char *b) {
    size_t length = bt_length(a);
    return length == bt_length(b) && bt_equal(a, b, length);
}

static int begins(const char *text, const char *with) {
    size_t length = bt_length(with);
    return bt_length(text) >= length && bt_equal(text, with, length);
}

static value get_value(cursor *c) {
    value v = {0};
    uint8_t b[8];
    v.type = get_u32(c);
    if (c->status) return v;
    if (v.type == GGUF_STRING) {
        uint64_t start = c->offset, length = get_u64(c);
        v.span.offset = c->offset, v.span.count = v.span.bytes = length;
        skip(c, length);
        if (!c->status && length < sizeof v.text) {
            c->offset = start;
            get_text(c, v.text, sizeof v.text);
        }
    } else if (v.type == GGUF_ARRAY) {
        v.element = get_u32(c);
        uint64_t count = get_u64(c);
        if (v.element >= GGUF_TYPES || v.element == GGUF_ARRAY) c->status = c->status ? c->status : BT_KEY_TYPE;
        else v.span = get_span(c, v.element, count);
    } else if (v.type < GGUF_TYPES) {
        bt_fill(b, 0, sizeof b);
        v.span.offset = c->offset;
        get(c, b, TYPE_SIZE[v.type]);
        v.number = bt_u32(b);
    } else {
        c->status = BT_KEY_TYPE;
    }
    return v;
}

static bt_status get_keys(cursor *c, uint64_t count, value *values) {
    uint8_t seen[KEYS];
    bt_fill(seen, 0, sizeof seen);
    for (uint64_t n = 0; n < count; n++) {
        char name[64];
        get_text(c, name, sizeof name);
        value v = get_value(c);
        if (c->status) return c->status;
        int key = 0;
        while (key < KEYS && !same(name, KEY[key].name)) key++;
        if (key == KEYS) {
            if (begins(name, OURS)) return BT_FEATURE_UNKNOWN;
            continue;
        }
        if (seen[key]) return BT_KEY_REPEATED;
        if (v.type != KEY[key].type || (v.type == GGUF_ARRAY && v.element != KEY[key].element)) return BT_KEY_TYPE;
        seen[key] = 1;
        values[key] = v;
        if (key == KEY_ARCHITECTURE && !same(v.text, "brandon-tiny")) return BT_NOT_BRANDON;
        if (key == KEY_VERSION && v.number != 1) return BT_BLOB_VERSION;
    }
    for (int key = 0; key < REQUIRED_KEYS; key++)
        if (!seen[key]) return key == KEY_ARCHITECTURE ? BT_NOT_BRANDON : BT_KEY_MISSING;
    return BT_OK;
}

/* A float from its bits, 0 if it is not a finite number. */
static float finite(uint32_t bits) {
    union {
        uint32_t bits;
        float number;
    } u = {bits};
    return (bits >> 23 & 255) == 255 ? 0.0f : u.number;
}

static int32_t special(const value *v, uint32_t vocab, bt_status *status) {
    if (v->type != GGUF_U32) return -1; /* absent */
    if (v->number >= vocab) *status = BT_TOKEN_ID;
    return (int32_t)v->number;
}

static bt_status take_shape(bt_blob *blob, const value *v) {
    const struct {
        uint32_t *field;
        int key;
        uint32_t least, most;
    } range[] = {
        {&blob->vocab, KEY_VOCAB, 1, BT_MAX_VOCAB},        {&blob->width, KEY_WIDTH, 1, BT_MAX_WIDTH},
        {&blob->feed_forward, KEY_FFN, 1, BT_MAX_WIDTH},   {&blob->layers, KEY_LAYERS, 1, BT_MAX_LAYERS},
        {&blob->unique_blocks, KEY_UNIQUE, 1, BT_MAX_LAYERS}, {&blob->block_repeat, KEY_REPEAT, 1, BT_MAX_LAYERS},
        {&blob->loops, KEY_LOOPS, 1, BT_MAX_LAYERS},       {&blob->heads, KEY_HEADS, 1, BT_MAX_WIDTH},
        {&blob->kv_heads, KEY_KV_HEADS, 1, BT_MAX_WIDTH},  {&blob->head_size, KEY_HEAD_SIZE, 2, BT_MAX_WIDTH},
        {&blob->registers, KEY_REGISTERS, 0, BT_MAX_REGISTERS}, {&blob->context, KEY_CONTEXT, 1, BT_MAX_CONTEXT},
    };
    for (size_t i = 0; i < sizeof range / sizeof *range; i++) {
        uint32_t number = v[range[i].key].number;
        if (number < range[i].least) return BT_KEY_VALUE;
        if (number > range[i].most) return BT_TOO_LARGE;
        *range[i].field = number;
    }
    blob->features = v[KEY_FEATURES].number;
    blob->weight_bits = v[KEY_BITS].number;
    blob->eps = finite(v[KEY_EPS].number);
    if (blob->features & ~(uint32_t)BT_ALL_FEATURES) return BT_FEATURE_UNKNOWN;
    const uint32_t f = blob->features, bits = blob->weight_bits;
    const uint32_t both = BT_VALUE_RESIDUAL_ADD | BT_VALUE_RESIDUAL_LEARNED;
    const uint32_t looping = BT_STEP_EMBEDDING | BT_LOOP_FEEDBACK | BT_RESONANCE_GATE;
    if (blob->heads % blob->kv_heads || blob->layers % blob->loops || blob->head_size % 2) return BT_KEY_VALUE;
    const uint32_t in_loop = blob->layers / blob->loops;
    if (blob->block_repeat > in_loop || blob->unique_blocks != (in_loop + blob->block_repeat - 1) / blob->block_repeat)
        return BT_KEY_VALUE;
    if ((f & both) == both || ((f & looping) && blob->loops == 1) || ((f & BT_RESONANCE_GATE) && !blob->registers))
        return BT_KEY_VALUE;
    if (!(blob->eps > 0.0f) || !(finite(v[KEY_ROPE_BASE].number) > 0.0f)) return BT_KEY_VALUE;
    if ((bits != 8 && bits != 4 && bits != 2) || v[KEY_ALIGNMENT].number != BT_ALIGNMENT)
        return bits != 8 && bits != 4 && bits != 2 ? BT_KEY_VALUE : BT_TENSOR_ALIGNMENT;
    /* the heads may be wider than the model */
    if ((uint64_t)blob->heads * blob->head_size > BT_MAX_WIDTH) return BT_TOO_LARGE;
    const uint32_t pack = bits == 4 ? 16 : bits == 2 ? 4 : 1;
    if (blob->width % pack || blob->feed_forward % pack || blob->heads * blob->head_size % pack) return BT_KEY_VALUE;
    return BT_OK;
}

static bt_status take_tokenizer(bt_blob *blob, const value *v, const bt_source *source) {
    bt_status status = BT_OK;
    const uint32_t vocab = blob->vocab;
    if (same(v[KEY_MODEL].text, "llama")) blob->sentencepiece = 1;
    else if (!same(v[KEY_MODEL].text, "gpt2") || !same(v[KEY_PRE].text, "brandon")) return BT_TOKENIZER_KIND;
    if (!same(v[KEY_CHAT].text, "none")) {
        blob->chat_format = same(v[KEY_CHAT].text, "chatml") ? 1 : same(v[KEY_CHAT].text, "chatml-spaced") ? 2 : 0;
        if (blob->chat_format != (blob->sentencepiece ? 2 : 1)) return BT_KEY_VALUE;
    }
    blob->tokens = v[KEY_TOKENS].span;
    blob->token_types = v[KEY_TYPES].span;
    blob->merges = v[KEY_MERGES].span;
    blob->scores = v[KEY_SCORES].span;
    blob->charsmap = v[KEY_CHARSMAP].span;
    if (blob->tokens.count != vocab || blob->token_types.count != vocab) return BT_KEY_VALUE;
    if (blob->sentencepiece ? blob->scores.count != vocab : blob->scores.count != 0) return BT_KEY_VALUE;
    if (!blob->sentencepiece && v[KEY_MERGES].type != GGUF_ARRAY) return BT_KEY_MISSING;
    blob->add_bos = v[KEY_ADD_BOS].number != 0;
    blob->add_space_prefix = v[KEY_SPACE_PREFIX].type == GGUF_BOOL ? v[KEY_SPACE_PREFIX].number != 0 : 1;
    blob->remove_extra_whitespaces = v[KEY_REMOVE_SPACES].type == GGUF_BOOL ? v[KEY_REMOVE_SPACES].number != 0 : 1;
    blob->bos = special(&v[KEY_BOS], vocab, &status);
    blob->eos = special(&v[KEY_EOS], vocab, &status);
    blob->pad = special(&v[KEY_PAD], vocab, &status);
    blob->unknown = special(&v[KEY_UNKNOWN], vocab, &status);
    blob->end_of_turn = special(&v[KEY_EOT], vocab, &status);
    if (blob->add_bos && blob->bos < 0) return BT_TOKEN_ID;
    if (v[KEY_STOPS].span.count > BT_MAX_STOPS) return BT_TOO_LARGE;
    blob->stop_count = (uint32_t)v[KEY_STOPS].span.count;
    for (uint32_t i = 0; i < blob->stop_count; i++) {
        uint8_t b[4];
        if (bt_read(source, v[KEY_STOPS].span.offset + 4 * i, b, 4)) return BT_READ_FAILED;
        if (bt_u32(b) >= vocab) return BT_TOKEN_ID;
        blob->stops[i] = (int32_t)bt_u32(b);
    }
    return status;
}

/* --- tensors ------------------------------------------------------------------------------------------------------ */

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
    if (!begins(name, "blk.")) return -1;
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
        if (list[i].rows && same(rest, list[i].name)) {
            uint32_t place = before + present + (in < 0 ? 0 : (uint32_t)in * in_block);
            return place < number ? BT_TENSOR_REPEATED : BT_TENSOR_MISSING;
        }
        present += list[i].rows != 0;
    }
    return BT_TENSOR_UNKNOWN;
}

/* Read one row of the table and compare it with what must stand there; *offset counts on to the next tensor. */
static bt_status get_tensor(cursor *c, const expected *e, bt_tensor *tensor, uint64_t *offset) {
    const uint32_t dimensions = get_u32(c);
    if (dimensions != 1 && dimensions != 2) return c->status ? c->status : BT_TENSOR_SHAPE;
    uint64_t columns = get_u64(c), rows = dimensions == 2 ? get_u64(c) : 1;
    uint32_t type = get_u32(c);
    uint64_t at = get_u64(c);
    if (c->status) return c->status;
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

static bt_status get_table(cursor *c, uint64_t count, bt_blob *blob) {
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
            get_text(c, name, sizeof name);
            if (c->status) return c->status;
            int named = block_number(name, &rest);
            if (named != (int)in - 1 || !same(rest, list[i].name)) return misplaced(name, number, globals, block, blob);
            bt_tensor tensor;
            bt_status status = get_tensor(c, &list[i], &tensor, &offset);
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
        get_text(c, name, sizeof name);
        return c->status ? c->status : misplaced(name, number, globals, block, blob);
    }
    const uint64_t data = (c->offset + BT_ALIGNMENT - 1) / BT_ALIGNMENT * BT_ALIGNMENT;
    if (data > c->source->size || offset > c->source->size - data) return BT_TRUNCATED;
    if (offset < c->source->size - data) return BT_TENSOR_OVERLAP; /* something follows the last tensor */
    for (int i = 0; i < BT_GLOBAL_TENSORS; i++)
        if (globals[i].rows) blob->global[i].offset += data;
    for (int i = 0; i < BT_BLOCK_TENSORS; i++)
        if (block[i].rows) blob->block[i].offset += data;
    return BT_OK;
}

bt_status bt_parse(bt_blob *blob, const bt_source *source) {
    cursor c;
    value values[KEYS];
    uint8_t magic[4];
    bt_fill(blob, 0, sizeof *blob);
    bt_fill(values, 0xff, sizeof values); /* a type no value has: absent */
    for (int i = 0; i < KEYS; i++) values[i].number = 0, values[i].text[0] = 0, values[i].span.count = 0;
    blob->source = *source;
    c.source = source;
    c.offset = c.window_start = 0;
    c.window_bytes = 0;
    c.status = BT_OK;
    get(&c, magic, 4);
    if (c.status == BT_READ_FAILED) return c.status;
    if (c.status || !bt_equal(magic, "GGUF", 4)) return BT_NOT_GGUF;
    uint32_t version = get_u32(&c);
    uint64_t tensors = get_u64(&c), keys = get_u64(&c);
    if (c.status) return c.status;
    if (version != 3) return BT_GGUF_VERSION;
    bt_status status = get_keys(&c, keys, values);
    if (!status) status = take_shape(blob, values);
    if (!status) status = take_tokenizer(blob, values, source);
    if (!status) status = get_table(&c, tensors, blob);
    blob->checksum = values[KEY_CHECKSUM].number;
    blob->checksum_offset = values[KEY_CHECKSUM].span.offset;
    return status;
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
