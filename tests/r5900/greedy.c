/* For the console, for Linux on MIPS and for this machine: answer a question greedily and print all ids. The blob is
 * part of the program (ps2_blob.S). */
#include "brandon.h"

extern const uint8_t bt_ps2_blob[], bt_ps2_blob_end[];

#if defined(_MIPS_ARCH_R5900)
#include "ps2_calls.h"
extern uint8_t _arena[], _arena_end[];
#define ARENA _arena
#define ROOM ((size_t)(_arena_end - _arena))
static void put(char c) { *(volatile uint8_t *)PS2_SERIAL_OUT = (uint8_t)c; }
#else
#include <stdio.h>
static uint8_t ARENA[10 << 20];
#define ROOM sizeof ARENA
static void put(char c) { putchar(c); }
#endif

static int print(void *context, int32_t id, const char *text, uint32_t bytes) {
    (void)context, (void)text, (void)bytes;
    int32_t power = 1;
    while (id / power >= 10) power *= 10;
    for (; power; power /= 10) put((char)('0' + id / power % 10));
    put('\n');
    return 0;
}

int main(void) {
    static const char text[] = TEXT;
    const bt_source source = {(uint64_t)(bt_ps2_blob_end - bt_ps2_blob), bt_ps2_blob, NULL, NULL};
    bt_options options = bt_default_options();
    options.weights = WEIGHTS;
    int32_t ids[64];
    uint32_t count = 0, made;
    bt_engine *engine;
    bt_status status = bt_open(&engine, &source, &options, ARENA, ROOM);
    if (!status) status = bt_chat(engine, "user", text, sizeof text - 1, 1, ids, 64, &count);
    if (!status) status = bt_chat(engine, "assistant", NULL, 0, 0, ids, 64, &count);
    for (uint32_t i = 0; i < count; i++) print(NULL, ids[i], NULL, 0);
    if (!status) status = bt_eval(engine, ids, count);
    if (!status) status = bt_generate(engine, TOKENS, 0, print, NULL, &made);
    return (int)status;
}
