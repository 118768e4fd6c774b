/* A fuzz target: whatever the file and the text, the engine must answer with a status and touch only its own memory.
 *
 * An input is a program for it: a byte that chooses the blob, options, edits of the blob, then calls. The blob is the
 * rest of the input itself, or one of the seeds (SEEDS, a folder that seeds.py writes), edited or not; the checksum is
 * left out or made right, so that edits get past it. bt_take is wrapped by the linker (-Wl,--wrap=bt_take): each piece
 * of the arena is followed by poisoned bytes, so that AddressSanitizer sees a piece's end, not just the arena's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

#define LARGEST_ARENA (64u << 20)
#define LARGEST_SEED (1u << 20)
#define MOST_SEEDS 8
#define RED_ZONE 64u

void __asan_poison_memory_region(void const volatile *at, size_t bytes);
void __asan_unpoison_memory_region(void const volatile *at, size_t bytes);
void *__real_bt_take(bt_arena *arena, size_t bytes);
void *__wrap_bt_take(bt_arena *arena, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "the engine broke a promise: %s\n", what);
    abort();
}

void *__wrap_bt_take(bt_arena *arena, size_t bytes) {
    uint8_t *piece = __real_bt_take(arena, bytes);
    uint8_t *zone = __real_bt_take(arena, RED_ZONE);
    if (piece && zone) __asan_poison_memory_region(piece + bytes, (size_t)(zone + RED_ZONE - (piece + bytes)));
    return piece;
}

/* --- the input, from its front; zeros after its end --------------------------------------------------------------- */

typedef struct {
    const uint8_t *at;
    size_t left;
} input;

static uint32_t take_byte(input *in) {
    if (!in->left) return 0;
    in->left--;
    return *in->at++;
}

static uint32_t take_number(input *in, int bytes) {
    uint32_t number = 0;
    while (bytes--) number = number << 8 | take_byte(in);
    return number;
}

static float take_float(input *in) {
    static const float ODD[8] = {0.0f, 1.0f, 0.5f, 1.0e-38f, 1.0e6f, 0.999999f, 1.1f, -1.0f};
    union {
        uint32_t bits;
        float number;
    } u;
    const uint32_t kind = take_byte(in);
    if (kind < 128) return ODD[kind & 7];
    u.bits = take_number(in, 4);
    return u.number;
}

/* --- seeds ------------------------------------------------------------------------------------------------------- */

typedef struct {
    uint8_t *data;
    size_t size;
} bytes;

static bytes seeds[MOST_SEEDS];
static size_t seed_headers[MOST_SEEDS];
static uint32_t seed_count;

static bytes read_whole(const char *path) {
    bytes whole = {NULL, 0};
    FILE *file = fopen(path, "rb");
    if (!file) return whole;
    whole.data = malloc(LARGEST_SEED);
    whole.size = whole.data ? fread(whole.data, 1, LARGEST_SEED, file) : 0;
    fclose(file);
    return whole;
}

static void load_seeds(void) {
    char path[4096];
    for (uint32_t i = 0; i < MOST_SEEDS && seed_count == i; i++) {
        snprintf(path, sizeof path, "%s/%u.gguf", SEEDS, i);
        seeds[i] = read_whole(path);
        if (!seeds[i].data) break;
        const bt_source source = {seeds[i].size, seeds[i].data, NULL, NULL};
        bt_blob parsed;
        must(bt_parse(&parsed, &source) == BT_OK, "the seeds are right");
        seed_headers[i] = (size_t)parsed.global[BT_EMBED_SCALE].offset;
        seed_count++;
    }
    must(seed_count > 0, "there are seeds");
}

