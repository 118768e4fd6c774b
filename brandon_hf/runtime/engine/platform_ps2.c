/* The engine on a PlayStation 2: a program without a library that answers the prompts it was built with and writes to
 * the serial port, which emulators show in their console. The blob stands in the program (ps2_blob.S), the memory for
 * the engine is what ps2.ld reserves. */
#include "brandon.h"
#include "ps2_calls.h"

#ifndef PROMPTS
#define PROMPTS "Hello!", "What is the capital of France?"
#endif
#ifndef ANSWER_TOKENS
#define ANSWER_TOKENS 64
#endif
#define MOST_IDS 512u

extern const uint8_t bt_ps2_blob[], bt_ps2_blob_end[];
extern uint8_t _arena[], _arena_end[];

static const char *const prompts[] = {PROMPTS};

static void put(const char *text, size_t bytes) {
    volatile const uint32_t *status = (volatile const uint32_t *)PS2_SERIAL_STATUS;
    volatile uint8_t *out = (volatile uint8_t *)PS2_SERIAL_OUT;
    for (size_t i = 0; i < bytes; i++) {
        while ((*status & 0xf000) == 0x8000) continue; /* the queue of 8 bytes is full */
        *out = (uint8_t)text[i];
    }
}

static void line(const char *text) {
    size_t bytes = 0;
    while (text[bytes]) bytes++;
    put(text, bytes);
}

static int show(void *context, int32_t id, const char *text, uint32_t bytes) {
    (void)context, (void)id;
    put(text, bytes);
    return 0;
}

static bt_status answer(bt_engine *engine, const char *prompt) {
    static int32_t ids[MOST_IDS];
    uint32_t count = 0, made, bytes = 0;
    while (prompt[bytes]) bytes++;
    bt_status status = bt_rewind(engine, 0);
    if (!status && bt_get_info(engine)->chat) {
        status = bt_chat(engine, "user", prompt, bytes, 1, ids, MOST_IDS, &count);
        if (!status) status = bt_chat(engine, "assistant", NULL, 0, 0, ids, MOST_IDS, &count);
    } else if (!status) { /* a model that only continues texts */
        if (bt_get_info(engine)->add_bos) ids[count++] = bt_get_info(engine)->bos;
        uint32_t more = 0;
        status = bt_encode(engine, prompt, bytes, 0, ids + count, MOST_IDS - count, &more);
        count += more;
    }
    if (!status) status = bt_eval(engine, ids, count);
    if (status) return status;
    line("> ");
    put(prompt, bytes);
    line("\n");
    status = bt_generate(engine, ANSWER_TOKENS, !bt_get_info(engine)->chat, show, NULL, &made);
    line("\n");
    return status;
}

int main(void) {
    const bt_source source = {(uint64_t)(bt_ps2_blob_end - bt_ps2_blob), bt_ps2_blob, NULL, NULL};
    bt_options options = bt_default_options();
    options.weights = BT_WEIGHTS_IN_PLACE;
    options.batch = 4;
    options.longest_word = 256;
    bt_engine *engine;
    bt_status status = bt_open(&engine, &source, &options, _arena, (size_t)(_arena_end - _arena));
    for (size_t i = 0; !status && i < sizeof prompts / sizeof *prompts; i++) status = answer(engine, prompts[i]);
    if (status) {
        line("Error: ");
        line(bt_message(status));
        line("\n");
    }
    return (int)status;
}
