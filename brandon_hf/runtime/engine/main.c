/* brandon-engine: continue a text, answer, or chat in the terminal. */
#define _POSIX_C_SOURCE 200809L
#include "platform.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: brandon-engine MODEL.gguf [options]\n"
    "  -p TEXT              continue this text\n"
    "  --chat TEXT          answer this; without -p, --chat, --ids and --bench: a chat, line by line\n"
    "  --ids \"1 2 3\"        continue these token ids\n"
    "  -n N                 tokens to write at most (default: 256, in chats half the context)\n"
    "  -t TEMPERATURE       of sampling (default: 0, the most probable token)\n"
    "  -k N, --top-p P, --min-p P, --repetition-penalty X, --no-repeat-ngram N, --seed N\n"
    "  -c N                 tokens of context (default: the model's)\n"
    "  --kv f32|f16|i8      keys and values (default: f32)\n"
    "  --kernel best|portable|avx2|avx512\n"
    "  --weights resident|in-place|streamed\n"
    "  --print-ids          print the ids of the new tokens, not their text\n"
    "  --bench              print speed and memory, one key and value a line\n";

typedef struct {
    const char *model, *text, *chat, *ids;
    uint32_t most;
    int print_ids, bench;
    bt_options engine;
    bt_sampling sampling;
} arguments;

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number) {
    (void)signal_number;
    interrupted = 1;
}

static void fail(const char *what, const char *why) {
    fprintf(stderr, "brandon-engine: %s: %s\n", what, why);
    exit(2);
}

static void check(bt_status status, const char *what) {
    if (status) fail(what, status == BT_READ_FAILED && errno ? strerror(errno) : bt_message(status));
}

/* --- arguments ---------------------------------------------------------------------------------------------------- */

/* A value, which the last of the words lacks. */
static const char *given(const char *name, const char *value) {
    if (!value) fail(name, "needs a value");
    return value;
}

static uint64_t whole(const char *name, const char *text, uint64_t most) {
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(given(name, text), &end, 10);
    if (!*text || *end || errno || text[0] == '-' || value > most) fail(name, "needs a whole number in range");
    return value;
}

static float number(const char *name, const char *text) {
    char *end;
    const float value = strtof(given(name, text), &end);
    if (!*text || *end) fail(name, "needs a number");
    return value;
}

/* Which of the names, separated by '|', a text is. */
static int one_of(const char *name, const char *text, const char *names) {
    const size_t length = strlen(given(name, text));
    int index = 0;
    for (const char *at = names;; at = strchr(at, '|') + 1, index++) {
        if (length && !strncmp(at, text, length) && (at[length] == '|' || !at[length])) return index;
        if (!strchr(at, '|')) break;
    }
    fail(name, names);
    return 0;
}

static void set(arguments *a, const char *name, const char *value) {
    if (!strcmp(name, "-p")) a->text = given(name, value);
    else if (!strcmp(name, "--chat")) a->chat = given(name, value);
    else if (!strcmp(name, "--ids")) a->ids = given(name, value);
    else if (!strcmp(name, "-n")) a->most = (uint32_t)whole(name, value, UINT32_MAX);
    else if (!strcmp(name, "-t")) a->sampling.temperature = number(name, value);
    else if (!strcmp(name, "-k")) a->sampling.top_k = (uint32_t)whole(name, value, UINT32_MAX);
    else if (!strcmp(name, "--top-p")) a->sampling.top_p = number(name, value);
    else if (!strcmp(name, "--min-p")) a->sampling.min_p = number(name, value);
    else if (!strcmp(name, "--repetition-penalty")) a->sampling.repetition_penalty = number(name, value);
    else if (!strcmp(name, "--no-repeat-ngram")) a->sampling.no_repeat_ngram = (uint32_t)whole(name, value, UINT32_MAX);
    else if (!strcmp(name, "--seed")) a->sampling.seed = whole(name, value, UINT64_MAX);
    else if (!strcmp(name, "-c")) a->engine.context = (uint32_t)whole(name, value, BT_MAX_CONTEXT);
    else if (!strcmp(name, "--kv")) a->engine.kv = (bt_kv)one_of(name, value, "f32|f16|i8");
    else if (!strcmp(name, "--kernel"))
        a->engine.kernel = (bt_kernel)one_of(name, value, "best|portable|avx2|avx512|mmi");
    else if (!strcmp(name, "--weights"))
        a->engine.weights = (bt_weights)one_of(name, value, "resident|in-place|streamed");
    else {
        fprintf(stderr, "brandon-engine: unknown option %s (--help lists them)\n", name);
        exit(2);
    }
}

