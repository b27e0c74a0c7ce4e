/* The numbers: keys and their domains, scopes, counters, and how they follow pods and nodes. */
#include "scheduler/topology.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/facts/node_match.h"
#include "scheduler/core.h"

/* ---- Tallies ---- */

static unsigned tally_find(const struct tally *t, uint32_t domain)
{
    unsigned at = (domain * 2654435761u) & (t->cap - 1);
    while (t->cells[at].domain_plus_1 != 0 && t->cells[at].domain_plus_1 != domain + 1) {
        at = (at + 1) & (t->cap - 1);
    }
    return at;
}

uint32_t tally_get(const struct tally *t, uint32_t domain)
{
    return t->cap == 0 || domain == TOPO_NONE ? 0 : t->cells[tally_find(t, domain)].count;
}

/* Room for one more: as many cells as are needed for those that are not empty, twice over. */
static void tally_grow(struct tally *t)
{
    struct tally former = *t;
    unsigned filled = 0;
    for (unsigned i = 0; i < former.cap; i++) {
        filled += former.cells[i].count > 0;
    }
    t->used = 0;
    for (t->cap = 4; t->cap < 2 * (filled + 1); t->cap *= 2) {
    }
    t->cells = xcalloc(t->cap, sizeof *t->cells);
    for (unsigned i = 0; i < former.cap; i++) {
        if (former.cells[i].count > 0) {
            t->cells[tally_find(t, former.cells[i].domain_plus_1 - 1)] = former.cells[i];
            t->used++;
        }
    }
    free(former.cells);
}

/* The number as it is then. */
static uint32_t tally_add(struct tally *t, uint32_t domain, int sign)
{
    if (t->used * 4 >= t->cap * 3) {
        tally_grow(t);
    }
    unsigned at = tally_find(t, domain);
    if (t->cells[at].domain_plus_1 == 0) {
        t->cells[at].domain_plus_1 = domain + 1;
        t->used++;
    }
    assert(sign > 0 || t->cells[at].count > 0);
    return t->cells[at].count += (uint32_t)sign;
}

/* ---- Levels of what is spread ---- */

static void level_change(struct topo_counter *k, uint32_t level, int sign)
{
    if (level == 0) {
        return;
    }
    if (level >= k->levels_cap) {
        unsigned cap = MAX(8u, k->levels_cap);
        while (cap <= level) {
            cap *= 2;
        }
        k->levels = xrealloc(k->levels, cap * sizeof *k->levels);
        memset(k->levels + k->levels_cap, 0, (cap - k->levels_cap) * sizeof *k->levels);
        k->levels_cap = cap;
    }
    k->levels[level] += (uint32_t)sign;
    k->filled += (uint32_t)sign;
    if (sign > 0 && (k->filled == 1 || level < k->lowest)) {
        k->lowest = level;
    }
}

uint32_t topo_least(const struct topo_counter *k)
{
    return k->filled == 0 || k->filled < k->scope->domains ? 0 : k->lowest;
}

/* ---- Counters ---- */

static struct str value_of(const struct sched_node *n, const char *key)
{
    struct str v = n->obj == NULL ? STR_NONE : mp_str(mp_get_str_key(n->labels, str_of(key)));
    return v.p == NULL ? v : (struct str){v.p, strnlen(v.p, v.n)}; /* values are kept as C strings */
}

/* The other nodes of a domain are to be judged anew; the node itself is told of by who changes it. */
static void tell_neighbours(struct scheduler *s, const struct topo_key *key, uint32_t domain, unsigned slot)
{
    if (key->domains[domain].nodes == 1) {
        return;
    }
    for (uint32_t at = key->domains[domain].first; at != TOPO_NONE; at = key->next[at]) {
        if (at != slot) {
            sched_node_changed(s, s->slots[at], false, false);
        }
    }
}

