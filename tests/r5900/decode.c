#include "r5900.h"

#include <stddef.h>

static const struct {
    const char *name;
    uint8_t kind, latency;
    const char *registers;
} table[OPERATION_COUNT] = {
#define ROW(name, kind, latency, registers) {#name, kind, latency, registers},
    OPERATIONS(ROW)
#undef ROW
};

const char *operation_name(uint8_t code) { return table[code].name; }

/* The maps from the fields of a word to operations; UNKNOWN is 0. */
static const uint8_t primary[64] = {
    [2] = J, [3] = JAL, [4] = BEQ, [5] = BNE, [6] = BLEZ, [7] = BGTZ, [8] = ADDI, [9] = ADDIU, [10] = SLTI,
    [11] = SLTIU, [12] = ANDI, [13] = ORI, [14] = XORI, [15] = LUI, [20] = BEQL, [21] = BNEL, [22] = BLEZL,
    [23] = BGTZL, [25] = DADDIU, [26] = LDL, [27] = LDR, [30] = LQ, [31] = SQ, [32] = LB, [33] = LH, [34] = LWL,
    [35] = LW, [36] = LBU, [37] = LHU, [38] = LWR, [39] = LWU, [40] = SB, [41] = SH, [42] = SWL, [43] = SW, [44] = SDL,
    [45] = SDR, [46] = SWR, [47] = CACHE, [49] = LWC1, [51] = PREF, [55] = LD, [57] = SWC1, [63] = SD,
};
static const uint8_t special[64] = {
    [0] = SLL, [2] = SRL, [3] = SRA, [4] = SLLV, [6] = SRLV, [7] = SRAV, [8] = JR, [9] = JALR, [10] = MOVZ, [11] = MOVN,
    [12] = SYSCALL, [13] = BREAK, [15] = SYNC, [16] = MFHI, [17] = MTHI, [18] = MFLO, [19] = MTLO, [20] = DSLLV,
    [22] = DSRLV, [23] = DSRAV, [24] = MULT, [25] = MULTU, [26] = DIV, [27] = DIVU, [32] = ADD, [33] = ADDU, [34] = SUB,
    [35] = SUBU, [36] = AND, [37] = OR, [38] = XOR, [39] = NOR, [42] = SLT, [43] = SLTU, [45] = DADDU, [47] = DSUBU,
    [52] = TEQ, [54] = TNE, [56] = DSLL, [58] = DSRL, [59] = DSRA, [60] = DSLL32, [62] = DSRL32, [63] = DSRA32,
};
static const uint8_t registers_immediate[32] = {
    [0] = BLTZ, [1] = BGEZ, [2] = BLTZL, [3] = BGEZL, [16] = BLTZAL, [17] = BGEZAL,
};
static const uint8_t mmi[64] = {
    [0] = MADD, [1] = MADDU, [4] = PLZCW, [16] = MFHI1, [17] = MTHI1, [18] = MFLO1, [19] = MTLO1, [24] = MULT1,
    [25] = MULTU1, [26] = DIV1, [27] = DIVU1, [32] = MADD1, [33] = MADDU1, [48] = PMFHL, [49] = PMTHL, [52] = PSLLH,
    [54] = PSRLH, [55] = PSRAH, [60] = PSLLW, [62] = PSRLW, [63] = PSRAW,
};
static const uint8_t mmi0[32] = {
    [0] = PADDW, [1] = PSUBW, [2] = PCGTW, [3] = PMAXW, [4] = PADDH, [5] = PSUBH, [6] = PCGTH, [7] = PMAXH, [8] = PADDB,
    [9] = PSUBB, [18] = PEXTLW, [19] = PPACW, [22] = PEXTLH, [23] = PPACH, [26] = PEXTLB, [27] = PPACB,
};
static const uint8_t mmi1[32] = {
    [1] = PABSW, [2] = PCEQW, [3] = PMINW, [5] = PABSH, [6] = PCEQH, [7] = PMINH, [10] = PCEQB, [18] = PEXTUW,
    [22] = PEXTUH, [26] = PEXTUB,
};
static const uint8_t mmi2[32] = {
    [0] = PMADDW, [8] = PMFHI, [9] = PMFLO, [10] = PINTH, [12] = PMULTW, [14] = PCPYLD, [16] = PMADDH, [17] = PHMADH,
    [18] = PAND, [19] = PXOR, [20] = PMSUBH, [26] = PEXEH, [27] = PREVH, [28] = PMULTH, [30] = PEXEW, [31] = PROT3W,
};
static const uint8_t mmi3[32] = {
    [8] = PMTHI, [9] = PMTLO, [10] = PINTEH, [14] = PCPYUD, [18] = POR, [19] = PNOR, [26] = PEXCH, [27] = PCPYH,
    [30] = PEXCW,
};
static const uint8_t single[64] = {
    [0] = ADD_S, [1] = SUB_S, [2] = MUL_S, [3] = DIV_S, [4] = SQRT_S, [5] = ABS_S, [6] = MOV_S, [7] = NEG_S,
    [22] = RSQRT_S, [24] = ADDA_S, [25] = SUBA_S, [26] = MULA_S, [28] = MADD_S, [29] = MSUB_S, [30] = MADDA_S,
    [31] = MSUBA_S, [36] = CVT_W_S, [40] = MAX_S, [41] = MIN_S, [48] = C_F, [50] = C_EQ, [52] = C_LT, [54] = C_LE,
};
static const uint8_t branch_fpu[4] = {BC1F, BC1T, BC1FL, BC1TL};

