/* Times products of a token with all matrices of the flagship's shape: the engine's kernels, whose rows have a scale
 * each, beside kernels whose rows have a scale for each 16 columns.
 *
 *     group_scales ROUNDS SECONDS
 *
 * Each kernel runs for SECONDS, all of them in turn, ROUNDS times: over all matrices, and over those of one block,
 * which fit a cache. Prints JSON: by instruction set and kernel the microseconds of each round, what quantises the
 * activations included. Every result is checked first against a plain loop over the same integers: rows must be equal,
 * groups agree to 1e-5 of the largest result. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine.h"

#define GROUP 16u
#define BLOCKS 12
#define REPEAT 2
#define LARGEST 720u /* columns */
#define VOCABULARY 8192u

static const uint32_t SHAPE[5][2] = {{384, 256}, {256, 256}, {1440, 256}, {256, 720}, {VOCABULARY, 256}};

typedef struct {
    uint32_t rows, columns, groups;
    bt_matrix by_row, tiled; /* a scale per row, as the engine has them */
    /* scales per group: row by row; and in the engine's tiles, with the scales as [tile][group][16 rows] */
    int8_t *weights, *tiles;
    uint8_t *biased; /* tiles of weights + 128, for instructions that want one side without a sign */
    float *scale, *tile_scale;
    uint16_t *half_scale; /* tile_scale in half precision */
} matrix;

/* A token's activations. */
typedef struct {
    int8_t q[LARGEST + 64];
    int16_t wide[LARGEST]; /* q, as halfwords */
    float scale[LARGEST / GROUP + 16];      /* per group; or the first alone, of the token */
    int32_t correction[LARGEST / GROUP + 16]; /* -128 times the sum of a group: for weights that have 128 added */
} vector;

static void *room(size_t bytes) {
    void *made = NULL;
    if (posix_memalign(&made, 64, bytes + 64)) exit(2);
    memset(made, 0, bytes + 64);
    return made;
}

static uint32_t state = 1;

static float uniform(void) { /* -1 to 1 */
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return (float)(int32_t)state * (1.0f / 2147483648.0f);
}

/* --- quantising, plainly ------------------------------------------------------------------------------------------ */

static float quantize_part(const float *x, uint32_t count, int8_t *q) {
    float most = 0.0f;
    for (uint32_t i = 0; i < count; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    const float factor = most > 1.0e-30f ? 127.0f / most : 0.0f;
    for (uint32_t i = 0; i < count; i++) q[i] = (int8_t)rintf(x[i] * factor);
    return most * (1.0f / 127.0f);
}

static uint16_t to_half(float x) { /* positive and normal */
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return (uint16_t)((bits + 0xfffu + (bits >> 13 & 1u) - (112u << 23)) >> 13);
}

static float from_half(uint16_t half) {
    const uint32_t bits = ((uint32_t)half << 13) + (112u << 23);
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

static void to_tiles(const int8_t *from, uint32_t rows, uint32_t columns, int8_t *tiles) {
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t i = 0; i < columns; i++)
            tiles[(size_t)(r / 16) * columns * 16 + (size_t)(i / 4) * 64 + r % 16 * 4 + i % 4] = from[r * columns + i];
}

static void make_matrix(matrix *m, uint32_t rows, uint32_t columns) {
    const size_t size = (size_t)rows * columns, groups = columns / GROUP;
    float *row = room(columns * sizeof(float)), *scale = room(rows * sizeof(float));
    int8_t *data = room(size), *tiles = room(size);
    int32_t *sums = room(rows * sizeof(int32_t));
    m->rows = rows, m->columns = columns, m->groups = (uint32_t)groups;
    m->weights = room(size), m->tiles = room(size), m->biased = room(size);
    m->scale = room(rows * groups * sizeof(float)), m->tile_scale = room(rows * groups * sizeof(float));
    m->half_scale = room(rows * groups * sizeof(uint16_t));
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < columns; i++) row[i] = uniform() * uniform();
        scale[r] = quantize_part(row, columns, data + (size_t)r * columns);
        for (uint32_t i = 0; i < columns; i++) sums[r] += data[(size_t)r * columns + i];
        for (uint32_t g = 0; g < groups; g++) {
            const float one = quantize_part(row + g * GROUP, GROUP, m->weights + (size_t)r * columns + g * GROUP);
            const size_t at = ((size_t)(r / 16) * groups + g) * 16 + r % 16;
            m->half_scale[at] = to_half(one);
            m->scale[r * groups + g] = m->tile_scale[at] = from_half(to_half(one)); /* so that all have the same */
        }
    }
    to_tiles(data, rows, columns, tiles);
    to_tiles(m->weights, rows, columns, m->tiles);
    for (size_t i = 0; i < size; i++) m->biased[i] = (uint8_t)(m->tiles[i] + 128);
    m->by_row = (bt_matrix){data, NULL, scale, NULL, rows, columns, 8};
    m->tiled = (bt_matrix){tiles, NULL, scale, sums, rows, columns, 8};
    free(row);
}

