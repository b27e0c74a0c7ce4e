/* Masters of two releases in one cluster. An operator replaces their programs one at a time while faults go on, and
 * takes some one step back; the level of the cluster rises by the rule of real masters (level_rule.h) and stands in the
 * state, and from then on leaders write what only the newer release knows: flags and words of entries, objects of
 * another kind, Novelty, and a field of ConfigMaps, novelty. The older program has neither in its tables (kinds.h).
 *
 * In half of the seeds the newer release has no level of its own ("lax"): what it writes comes to older programs at
 * once, and they must carry it through, in their logs, snapshots and states, and where they lead: what they change of
 * such an object leaves the rest of it as it was, and what belongs to an object that is gone is collected.
 *
 * Judged: the level is not raised while a voter has run the older program for long; an older program never holds what
 * only the newer one may write, unless it has refused to go on, as it must where the level is beyond it; and at rest
 * the level has risen. That all states are equal, and that nothing acknowledged is lost, is judged as in every
 * cluster. */
#include <assert.h>
#include <stdio.h>

#include "master/members/level_rule.h"
#include "proto/facts/cluster.h"
#include "proto/schema/release.h"
#include "tests/sim/cluster.h"
#include "tests/sim/kinds.h"

#define NEXT_LEVEL   2u
#define ASK_MS       500
#define NOVELTY_MS   60
#define MADE_MAX     24u /* what only the newer release knows, in all */
#define CHANGED_MAX  48u
#define DELETED_MAX  6u
#define LONG_MS      (LEVEL_FRESH_MS + 1000)
#define OPERATOR_MIN 300
#define OPERATOR_MAX 1200

static const struct release next = {
    .level = NEXT_LEVEL, .newest = NEXT_LEVEL, .entry_flags = 0x8000, .entry_extra = "of the next release"};

/* With more in its tables, and nothing that an older one would have to know of. */
static const struct release next_lax = {.level = NEXT_LEVEL - 1, .newest = NEXT_LEVEL - 1};

const struct release *upgrade_release(const struct cluster *c, uint64_t id)
{
    return !c->machines[id].newer ? &release : c->lax ? &next_lax : &next;
}

void upgrade_enter(void *data, uint64_t id)
{
    const struct cluster *c = data;
    kinds_of_release(c->machines[id].knows);
}

static bool is_old(const struct life *life)
{
    return life->release == &release;
}

static unsigned level_in(const struct view *v)
{
    const struct object *o = view_get(v, kind_by_id(KIND_CLUSTERCONFIGURATION), STR_NONE, STR(CLUSTER_CONFIG_NAME));
    return o == NULL ? release.level : (unsigned)mp_int(mp_path(object_mp(o), "status.featureLevel"), release.level);
}

/* ---- What a leader does ---- */

static bool hears(const struct cluster *c, const struct life *life, uint64_t id)
{
    return c->machines[id].life != NULL && !c->sim.paused[id] && !c->sim.cut[life->id][id] && !c->sim.cut[id][life->id];
}

static void ask_all(struct life *life, const struct replica_member *members, unsigned n)
{
    struct cluster *c = life->c;
    if (c->sim.now_ms < life->asked_ms + ASK_MS) {
        return;
    }
    life->asked_ms = c->sim.now_ms;
    for (unsigned i = 0; i < n; i++) {
        uint64_t id = members[i].id;
        bool heard = hears(c, life, id);
        life->told[id].known = heard;
        if (heard) {
            life->told[id].at_ms = c->sim.now_ms;
            life->told[id].level = c->machines[id].life->release->level;
        }
    }
}

static bool all_can(struct life *life, const struct replica_member *members, unsigned n, unsigned *level)
{
    struct level_voter others[SIM_SERVERS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t id = members[i].id;
        if (members[i].role == RAFT_VOTER && id != life->id) {
            others[count++] = (struct level_voter){life->told[id].known, life->c->sim.now_ms - life->told[id].at_ms,
                                                   life->told[id].level};
        }
    }
    return level_lowest(life->release->level, others, count, level);
}

