/* For the console: the MMI kernels against the portable ones, over shapes and extreme values; prints what differs. */
#include "engine.h"
#include "ps2_calls.h"

#define MOST_COLUMNS 4096u
#define MOST_ROWS 40u
#define MOST_TOKENS 3u
#define OUT_STRIDE 48u
#define MOST_POSITIONS 64u
#define MOST_INNER 256u

static int8_t weights[MOST_ROWS * MOST_COLUMNS + 16] __attribute__((aligned(64)));
static int8_t groups[MOST_ROWS * MOST_COLUMNS / 16];
static uint8_t q[MOST_TOKENS * MOST_COLUMNS] __attribute__((aligned(64)));
static float scale[MOST_ROWS], vector_scale[MOST_TOKENS];
static float expected[MOST_TOKENS * OUT_STRIDE], got[MOST_TOKENS * OUT_STRIDE];
static uint32_t state = 1;

static uint32_t random_bits(void) {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return state;
}

static void put(const char *text) {
    while (*text) *(volatile uint8_t *)PS2_SERIAL_OUT = (uint8_t)*text++;
}

static void put_number(uint32_t value) {
    char digits[12];
    int at = 11;
    digits[at] = 0;
    do digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    put(" ");
    put(digits + at);
}

/* kind 0: random bytes; 1: all 127; 2: all -127; 3: 127 times -127 */
static void fill(uint32_t kind, uint32_t bits, uint32_t columns, uint32_t rows) {
    for (uint32_t i = 0; i < rows * columns; i++) {
        int32_t value = (int32_t)(random_bits() % 255) - 127;
        weights[i] = (int8_t)(kind == 0 ? value : kind == 2 || kind == 3 ? -127 : 127);
    }
    if (bits != 8) {
        for (uint32_t i = 0; i < rows * columns * bits / 8; i++) {
            uint32_t byte = 0;
            for (uint32_t j = 0; j < 8 / bits; j++) {
                byte |= (bits == 4 ? 1 + random_bits() % 15 : random_bits() % 3) << j * bits;
            }
            weights[i] = (int8_t)byte;
        }
        for (uint32_t i = 0; i < rows * columns / 16; i++) groups[i] = (int8_t)(1 + random_bits() % 18);
    }
    for (uint32_t i = 0; i < sizeof q; i++) {
        int32_t value = (int32_t)(random_bits() % 255) - 127;
        q[i] = (uint8_t)(kind == 0 ? value : kind == 2 ? -127 : 127);
    }
}

static uint32_t check(uint32_t kind, uint32_t bits, uint32_t columns, uint32_t rows, uint32_t tokens, uint32_t shift) {
    bt_matrix matrix = {.data = weights + shift, .group = groups, .scale = scale, .rows = rows, .columns = columns,
                        .bits = bits};
    const bt_vectors vectors = {q, vector_scale, MOST_COLUMNS};
    fill(kind, bits, columns, rows);
    for (uint32_t i = 0; i < MOST_TOKENS * OUT_STRIDE; i++) expected[i] = got[i] = -1.0f;
    bt_portable_kernels.multiply(&matrix, &vectors, tokens, expected, OUT_STRIDE);
    bt_mmi_kernels.multiply(&matrix, &vectors, tokens, got, OUT_STRIDE);
    uint32_t wrong = 0;
    for (uint32_t t = 0; t < tokens; t++) {
        for (uint32_t r = 0; r < rows; r++) wrong += expected[t * OUT_STRIDE + r] != got[t * OUT_STRIDE + r];
    }
    if (wrong) {
        put("wrong:"), put_number(wrong), put(" of kind, bits, columns, rows, tokens, shift"), put_number(kind);
        put_number(bits), put_number(columns), put_number(rows), put_number(tokens), put_number(shift), put("\n");
    }
    return wrong;
}

/* --- floats: to a tolerance, as the order of sums differs --------------------------------------------------------- */

static float keys[2][MOST_POSITIONS * MOST_INNER], values[2][MOST_POSITIONS * MOST_INNER];
static float key_scales[2][MOST_POSITIONS * 8], value_scales[2][MOST_POSITIONS * 8];
static float a[MOST_COLUMNS], b[MOST_COLUMNS], results[2][MOST_COLUMNS], scratch[8 * MOST_POSITIONS];
static const bt_kernels *const both[2] = {&bt_portable_kernels, &bt_mmi_kernels};

static float random_float(void) { return (float)((int32_t)(random_bits() % 20001) - 10000) * 3.0e-4f; }