void places_counter_add(struct scheduler *s, struct topo_counter *k, const struct sched_node *n, int sign)
{
    uint32_t domain = k->key->domain_of[n->slot];
    if (domain == TOPO_NONE || (k->scope != NULL && !k->scope->in[n->slot])) {
        return;
    }
    bool spread = k->what == TOPO_SPREAD;
    uint32_t least = spread ? topo_least(k) : 0;
    uint32_t now = tally_add(&k->tally, domain, sign), was = now - (uint32_t)sign;
    k->total += (uint64_t)(int64_t)sign;
    if (spread) {
        level_change(k, now, 1);
        level_change(k, was, -1);
        while (k->filled > 0 && k->levels[k->lowest] == 0) {
            k->lowest++;
        }
    }
    if (s->places.guess) {
        return;
    }
    if (s->places.trial) {
        /* nobody who waits is helped */
    } else if (sign < 0) {
        k->fell = ++s->places.changes;
    } else if (spread ? topo_least(k) != least : was == 0) {
        k->rose = ++s->places.changes;
    } else if (k->what == TOPO_MATCHING && s->stats.parked > 0) {
        k->grew = ++s->places.changes;
    }
    if (!k->key->wide) {
        tell_neighbours(s, k->key, domain, n->slot);
    }
}

/* A new counter: what is placed already. */
static void counter_fill(struct scheduler *s, struct topo_counter *k)
{
    if (k->what == TOPO_KEEPING_AWAY || k->what == TOPO_LIKING) {
        return; /* who carries it adds its pods */
    }
    LIST_FOR(at, &k->matcher->matches)
    {
        const struct sched_class *c = LIST_ENTRY(at, struct topo_match, in_matcher)->class;
        LIST_FOR(link, &c->placed)
        {
            const struct sched_pod *p = LIST_ENTRY(link, struct sched_pod, link);
            if (p->node->obj != NULL && (k->what == TOPO_MATCHING || !p->leaving)) {
                places_counter_add(s, k, p->node, 1);
            }
        }
    }
}

/* Those whom others' terms mean: what they read is another list now. */
static void touch_meant(struct scheduler *s, const struct topo_counter *k)
{
    if (k->what == TOPO_KEEPING_AWAY || k->what == TOPO_LIKING) {
        LIST_FOR(at, &k->matcher->matches)
        {
            places_touch(s, LIST_ENTRY(at, struct topo_match, in_matcher)->class);
        }
    }
}

struct topo_counter *places_counter_get(struct scheduler *s, struct topo_matcher *m, struct topo_key *k,
                                        struct topo_scope *scope, enum topo_what what, int weight)
{
    LIST_FOR(at, &m->counters)
    {
        struct topo_counter *known = LIST_ENTRY(at, struct topo_counter, link);
        if (known->key == k && known->scope == scope && known->what == what && known->weight == weight) {
            known->refs++;
            return known;
        }
    }
    struct topo_counter *new = xcalloc(1, sizeof *new);
    *new = (struct topo_counter){
        .matcher = m, .key = k, .scope = scope, .what = what, .weight = weight, .refs = 1, .lowest = 1};
    m->refs++;
    k->refs++;
    if (scope != NULL) {
        scope->refs++;
    }
    list_push_back(&m->counters, &new->link);
    counter_fill(s, new);
    touch_meant(s, new);
    return new;
}

static void scope_unref(struct scheduler *s, struct topo_scope *sc)
{
    if (sc == NULL || --sc->refs > 0) {
        return;
    }
    list_remove(&sc->link);
    places_key_unref(s, sc->key);
    object_unref(sc->sample);
    free(sc->id);
    free(sc->keys);
    free(sc->in);
    free(sc->nodes);
    free(sc);
}

void places_counter_unref(struct scheduler *s, struct topo_counter *k)
{
    if (--k->refs > 0) {
        return;
    }
    list_remove(&k->link);
    touch_meant(s, k);
    places_matcher_unref(s, k->matcher);
    scope_unref(s, k->scope);
    places_key_unref(s, k->key);
    free(k->tally.cells);
    free(k->levels);
    free(k);
}

/* ---- Keys ---- */

/* Few domains or many? (None at all need no cells.) With some play, so that one domain that comes and goes does not
 * turn it each time. */
