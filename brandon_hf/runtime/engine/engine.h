/* What the parts of the engine share. Data flows down: blob.c and tensors.c read the container, the tokenizer and the
 * model build on what they found, sampler.c on the logits, api.c puts them together. */
#ifndef BRANDON_ENGINE_H
#define BRANDON_ENGINE_H

#include "brandon.h"

#define INLINE inline __attribute__((always_inline))
#define BT_ALIGNMENT 2048u /* of tensors in a blob: a disc sector */
#define BT_LANES 16u       /* rows of a weight tile; buffers of floats are padded to it */

/* brandon-tiny.features */
enum {
    BT_DEPTH_WEIGHTED_AVERAGE = 1u << 0,
    BT_VALUE_RESIDUAL_ADD = 1u << 1,
    BT_VALUE_RESIDUAL_LEARNED = 1u << 2,
    BT_QK_NORM = 1u << 3,
    BT_OUTPUT_GATE = 1u << 4,
    BT_TIED_EMBEDDINGS = 1u << 5,
    BT_RELU_SQUARED = 1u << 6,
    BT_STEP_EMBEDDING = 1u << 7,
    BT_LOOP_FEEDBACK = 1u << 8,
    BT_RESONANCE_GATE = 1u << 9,
    BT_ALL_FEATURES = (1u << 10) - 1
};

/* --- memory: an arena is handed out from the front; with base NULL it only counts ------------------------------- */

typedef struct {
    uint8_t *base;
    size_t used, size;
} bt_arena;

/* `bytes` at a multiple of 64, or NULL (base NULL, or not enough room: then used > size). */
void *bt_take(bt_arena *arena, size_t bytes);

void bt_copy(void *to, const void *from, size_t bytes);
void bt_fill(void *to, int value, size_t bytes);
int bt_equal(const void *a, const void *b, size_t bytes);
size_t bt_length(const char *text);
int bt_same(const char *a, const char *b);
int bt_begins(const char *text, const char *with);

/* --- reader.c: the bytes of a file ------------------------------------------------------------------------------ */

/* Copy bytes of the file, bounds-checked. */
bt_status bt_read(const bt_source *source, uint64_t offset, void *to, uint64_t count);

uint32_t bt_u32(const uint8_t *bytes); /* little-endian, any alignment */
uint64_t bt_u64(const uint8_t *bytes);

/* Reads a part of a file from its front, ahead through a window. After an error, which stays, it gives zeros. */
typedef struct {
    const bt_source *source;
    uint64_t offset, end;
    bt_status status; /* the first that went wrong */
    uint64_t window_start;
    uint32_t window_bytes;
    uint8_t window[512];
} bt_reader;

void bt_read_from(bt_reader *reader, const bt_source *source, uint64_t start, uint64_t end);
void bt_get(bt_reader *reader, void *to, uint32_t count);
uint32_t bt_get_u32(bt_reader *reader);
uint64_t bt_get_u64(bt_reader *reader);
void bt_skip(bt_reader *reader, uint64_t count);

/* The first `capacity` - 1 bytes of a string as text; zeros in it become bytes that no name has. */
void bt_get_text(bt_reader *reader, char *text, uint32_t capacity);

/* The bytes of a string, and how many there are; one of more than `capacity` gives the status `too_long`. */
uint32_t bt_get_string(bt_reader *reader, uint8_t *to, uint32_t capacity, bt_status too_long);

/* --- blob.c, tensors.c: the container --------------------------------------------------------------------------- */

/* An array or string of the metadata, where it stands in the file. */
typedef struct {
    uint64_t offset; /* of its first element (of a string: its first byte) */
    uint64_t count;  /* elements (of a string: bytes); 0: absent */
    uint64_t bytes;  /* all elements, with the lengths of strings */
} bt_span;

typedef struct {
    uint64_t offset; /* in the file; 0: absent */
    uint32_t columns, rows;
    uint32_t bytes;
} bt_tensor;

/* The tensors of a block, in the order of the file. */
enum {
    BT_ATTENTION_NORM, BT_QUERY_NORM, BT_KEY_NORM, BT_QKV_SCALE, BT_OUT_SCALE, BT_FFN_NORM, BT_UP_SCALE, BT_DOWN_SCALE,
    BT_QKV_GROUP, BT_OUT_GROUP, BT_UP_GROUP, BT_DOWN_GROUP, /* of int4 weights only */
    BT_QKV, BT_OUT, BT_UP, BT_DOWN,
    BT_BLOCK_TENSORS
};

