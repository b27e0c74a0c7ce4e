/* What a class wants of places: its affinity terms and spread constraints, read into matchers and counters. */
#include <assert.h>
#include <stdlib.h>

#include "proto/schema/selector.h"
#include "scheduler/core.h"
#include "scheduler/topology.h"

#define REQUIRED_RULE  "requiredDuringSchedulingIgnoredDuringExecution"
#define PREFERRED_RULE "preferredDuringSchedulingIgnoredDuringExecution"
#define HARD_WEIGHT    1 /* of another pod's required affinity, where this pod is scored: hardPodAffinityWeight */

struct reading {
    struct scheduler *s;
    struct sched_class *c;
    struct mp labels; /* of the pod */
};

/* ---- Matchers ---- */

/* Does the text of a selector or of a list of keys name a label that only one pod of the template has? */
static bool names_individual(struct mp term)
{
    struct mp selector = mp_get(term, "labelSelector");
    for (struct mp_iter it = mp_iter(mp_get(selector, "matchLabels")); mp_next(&it);) {
        if (topo_label_is_individual(it.key)) {
            return true;
        }
    }
    for (struct mp_iter it = mp_iter(mp_get(selector, "matchExpressions")); mp_next(&it);) {
        if (topo_label_is_individual(mp_str(mp_get(it.value, "key")))) {
            return true;
        }
    }
    static const char *const lists[] = {"matchLabelKeys", "mismatchLabelKeys"};
    for (unsigned i = 0; i < ARRAY_SIZE(lists); i++) {
        for (struct mp_iter it = mp_iter(mp_get(term, lists[i])); mp_next(&it);) {
            if (topo_label_is_individual(mp_str(it.value))) {
                return true;
            }
        }
    }
    return false;
}

/* "matchLabelKeys: key in (value of the pod's label); mismatchLabelKeys: key notin; a key that the pod lacks is left
 * out." */
static void put_label_keys(const struct reading *r, struct mp term, const char *list, struct buf *id)
{
    for (struct mp_iter it = mp_iter(mp_get(term, list)); mp_next(&it);) {
        struct mp label = mp_get_str_key(r->labels, mp_str(it.value));
        if (label.p != label.end) {
            topo_put_text(id, mp_str(it.value));
            topo_put_text(id, mp_str(label));
        }
    }
    buf_put_u32(id, UINT32_MAX);
}

static void add_label_keys(const struct reading *r, struct mp term, const char *list, const char *op, struct arena *a,
                           struct value *selector)
{
    for (struct mp_iter it = mp_iter(mp_get(term, list)); mp_next(&it);) {
        struct mp label = mp_get_str_key(r->labels, mp_str(it.value));
        if (label.p == label.end) {
            continue;
        }
        struct value *e = value_map(a), *values = value_list(a);
        value_append(a, values, value_str(a, mp_str(label)));
        value_set(a, e, "key", value_str(a, mp_str(it.value)));
        value_set(a, e, "operator", value_cstr(a, op));
        value_set(a, e, "values", values);
        value_append(a, value_ensure_list(a, selector, "matchExpressions"), e);
    }
}

/* What makes a term the same as another, seen from a pod of this namespace. Spread constraints have no namespaces. */
static void term_identify(const struct reading *r, struct mp term, struct buf *id)
{
    struct mp namespaces = mp_get(term, "namespaces"), selector = mp_get(term, "namespaceSelector");
    topo_put_mp(id, mp_get(term, "labelSelector"));
    put_label_keys(r, term, "matchLabelKeys", id);
    put_label_keys(r, term, "mismatchLabelKeys", id);
    topo_put_mp(id, selector);
    if (mp_count(namespaces) == 0 && mp_type(selector) == MP_NONE) {
        topo_put_text(id, r->c->sample->ns);
    } else {
        topo_put_mp(id, namespaces);
    }
}

/* "namespaces and namespaceSelector together; neither: the pod's own; a selector that is absent selects nothing, an
 * empty one everything." */
