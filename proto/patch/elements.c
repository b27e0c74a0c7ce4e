#include "proto/patch/elements.h"

#include <assert.h>
#include <math.h>
#include <xxhash.h>

#include "base/hash.h"
#include "proto/patch/place.h"

/* Each element with a first key stands in two chains, by the hash of its first key and by the hash of both, in the
 * order of positions. Where there is no second key the chains are the same, and kept once. An element that was taken
 * out leaves a chain when it is met there next. */
enum by { BY_FIRST, BY_BOTH };

struct element {
    struct value *value; /* NULL: taken out */
    uint64_t hash[2];
    unsigned next[2];
};

struct chain {
    unsigned head, tail; /* ELEMENTS_NONE: empty */
};

/* ---- Keys ---- */

static const struct value *first_key(const struct field *f, const struct value *e)
{
    return f->type == FIELD_OBJECT ? value_get(e, f->merge_key) : e;
}

static struct str second_key(const struct elements *x, const struct value *e)
{
    const struct value *v = x->f->merge_key2 == NULL ? NULL : value_get(e, x->f->merge_key2);
    return value_is_null(v) ? x->second_default : value_to_str(v);
}

bool element_has_second_key(const struct field *f, const struct value *e)
{
    return f->merge_key2 != NULL && !value_is_null(value_get(e, f->merge_key2));
}

/* In keyed lists an element without the key is like no other; in sets a null is a value. */
static bool has_first_key(const struct field *f, const struct value *e)
{
    return f->type != FIELD_OBJECT || !value_is_null(first_key(f, e));
}

static bool same_by(const struct elements *x, enum by by, const struct value *a, const struct value *b)
{
    return value_equal(first_key(x->f, a), first_key(x->f, b)) &&
           (by == BY_FIRST || str_eq(second_key(x, a), second_key(x, b)));
}

static uint64_t hash_bytes(uint64_t seed, const void *p, size_t size)
{
    return XXH3_64bits_withSeed(size == 0 ? "" : p, size, seed);
}

/* Values that are equal (value_equal) have equal hashes: integers are hashed as the floats that they equal, and the
 * order of a map's members does not count. */
static uint64_t hash_value(uint64_t seed, const struct value *v)
{
    uint64_t h = 0;
    switch (v->type) {
    case VALUE_NULL:
        return seed;
    case VALUE_BOOL:
        return hash_bytes(seed + VALUE_BOOL, &v->boolean, sizeof v->boolean);
    case VALUE_INT:
    case VALUE_FLOAT: {
        double number = v->type == VALUE_INT ? (double)v->integer : v->number;
        number = number == 0 || isnan(number) ? 0 : number; /* of -0 as well */
        return hash_bytes(seed + VALUE_FLOAT, &number, sizeof number);
    }
    case VALUE_STR:
    case VALUE_BIN:
        return hash_bytes(seed, v->str.p, v->str.n);
    case VALUE_LIST:
        for (unsigned i = 0; i < v->list.count; i++) {
            h = hash_value(seed + h, v->list.items[i]);
        }
        return hash_bytes(seed + VALUE_LIST, &h, sizeof h);
    case VALUE_MAP:
        for (unsigned i = 0; i < v->map.count; i++) {
            const struct value_member *m = &v->map.members[i];
            h += hash_value(hash_bytes(seed, m->key.p, m->key.n), m->value);
        }
        return hash_bytes(seed + VALUE_MAP, &h, sizeof h);
    }
    return 0;
}

static uint64_t hash_by(const struct elements *x, enum by by, const struct value *e)
{
    uint64_t h = hash_value(x->seed, first_key(x->f, e));
    struct str second = by == BY_BOTH ? second_key(x, e) : STR_NONE;
    return by == BY_BOTH ? hash_bytes(h, second.p, second.n) : h;
}

/* ---- Chains ---- */

static unsigned kinds_of_chains(const struct elements *x)
{
    return x->f->merge_key2 == NULL ? 1 : 2;
}

static enum by best(const struct elements *x)
{
    return x->f->merge_key2 == NULL ? BY_FIRST : BY_BOTH;
}

static struct chain *chain_of(const struct elements *x, enum by by, uint64_t hash)
{
    return &x->chains[by][hash & x->mask];
}

