/* For the console: compute TOKENS tokens from position POSITION of the context on, and nothing else, so that the
 * difference between two builds is what tokens cost. The context before is zeros, which cost the same as others. */
#include "engine.h"

extern const uint8_t bt_ps2_blob[], bt_ps2_blob_end[];
extern uint8_t _arena[], _arena_end[];

int main(void) {
    const bt_source source = {(uint64_t)(bt_ps2_blob_end - bt_ps2_blob), bt_ps2_blob, NULL, NULL};
    static bt_blob blob;
    static float logits[BT_MAX_VOCAB / 8];
    const bt_options options = {.context = 512, .batch = 4, .weights = BT_WEIGHTS_IN_PLACE};
    bt_info info;
    bt_arena arena = {_arena, 0, (size_t)(_arena_end - _arena)};
    bt_model *model;
    bt_status status = bt_parse(&blob, &source);
    if (!status) status = bt_model_open(&model, &blob, &options, bt_find_kernels(BT_KERNEL_BEST), &arena, &info);
    int32_t id = 1;
    for (uint32_t i = 0; !status && i < TOKENS; i++) {
        status = bt_model_forward(model, &id, 1, POSITION + i);
        if (!status) status = bt_model_logits(model, 0, logits);
        for (uint32_t j = 0; j < blob.vocab; j++) id = logits[j] > logits[id] ? (int32_t)j : id;
    }
    return (int)status;
}
