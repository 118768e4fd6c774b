/* The public calls, on top of the blob, the tokenizer, the model and the sampler. */
#include "engine.h"

const char *bt_message(bt_status status) {
    switch (status) {
    case BT_OK: return "no error";
    case BT_READ_FAILED: return "the file cannot be read";
    case BT_NOT_GGUF: return "this is no GGUF file";
    case BT_GGUF_VERSION: return "the GGUF version is not 3";
    case BT_NOT_BRANDON: return "general.architecture is not brandon-tiny";
    case BT_BLOB_VERSION: return "brandon-tiny.blob_version is not 1: this engine is older than the file";
    case BT_TRUNCATED: return "the file ends before what it announces: it is cut off or damaged";
    case BT_KEY_MISSING: return "a required key is missing";
    case BT_KEY_TYPE: return "a key has a type that the format does not give it";
    case BT_KEY_REPEATED: return "a key stands twice";
    case BT_KEY_VALUE: return "a key's value is out of range or contradicts another";
    case BT_FEATURE_UNKNOWN: return "the model has a feature that this engine does not know";
    case BT_TENSOR_MISSING: return "a tensor is missing or not at its place";
    case BT_TENSOR_REPEATED: return "a tensor stands twice";
    case BT_TENSOR_UNKNOWN: return "there is a tensor that the format does not name";
    case BT_TENSOR_SHAPE: return "a tensor has a shape that the hyper-parameters do not give it";
    case BT_TENSOR_TYPE: return "a tensor has a type that the format does not give it";
    case BT_TENSOR_ALIGNMENT: return "a tensor does not begin at a multiple of 2048";
    case BT_TENSOR_OVERLAP: return "tensors overlap or do not follow each other";
    case BT_CHECKSUM: return "the checksum is wrong: the file is damaged";
    case BT_NOT_FINITE: return "a tensor holds a number that is not finite, or a negative scale";
    case BT_WEIGHT_RANGE: return "a tensor holds a weight that the format forbids";
    case BT_TOKENIZER_KIND: return "the tokenizer is of a kind that this engine does not know";
    case BT_TOKEN_STRING: return "a token is empty, too long, repeated or misspelled";
    case BT_TOKEN_ID: return "a special token's id is not in the vocabulary";
    case BT_TOKEN_TYPE: return "a token has an unknown type";
    case BT_MERGE: return "a merge does not name tokens, or stands twice";
    case BT_BYTE_MISSING: return "the vocabulary lacks a byte";
    case BT_SCORE: return "a token's score is not finite";
    case BT_CHARSMAP: return "the tokenizer's character map is damaged";
    case BT_TOO_LARGE: return "the model is larger than this engine is made for";
    case BT_ARENA_TOO_SMALL: return "the memory given is too small";
    case BT_OPTION: return "an option is out of range, or this build or processor lacks it";
    case BT_CONTEXT_FULL: return "the tokens do not fit into the context";
    case BT_BAD_TOKEN: return "a token id is not in the vocabulary";
    case BT_BUFFER_TOO_SMALL: return "the buffer is too small";
    case BT_WORD_TOO_LONG: return "a word of the text is longer than the tokenizer has room for";
    case BT_NO_CHAT: return "the model has no chat format";
    case BT_NO_LOGITS: return "there are no logits: evaluate a token first";
    case BT_STOPPED: return "stopped by the caller";
    }
    return "unknown error";
}

bt_options bt_default_options(void) {
    bt_options options = {0};
    return options;
}

/* The options with their defaults filled in, or BT_OPTION. */
static bt_status settle(const bt_options *given, const bt_blob *blob, bt_options *options, const bt_kernels **kernels) {
    *options = *given;
    if (!options->context) options->context = blob->context;
    if (!options->batch) options->batch = 24;
    if (!options->longest_word) options->longest_word = BT_LONGEST_WORD;
    if (options->context > blob->context || options->batch > 32 || options->longest_word > 1u << 20) return BT_OPTION;
    if ((unsigned)options->kv > BT_KV_I8 || (unsigned)options->weights > BT_WEIGHTS_STREAMED) return BT_OPTION;
    if (options->weights == BT_WEIGHTS_IN_PLACE && !blob->source.data) return BT_OPTION;
    *kernels = bt_find_kernels(options->kernel);
    if (options->weights != BT_WEIGHTS_RESIDENT && *kernels && (*kernels)->tiled) /* tiles are made while loading */
        *kernels = options->kernel == BT_KERNEL_BEST ? bt_find_kernels(BT_KERNEL_PORTABLE) : NULL;
    return *kernels ? BT_OK : BT_OPTION;
}

