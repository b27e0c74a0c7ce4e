/* What agents tell masters: who they are, that they live, how their pods do.
 *
 * An agent keeps a link to every master (agent/link/session.h). Over one of them, the leader or another that serves
 * agents (lease.h), it registers, asks for orders and reports (batch.h); to all of them it sends heartbeats, and over
 * each of its links that master can open streams to the node (relay.c). A link is ours to use (master.agents) when the
 * agent is the one that the stored Node names: when it has registered here, or when its hello tells the instance that
 * the Node has. A change of leader moves none of those who are served by others: the new leader calls its links
 * (node.lead), and knows already when it heard of whom. Heartbeats are soft state (core.h); only what changes goes into
 * the log. An agent may speak of its own node and of pods bound to it, of nothing else: the name in params must be the
 * name in its certificate.
 *
 * Two agents with one name: each tells its instance, ID-START-NONCE: ID is made once for the agent's directory, START
 * counts its starts, NONCE is the process. The Node keeps the instance that registered last. Another one is taken
 *   - if it is the same process (NONCE): a new connection;
 *   - if it has the same ID and a later START: the agent was started again, and one directory serves one process at a
 *     time (a lock);
 *   - if the Node is not alive: not heard within the grace, or given up.
 * Else it is refused, and the log and an Event of the Node say so. Of two copies of one directory the one started later
 * wins, once; the other is refused from then on. An agent that tells no instance is taken, and takes the place of
 * any. */
#include "master/nodes/nodes.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "master/api/api.h"
#include "master/api/watch.h"
#include "master/auth/restrict.h"
#include "master/front/call.h"
#include "master/master.h"
#include "master/nodes/batch.h"
#include "master/nodes/feeds.h"
#include "master/nodes/lease.h"
#include "master/nodes/told.h"
#include "master/warn.h"
#include "proto/facts/condition.h"
#include "proto/facts/storage.h"

/* Annotations of the Node. */
#define INSTANCE_KEY "reeve.io/agent-instance"
#define SERVED_BY_KEY                                                                                                  \
    "reeve.io/served-by"       /* a master's id; absent: the agent registered with the leader, as old ones do */
#define ASK_MS            1000 /* for the other masters' answer whom they have heard */
#define REGISTER_APPLY_MS 5000 /* for the log to be applied here as far as the leader's answer says */

static struct str instance_of(const struct object *node)
{
    return node == NULL ? STR_NONE : object_annotation(node, INSTANCE_KEY);
}

static const struct object *committed_node(const struct master *m, struct str name)
{
    return view_get(store_committed(replica_store(m->replica)), kind_by_id(KIND_NODE), STR_NONE, name);
}

uint64_t nodes_served_by(const struct object *node)
{
    struct str text = node == NULL ? STR_NONE : object_annotation(node, SERVED_BY_KEY);
    char digits[24];
    snprintf(digits, sizeof digits, "%.*s", STR_ARG(text));
    return text.n < sizeof digits ? strtoull(digits, NULL, 10) : 0;
}

/* A follower serves the agent that the Node names as its own, and that has registered over this very master. */
static bool serves_here(struct call *c, struct str name)
{
    struct session *s = call_session(c);
    const struct object *node = committed_node(c->m, name);
    return lease_held(c->m) && c->e.who->role == PKI_ROLE_NODE && s != NULL && str_is(name, s->node) && node != NULL &&
           nodes_served_by(node) == c->m->config.id && str_eq(instance_of(node), str_of(s->instance));
}

/* The leader takes nothing from an agent that another master serves: what it was told before it moved may wait here for
 * its turn, and something newer may have come since. */
static bool leader_serves(struct call *c, struct str name)
{
    const struct view *tip = store_tip(replica_store(c->m->replica));
    const struct object *node = tip == NULL ? NULL : view_get(tip, kind_by_id(KIND_NODE), STR_NONE, name);
    uint64_t by = nodes_served_by(node);
    return c->e.who->role != PKI_ROLE_NODE || by == 0 || by == c->m->config.id;
}

