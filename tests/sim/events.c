/* Rings of events that are full. In one seed of four the bound of all events is 12 to 60 KiB; controllers and scheduler
 * write theirs as always, and a gossip on the leader writes others into namespaces of its own, new ones and old ones
 * once more, small and large.
 *
 * That all replicas have the same events, is judged as for all objects. Here: what falls off in a transaction is the
 * oldest of its namespace, by what the ledger's versions hold, and had to go; whoever pays for the bound of all is the
 * heaviest; the bounds hold behind each transaction that writes events, as far as it may drop so many; and each
 * master's ring has in order of age what it has by name. */
#include <assert.h>

#include "raft-store/store/event.h"
#include "raft-store/store/event_ring.h"
#include "raft-store/store/view_edit.h"
#include "tests/sim/cluster.h"

#define SALT        72275u /* such that no seed that was kept before this came is one of them */
#define SPACES      6u
#define NAMES       12u
#define MESSAGE_MAX 3000u

void events_draw(struct cluster *c)
{
    c->gossip.state = c->seed ^ SALT;
    c->gossip.state = rng_next(&c->gossip);
    bool full = rng_below(&c->gossip, 4) == 0 && c->seed < STEADY_FIRST;
    c->swarm.events_bytes = full ? (12 + rng_below(&c->gossip, 48)) << 10 : 0;
}

/* ---- The gossip ---- */

static struct value *gossip(struct cluster *c, struct arena *a, const char *ns, const char *name)
{
    char message[MESSAGE_MAX];
    size_t size = rng_below(&c->gossip, 4) == 0 ? rng_below(&c->gossip, sizeof message) : 40;
    memset(message, 'g', size);
    struct event_words w = {.kind = kind_by_id(KIND_POD),
                            .ns = str_of(ns),
                            .name = str_of(name),
                            .uid = STR("00000000-0000-4000-8000-000000000000"),
                            .reason = "Gossip",
                            .component = "gossip",
                            .message = {message, MIN(size, EVENT_MESSAGE_MAX)}};
    struct value *doc = event_document(a, &w);
    event_set_name(a, doc, str_of(ns), str_of(name));
    event_set_first(a, doc, c->sim.now_ms, 0, "gossip");
    if (size > EVENT_MESSAGE_MAX) {
        value_set(a, doc, "message", value_str(a, (struct str){message, size}));
    }
    return doc;
}

void events_turn(struct life *life)
{
    struct cluster *c = life->c;
    if (c->swarm.events_bytes == 0 || c->phase != PHASE_LOAD || life->fatal || !replica_leading(life->replica) ||
        rng_below(&c->gossip, 16) > 0) {
        return;
    }
    CLEANUP_ARENA struct arena a;
    struct txn t;
    struct error err = {0};
    char ns[16], name[16];
    arena_init(&a);
    txn_init(&t, "gossip");
    const struct kind *k = kind_by_id(KIND_EVENT);
    snprintf(ns, sizeof ns, "gossip-%u", (unsigned)rng_below(&c->gossip, SPACES));
    snprintf(name, sizeof name, "e%u", (unsigned)rng_below(&c->gossip, NAMES));
    const struct object *o = view_get(store_tip(replica_store(life->replica)), k, str_of(ns), str_of(name));
    struct value *doc = o == NULL ? gossip(c, &a, ns, name) : object_to_value(&a, o);
    if (o != NULL) {
        event_set_again(&a, doc, c->sim.now_ms, 0);
    }
    int rv =
        o == NULL ? txn_create_value(&t, k, doc, &err) : txn_update_value(&t, k, doc, TXN_PART_ALL, o->revision, &err);
    assert(rv == 0);
    (void)rv;
    replica_submit(life->replica, &t, NULL, NULL, &err);
    txn_close(&t);
}

/* ---- What falls off ---- */

static bool is_event(const struct object *o)
{
    return o != NULL && o->kind->id == KIND_EVENT;
}

static bool is_drop(const struct change *c)
{
    const struct object *left = c->new;
    return left == NULL && is_event(c->old);
}

static bool is_older(const struct object *a, const struct object *b)
{
    return a->revision != b->revision ? a->revision < b->revision : str_cmp(a->name, b->name) < 0;
}

/* What a namespace (empty: all of them) weighed before the drops of t from number `from` on. */
static uint64_t weight_at(const struct view *after, const struct history_txn *t, unsigned from, struct str ns)
{
    struct view_iter it;
    uint64_t weight = 0;
    view_iter(&it, after, kind_by_id(KIND_EVENT), ns);
    VIEW_FOR(o, &it)
    {
        weight += event_ring_weight(o);
    }
    for (unsigned i = from; i < t->count; i++) {
        const struct object *o = t->changes[i].old;
        weight += is_drop(&t->changes[i]) && (str_empty(ns) || str_eq(o->ns, ns)) ? event_ring_weight(o) : 0;
    }
    return weight;
}

