/* A view is the three trees and the sums over them (counts, bytes, state hash), which every change keeps up to date.
 *
 * The pod index needs spec.nodeName, which stands in the body and not in the object's head: an index item remembers
 * where, so that comparing reads no msgpack. Ownership is in the head, so the owner index holds the objects
 * themselves. */
#include "raft-store/store/view.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"
#include "base/refs.h"
#include "raft-store/store/view_edit.h"

struct view {
    uint32_t refs;
    uint64_t revision, bytes;
    struct view_hash hash;
    struct ptree objects, owned, on_node;
    unsigned counts_end; /* one above the highest kind that there ever was */
    uint32_t *counts;    /* objects, by kind id */
};

#define VIEW_STATE_AT offsetof(struct view, revision)

struct node_item {
    uint32_t refs;
    uint32_t node_at; /* where the name stands in the body; size 0: not bound */
    uint32_t node_size;
    struct object *object;
};

/* ---- Keys ---- */

struct view_key {
    struct str scope; /* owner uid or node; not used by the objects' tree */
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

static int owned_compare(const void *key, const void *item)
{
    const struct view_key *k = key;
    const struct object *o = item;
    int c = str_cmp(k->scope, o->owner_uid);
    return c != 0 ? c : key_compare_object(k, o);
}

static struct str node_item_node(const struct node_item *i)
{
    return (struct str){(const char *)i->object->body + i->node_at, i->node_size};
}

static int on_node_compare(const void *key, const void *item)
{
    const struct view_key *k = key;
    const struct node_item *i = item;
    int c = str_cmp(k->scope, node_item_node(i));
    return c != 0 ? c : key_compare_object(k, i->object);
}

static void object_item_ref(void *item)
{
    object_ref(item);
}
static void object_item_unref(void *item)
{
    object_unref(item);
}
static void node_item_ref(void *item)
{
    refs_take(&((struct node_item *)item)->refs);
}
static void node_item_unref(void *item)
{
    struct node_item *i = item;
    if (refs_drop(&i->refs)) {
        object_unref(i->object);
        free(i);
    }
}

static const struct ptree_ops objects_ops = {objects_compare, object_item_ref, object_item_unref};
static const struct ptree_ops owned_ops = {owned_compare, object_item_ref, object_item_unref};
static const struct ptree_ops on_node_ops = {on_node_compare, node_item_ref, node_item_unref};

static struct view_key key_of(const struct object *o)
{
    return (struct view_key){.kind_id = o->kind->id, .ns = o->ns, .name = o->name};
}

static struct str pod_node(const struct object *o)
{
    return mp_str(mp_path(object_mp(o), "spec.nodeName"));
}

/* ---- Life ---- */

struct view *view_new(void)
{
    struct view *v = xcalloc(1, sizeof *v);
    v->refs = 1;
    ptree_init(&v->objects, &objects_ops);
    ptree_init(&v->owned, &owned_ops);
    ptree_init(&v->on_node, &on_node_ops);
    return v;
}

struct view *view_fork(const struct view *from)
{
    struct view *v = xmalloc(sizeof *v);
    v->refs = 1; /* all but the count is copied: others may move that one meanwhile */
    memcpy((uint8_t *)v + VIEW_STATE_AT, (const uint8_t *)from + VIEW_STATE_AT, sizeof *v - VIEW_STATE_AT);
    v->counts = from->counts_end == 0 ? NULL : xmemdup(from->counts, from->counts_end * sizeof *v->counts);
    ptree_fork(&from->objects, &v->objects);
    ptree_fork(&from->owned, &v->owned);
    ptree_fork(&from->on_node, &v->on_node);
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
    ptree_close(&v->owned);
    ptree_close(&v->on_node);
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

struct view_hash view_state_hash(const struct view *v)
{
    return v->hash;
}

uint64_t view_count(const struct view *v, const struct kind *k)
{
    return k == NULL ? v->objects.count : (unsigned)k->id < v->counts_end ? v->counts[k->id] : 0;
}

const struct kind *view_kind_next(const struct view *v, const struct kind *after)
{
    for (unsigned id = after == NULL ? 1 : (unsigned)after->id + 1; id < v->counts_end; id++) {
        if (v->counts[id] > 0) {
            return kind_stored(id);
        }
    }
    return NULL;
}

uint64_t view_bytes(const struct view *v)
{
    return v->bytes;
}

/* ---- Sums ---- */

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

static void sums_add(struct view *v, const struct object *o)
{
    hash_add(&v->hash, view_object_hash(o));
    v->bytes += o->body_size;
    unsigned id = o->kind->id;
    if (id >= v->counts_end) {
        v->counts = xrealloc(v->counts, (id + 1) * sizeof *v->counts);
        memset(v->counts + v->counts_end, 0, (id + 1 - v->counts_end) * sizeof *v->counts);
        v->counts_end = id + 1;
    }
    v->counts[id]++;
}

static void sums_subtract(struct view *v, const struct object *o)
{
    hash_subtract(&v->hash, view_object_hash(o));
    assert(v->bytes >= o->body_size && v->counts[o->kind->id] > 0);
    v->bytes -= o->body_size;
    v->counts[o->kind->id]--;
}

/* ---- Change ---- */

static void index_put(struct view *v, const struct object *o, const struct object *old)
{
    struct view_key key = key_of(o);
    if (old != NULL && !str_empty(old->owner_uid) && !str_eq(old->owner_uid, o->owner_uid)) {
        key.scope = old->owner_uid;
        object_unref(ptree_remove(&v->owned, &key));
    }
    if (!str_empty(o->owner_uid)) {
        key.scope = o->owner_uid;
        object_unref(ptree_put(&v->owned, &key, object_ref(o)));
    }
    if (o->kind->id != KIND_POD) {
        return;
    }
    struct str node = pod_node(o);
    if (old != NULL) {
        struct str old_node = pod_node(old);
        if (!str_eq(old_node, node)) {
            key.scope = old_node;
            node_item_unref(ptree_remove(&v->on_node, &key));
        }
    }
    struct node_item *item = xmalloc(sizeof *item);
    *item = (struct node_item){.refs = 1,
                               .node_at = str_empty(node) ? 0 : (uint32_t)(node.p - (const char *)o->body),
                               .node_size = (uint32_t)node.n,
                               .object = object_ref(o)};
    key.scope = node;
    struct node_item *old_item = ptree_put(&v->on_node, &key, item);
    if (old_item != NULL) {
        node_item_unref(old_item);
    }
}

static void index_remove(struct view *v, const struct object *o)
{
    struct view_key key = key_of(o);
    if (!str_empty(o->owner_uid)) {
        key.scope = o->owner_uid;
        object_unref(ptree_remove(&v->owned, &key));
    }
    if (o->kind->id == KIND_POD) {
        key.scope = pod_node(o);
        node_item_unref(ptree_remove(&v->on_node, &key));
    }
}

struct object *view_put(struct view *v, const struct object *o)
{
    assert(!view_is_shared(v));
    assert(o->kind->id > 0 && o->kind->id <= KIND_ID_MAX);
    struct view_key key = key_of(o);
    struct object *old = ptree_put(&v->objects, &key, object_ref(o));
    index_put(v, o, old);
    sums_add(v, o);
    if (old != NULL) {
        sums_subtract(v, old);
    }
    return old;
}

struct object *view_remove(struct view *v, const struct kind *k, struct str ns, struct str name)
{
    assert(!view_is_shared(v));
    struct view_key key = {.kind_id = k->id, .ns = k->namespaced ? ns : STR_NONE, .name = name};
    struct object *old = ptree_remove(&v->objects, &key);
    if (old != NULL) {
        index_remove(v, old);
        sums_subtract(v, old);
    }
    return old;
}

/* ---- Reading ---- */

const struct object *view_get(const struct view *v, const struct kind *k, struct str ns, struct str name)
{
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

static bool iter_set_prefix(struct view_iter *it, struct str prefix)
{
    if (prefix.n > sizeof it->prefix) {
        it->tree.depth = 0; /* nothing has such a long name */
        return false;
    }
    if (prefix.n > 0) {
        memcpy(it->prefix, prefix.p, prefix.n);
    }
    it->prefix_size = (uint16_t)prefix.n;
    return true;
}

static void iter_init(struct view_iter *it, const struct view *v)
{
    it->view = v;
    it->until = VIEW_ALL;
    it->kind_id = 0;
    it->prefix_size = 0;
    it->tree.depth = 0;
}

void view_iter_all(struct view_iter *it, const struct view *v)
{
    iter_init(it, v);
    ptree_iter_first(&it->tree, &v->objects);
}

void view_iter(struct view_iter *it, const struct view *v, const struct kind *k, struct str ns)
{
    iter_init(it, v);
    bool all = str_empty(ns) || !k->namespaced;
    it->until = all ? VIEW_KIND : VIEW_KIND_NS;
    it->kind_id = k->id;
    if (iter_set_prefix(it, all ? STR_NONE : ns)) {
        struct view_key key = {.kind_id = k->id, .ns = all ? STR_NONE : ns};
        ptree_iter_seek(&it->tree, &v->objects, &key);
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
    ptree_iter_seek(&it->tree, &v->objects, &key);
    struct ptree_iter peek = it->tree;
    const struct object *o = ptree_iter_next(&peek);
    if (o != NULL && key_compare_object(&key, o) == 0) {
        it->tree = peek; /* behind it, not from it on */
    }
}

void view_iter_owned(struct view_iter *it, const struct view *v, struct str owner_uid, const struct kind *k)
{
    iter_init(it, v);
    it->until = k == NULL ? VIEW_OWNED : VIEW_OWNED_KIND;
    it->kind_id = k == NULL ? 0 : k->id;
    if (!str_empty(owner_uid) && iter_set_prefix(it, owner_uid)) {
        struct view_key key = {.scope = owner_uid, .kind_id = it->kind_id};
        ptree_iter_seek(&it->tree, &v->owned, &key);
    }
}

void view_iter_node_pods(struct view_iter *it, const struct view *v, struct str node)
{
    iter_init(it, v);
    it->until = VIEW_NODE;
    if (iter_set_prefix(it, node)) {
        struct view_key key = {.scope = node};
        ptree_iter_seek(&it->tree, &v->on_node, &key);
    }
}

const struct object *view_next(struct view_iter *it)
{
    const void *item = ptree_iter_next(&it->tree);
    if (item == NULL) {
        return NULL;
    }
    struct str prefix = {it->prefix, it->prefix_size};
    const struct object *o = it->until == VIEW_NODE ? ((const struct node_item *)item)->object : item;
    bool inside = true;
    switch (it->until) {
    case VIEW_ALL:
        break;
    case VIEW_KIND_NS:
        inside = (unsigned)o->kind->id == it->kind_id && str_eq(o->ns, prefix);
        break;
    case VIEW_KIND:
        inside = (unsigned)o->kind->id == it->kind_id;
        break;
    case VIEW_OWNED:
        inside = str_eq(o->owner_uid, prefix);
        break;
    case VIEW_OWNED_KIND:
        inside = str_eq(o->owner_uid, prefix) && (unsigned)o->kind->id == it->kind_id;
        break;
    case VIEW_NODE:
        inside = str_eq(node_item_node(item), prefix);
        break;
    }
    if (!inside) {
        it->tree.depth = 0;
        return NULL;
    }
    return o;
}

/* ---- Checks ---- */

static int node_items_compare(const void *a, const void *b)
{
    const struct node_item *ia = a;
    struct view_key key = key_of(ia->object);
    key.scope = node_item_node(ia);
    return on_node_compare(&key, b);
}

static int owned_items_compare(const void *a, const void *b)
{
    struct view_key key = key_of(a);
    key.scope = ((const struct object *)a)->owner_uid;
    return owned_compare(&key, b);
}

static int objects_items_compare(const void *a, const void *b)
{
    return object_key_cmp(a, b);
}

void view_check(const struct view *v)
{
    ptree_check(&v->objects, objects_items_compare);
    ptree_check(&v->owned, owned_items_compare);
    ptree_check(&v->on_node, node_items_compare);
    struct view_hash hash = {0, 0};
    uint64_t bytes = 0, owned = 0, pods = 0;
    struct view_iter it;
    view_iter_all(&it, v);
    VIEW_FOR(o, &it)
    {
        hash_add(&hash, view_object_hash(o));
        bytes += o->body_size;
        struct view_key key = key_of(o);
        if (!str_empty(o->owner_uid)) {
            key.scope = o->owner_uid;
            assert(ptree_get(&v->owned, &key) == o);
            owned++;
        }
        if (o->kind->id == KIND_POD) {
            key.scope = pod_node(o);
            const struct node_item *item = ptree_get(&v->on_node, &key);
            assert(item != NULL && item->object == o);
            pods++;
        }
    }
    assert(hash.lo == v->hash.lo && hash.hi == v->hash.hi && bytes == v->bytes);
    assert(owned == v->owned.count && pods == v->on_node.count);
    (void)hash;
    (void)bytes;
    (void)owned;
    (void)pods;
}
