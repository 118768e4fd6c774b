/* SentencePiece BPE (arXiv:1808.06226): normalisation by the model's character map, then merging by score. The text is
 * normalised into a window and cut where no piece crosses, so that its length is not limited by memory. */
#include "engine.h"

#define LARGEST_MAP (1u << 24)

static const uint8_t SPACE[3] = {0xe2, 0x96, 0x81}; /* U+2581, which stands for a space */
static const uint8_t REPLACEMENT[3] = {0xef, 0xbf, 0xbd}; /* U+FFFD, for what is no UTF-8 */

static int is_space(const uint8_t *s, uint32_t n) { return n >= 3 && bt_equal(s, SPACE, 3); }

/* Whether a space stands at `at` of n bytes, behind something that is none. */
static int begins_word(const uint8_t *s, uint32_t n, uint32_t at) {
    return at && is_space(s + at, n - at) && !(at >= 3 && is_space(s + at - 3, 3));
}

/* --- the character map -------------------------------------------------------------------------------------------- */

/* A double-array trie (darts-clone): little-endian units of 32 bits. Bit 31: the unit is a leaf, and the rest is its
 * value. Otherwise bits 0 to 7 are the byte that leads here, bit 8 says whether a key ends here, and the bits from 10
 * on, shifted by 8 more if bit 9 is set, say by exclusive or where the children are: the leaf at 0, others at their
 * byte. */
static uint32_t unit_at(const bt_tokenizer *t, uint32_t node) { return bt_u32(t->trie + 4 * (size_t)node); }

static uint32_t children(uint32_t node, uint32_t unit) { return node ^ unit >> 10 << (unit >> 6 & 8); }

/* After this, no walk leaves the trie and every value is a string. */
static int is_sound(const bt_tokenizer *t) {
    if (!t->trie_units || !t->strings_bytes || t->strings[t->strings_bytes - 1] || unit_at(t, 0) >> 31) return 0;
    for (uint32_t node = 0; node < t->trie_units; node++) {
        const uint32_t unit = unit_at(t, node), base = children(node, unit);
        if (unit >> 31) continue;
        if ((base | 255) >= t->trie_units) return 0;
        if (!(unit >> 8 & 1)) continue;
        const uint32_t leaf = unit_at(t, base);
        if (!(leaf >> 31) || (leaf & 0x7fffffff) >= t->strings_bytes) return 0;
    }
    return 1;
}