static void key_judge(struct scheduler *s, struct topo_key *k)
{
    unsigned max = s->config.wide_max != 0 ? s->config.wide_max : TOPO_WIDE_MAX;
    bool wide = k->domains_live > 0 && k->domains_live <= (k->wide ? max : MAX(1u, max / 2));
    if (wide != k->wide) {
        k->wide = wide;
        s->places.epoch++;
    }
}

static uint32_t domain_get(struct topo_key *k, struct str value)
{
    uintptr_t known = (uintptr_t)strmap_get(&k->values, value);
    if (known != 0) {
        return (uint32_t)known - 1;
    }
    uint32_t d = 0;
    if (k->domains_live < k->domains_count) { /* some were given back */
        while (k->domains[d].value != NULL) {
            d++;
        }
    } else {
        if (k->domains_count == k->domains_cap) {
            k->domains_cap = MAX(8u, k->domains_cap * 2);
            k->domains = xrealloc(k->domains, k->domains_cap * sizeof *k->domains);
        }
        d = k->domains_count++;
    }
    k->domains[d] = (struct topo_domain){.value = xstrndup(value.p, value.n), .first = TOPO_NONE};
    k->domains_live++;
    strmap_set(&k->values, value, (void *)(uintptr_t)(d + 1));
    return d;
}

static void key_node_in(struct scheduler *s, struct topo_key *k, const struct sched_node *n)
{
    struct str value = value_of(n, k->name);
    if (value.p == NULL) {
        return;
    }
    uint32_t d = domain_get(k, value), slot = n->slot, first = k->domains[d].first;
    k->domain_of[slot] = d;
    k->prev[slot] = TOPO_NONE;
    k->next[slot] = first;
    if (first != TOPO_NONE) {
        k->prev[first] = slot;
    }
    k->domains[d].first = slot;
    k->domains[d].nodes++;
    key_judge(s, k);
}

static void key_node_out(struct scheduler *s, struct topo_key *k, const struct sched_node *n)
{
    uint32_t slot = n->slot, d = k->domain_of[slot];
    if (d == TOPO_NONE) {
        return;
    }
    if (k->prev[slot] != TOPO_NONE) {
        k->next[k->prev[slot]] = k->next[slot];
    } else {
        k->domains[d].first = k->next[slot];
    }
    if (k->next[slot] != TOPO_NONE) {
        k->prev[k->next[slot]] = k->prev[slot];
    }
    k->domain_of[slot] = TOPO_NONE;
    if (--k->domains[d].nodes == 0) {
        strmap_remove(&k->values, str_of(k->domains[d].value));
        free(TAKE_PTR(k->domains[d].value));
        k->domains_live--;
        key_judge(s, k);
    }
}

static void key_resize(struct topo_key *k, unsigned from, unsigned cap)
{
    k->domain_of = xrealloc(k->domain_of, cap * sizeof *k->domain_of);
    k->next = xrealloc(k->next, cap * sizeof *k->next);
    k->prev = xrealloc(k->prev, cap * sizeof *k->prev);
    memset(k->domain_of + from, 0xff, (cap - from) * sizeof *k->domain_of);
}

static bool is_key_of_nodes(const struct scheduler *s, struct str name)
{
    for (unsigned i = 0; i < s->slots_count; i++) {
        if (s->slots[i] != NULL && mp_str(mp_get_str_key(s->slots[i]->labels, name)).p != NULL) {
            return true;
        }
    }
    return false;
}

struct topo_key *places_key_get(struct scheduler *s, struct str name)
{
    LIST_FOR(at, &s->places.keys)
    {
        struct topo_key *k = LIST_ENTRY(at, struct topo_key, link);
        if (str_is(name, k->name)) {
            k->refs++;
            return k;
        }
    }
    if (s->places.keys_count == TOPO_KEYS_MAX ||
        (s->places.keys_count >= TOPO_KEYS_FREE && !is_key_of_nodes(s, name))) {
        return NULL;
    }
    struct topo_key *k = xcalloc(1, sizeof *k);
    k->name = xstrndup(name.n > 0 ? name.p : "", name.n);
    k->refs = 1;
    strmap_init(&k->values);
    list_push_back(&s->places.keys, &k->link);
    s->places.keys_count++;
    key_resize(k, 0, MAX(1u, s->slots_cap));
    for (unsigned i = 0; i < s->slots_count; i++) {
        if (s->slots[i] != NULL) {
            key_node_in(s, k, s->slots[i]);
        }
    }
    return k;
}

