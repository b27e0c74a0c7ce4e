#include "raft-store/store/sums.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/refs.h"
#include "proto/facts/cidr.h"
#include "proto/facts/node_loss.h"
#include "proto/facts/pod_state.h"
#include "proto/facts/storage.h"

/* ---- What counts ---- */

/* Fills in the group and what the object adds to the fields, at most SUM_ADDS_MAX to each; false: it counts nowhere. */
#define SUM_ADDS_MAX (1ll << 40) /* 8 million times that are within 64 bits */
typedef bool sum_tell_fn(const struct object *o, struct sum *out);

static bool sum_pods_of(const struct object *pod, struct sum *out)
{
    struct pod_state s = pod_state_of(pod);
    struct mp labels = object_labels(pod);
    out->group.of = pod->ns;
    out->group.owner = pod->owner_uid;
    out->group.labels = (struct str){(const char *)labels.p, (size_t)(labels.end - labels.p)};
    out->fields[OWNED_ACTIVE] = s.active;
    out->fields[OWNED_READY] = s.active && s.ready;
    out->fields[OWNED_UNPLACED] = s.active && s.unplaced;
    out->fields[OWNED_UNFINISHED] = !pod_finished(pod);
    return true;
}

static bool sum_pods(const struct object *pod, struct sum *out)
{
    out->fields[PODS_FINISHED] = !pod->deleting && pod_finished(pod);
    return true;
}

static bool node_range(const struct object *node, struct cidr *out)
{
    return cidr_parse(mp_str(mp_get(object_spec(node), "podCIDR")), out);
}

static bool sum_nodes(const struct object *node, struct sum *out)
{
    struct cidr range;
    struct node_loss l = node_loss_of(node);
    out->group.owner = l.zone;
    out->group.labels = l.region;
    out->fields[NODES_READY] = l.ready;
    out->fields[NODES_EVICTED] = l.evicted;
    out->fields[NODES_WAITING] = l.waits;
    out->fields[NODES_RANGES] = node_range(node, &range) ? cidr_mark(range) : 0;
    return true;
}

static bool sum_nodes_all(const struct object *node, struct sum *out)
{
    bool counts = sum_nodes(node, out);
    out->group = (struct sum_group){0};
    return counts;
}

static bool sum_ranges(const struct object *node, struct sum *out)
{
    struct cidr range;
    if (node_range(node, &range)) {
        for (unsigned i = 0; i < sizeof out->made; i++) {
            out->made[i] = (char)(range.first >> (24 - 8 * i) & 0xff);
        }
        out->group.of = SUM_RANGES_TAKEN;
        out->group.owner = (struct str){out->made, sizeof out->made};
        out->group.kind_id = range.bits;
        return true;
    }
    out->group.of = SUM_RANGES_NONE;
    out->group.owner = node->name;
    return !node->deleting && str_empty(mp_str(mp_get(object_spec(node), "podCIDR")));
}

static bool sum_contents(const struct object *o, struct sum *out)
{
    out->group.of = o->ns;
    out->group.kind_id = (unsigned)o->kind->id;
    out->fields[CONTENTS_DELETING] = o->deleting;
    return !str_empty(o->ns);
}

static bool sum_local_volumes(const struct object *volume, struct sum *out)
{
    out->group.of = storage_node(volume);
    out->fields[LOCAL_VOLUMES_KIB] = (storage_bytes(volume) + 1023) / 1024;
    return !str_empty(out->group.of);
}

static const struct {
    unsigned kind;
    sum_tell_fn *tell;
} rows[VIEW_SUM_COUNT] = {
#define SUM_ROW(name, kind, tell) {kind, tell},
    VIEW_SUMS(SUM_ROW)};

/* ---- Items ---- */

struct item {
    uint32_t refs;
    uint32_t of_size, owner_size, labels_size;
    unsigned kind_id;
    int64_t count, fields[SUM_FIELDS];
    char text[]; /* of, owner, labels */
};

static struct sum_group group_of(const struct item *i)
{
    const char *owner = i->text + i->of_size, *labels = owner + i->owner_size;
    return (struct sum_group){.of = {i->text, i->of_size},
                              .owner = {owner, i->owner_size},
                              .kind_id = i->kind_id,
                              .labels = {labels, i->labels_size}};
}

static int group_compare(const struct sum_group *a, const struct sum_group *b)
{
    int c = str_cmp(a->of, b->of);
    c = c != 0 ? c : str_cmp(a->owner, b->owner);
    c = c != 0 ? c : (a->kind_id > b->kind_id) - (a->kind_id < b->kind_id);
    return c != 0 ? c : str_cmp(a->labels, b->labels);
}

static int item_compare(const void *key, const void *item)
{
    struct sum_group g = group_of(item);
    return group_compare(key, &g);
}

static void item_ref(void *item)
{
    refs_take(&((struct item *)item)->refs);
}

static void item_unref(void *item)
{
    if (refs_drop(&((struct item *)item)->refs)) {
        free(item);
    }
}

static const struct ptree_ops ops = {item_compare, item_ref, item_unref};

void sums_init(struct view_sums *s)
{
    for (unsigned i = 0; i < VIEW_SUM_COUNT; i++) {
        ptree_init(&s->by[i], &ops);
    }
}

void sums_close(struct view_sums *s)
{
    for (unsigned i = 0; i < VIEW_SUM_COUNT; i++) {
        ptree_close(&s->by[i]);
    }
}

