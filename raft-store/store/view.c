/* A view is the tree of objects, the ring of events, the trees of its indexes and sums, and totals (counts, bytes,
 * state hash), which every change keeps up to date. */
#include "raft-store/store/view.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"
#include "base/refs.h"
#include "raft-store/store/event_ring.h"
#include "raft-store/store/index_tree.h"
#include "raft-store/store/pack.h"
#include "raft-store/store/view_edit.h"

struct view {
    uint32_t refs;
    uint64_t revision, bytes;
    struct view_hash hash, events_hash; /* of what is in the one and in the other */
    struct ptree objects;
    struct event_ring events;
    struct indexes indexes; /* of objects */
    struct view_sums sums;
    unsigned counts_end; /* one above the highest kind that there ever was */
    uint32_t *counts;    /* objects, by kind id */
};

#define VIEW_STATE_AT offsetof(struct view, revision)

/* ---- Keys ---- */

struct view_key {
    unsigned kind_id;
    struct str ns, name;
};

static int key_compare_object(const struct view_key *key, const struct object *o)
{
    if (key->kind_id != (unsigned)o->kind->id) {
        return key->kind_id < (unsigned)o->kind->id ? -1 : 1;
    }
    int c = str_cmp(key->ns, o->ns);
    return c != 0 ? c : str_cmp(key->name, o->name);
}

static int objects_compare(const void *key, const void *item)
{
    return key_compare_object(key, item);
}

static void object_item_ref(void *item)
{
    object_ref(item);
}
static void object_item_unref(void *item)
{
    object_unref(item);
}
static const struct ptree_ops objects_ops = {objects_compare, object_item_ref, object_item_unref};

static struct view_key key_of(const struct object *o)
{
    return (struct view_key){.kind_id = o->kind->id, .ns = o->ns, .name = o->name};
}

/* ---- Life ---- */

struct view *view_new(void)
{
    struct view *v = xcalloc(1, sizeof *v);
    v->refs = 1;
    ptree_init(&v->objects, &objects_ops);
    event_ring_init(&v->events);
    indexes_init(&v->indexes);
    sums_init(&v->sums);
    return v;
}

struct view *view_fork(const struct view *from)
{
    struct view *v = xmalloc(sizeof *v);
    v->refs = 1; /* all but the count is copied: others may move that one meanwhile */
    assert(from->objects.count + from->events.by_name.count == 0 || from->counts != NULL);
    memcpy((uint8_t *)v + VIEW_STATE_AT, (const uint8_t *)from + VIEW_STATE_AT, sizeof *v - VIEW_STATE_AT);
    v->counts = from->counts_end == 0 ? NULL : xmemdup(from->counts, from->counts_end * sizeof *v->counts);
    ptree_fork(&from->objects, &v->objects);
    event_ring_fork(&from->events, &v->events);
    indexes_fork(&from->indexes, &v->indexes);
    sums_fork(&from->sums, &v->sums);
    assert(v->revision == from->revision && v->objects.count == from->objects.count);
    return v;
}

struct view *view_ref(const struct view *v)
{
    struct view *mine = (struct view *)v; /* the count is ours to change; the state is not */
    refs_take(&mine->refs);
    return mine;
}

void view_unref(struct view *v)
{
    if (v == NULL || !refs_drop(&v->refs)) {
        return;
    }
    ptree_close(&v->objects);
    event_ring_close(&v->events);
    indexes_close(&v->indexes);
    sums_close(&v->sums);
    free(v->counts);
    free(v);
}

bool view_is_shared(const struct view *v)
{
    return !refs_is_only(&v->refs);
}

uint64_t view_revision(const struct view *v)
{
    return v->revision;
}

void view_set_revision(struct view *v, uint64_t revision)
{
    assert(!view_is_shared(v));
    v->revision = revision;
}

uint64_t view_count(const struct view *v, const struct kind *k)
{
    return k == NULL                         ? v->objects.count + v->events.by_name.count
           : (unsigned)k->id < v->counts_end ? v->counts[k->id]
                                             : 0;
}