/* Overwrite, insert, delete or cut off; mostly in the header, as the rest is numbers. */
static void edit(input *in, bytes *blob, size_t header) {
    static const uint8_t ODD[8] = {0, 1, 0xff, 0x80, 0x7f, 2, 0xfe, 32};
    for (uint32_t edits = take_byte(in) & 15; edits--;) {
        const uint32_t kind = take_byte(in), length = 1 + (kind >> 4 & 7);
        const size_t among = kind & 8 || header > blob->size ? blob->size : header;
        if (blob->size <= 16) return;
        size_t at = take_number(in, 3) % among;
        const size_t room = blob->size - at < length ? blob->size - at : length;
        switch (kind & 7) {
        case 0: case 1: case 2: /* any bytes */
            for (size_t i = 0; i < room; i++) blob->data[at + i] = (uint8_t)take_byte(in);
            break;
        case 3: /* one odd value */
            memset(blob->data + at, ODD[take_byte(in) & 7], room);
            break;
        case 4:
            memmove(blob->data + at + length, blob->data + at, blob->size - at);
            for (uint32_t i = 0; i < length; i++) blob->data[at + i] = (uint8_t)take_byte(in);
            blob->size += length;
            break;
        case 5:
            memmove(blob->data + at, blob->data + at + room, blob->size - at - room);
            blob->size -= room;
            break;
        case 6: /* a piece of the header copied elsewhere: names and values change places */
            memmove(blob->data + at, blob->data + take_number(in, 3) % (among - room + 1), room);
            break;
        default:
            if (kind > 240) blob->size = at;
        }
    }
}

static void make_checksum_right(const bytes *data) {
    bt_source source = {data->size, data->data, NULL, NULL};
    static uint32_t table[256];
    bt_blob blob;
    uint32_t crc = 0xffffffffu;
    if (bt_parse(&blob, &source)) return;
    for (uint32_t i = 0; i < 256 && !table[255]; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
    }
    must(blob.checksum_offset + 4 <= data->size, "the checksum is in the file");
    memset(data->data + blob.checksum_offset, 0, 4);
    for (size_t i = 0; i < data->size; i++) crc = crc >> 8 ^ table[(crc ^ data->data[i]) & 255];
    for (int i = 0; i < 4; i++) data->data[blob.checksum_offset + (size_t)i] = (uint8_t)(~crc >> 8 * i);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

typedef struct {
    const bytes *data;
    uint32_t reads_left; /* then reading fails */
} disc;

static int read_disc(void *context, uint64_t offset, void *to, uint32_t count) {
    disc *d = context;
    must(offset <= d->data->size && count <= d->data->size - offset, "reads stay in the file");
    if (!d->reads_left) return 0;
    d->reads_left--;
    memcpy(to, d->data->data + offset, count);
    return 1;
}

static int known(bt_status status) { return strcmp(bt_message(status), "unknown error") != 0; }

static bt_options take_options(input *in) {
    static const uint32_t CONTEXT[8] = {0, 1, 2, 16, 33, 64, 1u << 20, 0xffffffffu};
    static const uint32_t BATCH[8] = {0, 1, 2, 7, 24, 32, 33, 0xffffffffu};
    static const uint32_t WORD[8] = {0, 1, 2, 3, 16, 64, 1u << 20, 0xffffffffu};
    bt_options options = bt_default_options();
    const uint32_t a = take_byte(in), b = take_byte(in), c = take_byte(in);
    options.context = CONTEXT[a & 7];
    options.batch = BATCH[a >> 3 & 7];
    options.longest_word = WORD[b & 7];
    options.kv = (bt_kv)(b >> 3 & 3);
    options.weights = (bt_weights)(b >> 5 & 3);
    options.kernel = (bt_kernel)(c % 5);
    options.skip_checks = c >> 3 & 1;
    return options;
}

/* --- calls -------------------------------------------------------------------------------------------------------- */

#define IDS 256u

typedef struct {
    bt_engine *engine;
    uint32_t vocab, called;
    int32_t *ids;
    uint32_t count; /* of ids, from the last text */
} session;

static void check_ids(const session *s, const int32_t *ids, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) must(ids[i] >= 0 && (uint32_t)ids[i] < s->vocab, "ids are in the vocabulary");
}

/* A piece of the input in memory of its own, so that reading beyond it is seen. */
static char *take_text(input *in, uint32_t *length) {
    const uint32_t asked = take_byte(in);
    *length = asked < in->left ? asked : (uint32_t)in->left;
    if (asked == 255 && in->left) *length = (uint32_t)in->left;
    char *text = malloc(*length + 1);
    must(text != NULL, "there is memory");
    if (*length) memcpy(text, in->at, *length);
    text[*length] = 0;
    in->at += *length, in->left -= *length;
    return text;
}

