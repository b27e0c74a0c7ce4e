/* Masters of two releases in one cluster. An operator replaces their programs one at a time while faults go on, and
 * takes some one step back; the level of the cluster rises by the rule of real masters (level_rule.h) and stands in the
 * state, and from then on leaders write what only the newer release knows: flags and words of entries, objects of
 * another kind.
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

#define NEXT_LEVEL   2u
#define NEXT_KIND    60001u /* nobody knows it: what it holds is carried through */
#define ASK_MS       500
#define NOVELTIES    12u /* objects of it, in all */
#define LONG_MS      (LEVEL_FRESH_MS + 1000)
#define OPERATOR_MIN 300
#define OPERATOR_MAX 1200

static const struct release next = {
    .level = NEXT_LEVEL, .newest = NEXT_LEVEL, .entry_flags = 0x8000, .entry_extra = "of the next release"};

const struct release *upgrade_release(const struct cluster *c, uint64_t id)
{
    return c->machines[id].newer ? &next : &release;
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

static void write_novelty(struct life *life)
{
    struct cluster *c = life->c;
    CLEANUP_ARENA struct arena a;
    struct object *o = NULL;
    struct error err = {0};
    struct txn t;
    arena_init(&a);
    struct value *doc = value_map(&a), *metadata = value_map(&a);
    value_set(&a, metadata, "name", value_strf(&a, "novelty-%u", c->novelties++));
    value_set(&a, doc, "apiVersion", value_cstr(&a, "next/v1"));
    value_set(&a, doc, "kind", value_cstr(&a, "Novelty"));
    value_set(&a, doc, "metadata", metadata);
    value_set(&a, doc, "above", value_int(&a, c->sim.now_ms));
    if (object_from_value(kind_stored(NEXT_KIND), doc, 0, &o, &err) != 0) {
        cluster_violate(c, "an object of a kind that is not known cannot be made: %s", err.message);
        return;
    }
    txn_init(&t, "api");
    txn_create(&t, o);
    replica_submit(life->replica, &t, NULL, NULL, &err);
    txn_close(&t);
}

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
    if (life->release->level < NEXT_LEVEL && view_count(v, kind_stored(NEXT_KIND)) > 0) {
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
    if (level == NEXT_LEVEL && c->novelties < NOVELTIES && rng_below(&c->more, 20) == 0) {
        write_novelty(life);
    }
    return true;
}

/* ---- The operator ---- */

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

static void operate(void *arg)
{
    struct cluster *c = arg;
    if (c->phase != PHASE_LOAD) {
        return;
    }
    replace_one(c);
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
        bool old = m->life != NULL && m->life->release->level < NEXT_LEVEL;
        m->newer = true;
        if (old) {
            master_stop(c, id);
        }
    }
}

bool upgrade_settled(struct cluster *c, char why[256])
{
    if (c->swarm.upgrades && c->level < NEXT_LEVEL) {
        snprintf(why, 256, "all programs are newer, and the level is %u", c->level);
        return false;
    }
    return true;
}