/* --- portable ----------------------------------------------------------------------------------------------------- */

typedef void quantizer(const float *x, uint32_t columns, vector *v);
typedef void product(const matrix *m, const vector *v, float *out);

static void widen(uint32_t columns, vector *v) {
    for (uint32_t i = 0; i < columns; i++) v->wide[i] = v->q[i];
}

static void portable_token(const float *x, uint32_t columns, vector *v) {
    bt_portable_kernels.quantize(x, columns, (uint8_t *)v->q, v->scale);
    widen(columns, v);
}

static void portable_groups(const float *x, uint32_t columns, vector *v) {
    for (uint32_t g = 0; g < columns / GROUP; g++) v->scale[g] = quantize_part(x + g * GROUP, GROUP, v->q + g * GROUP);
    widen(columns, v);
}

static INLINE void portable_loop(const int grouped, const matrix *m, const vector *v, float *out) {
    for (uint32_t r = 0; r < m->rows; r++) {
        const int8_t *w = m->weights + (size_t)r * m->columns, *q = v->q;
        const float *scale = m->scale + (size_t)r * m->groups;
        float total = 0.0f;
        for (uint32_t g = 0; g < m->groups; g++, w += GROUP, q += GROUP) {
            int32_t sum = 0;
            for (uint32_t i = 0; i < GROUP; i++) sum += w[i] * q[i];
            total += (float)sum * (grouped ? scale[g] * v->scale[g] : scale[g]);
        }
        out[r] = grouped ? total : total * v->scale[0];
    }
}

/* The group's sum stays in four lanes, which are added up at the end of the row. Two products fit a halfword. */
static INLINE void portable_vectors(const int grouped, const matrix *m, const vector *v, float *out) {
    typedef int8_t bytes __attribute__((vector_size(8), aligned(1), may_alias));
    typedef int16_t halves __attribute__((vector_size(16), aligned(2), may_alias));
    typedef int32_t words __attribute__((vector_size(32)));
    typedef int32_t four __attribute__((vector_size(16)));
    typedef float floats __attribute__((vector_size(16)));
    for (uint32_t r = 0; r < m->rows; r++) {
        const int8_t *w = m->weights + (size_t)r * m->columns;
        const float *scale = m->scale + (size_t)r * m->groups;
        floats total = {0.0f, 0.0f, 0.0f, 0.0f};
        for (uint32_t g = 0; g < m->groups; g++, w += GROUP) {
            const int16_t *x = v->wide + g * GROUP;
            const halves a = __builtin_convertvector(*(const bytes *)w, halves) * *(const halves *)x;
            const halves b = __builtin_convertvector(*(const bytes *)(w + 8), halves) * *(const halves *)(x + 8);
            union {
                words all;
                four part[2];
            } sum = {__builtin_convertvector(a + b, words)};
            total += __builtin_convertvector(sum.part[0] + sum.part[1], floats)
                     * (grouped ? scale[g] * v->scale[g] : scale[g]);
        }
        const float sum = (total[0] + total[1]) + (total[2] + total[3]);
        out[r] = grouped ? sum : sum * v->scale[0];
    }
}