/* What the longest key that a text begins with is mapped to, or NULL; *length is that key's. */
static const uint8_t *look_up(const bt_tokenizer *t, const uint8_t *text, size_t bytes, uint32_t *length) {
    const uint8_t *found = NULL;
    if (!t->trie_units) return NULL;
    uint32_t node = children(0, unit_at(t, 0));
    for (uint32_t i = 0; i < bytes && i < BT_LONGEST_TOKEN; i++) {
        node ^= text[i];
        const uint32_t unit = unit_at(t, node);
        if ((unit & 0x800000ffu) != text[i]) break;
        node = children(node, unit);
        if (unit >> 8 & 1) found = t->strings + (unit_at(t, node) & 0x7fffffff), *length = i + 1;
    }
    return found;
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static bt_status open_scores(bt_tokenizer *t, const bt_blob *blob, int build) {
    bt_reader scores;
    bt_read_from(&scores, &blob->source, blob->scores.offset, blob->scores.offset + blob->scores.bytes);
    for (uint32_t id = 0; id < t->vocab; id++) {
        uint32_t bits = bt_get_u32(&scores);
        if (scores.status) return scores.status;
        if ((bits >> 23 & 255) == 255) return BT_SCORE;
        if (bits == 0x80000000u) bits = 0; /* zero has one sign */
        if (build) t->order[id] = bits >> 31 ? bits : 0x7fffffffu - bits; /* the larger the score, the earlier */
    }
    return BT_OK;
}

static bt_status open_pieces(bt_tokenizer *t, const bt_blob *blob) {
    for (uint32_t id = 0; id < t->vocab; id++) {
        const uint32_t start = t->start[id], n = t->start[id + 1] - start;
        for (uint32_t at = 0; at < n && t->type[id] == BT_NORMAL; at++)
            t->spans_words |= begins_word(t->bytes + start, n, at);
        if (t->type[id] != BT_UNKNOWN) continue;
        if (t->unknown >= 0) return BT_TOKEN_TYPE;
        t->unknown = (int32_t)id;
    }
    if (t->unknown < 0) return BT_TOKEN_TYPE;
    return blob->unknown >= 0 && blob->unknown != t->unknown ? BT_TOKEN_ID : BT_OK;
}

bt_status bt_sentencepiece_open(bt_tokenizer *t, const bt_blob *blob, bt_arena *arena) {
    const uint64_t bytes = blob->charsmap.count;
    const int build = arena->base != NULL;
    uint8_t *map = NULL;
    t->add_space_prefix = blob->add_space_prefix;
    t->remove_extra_whitespaces = blob->remove_extra_whitespaces;
    t->unknown = -1;
    if (bytes > LARGEST_MAP) return BT_TOO_LARGE;
    t->order = bt_take(arena, t->vocab * sizeof *t->order);
    t->normal = bt_take(arena, t->longest_word);
    if (bytes) map = bt_take(arena, (size_t)bytes);
    if (build && arena->used > arena->size) return BT_ARENA_TOO_SMALL;
    bt_status status = open_scores(t, blob, build);
    if (status || !build) return status;
    if (bytes) {
        if (bytes < 4) return BT_CHARSMAP;
        if ((status = bt_read(&blob->source, blob->charsmap.offset, map, bytes))) return status;
        const uint32_t trie = bt_u32(map);
        if (trie % 4 || trie > bytes - 4) return BT_CHARSMAP;
        t->trie = map + 4, t->trie_units = trie / 4;
        t->strings = t->trie + trie, t->strings_bytes = (uint32_t)bytes - 4 - trie;
        if (!is_sound(t)) return BT_CHARSMAP;
    }
    return open_pieces(t, blob);
}

/* --- encoding ----------------------------------------------------------------------------------------------------- */

/* The ids of text between cuts. */
static bt_status encode_word(bt_tokenizer *t, const uint8_t *word, uint32_t bytes, bt_ids *out) {
    bt_status status = bt_merge_word(t, word, bytes);
    if (status) return status;
    for (uint32_t at = 0; at < bytes; at = t->next[at]) {
        const uint32_t n = t->next[at] - at;
        uint32_t types = 1u << BT_NORMAL;
        if (bt_character(word + at, bytes - at) == n) /* a symbol of one character is nothing to guard against */
            types |= 1u << BT_USER_DEFINED;
        const int32_t id = bt_find_token(t, word + at, n, types);
        if (id >= 0) bt_emit(out, id);
        else if (t->byte_ids[0] >= 0)
            for (uint32_t i = 0; i < n; i++) bt_emit(out, t->byte_ids[word[at + i]]);
        else if (out->last != t->unknown) bt_emit(out, t->unknown); /* one for a run of unknown characters */
    }
    return BT_OK;
}

typedef struct {
    const uint8_t *text;
    size_t bytes;       /* what is left of it */
    int specials;
    int previous_space; /* whether spaces that follow are left out */
    uint32_t used;      /* bytes in the window */
} state;

/* What the beginning of a text is normalised to, and how many bytes of it that uses up. */
static const uint8_t *normalize(const bt_tokenizer *t, const state *s, uint32_t *used, uint32_t *made) {
    if (s->specials && bt_find_special(t, s->text, s->bytes, used) >= 0) {
        *made = *used;
        return s->text;
    }
    const uint8_t *mapped = look_up(t, s->text, s->bytes, used);
    if (mapped) {
        *made = (uint32_t)bt_length((const char *)mapped);
        return mapped;
    }
    *used = *made = bt_character(s->text, s->bytes);
    if (*used) return s->text;
    *used = 1, *made = 3;
    return REPLACEMENT;
}

/* Append to the window; 0 if there is no room. */
static int append(bt_tokenizer *t, state *s, const uint8_t *text, uint32_t bytes) {
    uint32_t room = t->longest_word - s->used;
    for (uint32_t i = 0; i < bytes; i++) {
        const uint32_t need = text[i] == ' ' ? 3 : 1;
        if (room < need) return 0;
        room -= need;
    }
    for (uint32_t i = 0; i < bytes; i++) {
        if (text[i] == ' ') {
            bt_copy(t->normal + s->used, SPACE, 3);
            s->used += 3;
        } else {
            t->normal[s->used++] = text[i];
        }
    }
    return 1;
}

/* Normalise until the window is full or the text ends. */
static void fill(bt_tokenizer *t, state *s) {
    while (s->bytes) {
        uint32_t used = 0, made = 0;
        const uint8_t *piece = normalize(t, s, &used, &made);
        while (s->previous_space && made && *piece == ' ') piece++, made--;
        if (!append(t, s, piece, made)) return;
        if (made) s->previous_space = t->remove_extra_whitespaces && piece[made - 1] == ' ';
        s->text += used, s->bytes -= used;
    }
}

/* Encode what is in the window as far as cuts are certain, and move the rest to its front. */
static bt_status drain(bt_tokenizer *t, state *s, bt_ids *out) {
    const int done = !s->bytes;
    const uint8_t *text = t->normal;
    const uint32_t ahead = s->specials && t->longest_special > 4 ? t->longest_special : 4; /* to see a whole symbol */
    uint32_t end = s->used, from = 0, at = 0;
    bt_status status = BT_OK;
    /* spaces at the end of the text are left out */
    while (t->remove_extra_whitespaces && end >= 3 && is_space(text + end - 3, 3)) end -= 3;
    while (at < end && (done || end - at >= ahead) && !status) {
        uint32_t length = 0;
        const int32_t id = s->specials ? bt_find_special(t, text + at, end - at, &length) : -1;
        if (id >= 0 || (!t->spans_words && begins_word(text, end, at))) {
            status = encode_word(t, text + from, at - from, out);
            from = at;
        }
        if (id >= 0) {
            bt_emit(out, id);
            from = at + length;
        } else {
            length = bt_character(text + at, end - at);
        }
        at += length ? length : 1;
    }
    if (done && !status) status = encode_word(t, text + from, end - from, out);
    if (!done && !from && !status) return BT_WORD_TOO_LONG;
    for (uint32_t i = from; i < s->used; i++) t->normal[i - from] = t->normal[i];
    s->used -= from;
    return status;
}

bt_status bt_sentencepiece_encode(bt_tokenizer *t, const uint8_t *text, size_t bytes, int specials, bt_ids *out) {
    state s = {text, bytes, specials, t->remove_extra_whitespaces, 0};
    while (s.bytes && t->remove_extra_whitespaces) { /* spaces in front, even of the prefix */
        uint32_t used = 0, made = 0;
        const uint8_t *piece = normalize(t, &s, &used, &made);
        if (made != 1 || *piece != ' ') break;
        s.text += used, s.bytes -= used;
    }
    if (!s.bytes) return BT_OK;
    if (t->add_space_prefix && !append(t, &s, (const uint8_t *)" ", 1)) return BT_WORD_TOO_LONG;
    bt_status status;
    do {
        fill(t, &s);
        const int done = !s.bytes;
        status = drain(t, &s, out);
        if (done) break;
    } while (!status);
    return status;
}