/* The tensors beside the blocks, in the order of the file; they precede the blocks. */
enum {
    BT_EMBED_SCALE, BT_EMBED, BT_OUTPUT_SCALE, BT_OUTPUT, /* the output only where it is not tied */
    BT_OUTPUT_NORM, BT_ROPE_FREQS, BT_REGISTERS, BT_DWA, BT_VALUE_WEIGHTS, BT_STEP, BT_FEEDBACK, BT_GATE,
    BT_GLOBAL_TENSORS
};

typedef struct {
    bt_source source;
    uint32_t vocab, width, feed_forward, layers, unique_blocks, block_repeat, loops, heads, kv_heads, head_size;
    uint32_t registers, context, features, weight_bits;
    uint32_t checksum;
    uint64_t checksum_offset; /* of its four bytes in the file */
    float eps;
    bt_tensor global[BT_GLOBAL_TENSORS];
    bt_tensor block[BT_BLOCK_TENSORS]; /* of block 0 */
    uint64_t block_stride;             /* bytes from one block to the next */
    /* tokenizer */
    int sentencepiece; /* tokenizer.ggml.model: "gpt2" with pre "brandon" 0, "llama" 1 */
    int chat_format;   /* 0 none, 1 chatml, 2 chatml-spaced */
    int add_bos, add_space_prefix, remove_extra_whitespaces;
    int32_t bos, eos, pad, unknown, end_of_turn;
    uint32_t stop_count;
    int32_t stops[BT_MAX_STOPS];
    bt_span tokens, token_types, merges, scores, charsmap;
} bt_blob;

/* Parse the metadata and the table of tensors; refuses whatever the format does not allow. */
bt_status bt_parse(bt_blob *blob, const bt_source *source);

/* The last part of that, the table of `count` tensors, where the reader stands behind the keys. */
bt_status bt_parse_tensors(bt_reader *reader, uint64_t count, bt_blob *blob);

/* Read the whole file once: checksum, finite floats, forbidden weights. */
bt_status bt_check_values(const bt_blob *blob);

/* --- tokenizer.c, bytelevel.c, sentencepiece.c ------------------------------------------------------------------- */

#define BT_NONE 0xffffffffu

#define BT_LONGEST_TOKEN 512u  /* bytes that a token may stand for */
#define BT_LONGEST_WORD 16384u /* bytes of text without a cut, if options.longest_word is 0 */

enum { BT_NORMAL = 1, BT_UNKNOWN, BT_CONTROL, BT_USER_DEFINED, BT_UNUSED, BT_BYTE }; /* tokenizer.ggml.token_type */

typedef struct {
    int32_t left, right, made;
} bt_merge;

typedef struct {
    int sentencepiece, add_space_prefix, remove_extra_whitespaces;
    uint32_t vocab;
    uint8_t *bytes;  /* of all tokens, one after the other */
    uint32_t *start; /* of each in `bytes`; vocab + 1 entries */
    uint8_t *type;
    uint32_t *sorted; /* ids in the order of the tokens' bytes */
    int32_t byte_ids[256];      /* tokens of single bytes, -1 where there is none */
    uint32_t special_types;     /* bits: types that are cut out of a text */
    uint32_t longest_special;
    uint8_t begins_special[256]; /* whether such a token begins with this byte */
    /* byte-level BPE: by rank, and the ranks in the order of the pairs */
    bt_merge *merges;
    uint32_t merge_count, *sorted_merges;
    /* SentencePiece */
    uint32_t *order; /* by id: a piece with a smaller number is made earlier */
    int32_t unknown;
    int spans_words; /* a piece has a space inside: no cut between words is safe */
    const uint8_t *trie, *strings;
    uint32_t trie_units, strings_bytes; /* 0: no character map */
    uint8_t *normal;                    /* scratch: normalised text */
    /* the word that is being merged, by byte: `longest_word` entries; and a tree of minima over their pairs */
    uint32_t longest_word, *next, *before, *tree;
    int32_t *piece; /* byte-level: the token that begins here */
} bt_tokenizer;

/* Where ids go; those beyond `capacity` are only counted. */
typedef struct {
    int32_t *ids;
    uint32_t capacity, count;
    int32_t last; /* the id before, -1 at the beginning */
} bt_ids;

void bt_emit(bt_ids *out, int32_t id);

