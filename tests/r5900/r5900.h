/* An interpreter of the PlayStation 2's main processor (EE core, R5900), written for the tests of the engine: the
 * instructions that gcc -march=r5900 -mabi=32 and the MMI kernel use, the EE's floats, 32 MB of memory, the scratchpad,
 * the serial port, both caches and an in-order timing model. Anything else stops it with an error that names the pc.
 *
 * decode.c turns words into operations, execute.c runs them, mmi.c and fpu.h have the arithmetic that is special to
 * this processor, timing.c counts cycles, main.c loads an ELF and reports.
 */
#ifndef R5900_H
#define R5900_H

#include <stdint.h>

#define RAM_BYTES 0x02000000u
#define SCRATCHPAD 0x70000000u
#define SCRATCHPAD_BYTES 0x4000u

typedef union {
    uint64_t d[2];
    uint32_t w[4];
    uint16_t h[8];
    uint8_t b[16];
    int64_t sd[2];
    int32_t sw[4];
    int16_t sh[8];
} quad;

/* What an operation is counted as. */
typedef enum {
    INTEGER, MULTIPLY, LOAD, STORE, MMI, MMI_MULTIPLY, FPU, FPU_DIVIDE, MOVE, BRANCH, SYSTEM, CLASSES
} class;

/* Operations: name, class, cycles until its result can be used, and which registers it writes and reads: S T D are the
 * fields rs, rt, rd; A register 31; F X Y the fields fd, fs, ft; L M the pairs hi/lo and hi1/lo1; C the accumulator of
 * the FPU, Q its condition; capitals are written, small letters read. A multiply-accumulate does not name its
 * accumulator as read: how soon it can follow another is an assumption. Latencies: see timing.c. */
