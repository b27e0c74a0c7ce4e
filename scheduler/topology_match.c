/* Who is meant: matchers against classes. Both are in indexes, by a label with its value, by owner or by namespace, so
 * that a new one is compared with few others. */
#include <assert.h>
#include <stdlib.h>

#include "proto/schema/selector.h"
#include "scheduler/core.h"
#include "scheduler/topology.h"

struct topo_bucket {
    struct list seats;
};

bool topo_label_is_individual(struct str key)
{
    static const char *const names[] = {"statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
                                        "batch.kubernetes.io/job-completion-index"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_is(key, names[i])) {
            return true;
        }
    }
    return false;
}

/* ---- Indexes ---- */

/* A key of an index: what it is of, a namespace ("" = any) and up to two texts. */
static void key_write(struct buf *b, char sort, struct str ns, struct str key, struct str value)
{
    buf_reset(b);
    buf_putc(b, sort);
    buf_append(b, ns.n > 0 ? ns.p : "", ns.n);
    buf_putc(b, '\0');
    buf_append(b, key.n > 0 ? key.p : "", key.n);
    buf_putc(b, '\0');
    buf_append(b, value.n > 0 ? value.p : "", value.n);
}

static struct topo_seat *seat_take(struct strmap *index, struct str key, void *who)
{
    struct topo_bucket *bucket = strmap_get(index, key);
    if (bucket == NULL) {
        bucket = xcalloc(1, sizeof *bucket);
        list_init(&bucket->seats);
        strmap_set(index, key, bucket);
    }
    struct topo_seat *seat = xcalloc(1, sizeof *seat + key.n);
    seat->bucket = bucket;
    seat->who = who;
    seat->key_size = (unsigned)key.n;
    memcpy(seat->key, key.p, key.n);
    list_push_back(&bucket->seats, &seat->link);
    return seat;
}

static void seat_leave(struct strmap *index, struct topo_seat *seat)
{
    list_remove(&seat->link);
    if (list_empty(&seat->bucket->seats)) {
        strmap_remove(index, (struct str){seat->key, seat->key_size});
        free(seat->bucket);
    }
    free(seat);
}

/* ---- Does it mean them? ---- */

static bool atom_takes_namespace(const struct topo_atom *a, const struct topo_namespace *ns)
{
    struct str name = {ns->name, ns->name_size};
    for (unsigned i = 0; i < a->namespaces_count; i++) {
        if (str_eq(a->namespaces[i], name)) {
            return true;
        }
    }
    return a->namespace_selector != NULL &&
           selector_matches(a->namespace_selector, ns->obj == NULL ? mp_of(NULL, 0) : object_labels(ns->obj));
}

bool places_means(const struct topo_matcher *m, const struct sched_class *c)
{
    if (m->atoms_count == 0) {
        return str_eq(m->owner, c->sample->owner_uid);
    }
    for (unsigned i = 0; i < m->atoms_count; i++) {
        const struct topo_atom *a = &m->atoms[i];
        if (a->selector == NULL || !selector_matches_object(a->selector, c->sample) ||
            !atom_takes_namespace(a, c->places->ns)) {
            return false;
        }
    }
    return true;
}

void places_touch(struct scheduler *s, struct sched_class *c)
{
    c->places->stale = true;
    c->places->touched = ++s->places.changes;
    table_drop(s, c);
}

/* ---- Matches ---- */

static bool changes_what_it_reads(const struct topo_matcher *m)
{
    LIST_FOR(at, &m->counters)
    {
        const struct topo_counter *k = LIST_ENTRY(at, struct topo_counter, link);
        if (k->what == TOPO_KEEPING_AWAY || k->what == TOPO_LIKING) {
            return true;
        }
    }
    return false;
}

static void match_make(struct scheduler *s, struct topo_matcher *m, struct sched_class *c)
{
    struct topo_match *match = xcalloc(1, sizeof *match);
    match->matcher = m;
    match->class = c;
    list_push_back(&m->matches, &match->in_matcher);
    list_push_back(&c->places->matches, &match->in_class);
    if (changes_what_it_reads(m)) {
        places_touch(s, c);
    }
}

static void match_drop(struct scheduler *s, struct topo_match *match)
{
    if (changes_what_it_reads(match->matcher)) {
        places_touch(s, match->class);
    }
    list_remove(&match->in_matcher);
    list_remove(&match->in_class);
    free(match);
}

static void matchers_of_bucket(struct scheduler *s, struct sched_class *c, struct str key)
{
    const struct topo_bucket *bucket = strmap_get(&s->places.matchers_by, key);
    if (bucket == NULL) {
        return;
    }
    LIST_FOR(at, &bucket->seats)
    {
        struct topo_matcher *m = LIST_ENTRY(at, struct topo_seat, link)->who;
        if (places_means(m, c)) {
            match_make(s, m, c);
        }
    }
}

