/* What the compiler may call where there is no libc. The engine itself needs nothing else. */
#include <stddef.h>
#include <stdint.h>

/* without this gcc would recognise the loops and call the functions themselves */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
int memcmp(const void *a, const void *b, size_t count);

typedef uint32_t __attribute__((may_alias)) word;

void *memcpy(void *restrict to, const void *restrict from, size_t count) {
    uint8_t *out = to;
    const uint8_t *in = from;
    if ((((uintptr_t)out | (uintptr_t)in) & 3) == 0) {
        for (; count >= 4; count -= 4, out += 4, in += 4) *(word *)(void *)out = *(const word *)(const void *)in;
    }
    while (count--) *out++ = *in++;
    return to;
}

void *memmove(void *to, const void *from, size_t count) {
    uint8_t *out = to;
    const uint8_t *in = from;
    if ((uintptr_t)out - (uintptr_t)in >= count) return memcpy(to, from, count); /* no overlap ahead */
    while (count--) out[count] = in[count];
    return to;
}

void *memset(void *to, int value, size_t count) {
    uint8_t *out = to;
    const word four = (uint8_t)value * 0x01010101u;
    for (; count && (uintptr_t)out & 3; count--) *out++ = (uint8_t)value;
    for (; count >= 4; count -= 4, out += 4) *(word *)(void *)out = four;
    while (count--) *out++ = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t count) {
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < count; i++) {
        if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    }
    return 0;
}

#if UINTPTR_MAX == 0xffffffffu
/* 64-bit division, which such processors do not have; by shifting and subtracting, it is rare. */
uint64_t __udivdi3(uint64_t a, uint64_t b);
uint64_t __umoddi3(uint64_t a, uint64_t b);

uint64_t __umoddi3(uint64_t a, uint64_t b) {
    uint64_t shifted = b;
    if (b == 0) return a;
    while (shifted < a && !(shifted >> 63)) shifted <<= 1;
    for (; shifted >= b; shifted >>= 1) {
        if (a >= shifted) a -= shifted;
    }
    return a;
}

uint64_t __udivdi3(uint64_t a, uint64_t b) {
    uint64_t quotient = 0, shifted = b;
    if (b == 0) return 0;
    uint32_t steps = 1;
    for (; shifted < a && !(shifted >> 63); steps++) shifted <<= 1;
    for (; steps; steps--, shifted >>= 1) {
        quotient <<= 1;
        if (a >= shifted) a -= shifted, quotient |= 1;
    }
    return quotient;
}
#endif
