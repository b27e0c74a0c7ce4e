/* Reports: the statuses of a node's pods, what of them is gone, and the Node's own status. An agent may speak of its
 * own node and of pods bound to it, of nothing else. */
#include <stdlib.h>

#include "controllers/deletion.h"
#include "master/auth/allowance.h"
#include "master/auth/restrict.h"
#include "master/master.h"
#include "master/nodes/told.h"
#include "proto/facts/condition.h"

/* Devices and the like: a resource of some vendor, which agents know nothing of. It is given to a node by writing its
 * status (rctl patch node N --subresource=status). */
static bool is_foreign(struct str resource)
{
    return resource.n > 0 && memchr(resource.p, '/', resource.n) != NULL &&
           memmem(resource.p, resource.n, "kubernetes.io/", 14) == NULL && !str_starts(resource, STR("reeve.io/"));
}

static void keep_resources(struct arena *a, struct value *status, const struct object *old, const char *which)
{
    for (struct mp_iter it = mp_iter(mp_get(object_status(old), which)); mp_next(&it);) {
        if (is_foreign(it.key) && value_get_str_key(value_get(status, which), it.key) == NULL) {
            value_set_str_key(a, value_ensure_map(a, status, which), it.key, msgpack_read_checked(a, it.value));
        }
    }
}

void told_keep_masters(struct arena *a, struct value *status, const struct object *old)
{
    if (value_is_map(status)) {
        keep_resources(a, status, old, "capacity");
        keep_resources(a, status, old, "allocatable");
    }
    static const char *const own[] = {"NetworkUnavailable"};
    for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
        struct mp c = condition_mp(old, own[i]);
        if (mp_type(c) == MP_MAP && value_is_map(status) && condition_get(status, own[i]) == NULL) {
            value_append(a, value_ensure_list(a, status, "conditions"), msgpack_read_checked(a, c));
        }
    }
}

/* ---- Answers ---- */

struct answer {
    struct told told; /* of which m, done and data are looked at */
    unsigned count;
    struct error errors[]; /* of each pod; code 0: taken */
};

static struct answer *answer_new(const struct told *t, unsigned count)
{
    struct answer *a = xcalloc(1, sizeof *a + count * sizeof a->errors[0]);
    a->told = (struct told){.m = t->m, .done = t->done, .data = t->data};
    a->count = count;
    return a;
}

static void answered(const struct txn_result *result, const struct error *error, void *data)
{
    struct answer *w = data;
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (error == NULL) {
        mp_write_map(&b, 2);
        mp_write_key_int(&b, "revision", (int64_t)result->revision);
        mp_write_cstr(&b, "results");
        mp_write_array(&b, w->count);
        for (unsigned i = 0; i < w->count; i++) {
            if (w->errors[i].code == 0) {
                mp_write_nil(&b);
            } else {
                rpc_write_error(&b, &w->errors[i]);
            }
        }
    }
    w->told.done(error == NULL ? &b : NULL, error, w->told.data);
    free(w);
}

void told_refuse(const struct told *t, const struct error *err)
{
    replica_refuse(t->m->replica, err, answered, answer_new(t, 0));
    master_wake(t->m);
}

int told_takes(struct master *m, const struct principal *who, struct str node, size_t bytes, const char *what,
               struct error *err)
{
    int64_t kib = (int64_t)(bytes / 1024 + 1);
    int64_t wait_ms = allowance_take(m->node_kib, node, kib, env_now_ms(m->env));
    if (wait_ms == 0 || who->role != PKI_ROLE_NODE) {
        return 0;
    }
    m->stats.node_refused++;
    error_set(err, ERR_BUSY, "%s: node \"%.*s\" writes more than %d KiB a second; the next is taken in %lld ms", what,
              STR_ARG(node), 1000000 / RESTRICT_KIB_US, (long long)wait_ms);
    err->retry_after_ms = (int)wait_ms;
    return err->code;
}