#define PRODUCT(name, body, ...) \
    static void name(const matrix *m, const vector *v, float *out) { body(__VA_ARGS__, m, v, out); }
PRODUCT(loop_token, portable_loop, 0)
PRODUCT(loop_groups, portable_loop, 1)
PRODUCT(vectors_token, portable_vectors, 0)
PRODUCT(vectors_groups, portable_vectors, 1)

#ifdef BT_X86
#include <immintrin.h>

/* --- AVX2 --------------------------------------------------------------------------------------------------------- */

#define AVX2 __attribute__((target("avx2,fma,f16c")))

/* 16 numbers times a factor, as bytes. */
AVX2 static INLINE void avx2_round(const float *x, float factor, int8_t *q) {
    const __m256 by = _mm256_set1_ps(factor);
    const __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), by));
    const __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8), by));
    const __m256i halves = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
    const __m128i low = _mm256_castsi256_si128(halves), high = _mm256_extracti128_si256(halves, 1);
    _mm_storeu_si128((__m128i *)q, _mm_packs_epi16(low, high));
}

AVX2 static INLINE float avx2_largest(__m256 x) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

/* The engine's takes several times as long, as gcc 12 compares its long vectors one by one for AVX2. */
AVX2 static void avx2_token(const float *x, uint32_t columns, vector *v) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 a = _mm256_setzero_ps(), b = a;
    for (uint32_t i = 0; i < columns; i += GROUP) {
        a = _mm256_max_ps(a, _mm256_andnot_ps(sign, _mm256_loadu_ps(x + i)));
        b = _mm256_max_ps(b, _mm256_andnot_ps(sign, _mm256_loadu_ps(x + i + 8)));
    }
    const float most = avx2_largest(_mm256_max_ps(a, b)), factor = most > 1.0e-30f ? 127.0f / most : 0.0f;
    v->scale[0] = most * (1.0f / 127.0f);
    for (uint32_t i = 0; i < columns; i += GROUP) avx2_round(x + i, factor, v->q + i);
}

AVX2 static void avx2_groups(const float *x, uint32_t columns, vector *v) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    float factor[LARGEST / GROUP + 16];
    const uint32_t groups = columns / GROUP;
    for (uint32_t g = 0; g < groups; g++) { /* the largest of each */
        const __m256 a = _mm256_andnot_ps(sign, _mm256_loadu_ps(x + g * GROUP));
        factor[g] = avx2_largest(_mm256_max_ps(a, _mm256_andnot_ps(sign, _mm256_loadu_ps(x + g * GROUP + 8))));
    }
    for (uint32_t g = 0; g < groups; g += 8) {
        const __m256 most = _mm256_loadu_ps(factor + g);
        const __m256 counts = _mm256_cmp_ps(most, _mm256_set1_ps(1.0e-30f), _CMP_GT_OQ);
        _mm256_storeu_ps(v->scale + g, _mm256_mul_ps(most, _mm256_set1_ps(1.0f / 127.0f)));
        _mm256_storeu_ps(factor + g, _mm256_and_ps(counts, _mm256_div_ps(_mm256_set1_ps(127.0f), most)));
    }
    for (uint32_t g = 0; g < groups; g++) avx2_round(x + g * GROUP, factor[g], v->q + g * GROUP);
}

AVX2 static INLINE __m256 scales_8(const int half, const matrix *m, size_t at) {
    if (half) return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(m->half_scale + at)));
    return _mm256_loadu_ps(m->tile_scale + at);
}

/* As the engine: sizes of the activations without a sign, and their signs on the weights. Tile n is l##n and h##n. With
 * `whole`, a row has one scale, so that such a kernel can be compared with one that is written alike. */
