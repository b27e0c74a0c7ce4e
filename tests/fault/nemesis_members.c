/* Changes of the membership under load, the good and the sudden: a master joins and another leaves, a dead one is
 * replaced, leadership is handed on. The cluster has its size again after each. */
#include <stdio.h>
#include <string.h>

#include "tests/fault/kit.h"
#include "tests/fault/nemeses.h"

#define VOTER_MS  60000
#define ORIGINALS 2u /* so many of the first masters stay: the clients know only the first ones' addresses */

/* A change that was refused because of another one, or of an election, is asked for again. */
static bool change(struct trial *t, const char *method, int64_t id)
{
    int64_t end_us = fault_now_us() + VOTER_MS * 1000;
    do {
        CLEANUP_ARENA struct arena a;
        CLEANUP_REPLY struct api_reply reply = {0};
        arena_init(&a);
        struct value *params = value_map(&a);
        if (id != 0) {
            value_set(&a, params, "id", value_int(&a, id));
        }
        /* As reads go: these writes carry no transaction id, and doing them twice is doing them once. */
        if (api_read(t->main->api, method, params, &reply, &t->main->error) == 0) {
            return true;
        }
        trial_say(t, "%s %lld: %s", method, (long long)id, t->main->error.message);
        trial_wait(t, 500);
    } while (fault_now_us() < end_us);
    trial_fail(t, "%s %lld was not done in time: %s", method, (long long)id, t->main->error.message);
    return false;
}

/* Until all that are in are voters and nobody else is a member. */
static bool wait_voters(struct trial *t)
{
    int64_t end_us = fault_now_us() + VOTER_MS * 1000;
    struct cluster_view v = {0};
    while (fault_now_us() < end_us) {
        int leader = cluster_leader(&t->cluster);
        if (leader >= 0 && cluster_ask(&t->cluster, (unsigned)leader, &v) && v.voters == cluster_size(&t->cluster) &&
            v.members == v.voters) {
            return true;
        }
        trial_wait(t, 50);
    }
    trial_fail(t, "after %d s there are %u voters of %u members, not %u of %u", VOTER_MS / 1000, v.voters, v.members,
               cluster_size(&t->cluster), cluster_size(&t->cluster));
    return false;
}

static int64_t id_of(struct trial *t, unsigned i)
{
    struct cluster_view v;
    if (cluster_ask(&t->cluster, i, &v)) {
        t->cluster.members[i].id = v.id;
    }
    return t->cluster.members[i].id;
}

/* Any, but not the last of the first ones. */
static int pick_leaver(struct trial *t)
{
    unsigned among = 0, originals = 0;
    for (unsigned i = 0; i < t->cluster.count; i++) {
        if (cluster_member_in(&t->cluster, i)) {
            among |= 1u << i;
            originals += i < t->config.masters;
        }
    }
    if (originals <= ORIGINALS) {
        among &= ~((1u << t->config.masters) - 1);
    }
    return among == 0 ? -1 : nemesis_pick(t, among);
}

static void leave(struct trial *t, unsigned i)
{
    trial_say(t, "remove m%u (id %lld)", i + 1, (long long)id_of(t, i));
    if (cluster_leader(&t->cluster) == (int)i) {
        change(t, "master.transfer", 0);
    }
    /* It may hear of its removal before we are answered. */
    t->cluster.members[i].gone = true;
    if (!change(t, "master.remove", t->cluster.members[i].id)) {
        t->cluster.members[i].gone = false;
    }
}

static void start_add_remove(struct trial *t)
{
    unsigned i;
    if (t->cluster.count == CLUSTER_MEMBERS_MAX) {
        return;
    }
    if (!cluster_add(&t->cluster, 0, &i)) {
        trial_fail(t, "m%u could not join: see setup.log", t->cluster.count);
        return;
    }
    trial_say(t, "m%u has joined", i + 1);
    if (wait_voters(t)) {
        trial_say(t, "m%u votes (id %lld)", i + 1, (long long)id_of(t, i));
    }
}

static void stop_add_remove(struct trial *t)
{
    while (cluster_size(&t->cluster) > t->config.masters) {
        int i = pick_leaver(t);
        if (i < 0) {
            return;
        }
        leave(t, (unsigned)i);
        wait_voters(t);
    }
}

static void start_replace(struct trial *t)
{
    unsigned fresh;
    int old = t->cluster.count == CLUSTER_MEMBERS_MAX ? -1 : pick_leaver(t);
    if (old < 0) { /* the first ones are few by now: another of the newcomers, or nothing to do */
        return;
    }
    int64_t id = id_of(t, (unsigned)old);
    trial_say(t, "m%d (id %lld) dies for good", old + 1, (long long)id);
    cluster_kill(&t->cluster, (unsigned)old);
    t->cluster.members[old].gone = true;
    if (!cluster_add(&t->cluster, id, &fresh)) {
        trial_fail(t, "m%u could not join in place of m%d: see setup.log", t->cluster.count, old + 1);
        return;
    }
    trial_say(t, "m%u has joined in its place", fresh + 1);
    if (wait_voters(t)) {
        trial_say(t, "m%u votes (id %lld)", fresh + 1, (long long)id_of(t, fresh));
    }
}

static void stop_replace(struct trial *t)
{
    (void)t;
}

static void start_transfer(struct trial *t)
{
    trial_say(t, "transfer");
    change(t, "master.transfer", 0);
}

static const struct nemesis add_remove = {
    .name = "member-add-remove",
    .about = "a master joins, another is removed",
    .needs = NEED_FABRIC | NEED_MAJORITY,
    .hold_min_ms = 300,
    .hold_max_ms = 1500,
    .start = start_add_remove,
    .stop = stop_add_remove,
};
static const struct nemesis replace = {
    .name = "member-replace",
    .about = "a master dies for good and is replaced",
    .needs = NEED_FABRIC | NEED_MAJORITY,
    .hold_min_ms = 300,
    .hold_max_ms = 1500,
    .start = start_replace,
    .stop = stop_replace,
};
static const struct nemesis transfer = {
    .name = "member-transfer",
    .about = "leadership is handed on again and again",
    .needs = NEED_MAJORITY,
    .hold_min_ms = 200,
    .hold_max_ms = 800,
    .start = start_transfer,
    .stop = stop_replace,
};

const struct nemesis *const nemeses_members[] = {&add_remove, &replace, &transfer, NULL};