#define OPERATIONS(X)                                                                                                  \
    X(UNKNOWN, SYSTEM, 1, "") X(SLL, INTEGER, 1, "Dt") X(SRL, INTEGER, 1, "Dt") X(SRA, INTEGER, 1, "Dt")               \
    X(SLLV, INTEGER, 1, "Dst") X(SRLV, INTEGER, 1, "Dst") X(SRAV, INTEGER, 1, "Dst") X(MOVZ, INTEGER, 1, "Ddst")       \
    X(MOVN, INTEGER, 1, "Ddst") X(ADD, INTEGER, 1, "Dst") X(ADDU, INTEGER, 1, "Dst") X(SUB, INTEGER, 1, "Dst")         \
    X(SUBU, INTEGER, 1, "Dst") X(AND, INTEGER, 1, "Dst") X(OR, INTEGER, 1, "Dst") X(XOR, INTEGER, 1, "Dst")            \
    X(NOR, INTEGER, 1, "Dst") X(SLT, INTEGER, 1, "Dst") X(SLTU, INTEGER, 1, "Dst") X(DADDU, INTEGER, 1, "Dst")         \
    X(DSUBU, INTEGER, 1, "Dst") X(DSLLV, INTEGER, 1, "Dst") X(DSRLV, INTEGER, 1, "Dst") X(DSRAV, INTEGER, 1, "Dst")    \
    X(DSLL, INTEGER, 1, "Dt") X(DSRL, INTEGER, 1, "Dt") X(DSRA, INTEGER, 1, "Dt") X(DSLL32, INTEGER, 1, "Dt")          \
    X(DSRL32, INTEGER, 1, "Dt") X(DSRA32, INTEGER, 1, "Dt") X(ADDI, INTEGER, 1, "Ts") X(ADDIU, INTEGER, 1, "Ts")       \
    X(SLTI, INTEGER, 1, "Ts") X(SLTIU, INTEGER, 1, "Ts") X(ANDI, INTEGER, 1, "Ts") X(ORI, INTEGER, 1, "Ts")            \
    X(XORI, INTEGER, 1, "Ts") X(LUI, INTEGER, 1, "T") X(DADDIU, INTEGER, 1, "Ts") X(MFHI, INTEGER, 1, "Dl")            \
    X(MTHI, INTEGER, 1, "Ls") X(MFLO, INTEGER, 1, "Dl") X(MTLO, INTEGER, 1, "Ls") X(MFHI1, INTEGER, 1, "Dm")           \
    X(MTHI1, INTEGER, 1, "Ms") X(MFLO1, INTEGER, 1, "Dm") X(MTLO1, INTEGER, 1, "Ms") X(MULT, MULTIPLY, 4, "DLst")      \
    X(MULTU, MULTIPLY, 4, "DLst") X(DIV, MULTIPLY, 37, "Lst") X(DIVU, MULTIPLY, 37, "Lst")                             \
    X(MULT1, MULTIPLY, 4, "DMst") X(MULTU1, MULTIPLY, 4, "DMst") X(DIV1, MULTIPLY, 37, "Mst")                          \
    X(DIVU1, MULTIPLY, 37, "Mst") X(MADD, MULTIPLY, 4, "DLst") X(MADDU, MULTIPLY, 4, "DLst")                           \
    X(MADD1, MULTIPLY, 4, "DMst") X(MADDU1, MULTIPLY, 4, "DMst") X(J, BRANCH, 1, "") X(JAL, BRANCH, 1, "A")            \
    X(JR, BRANCH, 1, "s") X(JALR, BRANCH, 1, "Ds") X(BEQ, BRANCH, 1, "st") X(BNE, BRANCH, 1, "st")                     \
    X(BLEZ, BRANCH, 1, "s") X(BGTZ, BRANCH, 1, "s") X(BLTZ, BRANCH, 1, "s") X(BGEZ, BRANCH, 1, "s")                    \
    X(BLTZAL, BRANCH, 1, "As") X(BGEZAL, BRANCH, 1, "As") X(BEQL, BRANCH, 1, "st") X(BNEL, BRANCH, 1, "st")            \
    X(BLEZL, BRANCH, 1, "s") X(BGTZL, BRANCH, 1, "s") X(BLTZL, BRANCH, 1, "s") X(BGEZL, BRANCH, 1, "s")                \
    X(BC1F, BRANCH, 1, "q") X(BC1T, BRANCH, 1, "q") X(BC1FL, BRANCH, 1, "q") X(BC1TL, BRANCH, 1, "q")                  \
    X(LB, LOAD, 2, "Ts") X(LBU, LOAD, 2, "Ts") X(LH, LOAD, 2, "Ts") X(LHU, LOAD, 2, "Ts") X(LW, LOAD, 2, "Ts")         \
    X(LWU, LOAD, 2, "Ts") X(LWL, LOAD, 2, "Tst") X(LWR, LOAD, 2, "Tst") X(LD, LOAD, 2, "Ts") X(LDL, LOAD, 2, "Tst")    \
    X(LDR, LOAD, 2, "Tst") X(LQ, LOAD, 2, "Ts") X(LWC1, LOAD, 2, "Ys") X(PREF, LOAD, 1, "s") X(SB, STORE, 1, "st")     \
    X(SH, STORE, 1, "st") X(SW, STORE, 1, "st") X(SWL, STORE, 1, "st") X(SWR, STORE, 1, "st") X(SD, STORE, 1, "st")    \
    X(SDL, STORE, 1, "st") X(SDR, STORE, 1, "st") X(SQ, STORE, 1, "st") X(SWC1, STORE, 1, "sy")                        \
    X(SYSCALL, SYSTEM, 1, "") X(BREAK, SYSTEM, 1, "") X(TEQ, INTEGER, 1, "st") X(TNE, INTEGER, 1, "st")                \
    X(SYNC, SYSTEM, 1, "") X(CACHE, SYSTEM, 1, "s") X(MFC1, MOVE, 2, "Tx") X(MTC1, MOVE, 2, "Xt")                      \
    X(CFC1, MOVE, 2, "T") X(CTC1, MOVE, 2, "t") X(ADD_S, FPU, 4, "Fxy") X(SUB_S, FPU, 4, "Fxy")                        \
    X(MUL_S, FPU, 4, "Fxy") X(DIV_S, FPU_DIVIDE, 8, "Fxy") X(SQRT_S, FPU_DIVIDE, 8, "Fy")                              \
    X(RSQRT_S, FPU_DIVIDE, 14, "Fxy") X(ABS_S, FPU, 4, "Fx") X(MOV_S, FPU, 4, "Fx") X(NEG_S, FPU, 4, "Fx")             \
    X(ADDA_S, FPU, 4, "Cxy") X(SUBA_S, FPU, 4, "Cxy") X(MULA_S, FPU, 4, "Cxy") X(MADD_S, FPU, 4, "Fxy")                \
    X(MSUB_S, FPU, 4, "Fxy") X(MADDA_S, FPU, 4, "Cxy") X(MSUBA_S, FPU, 4, "Cxy") X(CVT_W_S, FPU, 4, "Fx")              \
    X(CVT_S_W, FPU, 4, "Fx") X(MAX_S, FPU, 4, "Fxy") X(MIN_S, FPU, 4, "Fxy") X(C_F, FPU, 2, "Q")                       \
    X(C_EQ, FPU, 2, "Qxy") X(C_LT, FPU, 2, "Qxy") X(C_LE, FPU, 2, "Qxy") X(PLZCW, MMI, 1, "Ds")                        \
    X(PMFHL, MMI, 1, "Dlm") X(PMTHL, MMI, 1, "LMs") X(PSLLH, MMI, 1, "Dt") X(PSRLH, MMI, 1, "Dt")                      \
    X(PSRAH, MMI, 1, "Dt") X(PSLLW, MMI, 1, "Dt") X(PSRLW, MMI, 1, "Dt") X(PSRAW, MMI, 1, "Dt")                        \
    X(PADDW, MMI, 1, "Dst") X(PSUBW, MMI, 1, "Dst") X(PCGTW, MMI, 1, "Dst") X(PMAXW, MMI, 1, "Dst")                    \
    X(PADDH, MMI, 1, "Dst") X(PSUBH, MMI, 1, "Dst") X(PCGTH, MMI, 1, "Dst") X(PMAXH, MMI, 1, "Dst")                    \
    X(PADDB, MMI, 1, "Dst") X(PSUBB, MMI, 1, "Dst") X(PEXTLW, MMI, 1, "Dst") X(PPACW, MMI, 1, "Dst")                   \
    X(PEXTLH, MMI, 1, "Dst") X(PPACH, MMI, 1, "Dst") X(PEXTLB, MMI, 1, "Dst") X(PPACB, MMI, 1, "Dst")                  \
    X(PABSW, MMI, 1, "Dt") X(PCEQW, MMI, 1, "Dst") X(PMINW, MMI, 1, "Dst") X(PABSH, MMI, 1, "Dt")                      \
    X(PCEQH, MMI, 1, "Dst") X(PMINH, MMI, 1, "Dst") X(PCEQB, MMI, 1, "Dst") X(PEXTUW, MMI, 1, "Dst")                   \
    X(PEXTUH, MMI, 1, "Dst") X(PEXTUB, MMI, 1, "Dst") X(PMADDW, MMI_MULTIPLY, 4, "DLMst")                              \
    X(PMULTW, MMI_MULTIPLY, 4, "DLMst") X(PMFHI, MMI, 1, "Dlm") X(PMFLO, MMI, 1, "Dlm") X(PMTHI, MMI, 1, "LMs")        \
    X(PMTLO, MMI, 1, "LMs") X(PINTH, MMI, 1, "Dst") X(PCPYLD, MMI, 1, "Dst") X(PMADDH, MMI_MULTIPLY, 4, "DLMst")       \
    X(PHMADH, MMI_MULTIPLY, 4, "DLMst") X(PMULTH, MMI_MULTIPLY, 4, "DLMst") X(PMSUBH, MMI_MULTIPLY, 4, "DLMst")        \
    X(PAND, MMI, 1, "Dst") X(PXOR, MMI, 1, "Dst") X(PEXEH, MMI, 1, "Dt") X(PREVH, MMI, 1, "Dt")                        \
    X(PEXEW, MMI, 1, "Dt") X(PROT3W, MMI, 1, "Dt") X(PINTEH, MMI, 1, "Dst") X(PCPYUD, MMI, 1, "Dst")                   \
    X(POR, MMI, 1, "Dst") X(PNOR, MMI, 1, "Dst") X(PEXCH, MMI, 1, "Dt") X(PCPYH, MMI, 1, "Dt")                         \
    X(PEXCW, MMI, 1, "Dt")

