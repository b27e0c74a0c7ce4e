/* An object with keys has an entry: its name and its keys, with a slot for each key. The items of the trees are slots,
 * the ref that a tree counts is the entry's. An entry does not know the object's version: as long as the keys stay the
 * same it stays where it is. So a pod's status, which is what changes most, touches no index. Where some keys change,
 * those that are new are in an entry of their own, and the rest stays where it is. */
#include "raft-store/store/index_tree.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/refs.h"

struct slot {
    uint32_t place; /* among the entry's slots */
    uint32_t key_at;
    uint32_t key_size : 24, index : 8;
};
#define KEY_SIZE_MAX ((1u << 24) - 1)

struct entry {
    uint32_t refs;
    uint32_t slots_count;
    uint16_t kind_id, ns_size, name_size;
    struct slot slots[]; /* behind them: namespace, name, keys */
};

static const struct entry *entry_of(const struct slot *s)
{
    return CONTAINER_OF(s - s->place, struct entry, slots);
}

static const char *entry_text(const struct entry *e)
{
    return (const char *)&e->slots[e->slots_count];
}

static struct index_found found_of(const struct slot *s)
{
    const struct entry *e = entry_of(s);
    const char *text = entry_text(e);
    return (struct index_found){.kind_id = e->kind_id,
                                .key = {text + s->key_at, s->key_size},
                                .ns = {text, e->ns_size},
                                .name = {text + e->ns_size, e->name_size}};
}

static int found_compare(const struct index_found *a, const struct index_found *b)
{
    int c = str_cmp(a->key, b->key);
    if (c == 0) {
        c = (a->kind_id > b->kind_id) - (a->kind_id < b->kind_id);
    }
    c = c != 0 ? c : str_cmp(a->ns, b->ns);
    return c != 0 ? c : str_cmp(a->name, b->name);
}

static int slot_compare(const void *key, const void *item)
{
    struct index_found f = found_of(item);
    return found_compare(key, &f);
}

static void slot_ref(void *item)
{
    refs_take(&((struct entry *)entry_of(item))->refs);
}

static void slot_unref(void *item)
{
    struct entry *e = (struct entry *)entry_of(item);
    if (refs_drop(&e->refs)) {
        free(e);
    }
}

static const struct ptree_ops slot_ops = {slot_compare, slot_ref, slot_unref};

/* ---- The keys of an object ---- */

#define KEYS_INLINE 12u
#define TEXT_FIRST  480u /* enough for nearly all: no second allocation */

struct index_keys {
    struct buf text;
    struct slot *items, inlined[KEYS_INLINE];
    unsigned count, cap, index;
};

void index_key(struct index_keys *k, struct str key)
{
    if (key.n > KEY_SIZE_MAX) {
        return; /* no object is as large */
    }
    if (k->count == k->cap) {
        bool first = k->items == k->inlined;
        k->items = xrealloc(first ? NULL : k->items, 2 * k->cap * sizeof *k->items);
        if (first) {
            memcpy(k->items, k->inlined, sizeof k->inlined);
        }
        k->cap *= 2;
    }
    k->items[k->count++] = (struct slot){
        .key_at = (uint32_t)k->text.size, .key_size = (uint32_t)key.n & KEY_SIZE_MAX, .index = k->index & 255u};
    buf_append_str(&k->text, key);
}

static struct str key_text(const struct index_keys *k, const struct slot *s)
{
    return (struct str){(const char *)k->text.data + s->key_at, s->key_size};
}

/* Those of one index in order, each once. Objects have few, but for those that mean harm: no worse than n log n. */
static int key_order(const void *a, const void *b, void *keys)
{
    return str_cmp(key_text(keys, a), key_text(keys, b));
}

static void keys_sort(struct index_keys *k, unsigned from)
{
    assert(from <= k->count && k->count <= k->cap);
    if (k->count - from < 2) {
        return;
    }
    qsort_r(k->items + from, k->count - from, sizeof *k->items, key_order, k);
    unsigned kept = from + 1;
    for (unsigned i = kept; i < k->count; i++) {
        if (key_order(&k->items[kept - 1], &k->items[i], k) != 0) {
            k->items[kept++] = k->items[i];
        }
    }
    assert(kept > from && kept <= k->count);
    k->count = kept;
}