bool call_own_name(struct call *c, struct str *name)
{
    if (!call_str(c, "name", name, true)) {
        return false;
    }
    if (!name_is_key(*name)) {
        call_failf(c, ERR_USAGE, "%.*s: parameter \"name\" can be no node's name", STR_ARG(c->method));
        return false;
    }
    if (c->e.who->role == PKI_ROLE_NODE && !str_is(*name, c->e.who->name)) {
        call_failf(c, ERR_FORBIDDEN, "node \"%s\" may not speak for node \"%.*s\"", c->e.who->name, STR_ARG(*name));
        return false;
    }
    return true;
}

bool call_own_node(struct call *c, struct str *name)
{
    if (!call_own_name(c, name)) {
        return false;
    }
    bool leading = replica_leading(c->m->replica);
    if (leading ? !leader_serves(c, *name) : !serves_here(c, *name)) {
        call_failf(c, ERR_NOT_LEADER, "%.*s: node \"%.*s\" is not registered over this master%s", STR_ARG(c->method),
                   STR_ARG(*name), leading ? "" : ", which does not lead");
        return false;
    }
    return true;
}

bool node_may_write(struct call *c, struct str node)
{
    struct error err = {0};
    CLEANUP_FREE char *what = xstrndup(c->method.p, c->method.n);
    if (told_takes(c->m, c->e.who, node, (size_t)(c->params.all.end - c->params.all.p), what, &err) == 0) {
        return true;
    }
    call_fail(c, &err);
    return false;
}

/* ---- Instances ---- */

struct instance {
    char id[24], nonce[24];
    unsigned start;
};

static bool instance_read(struct str text, struct instance *out)
{
    char copy[NODES_INSTANCE_MAX], more;
    if (text.n >= sizeof copy) {
        return false;
    }
    snprintf(copy, sizeof copy, "%.*s", STR_ARG(text));
    return sscanf(copy, "%23[0-9a-f]-%u-%23[0-9a-f]%c", out->id, &out->start, out->nonce, &more) == 3;
}

/* May this instance take the place of the one that the Node names? */
static bool instance_succeeds(const struct instance *mine, struct str former_text)
{
    struct instance former;
    if (!instance_read(former_text, &former)) {
        return true;
    }
    return strcmp(mine->nonce, former.nonce) == 0 || (strcmp(mine->id, former.id) == 0 && mine->start > former.start);
}

/* ---- Links ---- */

static void bind_session(struct master *m, struct session *s, struct str name, struct str instance)
{
    if (s == NULL) {
        return;
    }
    struct session *old = strmap_get(&m->agents, name);
    if (old != NULL && old != s) {
        log_info_of(&m->log, "nodes", s->principal->name, "node %.*s came back on another connection", STR_ARG(name));
        old->node[0] = '\0';
        rpc_session_close(old->rpc);
    }
    if (s->node[0] != '\0' && !str_is(name, s->node)) {
        nodes_on_session_closed(s); /* an administrator's connection that spoke for another node before */
    }
    snprintf(s->node, sizeof s->node, "%.*s", STR_ARG(name));
    snprintf(s->instance, sizeof s->instance, "%.*s", STR_ARG(instance));
    strmap_set(&m->agents, name, s);
    core_heartbeat(m->core, name);
}

void nodes_on_hello(struct call *c)
{
    struct session *s = call_session(c);
    struct mp params = c->params.all;
    struct str name = mp_str(mp_get(params, "name")), instance = mp_str(mp_get(params, "instance"));
    if (s == NULL || c->e.who->role != PKI_ROLE_NODE || !str_is(name, c->e.who->name)) {
        return;
    }
    int64_t until_s = mp_int(mp_get(params, "certUntil"), 0);
    if (until_s >
        s->cert_until_s) { /* it has renewed its certificate through another master since; told for cert.status alone */
        s->cert_from_s = mp_int(mp_get(params, "certFrom"), s->cert_from_s);
        s->cert_until_s = until_s;
    }
    struct str standing = mp_str(mp_get(params, "standing"));
    if (standing.n > 32 && standing.p[32] == '-') { /* likewise */
        snprintf(s->cert_ca, sizeof s->cert_ca, "%.32s", standing.p);
    }
    const struct object *node = committed_node(c->m, name);
    if (instance.n > 0 && str_eq(instance, instance_of(node))) {
        bind_session(c->m, s, name, instance);
    }
}

/* ---- Registration ---- */

