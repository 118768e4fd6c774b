/* Text to ids and back: the tables of both kinds of tokenizers, merging, and byte-level BPE. What SentencePiece does
 * before and after merging is in sentencepiece.c. The rule that cuts texts into words is specified in
 * brandon_hf/tokenization/train.py. */
#include "engine.h"

#define NONE 0xffffffffu

/* --- reading arrays of the blob ----------------------------------------------------------------------------------- */

typedef struct {
    const bt_source *source;
    uint64_t at, end;
    uint32_t used, filled;
    uint8_t window[512];
} reader;

static void read_from(reader *r, const bt_source *source, const bt_span *span) {
    r->source = source;
    r->at = span->offset, r->end = span->offset + span->bytes;
    r->used = r->filled = 0;
}

static bt_status get(reader *r, uint8_t *to, uint32_t count) {
    while (count) {
        if (r->used == r->filled) {
            const uint64_t left = r->end - r->at;
            if (!left) return BT_TRUNCATED;
            r->used = 0;
            r->filled = left < sizeof r->window ? (uint32_t)left : (uint32_t)sizeof r->window;
            bt_status status = bt_read(r->source, r->at, r->window, r->filled);
            if (status) return status;
            r->at += r->filled;
        }
        const uint32_t left = r->filled - r->used, part = left < count ? left : count;
        bt_copy(to, r->window + r->used, part);
        r->used += part, to += part, count -= part;
    }
    return BT_OK;
}

/* A string of at most `capacity` bytes; a longer one gives the status `too_long`. */
static bt_status get_string(reader *r, uint8_t *text, uint32_t capacity, uint32_t *length, bt_status too_long) {
    uint8_t b[8];
    bt_status status = get(r, b, 8);
    if (status) return status;
    const uint64_t bytes = bt_u64(b);
    if (bytes > capacity) return too_long;
    *length = (uint32_t)bytes;
    return get(r, text, *length);
}

/* --- spellings ---------------------------------------------------------------------------------------------------- */