static void judge_raise(struct life *life, const struct replica_member *members, unsigned n, unsigned level)
{
    struct cluster *c = life->c;
    for (unsigned i = 0; i < n; i++) {
        const struct life *other = c->machines[members[i].id].life;
        if (members[i].role == RAFT_VOTER && other != NULL && other->release->level < level &&
            other->born_ms + LONG_MS < c->sim.now_ms) {
            cluster_violate(c, "the level is raised to %u while master %llu, which has a vote, runs an older program",
                            level, (unsigned long long)other->id);
        }
    }
}

static void raised(const struct txn_result *result, const struct error *error, void *data)
{
    (void)result;
    (void)error;
    *(bool *)data = false;
}

static void raise_to(struct life *life, unsigned level)
{
    CLEANUP_ARENA struct arena a;
    struct txn t;
    struct error err = {0};
    const struct kind *k = kind_by_id(KIND_CLUSTERCONFIGURATION);
    arena_init(&a);
    txn_init(&t, "level");
    const struct object *o = view_get(store_tip(replica_store(life->replica)), k, STR_NONE, STR(CLUSTER_CONFIG_NAME));
    struct value *doc = o == NULL ? cluster_config_new(&a, "sim") : object_to_value(&a, o);
    value_set(&a, value_ensure_map(&a, doc, "status"), "featureLevel", value_int(&a, level));
    int rv =
        o == NULL ? txn_create_value(&t, k, doc, &err) : txn_update_value(&t, k, doc, TXN_PART_ALL, o->revision, &err);
    assert(rv == 0);
    life->raising = replica_submit(life->replica, &t, raised, &life->raising, &err) == 0;
    cluster_trace(life->c, "master %llu raises the level to %u", (unsigned long long)life->id, level);
    txn_close(&t);
}

/* ---- What only the newer release knows ---- */

static bool is_novel(const struct object *o)
{
    return o->kind->id == KIND_NOVELTY ||
           (o->kind->id == KIND_CONFIGMAP && mp_str(mp_get(object_mp(o), "novelty")).n > 0);
}

/* One of the ConfigMaps that have the field; NULL. */
static const struct object *any_novel(struct cluster *c, const struct view *v)
{
    const struct object *found = NULL;
    struct view_iter it;
    unsigned skip = (unsigned)rng_below(&c->more, 4);
    view_iter(&it, v, kind_by_id(KIND_CONFIGMAP), STR(NAMESPACE));
    VIEW_FOR(o, &it)
    {
        if (is_novel(o) && (found == NULL || skip > 0)) {
            skip -= found != NULL;
            found = o;
        }
    }
    return found;
}

static void submit(struct life *life, struct txn *t)
{
    struct error err = {0};
    replica_submit(life->replica, t, NULL, NULL, &err);
    txn_close(t);
}

/* A ConfigMap with the field, or a Novelty that such a one owns. */
static void make(struct life *life)
{
    struct cluster *c = life->c;
    CLEANUP_ARENA struct arena a;
    struct txn t;
    arena_init(&a);
    unsigned n = c->novelties.made++;
    const struct object *owner = n % 3 == 0 ? NULL : any_novel(c, store_tip(replica_store(life->replica)));
    const char *text =
        owner == NULL
            ? arena_printf(&a,
                           "{apiVersion: v1, kind: ConfigMap, metadata: {name: novel-%u, namespace: " NAMESPACE
                           "}, data: {a: b}, novelty: of tomorrow %u}",
                           n, n)
            : arena_printf(&a,
                           "{apiVersion: next/v1, kind: Novelty, metadata: {name: novelty-%u, namespace: " NAMESPACE
                           ", ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: %.*s, uid: %.*s}]}, spec: "
                           "{above: %u}}",
                           n, STR_ARG(owner->name), STR_ARG(owner->uid), n);
    txn_init(&t, "api");
    txn_create(&t, yaml_object(text));
    submit(life, &t);
}

