/* The kernels every compiler has, and the choice among those this build and this processor have. */
#include "engine.h"

void bt_unpack_row(const bt_matrix *matrix, uint32_t row, int8_t *to) {
    const uint32_t columns = matrix->columns;
    if (matrix->bits == 8) {
        bt_copy(to, matrix->data + (size_t)row * columns, columns);
    } else if (matrix->bits == 4) {
        const uint8_t *packed = (const uint8_t *)matrix->data + (size_t)row * (columns / 2);
        const int8_t *group = matrix->group + (size_t)row * (columns / 16);
        for (uint32_t i = 0; i < columns; i += 2) {
            const int32_t factor = group[i / 16];
            to[i] = (int8_t)(((packed[i / 2] & 15) - 8) * factor);
            to[i + 1] = (int8_t)(((packed[i / 2] >> 4) - 8) * factor);
        }
    } else {
        const uint8_t *packed = (const uint8_t *)matrix->data + (size_t)row * (columns / 4);
        for (uint32_t i = 0; i < columns; i++) to[i] = (int8_t)((packed[i / 4] >> 2 * (i % 4) & 3) - 1);
    }
}

static void multiply(const bt_matrix *matrix, const bt_vectors *vectors, uint32_t tokens, float *out,
                     uint32_t out_stride) {
    int8_t unpacked[BT_MAX_WIDTH];
    for (uint32_t r = 0; r < matrix->rows; r++) {
        const int8_t *row = matrix->data + (size_t)r * matrix->columns;
        if (matrix->bits != 8) {
            bt_unpack_row(matrix, r, unpacked);
            row = unpacked;
        }
        for (uint32_t t = 0; t < tokens; t++) {
            const int8_t *vector = (const int8_t *)vectors->q + (size_t)t * vectors->stride;
            int32_t sum = 0;
            for (uint32_t i = 0; i < matrix->columns; i++) sum += row[i] * vector[i];
            out[(size_t)t * out_stride + r] = (float)sum * (matrix->scale[r] * vectors->scale[t]);
        }
    }
}

#define KERNELS bt_portable_kernels
#define KIND BT_KERNEL_PORTABLE
#define TILED 0
#define BIAS 0
#include "kernels.inc"

const bt_kernels *bt_find_kernels(bt_kernel kind) {
#ifdef BT_R5900
    if (kind == BT_KERNEL_BEST || kind == BT_KERNEL_MMI) return &bt_mmi_kernels;
#endif
#ifdef BT_X86
    __builtin_cpu_init();
    if ((kind == BT_KERNEL_BEST || kind == BT_KERNEL_AVX512) && __builtin_cpu_supports("avx512f")
        && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
        return &bt_avx512_kernels;
    if ((kind == BT_KERNEL_BEST || kind == BT_KERNEL_AVX2) && __builtin_cpu_supports("avx2")) return &bt_avx2_kernels;
#endif
    return kind == BT_KERNEL_BEST || kind == BT_KERNEL_PORTABLE ? &bt_portable_kernels : NULL;
}
