/* The 128-bit operations. Of two sources, the fields of rt come first (lower) in every interleaving operation. */
#include "r5900.h"

static uint32_t leading_sign_bits(uint32_t x) {
    uint32_t bits = x ^ (uint32_t)((int32_t)x >> 31), count = 0;
    while (count < 31 && !(bits >> (30 - count) & 1)) count++;
    return count;
}

static uint16_t saturated(int32_t x) { return (uint16_t)(x > 32767 ? 32767 : x < -32768 ? -32768 : x); }

/* Products of halfwords 0, 1, 4, 5 belong to the words of lo, 2, 3, 6, 7 to those of hi. */
static uint32_t *accumulator_word(machine *m, int i) {
    return &(i & 2 ? &m->hi : &m->lo)->w[(i >> 2) * 2 + (i & 1)];
}

static quad even_products(const machine *m) {
    return (quad){.w = {m->lo.w[0], m->hi.w[0], m->lo.w[2], m->hi.w[2]}};
}

static quad multiply_halfwords(machine *m, uint8_t code, quad a, quad b) {
    for (int i = 0; i < 8; i++) {
        uint32_t product = (uint32_t)(a.sh[i] * b.sh[i]), *sum = accumulator_word(m, i);
        if (code == PMADDH) *sum += product;
        else if (code == PMSUBH) *sum -= product;
        else *sum = product;
    }
    if (code == PHMADH) {
        for (int i = 0; i < 8; i += 2) *accumulator_word(m, i) += *accumulator_word(m, i + 1);
    }
    return even_products(m);
}

static quad multiply_words(machine *m, uint8_t code, quad a, quad b) {
    quad result;
    for (int i = 0; i < 2; i++) {
        uint64_t sum = (uint64_t)((int64_t)a.sw[2 * i] * b.sw[2 * i]);
        if (code == PMADDW) sum += (uint64_t)m->hi.w[2 * i] << 32 | m->lo.w[2 * i];
        m->lo.sd[i] = (int32_t)sum;
        m->hi.sd[i] = (int32_t)(sum >> 32);
        result.d[i] = sum;
    }
    return result;
}

static int move_from_hi_lo(const machine *m, uint8_t format, quad *out) {
    const quad hi = m->hi, lo = m->lo;
    switch (format) {
        case 0: *out = even_products(m); return 1;
        case 1: *out = (quad){.w = {lo.w[1], hi.w[1], lo.w[3], hi.w[3]}}; return 1;
        case 3: *out = (quad){.h = {lo.h[0], lo.h[2], hi.h[0], hi.h[2], lo.h[4], lo.h[6], hi.h[4], hi.h[6]}}; return 1;
        case 4:
            for (int i = 0; i < 4; i++) {
                int at = (i & 1) + (i >> 1) * 4, word = (i & 1) + (i >> 1) * 2;
                out->h[at] = saturated(lo.sw[word]);
                out->h[at + 2] = saturated(hi.sw[word]);
            }
            return 1;
        default: return 0;
    }
}

#define EACH(count) for (int i = 0; i < (count); i++)
#define MASK(condition) ((condition) ? -1 : 0)

