/* Byte-level BPE (arXiv:1909.03341): GPT-2's spelling of bytes, the list of merges, and the rule that cuts a text into
 * words, which is specified in docs/blob-format.md. */
#include "heap.h"

/* --- spelling ----------------------------------------------------------------------------------------------------- */

/* The byte that a code point of GPT-2's alphabet stands for, or -1: printable characters of Latin-1 are themselves, the
 * other bytes in their order are U+0100 and on. */
static int spelled_byte(uint32_t code) {
    if (code >= 0x100) {
        code -= 0x100; /* 33 below "!", 34 from 0x7f to 0xa0, the soft hyphen */
        return code < 33 ? (int)code : code < 67 ? (int)(code - 33 + 0x7f) : code == 67 ? 0xad : -1;
    }
    return (code > 0x20 && code < 0x7f) || (code > 0xa0 && code != 0xad) ? (int)code : -1;
}

uint32_t bt_unspell(const uint8_t *text, uint32_t n, uint8_t *to) {
    uint32_t made = 0;
    for (uint32_t i = 0, bytes; i < n; i += bytes) {
        bytes = bt_character(text + i, n - i);
        if (bytes != 1 && bytes != 2) return 0;
        const int byte = spelled_byte(bytes == 1 ? text[i] : (text[i] & 0x1fu) << 6 | (text[i + 1] & 0x3fu));
        if (byte < 0 || made == BT_LONGEST_TOKEN) return 0;
        to[made++] = (uint8_t)byte;
    }
    return made;
}

int bt_spells_itself(const uint8_t *s, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (s[i] <= 0x20 || s[i] >= 0x7f) return 0;
    return 1;
}

/* --- merges ------------------------------------------------------------------------------------------------------- */

static INLINE int order_of(const bt_merge *merge, int32_t left, int32_t right) {
    return merge->left != left ? (merge->left > left) - (merge->left < left)
                               : (merge->right > right) - (merge->right < right);
}

static int merge_after(const void *context, uint32_t a, uint32_t b) {
    const bt_merge *merges = context;
    const int order = order_of(&merges[a], merges[b].left, merges[b].right);
    return order ? order > 0 : a > b;
}

uint32_t bt_find_merge(const bt_tokenizer *t, int32_t left, int32_t right) {
    uint32_t low = 0, high = t->merge_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (order_of(&t->merges[t->sorted_merges[middle]], left, right) < 0) low = middle + 1;
        else high = middle;
    }
    if (low == t->merge_count || order_of(&t->merges[t->sorted_merges[low]], left, right)) return BT_NONE;
    return t->sorted_merges[low];
}

static bt_status open_merges(bt_tokenizer *t, const bt_blob *blob) {
    const uint32_t normal = 1u << BT_NORMAL;
    bt_reader strings;
    bt_read_from(&strings, &blob->source, blob->merges.offset, blob->merges.offset + blob->merges.bytes);
    for (uint32_t rank = 0; rank < t->merge_count; rank++) {
        uint8_t text[4 * BT_LONGEST_TOKEN + 1], bytes[2 * BT_LONGEST_TOKEN];
        const uint32_t length = bt_get_string(&strings, text, sizeof text, BT_MERGE);
        uint32_t cut = 0;
        if (strings.status) return strings.status;
        while (cut < length && text[cut] != ' ') cut++; /* no byte is spelled with a space */
        const uint32_t left = bt_unspell(text, cut, bytes);
        const uint32_t right = cut < length ? bt_unspell(text + cut + 1, length - cut - 1, bytes + left) : 0;
        if (!left || !right) return BT_MERGE;
        bt_merge *merge = &t->merges[rank];
        merge->left = bt_find_token(t, bytes, left, normal);
        merge->right = bt_find_token(t, bytes + left, right, normal);
        merge->made = bt_find_token(t, bytes, left + right, normal);
        if (merge->left < 0 || merge->right < 0 || merge->made < 0) return BT_MERGE;
        t->sorted_merges[rank] = rank;
    }
    bt_sort(merge_after, t->merges, t->sorted_merges, t->merge_count);
    for (uint32_t i = 1; i < t->merge_count; i++) {
        const bt_merge *before = &t->merges[t->sorted_merges[i - 1]];
        if (!order_of(&t->merges[t->sorted_merges[i]], before->left, before->right)) return BT_MERGE;
    }
    return BT_OK;
}

bt_status bt_bytelevel_open(bt_tokenizer *t, const bt_blob *blob, bt_arena *arena) {
    t->merge_count = (uint32_t)blob->merges.count;
    t->piece = bt_take(arena, t->longest_word * sizeof *t->piece);
    t->merges = bt_take(arena, t->merge_count * sizeof *t->merges);
    t->sorted_merges = bt_take(arena, t->merge_count * sizeof *t->sorted_merges);
    if (!arena->base) return BT_OK;
    return arena->used > arena->size ? BT_ARENA_TOO_SMALL : open_merges(t, blob);
}

/* --- encoding ----------------------------------------------------------------------------------------------------- */

enum { WORD, DIGIT, NEWLINE, SPACE, PUNCTUATION };

static int class_of(uint8_t b) {
    if ((b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || b >= 0x80) return WORD;
    if (b >= '0' && b <= '9') return DIGIT;
    if (b == '\n') return NEWLINE;
    return b == ' ' || (b >= '\t' && b <= '\r') ? SPACE : PUNCTUATION;
}

static size_t end_of_run(const uint8_t *s, size_t n, size_t at, int of) {
    while (at < n && class_of(s[at]) == of) at++;
    return at;
}

/* The length of the word that a text of n > 0 bytes begins with. */
static size_t word_length(const uint8_t *s, size_t n) {
    size_t at = s[0] == ' ' && n > 1 && (class_of(s[1]) == WORD || class_of(s[1]) == PUNCTUATION);
    const int of = class_of(s[at]);
    if (of == DIGIT || of == NEWLINE) return 1;
    at = end_of_run(s, n, at, of);
    if (of == WORD)
        while (n - at > 1 && s[at] == '\'' && class_of(s[at + 1]) == WORD) at = end_of_run(s, n, at + 1, WORD);
    if (of == SPACE && at < n && s[at - 1] == ' ' && (class_of(s[at]) == WORD || class_of(s[at]) == PUNCTUATION)) at--;
    return at;
}

/* Text without special tokens. */
static bt_status encode_plain(bt_tokenizer *t, const uint8_t *text, size_t bytes, bt_ids *out) {
    while (bytes) {
        const size_t length = word_length(text, bytes);
        bt_status status = bt_merge_word(t, text, length);
        if (status) return status;
        for (uint32_t at = 0; at < length; at = t->next[at]) bt_emit(out, t->piece[at]);
        text += length, bytes -= length;
    }
    return BT_OK;
}

bt_status bt_bytelevel_encode(bt_tokenizer *t, const uint8_t *text, size_t bytes, int specials, bt_ids *out) {
    size_t from = 0;
    for (size_t at = 0; specials && at < bytes;) {
        uint32_t length = 1;
        const int32_t id = bt_find_special(t, text + at, bytes - at, &length);
        if (id >= 0) {
            bt_status status = encode_plain(t, text + from, at - from, out);
            if (status) return status;
            bt_emit(out, id);
            from = at + length;
        }
        at += length;
    }
    return encode_plain(t, text + from, bytes - from, out);
}
