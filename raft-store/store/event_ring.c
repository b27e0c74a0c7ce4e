#include "raft-store/store/event_ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/refs.h"

/* ---- Events by name and by age ---- */

struct name_key {
    struct str ns, name;
};

static int name_compare(const void *key, const void *item)
{
    const struct name_key *k = key;
    const struct object *o = item;
    int c = str_cmp(k->ns, o->ns);
    return c != 0 ? c : str_cmp(k->name, o->name);
}

struct age_key {
    struct str ns, name;
    uint64_t revision;
};

static int age_compare(const void *key, const void *item)
{
    const struct age_key *k = key;
    const struct object *o = item;
    int c = str_cmp(k->ns, o->ns);
    c = c != 0 ? c : (k->revision > o->revision) - (k->revision < o->revision);
    return c != 0 ? c : str_cmp(k->name, o->name);
}

static void event_ref(void *item)
{
    object_ref(item);
}
static void event_unref(void *item)
{
    object_unref(item);
}

static const struct ptree_ops name_ops = {name_compare, event_ref, event_unref};
static const struct ptree_ops age_ops = {age_compare, event_ref, event_unref};

static struct name_key name_of(const struct object *o)
{
    return (struct name_key){o->ns, o->name};
}

static struct age_key age_of(const struct object *o)
{
    return (struct age_key){o->ns, o->name, o->revision};
}

/* ---- Namespaces ---- */

/* An item of spaces and one of by_size: immutable; another amount is another item. */
struct space {
    uint32_t refs, ns_size;
    uint64_t amount; /* bytes; in by_size: steps */
    char ns[];
};

static struct space *space_new(struct str ns, uint64_t amount)
{
    struct space *s = xmalloc(sizeof *s + ns.n);
    *s = (struct space){.refs = 1, .ns_size = (uint32_t)ns.n, .amount = amount};
    memcpy(s->ns, ns.n > 0 ? ns.p : "", ns.n);
    return s;
}

static struct str space_ns(const struct space *s)
{
    return (struct str){s->ns, s->ns_size};
}

static void space_ref(void *item)
{
    refs_take(&((struct space *)item)->refs);
}

static void space_unref(void *item)
{
    if (item != NULL && refs_drop(&((struct space *)item)->refs)) {
        free(item);
    }
}

static int space_compare(const void *key, const void *item)
{
    return str_cmp(*(const struct str *)key, space_ns(item));
}

struct size_key {
    uint64_t steps;
    struct str ns;
};

static int size_compare(const void *key, const void *item)
{
    const struct size_key *k = key;
    const struct space *s = item;
    int c = (k->steps < s->amount) - (k->steps > s->amount);
    return c != 0 ? c : str_cmp(k->ns, space_ns(s));
}

static const struct ptree_ops space_ops = {space_compare, space_ref, space_unref};
static const struct ptree_ops size_ops = {size_compare, space_ref, space_unref};

/* A namespace weighs now instead of was. */
static void weigh(struct event_ring *r, struct str ns, uint64_t was, uint64_t now)
{
    uint64_t was_steps = was / EVENT_STEP_BYTES, now_steps = now / EVENT_STEP_BYTES;
    assert((was > 0 || now > 0) && r->weight >= was);
    if (was > 0 && (now == 0 || was_steps != now_steps)) {
        struct size_key key = {was_steps, ns};
        space_unref(ptree_take(&r->by_size, &key));
    }
    if (now > 0 && (was == 0 || was_steps != now_steps)) {
        struct size_key key = {now_steps, ns};
        space_unref(ptree_put(&r->by_size, &key, space_new(ns, now_steps)));
    }
    space_unref(now == 0 ? ptree_remove(&r->spaces, &ns) : ptree_put(&r->spaces, &ns, space_new(ns, now)));
    r->weight = r->weight - was + now;
    assert(r->spaces.count == r->by_size.count && (r->weight > 0) == (r->spaces.count > 0));
}

/* ---- Life ---- */