#define BEGIN(n) \
    __m256 fl##n = _mm256_setzero_ps(), fh##n = fl##n; \
    __m256i l##n = _mm256_setzero_si256(), h##n = l##n;
#define START(n) l##n = h##n = _mm256_setzero_si256();
#define STEP(n) \
    { \
        const __m256i *at = (const __m256i *)(w + (n) * next); \
        const __m256i low = _mm256_maddubs_epi16(size, _mm256_sign_epi8(_mm256_load_si256(at), four)); \
        const __m256i high = _mm256_maddubs_epi16(size, _mm256_sign_epi8(_mm256_load_si256(at + 1), four)); \
        l##n = _mm256_add_epi32(l##n, _mm256_madd_epi16(low, ones)); \
        h##n = _mm256_add_epi32(h##n, _mm256_madd_epi16(high, ones)); \
    }
#define SCALE(n) \
    { \
        const size_t place = ((size_t)(tile + (n)) * m->groups + g) * 16; \
        __m256 low = scales_8(half, m, place), high = scales_8(half, m, place + 8); \
        if (grouped) low = _mm256_mul_ps(low, by), high = _mm256_mul_ps(high, by); \
        fl##n = _mm256_fmadd_ps(_mm256_cvtepi32_ps(l##n), low, fl##n); \
        fh##n = _mm256_fmadd_ps(_mm256_cvtepi32_ps(h##n), high, fh##n); \
    }
#define END(n) \
    if (whole) { \
        const float *scale = m->tiled.scale + (tile + (n)) * 16; \
        fl##n = _mm256_mul_ps(_mm256_cvtepi32_ps(l##n), _mm256_mul_ps(_mm256_loadu_ps(scale), all)); \
        fh##n = _mm256_mul_ps(_mm256_cvtepi32_ps(h##n), _mm256_mul_ps(_mm256_loadu_ps(scale + 8), all)); \
    } else if (!grouped) { \
        fl##n = _mm256_mul_ps(fl##n, all), fh##n = _mm256_mul_ps(fh##n, all); \
    } \
    _mm256_storeu_ps(out + (tile + (n)) * 16, fl##n); \
    _mm256_storeu_ps(out + (tile + (n)) * 16 + 8, fh##n);

#define TILES(EACH) \
    EACH(BEGIN) \
    const int8_t *w = (whole ? m->tiled.data : m->tiles) + (size_t)tile * next; \
    for (uint32_t g = 0; g < m->groups; g++) { \
        if (!whole) { EACH(START) } \
        for (uint32_t i = 0; i < 4; i++, w += 64) { \
            int32_t word; \
            memcpy(&word, v->q + g * GROUP + 4 * i, 4); \
            const __m256i four = _mm256_set1_epi32(word), size = _mm256_abs_epi8(four); \
            EACH(STEP) \
        } \
        if (whole) continue; \
        const __m256 by = _mm256_set1_ps(v->scale[g]); \
        (void)by; \
        EACH(SCALE) \
    } \
    EACH(END)

#define ONE(DO) DO(0)
#define TWO(DO) DO(0) DO(1)
#define FOUR(DO) DO(0) DO(1) DO(2) DO(3)

AVX2 static INLINE void avx2_tiles(const int most, const int half, const int grouped, const int whole, const matrix *m,
                                   const vector *v, float *out) {
    const size_t next = (size_t)m->columns * 16;
    const uint32_t count = m->rows / 16;
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256 all = _mm256_set1_ps(v->scale[0]);
    uint32_t tile = 0;
    if (most == 2)
        for (; tile + 2 <= count; tile += 2) { TILES(TWO) }
    for (; tile < count; tile++) { TILES(ONE) }
}

#define AVX2_PRODUCT(name, ...) AVX2 PRODUCT(name, avx2_tiles, __VA_ARGS__)
AVX2_PRODUCT(avx2_1_rows, 1, 0, 0, 1)
AVX2_PRODUCT(avx2_2_rows, 2, 0, 0, 1)
AVX2_PRODUCT(avx2_1_f32_token, 1, 0, 0, 0)
AVX2_PRODUCT(avx2_1_f16_token, 1, 1, 0, 0)
AVX2_PRODUCT(avx2_2_f32_token, 2, 0, 0, 0)
AVX2_PRODUCT(avx2_2_f16_token, 2, 1, 0, 0)
AVX2_PRODUCT(avx2_1_f32_groups, 1, 0, 1, 0)
AVX2_PRODUCT(avx2_1_f16_groups, 1, 1, 1, 0)
AVX2_PRODUCT(avx2_2_f32_groups, 2, 0, 1, 0)
AVX2_PRODUCT(avx2_2_f16_groups, 2, 1, 1, 0)

/* --- AVX-512 with VNNI -------------------------------------------------------------------------------------------- */

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,prefer-vector-width=512")))

/* Here the weights are the side without a sign, as 128 times the sum of activations is one number for all rows. */
AVX512 static void correct(uint32_t columns, vector *v) {
    for (uint32_t g = 0; g < columns / GROUP; g++) {
        const __m128i q = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(v->q + g * GROUP)), _mm_set1_epi8(-128));
        const __m128i sums = _mm_sad_epu8(q, _mm_setzero_si128());
        v->correction[g] = -128 * (_mm_cvtsi128_si32(sums) + _mm_extract_epi16(sums, 4) - 128 * (int32_t)GROUP);
    }
}