/* Something in the namespace (empty: in any) that was there before the transaction. */
static bool has_former(const struct view *before, const struct view *after, struct str ns)
{
    struct view_iter it;
    view_iter(&it, after, kind_by_id(KIND_EVENT), ns);
    VIEW_FOR(o, &it)
    {
        if (o->revision <= view_revision(before)) {
            return true;
        }
    }
    return false;
}

/* Another namespace that had two steps more, and not by what the transaction wrote alone. */
static bool is_heavier_elsewhere(const struct view *before, const struct view *after, const struct history_txn *t,
                                 unsigned from, struct str ns)
{
    struct view_iter it;
    uint64_t mine = weight_at(after, t, from, ns);
    view_iter(&it, after, kind_by_id(KIND_EVENT), STR_NONE);
    struct str last = STR_NONE;
    VIEW_FOR(o, &it)
    {
        if (!str_eq(o->ns, last) && weight_at(after, t, from, o->ns) > mine + 2 * EVENT_STEP_BYTES &&
            has_former(before, after, o->ns)) {
            return true;
        }
        last = o->ns;
    }
    return false;
}

static void judge_drop(struct cluster *c, const struct view *before, const struct view *after,
                       const struct history_txn *t, unsigned at)
{
    const struct object *gone = t->changes[at].old;
    uint64_t max = c->swarm.events_bytes, part = max / EVENT_NAMESPACE_PART;
    struct view_iter it;
    view_iter(&it, before, gone->kind, gone->ns);
    VIEW_FOR(o, &it)
    {
        const struct object *now = view_get(after, o->kind, o->ns, o->name);
        if (now != NULL && now->revision == o->revision && is_older(o, gone)) {
            cluster_violate(c, "event %.*s/%.*s falls off at revision %llu, and an older one, %.*s, does not",
                            STR_ARG(gone->ns), STR_ARG(gone->name), (unsigned long long)t->revision, STR_ARG(o->name));
            return;
        }
    }
    if (weight_at(after, t, at, gone->ns) <= part) {
        bool full = weight_at(after, t, at, STR_NONE) > max;
        if (!full || is_heavier_elsewhere(before, after, t, at, gone->ns)) {
            cluster_violate(c, "event %.*s/%.*s falls off at revision %llu, and %s", STR_ARG(gone->ns),
                            STR_ARG(gone->name), (unsigned long long)t->revision,
                            full ? "another namespace is much heavier" : "there was room");
        }
    }
}

static void judge_bounds(struct cluster *c, const struct view *before, const struct view *after,
                         const struct history_txn *t)
{
    uint64_t max = c->swarm.events_bytes, written = 0;
    unsigned drops = 0;
    for (unsigned i = 0; i < t->count; i++) {
        written += is_event(t->changes[i].new) ? event_ring_weight(t->changes[i].new) : 0;
        drops += is_drop(&t->changes[i]);
    }
    if (drops >= written / EVENT_KEEP_BYTES + EVENT_DROPS_MORE) {
        return; /* the rest falls with the next one */
    }
    for (unsigned i = 0; i < t->count; i++) {
        const struct object *o = t->changes[i].new;
        if (is_event(o) && weight_at(after, t, t->count, o->ns) > max / EVENT_NAMESPACE_PART &&
            has_former(before, after, o->ns)) {
            cluster_violate(c, "namespace %.*s has more events than its bound lets stay at revision %llu",
                            STR_ARG(o->ns), (unsigned long long)t->revision);
        }
    }
    if (weight_at(after, t, t->count, STR_NONE) > max && has_former(before, after, STR_NONE)) {
        cluster_violate(c, "there are more events than the bound lets stay at revision %llu",
                        (unsigned long long)t->revision);
    }
}

void events_judge(struct cluster *c, const struct view *before, const struct view *after, const struct history_txn *t)
{
    bool writes = false;
    for (unsigned i = 0; i < t->count; i++) {
        writes |= is_event(t->changes[i].new);
    }
    if (!writes || c->swarm.events_bytes == 0) {
        return; /* what is deleted has expired, or goes with its namespace */
    }
    for (unsigned i = 0; i < t->count; i++) {
        if (is_drop(&t->changes[i])) {
            c->dropped++;
            judge_drop(c, before, after, t, i);
        }
    }
    judge_bounds(c, before, after, t);
}

/* ---- Each master's ring ---- */

bool events_hold(const struct view *v)
{
    const struct kind *k = kind_by_id(KIND_EVENT);
    const struct object *last = NULL;
    struct view_iter it;
    uint64_t weight = 0, count = 0;
    view_iter_events(&it, v, STR_NONE, 0, STR_NONE);
    VIEW_FOR(o, &it)
    {
        bool next = last != NULL && str_eq(last->ns, o->ns);
        if ((next && !is_older(last, o)) || view_get(v, k, o->ns, o->name) != o) {
            return false;
        }
        weight += event_ring_weight(o);
        count++;
        last = o;
    }
    return count == view_count(v, k) && weight == view_events(v)->weight;
}
