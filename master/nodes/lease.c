#include "master/nodes/lease.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "master/api/watch.h"
#include "master/nodes/feeds.h"
#include "master/nodes/nodes.h"
#include "proto/facts/condition.h"

#define LEASE_ASKERS_MAX 64u /* as many members as are looked at elsewhere */

struct lease {
    bool held;
    uint64_t tick, counted; /* the tick of now; that of the last question that counted */
    unsigned in_a_row;
    bool asking;
    int64_t told_ms;  /* heartbeats before were told, and the leader has answered */
    int64_t as_of_ms; /* env boot_ms: our state has all that was committed then; 0: not known */
    /* While leading: */
    bool led;        /* it did at the last tick */
    bool confirming; /* that it leads */
    struct asker {
        uint64_t id, tick; /* of its last question, or of our first look */
        bool missed;       /* its agents were told */
    } askers[LEASE_ASKERS_MAX];
    unsigned askers_count;
};

/* A question on its way, until the log is applied as far as its answer says. */
struct question {
    struct master *m;
    uint64_t tick;
    int64_t asked_ms, asked_boot_ms; /* env now_ms, boot_ms */
};

struct lease *lease_new(void)
{
    return xcalloc(1, sizeof(struct lease));
}

void lease_free(struct lease *l)
{
    free(l);
}

bool lease_held(const struct master *m)
{
    return replica_leading(m->replica) || m->lease->held;
}

bool lease_is_recent(const struct master *m, int64_t most_ms)
{
    const struct lease *l = m->lease;
    return l == NULL || (l->as_of_ms != 0 && env_boot_ms(m->env) - l->as_of_ms <= most_ms);
}

static void lose(struct master *m, const char *why)
{
    struct lease *l = m->lease;
    struct error err = {0};
    l->in_a_row = 0;
    if (!l->held && !l->led) {
        return;
    }
    l->held = l->led = false;
    m->stats.leases_lost++;
    log_warn(&m->log, "nodes", "agents are served by other masters from now on: %s", why);
    error_set(&err, ERR_NOT_LEADER, "this master does not keep up with the leader: %s", why);
    node_feeds_end(m, &err);
    watch_table_end_nodes(m->watches, &err);
}

/* ---- Asking ---- */

static void caught_up(const struct error *error, void *data)
{
    struct question *q = data;
    struct lease *l = q->m->lease;
    if (error == NULL && !q->m->stopping) {
        l->counted = MAX(l->counted, q->tick);
        l->as_of_ms = MAX(l->as_of_ms, q->asked_boot_ms);
        l->in_a_row++;
        if (!l->held && l->in_a_row >= LEASE_BACK) {
            l->held = true;
            log_info(&q->m->log, "nodes", "agents may be served here");
        }
    } else {
        l->in_a_row = 0;
    }
    free(q);
}

/* The leader had given them up; they live. */
static void refresh(struct master *m, struct mp names)
{
    for (struct mp_iter it = mp_iter(names); mp_next(&it);) {
        struct session *s = strmap_get(&m->agents, mp_str(it.value));
        if (s != NULL) {
            rpc_notify(s->rpc, "node.refresh", STR("\x80"));
        }
    }
}

static void answered(const struct rpc_result *r, void *data)
{
    struct question *q = data;
    struct master *m = q->m;
    m->lease->asking = false;
    if (r->error != NULL || m->stopping) {
        m->lease->in_a_row = 0;
        if (r->error != NULL && r->error->code == ERR_UNSUPPORTED) {
            lose(m, "the leader's release serves all agents itself");
        }
        free(q);
        return;
    }
    m->lease->told_ms = MAX(m->lease->told_ms, q->asked_ms);
    refresh(m, mp_get(r->result, "unknown"));
    replica_wait_applied(m->replica, (uint64_t)mp_int(mp_get(r->result, "index"), INT64_MAX), LEASE_ASK_MS, caught_up,
                         q);
}

static void ask(struct master *m, uint64_t leader)
{
    struct lease *l = m->lease;
    struct question *q = xcalloc(1, sizeof *q);
    CLEANUP_BUF struct buf heard = BUF_INIT;
    CLEANUP_BUF struct buf b = BUF_INIT;
    uint32_t count = 0;
    int64_t now_ms = env_now_ms(m->env);
    *q = (struct question){.m = m, .tick = l->tick, .asked_ms = now_ms, .asked_boot_ms = env_boot_ms(m->env)};
    LIST_FOR(it, &m->sessions)
    {
        const struct session *s = LIST_ENTRY(it, struct session, link);
        if (s->node[0] != '\0' && s->beat_ms >= l->told_ms && s->beat_ms > 0 && heard.size < RPC_MESSAGE_MAX / 2) {
            mp_write_key_int(&heard, s->node, now_ms - s->beat_ms);
            count++;
        }
    }
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "heard");
    mp_write_map(&b, count);
    buf_append(&b, heard.data, heard.size);
    l->asking = true;
    transport_call(m->transport, leader, "nodes.lease", buf_str(&b), LEASE_ASK_MS, answered, q);
}

