/* Text to ids and back: what both kinds of tokenizers share, which is the table of tokens, merging and decoding. Their
 * own parts are in bytelevel.c and sentencepiece.c. */
#include "heap.h"

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

/* By their bytes, the shorter first of two that begin alike: below 0 if token `id` comes before a text. A sorted table
 * has no worst case that a file could be made for, as a hash has. */
static INLINE int order_of(const bt_tokenizer *t, uint32_t id, const uint8_t *s, uint32_t n) {
    const uint8_t *own = t->bytes + t->start[id];
    const uint32_t length = t->start[id + 1] - t->start[id], shared = length < n ? length : n;
    const int order = __builtin_memcmp(own, s, shared);
    return order ? order : (length > n) - (length < n);
}

/* Of equals, normal tokens come first. */
static int token_after(const void *context, uint32_t a, uint32_t b) {
    const bt_tokenizer *t = context;
    const int order = order_of(t, a, t->bytes + t->start[b], t->start[b + 1] - t->start[b]);
    return order ? order > 0 : t->type[a] != t->type[b] ? t->type[a] > t->type[b] : a > b;
}

int32_t bt_find_token(const bt_tokenizer *t, const uint8_t *s, uint32_t n, uint32_t types) {
    uint32_t low = 0, high = t->vocab;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (order_of(t, t->sorted[middle], s, n) < 0) low = middle + 1;
        else high = middle;
    }
    for (; low < t->vocab && !order_of(t, t->sorted[low], s, n); low++)
        if (types >> t->type[t->sorted[low]] & 1) return (int32_t)t->sorted[low];
    return -1;
}

/* The first of the sorted tokens from `low` to `high`, which share n bytes, that goes on with `least` or more. */
static uint32_t going_on(const bt_tokenizer *t, uint32_t low, uint32_t high, uint32_t n, uint32_t least) {
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2, id = t->sorted[middle], at = t->start[id] + n;
        if (at == t->start[id + 1] || t->bytes[at] < least) low = middle + 1;
        else high = middle;
    }
    return low;
}

int32_t bt_find_special(const bt_tokenizer *t, const uint8_t *text, size_t bytes, uint32_t *length) {
    const uint32_t most = bytes < t->longest_special ? (uint32_t)bytes : t->longest_special;
    uint32_t low = 0, high = t->vocab; /* of the sorted tokens, those that begin as the text does */
    int32_t found = -1;
    if (!bytes || !t->begins_special[text[0]]) return -1;
    for (uint32_t n = 0; n < most && low < high; n++) {
        low = going_on(t, low, high, n, text[n]);
        high = going_on(t, low, high, n, text[n] + 1u);
        for (uint32_t i = low; i < high && t->start[t->sorted[i] + 1] - t->start[t->sorted[i]] == n + 1; i++)
            if (t->special_types >> t->type[t->sorted[i]] & 1) found = (int32_t)t->sorted[i], *length = n + 1;
    }
    return found;
}

static bt_status sort_tokens(bt_tokenizer *t) {
    for (uint32_t id = 0; id < t->vocab; id++) t->sorted[id] = id;
    bt_sort(token_after, t, t->sorted, t->vocab);
    for (uint32_t i = 1; i < t->vocab; i++) {
        const uint32_t a = t->sorted[i - 1], b = t->sorted[i], n = t->start[b + 1] - t->start[b];
        const uint8_t *s = t->bytes + t->start[b];
        if (order_of(t, a, s, n)) continue;
        /* a byte-level token and a special one may stand for the same bytes, if they are spelled differently */
        const int one_normal = t->type[a] == BT_NORMAL && t->type[b] != BT_NORMAL;
        if (t->sentencepiece || !one_normal || bt_spells_itself(s, n)) return BT_TOKEN_STRING;
    }
    return BT_OK;
}