/* Build the tokenizer in the arena; with arena->base NULL it only counts and checks what it can. */
bt_status bt_tokenizer_open(bt_tokenizer **tokenizer, const bt_blob *blob, const bt_options *options, bt_arena *arena);

/* Text to ids, see bt_encode; *count is the number of ids even where they do not fit (BT_BUFFER_TOO_SMALL). With
 * SentencePiece, `specials` cuts out user-defined symbols: the text of control symbols never becomes one, as there. */
bt_status bt_tokenizer_encode(bt_tokenizer *tokenizer, const char *text, size_t bytes, int specials, int32_t *ids,
                              uint32_t capacity, uint32_t *count);

/* The bytes of a token, at most BT_LONGEST_TOKEN; *count is their number even where they do not fit. Special tokens
 * give none unless `specials`, unused ones never any. Called token after token of a text from its beginning, where
 * *started is 0, it leaves out SentencePiece's own space in front, so that all together are what transformers' decode
 * gives; with 1 nothing is left out. */
bt_status bt_tokenizer_decode(const bt_tokenizer *tokenizer, int32_t id, int specials, int *started, char *text,
                              uint32_t capacity, uint32_t *count);

/* The token of these bytes whose type is in `types` (bits), or -1. */
int32_t bt_find_token(const bt_tokenizer *tokenizer, const uint8_t *bytes, uint32_t count, uint32_t types);

/* The longest token that a text begins with and that is cut out of texts, or -1; *length is its length. */
int32_t bt_find_special(const bt_tokenizer *tokenizer, const uint8_t *text, size_t bytes, uint32_t *length);

/* Merge the symbols of a word, best pair first: symbol i ends where next[i] says. BT_WORD_TOO_LONG. */
bt_status bt_merge_word(bt_tokenizer *tokenizer, const uint8_t *word, size_t bytes);

/* Bytes of the UTF-8 character that a text begins with, or 0 if it is none. */
uint32_t bt_character(const uint8_t *text, size_t bytes);

/* What bt_tokenizer_open and bt_tokenizer_encode do for one kind. */
bt_status bt_bytelevel_open(bt_tokenizer *tokenizer, const bt_blob *blob, bt_arena *arena);
bt_status bt_bytelevel_encode(bt_tokenizer *tokenizer, const uint8_t *text, size_t bytes, int specials, bt_ids *out);
bt_status bt_sentencepiece_open(bt_tokenizer *tokenizer, const bt_blob *blob, bt_arena *arena);
bt_status bt_sentencepiece_encode(bt_tokenizer *tokenizer, const uint8_t *text, size_t bytes, int specials,
                                  bt_ids *out);

/* The rank of the merge of two tokens, or BT_NONE. */
uint32_t bt_find_merge(const bt_tokenizer *tokenizer, int32_t left, int32_t right);

/* The bytes that a token in GPT-2's alphabet stands for; 0 if it is none, empty, or longer than tokens may be. */
uint32_t bt_unspell(const uint8_t *text, uint32_t count, uint8_t *to);

/* Whether a text is the same in GPT-2's alphabet. */
int bt_spells_itself(const uint8_t *text, uint32_t count);

/* --- kernels ---------------------------------------------------------------------------------------------------- */

/* An integer matrix with a scale per row. `data` is row by row as in the blob, of 8, 4 or 2 bits; or of 8 bits in tiles
 * of 16 rows: a tile holds, for each four columns, 16 rows of these four bytes, so that one 64-byte vector times one
 * broadcast word adds to 16 results. Rows and columns of tiles are padded with zeros. */
typedef struct {
    const int8_t *data;
    const int8_t *group; /* multipliers of 4-bit rows */
    const float *scale;  /* rows, padded with zeros to whole tiles */
    const int32_t *sums; /* of tiles: what each row adds up to, likewise */
    uint32_t rows, columns, bits;
} bt_matrix;

/* Activations quantised token by token: value = (q - bias) * scale, with the bias of the kernels. */
typedef struct {
    const uint8_t *q; /* tokens x stride */
    const float *scale;
    uint32_t stride; /* bytes from token to token, a multiple of 64 */
} bt_vectors;

/* Where the keys and values of one layer stand. Keys are kept by coordinate, [kv head][coordinate][position], so that
 * one vector holds a coordinate of many positions; values by position, [kv head][position][coordinate], coordinates
 * padded to a multiple of 16. */
typedef struct {
    void *keys, *values;
    float *key_scales, *value_scales; /* of BT_KV_I8: [kv head][position] */
    bt_kv type;
    uint32_t positions; /* room, a multiple of 16 */
} bt_cache;

