/* Events of agents, and some of our own: equal ones (object, reason, message, source) have one name, so a repetition
 * counts up instead of adding one. */
#include "master/nodes/events.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/timefmt.h"
#include "master/auth/allowance.h"
#include "master/auth/restrict.h"
#include "master/front/call.h"
#include "master/master.h"
#include "master/nodes/nodes.h"
#include "raft-store/store/event.h"

#define EVENTS_PER_CALL_MAX 512u
#define WARN_PAUSE_MS       60000 /* between two tellings of one warning of ours */

/* What an agent says is checked: it is a stranger's word. Twice in one report: once is enough. */
static int put_event(struct master *m, struct arena *a, struct txn *t, struct value *doc, struct error *err)
{
    const struct store *store = replica_store(m->replica);
    unsigned check = KIND_CHECK_LENIENT | KIND_CHECK_LEVEL(store_level(store));
    return event_in_txn(t, a, doc) ? 0 : event_put(t, a, store_tip(store), doc, env_wall_ms(m->env), check, err);
}

bool events_warn(struct master *m, const struct object *about, const char *reason, struct str message)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct event_words w = event_about(about);
    w.warning = true;
    w.reason = reason;
    w.component = "reeve-master";
    w.message = message;
    struct value *doc = event_document(&a, &w);
    const struct object *former = view_get(store_tip(replica_store(m->replica)), kind_by_id(KIND_EVENT),
                                           event_namespace(doc), event_name(&a, doc));
    int64_t last_ms, now_ms = env_wall_ms(m->env);
    if (former != NULL && timefmt_parse(mp_str(mp_get(object_mp(former), "lastTimestamp")), &last_ms) &&
        now_ms >= last_ms && now_ms - last_ms < WARN_PAUSE_MS) {
        return false;
    }
    struct txn t;
    struct error err = {0};
    txn_init(&t, "events");
    if (put_event(m, &a, &t, doc, &err) != 0 ||
        (t.count > 0 && replica_submit(m->replica, &t, NULL, NULL, &err) != 0)) {
        log_warn(&m->log, "events", "the event %s about %s %.*s is dropped: %s", reason, about->kind->singular,
                 STR_ARG(about->name), err.message);
    }
    txn_close(&t);
    return true;
}

static void written(const struct txn_result *result, const struct error *error, void *data)
{
    (void)result;
    struct call *c = data;
    if (error != NULL) {
        call_fail(c, error);
        return;
    }
    struct buf b = BUF_INIT;
    mp_write_map(&b, 0);
    call_reply(c, &b);
    buf_close(&b);
}

static int put_nodes_event(struct call *c, struct txn *t, struct str node, struct mp event, struct error *err)
{
    struct master *m = c->m;
    struct value *doc;
    int rv = msgpack_read_value(&c->e.arena, event.p, (size_t)(event.end - event.p), &doc, err);
    if (rv == 0 && !value_is_map(doc)) {
        rv = error_set(err, ERR_USAGE, "it is no map");
    }
    if (rv == 0 && c->e.who.role == PKI_ROLE_NODE) {
        struct restrict_known known = {replica_store(m->replica), m->departed, env_now_ms(m->env)};
        rv = restrict_event(&c->e.arena, &known, node, doc, (size_t)(event.end - event.p), err);
    }
    if (rv != 0) {
        return rv;
    }
    if (replica_disk_low(m->replica)) {
        return error_set(err, ERR_NO_SPACE, "the disk is nearly full");
    }
    if (allowance_take(m->replica_events, node, 1, env_now_ms(m->env)) != 0) {
        return error_set(err, ERR_LIMIT, "it tells more than %d events a second", 1000000 / RESTRICT_EVENT_US);
    }
    return put_event(m, &c->e.arena, t, doc, err);
}

static void method_node_events(struct call *c)
{
    struct mp list = call_param(c, "events");
    struct str node;
    if (!call_own_node(c, &node)) {
        return;
    }
    if (mp_count(list) > EVENTS_PER_CALL_MAX) {
        call_failf(c, ERR_LIMIT, "node.events: more than %u events in one call", EVENTS_PER_CALL_MAX);
        return;
    }
    if (!node_may_write(c, node)) {
        return;
    }
    struct txn t;
    txn_init(&t, "agent");
    struct error err = {0}, first = {0};
    unsigned dropped = 0;
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        if (put_nodes_event(c, &t, node, it.value, &err) != 0 && dropped++ == 0) {
            first = err;
        }
    }
    if (dropped > 0) {
        /* An agent could do nothing but send them again: what nobody can read or keep must not hold up the others. */
        c->m->stats.events_dropped += dropped;
        log_warn_of(&c->m->log, "events", c->e.who.name,
                    "%u of %u events of node %.*s are dropped, the first because: %s", dropped, mp_count(list),
                    STR_ARG(node), first.message);
    }
    replica_submit(c->m->replica, &t, written, c, &err);
    txn_close(&t);
    master_wake(c->m);
}

const struct method request_node_events = {"node.events", method_node_events,
                                           METHOD_NODE | METHOD_LEADER | METHOD_WRITES_NODE, "name events"};
