/* The PlayStation 2's main processor (R5900): 16 weights at a time with its 128-bit integer instructions (MMI).
 *
 * A product of halfwords needs weights as halfwords. pextlb and pextub put 8 of 16 bytes into the upper halves of 8
 * halfwords, which is w * 256 without a sign extension; activations are widened to halfwords once per vector. pmaddh
 * adds 8 products to the 8 words of hi and lo, and the factor of 256 is shifted out at the end of a row. Nothing
 * overflows: a word collects columns / 8 products of at most 127 * 127 * 256, which stays below 2^31 up to 4160
 * columns, and BT_MAX_WIDTH is 4096.
 *
 * Weights come from memory and are read once per token, so that the data cache would only see them pass: they are
 * prefetched two lines ahead, and the activations wait in the scratchpad, where the weights cannot displace them. */
#include "engine.h"

#ifdef BT_R5900

#define SCRATCHPAD 0x70000000u /* 16 kB beside the caches; the console's kernel maps it here */
#define ROWS 4u                /* computed by one call of dot_rows */

typedef struct {
    int16_t wide[BT_MAX_WIDTH];
    int8_t row[BT_MAX_WIDTH]; /* one that must be unpacked */
    int32_t sums[ROWS];
} scratchpad;

/* q, 16 at a time, to halfwords. */
static void widen(const uint8_t *q, uint32_t columns, int16_t *to) {
    for (uint32_t i = 0; i < columns; i += 16) {
        __asm__ volatile(
            "lq     $8, 0(%[from])\n\t"
            "pextlb $9, $8, $8\n\t"
            "pextub $10, $8, $8\n\t"
            "psrah  $9, $9, 8\n\t"
            "psrah  $10, $10, 8\n\t"
            "sq     $9, 0(%[to])\n\t"
            "sq     $10, 16(%[to])\n\t"
            :
            : [from] "r"(q + i), [to] "r"(to + i)
            : "$8", "$9", "$10", "memory");
    }
}

/* Multiply 16 weights in register w with the activations in x0 and x1, and meanwhile load the next ones. */
#define STEP(w, x0, x1, next_w, next_x0, next_x1, at_w, at_x0, at_x1)                                                  \
    "pextlb $14, " w ", $0\n\t"                                                                                        \
    "lq     " next_w ", " at_w "(%[w])\n\t"                                                                            \
    "pextub $15, " w ", $0\n\t"                                                                                        \
    "lq     " next_x0 ", " at_x0 "(%[p])\n\t"                                                                          \
    "pmaddh $0, $14, " x0 "\n\t"                                                                                       \
    "lq     " next_x1 ", " at_x1 "(%[p])\n\t"                                                                          \
    "pmaddh $0, $15, " x1 "\n\t"

/* The row at %[w], which moves to the next one; 4 partial sums to a register. First the 16s of columns that do not make
 * a line of the cache, then lines of 64. */
#define ROW(sum)                                                                                                       \
    "pmtlo  $0\n\t"                                                                                                    \
    "pmthi  $0\n\t"                                                                                                    \
    "move   %[p], %[x]\n\t"                                                                                            \
    "beqz   %[ones], 2f\n\t"                                                                                           \
    "move   %[n], %[ones]\n"                                                                                           \
    "1:\n\t"                                                                                                           \
    "lq     $8, 0(%[w])\n\t"                                                                                           \
    "lq     $9, 0(%[p])\n\t"                                                                                           \
    "pextlb $14, $8, $0\n\t"                                                                                           \
    "lq     $10, 16(%[p])\n\t"                                                                                         \
    "pextub $15, $8, $0\n\t"                                                                                           \
    "pref   0, 128(%[w])\n\t"                                                                                          \
    "pmaddh $0, $14, $9\n\t"                                                                                           \
    "addiu  %[n], %[n], -1\n\t"                                                                                        \
    "pmaddh $0, $15, $10\n\t"                                                                                          \
    "addiu  %[p], %[p], 32\n\t"                                                                                        \
    "bnez   %[n], 1b\n\t"                                                                                              \
    "addiu  %[w], %[w], 16\n"                                                                                          \
    "2:\n\t"                                                                                                           \
    "beqz   %[fours], 4f\n\t"                                                                                          \
    "move   %[n], %[fours]\n"                                                                                          \
    "3:\n\t"                                                                                                           \
    "lq     $8, 0(%[w])\n\t"                                                                                           \
    "lq     $9, 0(%[p])\n\t"                                                                                           \
    "lq     $10, 16(%[p])\n\t"                                                                                         \
    "pref   0, 128(%[w])\n\t"                                                                                          \
    STEP("$8", "$9", "$10", "$11", "$12", "$13", "16", "32", "48")                                                     \
    STEP("$11", "$12", "$13", "$8", "$9", "$10", "32", "64", "80")                                                     \
    STEP("$8", "$9", "$10", "$11", "$12", "$13", "48", "96", "112")                                                    \
    "pextlb $14, $11, $0\n\t"                                                                                          \
    "addiu  %[n], %[n], -1\n\t"                                                                                        \
    "pextub $15, $11, $0\n\t"                                                                                          \
    "addiu  %[p], %[p], 128\n\t"                                                                                       \
    "pmaddh $0, $14, $12\n\t"                                                                                          \
    "addiu  %[w], %[w], 64\n\t"                                                                                        \
    "bnez   %[n], 3b\n\t"                                                                                              \
    "pmaddh $0, $15, $13\n"                                                                                            \
    "4:\n\t"                                                                                                           \
    "pmfhl.lw $8\n\t"                                                                                                  \
    "pmfhl.uw $9\n\t"                                                                                                  \
    "psraw  $8, $8, 8\n\t"                                                                                             \
    "psraw  $9, $9, 8\n\t"                                                                                             \
    "paddw  " sum ", $8, $9\n\t"                                                                                       \
    "addu   %[w], %[w], %[skip]\n\t"

