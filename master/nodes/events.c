/* Events of agents (those of the master itself: warn.h): equal ones (object, reason, message, source) have one name, so
 * a repetition counts up instead of adding one. */
#include <stdio.h>
#include <stdlib.h>

#include "master/auth/allowance.h"
#include "master/auth/restrict.h"
#include "master/master.h"
#include "master/nodes/told.h"
#include "raft-store/store/event.h"

#define EVENTS_PER_CALL_MAX 512u
#define DROPPED_PAUSE_MS    60000 /* between two lines of the log about events that are dropped, of whatever node */

/* What an agent says is checked: it is a stranger's word. Twice in one report: once is enough. */
static int put_event(struct master *m, struct arena *a, struct txn *t, struct value *doc, struct error *err)
{
    const struct store *store = replica_store(m->replica);
    unsigned check = KIND_CHECK_LENIENT | KIND_CHECK_LEVEL(store_level(store));
    return event_in_txn(t, a, doc) ? 0 : event_put(t, a, store_tip(store), doc, env_wall_ms(m->env), check, err);
}

struct waiting {
    told_done_cb *done;
    void *data;
};

static void written(const struct txn_result *result, const struct error *error, void *data)
{
    struct waiting *w = data;
    CLEANUP_BUF struct buf b = BUF_INIT;
    (void)result;
    mp_write_map(&b, 0);
    w->done(error == NULL ? &b : NULL, error, w->data);
    free(w);
}

static int put_nodes_event(const struct told *t, struct txn *txn, struct mp event, struct error *err)
{
    struct master *m = t->m;
    struct value *doc;
    int rv = msgpack_read_value(t->arena, event.p, (size_t)(event.end - event.p), &doc, err);
    if (rv == 0 && !value_is_map(doc)) {
        rv = error_set(err, ERR_USAGE, "it is no map");
    }
    if (rv == 0 && t->who->role == PKI_ROLE_NODE) {
        struct restrict_known known = {replica_store(m->replica), m->departed, env_now_ms(m->env)};
        rv = restrict_event(t->arena, &known, t->node, doc, (size_t)(event.end - event.p), err);
    }
    if (rv != 0) {
        return rv;
    }
    if (replica_disk_low(m->replica)) {
        return error_set(err, ERR_NO_SPACE, "the disk is nearly full");
    }
    if (allowance_take(m->replica_events, t->node, 1, env_now_ms(m->env)) != 0) {
        return error_set(err, ERR_LIMIT, "it tells more than %d events a second", 1000000 / RESTRICT_EVENT_US);
    }
    return put_event(m, t->arena, txn, doc, err);
}

/* A storm of them, of one node or of thousands, is a line a minute with their number; the counter droppedEvents has
 * them all at any time. */
static void tell_dropped(const struct told *t, unsigned dropped, const struct error *first)
{
    struct master *m = t->m;
    int64_t now_ms = env_now_ms(m->env);
    m->stats.events_dropped += dropped;
    m->dropped.events += dropped;
    m->dropped.calls++;
    if (m->dropped.told && now_ms < m->dropped.told_ms + DROPPED_PAUSE_MS) {
        return;
    }
    log_warn(&m->log, "events",
             "%llu events of nodes are dropped, in %llu reports since it was told last; in that of node %.*s the first "
             "because: %s",
             (unsigned long long)m->dropped.events, (unsigned long long)m->dropped.calls, STR_ARG(t->node),
             first->message);
    m->dropped.told = true;
    m->dropped.told_ms = now_ms;
    m->dropped.events = m->dropped.calls = 0;
}

void told_events(const struct told *t)
{
    struct master *m = t->m;
    struct error err = {0}, first = {0};
    if (mp_count(t->events) > EVENTS_PER_CALL_MAX) {
        error_set(&err, ERR_LIMIT, "node.events: more than %u events in one call", EVENTS_PER_CALL_MAX);
        told_refuse(t, &err);
        return;
    }
    if (told_takes(m, t->who, t->node, t->bytes, "node.events", &err) != 0) {
        told_refuse(t, &err);
        return;
    }
    struct txn txn;
    txn_init(&txn, "agent");
    unsigned dropped = 0;
    for (struct mp_iter it = mp_iter(t->events); mp_next(&it);) {
        if (put_nodes_event(t, &txn, it.value, &err) != 0 && dropped++ == 0) {
            first = err;
        }
    }
    if (dropped > 0) {
        /* An agent could do nothing but send them again: what nobody can read or keep must not hold up the others. */
        tell_dropped(t, dropped, &first);
    }
    struct waiting *w = xcalloc(1, sizeof *w);
    *w = (struct waiting){t->done, t->data};
    replica_submit(m->replica, &txn, written, w, &err);
    txn_close(&txn);
    master_wake(m);
}
