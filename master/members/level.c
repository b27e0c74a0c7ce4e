#include "master/members/level.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "master/members/level_rule.h"
#include "master/record.h"
#include "proto/facts/cluster.h"
#include "proto/schema/release.h"

#define MEMBERS_MAX 64u
#define ASK_EVERY   10u  /* chores; every time while the level may rise */
#define ASK_MS      2000 /* so long an answer is waited for */
#define VERSION_MAX 32u

struct told {
    uint64_t id;
    int64_t at_ms; /* env now_ms */
    unsigned level;
    char version[VERSION_MAX];
};
struct levels {
    struct told rows[MEMBERS_MAX];
    unsigned count, ticks;
    bool raising;
    uint64_t seen; /* revision of the record that was last looked at */
};

unsigned level_program(void)
{
    return failpoint(FAILPOINT_level_of_program) ? 0 : release.level;
}

struct levels *levels_new(void)
{
    return xcalloc(1, sizeof(struct levels));
}

void levels_free(struct levels *l)
{
    free(l);
}

/* ---- Who can what ---- */

static void forget(struct levels *l, uint64_t id)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (l->rows[i].id == id) {
            l->rows[i] = l->rows[--l->count];
            return;
        }
    }
}

static const struct told *find(const struct levels *l, uint64_t id)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (l->rows[i].id == id) {
            return &l->rows[i];
        }
    }
    return NULL;
}

struct question {
    struct master *m;
    uint64_t id;
};

static void answered(const struct rpc_result *r, void *data)
{
    struct question *q = data;
    struct levels *l = q->m->levels;
    forget(l, q->id);
    /* A program that knows the question not knows of no levels: its level is 0. */
    if ((r->error == NULL || r->error->code == ERR_UNSUPPORTED) && l->count < MEMBERS_MAX) {
        struct told *t = &l->rows[l->count++];
        *t = (struct told){.id = q->id, .at_ms = env_now_ms(q->m->env)};
        if (r->error == NULL) {
            int64_t level = mp_int(mp_get(r->result, "featureLevel"), 0);
            struct str version = mp_str(mp_get(r->result, "version"));
            t->level = level < 0 || level > INT32_MAX ? 0 : (unsigned)level;
            snprintf(t->version, sizeof t->version, "%.*s", (int)MIN(version.n, VERSION_MAX - 1),
                     version.n ? version.p : "");
        }
    }
    free(q);
}

static void ask_all(struct master *m, const struct replica_member *members, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (members[i].id != m->config.id && transport_session(m->transport, members[i].id) != NULL) {
            struct question *q = xmalloc(sizeof *q);
            *q = (struct question){m, members[i].id};
            transport_call(m->transport, members[i].id, "about", STR("\x80"), ASK_MS, answered, q);
        } else {
            forget(m->levels, members[i].id);
        }
    }
}

void level_tell(struct rpc_request *req)
{
    struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_str(&b, "version", STR(REEVE_VERSION));
    mp_write_key_int(&b, "featureLevel", level_program());
    rpc_reply(req, buf_str(&b));
    buf_close(&b);
}

bool level_of(const struct master *m, uint64_t id, unsigned *level, const char **version)
{
    const struct told *t = find(m->levels, id);
    if (id == m->config.id) {
        *level = level_program();
        *version = REEVE_VERSION;
        return true;
    }
    if (t == NULL) {
        return false;
    }
    *level = t->level;
    *version = t->version;
    return true;
}

/* ---- The cluster's ---- */

unsigned level_cluster(const struct master *m)
{
    return m->replica == NULL ? 0 : store_level(replica_store(m->replica));
}

static bool lowest(const struct master *m, const struct replica_member *members, unsigned n, unsigned *level)
{
    struct level_voter others[MEMBERS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < n; i++) {
        if (members[i].role == RAFT_VOTER && members[i].id != m->config.id) {
            const struct told *t = find(m->levels, members[i].id);
            others[count++] = t == NULL ? (struct level_voter){0}
                                        : (struct level_voter){true, env_now_ms(m->env) - t->at_ms, t->level};
        }
    }
    return level_lowest(level_program(), others, count, level);
}

static void raised(const struct txn_result *result, const struct error *error, void *data)
{
    (void)result;
    struct master *m = data;
    m->levels->raising = false;
    if (error != NULL) {
        log_info(&m->log, "level", "the feature level was not raised: %s", error->message);
    }
}

