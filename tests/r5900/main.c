/* usage: r5900 [options] program.elf
 *
 * Runs a static little-endian MIPS ELF; its exit status becomes ours, a fault gives 3. Options:
 *   --timing FILE      count cycles, and write all counts as JSON
 *   --limit N          stop with a fault after so many instructions
 *   --miss N  --write-back N  --mispredict N  --accumulate N  --wide-pairs 0|1    assumptions of the timing model
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "r5900.h"

#define MOST_SYMBOLS 8192

typedef struct {
    uint32_t address;
    const char *name;
    uint64_t counts[CLASSES], instructions, cycles;
} symbol;

static symbol symbols[MOST_SYMBOLS];
static uint32_t symbol_count;

static int by_address(const void *a, const void *b) {
    const symbol *x = a, *y = b;
    return (x->address > y->address) - (x->address < y->address);
}

/* The function an address lies in. */
static symbol *symbol_at(uint32_t address) {
    symbol *found = &symbols[0];
    for (uint32_t i = 0; i < symbol_count && symbols[i].address <= address; i++) found = &symbols[i];
    return found;
}

__attribute__((noreturn)) void fault(const machine *m, const char *what, uint32_t value) {
    fflush(stdout);
    fprintf(stderr, "r5900: pc 0x%08x in %s: %s 0x%x\n", m->pc, symbol_at(m->pc)->name, what, value);
    exit(3);
}

static __attribute__((noreturn)) void fail(const char *path, const char *what) {
    fprintf(stderr, "r5900: %s: %s\n", path, what);
    exit(2);
}

static uint32_t u32(const uint8_t *at) { return (uint32_t)(at[0] | at[1] << 8 | at[2] << 16) | (uint32_t)at[3] << 24; }
static uint32_t u16(const uint8_t *at) { return (uint32_t)(at[0] | at[1] << 8); }

static uint8_t *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) fail(path, "cannot be read");
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size + 64);
    if (!bytes || fread(bytes, 1, *size, file) != *size) fail(path, "cannot be read");
    fclose(file);
    return bytes;
}

static void load_symbols(const uint8_t *elf, size_t size) {
    symbols[symbol_count++] = (symbol){.address = 0, .name = "?"};
    const uint8_t *sections = elf + u32(elf + 32);
    const uint32_t count = u16(elf + 48);
    if (u32(elf + 32) == 0 || u32(elf + 32) + 40 * count > size) return;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *section = sections + 40 * i;
        if (u32(section + 4) != 2) continue; /* SHT_SYMTAB */
        const char *strings = (const char *)elf + u32(sections + 40 * u32(section + 24) + 16);
        for (uint32_t j = 0; j < u32(section + 20) / 16 && symbol_count < MOST_SYMBOLS; j++) {
            const uint8_t *entry = elf + u32(section + 16) + 16 * j;
            const int is_code = (entry[12] & 15) == 2 || ((entry[12] & 15) == 0 && entry[12] >> 4 == 1);
            if (is_code && u32(entry + 4)) {
                symbols[symbol_count++] = (symbol){.address = u32(entry + 4), .name = strings + u32(entry)};
            }
        }
    }
    qsort(symbols, symbol_count, sizeof *symbols, by_address);
}

static void load(machine *m, const char *path) {
    size_t size;
    const uint8_t *elf = read_file(path, &size);
    if (size < 52 || memcmp(elf, "\177ELF\1\1", 6) || u16(elf + 16) != 2 || u16(elf + 18) != 8) {
        fail(path, "is no static 32-bit little-endian MIPS program");
    }
    uint32_t code_end = 0;
    m->code_base = 0xffffffffu;
    for (uint32_t i = 0; i < u16(elf + 44); i++) {
        const uint8_t *segment = elf + u32(elf + 28) + 32 * i;
        const uint32_t offset = u32(segment + 4), to = u32(segment + 8), in_file = u32(segment + 16);
        if (u32(segment) != 1) continue; /* PT_LOAD */
        if (to >= RAM_BYTES || u32(segment + 20) > RAM_BYTES - to || offset > size || in_file > size - offset) {
            fail(path, "has a segment outside of 32 MB of memory");
        }
        memcpy(m->ram + to, elf + offset, in_file);
        if (u32(segment + 24) & 1) { /* executable */
            if (to < m->code_base) m->code_base = to;
            if (to + in_file > code_end) code_end = to + in_file;
        }
    }
    if (code_end <= m->code_base) fail(path, "has no code");
    m->code_count = (code_end - m->code_base) / 4;
    m->code = malloc(m->code_count * sizeof *m->code);
    m->counts = calloc(m->code_count, sizeof *m->counts);
    for (uint32_t i = 0; i < m->code_count; i++) m->code[i] = decode(u32(m->ram + m->code_base + 4 * i));
    m->pc = u32(elf + 24);
    m->next = m->pc + 4;
    load_symbols(elf, size);
}