static void link_in(struct elements *x, enum by by, unsigned position)
{
    struct element *e = &x->all[position];
    struct chain *c = chain_of(x, by, e->hash[by]);
    unsigned before = ELEMENTS_NONE;
    if (c->tail != ELEMENTS_NONE && c->tail < position) {
        before = c->tail;
    } else {
        for (unsigned i = c->head; i != ELEMENTS_NONE && i < position; i = x->all[i].next[by]) {
            before = i;
        }
    }
    unsigned *from = before == ELEMENTS_NONE ? &c->head : &x->all[before].next[by];
    e->next[by] = *from;
    *from = position;
    c->tail = e->next[by] == ELEMENTS_NONE ? position : c->tail;
}

static void unlink_one(struct elements *x, enum by by, struct chain *c, unsigned before, unsigned position)
{
    unsigned next = x->all[position].next[by];
    *(before == ELEMENTS_NONE ? &c->head : &x->all[before].next[by]) = next;
    c->tail = c->tail == position ? before : c->tail;
}

/* A walk along a chain over those that are like `like`; what was taken out is unlinked on the way. */
struct walk {
    enum by by;
    uint64_t hash;
    const struct value *like;
    struct chain *chain; /* NULL: `like` has no first key */
    unsigned before, at;
};

static struct walk walk_along(const struct elements *x, enum by by, const struct value *like)
{
    struct walk w = {.by = by, .like = like, .before = ELEMENTS_NONE, .at = ELEMENTS_NONE};
    if (has_first_key(x->f, like)) {
        w.hash = hash_by(x, by, like);
        w.chain = chain_of(x, by, w.hash);
    }
    return w;
}

static unsigned walk_next(struct elements *x, struct walk *w)
{
    if (w->chain == NULL) {
        return ELEMENTS_NONE;
    }
    w->before = w->at;
    for (;;) {
        unsigned at = w->before == ELEMENTS_NONE ? w->chain->head : x->all[w->before].next[w->by];
        if (at == ELEMENTS_NONE) {
            w->chain = NULL;
            return ELEMENTS_NONE;
        }
        if (x->all[at].value == NULL) {
            unlink_one(x, w->by, w->chain, w->before, at);
        } else if (x->all[at].hash[w->by] == w->hash && same_by(x, w->by, x->all[at].value, w->like)) {
            w->at = at;
            return at;
        } else {
            w->before = at;
        }
    }
}

/* ---- The index ---- */

struct elements elements_of(struct arena *a, const struct field *f, const struct value *list, unsigned more)
{
    unsigned count = value_is_list(list) ? value_count(list) : 0;
    struct elements x = {.f = f, .seed = hash_seed(), .room = count + more};
    const struct field *second = f->merge_key2 == NULL ? NULL : schema_field(f->sub, str_of(f->merge_key2));
    x.second_default = str_of(second == NULL ? NULL : second->fallback);
    while (x.mask < x.room) {
        x.mask = x.mask * 2 + 1;
    }
    x.all = arena_alloc(a, (x.room + 1) * sizeof *x.all);
    for (unsigned by = 0; by < kinds_of_chains(&x); by++) {
        x.chains[by] = arena_alloc(a, (x.mask + 1) * sizeof *x.chains[by]);
    }
    elements_clear(&x);
    for (unsigned i = 0; i < count; i++) {
        elements_append(&x, value_item(list, i));
    }
    return x;
}

void elements_clear(struct elements *x)
{
    x->count = 0;
    for (unsigned by = 0; by < kinds_of_chains(x); by++) {
        for (unsigned i = 0; i <= x->mask; i++) {
            x->chains[by][i] = (struct chain){ELEMENTS_NONE, ELEMENTS_NONE};
        }
    }
}

unsigned elements_find(struct elements *x, const struct value *like)
{
    struct walk w = walk_along(x, best(x), like);
    return walk_next(x, &w);
}

unsigned elements_find_first_key(struct elements *x, const struct value *like)
{
    struct walk w = walk_along(x, BY_FIRST, like);
    return walk_next(x, &w);
}

unsigned elements_target(struct elements *x, const struct value *probe)
{
    unsigned same = elements_find(x, probe);
    if (same != ELEMENTS_NONE || x->f->merge_key2 == NULL) {
        return same;
    }
    struct walk w = walk_along(x, BY_FIRST, probe);
    unsigned found = walk_next(x, &w);
    return !element_has_second_key(x->f, probe) || walk_next(x, &w) == ELEMENTS_NONE ? found : ELEMENTS_NONE;
}