static void classes_of_bucket(struct scheduler *s, struct topo_matcher *m, struct str key)
{
    const struct topo_bucket *bucket = strmap_get(&s->places.classes_by, key);
    if (bucket == NULL) {
        return;
    }
    LIST_FOR(at, &bucket->seats)
    {
        struct sched_class *c = LIST_ENTRY(at, struct topo_seat, link)->who;
        if (places_means(m, c)) {
            match_make(s, m, c);
        }
    }
}

/* ---- Namespaces ---- */

static struct topo_namespace *namespace_get(struct scheduler *s, struct str name)
{
    struct topo_namespace *ns = strmap_get(&s->places.namespaces, name);
    if (ns == NULL) {
        ns = xcalloc(1, sizeof *ns);
        ns->name = xstrndup(name.p, name.n);
        ns->name_size = name.n;
        strmap_set(&s->places.namespaces, name, ns);
    }
    return ns;
}

static void namespace_drop_if_unused(struct scheduler *s, struct topo_namespace *ns)
{
    if (ns->classes == 0 && ns->obj == NULL) {
        strmap_remove(&s->places.namespaces, (struct str){ns->name, ns->name_size});
        free(ns->name);
        free(ns);
    }
}

/* ---- Classes ---- */

/* Every key under which a matcher that means the class may stand, and under which the class stands itself. */
static void class_walk_keys(struct scheduler *s, struct sched_class *c,
                            void (*each)(struct scheduler *s, struct sched_class *c, struct str key), bool any)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct str ns = c->sample->ns;
    any = any && !str_empty(ns);
    if (!str_empty(c->sample->owner_uid)) {
        key_write(&key, 'o', STR_NONE, c->sample->owner_uid, STR_NONE);
        each(s, c, buf_str(&key));
    }
    for (struct mp_iter it = mp_iter(object_labels(c->sample)); mp_next(&it);) {
        key_write(&key, 'p', ns, it.key, mp_str(it.value));
        each(s, c, buf_str(&key));
        if (any) {
            key_write(&key, 'p', STR_NONE, it.key, mp_str(it.value));
            each(s, c, buf_str(&key));
        }
    }
    key_write(&key, 'l', ns, STR_NONE, STR_NONE);
    each(s, c, buf_str(&key));
    if (any) {
        key_write(&key, 'l', STR_NONE, STR_NONE, STR_NONE);
        each(s, c, buf_str(&key));
    }
}

static void class_sit(struct scheduler *s, struct sched_class *c, struct str key)
{
    struct class_places *p = c->places;
    p->seats = xrealloc(p->seats, (p->seats_count + 1) * sizeof(struct topo_seat *));
    p->seats[p->seats_count++] = seat_take(&s->places.classes_by, key, c);
}

void places_class_enter(struct scheduler *s, struct sched_class *c)
{
    c->places->ns = namespace_get(s, c->sample->ns);
    c->places->ns->classes++;
    class_walk_keys(s, c, class_sit, false);
    class_walk_keys(s, c, matchers_of_bucket, true);
}

void places_class_leave(struct scheduler *s, struct sched_class *c)
{
    struct class_places *p = c->places;
    LIST_FOR_SAFE(at, &p->matches)
    {
        match_drop(s, LIST_ENTRY(at, struct topo_match, in_class));
    }
    for (unsigned i = 0; i < p->seats_count; i++) {
        seat_leave(&s->places.classes_by, p->seats[i]);
    }
    free(p->seats);
    p->ns->classes--;
    namespace_drop_if_unused(s, p->ns);
}

/* ---- Matchers ---- */

struct topo_matcher *places_matcher_get(struct scheduler *s, struct str id, bool *fresh)
{
    struct topo_matcher *m = strmap_get(&s->places.matchers, id);
    *fresh = m == NULL;
    if (m == NULL) {
        m = xcalloc(1, sizeof *m);
        m->id = xmemdup(id.p, id.n);
        m->id_size = id.n;
        arena_init(&m->arena);
        list_init(&m->counters);
        list_init(&m->matches);
        strmap_set(&s->places.matchers, id, m);
    }
    m->refs++;
    return m;
}

/* The key under which it stands, in a namespace ("" = in any). */
static void matcher_key(const struct topo_matcher *m, struct str ns, struct buf *key)
{
    struct str label, value;
    if (m->atoms_count == 0) {
        key_write(key, 'o', STR_NONE, m->owner, STR_NONE);
    } else if (selector_pair(m->atoms[0].selector, 0, &label, &value)) {
        key_write(key, 'p', ns, label, value);
    } else {
        key_write(key, 'l', ns, STR_NONE, STR_NONE);
    }
}