static void refuse_twin(struct call *c, const struct object *node)
{
    struct master *m = c->m;
    struct str name = node->name;
    struct error err = {0};
    struct session *s = call_session(c);
    char address[NET_ADDR_MAX] = "";
    snprintf(address, sizeof address, "%s", s == NULL ? "another machine" : rpc_session_peer_addr(s->rpc));
    char *port = strrchr(address, ':');
    if (port != NULL) {
        *port = '\0'; /* another one at each attempt */
    }
    CLEANUP_FREE char *text = xasprintf("another agent, at %s, wants to be node %.*s and is refused while this one "
                                        "lives; two agents cannot have one name",
                                        address, STR_ARG(name));
    if (master_warn(m, node, "NodeNameConflict", str_of(text))) { /* once a minute */
        log_warn(&m->log, "nodes", "%s", text);
    }
    int64_t grace_ms = m->config.node_grace_ms == 0 ? API_NODE_GRACE_MS_DEFAULT : m->config.node_grace_ms;
    error_set_field(
        &err, ERR_EXISTS, "instance",
        "node \"%.*s\" is served by another agent, which lives; this one is refused. Two agents cannot have "
        "one name: end the other one, or give this one its own directory and name (reeve-agent join --name). "
        "A node whose agent is gone for good can be taken %lld s after it was last heard of",
        STR_ARG(name), (long long)(grace_ms + 999) / 1000);
    err.retry_after_ms = 5000;
    call_fail(c, &err);
}

/* False: the call has been failed. */
static bool may_register(struct call *c, struct str name, struct str instance)
{
    struct instance mine;
    if (instance.n == 0) {
        return true;
    }
    if (!instance_read(instance, &mine)) {
        call_failf(c, ERR_USAGE, "node.register: instance must be ID-START-NONCE");
        return false;
    }
    const struct object *node =
        view_get(store_tip(replica_store(c->m->replica)), kind_by_id(KIND_NODE), STR_NONE, name);
    if (instance_succeeds(&mine, instance_of(node)) || !core_node_lives(c->m->core, name)) {
        return true;
    }
    refuse_twin(c, node);
    return false;
}

bool nodes_taken(struct master *m, struct str name)
{
    return core_node_lives(m->core, name);
}

/* Annotations that are the agent's. */
static const char *const told_annotations[] = {STORAGE_LOCAL_ROOT};

/* The stored Node keeps spec (podCIDR, taints, cordon), labels and annotations of others; status and the agent's own
 * labels and annotations are the agent's. */
static struct value *merged_node(struct call *c, struct value *doc, const struct object *old)
{
    struct arena *a = &c->e.arena;
    struct value *node = object_to_value(a, old);
    struct value *labels = value_ensure_map(a, value_get(node, "metadata"), "labels");
    const struct value *own = value_path(doc, "metadata.labels");
    for (unsigned i = 0; i < value_count(own); i++) {
        value_set_str_key(a, labels, own->map.members[i].key, own->map.members[i].value);
    }
    const struct value *told = value_path(doc, "metadata.annotations");
    for (size_t i = 0; i < ARRAY_SIZE(told_annotations); i++) {
        struct value *v = value_get(told, told_annotations[i]);
        if (v != NULL) {
            value_set(a, value_ensure_map(a, value_get(node, "metadata"), "annotations"), told_annotations[i], v);
        }
    }
    struct value *status = value_get(doc, "status");
    if (status != NULL) {
        told_keep_masters(a, status, old);
        value_set(a, node, "status", status);
    }
    value_remove(value_get(node, "metadata"), "resourceVersion");
    return node;
}

/* Of a new node's document: its name, labels, annotations and status are its own; its spec but for the pods'
 * network, which is given to it. */
static struct value *new_node(struct call *c, struct value *doc)
{
    static const char *const own[] = {"name", "labels", "annotations"};
    struct arena *a = &c->e.arena;
    struct value *metadata = value_map(a), *spec = value_ensure_map(a, doc, "spec");
    for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
        struct value *v = value_path(value_get(doc, "metadata"), own[i]);
        if (v != NULL) {
            value_set(a, metadata, own[i], v);
        }
    }
    value_set(a, doc, "metadata", metadata);
    value_remove(spec, "podCIDR");
    value_remove(spec, "podCIDRs");
    return doc;
}