static void atom_read(const struct reading *r, struct mp term, struct arena *a, struct topo_atom *atom)
{
    struct mp selector = mp_get(term, "labelSelector"), namespaces = mp_get(term, "namespaces");
    struct mp of_namespaces = mp_get(term, "namespaceSelector");
    if (mp_type(selector) == MP_MAP) {
        struct value *doc = msgpack_read_checked(a, selector);
        add_label_keys(r, term, "matchLabelKeys", "In", a, doc);
        add_label_keys(r, term, "mismatchLabelKeys", "NotIn", a, doc);
        if (selector_from_value(a, doc, &atom->selector, NULL) != 0) {
            atom->selector = NULL; /* what no API lets in: it means no pod */
        }
    }
    if (mp_type(of_namespaces) == MP_MAP && selector_from_mp(a, of_namespaces, &atom->namespace_selector, NULL) != 0) {
        atom->namespace_selector = NULL;
    }
    bool own = mp_count(namespaces) == 0 && mp_type(of_namespaces) == MP_NONE;
    atom->namespaces = arena_alloc(a, (mp_count(namespaces) + 1) * sizeof *atom->namespaces);
    for (struct mp_iter it = mp_iter(namespaces); mp_next(&it);) {
        struct str name = mp_str(it.value);
        atom->namespaces[atom->namespaces_count++] = (struct str){arena_strndup(a, name.p, name.n), name.n};
    }
    if (own) {
        struct str name = r->c->sample->ns;
        atom->namespaces[atom->namespaces_count++] = (struct str){arena_strndup(a, name.p, name.n), name.n};
    }
}

/* Of one term, or of a list of them, all of which must mean a pod. */
static struct topo_matcher *matcher_of(const struct reading *r, const struct mp *terms, unsigned count)
{
    CLEANUP_BUF struct buf id = BUF_INIT;
    bool fresh;
    buf_putc(&id, 't');
    for (unsigned i = 0; i < count; i++) {
        term_identify(r, terms[i], &id);
    }
    struct topo_matcher *m = places_matcher_get(r->s, buf_str(&id), &fresh);
    if (fresh) {
        m->atoms = arena_alloc(&m->arena, count * sizeof *m->atoms);
        m->atoms_count = count;
        for (unsigned i = 0; i < count; i++) {
            atom_read(r, terms[i], &m->arena, &m->atoms[i]);
            if (!r->s->places.individual && names_individual(terms[i])) {
                r->s->places.individual_due = true;
            }
        }
        places_matcher_enter(r->s, m);
    }
    return m;
}

static struct topo_matcher *matcher_of_owner(const struct reading *r, struct str uid)
{
    CLEANUP_BUF struct buf id = BUF_INIT;
    bool fresh;
    buf_putc(&id, 'o');
    buf_append_str(&id, uid);
    struct topo_matcher *m = places_matcher_get(r->s, buf_str(&id), &fresh);
    if (fresh) {
        m->owner = (struct str){arena_strndup(&m->arena, uid.p, uid.n), uid.n};
        places_matcher_enter(r->s, m);
    }
    return m;
}

/* ---- Terms ---- */

static struct topo_term *term_add(struct topo_terms *t, struct topo_counter *k)
{
    t->items = xrealloc(t->items, (t->count + 1) * sizeof *t->items);
    struct topo_term *term = &t->items[t->count++];
    *term = (struct topo_term){.counter = k};
    return term;
}

static void carry(struct class_places *p, struct topo_counter *k)
{
    p->carried = xrealloc(p->carried, (p->carried_count + 1) * sizeof(struct topo_counter *));
    p->carried[p->carried_count++] = k;
}

/* NULL: there are too many keys. What is required is not judged then, and the pod waits; a wish is left out for as long
 * as there are pods of the class: it is about a key that no node has, or there are hundreds of others that some
 * have. */