void places_key_unref(struct scheduler *s, struct topo_key *k)
{
    if (--k->refs > 0) {
        return;
    }
    for (unsigned d = 0; d < k->domains_count; d++) {
        free(k->domains[d].value);
    }
    list_remove(&k->link);
    s->places.keys_count--;
    s->places.changes++; /* a pod may have waited for room for its key */
    strmap_close(&k->values);
    free(k->domains);
    free(k->domain_of);
    free(k->next);
    free(k->prev);
    free(k->name);
    free(k);
}

/* ---- Scopes ---- */

/* "Nodes that have all topology keys, and, by the policies, pass the pod's node affinity and its tolerations." */
static bool scope_takes(const struct topo_scope *sc, const struct sched_node *n)
{
    if (n->obj == NULL) {
        return false;
    }
    for (unsigned i = 0; i < sc->keys_count; i++) {
        if (mp_str(mp_get_str_key(n->labels, sc->keys[i])).p == NULL) {
            return false;
        }
    }
    struct mp spec = object_spec(sc->sample), tolerations = mp_get(spec, "tolerations");
    if (sc->honor_affinity && !node_match_pod(spec, n->labels, str_of(n->name))) {
        return false;
    }
    if (!sc->honor_taints) {
        return true;
    }
    for (struct mp_iter it = mp_iter(n->taints); mp_next(&it);) {
        if (!str_is(mp_str(mp_get(it.value, "effect")), "PreferNoSchedule") &&
            !node_match_tolerated(tolerations, it.value)) {
            return false;
        }
    }
    return !n->unschedulable || node_match_cordon_tolerated(tolerations);
}

static void scope_node_in(struct scheduler *s, struct topo_scope *sc, const struct sched_node *n)
{
    uint32_t d = sc->key->domain_of[n->slot];
    if (d == TOPO_NONE || !scope_takes(sc, n)) {
        return;
    }
    if (d >= sc->nodes_cap) {
        unsigned cap = MAX(8u, sc->nodes_cap);
        while (cap <= d) {
            cap *= 2;
        }
        sc->nodes = xrealloc(sc->nodes, cap * sizeof *sc->nodes);
        memset(sc->nodes + sc->nodes_cap, 0, (cap - sc->nodes_cap) * sizeof *sc->nodes);
        sc->nodes_cap = cap;
    }
    sc->in[n->slot] = 1;
    if (++sc->nodes[d] == 1) {
        sc->domains++;
        sc->changed = ++s->places.changes;
    }
}

static void scope_node_out(struct scheduler *s, struct topo_scope *sc, const struct sched_node *n)
{
    if (sc->in[n->slot]) {
        sc->in[n->slot] = 0;
        if (--sc->nodes[sc->key->domain_of[n->slot]] == 0) {
            sc->domains--;
            sc->changed = ++s->places.changes;
        }
    }
}

void topo_put_text(struct buf *id, struct str s)
{
    buf_put_u32(id, (uint32_t)s.n);
    buf_append(id, s.n > 0 ? s.p : "", s.n);
}

void topo_put_mp(struct buf *id, struct mp m)
{
    topo_put_text(id, (struct str){(const char *)m.p, (size_t)(m.end - m.p)});
}