/* What masters note of who registered. */
static void annotate(struct arena *a, struct value *node, const char *key, struct str text)
{
    struct value *metadata = value_get(node, "metadata");
    if (text.n > 0) {
        value_set(a, value_ensure_map(a, metadata, "annotations"), key, value_str(a, text));
    } else if (value_get(metadata, "annotations") != NULL) {
        value_remove(value_get(metadata, "annotations"), key);
    }
}

/* The master that serves it from now on; "" for an agent that knows of the leader alone. */
static struct str served_by_text(struct call *c)
{
    uint64_t id = c->e.forwarded ? c->e.who->forwarded_by : c->m->config.id;
    if (!mp_bool(call_param(c, "anyMaster"), false)) {
        return STR_NONE;
    }
    return str_of(arena_printf(&c->e.arena, "%" PRIu64, id));
}

static int put_node(struct call *c, struct value *doc, struct str name, struct str instance, struct txn *t,
                    struct error *err)
{
    const struct kind *k = kind_by_id(KIND_NODE);
    const struct object *old = view_get(store_tip(replica_store(c->m->replica)), k, STR_NONE, name);
    unsigned level = KIND_CHECK_LEVEL(store_level(replica_store(c->m->replica)));
    int rv = kind_check_fields(k, &c->e.arena, doc, KIND_CHECK_LENIENT | level, err);
    if (rv != 0) {
        return rv; /* a wrong type must not be merged with what is stored */
    }
    doc = old != NULL ? merged_node(c, doc, old) : new_node(c, doc);
    annotate(&c->e.arena, doc, INSTANCE_KEY, instance);
    annotate(&c->e.arena, doc, SERVED_BY_KEY, served_by_text(c));
    rv = kind_check(k, &c->e.arena, doc, NULL, KIND_CHECK_KEEP,
                    err); /* what is unknown now was stored by a newer program */
    if (rv != 0) {
        return rv;
    }
    return old == NULL ? txn_create_value(t, k, doc, err)
                       : txn_update_value(t, k, doc, TXN_PART_ALL, old->revision, err);
}

/* As WRITE_OBJECT, with the heartbeat period. */
struct registration {
    struct call *call;
    struct object *object;
};

static void registered(const struct txn_result *result, const struct error *error, void *data)
{
    (void)result;
    struct registration *r = data;
    if (error != NULL) {
        call_fail(r->call, error);
    } else {
        struct buf b = BUF_INIT;
        struct replica_stats stats;
        replica_stats(r->call->m->replica, &stats);
        mp_write_map(&b, 9);
        mp_write_key_int(&b, "index", (int64_t)stats.commit_index); /* for the master that forwarded it */
        mp_write_key_int(&b, "heartbeatMs", r->call->m->config.agent_heartbeat_ms);
        mp_write_key_int(&b, "usageMs", r->call->m->config.agent_usage_ms); /* there is node.usage */
        mp_write_key_bool(&b, "usageServices", true);                       /* which takes `services` */
        mp_write_cstr(&b, "routeChanges");                                  /* node.routes takes `changes` */
        mp_write_bool(&b, true);
        mp_write_key_bool(&b, "services", true);  /* there is node.services */
        mp_write_key_bool(&b, "policies", true);  /* there is node.policies */
        mp_write_key_bool(&b, "ownStatus", true); /* node.pods takes `ownStatus` */
        mp_write_cstr(&b, "object");
        object_write_wire(&b, r->object);
        call_reply(r->call, &b);
        buf_close(&b);
    }
    object_unref(r->object);
    free(r);
}