/* Hand out the arena, or count it where its base is NULL. */
static bt_status build(bt_engine **made, const bt_source *source, const bt_options *given, bt_arena *arena,
                       bt_info *info) {
    bt_engine counted;
    bt_engine *e = bt_take(arena, sizeof *e);
    if (!e) e = &counted;
    bt_fill(e, 0, sizeof *e);
    bt_fill(info, 0, sizeof *info);
    bt_status status = bt_parse(&e->blob, source);
    if (!status) status = settle(given, &e->blob, &e->options, &e->kernels);
    if (!status && arena->base && !e->options.skip_checks) status = bt_check_values(&e->blob);
    if (status) return status;
    const bt_blob *b = &e->blob;
    e->history = bt_take(arena, e->options.context * sizeof(int32_t));
    e->logits = bt_take(arena, ((size_t)b->vocab + 15) / 16 * 16 * sizeof(float));
    e->order = bt_take(arena, b->vocab * sizeof(uint32_t));
    const size_t own = arena->used;
    status = bt_tokenizer_open(&e->tokenizer, b, &e->options, arena);
    if (status) return status;
    info->tokenizer_bytes = arena->used - own;
    status = bt_model_open(&e->model, b, &e->options, e->kernels, arena, info);
    if (status) return status;
    info->activation_bytes += own;
    info->arena_bytes = arena->used;
    info->vocab = b->vocab, info->width = b->width, info->feed_forward = b->feed_forward, info->layers = b->layers;
    info->unique_blocks = b->unique_blocks, info->block_repeat = b->block_repeat, info->loops = b->loops;
    info->heads = b->heads, info->kv_heads = b->kv_heads, info->head_size = b->head_size;
    info->registers = b->registers, info->context = e->options.context, info->features = b->features;
    info->weight_bits = b->weight_bits;
    info->bos = b->bos, info->eos = b->eos, info->pad = b->pad, info->end_of_turn = b->end_of_turn;
    info->add_bos = b->add_bos, info->chat = b->chat_format != 0, info->kernel = e->kernels->kind;
    if (arena->base) {
        e->info = *info;
        *made = e;
    }
    return BT_OK;
}

bt_status bt_measure(const bt_source *source, const bt_options *options, bt_info *info) {
    bt_arena arena = {NULL, 0, 0};
    bt_engine *none = NULL;
    return build(&none, source, options, &arena, info);
}

bt_status bt_open(bt_engine **engine, const bt_source *source, const bt_options *options, void *memory, size_t size) {
    bt_info info;
    bt_status status = bt_measure(source, options, &info); /* nothing is handed out of an arena that is too small */
    if (status) return status;
    if (!memory || size < info.arena_bytes) return BT_ARENA_TOO_SMALL;
    bt_fill(memory, 0, info.arena_bytes); /* what pads rows and caches counts as zeros */
    bt_arena arena = {memory, 0, size};
    bt_engine *made = NULL;
    status = build(&made, source, options, &arena, &info);
    if (status) return status;
    made->info.arena_bytes = size;
    const bt_sampling sampling = bt_default_sampling();
    status = bt_set_sampling(made, &sampling);
    if (!status) *engine = made;
    return status;
}

const bt_info *bt_get_info(const bt_engine *engine) { return &engine->info; }

float *bt_logits(bt_engine *engine) { return engine->has_logits ? engine->logits : NULL; }

uint32_t bt_position(const bt_engine *engine) { return engine->position; }

bt_status bt_rewind(bt_engine *engine, uint32_t position) {
    if (position > engine->position) return BT_CONTEXT_FULL;
    engine->has_logits = engine->has_logits && position == engine->position;
    engine->position = position;
    return BT_OK;
}

/* --- evaluation --------------------------------------------------------------------------------------------------- */

/* The log-probability of `id` by the logits, which are used up, and whether it is the most probable. */
static float log_probability(const bt_engine *e, float *logits, int32_t id, uint8_t *greedy) {
    const uint32_t vocab = e->blob.vocab;
    const float own = logits[id];
    float most = logits[0];
    for (uint32_t i = 1; i < vocab; i++) most = logits[i] > most ? logits[i] : most;
    *greedy = own >= most;
    return own - most - bt_log(e->kernels->exponentials(logits, vocab));
}

