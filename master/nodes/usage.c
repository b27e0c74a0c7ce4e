/* node.usage: what a node and its pods use, for the leader's memory alone (controllers/usage.h). */
#include "master/master.h"
#include "master/nodes/batch.h"
#include "master/nodes/feeds.h"
#include "master/nodes/nodes.h"
#include "master/nodes/told.h"

int told_usage(const struct told *t, struct mp params, struct error *err)
{
    struct master *m = t->m;
    int rv = told_takes(m, t->who, t->node, t->bytes, "node.usage", err);
    if (rv == 0) {
        core_heartbeat(m->core, t->node);
        rv = usage_take(core_usage(m->core), t->node, params, env_now_ms(m->env), err);
    }
    if (rv == 0) {
        m->stats.usage_reports++;
        names_step(&m->names, core_usage(m->core), node_feeds_services_changes(m), env_now_ms(m->env));
    }
    return rv;
}

static void method_node_usage(struct call *c)
{
    struct error err = {0};
    struct str node;
    if (!call_own_node(c, &node)) {
        return;
    }
    if (!replica_leading(c->m->replica)) {
        if (node_may_write(c, node)) {
            batch_take(c);
        }
        return;
    }
    struct told t = {.m = c->m, .who = c->e.who, .node = node};
    told_read(&t, c->params.all);
    if (told_usage(&t, c->params.all, &err) != 0) {
        call_fail(c, &err);
        return;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 0);
    call_reply(c, &b);
}

const struct method request_node_usage = {"node.usage", method_node_usage, METHOD_NODE | METHOD_LEADER | METHOD_SERVED,
                                          "name at window cpu memory pods services"};
