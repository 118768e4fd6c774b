#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fpu.h"

#define SERIAL_STATUS 0x1000f130u
#define SERIAL_OUT 0x1000f180u

/* Where `size` bytes at an address stand; NULL if it is a device. */
static inline uint8_t *memory(machine *m, uint32_t address, uint32_t size) {
    if (address & (size - 1)) fault(m, "unaligned access to", address);
    uint32_t physical = address < 0x20000000u ? address : address & 0x1fffffffu; /* uncached and kernel's mirrors */
    if (physical <= RAM_BYTES - size) return m->ram + physical;
    if (address - SCRATCHPAD <= SCRATCHPAD_BYTES - size) return m->scratchpad + (address - SCRATCHPAD);
    if (address == SERIAL_OUT || address == SERIAL_STATUS) return NULL;
    fault(m, "no memory at", address);
}

#define LOADER(type)                                                                                                   \
    static inline type load_##type(machine *m, uint32_t address) {                                                     \
        const uint8_t *from = memory(m, address, sizeof(type));                                                        \
        type value = 0; /* the serial port is always ready */                                                          \
        if (from) memcpy(&value, from, sizeof value);                                                                  \
        return value;                                                                                                  \
    }
#define STORER(type)                                                                                                   \
    static inline void store_##type(machine *m, uint32_t address, type value) {                                        \
        uint8_t *to = memory(m, address, sizeof(type));                                                                \
        if (to) memcpy(to, &value, sizeof value);                                                                      \
        else putchar((int)(value & 255));                                                                              \
    }
LOADER(uint8_t) LOADER(uint16_t) LOADER(uint32_t) LOADER(uint64_t)
STORER(uint8_t) STORER(uint16_t) STORER(uint32_t) STORER(uint64_t)

/* A 32-bit result is kept sign-extended; the upper half of a register changes with 128-bit operations only. */
static inline void set(machine *m, uint32_t reg, uint32_t value) {
    if (reg) m->r[reg].sd[0] = (int32_t)value;
}

static inline void set64(machine *m, uint32_t reg, uint64_t value) {
    if (reg) m->r[reg].d[0] = value;
}

static inline void branch(machine *m, const instruction *op, int taken) {
    if (m->clock) account_branch(m, (m->pc - m->code_base) / 4, taken);
    if (taken) m->next = m->pc + 4 + (uint32_t)op->immediate;
}

/* The integer multiplier `i` (0: hi/lo, 1: hi1/lo1). */
static void multiply(machine *m, const instruction *op, int i, int is_signed, int accumulate) {
    const uint32_t a = m->r[op->rs].w[0], b = m->r[op->rt].w[0];
    uint64_t product = is_signed ? (uint64_t)((int64_t)(int32_t)a * (int32_t)b) : (uint64_t)a * b;
    if (accumulate) product += (uint64_t)m->hi.w[2 * i] << 32 | m->lo.w[2 * i];
    m->lo.sd[i] = (int32_t)product;
    m->hi.sd[i] = (int32_t)(product >> 32);
    set(m, op->rd, (uint32_t)product);
}

static void divide(machine *m, const instruction *op, int i, int is_signed) {
    const uint32_t a = m->r[op->rs].w[0], b = m->r[op->rt].w[0];
    uint32_t quotient, remainder;
    if (b == 0) {
        quotient = is_signed && (int32_t)a < 0 ? 1 : 0xffffffffu;
        remainder = a;
    } else if (is_signed && b == 0xffffffffu) {
        quotient = 0 - a; /* also of -2^31, where C has no answer */
        remainder = 0;
    } else {
        quotient = is_signed ? (uint32_t)((int32_t)a / (int32_t)b) : a / b;
        remainder = is_signed ? (uint32_t)((int32_t)a % (int32_t)b) : a % b;
    }
    m->lo.sd[i] = (int32_t)quotient;
    m->hi.sd[i] = (int32_t)remainder;
}

static void load_quad(machine *m, const instruction *op, uint32_t address) {
    /* The hardware ignores the four lowest bits; a program that relies on that is wrong. */
    const uint8_t *from = memory(m, address, 16);
    if (from && op->rt) memcpy(&m->r[op->rt], from, 16);
}

static void store_quad(machine *m, const instruction *op, uint32_t address) {
    uint8_t *to = memory(m, address, 16);
    if (to) memcpy(to, &m->r[op->rt], 16);
}

