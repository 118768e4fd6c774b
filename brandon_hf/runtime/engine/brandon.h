/* The Brandon-Tiny engine: reads the GGUF blobs that `brandon export` writes and generates text from them.
 *
 * C99 without dependencies. Nothing is allocated: the caller gives one arena, whose size bt_measure tells before. No
 * double, no recursion, no libc call in the engine proper (platform_*.c and main.c are the hosts). The format is
 * specified in docs/blob-format.md.
 *
 *     bt_options options = bt_default_options();
 *     bt_info info;
 *     bt_measure(&source, &options, &info);            // checks the blob; info.arena_bytes is what it needs
 *     bt_open(&engine, &source, &options, arena, info.arena_bytes);
 *     bt_encode(engine, "Once", 4, 1, ids, 64, &n);
 *     bt_eval(engine, ids, n);                          // bt_logits(engine) are those of the last token
 */
#ifndef BRANDON_H
#define BRANDON_H

#include <stddef.h>
#include <stdint.h>

/* What can go wrong; each has a sentence in bt_message. The numbers are stable. */
typedef enum {
    BT_OK = 0,
    /* the blob */
    BT_READ_FAILED = 1,       /* the source's read callback failed, or the file ends early */
    BT_NOT_GGUF = 2,          /* no GGUF magic */
    BT_GGUF_VERSION = 3,      /* not version 3 */
    BT_NOT_BRANDON = 4,       /* general.architecture is not brandon-tiny */
    BT_BLOB_VERSION = 5,      /* brandon-tiny.blob_version is not one this engine reads */
    BT_TRUNCATED = 6,         /* a count or length reaches beyond the end of the file */
    BT_KEY_MISSING = 7,       /* a required key is missing */
    BT_KEY_TYPE = 8,          /* a key has another type than the format says */
    BT_KEY_REPEATED = 9,      /* a key stands twice */
    BT_KEY_VALUE = 10,        /* a hyper-parameter is out of range or contradicts another */
    BT_FEATURE_UNKNOWN = 11,  /* brandon-tiny.features has a bit this engine does not know */
    BT_TENSOR_MISSING = 12,
    BT_TENSOR_REPEATED = 13,
    BT_TENSOR_UNKNOWN = 14,   /* a tensor that the format does not name */
    BT_TENSOR_SHAPE = 15,
    BT_TENSOR_TYPE = 16,
    BT_TENSOR_ALIGNMENT = 17, /* an offset is no multiple of the alignment, or the alignment is not 2048 */
    BT_TENSOR_OVERLAP = 18,   /* tensors overlap or stand in another order than the format's */
    BT_CHECKSUM = 19,
    BT_NOT_FINITE = 20,       /* a float tensor holds NaN or infinity, or a scale is negative */
    BT_WEIGHT_RANGE = 21,     /* an int8 weight of -128, or a packed code that is forbidden */
    BT_TOKENIZER_KIND = 22,   /* tokenizer.ggml.model or .pre is unknown */
    BT_TOKEN_STRING = 23,     /* a token is empty, too long, repeated, or no spelling of bytes */
    BT_TOKEN_ID = 24,         /* a special id is outside the vocabulary */
    BT_TOKEN_TYPE = 25,
    BT_MERGE = 26,            /* a merge does not name tokens, or stands twice */
    BT_BYTE_MISSING = 27,     /* the vocabulary lacks one of the 256 bytes */
    BT_SCORE = 28,            /* a score is not finite */
    BT_CHARSMAP = 29,         /* the character map is damaged */
    BT_TOO_LARGE = 30,        /* a shape beyond what the engine is made for (see BT_MAX_*) */
    /* calls */
    BT_ARENA_TOO_SMALL = 40,
    BT_OPTION = 41,           /* an option is out of range or not built in */
    BT_CONTEXT_FULL = 42,     /* the tokens do not fit into the context */
    BT_BAD_TOKEN = 43,        /* a token id outside the vocabulary */
    BT_BUFFER_TOO_SMALL = 44, /* the caller's buffer; *count says how much is needed where that is known */
    BT_WORD_TOO_LONG = 45,    /* a piece of text longer than options.longest_word bytes without a cut */
    BT_NO_CHAT = 46,          /* the blob has no chat format */
    BT_NO_LOGITS = 47,        /* nothing has been evaluated yet */
    BT_STOPPED = 48           /* a callback asked to stop */
} bt_status;

