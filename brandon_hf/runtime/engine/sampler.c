/* The choice of a token after the logits: what transformers' logits processors do, in their order. */
#include "heap.h"

bt_sampling bt_default_sampling(void) {
    bt_sampling sampling = {0};
    sampling.repetition_penalty = 1.0f;
    sampling.top_p = 1.0f;
    return sampling;
}

bt_status bt_set_sampling(bt_engine *e, const bt_sampling *s) {
    /* written so that NaN is refused too */
    if (!(s->repetition_penalty >= 1.0e-6f) || !(s->temperature >= 0.0f) || !(s->top_p > 0.0f && s->top_p <= 1.0f)
        || !(s->min_p >= 0.0f && s->min_p <= 1.0f) || s->repetition_penalty > 1.0e6f || s->temperature > 1.0e6f)
        return BT_OPTION;
    e->sampling = *s;
    /* two different words that are not both zero (splitmix64) */
    uint64_t z = s->seed;
    for (int i = 0; i < 2; i++) {
        z += 0x9e3779b97f4a7c15u;
        uint64_t x = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        x = (x ^ x >> 27) * 0x94d049bb133111ebu;
        e->random[i] = x ^ x >> 31;
    }
    return BT_OK;
}

/* 0 <= x < 1 (xorshift128+). */
static float uniform(bt_engine *e) {
    uint64_t a = e->random[0];
    const uint64_t b = e->random[1], sum = a + b;
    e->random[0] = b;
    a ^= a << 23;
    e->random[1] = a ^ b ^ a >> 18 ^ b >> 5;
    return (float)(uint32_t)(sum >> 40) * (1.0f / 16777216.0f);
}

/* Below every logit that counts, and still finite. */
#define NEVER (-1.0e30f)

static void penalize(bt_engine *e) {
    const float penalty = e->sampling.repetition_penalty;
    if (penalty == 1.0f) return;
    for (uint32_t i = 0; i < e->blob.vocab; i++) e->order[i] = 0;
    for (uint32_t i = 0; i < e->position; i++) e->order[e->history[i]] = 1;
    for (uint32_t i = 0; i < e->blob.vocab; i++)
        if (e->order[i]) e->logits[i] = e->logits[i] < 0.0f ? e->logits[i] * penalty : e->logits[i] / penalty;
}

static void forbid_repeated_ngrams(bt_engine *e) {
    const uint32_t n = e->sampling.no_repeat_ngram;
    if (!n || e->position + 1 < n) return;
    const int32_t *last = e->history + e->position - (n - 1);
    for (uint32_t i = 0; i + n <= e->position; i++)
        if (bt_equal(e->history + i, last, (n - 1) * sizeof *last)) e->logits[e->history[i + n - 1]] = NEVER;
}

static uint32_t most_probable(const bt_engine *e) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < e->blob.vocab; i++)
        if (e->logits[i] > e->logits[best]) best = i;
    return best;
}

/* Whether a token comes after another: less probable, or as probable with a larger id. */
static int after(const void *context, uint32_t a, uint32_t b) {
    const float *logits = context;
    return logits[a] < logits[b] || (logits[a] == logits[b] && a > b);
}

/* The candidates in e->order: all tokens, or those at least as probable as the k-th. */
static uint32_t candidates(bt_engine *e) {
    const uint32_t vocab = e->blob.vocab, k = e->sampling.top_k;
    const float *logits = e->logits;
    for (uint32_t i = 0; i < vocab; i++) e->order[i] = i;
    if (!k || k >= vocab) return vocab;
    bt_make_heap(after, logits, e->order, k); /* of the k best so far, the worst at the root */
    for (uint32_t i = k; i < vocab; i++) {
        if (!after(logits, e->order[0], i)) continue;
        e->order[0] = i;
        bt_sink(after, logits, e->order, k, 0);
    }
    const float worst = logits[e->order[0]];
    uint32_t count = 0;
    for (uint32_t i = 0; i < vocab; i++)
        if (logits[i] >= worst) e->order[count++] = i;
    return count;
}

bt_status bt_sample(bt_engine *e, int32_t *id) {
    const bt_sampling *s = &e->sampling;
    float *logits = e->logits;
    if (!e->has_logits) return BT_NO_LOGITS;
    penalize(e);
    forbid_repeated_ngrams(e);
    const uint32_t best = most_probable(e);
    *id = (int32_t)best;
    if (s->repetition_penalty != 1.0f) e->has_logits = 0; /* a second penalty would be another */
    if (s->temperature == 0.0f) return BT_OK;

    uint32_t count = candidates(e);
    if (s->top_p < 1.0f) bt_sort(after, logits, e->order, count); /* the most probable first */
    /* from here on a logit is replaced by its weight, relative to the best token's */
    const float top = logits[best], factor = s->temperature > 1.0e-6f ? 1.0f / s->temperature : 1.0e6f;
    float total = 0.0f;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t token = e->order[i];
        logits[token] = bt_exp((logits[token] - top) * factor);
        total += logits[token];
    }
    if (s->top_p < 1.0f) {
        const float limit = s->top_p * total;
        float sum = 0.0f;
        uint32_t kept = 0;
        while (kept < count && sum < limit) sum += logits[e->order[kept++]];
        count = kept;
    }
    uint32_t kept = 0;
    total = 0.0f;
    for (uint32_t i = 0; i < count; i++)
        if (logits[e->order[i]] > 0.0f && logits[e->order[i]] >= s->min_p) /* rounding may not lead to what has none */
            total += logits[e->order[i]], e->order[kept++] = e->order[i];
    e->has_logits = 0; /* they are weights now */
    float point = uniform(e) * total;
    for (uint32_t i = 0; i < kept; i++) {
        *id = (int32_t)e->order[i];
        point -= logits[e->order[i]];
        if (point < 0.0f) break;
    }
    return BT_OK;
}