/* lwl, lwr, swl, swr and their 64-bit forms: the parts of an unaligned word that lie in one aligned word. */
static void load_part(machine *m, const instruction *op, uint32_t address) {
    const uint64_t old = m->r[op->rt].d[0];
    const uint32_t s = 8 * (address & 3), s64 = 8 * (address & 7);
    if (op->code == LWL || op->code == LWR) {
        uint32_t word = load_uint32_t(m, address & ~3u);
        if (op->code == LWL) word = ((uint32_t)old & 0x00ffffffu >> s) | word << (24 - s);
        else word = word >> s | (s ? (uint32_t)old & 0xffffffffu << (32 - s) : 0);
        if (op->code == LWL || s == 0) set(m, op->rt, word);
        else set64(m, op->rt, (old >> 32 << 32) | word);
    } else {
        uint64_t word = load_uint64_t(m, address & ~7u);
        if (op->code == LDL) word = (old & 0x00ffffffffffffffu >> s64) | word << (56 - s64);
        else word = word >> s64 | (s64 ? old & ~(uint64_t)0 << (64 - s64) : 0);
        set64(m, op->rt, word);
    }
}

static void store_part(machine *m, const instruction *op, uint32_t address) {
    const uint64_t value = m->r[op->rt].d[0];
    const uint32_t s = 8 * (address & 3), s64 = 8 * (address & 7), at = address & ~3u, at64 = address & ~7u;
    if (op->code == SWL) {
        const uint64_t kept = load_uint32_t(m, at) & (uint64_t)0xffffff00u << s;
        store_uint32_t(m, at, (uint32_t)kept | (uint32_t)value >> (24 - s));
    } else if (op->code == SWR) {
        store_uint32_t(m, at, (load_uint32_t(m, at) & 0x00ffffffu >> (24 - s)) | (uint32_t)value << s);
    } else if (op->code == SDL) {
        const uint64_t mask = s64 == 56 ? 0 : ~(uint64_t)0 << (s64 + 8);
        store_uint64_t(m, at64, (load_uint64_t(m, at64) & mask) | value >> (56 - s64));
    } else {
        store_uint64_t(m, at64, (load_uint64_t(m, at64) & 0x00ffffffffffffffu >> (56 - s64)) | value << s64);
    }
}

/* The calls of the console's kernel that the start of a program makes. */
static void system_call(machine *m) {
    const uint32_t number = m->r[3].w[0];
    if (number == 4) { /* Exit(status) */
        m->done = 1;
        m->status = m->r[4].sw[0];
    } else if (number == 60) { /* SetupThread(gp, stack, bytes, ...) returns the top of the stack */
        set(m, 2, m->r[5].w[0] + m->r[6].w[0]);
    } else {
        fault(m, "unknown system call", number);
    }
}

static void execute_fpu(machine *m, const instruction *op) {
    const uint32_t a = m->f[op->rd], b = m->f[op->rt];
    uint32_t *out = &m->f[op->sa];
    switch (op->code) {
        case ADD_S: *out = ee_add(a, b); break;
        case SUB_S: *out = ee_subtract(a, b); break;
        case MUL_S: *out = ee_multiply(a, b); break;
        case DIV_S: *out = ee_divide(a, b); break;
        case SQRT_S: *out = ee_sqrt(b); break;
        case RSQRT_S: *out = ee_divide(a, ee_sqrt(b)); break;
        case ABS_S: *out = a & ~SIGN; break;
        case MOV_S: *out = a; break;
        case NEG_S: *out = a ^ SIGN; break;
        case ADDA_S: m->accumulator = ee_add(a, b); break;
        case SUBA_S: m->accumulator = ee_subtract(a, b); break;
        case MULA_S: m->accumulator = ee_multiply(a, b); break;
        case MADD_S: *out = ee_add(m->accumulator, ee_multiply(a, b)); break;
        case MSUB_S: *out = ee_subtract(m->accumulator, ee_multiply(a, b)); break;
        case MADDA_S: m->accumulator = ee_add(m->accumulator, ee_multiply(a, b)); break;
        case MSUBA_S: m->accumulator = ee_subtract(m->accumulator, ee_multiply(a, b)); break;
        case CVT_W_S: *out = ee_to_int(a); break;
        case CVT_S_W: *out = ee_from_int(a); break;
        case MAX_S: *out = ee_value(a) >= ee_value(b) ? a : b; break;
        case MIN_S: *out = ee_value(a) <= ee_value(b) ? a : b; break;
        case C_F: m->condition = 0; break;
        case C_EQ: m->condition = ee_value(a) == ee_value(b); break;
        case C_LT: m->condition = ee_value(a) < ee_value(b); break;
        default: m->condition = ee_value(a) <= ee_value(b); break; /* C_LE */
    }
}