/* The arithmetic, compiled once for each instruction set from the same source (kernels.inc). Sums run in the same order
 * everywhere and products are not fused, so that all kernels give the same bits where floats are IEEE. */
typedef struct {
    bt_kernel kind;
    int tiled;    /* which layout of the matrices they want */
    uint8_t bias; /* added to quantised activations: 0, or 128 where they are multiplied as unsigned */
    /* out[t * out_stride + r] = dot(matrix row r, vector t) * (row scale * vector scale); out_stride is a multiple of
     * 16, and what pads the rows may be written */
    void (*multiply)(const bt_matrix *matrix, const bt_vectors *vectors, uint32_t tokens, float *out,
                     uint32_t out_stride);
    /* q = bias + round(x * (127 / max|x|)), half away from zero; *scale = max|x| / 127 */
    void (*quantize)(const float *x, uint32_t count, uint8_t *q, float *scale);
    /* out = x / sqrt(mean(x^2) + eps) * weight */
    void (*rms_norm)(const float *x, const float *weight, uint32_t count, float eps, float *out);
    /* x[i] += y[i] */
    void (*add)(float *x, const float *y, uint32_t count);
    /* out[i] = sum over states s of weights[s] * states[s * stride + i] */
    void (*average)(const float *states, size_t stride, const float *weights, uint32_t number, uint32_t count,
                    float *out);
    /* out[i] = silu(gate[i]) * up[i]; out may be gate */
    void (*swiglu)(const float *gate, const float *up, uint32_t count, float *out);
    void (*relu_squared)(const float *x, uint32_t count, float *out);
    /* keep the keys and values of one token at a position; k and v are kv_heads x head_size */
    void (*store)(const bt_cache *cache, uint32_t position, const float *k, const float *v, uint32_t kv_heads,
                  uint32_t head_size);
    /* attention of one token over positions 0 to seen - 1; out is heads x head_size, scratch has room for
     * heads / kv_heads x positions floats */
    void (*attend)(const bt_cache *cache, const float *q, uint32_t seen, uint32_t heads, uint32_t kv_heads,
                   uint32_t head_size, float *out, float *scratch);
    /* x[i] = exp(x[i] - max(x)); returns the sum */
    float (*exponentials)(float *x, uint32_t count);
} bt_kernels;

extern const bt_kernels bt_portable_kernels;
#if defined(__x86_64__) && defined(__GNUC__)
#define BT_X86 1
extern const bt_kernels bt_avx2_kernels, bt_avx512_kernels;
#endif
#if defined(_MIPS_ARCH_R5900)
#define BT_R5900 1
extern const bt_kernels bt_mmi_kernels;
#endif

/* Unpack row `row` of a matrix that is not tiled to `columns` bytes. */
void bt_unpack_row(const bt_matrix *matrix, uint32_t row, int8_t *to);

/* The kernels of a kind, or NULL if they are not built in or this processor lacks them. */
const bt_kernels *bt_find_kernels(bt_kernel kind);

/* --- math.c: what the engine needs of libm, in single precision -------------------------------------------------- */

float bt_exp(float x);
float bt_log(float x);
float bt_sqrt(float x);
void bt_sin_cos(float angle, float *sine, float *cosine);

/* --- model.c, weights.c ----------------------------------------------------------------------------------------- */

typedef struct bt_model bt_model;

bt_status bt_model_open(bt_model **model, const bt_blob *blob, const bt_options *options, const bt_kernels *kernels,
                        bt_arena *arena, bt_info *info);

/* Compute `count` tokens (at most the batch) at positions from `position` on, all but their logits. */
bt_status bt_model_forward(bt_model *model, const int32_t *ids, uint32_t count, uint32_t position);

/* The logits of token `index` of the last forward pass. */
bt_status bt_model_logits(bt_model *model, uint32_t index, float *logits);

/* --- api.c ------------------------------------------------------------------------------------------------------ */

struct bt_engine {
    bt_blob blob;
    bt_options options;
    bt_info info;
    const bt_kernels *kernels;
    bt_tokenizer *tokenizer;
    bt_model *model;
    int32_t *history; /* ids in the context */
    uint32_t position;
    float *logits;
    int has_logits;
    /* sampler.c */
    bt_sampling sampling;
    uint64_t random[2];
    uint32_t *order; /* scratch of `vocab` entries */
};

#endif
