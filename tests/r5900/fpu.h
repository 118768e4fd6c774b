/* The floats of the EE: single precision that truncates, without denormals, NaN or infinity. An exponent of 255 is one
 * more binade, what is too large becomes the largest number, what is too small becomes zero. Additions drop the bits of
 * the smaller operand below one guard bit; the hardware's multiplier and divider can differ from truncation in the last
 * bit, which is not modelled. (Facts from PCSX2's FPU interpreter and its issues; no code.) */
#ifndef R5900_FPU_H
#define R5900_FPU_H

#include <math.h>
#include <string.h>

#include "r5900.h"

#define SIGN 0x80000000u
#define LARGEST 0x7fffffffu

static inline double ee_value(uint32_t bits) {
    uint64_t wide = (uint64_t)(bits & SIGN) << 32;
    uint32_t exponent = bits >> 23 & 255;
    if (exponent) wide |= (uint64_t)(exponent + 1023 - 127) << 52 | (uint64_t)(bits & 0x7fffff) << 29;
    double value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static inline uint32_t ee_bits(double value) {
    uint64_t wide;
    memcpy(&wide, &value, sizeof wide);
    uint32_t sign = (uint32_t)(wide >> 32) & SIGN;
    int exponent = (int)(wide >> 52 & 2047) - 1023 + 127;
    if (exponent <= 0) return sign;
    if (exponent > 255) return sign | LARGEST;
    return sign | (uint32_t)exponent << 23 | (uint32_t)(wide >> 29 & 0x7fffff);
}

static inline uint32_t ee_add(uint32_t a, uint32_t b) {
    int difference = (int)(a >> 23 & 255) - (int)(b >> 23 & 255);
    uint32_t *smaller = difference > 0 ? &b : &a;
    uint32_t distance = (uint32_t)(difference > 0 ? difference : -difference);
    if (distance >= 25) *smaller &= SIGN;
    else if (distance > 1) *smaller &= 0xffffffffu << (distance - 1);
    return ee_bits(ee_value(a) + ee_value(b));
}

static inline uint32_t ee_subtract(uint32_t a, uint32_t b) { return ee_add(a, b ^ SIGN); }
static inline uint32_t ee_multiply(uint32_t a, uint32_t b) { return ee_bits(ee_value(a) * ee_value(b)); }

/* A quotient or root in double can have been rounded up to a float exactly; `remainder` tells, negative if it was. */
static inline uint32_t ee_truncated(uint32_t bits, double remainder) {
    return remainder < 0 && bits & LARGEST && (bits & LARGEST) != LARGEST ? bits - 1 : bits;
}

static inline uint32_t ee_divide(uint32_t a, uint32_t b) {
    double x = ee_value(a), y = ee_value(b);
    if (y == 0) return ((a ^ b) & SIGN) | LARGEST;
    uint32_t quotient = ee_bits(x / y);
    if (quotient & LARGEST) quotient = ee_truncated(quotient, fabs(x) - fabs(ee_value(quotient) * y));
    return quotient;
}

static inline uint32_t ee_sqrt(uint32_t a) {
    double x = fabs(ee_value(a));
    uint32_t root = ee_bits(sqrt(x));
    return ee_truncated(root, x - ee_value(root) * ee_value(root));
}

static inline uint32_t ee_to_int(uint32_t bits) {
    double value = ee_value(bits);
    if (value >= 2147483647.0) return 0x7fffffffu;
    if (value <= -2147483648.0) return 0x80000000u;
    return (uint32_t)(int32_t)value;
}

static inline uint32_t ee_from_int(uint32_t bits) { return ee_bits((double)(int32_t)bits); }

#endif