static void encode(session *s, input *in) {
    uint32_t length, made = 0;
    const uint32_t flags = take_byte(in);
    const uint32_t capacity = flags & 2 ? flags >> 2 : IDS;
    char *text = take_text(in, &length), *exact = malloc(length ? length : 1), *back = malloc(IDS * BT_LONGEST_TOKEN);
    int32_t *ids = malloc((capacity ? capacity : 1) * sizeof *ids);
    must(exact && back && ids, "there is memory");
    memcpy(exact, text, length);
    const bt_status status = bt_encode(s->engine, exact, length, flags & 1, ids, capacity, &made);
    must(known(status), "statuses are known");
    if (!status) must(made <= capacity, "ids fit");
    if (status == BT_BUFFER_TOO_SMALL) must(made > capacity, "the count says how many are needed");
    s->count = status ? 0 : made;
    check_ids(s, ids, s->count);
    memcpy(s->ids, ids, s->count * sizeof *ids);
    uint32_t decoded = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t part = 0;
        int started = 1;
        must(!bt_decode_next(s->engine, ids[i], 1, &started, back + decoded, BT_LONGEST_TOKEN, &part),
             "a token can be decoded");
        must(part <= BT_LONGEST_TOKEN, "a token's bytes fit");
        decoded += part;
    }
    if (!status && !s->engine->blob.sentencepiece)
        must(decoded == length && !memcmp(back, text, length), "byte-level decoding gives the text back");
    free(text), free(exact), free(back), free(ids);
}

static void chat(session *s, input *in) {
    const uint32_t flags = take_byte(in), capacity = flags & 2 ? flags >> 2 : IDS;
    uint32_t role_length, length, made = flags & 4 ? take_byte(in) % IDS : 0;
    char *role = take_text(in, &role_length), *content = take_text(in, &length);
    int32_t *ids = calloc(capacity ? capacity : 1, sizeof *ids);
    must(ids != NULL, "there is memory");
    const uint32_t before = made;
    const bt_status status = bt_chat(s->engine, role, flags & 8 ? NULL : content, length, flags & 1, ids, capacity,
                                     &made);
    must(known(status), "statuses are known");
    if (before <= capacity) {
        must(status || (made >= before && made <= capacity), "ids fit");
        must(!status || made == before, "what failed has appended nothing");
        check_ids(s, ids, status ? 0 : made);
        if (!status) memcpy(s->ids, ids, (s->count = made) * sizeof *ids);
    }
    free(role), free(content), free(ids);
}

static void evaluate(session *s, input *in, int scored) {
    const uint32_t count = take_byte(in) % 40, from = bt_position(s->engine);
    const int wild = take_byte(in) == 255;
    int32_t ids[40];
    float scores[40];
    uint8_t greedy[40];
    for (uint32_t i = 0; i < count; i++) {
        if (i < s->count) ids[i] = s->ids[i];
        else ids[i] = (int32_t)(take_number(in, wild ? 4 : 2) % (wild ? 0xffffffffu : s->vocab));
    }
    const bt_status status = scored ? bt_score(s->engine, ids, count, scores, greedy) : bt_eval(s->engine, ids, count);
    must(known(status), "statuses are known");
    must(bt_position(s->engine) == (status ? from : from + count), "the position counts what was evaluated");
    if (!status && count) must(bt_logits(s->engine) != NULL, "there are logits");
}

static int on_token(void *context, int32_t id, const char *text, uint32_t count) {
    session *s = context;
    volatile char seen = 0;
    check_ids(s, &id, 1);
    for (uint32_t i = 0; i < count; i++) seen = text[i];
    (void)seen;
    return ++s->called > 20;
}

static void sample(session *s, input *in) {
    const uint32_t most = take_byte(in) % 20;
    bt_sampling sampling = bt_default_sampling();
    int32_t id;
    sampling.repetition_penalty = take_float(in);
    sampling.no_repeat_ngram = take_byte(in) < 200 ? take_byte(in) % 5 : take_number(in, 4);
    sampling.temperature = take_float(in);
    sampling.top_k = take_byte(in) < 200 ? take_byte(in) : take_number(in, 4);
    sampling.top_p = take_float(in);
    sampling.min_p = take_float(in);
    sampling.seed = take_number(in, 4);
    must(known(bt_set_sampling(s->engine, &sampling)), "statuses are known");
    for (int again = 0; again < 2; again++)
        if (!bt_sample(s->engine, &id)) check_ids(s, &id, 1);
    uint32_t made = 0;
    s->called = 0;
    must(known(bt_generate(s->engine, most, s->count & 1, on_token, s, &made)), "statuses are known");
    must(made <= most, "no more tokens than asked for");
}