void places_matcher_enter(struct scheduler *s, struct topo_matcher *m)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    const struct topo_atom *first = m->atoms_count == 0 ? NULL : &m->atoms[0];
    for (unsigned i = 0; i < m->atoms_count; i++) {
        m->of_namespaces = m->of_namespaces || m->atoms[i].namespace_selector != NULL;
        if (m->atoms[i].selector == NULL) {
            return; /* means no pod, ever */
        }
    }
    bool one = first != NULL && first->namespace_selector == NULL && first->namespaces_count == 1;
    matcher_key(m, one ? first->namespaces[0] : STR_NONE, &key);
    m->seat = seat_take(&s->places.matchers_by, buf_str(&key), m);
    if (first == NULL || one) {
        classes_of_bucket(s, m, buf_str(&key));
        return;
    }
    size_t at = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&s->places.namespaces, &at)) != NULL) {
        const struct topo_namespace *ns = e->value;
        if (atom_takes_namespace(first, ns)) {
            matcher_key(m, (struct str){ns->name, ns->name_size}, &key);
            classes_of_bucket(s, m, buf_str(&key));
        }
    }
}

void places_matcher_unref(struct scheduler *s, struct topo_matcher *m)
{
    if (--m->refs > 0) {
        return;
    }
    assert(list_empty(&m->counters));
    LIST_FOR_SAFE(at, &m->matches)
    {
        match_drop(s, LIST_ENTRY(at, struct topo_match, in_matcher));
    }
    if (m->seat != NULL) {
        seat_leave(&s->places.matchers_by, m->seat);
    }
    strmap_remove(&s->places.matchers, (struct str){m->id, m->id_size});
    arena_close(&m->arena);
    free(m->id);
    free(m);
}

/* ---- A namespace has other labels ---- */

/* Do matchers that look at namespaces mean the class otherwise than before? Its pods are off the numbers then, until
 * they are counted anew. */
static void class_rematch(struct scheduler *s, struct sched_class *c)
{
    LIST_FOR(at, &c->placed)
    {
        const struct sched_pod *p = LIST_ENTRY(at, struct sched_pod, link);
        places_account(s, c, p->node, -1, !p->leaving);
    }
    LIST_FOR_SAFE(at, &c->places->matches)
    {
        struct topo_match *match = LIST_ENTRY(at, struct topo_match, in_class);
        if (match->matcher->of_namespaces) {
            match_drop(s, match);
        }
    }
    size_t at = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&s->places.matchers, &at)) != NULL) {
        struct topo_matcher *m = e->value;
        if (m->of_namespaces && m->seat != NULL && places_means(m, c)) {
            match_make(s, m, c);
        }
    }
    places_touch(s, c); /* its terms may mean it, or no more */
    LIST_FOR(link, &c->placed)
    {
        const struct sched_pod *p = LIST_ENTRY(link, struct sched_pod, link);
        places_account(s, c, p->node, 1, !p->leaving);
        if (p->node->obj != NULL) {
            sched_node_changed(s, p->node, false, false);
        }
    }
}

static bool any_looks_at_namespaces(const struct scheduler *s)
{
    size_t at = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&s->places.matchers, &at)) != NULL) {
        if (((const struct topo_matcher *)e->value)->of_namespaces) {
            return true;
        }
    }
    return false;
}

static bool labels_same(const struct object *a, const struct object *b)
{
    struct mp x = a == NULL ? mp_of(NULL, 0) : object_labels(a), y = b == NULL ? mp_of(NULL, 0) : object_labels(b);
    size_t n = (size_t)(x.end - x.p);
    return n == (size_t)(y.end - y.p) && (n == 0 || memcmp(x.p, y.p, n) == 0);
}

void places_observe_namespace(struct scheduler *s, const struct object *old, const struct object *now)
{
    struct topo_namespace *ns = namespace_get(s, now != NULL ? now->name : old->name);
    struct object *former = ns->obj;
    ns->obj = now == NULL ? NULL : object_ref(now);
    if (ns->classes > 0 && !labels_same(former, now) && any_looks_at_namespaces(s)) {
        CLEANUP_BUF struct buf key = BUF_INIT;
        key_write(&key, 'l', (struct str){ns->name, ns->name_size}, STR_NONE, STR_NONE);
        const struct topo_bucket *bucket = strmap_get(&s->places.classes_by, buf_str(&key));
        if (bucket != NULL) {
            LIST_FOR(at, &bucket->seats)
            {
                class_rematch(s, LIST_ENTRY(at, struct topo_seat, link)->who);
            }
        }
    }
    object_unref(former);
    namespace_drop_if_unused(s, ns);
}

void places_close(struct scheduler *s)
{
    struct places *p = &s->places;
    struct topo_namespace **all = xcalloc(p->namespaces.count + 1, sizeof(struct topo_namespace *));
    size_t count = 0, at = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&p->namespaces, &at)) != NULL) {
        all[count++] = e->value;
    }
    while (count > 0) {
        struct topo_namespace *ns = all[--count];
        object_unref(TAKE_PTR(ns->obj));
        namespace_drop_if_unused(s, ns);
    }
    free(all);
    assert(p->matchers.count == 0 && p->namespaces.count == 0 && p->keys_count == 0 && list_empty(&p->scopes));
    strmap_close(&p->matchers);
    strmap_close(&p->matchers_by);
    strmap_close(&p->classes_by);
    strmap_close(&p->namespaces);
}