static arguments parse(int count, char **words) {
    arguments a = {0};
    a.engine = bt_default_options();
    a.sampling = bt_default_sampling();
    for (int i = 1; i < count; i++) {
        const char *word = words[i];
        if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
            fputs(USAGE, stdout);
            exit(0);
        }
        if (!strcmp(word, "--print-ids")) a.print_ids = 1;
        else if (!strcmp(word, "--bench")) a.bench = 1;
        else if (word[0] == '-') set(&a, word, words[++i]); /* NULL after the last */
        else if (a.model) fail(word, "one model is enough");
        else a.model = word;
    }
    if (!a.model) {
        fputs(USAGE, stderr);
        exit(2);
    }
    if (!!a.text + !!a.chat + !!a.ids + a.bench > 1) fail("-p, --chat, --ids, --bench", "choose one");
    return a;
}

/* --- output ------------------------------------------------------------------------------------------------------- */

/* A terminal obeys control characters, and a model may write any byte: none but tab and newline gets through. */
static void show(const char *text, uint32_t bytes) {
    static int held; /* 0xC2, which begins the control characters U+0080 to U+009F, and others */
    for (uint32_t i = 0; i < bytes; i++) {
        const unsigned char byte = (unsigned char)text[i];
        const int control = held ? byte >= 0x80 && byte < 0xa0
                                 : (byte < 32 && byte != '\n' && byte != '\t') || byte == 127;
        if (held && !control) putchar(0xc2);
        held = byte == 0xc2;
        if (!held && !control) putchar(byte);
    }
    fflush(stdout);
}

static int on_text(void *context, int32_t id, const char *text, uint32_t bytes) {
    (void)context, (void)id;
    show(text, bytes);
    return interrupted;
}

static int on_id(void *context, int32_t id, const char *text, uint32_t bytes) {
    int *first = context;
    (void)text, (void)bytes;
    printf(*first ? "%d" : " %d", id);
    *first = 0;
    fflush(stdout);
    return interrupted;
}

/* What follows a text that has started, or an answer. */
static void generate(bt_engine *engine, const arguments *a, uint32_t most, int started) {
    uint32_t made;
    int first = 1;
    const bt_status status = bt_generate(engine, most, started, a->print_ids ? on_id : on_text, &first, &made);
    putchar('\n');
    if (status != BT_STOPPED) check(status, "generation");
}

/* --- prompts ------------------------------------------------------------------------------------------------------ */

typedef struct {
    int32_t *ids;
    uint32_t count, capacity;
} prompt;

/* Room for the ids of a text: a byte gives one id at most, but a SentencePiece character map may lengthen a text. */
static prompt room_for(size_t bytes) {
    prompt p = {NULL, 0, 0};
    if (bytes < UINT32_MAX / 64) p.capacity = (uint32_t)(32 * bytes + 256);
    p.ids = p.capacity ? malloc(p.capacity * sizeof *p.ids) : NULL;
    if (!p.ids) fail("the prompt", "is too long");
    return p;
}

static void add_text(bt_engine *engine, prompt *p, const char *text, size_t bytes) {
    uint32_t more = 0;
    check(bt_encode(engine, text, bytes, 1, p->ids + p->count, p->capacity - p->count, &more), "the prompt");
    p->count += more;
}

static prompt text_prompt(bt_engine *engine, const char *text) {
    const bt_info *info = bt_get_info(engine);
    prompt p = room_for(strlen(text));
    if (info->add_bos && info->bos >= 0) p.ids[p.count++] = info->bos;
    add_text(engine, &p, text, strlen(text));
    return p;
}

static prompt ids_prompt(const char *text) {
    prompt p = room_for(strlen(text));
    for (char *end; *text; text = end) {
        const long id = strtol(text, &end, 10);
        if (end == text || id < 0 || id > INT32_MAX) fail("--ids", "needs token ids, with spaces between");
        p.ids[p.count++] = (int32_t)id;
        while (*end == ' ' || *end == ',') end++;
    }
    return p;
}

/* A question and the header of its answer; before it, unless it is the first, the end of the answer before. */
static prompt chat_prompt(bt_engine *engine, const char *question, int first) {
    static const char END[] = "<|im_end|>\n";
    prompt p = room_for(strlen(question));
    if (!first) add_text(engine, &p, END, sizeof END - 1);
    bt_status status = bt_chat(engine, "user", question, strlen(question), first, p.ids, p.capacity, &p.count);
    if (!status) status = bt_chat(engine, "assistant", NULL, 0, 0, p.ids, p.capacity, &p.count);
    check(status, "the question");
    return p;
}

static void answer(bt_engine *engine, const arguments *a, prompt p, uint32_t most, int started) {
    if (!p.count) fail("the prompt", "is empty");
    check(bt_eval(engine, p.ids, p.count), "the prompt");
    free(p.ids);
    generate(engine, a, most, started);
}

