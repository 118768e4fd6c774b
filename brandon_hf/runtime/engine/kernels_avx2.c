/* AVX2: the sizes of the activations are the unsigned bytes, their signs go to the weights. No weight is -128, so that
 * a sign can be changed, and two products of at most 127 * 127 fit the 16 bits between. */
#include "engine.h"

#ifdef BT_X86
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
#include <immintrin.h>

static inline __attribute__((always_inline)) void tile_of(const int tokens, const bt_matrix *matrix, uint32_t tile,
                                                          const bt_vectors *vectors, uint32_t token, float *out,
                                                          uint32_t out_stride) {
    const uint32_t steps = (matrix->columns + 3) / 4;
    const int8_t *data = matrix->data + (size_t)tile * steps * 64;
    const uint8_t *q = vectors->q + (size_t)token * vectors->stride;
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i sums[2][4];
    for (int half = 0; half < 2; half++)
        for (int t = 0; t < tokens; t++) sums[half][t] = _mm256_setzero_si256();
    for (uint32_t i = 0; i < steps; i++) {
        const __m256i low = _mm256_loadu_si256((const __m256i *)(data + (size_t)i * 64));
        const __m256i high = _mm256_loadu_si256((const __m256i *)(data + (size_t)i * 64 + 32));
        for (int t = 0; t < tokens; t++) {
            int32_t word;
            __builtin_memcpy(&word, q + (size_t)t * vectors->stride + 4 * i, 4);
            const __m256i four = _mm256_set1_epi32(word), size = _mm256_abs_epi8(four);
            const __m256i a = _mm256_maddubs_epi16(size, _mm256_sign_epi8(low, four));
            const __m256i b = _mm256_maddubs_epi16(size, _mm256_sign_epi8(high, four));
            sums[0][t] = _mm256_add_epi32(sums[0][t], _mm256_madd_epi16(a, ones));
            sums[1][t] = _mm256_add_epi32(sums[1][t], _mm256_madd_epi16(b, ones));
        }
    }
    for (int half = 0; half < 2; half++) {
        const uint32_t row = tile * 16 + (uint32_t)half * 8;
        const __m256 scale = _mm256_loadu_ps(matrix->scale + row);
        for (int t = 0; t < tokens; t++) {
            const __m256 factor = _mm256_mul_ps(scale, _mm256_set1_ps(vectors->scale[token + (uint32_t)t]));
            _mm256_storeu_ps(out + (size_t)(token + (uint32_t)t) * out_stride + row,
                             _mm256_mul_ps(_mm256_cvtepi32_ps(sums[half][t]), factor));
        }
    }
}

static void multiply(const bt_matrix *matrix, const bt_vectors *vectors, uint32_t tokens, float *out,
                     uint32_t out_stride) {
    const uint32_t count = (matrix->rows + 15) / 16;
    uint32_t token = 0;
    for (; token + 4 <= tokens; token += 4)
        for (uint32_t tile = 0; tile < count; tile++) tile_of(4, matrix, tile, vectors, token, out, out_stride);
    for (; token < tokens; token++)
        for (uint32_t tile = 0; tile < count; tile++) tile_of(1, matrix, tile, vectors, token, out, out_stride);
}

#define KERNELS bt_avx2_kernels
#define KIND BT_KERNEL_AVX2
#define TILED 1
#define BIAS 0
#include "kernels.inc"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