int execute_mmi(machine *m, const instruction *op) {
    const quad a = m->r[op->rs], b = m->r[op->rt];
    const int sa = op->sa;
    quad x = {.d = {0, 0}};
    switch (op->code) {
        case PADDW: EACH(4) x.w[i] = a.w[i] + b.w[i]; break;
        case PSUBW: EACH(4) x.w[i] = a.w[i] - b.w[i]; break;
        case PADDH: EACH(8) x.h[i] = (uint16_t)(a.h[i] + b.h[i]); break;
        case PSUBH: EACH(8) x.h[i] = (uint16_t)(a.h[i] - b.h[i]); break;
        case PADDB: EACH(16) x.b[i] = (uint8_t)(a.b[i] + b.b[i]); break;
        case PSUBB: EACH(16) x.b[i] = (uint8_t)(a.b[i] - b.b[i]); break;
        case PCGTW: EACH(4) x.sw[i] = MASK(a.sw[i] > b.sw[i]); break;
        case PCGTH: EACH(8) x.sh[i] = MASK(a.sh[i] > b.sh[i]); break;
        case PCEQW: EACH(4) x.sw[i] = MASK(a.w[i] == b.w[i]); break;
        case PCEQH: EACH(8) x.sh[i] = MASK(a.h[i] == b.h[i]); break;
        case PCEQB: EACH(16) x.b[i] = (uint8_t)MASK(a.b[i] == b.b[i]); break;
        case PMAXW: EACH(4) x.w[i] = a.sw[i] > b.sw[i] ? a.w[i] : b.w[i]; break;
        case PMINW: EACH(4) x.w[i] = a.sw[i] < b.sw[i] ? a.w[i] : b.w[i]; break;
        case PMAXH: EACH(8) x.h[i] = a.sh[i] > b.sh[i] ? a.h[i] : b.h[i]; break;
        case PMINH: EACH(8) x.h[i] = a.sh[i] < b.sh[i] ? a.h[i] : b.h[i]; break;
        case PABSW: EACH(4) x.w[i] = b.w[i] == 0x80000000u ? 0x7fffffffu : b.sw[i] < 0 ? 0 - b.w[i] : b.w[i]; break;
        case PABSH: EACH(8) x.h[i] = saturated(b.sh[i] < 0 ? -b.sh[i] : b.sh[i]); break;
        case PSLLW: EACH(4) x.w[i] = b.w[i] << sa; break;
        case PSRLW: EACH(4) x.w[i] = b.w[i] >> sa; break;
        case PSRAW: EACH(4) x.sw[i] = b.sw[i] >> sa; break;
        case PSLLH: EACH(8) x.h[i] = (uint16_t)(b.h[i] << (sa & 15)); break;
        case PSRLH: EACH(8) x.h[i] = (uint16_t)(b.h[i] >> (sa & 15)); break;
        case PSRAH: EACH(8) x.sh[i] = (int16_t)(b.sh[i] >> (sa & 15)); break;
        case PAND: EACH(2) x.d[i] = a.d[i] & b.d[i]; break;
        case POR: EACH(2) x.d[i] = a.d[i] | b.d[i]; break;
        case PXOR: EACH(2) x.d[i] = a.d[i] ^ b.d[i]; break;
        case PNOR: EACH(2) x.d[i] = ~(a.d[i] | b.d[i]); break;
        case PEXTLB: EACH(16) x.b[i] = (i & 1 ? a : b).b[i / 2]; break;
        case PEXTUB: EACH(16) x.b[i] = (i & 1 ? a : b).b[8 + i / 2]; break;
        case PEXTLH: EACH(8) x.h[i] = (i & 1 ? a : b).h[i / 2]; break;
        case PEXTUH: EACH(8) x.h[i] = (i & 1 ? a : b).h[4 + i / 2]; break;
        case PEXTLW: EACH(4) x.w[i] = (i & 1 ? a : b).w[i / 2]; break;
        case PEXTUW: EACH(4) x.w[i] = (i & 1 ? a : b).w[2 + i / 2]; break;
        case PPACB: EACH(16) x.b[i] = (i < 8 ? b : a).b[2 * (i & 7)]; break;
        case PPACH: EACH(8) x.h[i] = (i < 4 ? b : a).h[2 * (i & 3)]; break;
        case PPACW: EACH(4) x.w[i] = (i < 2 ? b : a).w[2 * (i & 1)]; break;
        case PCPYLD: x = (quad){.d = {b.d[0], a.d[0]}}; break;
        case PCPYUD: x = (quad){.d = {a.d[1], b.d[1]}}; break;
        case PCPYH: EACH(8) x.h[i] = b.h[i & 4]; break;
        case PINTH: EACH(8) x.h[i] = i & 1 ? a.h[4 + i / 2] : b.h[i / 2]; break;
        case PINTEH: EACH(8) x.h[i] = i & 1 ? a.h[i - 1] : b.h[i]; break;
        case PREVH: EACH(8) x.h[i] = b.h[i ^ 3]; break;
        case PEXEH: EACH(8) x.h[i] = b.h[i & 1 ? i : i ^ 2]; break;
        case PEXCH: EACH(8) x.h[i] = b.h[(i & 3) == 1 || (i & 3) == 2 ? i ^ 3 : i]; break;
        case PEXEW: x = (quad){.w = {b.w[2], b.w[1], b.w[0], b.w[3]}}; break;
        case PEXCW: x = (quad){.w = {b.w[0], b.w[2], b.w[1], b.w[3]}}; break;
        case PROT3W: x = (quad){.w = {b.w[1], b.w[2], b.w[0], b.w[3]}}; break;
        case PLZCW:
            x = m->r[op->rd]; /* the upper half stays */
            EACH(2) x.w[i] = leading_sign_bits(a.w[i]);
            break;
        case PMULTH: case PMADDH: case PMSUBH: case PHMADH: x = multiply_halfwords(m, op->code, a, b); break;
        case PMULTW: case PMADDW: x = multiply_words(m, op->code, a, b); break;
        case PMFHI: x = m->hi; break;
        case PMFLO: x = m->lo; break;
        case PMFHL:
            if (!move_from_hi_lo(m, op->sa, &x)) fault(m, "unknown form of pmfhl", op->sa);
            break;
        case PMTHI: m->hi = a; return 1;
        case PMTLO: m->lo = a; return 1;
        case PMTHL:
            m->lo.w[0] = a.w[0];
            m->hi.w[0] = a.w[1];
            m->lo.w[2] = a.w[2];
            m->hi.w[2] = a.w[3];
            return 1;
        default: return 0;
    }
    if (op->rd) m->r[op->rd] = x;
    return 1;
}