static void method_node_register(struct call *c)
{
    struct mp body = call_param(c, "node");
    struct value *doc = NULL;
    struct error err = {0};
    if (mp_type(body) == MP_MAP &&
        msgpack_read_value(&c->e.arena, body.p, (size_t)(body.end - body.p), &doc, &err) != 0) {
        call_fail(c, &err);
        return;
    }
    struct str name = value_path_str(doc, "metadata.name");
    if (!str_is(value_to_str(value_get(doc, "kind")), "Node") || name.n == 0) {
        call_failf(c, ERR_USAGE, "node.register: params.node must be a Node with a name");
        return;
    }
    if (name.n > PKI_NAME_MAX) { /* no certificate can bear it */
        call_failf(c, ERR_INVALID, "node.register: the name of a node may have at most %d characters", PKI_NAME_MAX);
        return;
    }
    if (c->e.who->role == PKI_ROLE_NODE && !str_is(name, c->e.who->name)) {
        call_failf(c, ERR_FORBIDDEN, "node \"%s\" may not register as \"%.*s\"", c->e.who->name, STR_ARG(name));
        return;
    }
    if (body.end - body.p > (ptrdiff_t)RESTRICT_NODE_BYTES) {
        call_failf(c, ERR_LIMIT, "node.register: the Node has %td bytes; at most %u are taken", body.end - body.p,
                   RESTRICT_NODE_BYTES);
        return;
    }
    struct master *m = c->m;
    struct str instance = mp_str(call_param(c, "instance"));
    if (!may_register(c, name, instance) || !node_may_write(c, name)) {
        return;
    }
    if (c->e.who->role == PKI_ROLE_NODE && restrict_labels(&c->e.arena, name, doc, &err) != 0) {
        call_fail(c, &err);
        return;
    }
    struct txn t;
    txn_init(&t, "agent");
    if (put_node(c, doc, name, instance, &t, &err) != 0) {
        call_fail(c, &err);
    } else {
        struct registration *r = xcalloc(1, sizeof *r);
        r->call = c;
        bind_session(m, call_session(c), name, instance);
        core_heartbeat(m->core, name);
        if (replica_submit(m->replica, &t, registered, r, &err) == 0) {
            const struct view *tip = store_tip(replica_store(m->replica));
            r->object = object_ref(view_get(tip, kind_by_id(KIND_NODE), STR_NONE, name));
            log_info_of(&m->log, "nodes", c->e.who->name, "node %.*s registered", STR_ARG(name));
        }
    }
    txn_close(&t);
    master_wake(m);
}

const struct method request_node_register = {"node.register", method_node_register,
                                             METHOD_NODE | METHOD_LEADER | METHOD_SERVED | METHOD_WRITE |
                                                 METHOD_WRITES_NODE | METHOD_AGAIN,
                                             "node instance anyMaster"};

/* Over a follower. */
struct registered_there {
    struct call *call;
    struct buf result;
};

/* What the leader had is applied here: this master may tell the node its orders. */
static void registration_applied(const struct error *error, void *data)
{
    struct registered_there *r = data;
    struct call *c = r->call;
    struct session *s = call_session(c);
    if (error != NULL) {
        call_failf(c, ERR_NOT_LEADER,
                   "this master does not keep up with the leader, where the node is registered; "
                   "another one serves it sooner");
    } else {
        errand_find_again(&c->e);
        struct str instance = mp_str(call_param(c, "instance")), name = str_of(c->e.who->name);
        const struct object *node = committed_node(c->m, name);
        if (s != NULL && node != NULL && nodes_served_by(node) == c->m->config.id &&
            str_eq(instance, instance_of(node))) {
            bind_session(c->m, s, name, instance);
        }
        call_reply(c, &r->result);
    }
    buf_close(&r->result);
    free(r);
}

void nodes_registered_there(struct call *c, struct mp result)
{
    struct registered_there *r = xcalloc(1, sizeof *r);
    int64_t index = mp_int(mp_get(result, "index"), INT64_MAX); /* an older leader tells none: never */
    r->call = c;
    buf_append(&r->result, result.p, (size_t)(result.end - result.p));
    replica_wait_applied(c->m->replica, (uint64_t)index, REGISTER_APPLY_MS, registration_applied, r);
}

/* It is served by another master, or deleted: what still goes here goes to one that counts no more. */
static void let_go_feeds(struct master *m, const struct session *s, const struct object *node)
{
    uint64_t by = nodes_served_by(node);
    struct error err = {0};
    if (by != m->config.id && (by != 0 || !replica_leading(m->replica)) && node_feeds_has(m, str_of(s->node))) {
        error_set(&err, ERR_NOT_LEADER, "node \"%s\" is not registered over this master any more", s->node);
        node_feeds_end_of(m, str_of(s->node), &err);
        watch_table_end_node(m->watches, str_of(s->node), &err);
    }
}