static uint8_t operation_of(uint32_t word) {
    uint32_t code = word >> 26, rs = word >> 21 & 31, rt = word >> 16 & 31, sa = word >> 6 & 31, function = word & 63;
    switch (code) {
        case 0: return special[function];
        case 1: return registers_immediate[rt];
        case 16: return (word & ~1u) == 0x42000038u ? SYNC : UNKNOWN; /* ei, di: there are no interrupts here */
        case 17:
            switch (rs) {
                case 0: return MFC1;
                case 2: return CFC1;
                case 4: return MTC1;
                case 6: return CTC1;
                case 8: return rt < 4 ? branch_fpu[rt] : UNKNOWN;
                /* SQRT.S reads ft; Debian's assembler, made for other processors, puts the source into fs. */
                case 16: return function == 4 && (word >> 11 & 31) ? UNKNOWN : single[function];
                case 20: return function == 32 ? CVT_S_W : UNKNOWN;
                default: return UNKNOWN;
            }
        case 28:
            switch (function) {
                case 8: return mmi0[sa];
                case 9: return mmi2[sa];
                case 40: return mmi1[sa];
                case 41: return mmi3[sa];
                default: return mmi[function];
            }
        default: return primary[code];
    }
}

static uint8_t tracked(char field, const instruction *op) {
    switch (field) {
        case 's': return op->rs;
        case 't': return op->rt;
        case 'd': return op->rd;
        case 'a': return 31;
        case 'f': return (uint8_t)(32 + op->sa);
        case 'x': return (uint8_t)(32 + op->rd);
        case 'y': return (uint8_t)(32 + op->rt);
        case 'l': return HI_LO;
        case 'm': return HI_LO_1;
        case 'c': return ACCUMULATOR;
        default: return CONDITION;
    }
}

instruction decode(uint32_t word) {
    instruction op = {0};
    op.code = operation_of(word);
    op.rs = word >> 21 & 31;
    op.rt = word >> 16 & 31;
    op.rd = word >> 11 & 31;
    op.sa = word >> 6 & 31;
    op.kind = table[op.code].kind;
    op.latency = table[op.code].latency;
    op.accumulates = op.code == PMADDH || op.code == PMSUBH || op.code == PMADDW || op.code == MADD_S
                     || op.code == MSUB_S || op.code == MADDA_S || op.code == MSUBA_S;
    op.immediate = (int16_t)word;
    if (op.code == ANDI || op.code == ORI || op.code == XORI) op.immediate = (int32_t)(word & 0xffff);
    if (op.code == J || op.code == JAL) op.immediate = (int32_t)((word & 0x03ffffff) << 2);
    else if (op.kind == BRANCH) op.immediate *= 4;

    size_t reads = 0, writes = 0;
    for (const char *field = table[op.code].registers; *field; field++) {
        if (*field >= 'a') op.reads[reads++] = tracked(*field, &op);
        else op.writes[writes++] = tracked((char)(*field + 'a' - 'A'), &op);
    }
    while (reads < sizeof op.reads) op.reads[reads++] = NO_REGISTER;
    while (writes < sizeof op.writes) op.writes[writes++] = NO_REGISTER;
    for (writes = 0; writes < sizeof op.writes; writes++) {
        if (op.writes[writes] == 0) op.writes[writes] = NO_REGISTER;
    }
    return op;
}