struct topo_scope *places_scope_get(struct scheduler *s, struct topo_key *k, const struct object *sample,
                                    const struct str *keys, unsigned keys_count, bool affinity, bool taints)
{
    CLEANUP_BUF struct buf id = BUF_INIT;
    struct mp spec = object_spec(sample);
    topo_put_text(&id, str_of(k->name));
    buf_put_u8(&id, (uint8_t)((affinity ? 1 : 0) | (taints ? 2 : 0)));
    if (affinity) {
        topo_put_mp(&id, mp_get(spec, "nodeSelector"));
        topo_put_mp(&id, mp_path(spec, "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"));
    }
    topo_put_mp(&id, taints ? mp_get(spec, "tolerations") : mp_of(NULL, 0));
    for (unsigned i = 0; i < keys_count; i++) {
        topo_put_text(&id, keys[i]);
    }
    LIST_FOR(at, &s->places.scopes)
    {
        struct topo_scope *sc = LIST_ENTRY(at, struct topo_scope, link);
        if (sc->id_size == id.size && memcmp(sc->id, id.data, id.size) == 0) {
            return sc;
        }
    }
    struct topo_scope *sc = xcalloc(1, sizeof *sc);
    sc->key = k;
    k->refs++;
    sc->id = xmemdup(id.data, id.size);
    sc->id_size = id.size;
    sc->sample = object_ref(sample);
    sc->keys = xmemdup(keys, keys_count * sizeof *keys);
    sc->keys_count = keys_count;
    sc->honor_affinity = affinity;
    sc->honor_taints = taints;
    sc->in = xcalloc(MAX(1u, s->slots_cap), 1);
    list_push_back(&s->places.scopes, &sc->link);
    for (unsigned i = 0; i < s->slots_count; i++) {
        if (s->slots[i] != NULL) {
            scope_node_in(s, sc, s->slots[i]);
        }
    }
    return sc;
}

/* ---- What changes ---- */

void places_account(struct scheduler *s, const struct sched_class *c, const struct sched_node *n, int sign, bool live)
{
    if (n->obj == NULL) {
        return;
    }
    LIST_FOR(at, &c->places->matches)
    {
        LIST_FOR(link, &LIST_ENTRY(at, struct topo_match, in_class)->matcher->counters)
        {
            struct topo_counter *k = LIST_ENTRY(link, struct topo_counter, link);
            if (k->what == TOPO_MATCHING || (k->what == TOPO_SPREAD && live)) {
                places_counter_add(s, k, n, sign);
            }
        }
    }
    for (unsigned i = 0; i < c->places->carried_count; i++) {
        places_counter_add(s, c->places->carried[i], n, sign);
    }
}

void places_leaving(struct scheduler *s, const struct sched_class *c, const struct sched_node *n)
{
    if (n->obj == NULL) {
        return;
    }
    LIST_FOR(at, &c->places->matches)
    {
        LIST_FOR(link, &LIST_ENTRY(at, struct topo_match, in_class)->matcher->counters)
        {
            struct topo_counter *k = LIST_ENTRY(link, struct topo_counter, link);
            if (k->what == TOPO_SPREAD) {
                places_counter_add(s, k, n, -1);
            }
        }
    }
}

static void account_pods_of(struct scheduler *s, const struct sched_node *n, int sign)
{
    LIST_FOR(at, &n->pods)
    {
        const struct sched_pod *p = LIST_ENTRY(at, struct sched_pod, on_node);
        places_account(s, p->class, n, sign, !p->leaving);
    }
}

void places_node_out(struct scheduler *s, const struct sched_node *n)
{
    account_pods_of(s, n, -1);
    LIST_FOR(at, &s->places.scopes)
    {
        scope_node_out(s, LIST_ENTRY(at, struct topo_scope, link), n);
    }
    LIST_FOR(at, &s->places.keys)
    {
        key_node_out(s, LIST_ENTRY(at, struct topo_key, link), n);
    }
}

void places_node_in(struct scheduler *s, const struct sched_node *n)
{
    LIST_FOR(at, &s->places.keys)
    {
        key_node_in(s, LIST_ENTRY(at, struct topo_key, link), n);
    }
    LIST_FOR(at, &s->places.scopes)
    {
        scope_node_in(s, LIST_ENTRY(at, struct topo_scope, link), n);
    }
    account_pods_of(s, n, 1);
}