bt_status bt_score(bt_engine *e, const int32_t *ids, uint32_t count, float *log_probabilities, uint8_t *greedy) {
    if (count > e->options.context - e->position) return BT_CONTEXT_FULL;
    for (uint32_t i = 0; i < count; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= e->blob.vocab) return BT_BAD_TOKEN;
    for (uint32_t start = 0; start < count;) {
        const uint32_t left = count - start, rows = left < e->options.batch ? left : e->options.batch;
        e->has_logits = 0; /* until all is done */
        bt_status status = bt_model_forward(e->model, ids + start, rows, e->position + start);
        for (uint32_t row = log_probabilities ? 0 : rows - 1; row < rows && !status; row++) {
            const uint32_t next = start + row + 1;
            if (!log_probabilities && next < count) continue;
            status = bt_model_logits(e->model, row, e->logits);
            if (!status && next < count)
                log_probabilities[next - 1] = log_probability(e, e->logits, ids[next], &greedy[next - 1]);
        }
        if (status) return status;
        start += rows;
    }
    bt_copy(e->history + e->position, ids, count * sizeof *ids);
    e->position += count;
    e->has_logits = e->has_logits || count;
    return BT_OK;
}

bt_status bt_eval(bt_engine *e, const int32_t *ids, uint32_t count) { return bt_score(e, ids, count, NULL, NULL); }

/* --- text --------------------------------------------------------------------------------------------------------- */

bt_status bt_encode(bt_engine *e, const char *text, size_t bytes, int specials, int32_t *ids, uint32_t capacity,
                    uint32_t *count) {
    return bt_tokenizer_encode(e->tokenizer, text, bytes, specials, ids, capacity, count);
}

bt_status bt_decode_next(const bt_engine *e, int32_t id, int specials, int *started, char *text, uint32_t capacity,
                         uint32_t *bytes) {
    return bt_tokenizer_decode(e->tokenizer, id, specials, started, text, capacity, bytes);
}

int bt_is_stop(const bt_engine *e, int32_t id) {
    for (uint32_t i = 0; i < e->blob.stop_count; i++)
        if (e->blob.stops[i] == id) return 1;
    return 0;
}

/* Append a piece of a chat, with its special tokens or as plain text. */
static bt_status append(bt_engine *e, const char *text, size_t bytes, int specials, int32_t *ids, uint32_t capacity,
                        uint32_t *count) {
    uint32_t made = 0;
    bt_status status = bt_tokenizer_encode(e->tokenizer, text, bytes, specials, ids + *count, capacity - *count, &made);
    if (!status) *count += made;
    return status;
}

bt_status bt_chat(bt_engine *e, const char *role, const char *content, size_t bytes, int first, int32_t *ids,
                  uint32_t capacity, uint32_t *count) {
    static const char START[] = "<|im_start|>", END[] = "<|im_end|>\n";
    const size_t length = bt_length(role);
    char header[64];
    if (!e->blob.chat_format) return BT_NO_CHAT;
    for (size_t i = 0; i < length; i++) /* no special token can be spelled in a role */
        if (!((role[i] | 32) >= 'a' && (role[i] | 32) <= 'z') && !(role[i] >= '0' && role[i] <= '9') && role[i] != '_')
            return BT_OPTION;
    if (length > sizeof header - sizeof START - 1 || *count > capacity) return BT_BUFFER_TOO_SMALL;
    bt_copy(header, START, sizeof START - 1);
    bt_copy(header + sizeof START - 1, role, length);
    header[sizeof START - 1 + length] = '\n';
    uint32_t made = *count; /* *count stays as it is if anything fails */
    if (first && e->blob.chat_format == 1 && e->blob.bos >= 0) {
        if (made == capacity) return BT_BUFFER_TOO_SMALL;
        ids[made++] = e->blob.bos;
    }
    bt_status status = append(e, header, sizeof START + length, 1, ids, capacity, &made);
    if (!status && content) status = append(e, content, bytes, 0, ids, capacity, &made);
    if (!status && content) status = append(e, END, sizeof END - 1, 1, ids, capacity, &made);
    if (!status) *count = made;
    return status;
}

bt_status bt_generate(bt_engine *e, uint32_t most, int started, bt_on_token on_token, void *context, uint32_t *made) {
    bt_status status = BT_OK;
    for (*made = 0; *made < most && !status;) {
        int32_t id;
        status = bt_sample(e, &id);
        if (status) break;
        char text[BT_LONGEST_TOKEN];
        uint32_t bytes = 0;
        if (bt_decode_next(e, id, 0, &started, text, sizeof text, &bytes)) bytes = 0;
        ++*made;
        if (on_token && on_token(context, id, text, bytes)) status = BT_STOPPED;
        if (bt_is_stop(e, id) || e->position == e->options.context) break;
        if (!status) status = bt_eval(e, &id, 1);
    }
    return status;
}