uint32_t bt_character(const uint8_t *s, size_t n) {
    static const uint32_t LEAST[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (!n) return 0;
    const uint32_t bytes = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf8 ? 4 : 0;
    if (bytes < 2) return bytes;
    if (bytes > n) return 0;
    uint32_t code = s[0] & (0x7fu >> bytes);
    for (uint32_t i = 1; i < bytes; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (s[i] & 0x3fu);
    }
    return code < LEAST[bytes] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : bytes;
}

static int is_utf8(const uint8_t *s, uint32_t n) {
    for (uint32_t i = 0, bytes; i < n; i += bytes)
        if (!(bytes = bt_character(s + i, n - i))) return 0;
    return 1;
}

/* The byte that a code point of GPT-2's alphabet stands for, or -1: printable characters of Latin-1 are themselves, the
 * other bytes in their order are U+0100 and on. */
static int spelled_byte(uint32_t code) {
    if (code >= 0x100) {
        code -= 0x100; /* 33 below "!", 34 from 0x7f to 0xa0, the soft hyphen */
        return code < 33 ? (int)code : code < 67 ? (int)(code - 33 + 0x7f) : code == 67 ? 0xad : -1;
    }
    return (code > 0x20 && code < 0x7f) || (code > 0xa0 && code != 0xad) ? (int)code : -1;
}

/* The bytes that a token in GPT-2's alphabet stands for; 0 if it is none, empty, or longer than tokens may be. */
static uint32_t unspell(const uint8_t *text, uint32_t n, uint8_t *to) {
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

/* The byte in "<0xHH>", or -1. */
static int named_byte(const uint8_t *s, uint32_t n) {
    int byte = 0;
    if (n != 6 || !bt_equal(s, "<0x", 3) || s[5] != '>') return -1;
    for (int i = 3; i < 5; i++) {
        const int digit = s[i] >= '0' && s[i] <= '9' ? s[i] - '0' : s[i] >= 'A' && s[i] <= 'F' ? s[i] - 'A' + 10 : -1;
        if (digit < 0) return -1;
        byte = 16 * byte + digit;
    }
    return byte;
}

/* --- the table of tokens ------------------------------------------------------------------------------------------ */

#define HASH_START 0x811c9dc5u /* FNV-1a */
static uint32_t hash_on(uint32_t hash, uint8_t byte) { return (hash ^ byte) * 0x01000193u; }

static uint32_t power_of_two(uint32_t least) {
    uint32_t power = 2;
    while (power < least) power *= 2;
    return power;
}

static int32_t find_hashed(const bt_tokenizer *t, uint32_t hash, const uint8_t *s, uint32_t n, uint32_t types) {
    for (uint32_t at = (hash ^ hash >> 15) & t->slot_mask; t->slots[at]; at = (at + 1) & t->slot_mask) {
        const uint32_t id = t->slots[at] - 1, start = t->start[id];
        if (t->start[id + 1] - start == n && types >> t->type[id] & 1 && bt_equal(t->bytes + start, s, n))
            return (int32_t)id;
    }
    return -1;
}

int32_t bt_find_token(const bt_tokenizer *t, const uint8_t *s, uint32_t n, uint32_t types) {
    uint32_t hash = HASH_START;
    if (n > BT_LONGEST_TOKEN) return -1;
    for (uint32_t i = 0; i < n; i++) hash = hash_on(hash, s[i]);
    return find_hashed(t, hash, s, n, types);
}

int32_t bt_find_special(const bt_tokenizer *t, const uint8_t *text, size_t bytes, uint32_t *length) {
    const uint32_t most = bytes < t->longest_special ? (uint32_t)bytes : t->longest_special;
    uint32_t hash = HASH_START;
    int32_t found = -1;
    if (!bytes || !t->begins_special[text[0]]) return -1;
    for (uint32_t n = 1; n <= most; n++) {
        hash = hash_on(hash, text[n - 1]);
        const int32_t id = find_hashed(t, hash, text, n, t->special_types);
        if (id >= 0) found = id, *length = n;
    }
    return found;
}

int32_t bt_tokenizer_find(const bt_tokenizer *t, const char *spelling, size_t bytes) {
    const uint32_t types = 1u << BT_UNKNOWN | 1u << BT_CONTROL | 1u << BT_USER_DEFINED;
    return bytes > BT_LONGEST_TOKEN ? -1 : bt_find_token(t, (const uint8_t *)spelling, (uint32_t)bytes, types);
}

/* Whether a text is the same in GPT-2's alphabet. */
static int spells_itself(const uint8_t *s, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (s[i] <= 0x20 || s[i] >= 0x7f) return 0;
    return 1;
}

/* Put token `id`, whose bytes are in place, into the hash table. */
static bt_status insert(bt_tokenizer *t, uint32_t id) {
    const uint8_t *s = t->bytes + t->start[id];
    const uint32_t n = t->start[id + 1] - t->start[id], normal = 1u << BT_NORMAL;
    /* a byte-level token and a special one may stand for the same bytes, if they are spelled differently */
    const int same_spelling = t->sentencepiece || spells_itself(s, n);
    const uint32_t types = same_spelling ? NONE : t->type[id] == BT_NORMAL ? normal : ~normal;
    uint32_t hash = HASH_START;
    if (bt_find_token(t, s, n, types) >= 0) return BT_TOKEN_STRING;
    for (uint32_t i = 0; i < n; i++) hash = hash_on(hash, s[i]);
    uint32_t at = (hash ^ hash >> 15) & t->slot_mask;
    while (t->slots[at]) at = (at + 1) & t->slot_mask;
    t->slots[at] = id + 1;
    if (t->special_types >> t->type[id] & 1) {
        t->begins_special[s[0]] = 1;
        if (n > t->longest_special) t->longest_special = n;
    }
    return BT_OK;
}

static bt_status open_tokens(bt_tokenizer *t, const bt_blob *blob, int build) {
    reader strings, types;
    uint32_t end = 0;
    read_from(&strings, &blob->source, &blob->tokens);
    read_from(&types, &blob->source, &blob->token_types);
    for (uint32_t id = 0; id < t->vocab; id++) {
        uint8_t b[4], text[2 * BT_LONGEST_TOKEN], bytes[BT_LONGEST_TOKEN];
        uint32_t length;
        bt_status status = get(&types, b, 4);
        if (!status) status = get_string(&strings, text, sizeof text, &length, BT_TOKEN_STRING);
        if (status) return status;
        const uint32_t type = bt_u32(b);
        if (type < BT_NORMAL || type > BT_BYTE || (type == BT_BYTE && !t->sentencepiece)) return BT_TOKEN_TYPE;
        if (type == BT_NORMAL && !t->sentencepiece) {
            length = unspell(text, length, bytes);
        } else {
            if (length > BT_LONGEST_TOKEN || !is_utf8(text, length)) return BT_TOKEN_STRING;
            bt_copy(bytes, text, length);
        }
        const int byte = type == BT_BYTE ? named_byte(bytes, length) : length == 1 ? bytes[0] : -1;
        if (!length || (type == BT_BYTE && byte < 0)) return BT_TOKEN_STRING;
        if (byte >= 0 && type == (t->sentencepiece ? BT_BYTE : BT_NORMAL)) t->byte_ids[byte] = (int32_t)id;
        if (!build) continue;
        t->type[id] = (uint8_t)type;
        t->start[id] = end;
        bt_copy(t->bytes + end, bytes, length);
        t->start[id + 1] = end += length;
        if ((status = insert(t, id))) return status;
    }
    uint32_t present = 0;
    for (uint32_t byte = 0; byte < 256; byte++) present += t->byte_ids[byte] >= 0;
    return present == 256 || (t->sentencepiece && !present) ? BT_OK : BT_BYTE_MISSING;
}

/* --- merges of byte-level BPE ------------------------------------------------------------------------------------- */

static uint32_t pair_slot(const bt_tokenizer *t, int32_t left, int32_t right) {
    const uint32_t hash = (uint32_t)left * 0x9e3779b1u ^ (uint32_t)right * 0x85ebca77u;
    return (hash ^ hash >> 16) & t->merge_mask;
}

static uint32_t find_merge(const bt_tokenizer *t, int32_t left, int32_t right) {
    for (uint32_t at = pair_slot(t, left, right); t->merge_slots[at]; at = (at + 1) & t->merge_mask) {
        const bt_merge *merge = &t->merges[t->merge_slots[at] - 1];
        if (merge->left == left && merge->right == right) return t->merge_slots[at] - 1;
    }
    return NONE;
}

static bt_status open_merges(bt_tokenizer *t, const bt_blob *blob) {
    const uint32_t normal = 1u << BT_NORMAL;
    reader strings;
    read_from(&strings, &blob->source, &blob->merges);
    for (uint32_t rank = 0; rank < blob->merges.count; rank++) {
        uint8_t text[4 * BT_LONGEST_TOKEN + 1], bytes[2 * BT_LONGEST_TOKEN];
        uint32_t length, cut = 0;
        bt_status status = get_string(&strings, text, sizeof text, &length, BT_MERGE);
        if (status) return status;
        while (cut < length && text[cut] != ' ') cut++; /* no byte is spelled with a space */
        const uint32_t left = unspell(text, cut, bytes);
        const uint32_t right = cut < length ? unspell(text + cut + 1, length - cut - 1, bytes + left) : 0;
        if (!left || !right) return BT_MERGE;
        bt_merge *merge = &t->merges[rank];
        merge->left = bt_find_token(t, bytes, left, normal);
        merge->right = bt_find_token(t, bytes + left, right, normal);
        merge->made = bt_find_token(t, bytes, left + right, normal);
        if (merge->left < 0 || merge->right < 0 || merge->made < 0) return BT_MERGE;
        if (find_merge(t, merge->left, merge->right) != NONE) return BT_MERGE;
        uint32_t at = pair_slot(t, merge->left, merge->right);
        while (t->merge_slots[at]) at = (at + 1) & t->merge_mask;
        t->merge_slots[at] = rank + 1;
    }
    return BT_OK;
}

bt_status bt_tokenizer_open(bt_tokenizer **made, const bt_blob *blob, const bt_options *options, bt_arena *arena) {
    bt_tokenizer counted, *t = bt_take(arena, sizeof *t);
    const int build = arena->base != NULL;
    if (build && !t) return BT_ARENA_TOO_SMALL;
    if (!t) t = &counted;
    bt_fill(t, 0, sizeof *t);
    for (uint32_t byte = 0; byte < 256; byte++) t->byte_ids[byte] = -1;
    t->vocab = blob->vocab;
    t->sentencepiece = blob->sentencepiece;
    t->special_types = 1u << BT_USER_DEFINED;
    if (!t->sentencepiece) t->special_types |= 1u << BT_CONTROL | 1u << BT_UNKNOWN;
    t->longest_word = options->longest_word ? options->longest_word : BT_LONGEST_WORD;
    /* what no valid blob has, and would be too much to count in 32 bits */
    if (blob->tokens.bytes > (uint64_t)t->vocab * (8 + 2 * BT_LONGEST_TOKEN)) return BT_TOKEN_STRING;
    if (t->longest_word > 1u << 24 || blob->merges.count > 4 * BT_MAX_VOCAB) return BT_TOO_LARGE;
    const uint32_t merges = t->sentencepiece ? 0 : (uint32_t)blob->merges.count;
    const uint32_t slots = power_of_two(2 * t->vocab), merge_slots = power_of_two(2 * merges);
    t->slot_mask = slots - 1, t->merge_mask = merge_slots - 1;
    t->bytes = bt_take(arena, (size_t)(blob->tokens.bytes - 8 * (uint64_t)t->vocab));
    t->start = bt_take(arena, (t->vocab + 1) * sizeof *t->start);
    t->type = bt_take(arena, t->vocab);
    t->slots = bt_take(arena, slots * sizeof *t->slots);
    t->next = bt_take(arena, t->longest_word * sizeof *t->next);
    t->before = bt_take(arena, t->longest_word * sizeof *t->before);
    t->tree = bt_take(arena, 2 * power_of_two(t->longest_word) * sizeof *t->tree);
    if (!t->sentencepiece) {
        t->piece = bt_take(arena, t->longest_word * sizeof *t->piece);
        t->merges = bt_take(arena, merges * sizeof *t->merges);
        t->merge_slots = bt_take(arena, merge_slots * sizeof *t->merge_slots);
    }
    if (build && arena->used > arena->size) return BT_ARENA_TOO_SMALL;
    if (build) bt_fill(t->slots, 0, slots * sizeof *t->slots);
    bt_status status = open_tokens(t, blob, build);
    if (!status && t->sentencepiece) status = bt_sentencepiece_open(t, blob, arena);
    if (!status && !t->sentencepiece && build) {
        bt_fill(t->merge_slots, 0, merge_slots * sizeof *t->merge_slots);
        status = open_merges(t, blob);
    }
    if (!status && build) *made = t;
    return status;
}

/* --- merging ------------------------------------------------------------------------------------------------------ */

/* When the symbol at `at` and the next one are merged: the smaller, the earlier. */
static uint32_t order_of_pair(const bt_tokenizer *t, const uint8_t *word, uint32_t n, uint32_t at) {
    const uint32_t right = t->next[at];
    if (right >= n) return NONE;
    if (!t->sentencepiece) return find_merge(t, t->piece[at], t->piece[right]);
    const int32_t id = bt_find_token(t, word + at, t->next[right] - at, 1u << BT_NORMAL);
    return id < 0 ? NONE : t->order[id];
}

static void set_leaf(uint32_t *tree, uint32_t node, uint32_t value) {
    tree[node] = value;
    while (node > 1) {
        const uint32_t a = tree[node], b = tree[node ^ 1], least = a < b ? a : b;
        node >>= 1;
        if (tree[node] == least) break;
        tree[node] = least;
    }
}

/* The tree has a leaf per byte: the order of the pair whose left symbol begins there. Its root is the best pair's, and
 * going down to the left first finds the leftmost of equals; a merge costs O(log n) however long the word. */
bt_status bt_merge_word(bt_tokenizer *t, const uint8_t *word, size_t bytes) {
    if (bytes > t->longest_word) return BT_WORD_TOO_LONG;
    const uint32_t n = (uint32_t)bytes, leaves = power_of_two(n);
    uint32_t *tree = t->tree, last = NONE;
    for (uint32_t at = 0; at < n; last = at, at = t->next[at]) {
        const uint32_t length = t->sentencepiece ? bt_character(word + at, n - at) : 1;
        t->next[at] = at + (length ? length : 1); /* a damaged character map may write what is no UTF-8 */
        t->before[at] = last;
        if (!t->sentencepiece) t->piece[at] = t->byte_ids[word[at]];
    }
    for (uint32_t at = 0; at < leaves; at++) tree[leaves + at] = NONE;
    for (uint32_t at = 0; at < n; at = t->next[at]) tree[leaves + at] = order_of_pair(t, word, n, at);
    for (uint32_t node = leaves - 1; node; node--)
        tree[node] = tree[2 * node] < tree[2 * node + 1] ? tree[2 * node] : tree[2 * node + 1];
    while (tree[1] != NONE) {
        uint32_t node = 1;
        while (node < leaves) node = tree[2 * node] == tree[1] ? 2 * node : 2 * node + 1;
        const uint32_t left = node - leaves, right = t->next[left], after = t->next[right];
        if (!t->sentencepiece) t->piece[left] = t->merges[tree[1]].made;
        t->next[left] = after;
        if (after < n) t->before[after] = left;
        set_leaf(tree, leaves + right, NONE);
        set_leaf(tree, node, order_of_pair(t, word, n, left));
        if (t->before[left] != NONE)
            set_leaf(tree, leaves + t->before[left], order_of_pair(t, word, n, t->before[left]));
    }
    return BT_OK;
}

/* --- byte-level encoding ------------------------------------------------------------------------------------------ */

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

/* The length of the word that a text of n > 0 bytes begins with, by the rule in brandon_hf/tokenization/train.py. */
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

void bt_emit(bt_ids *out, int32_t id) {
    if (out->count < out->capacity) out->ids[out->count] = id;
    if (out->count < NONE) out->count++;
    out->last = id;
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

static bt_status encode_bytes(bt_tokenizer *t, const uint8_t *text, size_t bytes, int specials, bt_ids *out) {
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

bt_status bt_tokenizer_encode(bt_tokenizer *t, const char *text, size_t bytes, int specials, int32_t *ids,
                              uint32_t capacity, uint32_t *count) {
    bt_ids out = {ids, capacity, 0, -1};
    const uint8_t *s = (const uint8_t *)text;
    bt_status status = t->sentencepiece ? bt_sentencepiece_encode(t, s, bytes, specials, &out)
                                        : encode_bytes(t, s, bytes, specials, &out);
    *count = out.count;
    return !status && out.count > capacity ? BT_BUFFER_TOO_SMALL : status;
}

/* --- decoding ----------------------------------------------------------------------------------------------------- */

bt_status bt_tokenizer_decode(const bt_tokenizer *t, int32_t id, int specials, char *text, uint32_t capacity,
                              uint32_t *count) {
    int started = 1; /* nothing is left out */
    return bt_tokenizer_decode_next(t, id, specials, &started, text, capacity, count);
}

bt_status bt_tokenizer_decode_next(const bt_tokenizer *t, int32_t id, int specials, int *started, char *text,
                                   uint32_t capacity, uint32_t *count) {
    static const uint8_t UNKNOWN[] = " \xe2\x81\x87 ", SPACED[] = "\xe2\x96\x81"; /* U+2047, U+2581 */
    *count = 0;
    if (id < 0 || (uint32_t)id >= t->vocab) return BT_BAD_TOKEN;
    const uint32_t type = t->type[id];
    if (type == BT_UNUSED || (type != BT_NORMAL && type != BT_BYTE && !specials)) return BT_OK;
    const uint8_t *s = t->bytes + t->start[id];
    uint32_t n = t->start[id + 1] - t->start[id], made = 0;
    uint8_t byte;
    if (type == BT_BYTE) {
        byte = (uint8_t)named_byte(s, n);
        s = &byte, n = 1;
    } else if (t->sentencepiece && type == BT_UNKNOWN) {
        s = UNKNOWN, n = sizeof UNKNOWN - 1;
        *started = 1; /* its space is not the text's */
    }
    for (uint32_t at = 0, left_out; at < n; made += !left_out) {
        const int spaced = t->sentencepiece && n - at >= 3 && bt_equal(s + at, SPACED, 3);
        const uint8_t b = spaced ? ' ' : s[at];
        at += spaced ? 3 : 1;
        left_out = !*started && b == ' ' && (t->remove_extra_whitespaces || t->add_space_prefix);
        if (!left_out && made < capacity) text[made] = (char)b;
        /* all spaces in front are left out, or just the prefix */
        *started = *started || !left_out || !t->remove_extra_whitespaces;
    }
    *count = made;
    return made > capacity ? BT_BUFFER_TOO_SMALL : BT_OK;
}