void places_slots_grow(struct scheduler *s, unsigned from)
{
    LIST_FOR(at, &s->places.keys)
    {
        key_resize(LIST_ENTRY(at, struct topo_key, link), from, s->slots_cap);
    }
    LIST_FOR(at, &s->places.scopes)
    {
        struct topo_scope *sc = LIST_ENTRY(at, struct topo_scope, link);
        sc->in = xrealloc(sc->in, s->slots_cap);
        memset(sc->in + from, 0, s->slots_cap - from);
    }
}

void places_open(struct scheduler *s)
{
    struct places *p = &s->places;
    list_init(&p->keys);
    list_init(&p->scopes);
    strmap_init(&p->matchers);
    strmap_init(&p->matchers_by);
    strmap_init(&p->classes_by);
    strmap_init(&p->namespaces);
}

/* ---- Audit ---- */

/* Pods that the counter should have, of all domains or of one. */
static uint64_t recount(const struct scheduler *s, const struct topo_counter *k, const char *value)
{
    uint64_t sum = 0;
    size_t at = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&s->pods, &at)) != NULL) {
        const struct sched_pod *p = e->value;
        bool placed = p->state == POD_ASSUMED || p->state == POD_BOUND; /* else the node is where it is to come */
        if (!placed || p->node->obj == NULL || (k->scope != NULL && !scope_takes(k->scope, p->node))) {
            continue;
        }
        struct str here = value_of(p->node, k->key->name);
        if (here.p == NULL || (value != NULL && !str_is(here, value))) {
            continue;
        }
        if (k->what == TOPO_MATCHING || k->what == TOPO_SPREAD) {
            bool counts = k->what == TOPO_MATCHING || !p->leaving;
            sum += counts && places_means(k->matcher, p->class);
        } else {
            for (unsigned i = 0; i < p->class->places->carried_count; i++) {
                sum += p->class->places->carried[i] == k;
            }
        }
    }
    return sum;
}

static bool counter_audit(const struct scheduler *s, const struct topo_counter *k, struct buf *why)
{
    uint64_t total = recount(s, k, NULL);
    uint32_t least = UINT32_MAX, domains = 0;
    for (unsigned d = 0; d < k->key->domains_count; d++) {
        const char *value = k->key->domains[d].value;
        uint64_t want = value == NULL ? 0 : recount(s, k, value);
        if (want != tally_get(&k->tally, d)) {
            buf_printf(why, "%s=%s has %u pods of a sort (%u), not %llu", k->key->name, value == NULL ? "" : value,
                       tally_get(&k->tally, d), k->what, (unsigned long long)want);
            return false;
        }
        unsigned nodes = 0;
        for (unsigned i = 0; k->scope != NULL && value != NULL && i < s->slots_count; i++) {
            const struct sched_node *n = s->slots[i];
            nodes += n != NULL && scope_takes(k->scope, n) && str_is(value_of(n, k->key->name), value);
        }
        if (nodes > 0) {
            domains++;
            least = (uint32_t)MIN((uint64_t)least, want);
        }
    }
    if (total != k->total) {
        buf_printf(why, "%llu pods by %s, not %llu", (unsigned long long)k->total, k->key->name,
                   (unsigned long long)total);
        return false;
    }
    if (k->scope != NULL && (domains != k->scope->domains || topo_least(k) != (domains == 0 ? 0 : least))) {
        buf_printf(why, "%u domains of %s with at least %u pods, not %u with %u", k->scope->domains, k->key->name,
                   topo_least(k), domains, domains == 0 ? 0 : least);
        return false;
    }
    return true;
}

bool places_audit(const struct scheduler *s, struct buf *why)
{
    size_t at = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&s->places.matchers, &at)) != NULL) {
        const struct topo_matcher *m = e->value;
        LIST_FOR(link, &m->counters)
        {
            if (!counter_audit(s, LIST_ENTRY(link, struct topo_counter, link), why)) {
                return false;
            }
        }
    }
    return true;
}

bool scheduler_audit(const struct scheduler *s, struct buf *why)
{
    return places_audit(s, why) && gangs_audit(s, why);
}