/* As a patch does it. */
static void change(struct life *life)
{
    struct cluster *c = life->c;
    const struct object *o = any_novel(c, store_tip(replica_store(life->replica)));
    CLEANUP_ARENA struct arena a;
    struct txn t;
    struct error err = {0};
    arena_init(&a);
    if (o == NULL) {
        return;
    }
    struct value *doc = object_to_value(&a, o);
    const char *number = arena_printf(&a, "%u", c->novelties.changed++);
    c->novelties.old_changed += is_old(life);
    value_set(&a, value_ensure_map(&a, doc, "data"), "a", value_cstr(&a, number));
    txn_init(&t, "api");
    int rv = txn_update_value(&t, o->kind, doc, TXN_PART_SPEC, o->revision, &err);
    assert(rv == 0);
    submit(life, &t);
}

static void delete_one(struct life *life)
{
    const struct object *o = any_novel(life->c, store_tip(replica_store(life->replica)));
    struct txn t;
    if (o != NULL) {
        life->c->novelties.deleted++;
        txn_init(&t, "api");
        txn_delete(&t, o);
        submit(life, &t);
    }
}

static void novelties_turn(struct life *life)
{
    struct cluster *c = life->c;
    bool may = c->lax ? !is_old(life) : c->level == NEXT_LEVEL;
    unsigned share = c->phase == PHASE_LOAD ? 1 : 4; /* it is to come to rest */
    if (c->phase == PHASE_BOOT || c->sim.now_ms < c->novelties.next_ms) {
        return;
    }
    c->novelties.next_ms = c->sim.now_ms + 1 + (int64_t)rng_below(&c->more, 2 * NOVELTY_MS / share);
    uint64_t n = rng_below(&c->more, 8);
    if (n < 4 && may && c->novelties.made < MADE_MAX / share) {
        make(life);
    } else if (n < 7 && c->novelties.changed < CHANGED_MAX / share) {
        change(life);
    } else if (n == 7 && c->novelties.deleted < DELETED_MAX) {
        delete_one(life);
    }
}

void upgrade_judge(struct cluster *c, const struct history_txn *t)
{
    for (unsigned i = 0; c->swarm.upgrades && i < t->count; i++) {
        const struct object *old = t->changes[i].old, *now = t->changes[i].new;
        if (old == NULL || now == NULL || !is_novel(old)) {
            continue;
        }
        bool same =
            old->kind->id == KIND_NOVELTY
                ? mp_int(mp_path(object_mp(old), "spec.above"), -1) == mp_int(mp_path(object_mp(now), "spec.above"), -2)
                : str_eq(mp_str(mp_get(object_mp(old), "novelty")), mp_str(mp_get(object_mp(now), "novelty")));
        if (!same) {
            cluster_violate(c, "%.*s lost what only the newer release knows at revision %llu", STR_ARG(now->name),
                            (unsigned long long)t->revision);
        }
    }
}

/* Each Novelty has its owner. */
static bool all_owned(const struct view *v, char why[256])
{
    struct view_iter it;
    view_iter(&it, v, kind_stored(KIND_NOVELTY), STR_NONE);
    VIEW_FOR(o, &it)
    {
        struct mp_iter owner = mp_iter(mp_path(object_mp(o), "metadata.ownerReferences"));
        struct str name = mp_next(&owner) ? mp_str(mp_get(owner.value, "name")) : STR_NONE;
        const struct object *found = view_get(v, kind_by_id(KIND_CONFIGMAP), o->ns, name);
        if (found == NULL || !str_eq(found->uid, mp_str(mp_get(owner.value, "uid")))) {
            snprintf(why, 256, "%.*s is there, and its owner is gone", STR_ARG(o->name));
            return false;
        }
    }
    return true;
}

/* ---- Turns ---- */