void told_read(struct told *t, struct mp params)
{
    t->bytes = (size_t)(params.end - params.p);
    for (struct mp_iter it = mp_iter(params); mp_next(&it);) {
        if (str_is(it.key, "pods")) {
            t->pods = it.value;
        } else if (str_is(it.key, "node")) {
            t->status = it.value;
        } else if (str_is(it.key, "gone")) {
            t->gone = it.value;
        } else if (str_is(it.key, "events")) {
            t->events = it.value;
        }
    }
}

/* ---- Pods ---- */

/* The stored pod that an agent's entry {namespace, name, uid} means; NULL with err if it is none of the node's, or was
 * named before: for each entry the whole pod is read and judged, so a report may name it once. */
static const struct object *pod_of(const struct told *t, struct mp entry, struct strmap *named, struct error *err)
{
    struct str ns = mp_str(mp_get(entry, "namespace")), name = mp_str(mp_get(entry, "name"));
    struct str uid = mp_str(mp_get(entry, "uid"));
    const struct object *o = view_get(store_tip(replica_store(t->m->replica)), kind_by_id(KIND_POD), ns, name);
    if (o == NULL || !str_eq(o->uid, uid)) {
        error_set(err, ERR_NOT_FOUND, "pods \"%.*s\" with this uid not found", STR_ARG(name));
        return NULL;
    }
    if (!str_eq(mp_str(mp_get(object_spec(o), "nodeName")), t->node)) {
        error_set(err, ERR_FORBIDDEN, "pod \"%.*s\" is not bound to node \"%.*s\"", STR_ARG(name), STR_ARG(t->node));
        return NULL;
    }
    if (strmap_set(named, uid, named) != NULL) {
        error_set(err, ERR_USAGE, "node.status: this pod stands in the report twice");
        return NULL;
    }
    return o;
}

/* What a transaction that writes a status needs of the object: which it is. The rest stays as it is stored. */
static struct value *status_document(struct arena *a, const struct object *o, struct value *status)
{
    struct value *doc = value_map(a), *metadata = value_ensure_map(a, doc, "metadata");
    value_set(a, doc, "apiVersion", value_cstr(a, o->kind->api_version));
    value_set(a, doc, "kind", value_cstr(a, o->kind->name));
    value_set(a, metadata, "name", value_str(a, o->name));
    if (o->kind->namespaced) {
        value_set(a, metadata, "namespace", value_str(a, o->ns));
    }
    value_set(a, metadata, "uid", value_str(a, o->uid));
    value_set(a, doc, "status", status);
    return doc;
}

static int put_status(struct txn *t, const struct object *pod, struct mp status_mp, unsigned level, struct error *err)
{
    CLEANUP_ARENA struct arena arena; /* one after another, not all at once */
    struct arena *a = &arena;
    struct value *status;
    arena_init(a);
    if (mp_type(status_mp) != MP_MAP) {
        return error_set(err, ERR_USAGE, "node.status: status of pod \"%.*s\" is no map", STR_ARG(pod->name));
    }
    int rv = msgpack_read_value(a, status_mp.p, (size_t)(status_mp.end - status_mp.p), &status, err);
    if (rv != 0) {
        return rv;
    }
    unsigned conditions = value_count(value_get(status, "conditions"));
    if (conditions > KIND_LIST_MAX) { /* before each is compared with each */
        return error_set_field(err, ERR_INVALID, "status.conditions", "Too many: %u: must have at most %u items",
                               conditions, KIND_LIST_MAX);
    }
    struct mp stored = mp_get(object_status(pod), "conditions");
    struct value *former = value_map(a), *doc = status_document(a, pod, status);
    if (mp_type(stored) == MP_ARRAY) {
        value_set(a, former, "conditions", msgpack_read_checked(a, stored));
    }
    condition_keep(a, status, former);
    rv = kind_check_fields(pod->kind, a, doc, KIND_CHECK_LENIENT | KIND_CHECK_LEVEL(level), err);
    return rv != 0 ? rv : txn_update_value(t, pod->kind, doc, TXN_PART_STATUS, 0, err);
}