static const char *const class_names[CLASSES] = {"integer", "multiply", "load", "store", "mmi", "mmi_multiply", "fpu",
                                                 "fpu_divide", "move", "branch", "system"};
static const char *const stall_names[STALLS] = {"result", "data_cache", "code_cache", "branch", "unit"};

static void write_counts(FILE *out, const uint64_t *counts) {
    fprintf(out, "{");
    for (int i = 0; i < CLASSES; i++) {
        fprintf(out, "%s\"%s\": %llu", i ? ", " : "", class_names[i], (unsigned long long)counts[i]);
    }
    fprintf(out, "}");
}

static void write_report(const machine *m, const char *path) {
    FILE *out = fopen(path, "w");
    if (!out) fail(path, "cannot be written");
    const timing *t = m->clock;
    uint64_t totals[CLASSES] = {0};
    for (uint32_t i = 0; i < m->code_count; i++) {
        if (!m->counts[i]) continue;
        symbol *function = symbol_at(m->code_base + 4 * i);
        function->counts[m->code[i].kind] += m->counts[i];
        function->instructions += m->counts[i];
        function->cycles += t->cycles[i];
        totals[m->code[i].kind] += m->counts[i];
    }
    fprintf(out, "{\"instructions\": %llu, \"cycles\": %llu, \"paired\": %llu,\n \"classes\": ",
            (unsigned long long)m->executed, (unsigned long long)t->cycle, (unsigned long long)t->paired);
    write_counts(out, totals);
    fprintf(out, ",\n \"stalls\": {");
    for (int i = 0; i < STALLS; i++) {
        fprintf(out, "%s\"%s\": %llu", i ? ", " : "", stall_names[i], (unsigned long long)t->stalls[i]);
    }
    fprintf(out, "},\n \"lines\": {\"loads_missed\": %llu, \"stores_missed\": %llu, \"prefetched\": %llu, "
            "\"code_missed\": %llu, \"written_back\": %llu},\n \"functions\": [",
            (unsigned long long)t->loads_missed, (unsigned long long)t->stores_missed,
            (unsigned long long)t->prefetched, (unsigned long long)t->code_missed, (unsigned long long)t->written_back);
    const char *separator = "\n";
    for (uint32_t i = 0; i < symbol_count; i++) {
        if (!symbols[i].instructions) continue;
        fprintf(out, "%s  {\"name\": \"%s\", \"instructions\": %llu, \"cycles\": %llu, \"classes\": ", separator,
                symbols[i].name, (unsigned long long)symbols[i].instructions, (unsigned long long)symbols[i].cycles);
        write_counts(out, symbols[i].counts);
        fprintf(out, "}");
        separator = ",\n";
    }
    fprintf(out, "\n ]}\n");
    if (fclose(out)) fail(path, "cannot be written");
}

int main(int argc, char **argv) {
    machine *m = calloc(1, sizeof *m);
    assumptions given = {.miss = 40, .write_back = 20, .mispredict = 3, .accumulate = 1, .wide_pairs = 0};
    const char *program = NULL, *report = NULL;
    m->limit = UINT64_MAX;
    for (int i = 1; i < argc; i++) {
        const char *value = argv[i + 1];
        if (argv[i][0] != '-') program = argv[i];
        else if (!value) fail(argv[i], "needs a value");
        else if (i++, !strcmp(argv[i - 1], "--timing")) report = value;
        else if (!strcmp(argv[i - 1], "--limit")) m->limit = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i - 1], "--miss")) given.miss = (uint32_t)atoi(value);
        else if (!strcmp(argv[i - 1], "--write-back")) given.write_back = (uint32_t)atoi(value);
        else if (!strcmp(argv[i - 1], "--mispredict")) given.mispredict = (uint32_t)atoi(value);
        else if (!strcmp(argv[i - 1], "--accumulate")) given.accumulate = (uint32_t)atoi(value);
        else if (!strcmp(argv[i - 1], "--wide-pairs")) given.wide_pairs = (uint32_t)atoi(value);
        else fail(argv[i - 1], "is no option");
    }
    if (!program) fail("usage", "r5900 [--timing FILE] [--limit N] [--miss N] ... program.elf");
    m->ram = calloc(RAM_BYTES, 1);
    m->scratchpad = calloc(SCRATCHPAD_BYTES, 1);
    load(m, program);
    if (report) m->clock = new_timing(&given, m->code_count);
    run(m);
    fflush(stdout);
    if (report) write_report(m, report);
    return m->status;
}