const struct kind *view_kind_next(const struct view *v, const struct kind *after)
{
    for (unsigned id = after == NULL ? 1 : (unsigned)after->id + 1; id < v->counts_end; id++) {
        if (v->counts[id] > 0) {
            assert(id <= KIND_ID_MAX);
            return kind_stored(id);
        }
    }
    return NULL;
}

uint64_t view_bytes(const struct view *v)
{
    return v->bytes;
}

uint64_t view_events_bytes(const struct view *v)
{
    return v->events.body_bytes;
}

const struct event_ring *view_events(const struct view *v)
{
    return &v->events;
}

/* ---- Totals ---- */

static void hash_add(struct view_hash *sum, struct view_hash h)
{
    unsigned __int128 s = ((unsigned __int128)sum->hi << 64 | sum->lo) + ((unsigned __int128)h.hi << 64 | h.lo);
    *sum = (struct view_hash){(uint64_t)s, (uint64_t)(s >> 64)};
}

static void hash_subtract(struct view_hash *sum, struct view_hash h)
{
    unsigned __int128 s = ((unsigned __int128)sum->hi << 64 | sum->lo) - ((unsigned __int128)h.hi << 64 | h.lo);
    *sum = (struct view_hash){(uint64_t)s, (uint64_t)(s >> 64)};
}

struct view_hash view_state_hash(const struct view *v)
{
    struct view_hash sum = v->hash;
    hash_add(&sum, v->events_hash);
    return sum;
}

struct view_hash view_events_hash(const struct view *v)
{
    return v->events_hash;
}

static struct view_hash *hash_of(struct view *v, const struct kind *k)
{
    return event_ring_holds(k) ? &v->events_hash : &v->hash;
}

struct view_hash view_object_hash(const struct object *o)
{
    /* The body holds kind, namespace and name, so its hash stands for the key as well; the sizes keep key parts
     * apart all the same. */
    uint8_t buf[24 + 2 * 256];
    uint64_t head[3] = {o->revision, o->hash, (uint64_t)o->kind->id << 32 | o->ns.n};
    size_t n = sizeof head;
    memcpy(buf, head, sizeof head);
    size_t ns_size = MIN(o->ns.n, 256), name_size = MIN(o->name.n, 256);
    if (ns_size > 0) {
        memcpy(buf + n, o->ns.p, ns_size);
    }
    memcpy(buf + n + ns_size, o->name.p, name_size);
    XXH128_hash_t h = XXH3_128bits(buf, n + ns_size + name_size);
    return (struct view_hash){h.low64, h.high64};
}

static void totals_add(struct view *v, const struct object *o)
{
    hash_add(hash_of(v, o->kind), view_object_hash(o));
    v->bytes += o->body_size;
    unsigned id = o->kind->id;
    if (id >= v->counts_end) {
        v->counts = xrealloc(v->counts, (id + 1) * sizeof *v->counts);
        memset(v->counts + v->counts_end, 0, (id + 1 - v->counts_end) * sizeof *v->counts);
        v->counts_end = id + 1;
    }
    v->counts[id]++;
    assert(v->bytes >= o->body_size && id < v->counts_end);
}

static void totals_subtract(struct view *v, const struct object *o)
{
    hash_subtract(hash_of(v, o->kind), view_object_hash(o));
    assert(v->bytes >= o->body_size && v->counts[o->kind->id] > 0);
    v->bytes -= o->body_size;
    v->counts[o->kind->id]--;
}

/* ---- Change ---- */