#define NAME(name, kind, latency, registers) name,
typedef enum { OPERATIONS(NAME) OPERATION_COUNT } operation;
#undef NAME

/* Registers as the timing sees them: 0 to 31 general, 32 to 63 of the FPU, then these. */
enum { HI_LO = 64, HI_LO_1, ACCUMULATOR, CONDITION, NO_REGISTER, TRACKED_REGISTERS };

typedef struct {
    uint8_t code, rs, rt, rd, sa, kind, latency;
    uint8_t accumulates;         /* adds to its accumulator, which it does not name among its reads */
    uint8_t reads[4], writes[3]; /* NO_REGISTER where there is none; register 0 is never written */
    int32_t immediate;           /* of a branch: bytes from the delay slot; of a jump: the address in its 256 MB */
} instruction;

/* Assumptions of the timing model; main.c has a flag for each. */
typedef struct {
    uint32_t miss;       /* cycles from a cache miss to its data */
    uint32_t write_back; /* cycles that writing a dirty line back holds the memory */
    uint32_t mispredict; /* cycles lost by a branch that was predicted wrongly */
    uint32_t accumulate; /* cycles from one multiply-accumulate to the next into the same accumulator */
    uint32_t wide_pairs; /* whether a 128-bit operation can start together with a load, store or branch */
} assumptions;