static bt_status open_tokens(bt_tokenizer *t, const bt_blob *blob, int build) {
    bt_reader strings, types;
    uint32_t end = 0;
    bt_read_from(&strings, &blob->source, blob->tokens.offset, blob->tokens.offset + blob->tokens.bytes);
    bt_read_from(&types, &blob->source, blob->token_types.offset, blob->token_types.offset + blob->token_types.bytes);
    for (uint32_t id = 0; id < t->vocab; id++) {
        uint8_t text[2 * BT_LONGEST_TOKEN], bytes[BT_LONGEST_TOKEN];
        const uint32_t type = bt_get_u32(&types);
        if (types.status) return types.status;
        uint32_t length = bt_get_string(&strings, text, sizeof text, BT_TOKEN_STRING);
        if (strings.status) return strings.status;
        if (type < BT_NORMAL || type > BT_BYTE || (type == BT_BYTE && !t->sentencepiece)) return BT_TOKEN_TYPE;
        if (type == BT_NORMAL && !t->sentencepiece) {
            length = bt_unspell(text, length, bytes);
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
        if (!(t->special_types >> type & 1)) continue;
        t->begins_special[bytes[0]] = 1;
        if (length > t->longest_special) t->longest_special = length;
    }
    uint32_t present = 0;
    for (uint32_t byte = 0; byte < 256; byte++) present += t->byte_ids[byte] >= 0;
    if (present != 256 && !(t->sentencepiece && !present)) return BT_BYTE_MISSING;
    return build ? sort_tokens(t) : BT_OK;
}

static uint32_t power_of_two(uint32_t least) {
    uint32_t power = 2;
    while (power < least) power *= 2;
    return power;
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
    t->bytes = bt_take(arena, (size_t)(blob->tokens.bytes - 8 * (uint64_t)t->vocab));
    t->start = bt_take(arena, (t->vocab + 1) * sizeof *t->start);
    t->type = bt_take(arena, t->vocab);
    t->sorted = bt_take(arena, t->vocab * sizeof *t->sorted);
    t->next = bt_take(arena, t->longest_word * sizeof *t->next);
    t->before = bt_take(arena, t->longest_word * sizeof *t->before);
    t->tree = bt_take(arena, 2 * power_of_two(t->longest_word) * sizeof *t->tree);
    if (build && arena->used > arena->size) return BT_ARENA_TOO_SMALL;
    bt_status status = open_tokens(t, blob, build);
    if (!status) status = (t->sentencepiece ? bt_sentencepiece_open : bt_bytelevel_open)(t, blob, arena);
    if (!status && build) *made = t;
    return status;
}

/* --- merging ------------------------------------------------------------------------------------------------------ */

/* When the symbol at `at` and the next one are merged: the smaller, the earlier. */
static uint32_t order_of_pair(const bt_tokenizer *t, const uint8_t *word, uint32_t n, uint32_t at) {
    const uint32_t right = t->next[at];
    if (right >= n) return BT_NONE;
    if (!t->sentencepiece) return bt_find_merge(t, t->piece[at], t->piece[right]);
    const int32_t id = bt_find_token(t, word + at, t->next[right] - at, 1u << BT_NORMAL);
    return id < 0 ? BT_NONE : t->order[id];
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
    uint32_t *tree = t->tree, last = BT_NONE;
    for (uint32_t at = 0; at < n; last = at, at = t->next[at]) {
        const uint32_t length = t->sentencepiece ? bt_character(word + at, n - at) : 1;
        t->next[at] = at + (length ? length : 1); /* a damaged character map may write what is no UTF-8 */
        t->before[at] = last;
        if (!t->sentencepiece) t->piece[at] = t->byte_ids[word[at]];
    }
    for (uint32_t at = 0; at < leaves; at++) tree[leaves + at] = BT_NONE;
    for (uint32_t at = 0; at < n; at = t->next[at]) tree[leaves + at] = order_of_pair(t, word, n, at);
    for (uint32_t node = leaves - 1; node; node--)
        tree[node] = tree[2 * node] < tree[2 * node + 1] ? tree[2 * node] : tree[2 * node + 1];
    while (tree[1] != BT_NONE) {
        uint32_t node = 1;
        while (node < leaves) node = tree[2 * node] == tree[1] ? 2 * node : 2 * node + 1;
        const uint32_t left = node - leaves, right = t->next[left], after = t->next[right];
        if (!t->sentencepiece) t->piece[left] = t->merges[tree[1]].made;
        t->next[left] = after;
        if (after < n) t->before[after] = left;
        set_leaf(tree, leaves + right, BT_NONE);
        set_leaf(tree, node, order_of_pair(t, word, n, left));
        if (t->before[left] != BT_NONE)
            set_leaf(tree, leaves + t->before[left], order_of_pair(t, word, n, t->before[left]));
    }
    return BT_OK;
}

/* --- encoding ----------------------------------------------------------------------------------------------------- */

void bt_emit(bt_ids *out, int32_t id) {
    if (out->count < out->capacity) out->ids[out->count] = id;
    if (out->count < BT_NONE) out->count++;
    out->last = id;
}

bt_status bt_tokenizer_encode(bt_tokenizer *t, const char *text, size_t bytes, int specials, int32_t *ids,
                              uint32_t capacity, uint32_t *count) {
    bt_ids out = {ids, capacity, 0, -1};
    const uint8_t *s = (const uint8_t *)text;
    bt_status status = t->sentencepiece ? bt_sentencepiece_encode(t, s, bytes, specials, &out)
                                        : bt_bytelevel_encode(t, s, bytes, specials, &out);
    *count = out.count;
    return !status && out.count > capacity ? BT_BUFFER_TOO_SMALL : status;
}

/* --- decoding ----------------------------------------------------------------------------------------------------- */

bt_status bt_tokenizer_decode(const bt_tokenizer *t, int32_t id, int specials, int *started, char *text,
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