bool upgrade_turn(struct life *life)
{
    struct cluster *c = life->c;
    struct store *s = replica_store(life->replica);
    const struct view *v = store_committed(s);
    unsigned level = level_in(v), can;
    if (level > life->release->level) {
        cluster_trace(c, "master %llu is too old for level %u, and refuses", (unsigned long long)life->id, level);
        c->machines[life->id].newer = true; /* what it tells its operator to do */
        return false;
    }
    bool holds = is_old(life) && view_count(v, kind_stored(KIND_NOVELTY)) > 0;
    c->novelties.carried += holds;
    if (holds && !c->lax) {
        cluster_violate(c, "master %llu runs an older program and holds what the newer one writes",
                        (unsigned long long)life->id);
    }
    if (level != store_level(s)) {
        store_set_level(s, level);
    }
    c->level = MAX(c->level, level);
    if (!replica_leading(life->replica)) {
        return true;
    }
    struct replica_member members[SIM_SERVERS_MAX];
    unsigned n = replica_members(life->replica, members, ARRAY_SIZE(members));
    ask_all(life, members, n);
    if (!life->raising && !replica_changing(life->replica) && all_can(life, members, n, &can) && can > level) {
        judge_raise(life, members, n, can);
        raise_to(life, can);
    }
    novelties_turn(life);
    return true;
}

/* ---- The operator ---- */

void upgrade_draw(struct cluster *c)
{
    c->lax = c->swarm.upgrades && c->seed / 2 % 2 == 0;
    for (uint64_t id = 1; c->lax && id < SIM_SERVERS_MAX; id++) {
        c->machines[id].newer = (c->seed / 4 + id) % 2 == 0; /* in the midst of it from the first on */
    }
}

static void let_go(void *arg)
{
    (void)arg;
}

static void replace_one(struct cluster *c)
{
    uint64_t ids[SIM_SERVERS_MAX];
    unsigned count = masters_running(c, ids);
    for (unsigned i = 0; i < count; i++) {
        if (c->machines[ids[i]].life == NULL) {
            return; /* one at a time */
        }
    }
    uint64_t id = count == 0 ? 0 : ids[rng_below(&c->more, count)];
    struct machine *m = &c->machines[id];
    bool back = rng_below(&c->more, 2) == 0 && m->newer && c->level < NEXT_LEVEL;
    if (id == 0 || (m->newer && !back)) {
        return;
    }
    m->newer = !m->newer;
    cluster_trace(c, "master %llu is to run the %s program", (unsigned long long)id, m->newer ? "newer" : "older");
    master_stop(c, id);
}

static void transferred(const struct error *error, void *data)
{
    (void)error;
    (void)data;
}

/* So that programs of both releases decide, one after another. */
static void pass_on(struct cluster *c)
{
    struct life *leader = masters_leader(c);
    if (leader != NULL && rng_below(&c->more, 2) == 0) {
        cluster_trace(c, "master %llu is to pass leadership on", (unsigned long long)leader->id);
        masters_touch(c, leader->id);
        replica_transfer(leader->replica, 0, transferred, NULL);
    }
}

static void operate(void *arg)
{
    struct cluster *c = arg;
    if (c->phase != PHASE_LOAD) {
        return;
    }
    replace_one(c);
    if (c->lax) {
        pass_on(c);
    }
    sim_after(&c->sim, OPERATOR_MIN + (int64_t)rng_below(&c->more, OPERATOR_MAX - OPERATOR_MIN), operate, let_go, c);
}

void upgrade_start(struct cluster *c)
{
    if (c->swarm.upgrades) {
        sim_after(&c->sim, OPERATOR_MIN, operate, let_go, c);
    }
}

void upgrade_heal(struct cluster *c)
{
    for (uint64_t id = 1; c->swarm.upgrades && id < SIM_SERVERS_MAX; id++) {
        struct machine *m = &c->machines[id];
        bool old = m->life != NULL && is_old(m->life);
        m->newer = true;
        if (old) {
            master_stop(c, id);
        }
    }
}

bool upgrade_settled(struct cluster *c, char why[256])
{
    if (c->swarm.upgrades && !c->lax && c->level < NEXT_LEVEL) {
        snprintf(why, 256, "all programs are newer, and the level is %u", c->level);
        return false;
    }
    return !c->swarm.upgrades || all_owned(c->ledger.model, why);
}