void event_ring_init(struct event_ring *r)
{
    *r = (struct event_ring){.weight = 0};
    ptree_init(&r->by_name, &name_ops);
    ptree_init(&r->by_age, &age_ops);
    ptree_init(&r->spaces, &space_ops);
    ptree_init(&r->by_size, &size_ops);
    indexes_init(&r->indexes);
}

void event_ring_close(struct event_ring *r)
{
    ptree_close(&r->by_name);
    ptree_close(&r->by_age);
    ptree_close(&r->spaces);
    ptree_close(&r->by_size);
    indexes_close(&r->indexes);
}

void event_ring_fork(const struct event_ring *from, struct event_ring *to)
{
    to->weight = from->weight;
    to->body_bytes = from->body_bytes;
    ptree_fork(&from->by_name, &to->by_name);
    ptree_fork(&from->by_age, &to->by_age);
    ptree_fork(&from->spaces, &to->spaces);
    ptree_fork(&from->by_size, &to->by_size);
    indexes_fork(&from->indexes, &to->indexes);
}

/* ---- Change ---- */

static bool same_bytes(struct mp a, struct mp b)
{
    size_t n = (size_t)(a.end - a.p);
    return n == (size_t)(b.end - b.p) && (n == 0 || memcmp(a.p, b.p, n) == 0);
}

/* All that its keys in the indexes come from is as it was: so it is for an event that happens again. */
static bool same_keys(const struct object *a, const struct object *b)
{
    return !a->owned_otherwise && !b->owned_otherwise && str_eq(a->owner_uid, b->owner_uid) &&
           same_bytes(mp_get(object_mp(a), "involvedObject"), mp_get(object_mp(b), "involvedObject"));
}

static void leave_age(struct event_ring *r, const struct object *event)
{
    struct age_key key = age_of(event);
    struct object *gone = ptree_take(&r->by_age, &key);
    assert(gone == event);
    object_unref(gone);
}

struct object *event_ring_put(struct event_ring *r, const struct object *event)
{
    assert(event_ring_holds(event->kind));
    struct name_key name = name_of(event);
    struct age_key age = age_of(event);
    struct object *old = ptree_put(&r->by_name, &name, object_ref(event));
    uint64_t was = event_ring_space(r, event->ns), now = was + event_ring_weight(event);
    r->body_bytes += event->body_size;
    if (old != NULL) {
        leave_age(r, old);
        now -= event_ring_weight(old);
        r->body_bytes -= old->body_size;
    }
    void *twice = ptree_put(&r->by_age, &age, object_ref(event));
    assert(twice == NULL);
    (void)twice;
    weigh(r, event->ns, was, now);
    if (old == NULL || !same_keys(event, old)) {
        indexes_put(&r->indexes, event, old);
    }
    assert(r->by_name.count == r->by_age.count && r->body_bytes >= event->body_size);
    return old;
}

struct object *event_ring_remove(struct event_ring *r, struct str ns, struct str name)
{
    struct name_key key = {ns, name};
    struct object *old = ptree_remove(&r->by_name, &key);
    if (old == NULL) {
        return NULL;
    }
    uint64_t was = event_ring_space(r, old->ns);
    assert(was >= event_ring_weight(old) && r->body_bytes >= old->body_size);
    leave_age(r, old);
    weigh(r, old->ns, was, was - event_ring_weight(old));
    r->body_bytes -= old->body_size;
    indexes_remove(&r->indexes, old);
    assert(r->by_name.count == r->by_age.count && (r->by_name.count > 0) == (r->weight > 0));
    return old;
}

/* ---- Reading ---- */

const struct object *event_ring_get(const struct event_ring *r, struct str ns, struct str name)
{
    struct name_key key = {ns, name};
    return ptree_get(&r->by_name, &key);
}

uint64_t event_ring_space(const struct event_ring *r, struct str ns)
{
    const struct space *s = ptree_get(&r->spaces, &ns);
    return s == NULL ? 0 : s->amount;
}

