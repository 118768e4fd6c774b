/* What the engine needs of libc and libm, in single precision. */
#include "engine.h"

void *bt_take(bt_arena *arena, size_t bytes) {
    uintptr_t at = (uintptr_t)arena->base + arena->used;
    size_t start = arena->used + (size_t)(-at & 63);
    const size_t room = bytes + (arena->base ? 0 : 63); /* the real one may begin at any address */
    arena->used = start < arena->used || room < bytes || start + room < start ? SIZE_MAX : start + room;
    return arena->base && arena->used <= arena->size ? arena->base + start : NULL;
}

void bt_copy(void *to, const void *from, size_t bytes) { __builtin_memcpy(to, from, bytes); }

void bt_fill(void *to, int value, size_t bytes) { __builtin_memset(to, value, bytes); }

int bt_equal(const void *a, const void *b, size_t bytes) {
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < bytes; i++)
        if (x[i] != y[i]) return 0;
    return 1;
}

size_t bt_length(const char *text) {
    size_t length = 0;
    while (text[length]) length++;
    return length;
}

int bt_same(const char *a, const char *b) {
    const size_t length = bt_length(a);
    return length == bt_length(b) && bt_equal(a, b, length);
}

int bt_begins(const char *text, const char *with) {
    const size_t length = bt_length(with);
    return bt_length(text) >= length && bt_equal(text, with, length);
}

static float power_of_two(int32_t exponent) { /* -126 to 127 */
    union {
        uint32_t bits;
        float number;
    } u = {(uint32_t)(exponent + 127) << 23};
    return u.number;
}

float bt_exp(float x) {
    if (!(x >= -87.0f)) return 0.0f; /* and where x is no number */
    if (x > 88.0f) x = 88.0f;
    float scaled = x * 1.44269504f;
    int32_t n = (int32_t)(scaled + (scaled < 0.0f ? -0.5f : 0.5f));
    float r = x - (float)n * 0.693359375f + (float)n * 2.12194440e-4f; /* ln 2 in two parts */
    /* Taylor's polynomial, as in kernels.inc: |r| is at most ln(2) / 2 */
    float p = 4.16666667e-2f + r * (8.33333333e-3f + r * 1.38888889e-3f);
    p = 1.0f + r * (1.0f + r * (0.5f + r * (1.66666667e-1f + r * p)));
    return p * power_of_two(n);
}

float bt_log(float x) {
    union {
        float number;
        uint32_t bits;
    } u = {x};
    int32_t exponent = (int32_t)(u.bits >> 23) - 127;
    u.bits = (u.bits & 0x7fffffu) | 127u << 23; /* 1 to 2 */
    if (u.number > 1.41421356f) u.number *= 0.5f, exponent++;
    /* log(m) = 2 atanh(t) */
    float t = (u.number - 1.0f) / (u.number + 1.0f), t2 = t * t;
    float series = t * (2.0f + t2 * (6.66666667e-1f + t2 * (0.4f + t2 * (2.85714286e-1f + t2 * 2.22222222e-1f))));
    return (float)exponent * 0.693359375f + (series - (float)exponent * 2.12194440e-4f);
}

float bt_sqrt(float x) { return __builtin_sqrtf(x); }

void bt_sin_cos(float angle, float *sine, float *cosine) {
    /* to -pi/4 .. pi/4: pi / 2 in three parts whose products with the quotient are exact for positions this small */
    if (!(angle > -1.0e8f && angle < 1.0e8f)) angle = 0.0f; /* it has no fraction, or is no number */
    float turns = angle * 6.36619772e-1f;
    int32_t n = (int32_t)(turns + (turns < 0.0f ? -0.5f : 0.5f));
    float r = angle - (float)n * 1.5703125f;
    r -= (float)n * 4.83751297e-4f;
    r -= (float)n * 7.54978942e-8f;
    float r2 = r * r;
    float s = -1.98412698e-4f + r2 * 2.75573192e-6f;
    s = r * (1.0f + r2 * (-1.66666667e-1f + r2 * (8.33333333e-3f + r2 * s)));
    float c = 1.0f + r2 * (-0.5f + r2 * (4.16666667e-2f + r2 * (-1.38888889e-3f + r2 * 2.48015873e-5f)));
    const int quarter = n & 3;
    *sine = quarter == 0 ? s : quarter == 1 ? c : quarter == 2 ? -s : -c;
    *cosine = quarter == 0 ? c : quarter == 1 ? -s : quarter == 2 ? -c : s;
}
