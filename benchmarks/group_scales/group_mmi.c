/* For the console: a block's matrices times a token, with a scale per row (the engine's kernel) and with one for each
 * 16 columns, so that the emulator can count what both cost. Exits with the number of wrong results. */
#include "engine.h"

#define GROUP 16u
#define ROWS 1440u
#define COLUMNS 720u
#define MOST (1440u * 256u)
#define NOINLINE __attribute__((noipa)) /* so that the emulator finds it by its name */

static const uint32_t SHAPE[4][2] = {{384, 256}, {256, 256}, {1440, 256}, {256, 720}};

static int8_t weights[MOST + 4096] __attribute__((aligned(64)));
static float row_scale[ROWS], out[ROWS];
static float scale[MOST / GROUP]; /* [rows / 4][group][4 rows] */
static uint8_t q[COLUMNS + 48] __attribute__((aligned(64)));
static float x_scale[COLUMNS / GROUP];

typedef struct { /* in the scratchpad, as the engine has it */
    int16_t wide[BT_MAX_WIDTH];
    int32_t sums[4];
} scratchpad;

static uint32_t state = 1;

static uint32_t random_bits(void) {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return state;
}

/* Four rows, group by group: the sums of 16 products of each, gathered into one register, go to the FPU through the
 * scratchpad. Weights are w * 256 as in kernels_mmi.c, which the scales of the activations undo. With BY, the scale of
 * the group's activations. The next four rows are prefetched meanwhile. */
#define FOUR_ROWS(name, LOAD_BY, BY)                                                                                   \
    static NOINLINE void name(const int8_t *w, uint32_t columns, const scratchpad *pad, const float *by,               \
                              const float *scales, float *to) {                                                        \
        const int8_t *w1 = w + columns, *w2 = w1 + columns, *w3 = w2 + columns, *ahead = w3 + columns;                 \
        const int16_t *x = pad->wide;                                                                                  \
        uint32_t n = columns / GROUP;                                                                                  \
        __asm__ volatile(                                                                                              \
            ".set push\n\t"                                                                                            \
            ".set noreorder\n\t"                                                                                       \
            "mtc1 $0, $f12\n\t" "mtc1 $0, $f13\n\t" "mtc1 $0, $f14\n\t" "mtc1 $0, $f15\n"                              \
            "1:\n\t"                                                                                                   \
            "lq $8, 0(%[w])\n\t" "lq $9, 0(%[w1])\n\t" "lq $10, 0(%[w2])\n\t" "lq $11, 0(%[w3])\n\t"                   \
            "lq $12, 0(%[x])\n\t" "lq $13, 16(%[x])\n\t"                                                               \
            "pextlb $14, $8, $0\n\t" "lwc1 $f4, 0(%[scales])\n\t"                                                      \
            "pextub $8, $8, $0\n\t" "lwc1 $f5, 4(%[scales])\n\t"                                                       \
            "phmadh $14, $14, $12\n\t" "lwc1 $f6, 8(%[scales])\n\t"                                                    \
            "pextlb $15, $9, $0\n\t" "lwc1 $f7, 12(%[scales])\n\t"                                                     \
            "phmadh $8, $8, $13\n\t" LOAD_BY                                                                           \
            "pextub $9, $9, $0\n\t" "pref 0, 0(%[ahead])\n\t"                                                          \
            "phmadh $15, $15, $12\n\t" "addiu %[w], %[w], 16\n\t"                                                      \
            "pextlb $24, $10, $0\n\t" "addiu %[w1], %[w1], 16\n\t"                                                     \
            "phmadh $9, $9, $13\n\t" "addiu %[w2], %[w2], 16\n\t"                                                      \
            "pextub $10, $10, $0\n\t" "addiu %[w3], %[w3], 16\n\t"                                                     \
            "phmadh $24, $24, $12\n\t" "addiu %[x], %[x], 32\n\t"                                                      \
            "pextlb $25, $11, $0\n\t" "addiu %[scales], %[scales], 16\n\t"                                             \
            "phmadh $10, $10, $13\n\t" "addiu %[ahead], %[ahead], 64\n\t"                                              \
            "pextub $11, $11, $0\n\t" BY("$f4")                                                                        \
            "phmadh $25, $25, $12\n\t" BY("$f5")                                                                       \
            "paddw $8, $8, $14\n\t" BY("$f6")                                                                          \
            "phmadh $11, $11, $13\n\t" BY("$f7")                                                                       \
            "paddw $9, $9, $15\n\t"                                                                                    \
            "paddw $10, $10, $24\n\t"                                                                                  \
            "pextlw $14, $9, $8\n\t"                                                                                   \
            "pextuw $15, $9, $8\n\t"                                                                                   \
            "paddw $11, $11, $25\n\t"                                                                                  \
            "paddw $14, $14, $15\n\t"                                                                                  \
            "pextlw $24, $11, $10\n\t"                                                                                 \
            "pextuw $25, $11, $10\n\t"                                                                                 \
            "paddw $24, $24, $25\n\t"                                                                                  \
            "pcpyld $15, $24, $14\n\t"                                                                                 \
            "pcpyud $25, $14, $24\n\t"                                                                                 \
            "paddw $14, $15, $25\n\t"                                                                                  \
            "sq $14, 0(%[sums])\n\t"                                                                                   \
            "lwc1 $f0, 0(%[sums])\n\t" "lwc1 $f1, 4(%[sums])\n\t"                                                      \
            "lwc1 $f2, 8(%[sums])\n\t" "lwc1 $f3, 12(%[sums])\n\t"                                                     \
            "cvt.s.w $f0, $f0\n\t" "cvt.s.w $f1, $f1\n\t" "cvt.s.w $f2, $f2\n\t" "cvt.s.w $f3, $f3\n\t"                \
            "mul.s $f0, $f0, $f4\n\t" "mul.s $f1, $f1, $f5\n\t" "mul.s $f2, $f2, $f6\n\t" "mul.s $f3, $f3, $f7\n\t"    \
            "addiu %[n], %[n], -1\n\t"                                                                                 \
            "add.s $f12, $f12, $f0\n\t" "add.s $f13, $f13, $f1\n\t" "add.s $f14, $f14, $f2\n\t"                        \
            "bnez %[n], 1b\n\t"                                                                                        \
            "add.s $f15, $f15, $f3\n\t"                                                                                \
            "swc1 $f12, 0(%[to])\n\t" "swc1 $f13, 4(%[to])\n\t" "swc1 $f14, 8(%[to])\n\t" "swc1 $f15, 12(%[to])\n\t"   \
            ".set pop\n\t"                                                                                             \
            : [w] "+r"(w), [w1] "+r"(w1), [w2] "+r"(w2), [w3] "+r"(w3), [x] "+r"(x), [scales] "+r"(scales),            \
              [ahead] "+r"(ahead), [n] "+r"(n), [by] "+r"(by)                                                          \
            : [sums] "r"(pad->sums), [to] "r"(to)                                                                      \
            : "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15", "$24", "$25", "hi", "lo", "$f0", "$f1", "$f2",     \
              "$f3", "$f4", "$f5", "$f6", "$f7", "$f8", "$f12", "$f13", "$f14", "$f15", "memory");                     \
    }