/* The level for people to see: ClusterConfiguration's status. What counts is the record. Returns 1 if there was
 * something to write, 0 if not. */
static int show(struct master *m, struct arena *a, struct txn *t, unsigned level, struct error *err)
{
    const struct kind *k = kind_by_id(KIND_CLUSTERCONFIGURATION);
    const struct object *o = view_get(store_tip(replica_store(m->replica)), k, STR_NONE, STR(CLUSTER_CONFIG_NAME));
    if (o == NULL || level == 0 || mp_int(mp_path(object_mp(o), "status.featureLevel"), 0) == (int64_t)level) {
        return 0; /* a cluster that was made before there was one has none */
    }
    struct value *doc = object_to_value(a, o);
    value_set(a, value_ensure_map(a, doc, "status"), "featureLevel", value_int(a, level));
    int rv = txn_update_value(t, k, doc, TXN_PART_STATUS, o->revision, err);
    return rv != 0 ? rv : 1;
}

/* level: higher than the cluster's, or the same, which is shown where it is not yet. */
static void raise_to(struct master *m, unsigned level)
{
    CLEANUP_ARENA struct arena a;
    struct record r;
    struct txn t;
    struct error err = {0};
    arena_init(&a);
    bool higher = level > level_cluster(m);
    if (higher && !record_open(m, &a, &r)) {
        return;
    }
    txn_init(&t, "level");
    int shown = show(m, &a, &t, level, &err);
    int rv = shown < 0 ? shown : 0;
    if (higher && rv == 0) {
        value_set(&a, r.data, RECORD_LEVEL, value_strf(&a, "%u", level));
        rv = record_put(&r, &t, &err);
    }
    if (rv == 0 && (higher || shown > 0)) {
        m->levels->raising = true;
        replica_submit(m->replica, &t, raised, m, &err);
        master_wake(m);
    }
    txn_close(&t);
}

void level_tick(struct master *m)
{
    struct levels *l = m->levels;
    struct replica_member members[MEMBERS_MAX];
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members)), level;
    level_on_committed(m); /* what was loaded */
    bool may_rise = replica_leading(m->replica) && level_cluster(m) < level_program();
    if (may_rise && !l->raising && !replica_changing(m->replica) && lowest(m, members, n, &level) &&
        level > level_cluster(m)) {
        raise_to(m, level);
    } else if (replica_leading(m->replica) && !l->raising) {
        raise_to(m, level_cluster(m));
    }
    if (may_rise || l->ticks++ % ASK_EVERY == 0) {
        ask_all(m, members, n);
    }
}

int level_check(unsigned level, const char *what, struct error *err)
{
    if (level <= release.level) {
        return 0;
    }
    return error_set(err, ERR_UNSUPPORTED,
                     "%s belongs to a cluster at feature level %u, and this reeve-master (version " REEVE_VERSION
                     ") knows levels up to %u: it is older than what the cluster holds by now. Nothing was changed. "
                     "Install the newer reeve-master again and start it; a cluster's level is never lowered",
                     what, level, release.level);
}

int level_check_start(struct master *m, struct error *err)
{
    CLEANUP_FREE char *what = xasprintf("the data directory %s", m->config.dir);
    return level_check(record_level(store_committed(replica_store(m->replica))), what, err);
}

/* So that an older program is told at its start, before it looks at anything else. Level 1 is not noted: programs
 * before it knew no such setting, and would be able to take over. */
static void note(struct master *m, unsigned level)
{
    struct error err = {0};
    if (level <= 1 || m->config.feature_level == level) {
        return;
    }
    m->config.feature_level = level;
    if (master_config_save(&m->config, &err) != 0) {
        log_warn(&m->log, "level", "the feature level is not noted: %s", err.message);
    }
}

void level_on_committed(struct master *m)
{
    struct store *s = replica_store(m->replica);
    const struct object *o = record_object(store_committed(s));
    struct error err = {0};
    if (m->stopping || o == NULL || o->revision == m->levels->seen) {
        return;
    }
    m->levels->seen = o->revision;
    unsigned level = record_level(store_committed(s));
    if (level_check_start(m, &err) != 0) {
        log_error(&m->log, "level", "%s", err.message);
        master_stop(m, 1);
    } else if (level != store_level(s)) {
        log_info(&m->log, "level", "the cluster's feature level is %u", level);
        store_set_level(s, level);
        note(m, level);
    }
}