void sums_fork(const struct view_sums *from, struct view_sums *to)
{
    for (unsigned i = 0; i < VIEW_SUM_COUNT; i++) {
        ptree_fork(&from->by[i], &to->by[i]);
    }
}

/* ---- Change ---- */

static struct item *item_new(const struct sum_group *g)
{
    struct item *i = xcalloc(1, sizeof *i + g->of.n + g->owner.n + g->labels.n);
    i->refs = 1;
    i->kind_id = g->kind_id;
    i->of_size = (uint32_t)g->of.n;
    i->owner_size = (uint32_t)g->owner.n;
    i->labels_size = (uint32_t)g->labels.n;
    memcpy(i->text, g->of.n > 0 ? g->of.p : "", g->of.n);
    memcpy(i->text + g->of.n, g->owner.n > 0 ? g->owner.p : "", g->owner.n);
    memcpy(i->text + g->of.n + g->owner.n, g->labels.n > 0 ? g->labels.p : "", g->labels.n);
    return i;
}

/* A group of nobody is no group. */
static void add(struct ptree *t, const struct sum *what, int64_t sign)
{
    const struct item *former = ptree_get(t, &what->group);
    int64_t count = (former == NULL ? 0 : former->count) + sign;
    assert(count >= 0 && (sign == 1 || sign == -1));
    if (count == 0) {
        assert(memcmp(former->fields, what->fields, sizeof former->fields) == 0); /* nobody has nothing */
        item_unref(ptree_remove(t, &what->group));
        return;
    }
    struct item *i = item_new(&what->group);
    i->count = count;
    for (unsigned f = 0; f < SUM_FIELDS; f++) {
        i->fields[f] = (former == NULL ? 0 : former->fields[f]) + sign * what->fields[f];
        assert(i->fields[f] >= 0 && i->fields[f] <= count * SUM_ADDS_MAX);
    }
    void *replaced = ptree_put(t, &what->group, i);
    if (replaced != NULL) {
        item_unref(replaced);
    }
}

static bool tell(unsigned row, const struct object *o, struct sum *out)
{
    *out = (struct sum){.count = 1};
    return o != NULL && rows[row].tell(o, out);
}

void sums_put(struct view_sums *s, const struct object *o, const struct object *old)
{
    assert(o != NULL || old != NULL);
    unsigned kind = (unsigned)(o != NULL ? o : old)->kind->id;
    assert(o == NULL || old == NULL || (unsigned)old->kind->id == kind);
    for (unsigned i = 0; i < VIEW_SUM_COUNT; i++) {
        struct sum now, before;
        if (rows[i].kind != 0 && rows[i].kind != kind) {
            continue;
        }
        bool counts = tell(i, o, &now), counted = tell(i, old, &before);
        if (counts && counted && memcmp(now.fields, before.fields, sizeof now.fields) == 0 &&
            group_compare(&now.group, &before.group) == 0) {
            continue;
        }
        if (counted) {
            add(&s->by[i], &before, -1);
        }
        if (counts) {
            add(&s->by[i], &now, 1);
        }
    }
}

/* ---- Reading ---- */

static struct sum sum_of(const struct item *i)
{
    struct sum s = {.group = group_of(i), .count = i->count};
    memcpy(s.fields, i->fields, sizeof s.fields);
    return s;
}

static void iter_from(struct sum_iter *it, const struct view_sums *s, enum view_sum which)
{
    const struct sum_group from = {.of = it->of, .owner = it->owner};
    assert(which < VIEW_SUM_COUNT);
    ptree_iter_seek(&it->tree, &s->by[which], &from);
}

void sums_iter(struct sum_iter *it, const struct view_sums *s, enum view_sum which, struct str of)
{
    it->of = of;
    it->owner = STR_NONE;
    it->of_owner = false;
    iter_from(it, s, which);
}

void sums_iter_owner(struct sum_iter *it, const struct view_sums *s, enum view_sum which, struct str of,
                     struct str owner)
{
    it->of = of;
    it->owner = owner;
    it->of_owner = true;
    iter_from(it, s, which);
}

void sums_iter_from(struct sum_iter *it, const struct view_sums *s, enum view_sum which, struct str of,
                    struct str owner)
{
    sums_iter_owner(it, s, which, of, owner);
    it->of_owner = false;
}

bool sums_next(struct sum_iter *it, struct sum *out)
{
    const struct item *i = ptree_iter_next(&it->tree);
    if (i == NULL || !str_eq(group_of(i).of, it->of) || (it->of_owner && !str_eq(group_of(i).owner, it->owner))) {
        it->tree.depth = 0;
        return false;
    }
    *out = sum_of(i);
    assert(out->count > 0);
    return true;
}

static bool trees_equal(const struct ptree *a, const struct ptree *b)
{
    struct ptree_iter ia, ib;
    bool equal = a->count == b->count;
    ptree_iter_first(&ia, a);
    ptree_iter_first(&ib, b);
    for (const struct item *x; equal && (x = ptree_iter_next(&ia)) != NULL;) {
        const struct item *y = ptree_iter_next(&ib);
        struct sum_group gx = group_of(x), gy = group_of(y);
        equal =
            group_compare(&gx, &gy) == 0 && x->count == y->count && memcmp(x->fields, y->fields, sizeof x->fields) == 0;
    }
    return equal;
}

bool sums_equal(const struct view_sums *a, const struct view_sums *b)
{
    bool equal = true;
    for (unsigned i = 0; i < VIEW_SUM_COUNT; i++) {
        equal = equal && trees_equal(&a->by[i], &b->by[i]);
    }
    return equal;
}