/* Another process has become this node's agent. */
static void let_go(struct master *m, struct session *s)
{
    log_info_of(&m->log, "nodes", s->principal->name, "node %s has another agent now: the former one's connection ends",
                s->node);
    rpc_session_close(s->rpc);
}

void nodes_on_node_changed(struct master *m, const struct object *former, const struct object *node)
{
    struct session *s = strmap_get(&m->agents, former == NULL ? node->name : former->name);
    if (s == NULL || former == NULL) {
        return;
    }
    if (node != NULL && !str_eq(instance_of(node), instance_of(former)) &&
        !str_eq(instance_of(node), str_of(s->instance))) {
        let_go(m, s);
    } else {
        let_go_feeds(m, s, node);
    }
}

void nodes_on_restored(struct master *m)
{
    const struct store *store = replica_store(m->replica);
    const struct view *tip = store_tip(store); /* leading: an agent is bound before its registration is committed */
    const struct view *v = tip != NULL ? tip : store_committed(store);
    LIST_FOR(it, &m->sessions)
    {
        struct session *s = LIST_ENTRY(it, struct session, link);
        if (s->node[0] == '\0' || strmap_get(&m->agents, str_of(s->node)) != s) {
            continue;
        }
        const struct object *node = view_get(v, kind_by_id(KIND_NODE), STR_NONE, str_of(s->node));
        if (node != NULL && !str_eq(instance_of(node), str_of(s->instance))) {
            let_go(m, s);
        } else {
            let_go_feeds(m, s, node);
        }
    }
}

/* ---- Heartbeats ---- */

void nodes_on_heartbeat(struct session *s, struct mp params)
{
    struct master *m = s->m;
    struct str name = mp_str(mp_get(params, "name"));
    if (s->node[0] == '\0' || !str_is(name, s->node)) {
        return; /* not the one that the Node names: it registers with the leader first */
    }
    m->stats.heartbeats++;
    int64_t now_ms = env_now_ms(m->env);
    if (now_ms - s->beat_ms < NODES_HEARTBEAT_LOOK_MS) {
        return; /* no agent sends them so densely */
    }
    s->beat_ms = now_ms;
    core_heartbeat(m->core, name);
    if (!replica_leading(m->replica)) {
        return;
    }
    const struct object *o = view_get(store_tip(replica_store(m->replica)), kind_by_id(KIND_NODE), STR_NONE, name);
    if (o == NULL || condition_is(condition_mp(o, "Ready"), "Unknown")) {
        /* We had given the node up; it lives. Only the agent knows how it is: ask it to register again. */
        rpc_notify(s->rpc, "node.refresh", STR("\x80"));
    }
}

void nodes_on_session_closed(struct session *s)
{
    list_remove(&s->call_link);
    if (s->node[0] != '\0' && strmap_get(&s->m->agents, str_of(s->node)) == s) {
        strmap_remove(&s->m->agents, str_of(s->node));
        log_info_of(&s->m->log, "nodes", s->principal->name, "connection of node %s is gone", s->node);
    }
}

/* ---- Changes of leader ---- */

/* What the other masters have heard, asked once at the start of a leadership. */
struct asking {
    struct master *m;
    uint64_t term;
    unsigned left;
};

static void heard_answered(const struct rpc_result *r, void *data)
{
    struct asking *a = data;
    struct master *m = a->m;
    bool still = replica_leading(m->replica) && replica_term(m->replica) == a->term;
    if (r->error == NULL) {
        for (struct mp_iter it = mp_iter(mp_get(r->result, "heard")); mp_next(&it);) {
            core_hear_of(m->core, it.key, mp_int(it.value, -1));
        }
    }
    if (--a->left == 0) {
        if (still) {
            core_heard_all(m->core);
        }
        free(a);
        master_wake(m);
    }
}

void nodes_ask_heard(void *data)
{
    struct master *m = data;
    struct replica_member members[64];
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    struct asking *a = xcalloc(1, sizeof *a);
    *a = (struct asking){.m = m, .term = replica_term(m->replica)};
    for (unsigned i = 0; i < n; i++) {
        a->left += members[i].id != m->config.id;
    }
    if (a->left == 0) {
        free(a);
        core_heard_all(m->core);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        if (members[i].id != m->config.id) {
            transport_call(m->transport, members[i].id, "nodes.heard", STR("\x80"), ASK_MS, heard_answered, a);
        }
    }
}