struct object *view_put(struct view *v, const struct object *o)
{
    assert(!view_is_shared(v));
    assert(o->kind->id > 0 && o->kind->id <= KIND_ID_MAX);
    struct object *old = NULL;
    if (event_ring_holds(o->kind)) {
        old = event_ring_put(&v->events, o);
    } else {
        struct view_key key = key_of(o);
        old = ptree_put(&v->objects, &key, object_ref(o));
        assert(old == NULL || (str_eq(old->name, o->name) && str_eq(old->ns, o->ns)));
        indexes_put(&v->indexes, o, old);
        if (old != NULL) {
            pack_replaced(old, (struct object *)o);
        }
    }
    sums_put(&v->sums, o, old);
    totals_add(v, o);
    if (old != NULL) {
        totals_subtract(v, old);
    }
    assert(v->counts[o->kind->id] > 0 && v->bytes >= o->body_size);
    return old;
}

struct object *view_remove(struct view *v, const struct kind *k, struct str ns, struct str name)
{
    assert(!view_is_shared(v));
    struct object *old = NULL;
    if (event_ring_holds(k)) {
        old = event_ring_remove(&v->events, ns, name);
    } else {
        struct view_key key = {.kind_id = k->id, .ns = k->namespaced ? ns : STR_NONE, .name = name};
        old = ptree_remove(&v->objects, &key);
        if (old != NULL) {
            indexes_remove(&v->indexes, old);
        }
    }
    if (old != NULL) {
        assert(old->kind->id == k->id && str_eq(old->name, name));
        sums_put(&v->sums, NULL, old);
        totals_subtract(v, old);
    }
    return old;
}

void view_exchange(struct view *v, const struct object *o)
{
    struct view_key key = key_of(o);
    assert(!view_is_shared(v) && !event_ring_holds(o->kind));
    struct object *old = ptree_put(&v->objects, &key, object_ref(o));
    assert(old != NULL && old->revision == o->revision && old->hash == o->hash && old->body_size == o->body_size);
    object_unref(old);
}

/* ---- Reading ---- */

const struct object *view_get(const struct view *v, const struct kind *k, struct str ns, struct str name)
{
    if (event_ring_holds(k)) {
        return event_ring_get(&v->events, ns, name);
    }
    struct view_key key = {.kind_id = k->id, .ns = k->namespaced ? ns : STR_NONE, .name = name};
    return ptree_get(&v->objects, &key);
}

struct str view_kind_name(const struct view *v, const struct kind *k)
{
    struct view_iter it;
    view_iter(&it, v, k, STR_NONE);
    const struct object *first = kind_is_unknown(k) ? view_next(&it) : NULL;
    return first == NULL ? str_of(k->name) : object_kind_name(first);
}

const struct kind *view_kind_named(const struct view *v, struct str name)
{
    const struct kind *known = kind_by_name(name);
    for (const struct kind *k = NULL; known == NULL && (k = view_kind_next(v, k)) != NULL;) {
        if (kind_is_unknown(k) && str_eq(view_kind_name(v, k), name)) {
            return k;
        }
    }
    return known;
}

static void iter_init(struct view_iter *it, const struct view *v)
{
    it->view = v;
    it->until = VIEW_ALL;
    it->kind_id = 0;
    it->controller = it->events = false;
    it->scope_size = it->ns_size = 0;
    it->tree.depth = 0;
}

/* False: nothing has such long keys. */
static bool iter_set_scope(struct view_iter *it, struct str scope, struct str ns)
{
    if (scope.n + ns.n > sizeof it->scope) {
        return false;
    }
    memcpy(it->scope, scope.n > 0 ? scope.p : "", scope.n);
    memcpy(it->scope + scope.n, ns.n > 0 ? ns.p : "", ns.n);
    it->scope_size = (uint16_t)scope.n;
    it->ns_size = (uint16_t)ns.n;
    return true;
}

/* From (ns, name) of a kind on. */
static void iter_seek(struct view_iter *it, const struct kind *k, struct str ns, struct str name)
{
    it->events = event_ring_holds(k);
    if (it->events) {
        event_ring_seek_name(&it->view->events, &it->tree, ns, name);
    } else {
        struct view_key key = {.kind_id = k->id, .ns = ns, .name = name};
        ptree_iter_seek(&it->tree, &it->view->objects, &key);
    }
}