/* ---- Who asks the leader ---- */

static struct asker *asker_of(struct lease *l, uint64_t id)
{
    for (unsigned i = 0; i < l->askers_count; i++) {
        if (l->askers[i].id == id) {
            return &l->askers[i];
        }
    }
    if (l->askers_count == ARRAY_SIZE(l->askers)) {
        return NULL;
    }
    l->askers[l->askers_count] = (struct asker){.id = id, .tick = l->tick};
    return &l->askers[l->askers_count++];
}

/* To the agents of a master that is silent. */
static void tell_unserved(struct master *m, uint64_t id)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    const struct view *v = store_committed(replica_store(m->replica));
    unsigned told = 0;
    mp_write_map(&b, 1);
    mp_write_key_int(&b, "master", (int64_t)id);
    LIST_FOR(it, &m->sessions)
    {
        const struct session *s = LIST_ENTRY(it, struct session, link);
        if (s->node[0] != '\0' &&
            nodes_served_by(view_get(v, kind_by_id(KIND_NODE), STR_NONE, str_of(s->node))) == id) {
            rpc_notify(s->rpc, "node.unserved", buf_str(&b));
            told++;
        }
    }
    if (told > 0) {
        log_warn(&m->log, "nodes",
                 "master %" PRIu64 " has been silent for some seconds: its %u agents are to be served "
                 "by others",
                 id, told);
    }
}

static void look_after_askers(struct master *m)
{
    struct lease *l = m->lease;
    struct replica_member members[LEASE_ASKERS_MAX];
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    for (unsigned i = 0; i < n; i++) {
        struct asker *a = members[i].id == m->config.id ? NULL : asker_of(l, members[i].id);
        if (a != NULL && !a->missed && l->tick - a->tick > LEASE_TICKS + LEASE_DOUBT) {
            a->missed = true;
            tell_unserved(m, a->id);
        }
    }
}

/* ---- While leading ---- */

static void confirmed(const struct error *error, void *data)
{
    struct question *q = data;
    struct lease *l = q->m->lease;
    if (!q->m->stopping) {
        l->confirming = false;
        if (error == NULL) {
            l->as_of_ms = MAX(l->as_of_ms, q->asked_boot_ms);
            l->counted = MAX(l->counted, q->tick);
            l->held = true;
        }
    }
    free(q);
}

/* A process that stood still may lead no more and not know it for a while: others have to say so. */
static void confirm(struct master *m)
{
    if (!m->lease->confirming) {
        struct question *q = xcalloc(1, sizeof *q);
        *q = (struct question){.m = m, .tick = m->lease->tick, .asked_boot_ms = env_boot_ms(m->env)};
        m->lease->confirming = true;
        replica_read(m->replica, confirmed, q);
    }
}

void lease_tick(struct master *m)
{
    struct lease *l = m->lease;
    const char *address;
    uint64_t leader = replica_leader(m->replica, &address);
    l->tick++;
    if (replica_leading(m->replica)) {
        l->led = true;
        confirm(m);
        look_after_askers(m);
        return;
    }
    l->askers_count = 0;
    if (l->led && !l->held) {
        lose(m, "it has ceased to lead before a majority had confirmed that it did");
    }
    l->led = false;
    if (l->held && l->tick - l->counted > LEASE_TICKS) {
        lose(m, "it has not been heard, or what it has committed is not applied here, for some seconds");
    }
    if (!l->asking && leader != 0 && leader != m->config.id) {
        ask(m, leader);
    }
}

/* ---- The leader ---- */

void lease_tell(struct master *m, uint64_t peer_id, struct rpc_request *req, struct mp params)
{
    CLEANUP_BUF struct buf unknown = BUF_INIT;
    CLEANUP_BUF struct buf b = BUF_INIT;
    uint32_t count = 0;
    if (!replica_leading(m->replica)) {
        struct error err = {0};
        error_set(&err, ERR_NOT_LEADER, "this master does not lead");
        rpc_reply_error(req, &err);
        return;
    }
    struct asker *asker = asker_of(m->lease, peer_id);
    if (asker != NULL) {
        asker->tick = m->lease->tick;
        asker->missed = false;
    }
    const struct view *tip = store_tip(replica_store(m->replica));
    for (struct mp_iter it = mp_iter(mp_get(params, "heard")); mp_next(&it);) {
        const struct object *node = view_get(tip, kind_by_id(KIND_NODE), STR_NONE, it.key);
        if (node == NULL) {
            continue;
        }
        core_hear_of(m->core, it.key, mp_int(it.value, -1));
        if (condition_is(condition_mp(node, "Ready"), "Unknown")) {
            mp_write_str(&unknown, it.key);
            count++;
        }
    }
    struct replica_stats stats;
    replica_stats(m->replica, &stats);
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "index", (int64_t)stats.commit_index);
    mp_write_cstr(&b, "unknown");
    mp_write_array(&b, count);
    buf_append(&b, unknown.data, unknown.size);
    rpc_reply(req, buf_str(&b));
}