void run(machine *m) {
    quad *r = m->r;
    while (!m->done) {
        const uint32_t index = (m->pc - m->code_base) / 4;
        if (index >= m->code_count || m->pc & 3) fault(m, "no code at", m->pc);
        if (m->executed++ >= m->limit) fault(m, "the limit of instructions is reached; pc", m->pc);
        const instruction *op = &m->code[index];
        m->counts[index]++;
        if (m->clock) account(m, op, index);

        /* A branch sets `next`, which becomes the pc after the instruction in the delay slot. */
        const uint32_t after = m->next, s = r[op->rs].w[0], t = r[op->rt].w[0], sa = op->sa;
        const uint32_t immediate = (uint32_t)op->immediate, address = s + immediate;
        m->next = after + 4;
        switch (op->code) {
            case SLL: set(m, op->rd, t << sa); break;
            case SRL: set(m, op->rd, t >> sa); break;
            case SRA: set(m, op->rd, (uint32_t)((int32_t)t >> sa)); break;
            case SLLV: set(m, op->rd, t << (s & 31)); break;
            case SRLV: set(m, op->rd, t >> (s & 31)); break;
            case SRAV: set(m, op->rd, (uint32_t)((int32_t)t >> (s & 31))); break;
            case MOVZ: if (r[op->rt].d[0] == 0) set64(m, op->rd, r[op->rs].d[0]); break;
            case MOVN: if (r[op->rt].d[0] != 0) set64(m, op->rd, r[op->rs].d[0]); break;
            case ADD: case ADDU: set(m, op->rd, s + t); break;
            case SUB: case SUBU: set(m, op->rd, s - t); break;
            case AND: set64(m, op->rd, r[op->rs].d[0] & r[op->rt].d[0]); break;
            case OR: set64(m, op->rd, r[op->rs].d[0] | r[op->rt].d[0]); break;
            case XOR: set64(m, op->rd, r[op->rs].d[0] ^ r[op->rt].d[0]); break;
            case NOR: set64(m, op->rd, ~(r[op->rs].d[0] | r[op->rt].d[0])); break;
            case SLT: set(m, op->rd, r[op->rs].sd[0] < r[op->rt].sd[0]); break;
            case SLTU: set(m, op->rd, r[op->rs].d[0] < r[op->rt].d[0]); break;
            case DADDU: set64(m, op->rd, r[op->rs].d[0] + r[op->rt].d[0]); break;
            case DSUBU: set64(m, op->rd, r[op->rs].d[0] - r[op->rt].d[0]); break;
            case DSLLV: set64(m, op->rd, r[op->rt].d[0] << (s & 63)); break;
            case DSRLV: set64(m, op->rd, r[op->rt].d[0] >> (s & 63)); break;
            case DSRAV: set64(m, op->rd, (uint64_t)(r[op->rt].sd[0] >> (s & 63))); break;
            case DSLL: set64(m, op->rd, r[op->rt].d[0] << sa); break;
            case DSRL: set64(m, op->rd, r[op->rt].d[0] >> sa); break;
            case DSRA: set64(m, op->rd, (uint64_t)(r[op->rt].sd[0] >> sa)); break;
            case DSLL32: set64(m, op->rd, r[op->rt].d[0] << (sa + 32)); break;
            case DSRL32: set64(m, op->rd, r[op->rt].d[0] >> (sa + 32)); break;
            case DSRA32: set64(m, op->rd, (uint64_t)(r[op->rt].sd[0] >> (sa + 32))); break;
            case ADDI: case ADDIU: set(m, op->rt, address); break;
            case DADDIU: set64(m, op->rt, r[op->rs].d[0] + (uint64_t)(int64_t)op->immediate); break;
            case SLTI: set(m, op->rt, r[op->rs].sd[0] < op->immediate); break;
            case SLTIU: set(m, op->rt, r[op->rs].d[0] < (uint64_t)(int64_t)op->immediate); break;
            case ANDI: set64(m, op->rt, r[op->rs].d[0] & immediate); break;
            case ORI: set64(m, op->rt, r[op->rs].d[0] | immediate); break;
            case XORI: set64(m, op->rt, r[op->rs].d[0] ^ immediate); break;
            case LUI: set(m, op->rt, immediate << 16); break;
            case MFHI: set64(m, op->rd, m->hi.d[0]); break;
            case MFLO: set64(m, op->rd, m->lo.d[0]); break;
            case MFHI1: set64(m, op->rd, m->hi.d[1]); break;
            case MFLO1: set64(m, op->rd, m->lo.d[1]); break;
            case MTHI: m->hi.d[0] = r[op->rs].d[0]; break;
            case MTLO: m->lo.d[0] = r[op->rs].d[0]; break;
            case MTHI1: m->hi.d[1] = r[op->rs].d[0]; break;
            case MTLO1: m->lo.d[1] = r[op->rs].d[0]; break;
            case MULT: multiply(m, op, 0, 1, 0); break;
            case MULTU: multiply(m, op, 0, 0, 0); break;
            case MULT1: multiply(m, op, 1, 1, 0); break;
            case MULTU1: multiply(m, op, 1, 0, 0); break;
            case MADD: multiply(m, op, 0, 1, 1); break;
            case MADDU: multiply(m, op, 0, 0, 1); break;
            case MADD1: multiply(m, op, 1, 1, 1); break;
            case MADDU1: multiply(m, op, 1, 0, 1); break;
            case DIV: divide(m, op, 0, 1); break;
            case DIVU: divide(m, op, 0, 0); break;
            case DIV1: divide(m, op, 1, 1); break;
            case DIVU1: divide(m, op, 1, 0); break;
            case JAL: set(m, 31, m->pc + 8); /* fall through */
            case J: m->next = ((m->pc + 4) & 0xf0000000u) | immediate; break;
            case JALR: set(m, op->rd, m->pc + 8); /* fall through */
            case JR: m->next = s; break;
            case BEQ: branch(m, op, r[op->rs].d[0] == r[op->rt].d[0]); break;
            case BNE: branch(m, op, r[op->rs].d[0] != r[op->rt].d[0]); break;
            case BLEZ: branch(m, op, r[op->rs].sd[0] <= 0); break;
            case BGTZ: branch(m, op, r[op->rs].sd[0] > 0); break;
            case BLTZAL: set(m, 31, m->pc + 8); /* fall through */
            case BLTZ: branch(m, op, (int32_t)s < 0); break;
            case BGEZAL: set(m, 31, m->pc + 8); /* fall through */
            case BGEZ: branch(m, op, (int32_t)s >= 0); break;
            case BC1F: branch(m, op, !m->condition); break;
            case BC1T: branch(m, op, (int)m->condition); break;
            case BEQL: case BNEL: case BLEZL: case BGTZL: case BLTZL: case BGEZL: case BC1FL: case BC1TL: {
                const int64_t a = r[op->rs].sd[0], b = r[op->rt].sd[0];
                const uint8_t c = op->code;
                const int taken = c == BEQL ? a == b : c == BNEL ? a != b : c == BLEZL ? a <= 0 : c == BGTZL ? a > 0
                                  : c == BLTZL ? a < 0 : c == BGEZL ? a >= 0 : (int)m->condition == (c == BC1TL);
                if (m->clock) account_branch(m, index, taken);
                if (taken) {
                    m->next = after + immediate;
                    break;
                }
                m->pc = after + 4; /* without its delay slot */
                m->next = after + 8;
                continue;
            }
            case LB: set(m, op->rt, (uint32_t)(int8_t)load_uint8_t(m, address)); break;
            case LBU: set(m, op->rt, load_uint8_t(m, address)); break;
            case LH: set(m, op->rt, (uint32_t)(int16_t)load_uint16_t(m, address)); break;
            case LHU: set(m, op->rt, load_uint16_t(m, address)); break;
            case LW: set(m, op->rt, load_uint32_t(m, address)); break;
            case LWU: set64(m, op->rt, load_uint32_t(m, address)); break;
            case LD: set64(m, op->rt, load_uint64_t(m, address)); break;
            case LWL: case LWR: case LDL: case LDR: load_part(m, op, address); break;
            case LQ: load_quad(m, op, address); break;
            case LWC1: m->f[op->rt] = load_uint32_t(m, address); break;
            case SB: store_uint8_t(m, address, (uint8_t)t); break;
            case SH: store_uint16_t(m, address, (uint16_t)t); break;
            case SW: store_uint32_t(m, address, t); break;
            case SD: store_uint64_t(m, address, r[op->rt].d[0]); break;
            case SWL: case SWR: case SDL: case SDR: store_part(m, op, address); break;
            case SQ: store_quad(m, op, address); break;
            case SWC1: store_uint32_t(m, address, m->f[op->rt]); break;
            case PREF: case SYNC: case CACHE: break;
            case TEQ: if (r[op->rs].d[0] == r[op->rt].d[0]) fault(m, "trap (division by zero?)", index); break;
            case TNE: if (r[op->rs].d[0] != r[op->rt].d[0]) fault(m, "trap", index); break;
            case BREAK: fault(m, "break", index);
            case SYSCALL: system_call(m); break;
            case MFC1: set(m, op->rt, m->f[op->rd]); break;
            case MTC1: m->f[op->rd] = t; break;
            case CFC1: set(m, op->rt, op->rd == 31 ? m->condition << 23 : 0); break;
            case CTC1: if (op->rd == 31) m->condition = t >> 23 & 1; break;
            case UNKNOWN: fault(m, "unknown instruction", *(const uint32_t *)(const void *)(m->ram + m->pc));
            default:
                if (op->kind == FPU || op->kind == FPU_DIVIDE) execute_fpu(m, op);
                else if (!execute_mmi(m, op)) fault(m, "operation without an implementation", op->code);
        }
        m->pc = after;
    }
}