static const struct indexes *iter_indexes(const struct view_iter *it)
{
    return it->events ? &it->view->events.indexes : &it->view->indexes;
}

static struct str iter_ns(const struct view_iter *it)
{
    return (struct str){it->scope + it->scope_size, it->ns_size};
}

void view_iter_all(struct view_iter *it, const struct view *v)
{
    iter_init(it, v);
    ptree_iter_first(&it->tree, &v->objects);
}

void view_iter_events(struct view_iter *it, const struct view *v, struct str ns, uint64_t revision, struct str name)
{
    iter_init(it, v);
    it->events = true;
    event_ring_seek_age(&v->events, &it->tree, ns, revision, name);
    struct ptree_iter peek = it->tree;
    const struct object *o = ptree_iter_next(&peek);
    if (o != NULL && o->revision == revision && str_eq(o->ns, ns) && str_eq(o->name, name)) {
        it->tree = peek; /* behind it, not from it on */
    }
}

void view_iter(struct view_iter *it, const struct view *v, const struct kind *k, struct str ns)
{
    iter_init(it, v);
    bool all = str_empty(ns) || !k->namespaced;
    it->until = all ? VIEW_KIND : VIEW_KIND_NS;
    it->kind_id = k->id;
    if (iter_set_scope(it, STR_NONE, all ? STR_NONE : ns)) {
        iter_seek(it, k, all ? STR_NONE : ns, STR_NONE);
    }
}

void view_iter_after(struct view_iter *it, const struct view *v, const struct kind *k, struct str ns_filter,
                     struct str after_ns, struct str after_name)
{
    view_iter(it, v, k, ns_filter);
    struct view_key key = {.kind_id = k->id, .ns = k->namespaced ? after_ns : STR_NONE, .name = after_name};
    if (it->until == VIEW_KIND_NS && str_cmp(key.ns, ns_filter) < 0) {
        return; /* stands before all that is asked for */
    }
    iter_seek(it, k, key.ns, key.name);
    struct ptree_iter peek = it->tree;
    const struct object *o = ptree_iter_next(&peek);
    if (o != NULL && key_compare_object(&key, o) == 0) {
        it->tree = peek; /* behind it, not from it on */
    }
}

void view_iter_index(struct view_iter *it, const struct view *v, enum view_index index, struct str key,
                     const struct kind *k, struct str ns)
{
    iter_init(it, v);
    it->until = VIEW_INDEXED;
    it->index = index;
    it->kind_id = k == NULL ? 0 : (unsigned)k->id;
    it->events = k != NULL && event_ring_holds(k);
    assert(str_empty(ns) || k != NULL);
    if (iter_set_scope(it, key, k != NULL && k->namespaced ? ns : STR_NONE)) {
        const struct index_found from = {.kind_id = it->kind_id, .key = key, .ns = iter_ns(it)};
        indexes_seek(iter_indexes(it), &it->tree, index, &from);
    }
}

void view_iter_index_after(struct view_iter *it, const struct view *v, enum view_index index, struct str key,
                           const struct kind *k, struct str ns, struct str after_ns, struct str after_name)
{
    view_iter_index(it, v, index, key, k, ns);
    const struct index_found from = {
        .kind_id = it->kind_id, .key = key, .ns = k->namespaced ? after_ns : STR_NONE, .name = after_name};
    if (it->tree.depth == 0 || str_cmp(from.ns, iter_ns(it)) < 0) {
        return; /* stands before all that is asked for */
    }
    indexes_seek(iter_indexes(it), &it->tree, index, &from);
    struct ptree_iter peek = it->tree;
    struct index_found f;
    if (indexes_next(&peek, &f) && str_eq(f.key, key) && f.kind_id == it->kind_id && str_eq(f.ns, from.ns) &&
        str_eq(f.name, after_name)) {
        it->tree = peek; /* behind it, not from it on */
    }
}