static void call(session *s, input *in) {
    char text[BT_LONGEST_TOKEN];
    uint32_t count;
    int started;
    switch (take_byte(in) & 7) {
    case 0: case 1: encode(s, in); break;
    case 2: chat(s, in); break;
    case 3: evaluate(s, in, 0); break;
    case 4: evaluate(s, in, 1); break;
    case 5: sample(s, in); break;
    case 6: must(known(bt_rewind(s->engine, take_byte(in))), "statuses are known"); break;
    default:
        count = take_byte(in), started = (int)(count & 4);
        must(known(bt_decode_next(s->engine, (int32_t)take_number(in, count & 1 ? 4 : 2), count & 2, &started, text,
                                  count, &count)),
             "statuses are known");
    }
}

/* Open a blob both ways, which must agree, and use it. */
static void use(const bytes *blob, const bt_options *options, uint32_t reads, input *in) {
    bt_source source = {blob->size, blob->data, NULL, NULL};
    disc d = {blob, 0xffffffffu};
    const bt_source from_disc = {blob->size, NULL, read_disc, &d};
    bt_info info, other;
    bt_status status = bt_measure(&source, options, &info);
    const bt_status again = bt_measure(&from_disc, options, &other);
    must(known(status), "statuses are known");
    if (options->weights != BT_WEIGHTS_IN_PLACE) must(status == again, "memory and disc give the same status");
    if (status || info.arena_bytes > LARGEST_ARENA) return;
    /* odd addresses must do */
    const size_t shift = take_byte(in) & 7;
    uint8_t *arena = malloc(info.arena_bytes + shift);
    must(arena != NULL, "there is memory");
    session s = {NULL, info.vocab, 0, NULL, 0};
    s.ids = malloc(IDS * sizeof *s.ids);
    must(s.ids != NULL, "there is memory");
    must(bt_open(&s.engine, &source, options, arena + shift, info.arena_bytes - 1) != BT_OK, "too small is refused");
    if (reads && options->weights != BT_WEIGHTS_IN_PLACE) {
        d.reads_left = reads == 255 ? 0xffffffffu : 4 * reads;
        source = from_disc;
    }
    __asan_unpoison_memory_region(arena, info.arena_bytes + shift);
    status = bt_open(&s.engine, &source, options, arena + shift, info.arena_bytes);
    must(known(status), "statuses are known");
    for (int calls = 0; !status && calls < 24 && in->left; calls++) call(&s, in);
    __asan_unpoison_memory_region(arena, info.arena_bytes + shift);
    free(s.ids), free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, size};
    if (!seed_count) load_seeds();
    const uint32_t kind = take_byte(&in);
    const bt_options options = take_options(&in);
    const uint32_t reads = take_byte(&in);
    bytes blob = {NULL, 0};
    if ((kind & 3) == 0) { /* the rest of the input, in memory of its size; its last bytes are the calls too */
        blob.data = malloc(in.left ? in.left : 1);
        blob.size = in.left;
        must(blob.data != NULL, "there is memory");
        memcpy(blob.data, in.at, in.left);
        if (in.left > 64) in.at += in.left - 64, in.left = 64;
    } else {
        const uint32_t chosen = (kind >> 2) % seed_count;
        const bytes *seed = &seeds[chosen];
        bytes edited = {malloc(seed->size + 256), seed->size};
        must(edited.data != NULL, "there is memory");
        memcpy(edited.data, seed->data, seed->size);
        if ((kind & 3) > 1) edit(&in, &edited, seed_headers[chosen]);
        blob.data = malloc(edited.size ? edited.size : 1); /* of its very size */
        blob.size = edited.size;
        must(blob.data != NULL, "there is memory");
        memcpy(blob.data, edited.data, edited.size);
        free(edited.data);
    }
    if (!options.skip_checks) make_checksum_right(&blob);
    use(&blob, &options, reads, &in);
    free(blob.data);
    return 0;
}