#define WITH_BY(scale) "mul.s " scale ", " scale ", $f8\n\t"
#define WITHOUT_BY(scale)
FOUR_ROWS(four_rows_groups, "lwc1 $f8, 0(%[by])\n\taddiu %[by], %[by], 4\n\t", WITH_BY)
FOUR_ROWS(four_rows_token, "", WITHOUT_BY)

/* 16 activations at a time to halfwords, as the engine does. */
static NOINLINE void widen(const uint8_t *from, uint32_t columns, int16_t *to) {
    for (uint32_t i = 0; i < columns; i += 16) {
        __asm__ volatile("lq $8, 0(%[from])\n\t"
                         "pextlb $9, $8, $8\n\t"
                         "pextub $10, $8, $8\n\t"
                         "psrah $9, $9, 8\n\t"
                         "psrah $10, $10, 8\n\t"
                         "sq $9, 0(%[to])\n\t"
                         "sq $10, 16(%[to])\n\t"
                         :
                         : [from] "r"(from + i), [to] "r"(to + i)
                         : "$8", "$9", "$10", "memory");
    }
}

static int32_t dot(const int8_t *w, const uint8_t *x, uint32_t count) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += w[i] * (int8_t)x[i];
    return sum;
}

static uint32_t is_wrong(float expected, float found) {
    const float difference = expected < found ? found - expected : expected - found;
    const float size = expected < 0.0f ? -expected : expected;
    return !(difference <= 1.0e-4f * (size + 100.0f));
}

int main(void) {
    scratchpad *pad = (scratchpad *)(uintptr_t)0x70000000u;
    uint32_t wrong = 0;
    for (uint32_t s = 0; s < 4; s++) {
        const uint32_t rows = SHAPE[s][0], columns = SHAPE[s][1], groups = columns / GROUP;
        for (uint32_t i = 0; i < rows * columns; i++) weights[i] = (int8_t)((int32_t)(random_bits() % 255) - 127);
        for (uint32_t i = 0; i < columns; i++) q[i] = (uint8_t)((int32_t)(random_bits() % 255) - 127);
        for (uint32_t i = 0; i < rows * groups; i++) scale[i] = (float)(1 + random_bits() % 1000) * 1.0e-4f;
        for (uint32_t i = 0; i < groups; i++) x_scale[i] = (float)(1 + random_bits() % 1000) * (1.0e-3f / 256.0f);
        for (uint32_t i = 0; i < rows; i++) row_scale[i] = 1.0f;

        const float one = 1.0f;
        const bt_matrix matrix = {.data = weights, .scale = row_scale, .rows = rows, .columns = columns, .bits = 8};
        const bt_vectors vectors = {q, &one, COLUMNS + 48};
        bt_mmi_kernels.multiply(&matrix, &vectors, 1, out, ROWS);
        for (uint32_t r = 0; r < rows; r += 7) wrong += out[r] != (float)dot(weights + r * columns, q, columns);

        for (int grouped = 0; grouped < 2; grouped++) {
            widen(q, columns, pad->wide);
            for (uint32_t r = 0; r < rows; r += 4)
                (grouped ? four_rows_groups : four_rows_token)(weights + r * columns, columns, pad, x_scale,
                                                               scale + r * groups, out + r);
            for (uint32_t r = 0; r < rows; r += 7) {
                float expected = 0.0f;
                for (uint32_t g = 0; g < groups; g++) {
                    const int8_t *w = weights + r * columns + g * GROUP;
                    const float by = grouped ? x_scale[g] : 1.0f / 256.0f;
                    expected += (float)dot(w, q + g * GROUP, GROUP) * 256.0f
                                * (scale[(r / 4 * groups + g) * 4 + r % 4] * by);
                }
                wrong += is_wrong(expected, grouped ? out[r] : out[r] * (1.0f / 256.0f));
            }
        }
    }
    return (int)wrong;
}