void view_iter_owned(struct view_iter *it, const struct view *v, struct str owner_uid, const struct kind *k)
{
    view_iter_index(it, v, VIEW_BY_OWNER, owner_uid, k, STR_NONE);
    it->controller = true;
    if (str_empty(owner_uid)) {
        it->tree.depth = 0;
    }
}

void view_iter_node_pods(struct view_iter *it, const struct view *v, struct str node)
{
    view_iter_index(it, v, VIEW_BY_NODE, node, kind_by_id(KIND_POD), STR_NONE);
}

void view_iter_referring(struct view_iter *it, const struct view *v, const struct object *o, const struct kind *k)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    index_reference_key(&key, o->kind, o->ns, o->name);
    view_iter_index(it, v, VIEW_BY_REFERENCE, buf_str(&key), k, STR_NONE);
}

static const struct object *iter_end(struct view_iter *it)
{
    it->tree.depth = 0;
    return NULL;
}

/* Where there are events behind the objects that it went through, it goes on with these. */
static bool iter_to_events(struct view_iter *it)
{
    if (it->events || it->kind_id != 0) {
        return false;
    }
    it->events = true;
    if (it->until == VIEW_INDEXED) {
        const struct index_found from = {.key = {it->scope, it->scope_size}};
        indexes_seek(&it->view->events.indexes, &it->tree, it->index, &from);
    } else {
        ptree_iter_first(&it->tree, &it->view->events.by_name);
    }
    return true;
}

static const struct object *found_object(const struct view_iter *it, const struct index_found *f)
{
    if (it->events) {
        return event_ring_get(&it->view->events, f->ns, f->name);
    }
    const struct view_key key = {.kind_id = f->kind_id, .ns = f->ns, .name = f->name};
    return ptree_get(&it->view->objects, &key);
}

static const struct object *index_next(struct view_iter *it)
{
    struct index_found f;
    while (indexes_next(&it->tree, &f)) {
        if (!str_eq(f.key, (struct str){it->scope, it->scope_size}) || (it->kind_id != 0 && f.kind_id != it->kind_id) ||
            (it->ns_size > 0 && !str_eq(f.ns, iter_ns(it)))) {
            break;
        }
        const struct object *o = found_object(it, &f);
        assert(o != NULL);
        if (!it->controller || str_eq(o->owner_uid, f.key)) {
            return o;
        }
    }
    return iter_to_events(it) ? index_next(it) : iter_end(it);
}

const struct object *view_next(struct view_iter *it)
{
    if (it->until == VIEW_INDEXED) {
        return index_next(it);
    }
    const struct object *o = ptree_iter_next(&it->tree);
    if (o == NULL && it->until == VIEW_ALL && iter_to_events(it)) {
        o = ptree_iter_next(&it->tree);
    }
    bool inside = o != NULL && (it->until == VIEW_ALL || ((unsigned)o->kind->id == it->kind_id &&
                                                          (it->until == VIEW_KIND || str_eq(o->ns, iter_ns(it)))));
    return inside ? o : iter_end(it);
}

#define CHOICES_MAX   4u
#define CHOICE_VISITS 64u

static unsigned index_size(const struct view *v, enum view_index index, struct str key, const struct kind *k,
                           struct str ns)
{
    struct view_iter it;
    struct index_found f;
    unsigned count = 0;
    view_iter_index(&it, v, index, key, k, ns);
    while (count < CHOICE_VISITS && indexes_next(&it.tree, &f) && str_eq(f.key, key) && f.kind_id == it.kind_id &&
           (it.ns_size == 0 || str_eq(f.ns, iter_ns(&it)))) {
        count++;
    }
    return count;
}

