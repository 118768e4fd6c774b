/* What a run costs in cycles: an in-order processor that starts up to two instructions per cycle.
 *
 * Two instructions start together if the second does not need the first's result and both are of different kinds, or
 * both integer ones; never two memory accesses, two float operations, or anything after a branch. 128-bit operations
 * occupy both integer pipelines. A load's data is there after two cycles, a product after four, float results after
 * four, quotients and roots after eight; multiply-accumulates follow each other at once. One line of a cache is
 * filled at a time: a load that misses lets the program go on until its result is needed or the next line misses.
 * Lines are replaced in the order they were filled. The caches and the 40 cycles of a memory access are from ps2tek;
 * pipelines and latencies are assumptions from what is commonly said of the processor, not checked against a manual or a
 * console. What weighs most is an `assumptions` field, so that its weight can be measured. */
#include <stdlib.h>

#include "r5900.h"

timing *new_timing(const assumptions *given, uint32_t code_count) {
    timing *t = calloc(1, sizeof *t);
    t->given = *given;
    t->predictor = calloc(code_count, 1);
    t->cycles = calloc(code_count, sizeof *t->cycles);
    t->fetch_line = 0xffffffffu;
    return t;
}

static int pairs(const timing *t, class first, class second) {
    if (first == BRANCH || first == SYSTEM || second == SYSTEM) return 0;
    const int memory = (first == LOAD || first == STORE) + (second == LOAD || second == STORE);
    const int wide = (first >= MMI && first <= MMI_MULTIPLY) + (second >= MMI && second <= MMI_MULTIPLY);
    if (memory == 2 || wide == 2) return 0;
    if (wide) return t->given.wide_pairs && (memory || second == BRANCH);
    const int floats = (first == FPU || first == FPU_DIVIDE) + (second == FPU || second == FPU_DIVIDE);
    if (floats == 2 || (first == MOVE && second == MOVE)) return 0;
    return !(first == MULTIPLY && second == MULTIPLY);
}

/* The memory fetches a line for a cache from cycle `now` on; returns when it arrives. */
static uint64_t fill(timing *t, uint64_t now, int dirty) {
    const uint64_t start = now > t->memory_free ? now : t->memory_free;
    t->memory_free = start + t->given.miss;
    const uint64_t arrives = t->memory_free;
    if (dirty) {
        t->written_back++;
        t->memory_free += t->given.write_back;
    }
    return arrives;
}

/* Cycles of the data cache for an access that starts in `t->cycle`; returns when its data is there. */
static uint64_t access_data(timing *t, const instruction *op, uint32_t address) {
    const uint64_t hit = t->cycle + op->latency;
    if (address >= RAM_BYTES) return hit; /* scratchpad, devices */
    const uint32_t line = address >> 6, set = line & 63;
    int way = 0;
    while (way < 2 && !(t->data[set].valid[way] && t->data[set].line[way] == line)) way++;
    if (way == 2) {
        if (t->memory_free > t->cycle) { /* one miss at a time: wait for the one before */
            t->stalls[STALL_DATA] += t->memory_free - t->cycle;
            t->cycle = t->memory_free;
            t->slots = 2;
        }
        *(op->code == PREF ? &t->prefetched : op->kind == LOAD ? &t->loads_missed : &t->stores_missed) += 1;
        way = t->data[set].next;
        t->data[set].next = (uint8_t)!way;
        t->data[set].arrives[way] = fill(t, t->cycle, t->data[set].valid[way] && t->data[set].dirty[way]);
        t->data[set].line[way] = line;
        t->data[set].valid[way] = 1;
        t->data[set].dirty[way] = 0;
    }
    if (op->kind == STORE) t->data[set].dirty[way] = 1;
    return t->data[set].arrives[way] > hit ? t->data[set].arrives[way] : hit;
}

static void fetch(timing *t, uint32_t pc) {
    const uint32_t line = pc >> 6, set = line & 127;
    if (line == t->fetch_line) return;
    t->fetch_line = line;
    for (int way = 0; way < 2; way++) {
        if (t->instructions[set].valid[way] && t->instructions[set].line[way] == line) return;
    }
    const uint8_t way = t->instructions[set].next;
    t->instructions[set].next = !way;
    t->instructions[set].line[way] = line;
    t->instructions[set].valid[way] = 1;
    const uint64_t arrives = fill(t, t->cycle, 0);
    t->code_missed++;
    t->stalls[STALL_CODE] += arrives - t->cycle;
    t->cycle = arrives;
    t->slots = 2;
}

void account(machine *m, const instruction *op, uint32_t index) {
    timing *t = m->clock;
    const uint64_t before = t->cycle;
    fetch(t, m->pc);

    uint64_t ready = 0;
    int from_memory = 0;
    for (int i = 0; op->reads[i] != NO_REGISTER; i++) {
        if (t->ready[op->reads[i]] > ready) {
            ready = t->ready[op->reads[i]];
            from_memory = t->from_memory[op->reads[i]];
        }
    }
    if (op->accumulates && t->accumulated[op->kind] + t->given.accumulate > ready) {
        ready = t->accumulated[op->kind] + t->given.accumulate;
        from_memory = 0;
    }
    const uint64_t unit = t->unit_free[op->kind];
    if (t->slots == 1 && ready <= t->cycle && unit <= t->cycle && pairs(t, t->first, op->kind)) {
        t->slots = 2;
        t->paired++;
    } else {
        uint64_t start = t->cycle + 1;
        if (ready > start) {
            t->stalls[from_memory ? STALL_DATA : STALL_RESULT] += ready - start;
            start = ready;
        }
        if (unit > start) {
            t->stalls[STALL_UNIT] += unit - start;
            start = unit;
        }
        t->cycle = start;
        t->slots = 1;
        t->first = op->kind;
    }

    if (op->accumulates) t->accumulated[op->kind] = t->cycle;
    uint64_t done = t->cycle + op->latency;
    if (op->kind == LOAD || op->kind == STORE) done = access_data(t, op, m->r[op->rs].w[0] + (uint32_t)op->immediate);
    for (int i = 0; i < 3; i++) {
        t->ready[op->writes[i]] = done; /* of NO_REGISTER too, which nothing reads */
        t->from_memory[op->writes[i]] = op->kind == LOAD && done > t->cycle + op->latency;
    }
    if (op->kind == FPU_DIVIDE || (op->kind == MULTIPLY && op->latency > 4)) t->unit_free[op->kind] = done;
    else if (op->kind == MULTIPLY) t->unit_free[op->kind] = t->cycle + 2;
    t->cycles[index] += t->cycle - before;
}

void account_branch(machine *m, uint32_t index, int taken) {
    timing *t = m->clock;
    uint8_t *counter = &t->predictor[index];
    if ((*counter >= 2) != taken) {
        t->stalls[STALL_BRANCH] += t->given.mispredict;
        t->cycle += t->given.mispredict;
        t->cycles[index] += t->given.mispredict;
        t->slots = 2;
    }
    if (taken && *counter < 3) ++*counter;
    if (!taken && *counter > 0) --*counter;
}