static struct topo_key *key_of(const struct reading *r, struct mp term, bool required)
{
    struct class_places *p = r->c->places;
    if (p->refused != NULL) {
        return NULL;
    }
    struct topo_key *k = places_key_get(r->s, mp_str(mp_get(term, "topologyKey")));
    if (k == NULL && required) {
        p->refused = "more topology keys are in use than the scheduler follows";
        p->refused_for_keys = r->s->places.keys_count == TOPO_KEYS_MAX ? TOPO_KEYS_MAX : TOPO_KEYS_FREE;
    }
    return k;
}

/* The term reads what m means by its key; and others read, of those who have it, what they carry (TOPO_MATCHING:
 * nothing). */
static struct topo_term *term_read(const struct reading *r, struct mp term, bool required, struct topo_terms *to,
                                   struct topo_matcher *m)
{
    struct topo_key *key = key_of(r, term, required);
    struct topo_term *t = NULL;
    if (key != NULL) {
        t = term_add(to, places_counter_get(r->s, m, key, NULL, TOPO_MATCHING, 0));
        places_key_unref(r->s, key);
    }
    return t;
}

static void carry_term(const struct reading *r, struct mp term, bool required, enum topo_what what, int weight)
{
    struct topo_key *key = key_of(r, term, required);
    if (key != NULL) {
        struct topo_matcher *m = matcher_of(r, &term, 1);
        carry(r->c->places, places_counter_get(r->s, m, key, NULL, what, weight));
        places_matcher_unref(r->s, m);
        places_key_unref(r->s, key);
    }
}

static void read_near(const struct reading *r, struct mp list)
{
    struct mp terms[TOPO_TERMS_MAX];
    unsigned count = 0;
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        terms[count++] = it.value;
    }
    if (count == 0) {
        return;
    }
    struct topo_matcher *m = matcher_of(r, terms, count);
    for (unsigned i = 0; i < count; i++) {
        term_read(r, terms[i], true, &r->c->places->near, m);
        carry_term(r, terms[i], true, TOPO_LIKING, HARD_WEIGHT);
    }
    places_matcher_unref(r->s, m);
}

static void read_away(const struct reading *r, struct mp list)
{
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct topo_matcher *m = matcher_of(r, &it.value, 1);
        term_read(r, it.value, true, &r->c->places->away, m);
        carry_term(r, it.value, true, TOPO_KEEPING_AWAY, 0);
        places_matcher_unref(r->s, m);
    }
}

static void read_likes(const struct reading *r, struct mp list, int sign)
{
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        int weight = sign * (int)MAX(0, MIN(mp_int(mp_get(it.value, "weight"), 0), 100));
        struct mp term = mp_get(it.value, "podAffinityTerm");
        struct topo_matcher *m = matcher_of(r, &term, 1);
        struct topo_term *t = term_read(r, term, false, &r->c->places->likes, m);
        if (t != NULL) {
            t->weight = weight;
        }
        carry_term(r, term, false, TOPO_LIKING, weight);
        places_matcher_unref(r->s, m);
    }
}

static bool is_hard(struct mp constraint)
{
    return str_is(mp_str(mp_get(constraint, "whenUnsatisfiable")), "DoNotSchedule");
}

static void read_constraint(const struct reading *r, struct mp constraint, bool hard, const struct str *keys,
                            unsigned keys_count)
{
    struct topo_key *key = key_of(r, constraint, hard);
    if (key == NULL) {
        return;
    }
    bool affinity = !str_is(mp_str(mp_get(constraint, "nodeAffinityPolicy")), "Ignore");
    bool taints = str_is(mp_str(mp_get(constraint, "nodeTaintsPolicy")), "Honor");
    struct topo_matcher *m = matcher_of(r, &constraint, 1);
    struct topo_scope *scope = places_scope_get(r->s, key, r->c->sample, keys, keys_count, affinity, taints);
    struct topo_counter *k = places_counter_get(r->s, m, key, scope, TOPO_SPREAD, 0);
    struct topo_term *t = term_add(hard ? &r->c->places->hard : &r->c->places->soft, k);
    t->max_skew = (int32_t)MAX(1, MIN(mp_int(mp_get(constraint, "maxSkew"), 1), INT32_MAX / 2));
    t->min_domains = (int32_t)MAX(1, MIN(mp_int(mp_get(constraint, "minDomains"), 1), INT32_MAX));
    places_matcher_unref(r->s, m);
    places_key_unref(r->s, key);
}

