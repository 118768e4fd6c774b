/* Opens blobs for test_runtime_malformed.py: answers each line "OPERATION NUMBER NUMBER PATH" with statuses. A copy of
 * a file, or of a part of it, has memory of its very size, and so has an arena: a sanitizer sees what goes beyond. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "brandon.h"

typedef struct {
    const bt_source *memory;
    uint32_t reads_left; /* then it fails */
} disc;

static int read_disc(void *context, uint64_t offset, void *to, uint32_t count) {
    disc *d = context;
    if (!d->reads_left || offset > d->memory->size || count > d->memory->size - offset) return 0;
    d->reads_left--;
    memcpy(to, d->memory->data + offset, count);
    return 1;
}

static void must(int holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

static bt_status open_engine(const bt_source *source, const bt_options *options, bt_engine **engine, void **arena) {
    bt_info info;
    *arena = NULL;
    bt_status status = bt_measure(source, options, &info);
    if (status) return status;
    *arena = malloc(info.arena_bytes);
    return bt_open(engine, source, options, *arena, info.arena_bytes);
}

static bt_status open_and_use(const bt_source *source, uint32_t cache) {
    bt_options options = bt_default_options();
    bt_engine *engine;
    void *arena;
    int32_t ids[64];
    uint32_t count = 0;
    options.kv = (bt_kv)cache;
    bt_status status = open_engine(source, &options, &engine, &arena);
    if (!status) status = bt_encode(engine, "Abc\td \xff", 7, 1, ids, 64, &count);
    if (!status) status = bt_eval(engine, ids, count);
    if (!status) status = bt_sample(engine, ids);
    free(arena);
    return status;
}

static int stop(void *context, int32_t id, const char *text, uint32_t bytes) {
    (void)context, (void)id, (void)text, (void)bytes;
    return 1;
}

/* What the calls refuse, in the order of the statuses' numbers; and that they leave everything as it was. */
static void misuse(const bt_source *source) {
    bt_options options = bt_default_options(), odd = options;
    bt_info info;
    bt_engine *e;
    void *arena;
    int32_t ids[80] = {0}, id;
    const int32_t below[1] = {-1}, beyond[1] = {(int32_t)BT_MAX_VOCAB};
    uint32_t count = 0;
    options.longest_word = 4;
    must(!open_engine(source, &options, &e, &arena), "the blob is good");
    info = *bt_get_info(e);
    printf("%d ", bt_open(&e, source, &options, arena, info.arena_bytes - 1));
    must(!bt_open(&e, source, &options, arena, info.arena_bytes), "the arena can be used again");
    odd.context = info.context + 1;
    printf("%d ", bt_measure(source, &odd, &info));
    bt_sampling sampling = bt_default_sampling();
    sampling.top_p = 0.0f / (float)count; /* NaN */
    printf("%d ", bt_set_sampling(e, &sampling));
    printf("%d ", bt_eval(e, ids, 65));
    printf("%d %d ", bt_eval(e, below, 1), bt_score(e, beyond, 1, NULL, NULL));
    printf("%d ", bt_encode(e, "a b c d", 7, 0, ids, 2, &count));
    must(count > 2, "the count says how many are needed");
    count = 1;
    printf("%d ", bt_chat(e, "user", "a b c", 5, 1, ids, 6, &count));
    must(count == 1, "a chat that does not fit appends nothing");
    printf("%d ", bt_encode(e, "abcdefgh", 8, 0, ids, 64, &count));
    printf("%d ", bt_sample(e, &id));
    must(bt_position(e) == 0 && !bt_logits(e), "what is refused leaves no trace");
    must(!bt_eval(e, ids, 1), "what is right goes on");
    must(!bt_sample(e, &id), "there is a most probable token");
    sampling.top_p = 1.0f;
    for (int i = 0; i < 8; i++) { /* as cold as can be, and nothing but the most probable remains */
        int32_t cold;
        static const float COLD[4] = {1.0e-45f, 1.0e-39f, 1.0e-30f, 1.0e-6f};
        sampling.temperature = COLD[i % 4];
        sampling.seed = (uint64_t)i;
        must(!bt_set_sampling(e, &sampling) && !bt_rewind(e, 0) && !bt_eval(e, ids, 1), "a low temperature is allowed");
        must(!bt_sample(e, &cold) && cold == id, "the colder, the more often the most probable");
    }
    must(!bt_rewind(e, 0) && !bt_eval(e, ids, 1), "what is right goes on");
    printf("%d", bt_generate(e, 4, 0, stop, NULL, &count));
    must(count == 1, "the token that was reported counts");
    free(arena);
}

int main(void) {
    char operation[16], path[4096];
    unsigned from, step;
    while (scanf("%15s %u %u %4095[^\n]", operation, &from, &step, path) == 4) {
        FILE *file = fopen(path, "rb");
        must(file && !fseek(file, 0, SEEK_END), "the file can be read");
        const size_t size = (size_t)ftell(file);
        uint8_t *data = malloc(size ? size : 1);
        rewind(file);
        must(fread(data, 1, size, file) == size, "the file can be read");
        fclose(file);
        const bt_source memory = {size, data, NULL, NULL};
        disc d = {&memory, 0xffffffffu};
        const bt_source from_disc = {size, NULL, read_disc, &d};
        if (!strcmp(operation, "open")) { /* with caches of type `from` */
            printf("%d %d", open_and_use(&memory, from), open_and_use(&from_disc, from));
        } else if (!strcmp(operation, "cut")) { /* at `from`, and every `step` bytes after */
            for (size_t cut = from; cut < size; cut += step) {
                uint8_t *part = malloc(cut ? cut : 1);
                memcpy(part, data, cut);
                const bt_source short_one = {cut, part, NULL, NULL};
                printf("%d ", open_and_use(&short_one, 0));
                free(part);
            }
        } else if (!strcmp(operation, "fail")) { /* after `from` reads, and `step` more, until it does not */
            bt_status status = BT_READ_FAILED;
            for (uint32_t reads = from; status; reads += step) {
                d.reads_left = reads;
                printf("%d ", status = open_and_use(&from_disc, 0));
            }
        } else {
            misuse(&memory);
        }
        puts("");
        fflush(stdout);
        free(data);
    }
    return 0;
}