/* rows: those whose bit is set. */
static void keys_open(struct index_keys *k, const struct object *o, uint32_t rows)
{
    k->text = BUF_INIT;
    buf_reserve(&k->text, TEXT_FIRST);
    k->items = k->inlined;
    k->count = 0;
    k->cap = KEYS_INLINE;
    for (k->index = 0; o != NULL && k->index < VIEW_INDEX_COUNT; k->index++) {
        const struct index_row *row = index_rows[k->index];
        unsigned from = k->count;
        if (rows >> k->index & 1 && (row->kind == 0 || row->kind == (unsigned)o->kind->id)) {
            row->keys(o, k);
            keys_sort(k, from);
        }
    }
}

static void keys_close(struct index_keys *k)
{
    buf_close(&k->text);
    if (k->items != k->inlined) {
        free(k->items);
    }
}

static int keys_compare(const struct index_keys *ka, unsigned a, const struct index_keys *kb, unsigned b)
{
    const struct slot *sa = &ka->items[a], *sb = &kb->items[b];
    return sa->index != sb->index ? (sa->index < sb->index ? -1 : 1) : str_cmp(key_text(ka, sa), key_text(kb, sb));
}

/* No index could have a key of it: seen at a glance. */
static bool has_none(const struct object *o)
{
    bool none = true;
    for (unsigned i = 0; none && o != NULL && i < VIEW_INDEX_COUNT; i++) {
        const struct index_row *row = index_rows[i];
        bool meant = row->kind == 0 || row->kind == (unsigned)o->kind->id;
        none = !meant || (row->has_none != NULL && row->has_none(o));
    }
    return none;
}

/* Those of which not all keys are known to be as they were. */
#define ROWS_ALL UINT32_MAX
static_assert(VIEW_INDEX_COUNT <= 32, "a row has no bit");

static uint32_t rows_changed(const struct object *o, const struct object *old)
{
    uint32_t rows = 0;
    for (unsigned i = 0; i < VIEW_INDEX_COUNT; i++) {
        const struct index_row *row = index_rows[i];
        bool meant = row->kind == 0 || row->kind == (unsigned)o->kind->id;
        bool same = meant && old != NULL && row->same != NULL && row->same(o, old);
        rows |= meant && !same ? 1u << i : 0;
    }
    return rows;
}

/* ---- Change ---- */

static struct index_found name_of(const struct object *o)
{
    return (struct index_found){.kind_id = (unsigned)o->kind->id, .ns = o->ns, .name = o->name};
}

/* With one ref, the caller's, until the trees have theirs. */
static struct entry *entry_new(const struct object *o, const struct index_keys *k)
{
    size_t names = o->ns.n + o->name.n, text_size = 0;
    assert(k->count > 0 && o->ns.n <= UINT16_MAX && o->name.n <= UINT16_MAX);
    for (unsigned i = 0; i < k->count; i++) {
        text_size += k->items[i].key_size;
    }
    struct entry *e = xmalloc(sizeof *e + k->count * sizeof e->slots[0] + names + text_size);
    *e = (struct entry){.refs = 1,
                        .slots_count = k->count,
                        .kind_id = (uint16_t)o->kind->id,
                        .ns_size = (uint16_t)o->ns.n,
                        .name_size = (uint16_t)o->name.n};
    char *text = (char *)entry_text(e);
    memcpy(text, o->ns.n > 0 ? o->ns.p : "", o->ns.n);
    memcpy(text + o->ns.n, o->name.p, o->name.n);
    size_t at = names;
    for (unsigned i = 0; i < k->count; i++) {
        struct str key = key_text(k, &k->items[i]);
        e->slots[i] = k->items[i];
        e->slots[i].place = i;
        e->slots[i].key_at = (uint32_t)at;
        memcpy(text + at, key.n > 0 ? key.p : "", key.n);
        at += key.n;
    }
    assert(at == names + text_size);
    return e;
}

/* The keys are in no tree yet. */
static void put_in(struct indexes *x, const struct object *o, const struct index_keys *k)
{
    if (k->count == 0) {
        return;
    }
    struct entry *e = entry_new(o, k);
    for (unsigned i = 0; i < k->count; i++) {
        struct index_found f = found_of(&e->slots[i]);
        assert(e->slots[i].index < VIEW_INDEX_COUNT && entry_of(&e->slots[i]) == e);
        slot_ref(&e->slots[i]);
        void *former = ptree_put(&x->by[e->slots[i].index], &f, &e->slots[i]);
        assert(former == NULL);
        (void)former;
    }
    slot_unref(&e->slots[0]);
}

static void take_out(struct indexes *x, const struct object *o, const struct index_keys *k)
{
    assert(o != NULL || k->count == 0);
    for (unsigned i = 0; i < k->count; i++) {
        struct index_found f = name_of(o);
        f.key = key_text(k, &k->items[i]);
        void *gone = ptree_remove(&x->by[k->items[i].index], &f);
        assert(gone != NULL);
        slot_unref(gone);
    }
}