static void put_gone(const struct told *t, struct txn *txn)
{
    struct strmap named;
    strmap_init(&named);
    for (struct mp_iter it = mp_iter(t->gone); mp_next(&it);) {
        struct error err = {0};
        const struct object *pod = pod_of(t, it.value, &named, &err);
        struct deletion_options now = {.grace_s = 0, .policy = DELETION_BACKGROUND};
        if (pod != NULL && pod->deleting &&
            deletion_request(txn, t->arena, pod, &now, env_wall_ms(t->m->env), &err) != 0) {
            log_warn_of(&t->m->log, "nodes", t->who->name, "pod %.*s/%.*s is gone but can't be removed: %s",
                        STR_ARG(pod->ns), STR_ARG(pod->name), err.message);
        }
    }
    strmap_close(&named);
}

/* ---- The node itself ---- */

static int put_node_status(const struct told *t, struct txn *txn, struct error *err)
{
    const struct kind *k = kind_by_id(KIND_NODE);
    const struct object *old = view_get(store_tip(replica_store(t->m->replica)), k, STR_NONE, t->node);
    size_t bytes = (size_t)(t->status.end - t->status.p);
    if (old == NULL) {
        return error_set(err, ERR_NOT_FOUND, "nodes \"%.*s\" not found; register again", STR_ARG(t->node));
    }
    if (bytes > RESTRICT_NODE_BYTES) {
        return error_set(err, ERR_LIMIT, "node.status: the Node's status has %zu bytes; at most %u are taken", bytes,
                         RESTRICT_NODE_BYTES);
    }
    struct value *status;
    int rv = msgpack_read_value(t->arena, t->status.p, bytes, &status, err);
    if (rv != 0) {
        return rv;
    }
    struct value *doc = status_document(t->arena, old, status);
    unsigned level = KIND_CHECK_LEVEL(store_level(replica_store(t->m->replica)));
    rv = kind_check_fields(k, t->arena, doc, KIND_CHECK_LENIENT | level, err);
    told_keep_masters(t->arena, rv != 0 ? NULL : value_get(doc, "status"), old);
    return rv != 0 ? rv : txn_update_value(txn, k, doc, TXN_PART_STATUS, 0, err);
}

/* ---- A report ---- */

static void put_pods(const struct told *t, struct txn *txn, struct answer *w)
{
    unsigned level = store_level(replica_store(t->m->replica)), i = 0;
    struct strmap named;
    strmap_init(&named);
    for (struct mp_iter it = mp_iter(t->pods); mp_next(&it); i++) {
        const struct object *pod = pod_of(t, it.value, &named, &w->errors[i]);
        if (pod != NULL) {
            put_status(txn, pod, mp_get(it.value, "status"), level, &w->errors[i]);
        }
    }
    strmap_close(&named);
}

void told_status(const struct told *t)
{
    struct master *m = t->m;
    struct error err = {0};
    if (mp_count(t->pods) + mp_count(t->gone) >= TXN_OPS_MAX / 2) {
        error_set(&err, ERR_LIMIT, "node.status: more than %u pods in one report", TXN_OPS_MAX / 2);
        told_refuse(t, &err);
        return;
    }
    core_heartbeat(m->core, t->node);
    if (told_takes(m, t->who, t->node, t->bytes, "node.status", &err) != 0) {
        told_refuse(t, &err);
        return;
    }
    struct txn txn;
    txn_init(&txn, "agent");
    txn.own_status = true;
    struct answer *w = answer_new(t, mp_count(t->pods));
    put_pods(t, &txn, w);
    if (mp_type(t->status) == MP_MAP) {
        put_node_status(t, &txn, &err);
    }
    put_gone(t, &txn);
    if (err.code != 0) {
        replica_refuse(m->replica, &err, answered, w);
    } else {
        replica_submit(m->replica, &txn, answered, w, &err);
    }
    txn_close(&txn);
    master_wake(m);
}