bool view_choose_index(const struct view *v, const struct kind *k, struct str ns, const struct selector *labels,
                       const struct selector *fields, enum view_index *index, struct buf *key)
{
    CLEANUP_BUF struct buf asked = BUF_INIT;
    unsigned least = UINT32_MAX;
    for (unsigned i = 0; i < VIEW_INDEX_COUNT; i++) {
        const struct index_row *row = index_rows[i];
        for (unsigned nth = 0; row->asks != NULL && row->kind == (unsigned)k->id && nth < CHOICES_MAX; nth++) {
            buf_reset(&asked);
            if (!row->asks(ns, labels, fields, nth, &asked)) {
                break;
            }
            unsigned count = index_size(v, i, buf_str(&asked), k, ns);
            if (count < least) {
                least = count;
                *index = i;
                buf_reset(key);
                buf_append_str(key, buf_str(&asked));
            }
        }
    }
    return least != UINT32_MAX;
}

/* ---- Sums ---- */

void view_sum_iter(struct sum_iter *it, const struct view *v, enum view_sum which, struct str of)
{
    sums_iter(it, &v->sums, which, of);
}

void view_sum_iter_owner(struct sum_iter *it, const struct view *v, enum view_sum which, struct str of,
                         struct str owner)
{
    sums_iter_owner(it, &v->sums, which, of, owner);
}

void view_sum_iter_from(struct sum_iter *it, const struct view *v, enum view_sum which, struct str of, struct str owner)
{
    sums_iter_from(it, &v->sums, which, of, owner);
}

static void add_up(struct sum_iter *it, const struct kind *k, struct sum *total)
{
    struct sum part;
    while (sums_next(it, &part)) {
        if (k == NULL || part.group.kind_id == (unsigned)k->id) {
            total->count += part.count;
            for (unsigned i = 0; i < SUM_FIELDS; i++) {
                total->fields[i] += part.fields[i];
            }
        }
    }
}

struct sum view_sum(const struct view *v, enum view_sum which, struct str of, const struct kind *k)
{
    struct sum total = {.group = {.of = of}};
    struct sum_iter it;
    view_sum_iter(&it, v, which, of);
    add_up(&it, k, &total);
    return total;
}

struct sum view_sum_owned(const struct view *v, const struct object *owner)
{
    struct sum total = {.group = {.of = owner->ns, .owner = owner->uid}};
    struct sum_iter it;
    view_sum_iter_owner(&it, v, VIEW_SUM_PODS_OF, owner->ns, owner->uid);
    add_up(&it, NULL, &total);
    return total;
}

/* ---- Checks ---- */

static int objects_items_compare(const void *a, const void *b)
{
    return object_key_cmp(a, b);
}

uint64_t view_index_bytes(const struct view *v)
{
    return indexes_bytes(&v->indexes) + event_ring_bytes(&v->events);
}

bool view_sums_hold(const struct view *v)
{
    struct view_sums counted;
    struct view_iter it;
    sums_init(&counted);
    view_iter_all(&it, v);
    VIEW_FOR(o, &it)
    {
        sums_put(&counted, o, NULL);
    }
    bool hold = sums_equal(&counted, &v->sums);
    sums_close(&counted);
    return hold;
}

void view_check(const struct view *v)
{
    ptree_check(&v->objects, objects_items_compare);
    event_ring_check(&v->events);
    indexes_check(&v->indexes);
    struct view_hash hashes[2] = {{0, 0}, {0, 0}};
    uint64_t bytes = 0, keys = 0;
    struct view_iter it;
    view_iter_all(&it, v);
    VIEW_FOR(o, &it)
    {
        bool event = event_ring_holds(o->kind);
        hash_add(&hashes[event], view_object_hash(o));
        bytes += o->body_size;
        keys += event ? 0 : indexes_check_object(&v->indexes, o);
    }
    assert(hashes[0].lo == v->hash.lo && hashes[0].hi == v->hash.hi && bytes == v->bytes);
    assert(hashes[1].lo == v->events_hash.lo && hashes[1].hi == v->events_hash.hi);
    assert(keys == indexes_items(&v->indexes) && view_sums_hold(v));
    (void)hashes;
    (void)bytes;
    (void)keys;
}