static uint32_t differ(const char *what, uint32_t count) {
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < count; i++) {
        float difference = results[0][i] - results[1][i], size = results[0][i];
        difference = difference < 0.0f ? -difference : difference, size = size < 0.0f ? -size : size;
        wrong += !(difference <= 2.0e-5f * (size + 0.1f));
    }
    if (wrong) put("wrong: "), put(what), put_number(wrong), put(" of"), put_number(count), put("\n");
    return wrong;
}

static uint32_t check_attention(bt_kv type, uint32_t group, uint32_t kv_heads, uint32_t head_size, uint32_t seen) {
    bt_cache cache[2];
    for (int i = 0; i < 2; i++) {
        bt_fill(keys[i], 0, sizeof keys[i]), bt_fill(values[i], 0, sizeof values[i]);
        bt_fill(scratch, 0, sizeof scratch);
        cache[i] = (bt_cache){keys[i], values[i], key_scales[i], value_scales[i], type, MOST_POSITIONS};
    }
    for (uint32_t p = 0; p < seen; p++) {
        for (uint32_t i = 0; i < kv_heads * head_size; i++) a[i] = random_float(), b[i] = random_float();
        for (int i = 0; i < 2; i++) both[i]->store(&cache[i], p, a, b, kv_heads, head_size);
    }
    for (uint32_t i = 0; i < group * kv_heads * head_size; i++) a[i] = 0.2f * random_float();
    for (int i = 0; i < 2; i++)
        both[i]->attend(&cache[i], a, seen, group * kv_heads, kv_heads, head_size, results[i], scratch);
    return differ("attention", group * kv_heads * head_size);
}

static uint32_t check_floats(uint32_t *checks) {
    static const uint32_t sizes[] = {1, 3, 4, 16, 23, 720};
    static uint8_t quantised[2][MOST_COLUMNS];
    uint32_t wrong = 0;
    for (uint32_t s = 0; s < sizeof sizes / sizeof *sizes; s++, *checks += 4) {
        const uint32_t n = sizes[s];
        for (uint32_t i = 0; i < n; i++) a[i] = 10.0f * random_float(), b[i] = random_float();
        for (int i = 0; i < 2; i++) both[i]->swiglu(a, b, n, results[i]);
        wrong += differ("swiglu", n);
        for (int i = 0; i < 2; i++) {
            bt_copy(results[i], a, n * sizeof(float));
            results[i][n] = both[i]->exponentials(results[i], n);
        }
        wrong += differ("exponentials", n + 1);
        for (int i = 0; i < 2; i++) both[i]->quantize(a, n, quantised[i], &results[i][0]);
        wrong += differ("scale", 1);
        const uint32_t unequal = !bt_equal(quantised[0], quantised[1], n);
        if (unequal) put("wrong: quantize"), put_number(n), put("\n");
        wrong += unequal;
    }
    for (uint32_t seen = 1; seen <= 40; seen += seen < 18 ? 4 : 11) {
        for (uint32_t type = BT_KV_F32; type <= BT_KV_I8; type++) {
            wrong += check_attention((bt_kv)type, 4, 2, 32, seen), ++*checks;
            wrong += check_attention((bt_kv)type, 3, 1, 16, seen), ++*checks;
            wrong += check_attention((bt_kv)type, 1, 3, 24, seen), ++*checks;
        }
    }
    return wrong;
}

int main(void) {
    static const uint32_t columns[] = {16, 32, 48, 64, 80, 256, 720, 1040, 4096, 4, 20, 36, 63};
    static const uint32_t rows[] = {1, 2, 3, 4, 5, 8, 39};
    uint32_t wrong = 0, checks = 0;
    for (uint32_t i = 0; i < MOST_ROWS; i++) scale[i] = 1.0f; /* so that a wrong unit in a sum is seen */
    for (uint32_t i = 0; i < MOST_TOKENS; i++) vector_scale[i] = 1.0f;
    for (uint32_t c = 0; c < sizeof columns / sizeof *columns; c++) {
        for (uint32_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            const uint32_t n = columns[c] >= 1040 ? 5 : rows[r];
            if (columns[c] >= 1040 && r) continue;
            for (uint32_t kind = 0; kind < 4; kind++) wrong += check(kind, 8, columns[c], n, 1 + r % 3, 0), checks++;
            wrong += check(0, 8, columns[c], n, 1, 4), checks++; /* rows that are not aligned */
            if (columns[c] % 16 == 0) wrong += check(0, 4, columns[c], n, 2, 0), checks++;
            if (columns[c] % 4 == 0) wrong += check(0, 2, columns[c], n, 2, 0), checks++;
        }
    }
    wrong += check_floats(&checks);
    put_number(checks), put(" checks,"), put_number(wrong), put(" wrong\n");
    return wrong != 0;
}