typedef struct timing timing;

typedef struct {
    quad r[32], hi, lo; /* hi1 and lo1 are the upper halves */
    uint32_t f[32], accumulator, condition;
    uint32_t pc, next;
    uint32_t code_base, code_count; /* of the decoded instructions: address of the first, number */
    instruction *code;
    uint64_t *counts; /* times each instruction ran */
    uint64_t executed, limit;
    uint8_t *ram, *scratchpad;
    timing *clock; /* NULL: do not count cycles */
    int done, status;
} machine;

/* Print what is wrong and where, and exit with status 3. */
__attribute__((noreturn)) void fault(const machine *m, const char *what, uint32_t value);

instruction decode(uint32_t word);
const char *operation_name(uint8_t code);

/* Run until the program exits (syscall 4, the status in $a0), or until `limit` instructions, which is a fault. */
void run(machine *m);

/* A 128-bit operation; 0 if it is none. */
int execute_mmi(machine *m, const instruction *op);

timing *new_timing(const assumptions *given, uint32_t code_count);
/* Account for an instruction before it runs, and for the way a branch went. */
void account(machine *m, const instruction *op, uint32_t index);
void account_branch(machine *m, uint32_t index, int taken);

enum { STALL_RESULT, STALL_DATA, STALL_CODE, STALL_BRANCH, STALL_UNIT, STALLS };

struct timing {
    assumptions given;
    uint64_t cycle, stalls[STALLS], paired;
    uint64_t loads_missed, stores_missed, prefetched, code_missed, written_back;
    uint64_t ready[TRACKED_REGISTERS]; /* the cycle from which a register can be read */
    uint8_t from_memory[TRACKED_REGISTERS];
    uint64_t unit_free[CLASSES], memory_free;
    uint64_t accumulated[CLASSES]; /* when the last multiply-accumulate of a kind started */
    uint32_t fetch_line;
    uint8_t slots, first; /* instructions started in this cycle, the class of the first */
    struct { uint32_t line[2]; uint64_t arrives[2]; uint8_t dirty[2], valid[2], next; } data[64], instructions[128];
    uint8_t *predictor; /* two bits for each instruction */
    uint64_t *cycles;   /* spent at each instruction */
};

#endif