AVX512 static void avx512_token(const float *x, uint32_t columns, vector *v) {
    bt_avx512_kernels.quantize(x, columns, (uint8_t *)v->q, v->scale);
    for (uint32_t i = 0; i < columns; i += 16) { /* without the engine's 128 */
        const __m128i q = _mm_loadu_si128((const __m128i *)(v->q + i));
        _mm_storeu_si128((__m128i *)(v->q + i), _mm_xor_si128(q, _mm_set1_epi8(-128)));
    }
    correct(columns, v);
}

AVX512 static void avx512_groups(const float *x, uint32_t columns, vector *v) {
    float factor[LARGEST / GROUP + 16];
    const uint32_t groups = columns / GROUP;
    for (uint32_t g = 0; g < groups; g++)
        factor[g] = _mm512_reduce_max_ps(_mm512_abs_ps(_mm512_loadu_ps(x + g * GROUP)));
    for (uint32_t g = 0; g < groups; g += 16) {
        const __m512 most = _mm512_loadu_ps(factor + g);
        const __mmask16 counts = _mm512_cmp_ps_mask(most, _mm512_set1_ps(1.0e-30f), _CMP_GT_OQ);
        _mm512_storeu_ps(v->scale + g, _mm512_mul_ps(most, _mm512_set1_ps(1.0f / 127.0f)));
        _mm512_storeu_ps(factor + g, _mm512_maskz_div_ps(counts, _mm512_set1_ps(127.0f), most));
    }
    for (uint32_t g = 0; g < groups; g++) {
        const __m512 scaled = _mm512_mul_ps(_mm512_loadu_ps(x + g * GROUP), _mm512_set1_ps(factor[g]));
        _mm_storeu_si128((__m128i *)(v->q + g * GROUP), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(scaled)));
    }
    correct(columns, v);
}

AVX512 static INLINE __m512 scales_16(const int half, const matrix *m, size_t at) {
    if (half) return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(m->half_scale + at)));
    return _mm512_load_ps(m->tile_scale + at);
}