/* Questions line by line. The context holds the chat; when it is full, the chat begins anew. */
static void converse(bt_engine *engine, const arguments *a) {
    const uint32_t context = bt_get_info(engine)->context;
    const uint32_t most = a->most && a->most < context ? a->most : context / 2;
    const int terminal = isatty(STDIN_FILENO);
    char *line = NULL;
    size_t size = 0;
    if (!bt_get_info(engine)->chat) fail(a->model, bt_message(BT_NO_CHAT));
    for (;;) {
        if (terminal) fputs("> ", stdout), fflush(stdout);
        ssize_t length = getline(&line, &size, stdin);
        if (length < 0) break;
        while (length && (line[length - 1] == '\n' || line[length - 1] == '\r')) line[--length] = 0;
        if (!length) continue;
        prompt p = chat_prompt(engine, line, !bt_position(engine));
        if (bt_position(engine) && bt_position(engine) + p.count + most > context) {
            fputs("(the context is full: the chat begins anew)\n", stderr);
            check(bt_rewind(engine, 0), a->model);
            free(p.ids);
            p = chat_prompt(engine, line, 1);
        }
        if (p.count + most > context) {
            fprintf(stderr, "brandon-engine: the question has %u tokens, %u fit\n", p.count, context - most);
            free(p.ids);
            continue;
        }
        interrupted = 0;
        answer(engine, a, p, most, 0);
    }
    if (terminal) putchar('\n');
    free(line);
}

/* --- measuring ---------------------------------------------------------------------------------------------------- */

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds, the median of five, for `prompt` tokens at once and `decode` tokens one by one. */
static double time_run(bt_engine *engine, uint32_t count, int one_by_one) {
    double times[5];
    int32_t *ids = calloc(count, sizeof *ids);
    if (!ids) fail("--bench", "no memory");
    for (uint32_t i = 0; i < count; i++) ids[i] = (int32_t)(i * 7919u % bt_get_info(engine)->vocab);
    for (int run = 0; run < 5; run++) {
        check(bt_rewind(engine, 0), "--bench");
        if (one_by_one) check(bt_eval(engine, ids, 1), "--bench");
        const double start = seconds();
        if (!one_by_one) check(bt_eval(engine, ids, count), "--bench");
        for (uint32_t i = 0; one_by_one && i < count; i++) {
            int32_t id;
            check(bt_sample(engine, &id), "--bench");
            check(bt_eval(engine, &id, 1), "--bench");
        }
        times[run] = seconds() - start;
    }
    free(ids);
    qsort(times, 5, sizeof *times, compare);
    return times[2];
}

static void print_peak(void) {
    char line[256];
    unsigned long kilobytes;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %lu kB", &kilobytes) == 1) printf("peak_resident_bytes %lu\n", kilobytes * 1024);
    if (status) fclose(status);
}

static void bench(bt_engine *engine) {
    static const char *const KERNELS[] = {"best", "portable", "avx2", "avx512", "mmi"};
    const bt_info *info = bt_get_info(engine);
    const uint32_t decode = info->context > 128 ? 128 : info->context - 1;
    const uint32_t prefill = info->context > 480 ? 480 : info->context;
    printf("kernel %s\n", KERNELS[info->kernel]);
    printf("decode_tokens %u\ndecode_tokens_per_second %.1f\n", decode, decode / time_run(engine, decode, 1));
    printf("prompt_tokens %u\nprompt_tokens_per_second %.1f\n", prefill, prefill / time_run(engine, prefill, 0));
    printf("arena_bytes %zu\nweight_bytes %zu\nkv_bytes %zu\n", info->arena_bytes, info->weight_bytes, info->kv_bytes);
    printf("tokenizer_bytes %zu\nactivation_bytes %zu\n", info->tokenizer_bytes, info->activation_bytes);
    print_peak();
}

int main(int count, char **words) {
    const arguments a = parse(count, words);
    const uint32_t most = a.most ? a.most : 256;
    bt_host *host = NULL;
    check(bt_host_open(&host, a.model, &a.engine), a.model);
    bt_engine *engine = bt_host_engine(host);
    check(bt_set_sampling(engine, &a.sampling), "sampling");
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt; /* reading a line ends by it, too */
    sigaction(SIGINT, &action, NULL);
    if (a.bench) bench(engine);
    else if (a.ids) answer(engine, &a, ids_prompt(a.ids), most, 1);
    else if (a.text) answer(engine, &a, text_prompt(engine, a.text), most, 1);
    else if (a.chat) answer(engine, &a, chat_prompt(engine, a.chat, 1), most, 0);
    else converse(engine, &a);
    bt_host_close(host);
    return interrupted ? 130 : 0;
}