static void read_spread(const struct reading *r, struct mp list, bool hard)
{
    struct str keys[TOPO_TERMS_MAX];
    unsigned count = 0;
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        if (is_hard(it.value) == hard) {
            keys[count++] = mp_str(mp_get(it.value, "topologyKey"));
        }
    }
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        if (is_hard(it.value) == hard) {
            read_constraint(r, it.value, hard, keys, count);
        }
    }
}

/* Pods that say nothing of it are spread over zones by their owner (over nodes: plugins/owner_spread.c). */
static void read_default(const struct reading *r)
{
    static const struct str zone = {TOPO_DEFAULT_ZONE, sizeof TOPO_DEFAULT_ZONE - 1};
    struct str uid = r->c->sample->owner_uid;
    struct topo_key *key = str_empty(uid) ? NULL : places_key_get(r->s, zone);
    if (key == NULL) {
        return;
    }
    struct topo_matcher *m = matcher_of_owner(r, uid);
    struct topo_scope *scope = places_scope_get(r->s, key, r->c->sample, &zone, 1, false, false);
    struct topo_term *t = term_add(&r->c->places->soft, places_counter_get(r->s, m, key, scope, TOPO_SPREAD, 0));
    t->max_skew = TOPO_DEFAULT_SKEW;
    t->min_domains = 1;
    places_matcher_unref(r->s, m);
    places_key_unref(r->s, key);
}

static void read_all(const struct reading *r)
{
    struct mp spec = object_spec(r->c->sample), affinity = mp_get(spec, "affinity");
    struct mp near = mp_get(affinity, "podAffinity"), away = mp_get(affinity, "podAntiAffinity");
    struct mp spread = mp_get(spec, "topologySpreadConstraints");
    uint32_t terms = mp_count(mp_get(near, REQUIRED_RULE)) + mp_count(mp_get(near, PREFERRED_RULE)) +
                     mp_count(mp_get(away, REQUIRED_RULE)) + mp_count(mp_get(away, PREFERRED_RULE)) + mp_count(spread);
    if (terms > TOPO_TERMS_MAX) {
        r->c->places->refused = "the pod has more affinity terms and spread constraints than the scheduler reads";
        return;
    }
    read_near(r, mp_get(near, REQUIRED_RULE));
    read_away(r, mp_get(away, REQUIRED_RULE));
    read_likes(r, mp_get(near, PREFERRED_RULE), 1);
    read_likes(r, mp_get(away, PREFERRED_RULE), -1);
    r->c->places->says_spread = mp_count(spread) > 0;
    if (mp_count(spread) > 0) {
        read_spread(r, spread, true);
        read_spread(r, spread, false);
    } else {
        read_default(r);
    }
}

void places_attach(struct scheduler *s, struct sched_class *c)
{
    struct class_places *p = xcalloc(1, sizeof *p);
    c->places = p;
    list_init(&p->matches);
    p->stale = true;
    places_class_enter(s, c);
    read_all(&(struct reading){.s = s, .c = c, .labels = object_labels(c->sample)});
}

static void terms_drop(struct scheduler *s, struct topo_terms *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        places_counter_unref(s, t->items[i].counter);
    }
    free(t->items);
    *t = (struct topo_terms){0};
}

void places_detach(struct scheduler *s, struct sched_class *c)
{
    struct class_places *p = c->places;
    assert(list_empty(&c->placed));
    terms_drop(s, &p->near);
    terms_drop(s, &p->away);
    terms_drop(s, &p->likes);
    terms_drop(s, &p->hard);
    terms_drop(s, &p->soft);
    for (unsigned i = 0; i < p->carried_count; i++) {
        places_counter_unref(s, p->carried[i]);
    }
    free(p->carried);
    places_class_leave(s, c);
    free(p->forbids.items);
    free(p->scored.items);
    free(p->keys);
    free(TAKE_PTR(c->places));
}
