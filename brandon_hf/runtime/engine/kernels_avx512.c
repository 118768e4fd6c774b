/* AVX-512 with VNNI: four products of an unsigned and a signed byte are added to each of 16 sums. Activations are kept
 * as q + 128, and 128 times the sum of a row is what the sums begin below zero with. */
#include "engine.h"

#ifdef BT_X86
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,prefer-vector-width=512")
#endif
#include <immintrin.h>

/* The sums are variables of their own: gcc keeps an array of them in memory. As _mm512_dpbusd_epi32, for which gcc 12
 * copies them from register to register. */
#define ADD_PRODUCTS(sums, four, weights) __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(four), "v"(weights))

static INLINE __m512i start_of(const bt_matrix *matrix, uint32_t tile) {
    const __m512i sums = _mm512_loadu_si512(matrix->sums + (size_t)tile * 16);
    return _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sums, 7));
}

static INLINE __m512i broadcast(const uint8_t *q) {
    int32_t word;
    __builtin_memcpy(&word, q, 4);
    return _mm512_set1_epi32(word);
}

static INLINE void finish(const bt_matrix *matrix, uint32_t tile, const bt_vectors *vectors, uint32_t token,
                          __m512i sums, float *out, uint32_t out_stride) {
    const __m512 factor = _mm512_mul_ps(_mm512_loadu_ps(matrix->scale + (size_t)tile * 16),
                                        _mm512_set1_ps(vectors->scale[token]));
    _mm512_storeu_ps(out + (size_t)token * out_stride + (size_t)tile * 16,
                     _mm512_mul_ps(_mm512_cvtepi32_ps(sums), factor));
}

/* One tile or four, times the tokens that TOKENS lists. */
#define START_1(t) __m512i a##t = a;
#define START_4(t) __m512i a##t = a, b##t = b, c##t = c, d##t = d;
#define STEP_1(t) \
    { \
        const __m512i four = broadcast(q + (t) * stride + 4 * i); \
        ADD_PRODUCTS(a##t, four, wa); \
    }
#define STEP_4(t) \
    { \
        const __m512i four = broadcast(q + (t) * stride + 4 * i); \
        ADD_PRODUCTS(a##t, four, wa); \
        ADD_PRODUCTS(b##t, four, wb); \
        ADD_PRODUCTS(c##t, four, wc); \
        ADD_PRODUCTS(d##t, four, wd); \
    }
#define FINISH(t, n, sums) finish(matrix, tile + (n), vectors, token + (t), sums##t, out, out_stride);
#define FINISH_1(t) FINISH(t, 0, a)
#define FINISH_4(t) FINISH(t, 0, a) FINISH(t, 1, b) FINISH(t, 2, c) FINISH(t, 3, d)

#define MULTIPLY_TOKENS(name, TOKENS) \
    static void name(const bt_matrix *matrix, const bt_vectors *vectors, uint32_t token, float *out, \
                     uint32_t out_stride) { \
        const uint32_t steps = (matrix->columns + 3) / 4, count = (matrix->rows + 15) / 16; \
        const size_t stride = vectors->stride, next = (size_t)steps * 64; \
        const uint8_t *q = vectors->q + (size_t)token * stride; \
        uint32_t tile = 0; \
        for (; tile + 4 <= count; tile += 4) { \
            const int8_t *data = matrix->data + (size_t)tile * next; \
            const __m512i a = start_of(matrix, tile), b = start_of(matrix, tile + 1); \
            const __m512i c = start_of(matrix, tile + 2), d = start_of(matrix, tile + 3); \
            TOKENS(START_4) \
            for (uint32_t i = 0; i < steps; i++, data += 64) { \
                const __m512i wa = _mm512_load_si512(data), wb = _mm512_load_si512(data + next); \
                const __m512i wc = _mm512_load_si512(data + 2 * next), wd = _mm512_load_si512(data + 3 * next); \
                TOKENS(STEP_4) \
            } \
            TOKENS(FINISH_4) \
        } \
        for (; tile < count; tile++) { \
            const int8_t *data = matrix->data + (size_t)tile * next; \
            const __m512i a = start_of(matrix, tile); \
            TOKENS(START_1) \
            for (uint32_t i = 0; i < steps; i++, data += 64) { \
                const __m512i wa = _mm512_load_si512(data); \
                TOKENS(STEP_1) \
            } \
            TOKENS(FINISH_1) \
        } \
    }

#define SIX(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define TWO(DO) DO(0) DO(1)
#define ONE(DO) DO(0)
MULTIPLY_TOKENS(multiply_six, SIX)
MULTIPLY_TOKENS(multiply_two, TWO)
MULTIPLY_TOKENS(multiply_one, ONE)

static void multiply(const bt_matrix *matrix, const bt_vectors *vectors, uint32_t tokens, float *out,
                     uint32_t out_stride) {
    uint32_t token = 0;
    for (; token + 6 <= tokens; token += 6) multiply_six(matrix, vectors, token, out, out_stride);
    for (; token + 2 <= tokens; token += 2) multiply_two(matrix, vectors, token, out, out_stride);
    if (token < tokens) multiply_one(matrix, vectors, token, out, out_stride);
}

#define KERNELS bt_avx512_kernels
#define KIND BT_KERNEL_AVX512
#define TILED 1
#define BIAS 128
#include "kernels.inc"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