const char *bt_message(bt_status status);

#define BT_MAX_WIDTH 4096u     /* hidden and feed-forward units, heads times head size */
#define BT_MAX_LAYERS 128u     /* applications of blocks in one loop, and in all */
#define BT_MAX_VOCAB 262144u
#define BT_MAX_CONTEXT 65536u
#define BT_MAX_REGISTERS 64u
#define BT_MAX_STOPS 8u

/* Where the bytes of a blob come from: memory, or a callback (a disc). */
typedef struct {
    uint64_t size;       /* of the file */
    const uint8_t *data; /* all of it, at any alignment; or NULL */
    /* Copies `count` bytes at `offset`; not 0 if it could. Used where data is NULL. */
    int (*read)(void *context, uint64_t offset, void *to, uint32_t count);
    void *context;
} bt_source;

typedef enum { BT_KV_F32 = 0, BT_KV_F16 = 1, BT_KV_I8 = 2 } bt_kv;

/* Where the weights stand while the engine runs. */
typedef enum {
    BT_WEIGHTS_RESIDENT = 0, /* copied into the arena, in the order the kernel likes: the fastest */
    BT_WEIGHTS_IN_PLACE = 1, /* used where source.data has them; portable and MMI kernels only */
    BT_WEIGHTS_STREAMED = 2  /* blocks are read one at a time whenever they are applied; embeddings stay resident */
} bt_weights;

typedef enum {
    BT_KERNEL_BEST = 0, /* the fastest this processor has */
    BT_KERNEL_PORTABLE = 1,
    BT_KERNEL_AVX2 = 2,
    BT_KERNEL_AVX512 = 3, /* with VNNI */
    BT_KERNEL_MMI = 4     /* R5900 */
} bt_kernel;

typedef struct {
    uint32_t context;      /* tokens that fit; 0: the blob's */
    uint32_t batch;        /* tokens computed at once in a prompt, at most 32; 0: 24 */
    uint32_t longest_word; /* bytes of text without a cut that bt_encode accepts; 0: 16384 */
    bt_kv kv;
    bt_weights weights;
    bt_kernel kernel;
    int skip_checks;       /* leave out the checksum and the scan of all values, which read the whole file */
} bt_options;

bt_options bt_default_options(void);

typedef struct {
    uint32_t vocab, width, feed_forward, layers, unique_blocks, block_repeat, loops, heads, kv_heads, head_size;
    uint32_t registers, context, features, weight_bits;
    int32_t bos, eos, pad, end_of_turn; /* token ids, -1 where there is none */
    int add_bos;                        /* whether plain texts begin with bos */
    int chat;                           /* whether the blob has a chat format */
    bt_kernel kernel;                   /* the one that will run */
    /* bytes of the arena, by what they hold */
    size_t arena_bytes, weight_bytes, kv_bytes, tokenizer_bytes, activation_bytes;
} bt_info;

typedef struct bt_engine bt_engine;

/* Parse a blob and say how large an arena it needs. Uses a few kB of stack and nothing else. */
bt_status bt_measure(const bt_source *source, const bt_options *options, bt_info *info);

/* Check all values of a blob and build an engine in the arena (of any alignment). The source must outlive the engine
 * unless the weights are resident. */
bt_status bt_open(bt_engine **engine, const bt_source *source, const bt_options *options, void *arena, size_t size);

const bt_info *bt_get_info(const bt_engine *engine);