void elements_take(struct arena *a, struct elements *x, const struct value *probe, struct value *out)
{
    struct walk w = walk_along(x, element_has_second_key(x->f, probe) ? BY_BOTH : BY_FIRST, probe);
    for (unsigned at; (at = walk_next(x, &w)) != ELEMENTS_NONE; w.at = w.before) {
        if (out != NULL) {
            value_append(a, out, x->all[at].value);
        }
        x->all[at].value = NULL;
        unlink_one(x, w.by, w.chain, w.before, at);
    }
}

struct value *elements_at(const struct elements *x, unsigned position)
{
    return position < x->count ? x->all[position].value : NULL;
}

void elements_set(struct elements *x, unsigned position, struct value *e)
{
    assert(elements_at(x, position) != NULL && e != NULL);
    struct element *at = &x->all[position];
    bool was_linked = has_first_key(x->f, at->value), is_linked = has_first_key(x->f, e);
    for (unsigned by = 0; by < kinds_of_chains(x); by++) {
        uint64_t hash = is_linked ? hash_by(x, (enum by)by, e) : 0;
        if (was_linked && is_linked && hash == at->hash[by]) {
            continue; /* as always but where the second key is another one */
        }
        if (was_linked) {
            struct chain *c = chain_of(x, (enum by)by, at->hash[by]);
            unsigned before = ELEMENTS_NONE;
            for (unsigned i = c->head; i != position; i = x->all[i].next[by]) {
                before = i;
            }
            unlink_one(x, (enum by)by, c, before, position);
        }
        at->hash[by] = hash;
        if (is_linked) {
            link_in(x, (enum by)by, position);
        }
    }
    at->value = e;
}

void elements_append(struct elements *x, struct value *e)
{
    assert(x->count < x->room);
    struct element *at = &x->all[x->count];
    at->value = e;
    for (unsigned by = 0; by < kinds_of_chains(x) && has_first_key(x->f, e); by++) {
        at->hash[by] = hash_by(x, (enum by)by, e);
        link_in(x, (enum by)by, x->count);
    }
    x->count++;
}

struct value *elements_list(struct arena *a, const struct elements *x)
{
    struct value *list = value_list(a);
    for (unsigned i = 0; i < x->count; i++) {
        if (x->all[i].value != NULL) {
            value_append(a, list, x->all[i].value);
        }
    }
    return list;
}

struct value *elements_weave(struct arena *a, const struct field *f, const struct value *mine,
                             const struct value *others, const struct value *before)
{
    struct value *out = value_list(a);
    struct elements known = elements_of(a, f, before, 0);
    unsigned i = 0, k = 0, mine_at = ELEMENTS_NONE, other_at = ELEMENTS_NONE;
    while (i < value_count(mine) || k < value_count(others)) {
        bool take_other = i == value_count(mine);
        if (!take_other && k < value_count(others)) {
            other_at = elements_find(&known, value_item(others, k));
            mine_at = elements_find(&known, value_item(mine, i));
            take_other = mine_at != ELEMENTS_NONE && other_at < mine_at;
        }
        value_append(a, out, take_other ? value_item(others, k++) : value_item(mine, i++));
    }
    return out;
}

/* ---- Checks ---- */

int elements_check_size(const struct value *list, const struct crumb *at, struct error *err)
{
    return value_count(list) <= PATCH_LIST_MAX ? 0
                                               : patch_error(err, at, "%u elements; lists of at most %u can be merged",
                                                             value_count(list), PATCH_LIST_MAX);
}

int elements_check(const struct field *f, const struct value *list, const struct crumb *at, struct error *err)
{
    if (value_is_null(list)) {
        return 0;
    }
    if (!value_is_list(list)) {
        return patch_error(err, at, "a list is expected, not a %s", value_type_name(list->type));
    }
    int rc = elements_check_size(list, at, err);
    if (rc != 0) {
        return rc;
    }
    for (unsigned i = 0; f->type == FIELD_OBJECT && i < list->list.count; i++) {
        const struct value *e = list->list.items[i];
        struct crumb here = {.up = at, .index = i};
        if (!value_is_map(e)) {
            return patch_error(err, &here, "a map is expected, not a %s", value_type_name(e->type));
        }
        bool directive = value_get(e, "$patch") != NULL;
        if (!directive && value_is_null(value_get(e, f->merge_key))) {
            return patch_error(err, &here, "%s is required: elements are merged by it", f->merge_key);
        }
    }
    return 0;
}
