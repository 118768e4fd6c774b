/* The container: GGUF version 3, read byte by byte, as strings and 64-bit fields stand at any address and some
 * processors trap on that. Every count is checked against the size of the file before it is used. Here are its keys;
 * the table of tensors is in tensors.c. */
#include "engine.h"

enum { GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY,
       GGUF_U64, GGUF_I64, GGUF_F64, GGUF_TYPES };

static const uint8_t TYPE_SIZE[GGUF_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/* --- keys --------------------------------------------------------------------------------------------------------- */

/* What is read of a value of any type. */
typedef struct {
    uint32_t type, element; /* of an array: the type of its elements */
    uint32_t number;        /* integers of up to 32 bits, and the bits of a float */
    bt_span span;           /* strings and arrays */
    char text[24];          /* strings that are short */
} value;

enum { KEY_ARCHITECTURE, KEY_ALIGNMENT, KEY_VERSION, KEY_CHECKSUM, KEY_FEATURES, KEY_BITS, KEY_VOCAB, KEY_WIDTH,
       KEY_FFN, KEY_LAYERS, KEY_UNIQUE, KEY_REPEAT, KEY_LOOPS, KEY_HEADS, KEY_KV_HEADS, KEY_HEAD_SIZE, KEY_EPS,
       KEY_ROPE_BASE, KEY_REGISTERS, KEY_CONTEXT, KEY_CHAT, KEY_STOPS, KEY_MODEL, KEY_TOKENS, KEY_TYPES, REQUIRED_KEYS,
       KEY_PRE = REQUIRED_KEYS, KEY_MERGES, KEY_SCORES, KEY_CHARSMAP, KEY_SPACE_PREFIX, KEY_REMOVE_SPACES, KEY_BOS,
       KEY_EOS, KEY_PAD, KEY_UNKNOWN, KEY_EOT, KEY_ADD_BOS, KEYS };

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

static bt_span get_span(bt_reader *r, uint32_t type, uint64_t count) {
    bt_span span = {r->offset, count, 0};
    if (type == GGUF_STRING) {
        for (uint64_t i = 0; i < count && !r->status; i++) bt_skip(r, bt_get_u64(r));
    } else if (count > r->end / TYPE_SIZE[type]) {
        r->status = BT_TRUNCATED;
    } else {
        bt_skip(r, count * TYPE_SIZE[type]);
    }
    span.bytes = r->offset - span.offset;
    return span;
}

static value get_value(bt_reader *r) {
    value v = {0};
    uint8_t b[8];
    v.type = bt_get_u32(r);
    if (r->status) return v;
    if (v.type == GGUF_STRING) {
        uint64_t start = r->offset, length = bt_get_u64(r);
        v.span.offset = r->offset, v.span.count = v.span.bytes = length;
        bt_skip(r, length);
        if (!r->status && length < sizeof v.text) {
            r->offset = start;
            bt_get_text(r, v.text, sizeof v.text);
        }
    } else if (v.type == GGUF_ARRAY) {
        v.element = bt_get_u32(r);
        uint64_t count = bt_get_u64(r);
        if (v.element >= GGUF_TYPES || v.element == GGUF_ARRAY) r->status = r->status ? r->status : BT_KEY_TYPE;
        else v.span = get_span(r, v.element, count);
    } else if (v.type < GGUF_TYPES) {
        bt_fill(b, 0, sizeof b);
        v.span.offset = r->offset;
        bt_get(r, b, TYPE_SIZE[v.type]);
        v.number = bt_u32(b);
    } else {
        r->status = BT_KEY_TYPE;
    }
    return v;
}

static bt_status get_keys(bt_reader *r, uint64_t count, value *values) {
    uint8_t seen[KEYS];
    bt_fill(seen, 0, sizeof seen);
    for (uint64_t n = 0; n < count; n++) {
        char name[64];
        bt_get_text(r, name, sizeof name);
        value v = get_value(r);
        if (r->status) return r->status;
        int key = 0;
        while (key < KEYS && !bt_same(name, KEY[key].name)) key++;
        if (key == KEYS) {
            if (bt_begins(name, OURS)) return BT_FEATURE_UNKNOWN;
            continue;
        }
        if (seen[key]) return BT_KEY_REPEATED;
        if (v.type != KEY[key].type || (v.type == GGUF_ARRAY && v.element != KEY[key].element)) return BT_KEY_TYPE;
        seen[key] = 1;
        values[key] = v;
        if (key == KEY_ARCHITECTURE && !bt_same(v.text, "brandon-tiny")) return BT_NOT_BRANDON;
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
    if (bt_same(v[KEY_MODEL].text, "llama")) blob->sentencepiece = 1;
    else if (!bt_same(v[KEY_MODEL].text, "gpt2") || !bt_same(v[KEY_PRE].text, "brandon")) return BT_TOKENIZER_KIND;
    const char *chat = v[KEY_CHAT].text;
    if (!bt_same(chat, "none")) {
        blob->chat_format = bt_same(chat, "chatml") ? 1 : bt_same(chat, "chatml-spaced") ? 2 : 0;
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

/* --- the file ----------------------------------------------------------------------------------------------------- */

bt_status bt_parse(bt_blob *blob, const bt_source *source) {
    bt_reader r;
    value values[KEYS];
    uint8_t magic[4];
    bt_fill(blob, 0, sizeof *blob);
    bt_fill(values, 0xff, sizeof values); /* a type no value has: absent */
    for (int i = 0; i < KEYS; i++) values[i].number = 0, values[i].text[0] = 0, values[i].span.count = 0;
    blob->source = *source;
    bt_read_from(&r, source, 0, source->size);
    bt_get(&r, magic, 4);
    if (r.status == BT_READ_FAILED) return r.status;
    if (r.status || !bt_equal(magic, "GGUF", 4)) return BT_NOT_GGUF;
    uint32_t version = bt_get_u32(&r);
    uint64_t tensors = bt_get_u64(&r), keys = bt_get_u64(&r);
    if (r.status) return r.status;
    if (version != 3) return BT_GGUF_VERSION;
    bt_status status = get_keys(&r, keys, values);
    if (!status) status = take_shape(blob, values);
    if (!status) status = take_tokenizer(blob, values, source);
    if (!status) status = bt_parse_tensors(&r, tensors, blob);
    blob->checksum = values[KEY_CHECKSUM].number;
    blob->checksum_offset = values[KEY_CHECKSUM].span.offset;
    return status;
}