/* What both have is left in neither. */
static void leave_differences(struct index_keys *a, struct index_keys *b)
{
    unsigned i = 0, n = 0, kept_a = 0, kept_b = 0;
    while (i < a->count || n < b->count) {
        int c = i == a->count ? 1 : n == b->count ? -1 : keys_compare(a, i, b, n);
        if (c < 0) {
            a->items[kept_a++] = a->items[i];
        } else if (c > 0) {
            b->items[kept_b++] = b->items[n];
        }
        i += c <= 0;
        n += c >= 0;
    }
    assert(kept_a <= a->count && kept_b <= b->count && a->count - kept_a == b->count - kept_b);
    a->count = kept_a;
    b->count = kept_b;
}

void indexes_put(struct indexes *x, const struct object *o, const struct object *old)
{
    assert(old == NULL || (old->kind->id == o->kind->id && str_eq(old->name, o->name)));
    if ((has_none(o) && has_none(old)) || (old != NULL && object_same_but_status(o, old))) {
        return;
    }
    struct index_keys keys, former;
    uint32_t rows = rows_changed(o, old);
    keys_open(&keys, o, rows);
    keys_open(&former, old, rows);
    leave_differences(&keys, &former);
    put_in(x, o, &keys);
    take_out(x, old, &former);
    keys_close(&keys);
    keys_close(&former);
}

void indexes_remove(struct indexes *x, const struct object *o)
{
    if (has_none(o)) {
        return;
    }
    struct index_keys keys;
    keys_open(&keys, o, ROWS_ALL);
    take_out(x, o, &keys);
    keys_close(&keys);
}

void indexes_init(struct indexes *x)
{
    for (unsigned i = 0; i < VIEW_INDEX_COUNT; i++) {
        ptree_init(&x->by[i], &slot_ops);
    }
}

void indexes_close(struct indexes *x)
{
    for (unsigned i = 0; i < VIEW_INDEX_COUNT; i++) {
        ptree_close(&x->by[i]);
    }
}

void indexes_fork(const struct indexes *from, struct indexes *to)
{
    for (unsigned i = 0; i < VIEW_INDEX_COUNT; i++) {
        ptree_fork(&from->by[i], &to->by[i]);
    }
}

/* ---- Reading ---- */

void indexes_seek(const struct indexes *x, struct ptree_iter *it, enum view_index index, const struct index_found *from)
{
    assert(index < VIEW_INDEX_COUNT);
    ptree_iter_seek(it, &x->by[index], from);
}

bool indexes_next(struct ptree_iter *it, struct index_found *out)
{
    const struct slot *s = ptree_iter_next(it);
    if (s != NULL) {
        *out = found_of(s);
    }
    return s != NULL;
}

/* ---- Checks ---- */

static int slots_compare(const void *a, const void *b)
{
    struct index_found f = found_of(a);
    return slot_compare(&f, b);
}

void indexes_check(const struct indexes *x)
{
    for (unsigned i = 0; i < VIEW_INDEX_COUNT; i++) {
        ptree_check(&x->by[i], slots_compare);
    }
}

uint64_t indexes_check_object(const struct indexes *x, const struct object *o)
{
    struct index_keys keys;
    keys_open(&keys, o, ROWS_ALL);
    for (unsigned i = 0; i < keys.count; i++) {
        struct index_found f = name_of(o);
        f.key = key_text(&keys, &keys.items[i]);
        assert(ptree_get(&x->by[keys.items[i].index], &f) != NULL);
    }
    uint64_t count = keys.count;
    keys_close(&keys);
    return count;
}

uint64_t indexes_items(const struct indexes *x)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < VIEW_INDEX_COUNT; i++) {
        count += x->by[i].count;
    }
    return count;
}

uint64_t indexes_bytes(const struct indexes *x)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < VIEW_INDEX_COUNT; i++) {
        struct ptree_iter it;
        bytes += ptree_node_bytes(&x->by[i]);
        ptree_iter_first(&it, &x->by[i]);
        for (const struct slot *s; (s = ptree_iter_next(&it)) != NULL;) {
            const struct entry *e = entry_of(s); /* its share */
            uint64_t shared = (uint64_t)(entry_text(e) - (const char *)e) + e->ns_size + e->name_size;
            bytes += s->key_size + shared / e->slots_count;
        }
    }
    return bytes;
}