/* Dot products of x with four rows, the first at `w` and each `skip` bytes after the end of the one before. */
static void dot_rows(const int8_t *w, int32_t skip, const int16_t *x, uint32_t columns, int32_t *sums) {
    const int16_t *p;
    uint32_t n;
    __asm__ volatile(
        ".set push\n\t"
        ".set noreorder\n\t"
        ROW("$24") ROW("$25") ROW("$2") ROW("$3")
        /* the four sums of each: transpose and add */
        "pextlw $8, $25, $24\n\t"
        "pextuw $9, $25, $24\n\t"
        "pextlw $10, $3, $2\n\t"
        "pextuw $11, $3, $2\n\t"
        "paddw  $8, $8, $9\n\t"
        "paddw  $10, $10, $11\n\t"
        "pcpyld $9, $10, $8\n\t"
        "pcpyud $11, $8, $10\n\t"
        "paddw  $8, $9, $11\n\t"
        "sq     $8, 0(%[sums])\n\t"
        ".set pop\n\t"
        : [w] "+r"(w), [p] "=&r"(p), [n] "=&r"(n)
        : [skip] "r"(skip), [x] "r"(x), [ones] "r"(columns / 16 % 4), [fours] "r"(columns / 64), [sums] "r"(sums)
        : "$2", "$3", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15", "$24", "$25", "hi", "lo", "memory");
}

static void multiply(const bt_matrix *matrix, const bt_vectors *vectors, uint32_t tokens, float *out,
                     uint32_t out_stride) {
    scratchpad *pad = (scratchpad *)(uintptr_t)SCRATCHPAD;
    const uint32_t columns = matrix->columns, whole = (columns + 15) / 16 * 16;
    /* rows that pmaddh can read where they stand */
    const int direct = matrix->bits == 8 && columns == whole && ((uintptr_t)matrix->data & 15) == 0;
    const uint32_t step = direct ? ROWS : 1;
    for (uint32_t t = 0; t < tokens; t++, out += out_stride) {
        const float factor = vectors->scale[t];
        widen(vectors->q + (size_t)t * vectors->stride, columns, pad->wide);
        for (uint32_t r = 0; r < matrix->rows;) {
            const int8_t *row = matrix->data + (size_t)r * columns;
            if (!direct) {
                bt_unpack_row(matrix, r, pad->row);
                bt_fill(pad->row + columns, 0, whole - columns);
                row = pad->row;
            }
            const uint32_t left = matrix->rows - r, made = left < step ? 1 : step;
            dot_rows(row, made == ROWS ? 0 : -(int32_t)whole, pad->wide, whole, pad->sums); /* one row four times */
            for (uint32_t i = 0; i < made; i++) out[r + i] = (float)pad->sums[i] * (matrix->scale[r + i] * factor);
            r += made;
        }
    }
}

/* The portable arithmetic, for the caches and shapes that the following does not take. */
#define KERNELS bt_mmi_plain_kernels
#define KIND BT_KERNEL_MMI
#define TILED 0
#define BIAS 0
#include "kernels.inc"

/* --- floats: in order, one at a time, results after four cycles; so four elements are computed side by side ------- */

#define SIDE 4
#define EACH for (int l = 0; l < SIDE; l++)
static inline float max_of(float a, float b) {
    float most;
    __asm__("max.s %0, %1, %2" : "=f"(most) : "f"(a), "f"(b));
    return most;
}

static inline float min_of(float a, float b) {
    float least;
    __asm__("min.s %0, %1, %2" : "=f"(least) : "f"(a), "f"(b));
    return least;
}

typedef union {
    float number;
    uint32_t bits;
} word;

static void mmi_quantize(const float *x, uint32_t count, uint8_t *q, float *scale) {
    float most[SIDE] = {0.0f, 0.0f, 0.0f, 0.0f};
    uint32_t i = 0;
    for (; i + SIDE <= count; i += SIDE)
        EACH most[l] = max_of(most[l], __builtin_fabsf(x[i + l]));
    for (; i < count; i++) most[0] = max_of(most[0], __builtin_fabsf(x[i]));
    const float largest = max_of(max_of(most[0], most[1]), max_of(most[2], most[3]));
    const float factor = largest > 1.0e-30f ? 127.0f / largest : 0.0f;
    *scale = largest > 1.0e-30f ? largest * (1.0f / 127.0f) : 0.0f;
    const word *words = (const word *)(const void *)x;
    for (i = 0; i + SIDE <= count; i += SIDE) {
        word half[SIDE];
        int32_t rounded[SIDE];
        EACH half[l].bits = (words[i + l].bits & 0x80000000u) | 0x3f000000u; /* +-0.5 */
        EACH rounded[l] = (int32_t)(words[i + l].number * factor + half[l].number);
        EACH q[i + l] = (uint8_t)rounded[l];
    }
    for (; i < count; i++) {
        const float scaled = x[i] * factor;
        q[i] = (uint8_t)(int32_t)(scaled + (scaled < 0.0f ? -0.5f : 0.5f));
    }
}

/* exp of four numbers from -87 to 87. */
static inline __attribute__((always_inline)) void exponentials_of(float *x) {
    float n[SIDE], r[SIDE], p[SIDE];
    word power[SIDE];
    EACH power[l].bits = (uint32_t)(int32_t)(x[l] * 1.44269504f + 128.5f); /* rounds down */
    EACH n[l] = (float)((int32_t)power[l].bits - 128);
    EACH power[l].bits = (power[l].bits - 1) << 23;
    EACH r[l] = x[l] - n[l] * 0.693359375f;
    EACH r[l] += n[l] * 2.12194440e-4f;
    EACH p[l] = 4.16666667e-2f + r[l] * 8.33333333e-3f;
    EACH p[l] = 1.66666667e-1f + r[l] * p[l];
    EACH p[l] = 0.5f + r[l] * p[l];
    EACH p[l] = 1.0f + r[l] * p[l];
    EACH p[l] = 1.0f + r[l] * p[l];
    EACH x[l] = p[l] * power[l].number;
}

static float mmi_exponentials(float *x, uint32_t count) {
    float most = x[0], sum = 0.0f;
    uint32_t i = 0;
    for (; i < count; i++) most = max_of(most, x[i]);
    for (i = 0; i + SIDE <= count; i += SIDE) {
        float e[SIDE];
        EACH e[l] = max_of(x[i + l] - most, -87.0f);
        exponentials_of(e);
        EACH x[i + l] = e[l];
        sum += (e[0] + e[1]) + (e[2] + e[3]);
    }
    if (i < count) {
        float e[SIDE] = {-87.0f, -87.0f, -87.0f, -87.0f};
        for (uint32_t l = 0; l < count - i; l++) e[l] = max_of(x[i + l] - most, -87.0f);
        exponentials_of(e);
        for (uint32_t l = 0; l < count - i; l++) {
            x[i + l] = e[l];
            sum += e[l];
        }
    }
    return sum;
}

static void mmi_rms_norm(const float *x, const float *weight, uint32_t count, float eps, float *out) {
    float sums[SIDE] = {0.0f, 0.0f, 0.0f, 0.0f};
    uint32_t i = 0;
    for (; i + SIDE <= count; i += SIDE) EACH sums[l] += x[i + l] * x[i + l];
    for (; i < count; i++) sums[0] += x[i] * x[i];
    const float mean = ((sums[0] + sums[1]) + (sums[2] + sums[3])) / (float)count;
    const float factor = 1.0f / __builtin_sqrtf(mean + eps);
    for (i = 0; i + SIDE <= count; i += SIDE) {
        float y[SIDE];
        EACH y[l] = x[i + l] * factor * weight[i + l];
        EACH out[i + l] = y[l];
    }
    for (; i < count; i++) out[i] = x[i] * factor * weight[i];
}

static void mmi_add(float *x, const float *y, uint32_t count) {
    uint32_t i = 0;
    for (; i + SIDE <= count; i += SIDE) {
        float sum[SIDE];
        EACH sum[l] = x[i + l] + y[i + l];
        EACH x[i + l] = sum[l];
    }
    for (; i < count; i++) x[i] += y[i];
}

static void mmi_average(const float *states, size_t stride, const float *weights, uint32_t number, uint32_t count,
                        float *out) {
    uint32_t i = 0;
    for (; i + 4 * SIDE <= count; i += 4 * SIDE) {
        float sums[4 * SIDE];
        for (int l = 0; l < 4 * SIDE; l++) sums[l] = states[i + l] * weights[0];
        for (uint32_t s = 1; s < number; s++)
            for (int l = 0; l < 4 * SIDE; l++) sums[l] += states[s * stride + i + l] * weights[s];
        for (int l = 0; l < 4 * SIDE; l++) out[i + l] = sums[l];
    }
    for (; i < count; i++) {
        float sum = states[i] * weights[0];
        for (uint32_t s = 1; s < number; s++) sum += states[s * stride + i] * weights[s];
        out[i] = sum;
    }
}

static void mmi_swiglu(const float *gate, const float *up, uint32_t count, float *out) {
    uint32_t i = 0;
    for (; i + SIDE <= count; i += SIDE) {
        float e[SIDE];
        EACH e[l] = min_of(max_of(-gate[i + l], -87.0f), 87.0f);
        exponentials_of(e);
        EACH e[l] = gate[i + l] / (1.0f + e[l]);
        EACH out[i + l] = e[l] * up[i + l];
    }
    swiglu(gate + i, up + i, count - i, out + i);
}

/* --- attention: the accumulator of the FPU adds one product per cycle if one factor waits in registers ------------ */

#define TAKE(reg, at) "lwc1 " reg ", " at "(%[row])\n\t"
#define TERM(a, b) "madda.s " a ", " b "\n\t"

/* sums[r] += dot(x, rows + r * stride) over 16 floats, for `count` > 0 rows. */
static inline void dot_16(const float *x, const float *rows, size_t stride, uint32_t count, float *sums) {
    const uint32_t step = (uint32_t)(stride * sizeof(float));
    const float *ahead = rows + 2 * stride;
    __asm__ volatile(
        ".set push\n\t"
        ".set noreorder\n\t"
        "mtc1 $0, $f31\n\t"
        "lwc1 $f0, 0(%[x])\n\t" "lwc1 $f1, 4(%[x])\n\t" "lwc1 $f2, 8(%[x])\n\t" "lwc1 $f3, 12(%[x])\n\t"
        "lwc1 $f4, 16(%[x])\n\t" "lwc1 $f5, 20(%[x])\n\t" "lwc1 $f6, 24(%[x])\n\t" "lwc1 $f7, 28(%[x])\n\t"
        "lwc1 $f8, 32(%[x])\n\t" "lwc1 $f9, 36(%[x])\n\t" "lwc1 $f10, 40(%[x])\n\t" "lwc1 $f11, 44(%[x])\n\t"
        "lwc1 $f12, 48(%[x])\n\t" "lwc1 $f13, 52(%[x])\n\t" "lwc1 $f14, 56(%[x])\n\t" "lwc1 $f15, 60(%[x])\n"
        "1:\n\t"
        "lwc1 $f30, 0(%[sums])\n\t"
        "pref 0, 0(%[ahead])\n\t"
        TAKE("$f16", "0")
        "adda.s $f30, $f31\n\t"
        TAKE("$f17", "4")
        TERM("$f0", "$f16") TAKE("$f18", "8") TERM("$f1", "$f17") TAKE("$f19", "12")
        TERM("$f2", "$f18") TAKE("$f20", "16") TERM("$f3", "$f19") TAKE("$f21", "20")
        TERM("$f4", "$f20") TAKE("$f22", "24") TERM("$f5", "$f21") TAKE("$f23", "28")
        TERM("$f6", "$f22") TAKE("$f24", "32") TERM("$f7", "$f23") TAKE("$f25", "36")
        TERM("$f8", "$f24") TAKE("$f26", "40") TERM("$f9", "$f25") TAKE("$f27", "44")
        TERM("$f10", "$f26") TAKE("$f28", "48") TERM("$f11", "$f27") TAKE("$f29", "52")
        TERM("$f12", "$f28") TAKE("$f16", "56") TERM("$f13", "$f29") TAKE("$f17", "60")
        TERM("$f14", "$f16")
        "addu %[row], %[row], %[step]\n\t"
        "madd.s $f30, $f15, $f17\n\t"
        "addu %[ahead], %[ahead], %[step]\n\t"
        "addiu %[count], %[count], -1\n\t"
        "addiu %[sums], %[sums], 4\n\t"
        "bnez %[count], 1b\n\t"
        "swc1 $f30, -4(%[sums])\n\t"
        ".set pop\n\t"
        : [row] "+r"(rows), [ahead] "+r"(ahead), [count] "+r"(count), [sums] "+r"(sums)
        : [x] "r"(x), [step] "r"(step)
        : "$f0", "$f1", "$f2", "$f3", "$f4", "$f5", "$f6", "$f7", "$f8", "$f9", "$f10", "$f11", "$f12", "$f13", "$f14",
          "$f15", "$f16", "$f17", "$f18", "$f19", "$f20", "$f21", "$f22", "$f23", "$f24", "$f25", "$f26", "$f27",
          "$f28", "$f29", "$f30", "$f31", "memory");
}

/* For dot_16 this cache is the other way around: keys by position, values by coordinate. */
static int is_turned(const bt_cache *cache, uint32_t head_size) {
    return cache->type == BT_KV_F32 && head_size % 16 == 0;
}

static void mmi_store(const bt_cache *cache, uint32_t position, const float *k, const float *v, uint32_t kv_heads,
                      uint32_t head_size) {
    if (!is_turned(cache, head_size)) {
        store(cache, position, k, v, kv_heads, head_size);
        return;
    }
    float *keys = cache->keys, *values = cache->values;
    for (uint32_t h = 0; h < kv_heads; h++) {
        for (uint32_t i = 0; i < head_size; i++) {
            keys[((size_t)h * cache->positions + position) * head_size + i] = k[h * head_size + i];
            values[((size_t)h * head_size + i) * cache->positions + position] = v[h * head_size + i];
        }
    }
}

static void mmi_attend(const bt_cache *cache, const float *q, uint32_t seen, uint32_t heads, uint32_t kv_heads,
                       uint32_t head_size, float *out, float *scratch) {
    if (!is_turned(cache, head_size)) {
        attend(cache, q, seen, heads, kv_heads, head_size, out, scratch);
        return;
    }
    const size_t positions = cache->positions;
    const uint32_t group = heads / kv_heads;
    bt_fill(out, 0, (size_t)heads * head_size * sizeof(float));
    for (uint32_t kv = 0; kv < kv_heads; kv++, q += group * head_size, out += group * head_size) {
        const float *keys = (const float *)cache->keys + kv * positions * head_size;
        const float *values = (const float *)cache->values + kv * positions * head_size;
        for (uint32_t p = 0; p < seen; p += 16) { /* so few that the heads find them in the cache of the processor */
            const uint32_t count = seen - p < 16 ? seen - p : 16;
            for (uint32_t h = 0; h < group; h++) {
                float *scores = scratch + h * positions + p;
                bt_fill(scores, 0, 16 * sizeof(float));
                for (uint32_t i = 0; i < head_size; i += 16)
                    dot_16(q + h * head_size + i, keys + (size_t)p * head_size + i, head_size, count, scores);
            }
        }
        for (uint32_t h = 0; h < group; h++) {
            float *weights = scratch + h * positions;
            const float factor = 1.0f / mmi_exponentials(weights, seen);
            for (uint32_t p = 0; p < seen; p++) weights[p] *= factor;
        }
        for (uint32_t p = 0; p < seen; p += 16) /* the weights after `seen` are still zeros */
            for (uint32_t h = 0; h < group; h++)
                dot_16(scratch + h * positions + p, values + p, positions, head_size, out + h * head_size);
    }
}

const bt_kernels bt_mmi_kernels = {
    KIND,       TILED,      BIAS,  multiply,  mmi_quantize, mmi_rms_norm,     mmi_add,
    mmi_average, mmi_swiglu, relu_squared, mmi_store, mmi_attend,   mmi_exponentials,
};

#endif