void nodes_tell_heard(struct master *m, struct rpc_request *req)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_BUF struct buf list = BUF_INIT;
    size_t cursor = 0;
    uint32_t count = 0;
    struct str name;
    int64_t age_ms;
    while (list.size < RPC_MESSAGE_MAX / 2 && core_next_heard(m->core, &cursor, &name, &age_ms)) {
        mp_write_str(&list, name);
        mp_write_int(&list, age_ms);
        count++;
    }
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "heard");
    mp_write_map(&b, count);
    buf_append(&b, list.data, list.size);
    rpc_reply(req, buf_str(&b));
}

static void uncalled_forget(struct master *m)
{
    while (!list_empty(&m->uncalled)) {
        list_remove(m->uncalled.next);
    }
}

void nodes_on_leading(struct master *m, bool leading)
{
    uncalled_forget(m);
    if (!leading) {
        /* Links stay, and what streams over them. Orders come from the next leader. */
        struct error err = {0};
        error_set(&err, ERR_NOT_LEADER, "this master does not lead any more");
        node_feeds_end(m, &err);
        watch_table_end_nodes(m->watches, &err);
        return;
    }
    LIST_FOR(it, &m->sessions)
    {
        struct session *s = LIST_ENTRY(it, struct session, link);
        if (s->principal->role == PKI_ROLE_NODE && s->rpc != NULL) {
            list_push_back(&m->uncalled, &s->call_link);
        }
    }
    master_wake(m);
}

bool nodes_turn(struct master *m)
{
    if (list_empty(&m->uncalled)) {
        return false;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 1);
    mp_write_key_int(&b, "term", (int64_t)replica_term(m->replica));
    for (unsigned i = 0; i < NODES_CALLED_MAX && !list_empty(&m->uncalled); i++) {
        struct session *s = LIST_ENTRY(m->uncalled.next, struct session, call_link);
        list_remove(&s->call_link);
        if (s->rpc != NULL && rpc_session_is_open(s->rpc)) {
            rpc_notify(s->rpc, "node.lead", buf_str(&b));
        }
    }
    return !list_empty(&m->uncalled);
}

/* ---- Reports ---- */

static void told_done(const struct buf *answer, const struct error *err, void *data)
{
    if (err != NULL) {
        call_fail(data, err);
    } else {
        call_reply(data, answer);
    }
}

static void take_report(struct call *c, void (*take)(const struct told *t))
{
    struct str node;
    if (!call_own_node(c, &node)) {
        return;
    }
    if (!replica_leading(c->m->replica)) {
        if (node_may_write(c, node)) { /* as the leader will: what it refuses need not go there, beside the log */
            batch_take(c);
        }
        return;
    }
    struct told t = {.m = c->m, .who = c->e.who, .node = node, .arena = &c->e.arena, .done = told_done, .data = c};
    told_read(&t, c->params.all);
    take(&t);
}

static void method_node_status(struct call *c)
{
    take_report(c, told_status);
}

const struct method request_node_status = {"node.status", method_node_status,
                                           METHOD_NODE | METHOD_LEADER | METHOD_SERVED | METHOD_WRITES_NODE,
                                           "name pods node gone"};

static void method_node_events(struct call *c)
{
    take_report(c, told_events);
}

const struct method request_node_events = {
    "node.events", method_node_events, METHOD_NODE | METHOD_LEADER | METHOD_SERVED | METHOD_WRITES_NODE, "name events"};

/* ---- Orders ---- */

static void method_node_pods(struct call *c)
{
    struct str node;
    if (call_own_node(c, &node)) {
        struct api_watch q = {
            .of = {.kind = kind_by_id(KIND_POD)},
            .node = node,
            .quiet = !mp_bool(call_param(c, "ownStatus"), true),
            .revision = mp_int(call_param(c, "revision"), -1),
        };
        verb_watch(&c->e.api, &q);
    }
}

const struct method request_node_pods = {"node.pods", method_node_pods, METHOD_NODE | METHOD_LEADER | METHOD_SERVED,
                                         "name revision ownStatus"};