#undef BEGIN
#undef START
#undef STEP
#undef SCALE
#undef END
#undef TILES
#define BEGIN(n) __m512 f##n = _mm512_setzero_ps();
#define START(n) __m512i s##n = start;
#define STEP(n) \
    { \
        const __m512i weights = _mm512_load_si512(w + (n) * next); \
        __asm__("vpdpbusd %2, %1, %0" : "+v"(s##n) : "v"(weights), "v"(four)); \
    }
#define SCALE(n) \
    { \
        __m512 scale = scales_16(half, m, ((size_t)(tile + (n)) * m->groups + g) * 16); \
        if (grouped) scale = _mm512_mul_ps(scale, by); \
        f##n = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s##n), scale, f##n); \
    }
#define END(n) _mm512_storeu_ps(out + (tile + (n)) * 16, grouped ? f##n : _mm512_mul_ps(f##n, all));

#define TILES(EACH) \
    EACH(BEGIN) \
    const uint8_t *w = m->biased + (size_t)tile * next; \
    for (uint32_t g = 0; g < m->groups; g++) { \
        const __m512i start = _mm512_set1_epi32(v->correction[g]); \
        EACH(START) \
        for (uint32_t i = 0; i < 4; i++, w += 64) { \
            int32_t word; \
            memcpy(&word, v->q + g * GROUP + 4 * i, 4); \
            const __m512i four = _mm512_set1_epi32(word); \
            EACH(STEP) \
        } \
        const __m512 by = _mm512_set1_ps(v->scale[g]); \
        (void)by; \
        EACH(SCALE) \
    } \
    EACH(END)

AVX512 static INLINE void avx512_tiles(const int most, const int half, const int grouped, const matrix *m,
                                       const vector *v, float *out) {
    const size_t next = (size_t)m->columns * 16;
    const uint32_t count = m->rows / 16;
    const __m512 all = _mm512_set1_ps(v->scale[0]);
    uint32_t tile = 0;
    if (most == 4)
        for (; tile + 4 <= count; tile += 4) { TILES(FOUR) }
    if (most >= 2)
        for (; tile + 2 <= count; tile += 2) { TILES(TWO) }
    for (; tile < count; tile++) { TILES(ONE) }
}

#define AVX512_PRODUCT(name, ...) AVX512 PRODUCT(name, avx512_tiles, __VA_ARGS__)
AVX512_PRODUCT(avx512_2_f32_token, 2, 0, 0)
AVX512_PRODUCT(avx512_2_f16_token, 2, 1, 0)
AVX512_PRODUCT(avx512_4_f32_token, 4, 0, 0)
AVX512_PRODUCT(avx512_4_f16_token, 4, 1, 0)
AVX512_PRODUCT(avx512_2_f32_groups, 2, 0, 1)
AVX512_PRODUCT(avx512_2_f16_groups, 2, 1, 1)
AVX512_PRODUCT(avx512_4_f32_groups, 4, 0, 1)
AVX512_PRODUCT(avx512_4_f16_groups, 4, 1, 1)
#endif

/* --- what is timed ------------------------------------------------------------------------------------------------ */

typedef struct {
    bt_kernel set;
    const char *name; /* how the kernel does it */
    enum { ROWS, TOKEN, GROUPS } kind; /* scales per row; weights in groups; activations in groups, too */
    quantizer *quantize;
    product *multiply; /* NULL: the engine's */
} kernel;

static const kernel KERNELS[] = {
    {BT_KERNEL_PORTABLE, "the engine's", ROWS, NULL, NULL},
    {BT_KERNEL_PORTABLE, "loop", TOKEN, portable_token, loop_token},
    {BT_KERNEL_PORTABLE, "vectors", TOKEN, portable_token, vectors_token},
    {BT_KERNEL_PORTABLE, "loop", GROUPS, portable_groups, loop_groups},
    {BT_KERNEL_PORTABLE, "vectors", GROUPS, portable_groups, vectors_groups},
#ifdef BT_X86
    {BT_KERNEL_AVX2, "the engine's", ROWS, NULL, NULL},
    {BT_KERNEL_AVX2, "1 tile", ROWS, avx2_token, avx2_1_rows},
    {BT_KERNEL_AVX2, "2 tiles", ROWS, avx2_token, avx2_2_rows},
    {BT_KERNEL_AVX2, "1 tile, float32 scales", TOKEN, avx2_token, avx2_1_f32_token},
    {BT_KERNEL_AVX2, "1 tile, float16 scales", TOKEN, avx2_token, avx2_1_f16_token},
    {BT_KERNEL_AVX2, "2 tiles, float32 scales", TOKEN, avx2_token, avx2_2_f32_token},
    {BT_KERNEL_AVX2, "2 tiles, float16 scales", TOKEN, avx2_token, avx2_2_f16_token},
    {BT_KERNEL_AVX2, "1 tile, float32 scales", GROUPS, avx2_groups, avx2_1_f32_groups},
    {BT_KERNEL_AVX2, "1 tile, float16 scales", GROUPS, avx2_groups, avx2_1_f16_groups},
    {BT_KERNEL_AVX2, "2 tiles, float32 scales", GROUPS, avx2_groups, avx2_2_f32_groups},
    {BT_KERNEL_AVX2, "2 tiles, float16 scales", GROUPS, avx2_groups, avx2_2_f16_groups},
    {BT_KERNEL_AVX512, "the engine's", ROWS, NULL, NULL},
    {BT_KERNEL_AVX512, "2 tiles, float32 scales", TOKEN, avx512_token, avx512_2_f32_token},
    {BT_KERNEL_AVX512, "2 tiles, float16 scales", TOKEN, avx512_token, avx512_2_f16_token},
    {BT_KERNEL_AVX512, "4 tiles, float32 scales", TOKEN, avx512_token, avx512_4_f32_token},
    {BT_KERNEL_AVX512, "4 tiles, float16 scales", TOKEN, avx512_token, avx512_4_f16_token},
    {BT_KERNEL_AVX512, "2 tiles, float32 scales", GROUPS, avx512_groups, avx512_2_f32_groups},
    {BT_KERNEL_AVX512, "2 tiles, float16 scales", GROUPS, avx512_groups, avx512_2_f16_groups},
    {BT_KERNEL_AVX512, "4 tiles, float32 scales", GROUPS, avx512_groups, avx512_4_f32_groups},
    {BT_KERNEL_AVX512, "4 tiles, float16 scales", GROUPS, avx512_groups, avx512_4_f16_groups},
#endif
};
#define COUNT (sizeof KERNELS / sizeof *KERNELS)

static matrix blocks[BLOCKS][4], logits;
static float input[LARGEST], output[VOCABULARY];
static vector activations;

static int is_here(const kernel *k) {
    const bt_kernels *found = bt_find_kernels(k->set);
    if (!found) return 0;
#ifdef BT_X86
    if (k->set == BT_KERNEL_AVX2) return __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
#endif
    return 1;
}

static void compute(const kernel *k, const matrix *m) {
    if (k->multiply) {
        k->quantize(input, m->columns, &activations);
        k->multiply(m, &activations, output);
        return;
    }
    const bt_kernels *engine = bt_find_kernels(k->set);
    const bt_vectors vectors = {(uint8_t *)activations.q, activations.scale, LARGEST + 48};
    engine->quantize(input, m->columns, (uint8_t *)activations.q, activations.scale);
    engine->multiply(engine->tiled ? &m->tiled : &m->by_row, &vectors, 1, output, VOCABULARY);
}

/* Whether all results of a matrix are right, by the integers that were just multiplied. */
static int is_right(const kernel *k, const matrix *m) {
    const uint8_t bias = k->multiply ? 0 : bt_find_kernels(k->set)->bias;
    static vector expected;
    double most = 0.0, wrong = 0.0;
    if (k->kind == GROUPS) {
        portable_groups(input, m->columns, &expected);
        if (memcmp(expected.q, activations.q, m->columns)) return 0;
        if (memcmp(expected.scale, activations.scale, m->groups * sizeof(float))) return 0;
    }
    for (uint32_t r = 0; r < m->rows; r++) {
        double total = 0.0;
        int32_t whole = 0;
        for (uint32_t i = 0; i < m->columns; i++) {
            const int32_t x = k->multiply ? activations.q[i] : (int8_t)((uint8_t)activations.q[i] - bias);
            const float by = activations.scale[k->kind == GROUPS ? i / GROUP : 0];
            if (k->kind != ROWS) {
                const double scale = m->scale[(size_t)r * m->groups + i / GROUP];
                total += scale * by * (m->weights[(size_t)r * m->columns + i] * x);
            } else {
                whole += m->by_row.data[(size_t)r * m->columns + i] * x;
            }
        }
        if (k->kind == ROWS && output[r] != (float)whole * (m->by_row.scale[r] * activations.scale[0])) return 0;
        if (k->kind == ROWS) continue;
        most = fmax(most, fabs(total));
        wrong = fmax(wrong, fabs(total - output[r]));
    }
    return wrong <= 1.0e-5 * most;
}

/* The products of a token; or, with `one_block`, as many of blocks with the first block alone, which a cache holds. */
static void token(const kernel *k, int one_block) {
    for (int block = 0; block < BLOCKS; block++)
        for (int again = 0; again < REPEAT; again++)
            for (int i = 0; i < 4; i++) compute(k, &blocks[one_block ? 0 : block][i]);
    if (!one_block) compute(k, &logits);
}

static double seconds(void) { /* of this process, so that others count less */
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double microseconds(const kernel *k, int one_block, double least) {
    token(k, one_block); /* what it needs comes into the caches */
    const double start = seconds();
    double passed = 0.0;
    uint32_t tokens = 0;
    for (; passed < least; passed = seconds() - start) token(k, one_block), tokens++;
    return 1e6 * passed / tokens;
}

int main(int count, char **words) {
    static const char *const SETS[] = {"best", "portable", "avx2", "avx512"};
    static double times[2][COUNT][64];
    const int rounds = count == 3 ? atoi(words[1]) : 0;
    const double least = count == 3 ? atof(words[2]) : 0.0;
    if (rounds < 1 || rounds > 64 || least <= 0.0) return 2;
    for (uint32_t i = 0; i < LARGEST; i++) input[i] = uniform() * (i % 7 ? 1.0f : 4.0f);
    memset(input + 4 * GROUP, 0, GROUP * sizeof(float)); /* a group of zeros */
    for (int block = 0; block < BLOCKS; block++)
        for (int i = 0; i < 4; i++) make_matrix(&blocks[block][i], SHAPE[i][0], SHAPE[i][1]);
    make_matrix(&logits, SHAPE[4][0], SHAPE[4][1]);
    for (size_t n = 0; n < COUNT; n++) {
        if (!is_here(&KERNELS[n])) continue;
        for (int i = 0; i < 5; i++) {
            const matrix *m = i < 4 ? &blocks[0][i] : &logits;
            compute(&KERNELS[n], m);
            if (is_right(&KERNELS[n], m)) continue;
            fprintf(stderr, "%s, %s: wrong results\n", SETS[KERNELS[n].set], KERNELS[n].name);
            return 1;
        }
    }
    for (int round = 0; round < rounds; round++) {
        for (size_t n = 0; n < COUNT; n++)
            for (int one = 0; is_here(&KERNELS[n]) && one < 2; one++)
                times[one][n][round] = microseconds(&KERNELS[n], one, least);
        fprintf(stderr, "round\n");
    }
    static const char *const KINDS[] = {"rows", "token", "groups"};
    const char *comma = "[";
    for (size_t n = 0; n < COUNT; n++) {
        const kernel *k = &KERNELS[n];
        if (!is_here(k)) continue;
        printf("%s{\"set\": \"%s\", \"kernel\": \"%s\", \"kind\": \"%s\"", comma, SETS[k->set], k->name,
               KINDS[k->kind]);
        for (int one = 0; one < 2; one++) {
            printf(", \"%s\": [", one ? "one_block" : "all");
            for (int round = 0; round < rounds; round++) printf("%s%.2f", round ? ", " : "", times[one][n][round]);
            printf("]");
        }
        printf("}");
        comma = ",\n ";
    }
    printf("]\n");
    return 0;
}