/* --- evaluation ------------------------------------------------------------------------------------------------- */

/* Append tokens to the context and compute the logits after the last of them. On an error nothing is appended. */
bt_status bt_eval(bt_engine *engine, const int32_t *ids, uint32_t count);

/* As bt_eval, and for each token but the first of `ids`: its log-probability (nats) after those before it, and
 * whether it was the most probable. Each array has count - 1 entries. */
bt_status bt_score(bt_engine *engine, const int32_t *ids, uint32_t count, float *log_probabilities, uint8_t *greedy);

/* `vocab` logits after the last token, or NULL before the first. The sampler changes them in place. */
float *bt_logits(bt_engine *engine);

uint32_t bt_position(const bt_engine *engine); /* tokens in the context */

/* Forget all tokens from `position` on. Logits are gone until the next bt_eval. */
bt_status bt_rewind(bt_engine *engine, uint32_t position);

/* --- text ------------------------------------------------------------------------------------------------------- */

/* Text (UTF-8; wrong bytes are kept as bytes by the byte-level tokenizer) to ids. With `specials`, the spelling of a
 * special token in the text becomes that token, as in transformers; without, it is plain text. Adds no bos.
 * *count is the number of ids. */
bt_status bt_encode(bt_engine *engine, const char *text, size_t bytes, int specials, int32_t *ids, uint32_t capacity,
                    uint32_t *count);

/* The bytes of a token; special tokens give none unless `specials`. A character may be spread over several tokens.
 * Called token after token of a text from its beginning, where *started is 0, it leaves out the space that
 * SentencePiece puts in front of a text; where *started is 1, nothing. */
bt_status bt_decode_next(const bt_engine *engine, int32_t id, int specials, int *started, char *text, uint32_t capacity,
                         uint32_t *bytes);

/* Whether generation ends with this token. */
int bt_is_stop(const bt_engine *engine, int32_t id);

/* One ChatML message, `<|im_start|>role\ncontent<|im_end|>\n`; before the first one of a chat with bos in front.
 * A role is letters, digits and underscores. `content` is plain text: special tokens spelled in it stay text. With
 * content NULL: the header of the answer alone. Appends to ids[*count...]. */
bt_status bt_chat(bt_engine *engine, const char *role, const char *content, size_t bytes, int first, int32_t *ids,
                  uint32_t capacity, uint32_t *count);

/* --- sampling --------------------------------------------------------------------------------------------------- */

/* In the order they are applied, which is that of transformers. */
typedef struct {
    float repetition_penalty; /* 1: none (arXiv:1909.05858), over all tokens so far, the prompt's too */
    uint32_t no_repeat_ngram; /* 0: off */
    float temperature;        /* 0: the most probable token */
    uint32_t top_k;           /* 0: off */
    float top_p;              /* 1: off */
    float min_p;              /* 0: off */
    uint64_t seed;
} bt_sampling;

bt_sampling bt_default_sampling(void); /* greedy */

/* Set the sampling; the random numbers start anew from the seed. */
bt_status bt_set_sampling(bt_engine *engine, const bt_sampling *sampling);

/* Choose a token after the current logits, which it may use up: evaluate before the next. */
bt_status bt_sample(bt_engine *engine, int32_t *id);

/* Called for each token: its id and its bytes, none for special tokens. Returns 0 to go on. */
typedef int (*bt_on_token)(void *context, int32_t id, const char *text, uint32_t bytes);

/* Sample and evaluate up to `most` tokens, until a stop token, the end of the context or the callback's wish. The stop
 * token is sampled and reported but not evaluated. With `started` they go on with a text; without they are one from its
 * beginning, as an answer is, and SentencePiece's space in front of it is left out. *made is the number of tokens, the
 * stop token included. */
bt_status bt_generate(bt_engine *engine, uint32_t most, int started, bt_on_token on_token, void *context,
                      uint32_t *made);

#endif