const struct object *event_ring_oldest(const struct event_ring *r, struct str ns)
{
    struct ptree_iter it;
    event_ring_seek_age(r, &it, ns, 0, STR_NONE);
    const struct object *o = ptree_iter_next(&it);
    return o != NULL && str_eq(o->ns, ns) ? o : NULL;
}

bool event_ring_heavy(const struct event_ring *r, struct event_heavy *at)
{
    struct size_key key = {at->any ? at->steps : UINT64_MAX, at->ns};
    struct ptree_iter it;
    ptree_iter_seek(&it, &r->by_size, &key);
    const struct space *s = ptree_iter_next(&it);
    if (s != NULL && at->any && size_compare(&key, s) == 0) {
        s = ptree_iter_next(&it);
    }
    if (s != NULL) {
        *at = (struct event_heavy){true, s->amount, space_ns(s)};
    }
    return s != NULL;
}

void event_ring_seek_name(const struct event_ring *r, struct ptree_iter *it, struct str ns, struct str name)
{
    struct name_key key = {ns, name};
    ptree_iter_seek(it, &r->by_name, &key);
}

void event_ring_seek_age(const struct event_ring *r, struct ptree_iter *it, struct str ns, uint64_t revision,
                         struct str name)
{
    struct age_key key = {ns, name, revision};
    ptree_iter_seek(it, &r->by_age, &key);
}

/* ---- Checks ---- */

static int by_name_compare(const void *a, const void *b)
{
    struct name_key key = name_of(a);
    return name_compare(&key, b);
}

static int by_age_compare(const void *a, const void *b)
{
    struct age_key key = age_of(a);
    return age_compare(&key, b);
}

static int spaces_compare(const void *a, const void *b)
{
    struct str ns = space_ns(a);
    return space_compare(&ns, b);
}

static int by_size_compare(const void *a, const void *b)
{
    struct size_key key = {((const struct space *)a)->amount, space_ns(a)};
    return size_compare(&key, b);
}

static uint64_t check_space(const struct event_ring *r, const struct space *s)
{
    struct ptree_iter it;
    uint64_t weight = 0;
    event_ring_seek_age(r, &it, space_ns(s), 0, STR_NONE);
    for (const struct object *o; (o = ptree_iter_next(&it)) != NULL && str_eq(o->ns, space_ns(s));) {
        weight += event_ring_weight(o);
        assert(event_ring_get(r, o->ns, o->name) == o);
    }
    struct size_key key = {weight / EVENT_STEP_BYTES, space_ns(s)};
    assert(weight > 0 && weight == s->amount && ptree_get(&r->by_size, &key) != NULL);
    (void)key;
    return weight;
}

void event_ring_check(const struct event_ring *r)
{
    ptree_check(&r->by_name, by_name_compare);
    ptree_check(&r->by_age, by_age_compare);
    ptree_check(&r->spaces, spaces_compare);
    ptree_check(&r->by_size, by_size_compare);
    indexes_check(&r->indexes);
    assert(r->by_name.count == r->by_age.count && r->spaces.count == r->by_size.count);
    uint64_t weight = 0, bodies = 0, keys = 0;
    struct ptree_iter it;
    ptree_iter_first(&it, &r->spaces);
    for (const struct space *s; (s = ptree_iter_next(&it)) != NULL;) {
        weight += check_space(r, s);
    }
    ptree_iter_first(&it, &r->by_name);
    for (const struct object *o; (o = ptree_iter_next(&it)) != NULL;) {
        bodies += o->body_size;
        keys += indexes_check_object(&r->indexes, o);
    }
    assert(weight == r->weight && bodies == r->body_bytes && keys == indexes_items(&r->indexes));
    (void)weight;
    (void)bodies;
    (void)keys;
}

uint64_t event_ring_bytes(const struct event_ring *r)
{
    return ptree_node_bytes(&r->by_name) + ptree_node_bytes(&r->by_age) + ptree_node_bytes(&r->spaces) +
           ptree_node_bytes(&r->by_size) + indexes_bytes(&r->indexes);
}
