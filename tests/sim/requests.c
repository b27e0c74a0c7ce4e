/* Operations: what a client wants, and the transaction that a leader makes of it. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "controllers/deletion.h"
#include "controllers/util.h"
#include "proto/facts/storage.h"
#include "proto/facts/toleration.h"
#include "proto/text/text.h"
#include "tests/sim/cluster.h"

/* ---- Objects ---- */

struct object *yaml_object(const char *text)
{
    CLEANUP_ARENA struct arena a;
    struct value **docs;
    unsigned count;
    struct error err = {0};
    struct object *o = NULL;
    arena_init(&a);
    const struct kind *k = NULL;
    if (yaml_read(&a, str_of(text), NULL, &docs, &count, &err) == 0) {
        k = kind_of_document(&a, docs[0], &err);
    }
    if (k == NULL || kind_check(k, &a, docs[0], NULL, 0, &err) != 0 ||
        object_from_value(k, docs[0], 0, &o, &err) != 0) {
        fprintf(stderr, "%s\n%s\n", text, err.message);
        abort();
    }
    return o;
}

static struct value *config_map_head(struct arena *a, const char *name)
{
    struct value *doc = value_map(a), *metadata = value_map(a);
    value_set(a, metadata, "name", value_cstr(a, name));
    value_set(a, metadata, "namespace", value_cstr(a, NAMESPACE));
    value_set(a, doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, doc, "kind", value_cstr(a, "ConfigMap"));
    value_set(a, doc, "metadata", metadata);
    return doc;
}

struct object *config_map_new(const char *name, int64_t number, int64_t op)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc = config_map_head(&a, name), *data = value_map(&a);
    value_set(&a, data, "n", value_cstr(&a, arena_printf(&a, "%lld", (long long)number)));
    value_set(&a, data, "op", value_cstr(&a, arena_printf(&a, "%lld", (long long)op)));
    value_set(&a, doc, "data", data);
    struct object *o = NULL;
    int rc = object_from_value(kind_by_id(KIND_CONFIGMAP), doc, 0, &o, NULL);
    assert(rc == 0);
    (void)rc;
    return o;
}

struct object *list_new(const char *name, struct str elements, int64_t op)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct value *doc = config_map_head(&a, name), *data = value_map(&a);
    value_set(&a, data, "elements", value_cstr(&a, arena_strndup(&a, elements.n > 0 ? elements.p : "", elements.n)));
    value_set(&a, data, "op", value_cstr(&a, arena_printf(&a, "%lld", (long long)op)));
    value_set(&a, doc, "data", data);
    struct object *o = NULL;
    int rc = object_from_value(kind_by_id(KIND_CONFIGMAP), doc, 0, &o, NULL);
    assert(rc == 0);
    (void)rc;
    return o;
}

static struct object *secret_new(const char *name, int64_t at)
{
    char text[300];
    snprintf(text, sizeof text,
             "{apiVersion: v1, kind: Secret, metadata: {name: %s, namespace: %s, annotations: {sim/op: '%lld'}}, "
             "stringData: {password: 'open sesame %lld'}}",
             name, NAMESPACE, (long long)at, (long long)at);
    return yaml_object(text);
}

static struct object *deployment_new(struct cluster *c, const struct op *op, int64_t at)
{
    char text[1400];
    /* Everything else follows from the operation's number, so that a repeat asks for the same. */
    unsigned surge = (unsigned)(at % 3), unavailable = (unsigned)(at / 3 % 3);
    unavailable = surge + unavailable == 0 ? 1 : unavailable;
    bool hasty = at % 2 != 0 || c->swarm.dead;
    const char *tolerations =
        ", tolerations: ["
        "{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 2},"
        "{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 2}]";
    snprintf(
        text, sizeof text,
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: %s, namespace: %s, annotations: {sim/op: '%lld'}}, "
        "spec: {replicas: %lld, strategy: %s, "
        "selector: {matchLabels: {app: %s}}, template: {metadata: {labels: {app: %s}}, spec: {containers: [{name: c, "
        "image: %s, resources: {requests: {cpu: %s}}}]%s}}}}",
        op->name, NAMESPACE, (long long)at, (long long)op->replicas,
        at % 7 == 0  ? "{type: Recreate}"
        : surge == 0 ? (unavailable == 1 ? "{rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}"
                                         : "{rollingUpdate: {maxSurge: 0, maxUnavailable: 2}}")
        : surge == 1 ? (unavailable == 0 ? "{rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"
                                         : "{rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}")
                     : "{rollingUpdate: {maxSurge: 2, maxUnavailable: 0}}",
        op->name, op->name, op->image, at % 5 < 3 ? "50m" : "100m", hasty ? tolerations : "");
    return yaml_object(text);
}

/* ---- Transactions ---- */

static void cell_update(struct txn *t, unsigned cell, int64_t number, int64_t at, uint64_t if_revision)
{
    char name[32];
    cell_name(cell, name);
    txn_update(t, config_map_new(name, number, at), TXN_PART_SPEC, if_revision);
}

static int lists_append(struct life *life, int64_t at, struct txn *t, struct error *err)
{
    const struct op *op = &life->c->ops[at];
    char name[32];
    for (unsigned i = 0; i < LISTS; i++) {
        if ((op->lists >> i & 1) == 0) {
            continue;
        }
        list_name(i, name);
        const struct object *o =
            view_get(store_tip(replica_store(life->replica)), kind_by_id(KIND_CONFIGMAP), STR(NAMESPACE), str_of(name));
        if (o == NULL) {
            return error_set(err, ERR_NOT_FOUND, "configmaps \"%s\" not found", name);
        }
        struct str was = mp_str(mp_path(object_mp(o), "data.elements"));
        CLEANUP_BUF struct buf text = BUF_INIT;
        buf_append(&text, was.n > 0 ? was.p : "", was.n);
        buf_printf(&text, "%s%lld", was.n > 0 ? " " : "", (long long)at);
        txn_update(t, list_new(name, (struct str){(const char *)text.data, text.size}, at), TXN_PART_SPEC, o->revision);
    }
    return 0;
}

static int deployment_change(struct life *life, int64_t at, struct txn *t, struct error *err)
{
    const struct op *op = &life->c->ops[at];
    const struct kind *k = kind_by_id(KIND_DEPLOYMENT);
    const struct object *o = view_get(store_tip(replica_store(life->replica)), k, STR(NAMESPACE), str_of(op->name));
    if (o == NULL) {
        return error_set(err, ERR_NOT_FOUND, "deployments.apps \"%s\" not found", op->name);
    }
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    if (op->kind == OP_UNDEPLOY) {
        const struct deletion_options options = {.grace_s = -1,
                                                 .policy = at % 2 == 0 ? DELETION_BACKGROUND : DELETION_FOREGROUND};
        return deletion_request(t, &a, o, &options, env_wall_ms(&life->env), err);
    }
    struct value *doc = object_to_value(&a, o), *spec = value_get(doc, "spec");
    struct value *container = value_item(value_path(doc, "spec.template.spec.containers"), 0);
    bool settle = op->kind == OP_SETTLE, too_many = value_path_int(doc, "spec.replicas", 1) > op->replicas;
    bool bad = str_is(value_path_str(container, "image"), "bad");
    if (settle && !too_many && !bad) {
        return 0; /* left alone: if something was forgotten it must show */
    }
    value_set(&a, value_ensure_map(&a, value_get(doc, "metadata"), "annotations"), "sim/op",
              value_cstr(&a, arena_printf(&a, "%lld", (long long)at)));
    if (op->kind == OP_SCALE || (settle && too_many)) {
        value_set(&a, spec, "replicas", value_int(&a, op->replicas));
    }
    if (op->kind == OP_IMAGE || (settle && bad)) {
        value_set(&a, container, "image", value_cstr(&a, op->image));
    }
    return txn_update_value(t, k, doc, TXN_PART_SPEC, o->revision, err);
}

static int pod_kill(struct life *life, int64_t at, struct txn *t, struct error *err)
{
    struct cluster *c = life->c;
    const struct object *pod = NULL;
    struct view_iter it;
    int64_t skip = c->ops[at].number;
    view_iter(&it, store_tip(replica_store(life->replica)), kind_by_id(KIND_POD), STR(NAMESPACE));
    VIEW_FOR(o, &it)
    {
        pod = pod == NULL || skip-- > 0 ? o : pod;
    }
    if (pod == NULL) {
        return error_set(err, ERR_NOT_FOUND, "no pods");
    }
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    strmap_set(&c->killed, pod->uid, c);
    if (at % 3 == 0) {
        strmap_set(&c->forced, pod->uid, c);
    }
    return pod_delete(t, &a, pod, at % 3 == 0 ? 0 : -1, env_wall_ms(&life->env), err);
}

int op_build(struct life *life, int64_t at, struct txn *t, struct error *err)
{
    struct op *op = &life->c->ops[at];
    txn_set_id(t, op->id);
    switch (op->kind) {
    case OP_SET:
    case OP_CAS:
    case OP_INCREMENT:
        cell_update(t, op->cell, op->number, at, op->if_revision);
        return 0;
    case OP_TOUCH:
        cell_update(t, op->cell, op->number, op->other_number, op->if_revision);
        return 0;
    case OP_TRANSFER:
        cell_update(t, op->cell, op->number, at, op->if_revision);
        cell_update(t, op->other, op->other_number, at, op->if_other);
        return 0;
    case OP_APPEND:
        return lists_append(life, at, t, err);
    case OP_UNIQUE:
        txn_create(t, at % 2 == 0 ? config_map_new(op->name, 0, at) : secret_new(op->name, at));
        return 0;
    case OP_DEPLOY:
        txn_create(t, deployment_new(life->c, op, at));
        return 0;
    case OP_KILL_POD:
        return pod_kill(life, at, t, err);
    case OP_SERVE:
    case OP_SPOIL:
    case OP_UNSERVE:
        return services_build(life, at, t, err);
    case OP_STORE:
        return storage_build(life, at, t, err);
    case OP_SETS:
        return sets_build(life, at, t, err);
    case OP_RUNS:
        return runs_build(life, at, t, err);
    case OP_BUDGETS:
        return budgets_build(life, at, t, err);
    case OP_QUOTAS:
        return quotas_build(life, at, t, err);
    case OP_RANK:
        return priorities_build(life, at, t, err);
    case OP_GANGS:
        return troupes_build(life, at, t, err);
    case OP_SCALE:
    case OP_IMAGE:
    case OP_UNDEPLOY:
    case OP_SETTLE:
        return deployment_change(life, at, t, err);
    default:
        assert(false);
        return ERR_INTERNAL;
    }
}

int op_make(const struct view *tip, const char *text, struct txn *t, struct error *err)
{
    return op_make_in(tip, NAMESPACE, text, t, err);
}

int op_make_in(const struct view *tip, const char *ns, const char *text, struct txn *t, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    struct value **docs;
    unsigned count;
    arena_init(&a);
    int rv = yaml_read(&a, str_of(text), NULL, &docs, &count, err);
    assert(rv == 0);
    const struct kind *k = kind_of_document(&a, docs[0], err);
    struct str name = value_path_str(docs[0], "metadata.name");
    if (view_get(tip, k, ns == NULL ? STR_NONE : str_of(ns), name) != NULL) {
        return error_set(err, ERR_NOT_FOUND, "%s is there already", k->name);
    }
    if (k->begin != NULL) {
        k->begin(&a, docs[0]);
    }
    /* What rows of admission give (master/admission/list.h), as far as it matters here. */
    if (k->id == KIND_PERSISTENTVOLUMECLAIM || k->id == KIND_PERSISTENTVOLUME) {
        storage_add_finalizer(&a, docs[0],
                              k->id == KIND_PERSISTENTVOLUME ? STORAGE_PROTECT_VOLUME : STORAGE_PROTECT_CLAIM);
    } else if (k->id == KIND_POD) {
        toleration_add_defaults(&a, value_ensure_map(&a, docs[0], "spec"));
    }
    rv = kind_check(k, &a, docs[0], NULL, 0, err);
    assert(rv == 0);
    return txn_create_value(t, k, docs[0], err);
}

bool op_reads(enum op_kind kind)
{
    return kind == OP_READ || kind == OP_READ_NEAR || kind == OP_READ_LISTS || kind == OP_BALANCES;
}

/* ---- What next ---- */

static enum op_kind draw_kind(struct cluster *c)
{
    static const enum op_kind data[] = {OP_SET,       OP_SET,       OP_CAS,      OP_CAS,        OP_TOUCH,
                                        OP_INCREMENT, OP_INCREMENT, OP_TRANSFER, OP_UNIQUE,     OP_READ,
                                        OP_READ_NEAR, OP_APPEND,    OP_APPEND,   OP_READ_LISTS, OP_BALANCES};
    static const enum op_kind work[] = {OP_DEPLOY, OP_DEPLOY, OP_SCALE,    OP_SCALE,
                                        OP_IMAGE,  OP_IMAGE,  OP_UNDEPLOY, OP_KILL_POD};
    enum op_kind kind;
    if (storage_next(c)) {
        return OP_STORE;
    }
    if (sets_next(c)) {
        return OP_SETS;
    }
    if (runs_next(c)) {
        return OP_RUNS;
    }
    if (budgets_next(c)) {
        return OP_BUDGETS;
    }
    if (quotas_next(c)) {
        return OP_QUOTAS;
    }
    if (priorities_next(c)) {
        return OP_RANK;
    }
    if (troupes_next(c)) {
        return OP_GANGS;
    }
    if (services_next(c, &kind)) {
        return kind;
    }
    if (c->swarm.workloads && cluster_chance(c, 12)) {
        return work[rng_below(&c->rng, ARRAY_SIZE(work))];
    }
    return data[rng_below(&c->rng, ARRAY_SIZE(data))];
}

static unsigned draw_cell(struct cluster *c, enum op_kind kind)
{
    switch (kind) {
    case OP_INCREMENT:
        return REGISTERS + (unsigned)rng_below(&c->rng, COUNTERS);
    case OP_TRANSFER:
        return REGISTERS + COUNTERS + (unsigned)rng_below(&c->rng, ACCOUNTS);
    case OP_READ:
    case OP_READ_NEAR:
        return (unsigned)rng_below(&c->rng, CELLS);
    default:
        return (unsigned)rng_below(&c->rng, REGISTERS);
    }
}

/* A conditional write uses what was read, and uses it up. Without a read it becomes that read. */
static void use_reads(struct client *client, struct op *op)
{
    const unsigned cells[] = {op->cell, op->other};
    unsigned needed = op->kind == OP_TRANSFER                                                  ? 2
                      : op->kind == OP_CAS || op->kind == OP_TOUCH || op->kind == OP_INCREMENT ? 1
                                                                                               : 0;
    for (unsigned i = 0; i < needed; i++) {
        if (!client->read[cells[i]].known) {
            op->kind = cluster_chance(client->c, 2) ? OP_READ : OP_READ_NEAR;
            op->cell = cells[i];
            return;
        }
    }
    if (needed == 0) {
        return;
    }
    int64_t amount = 1 + (int64_t)rng_below(&client->c->rng, 9);
    op->if_revision = client->read[op->cell].object_revision;
    op->expected = client->read[op->cell].op;
    client->read[op->cell].known = false;
    if (op->kind == OP_TOUCH) {
        op->number = client->read[op->cell].number;
        op->other_number = client->read[op->cell].op;
    } else if (op->kind == OP_INCREMENT) {
        op->number = client->read[op->cell].number + 1;
    } else if (op->kind == OP_TRANSFER) {
        op->amount = amount;
        op->if_other = client->read[op->other].object_revision;
        op->number = client->read[op->cell].number - amount;
        op->other_number = client->read[op->other].number + amount;
        client->read[op->other].known = false;
    }
}

static void draw_workload(struct cluster *c, struct op *op, int64_t at)
{
    snprintf(op->name, sizeof op->name, "web-%u", (unsigned)rng_below(&c->rng, DEPLOYMENTS));
    snprintf(op->image, sizeof op->image, "%s",
             cluster_chance(c, 5)         ? "bad"
             : rng_below(&c->rng, 2) == 0 ? "v1"
             : cluster_chance(c, 2)       ? "v2"
                                          : "v3");
    op->replicas = (int64_t)rng_below(&c->rng, 8);
    if (op->kind == OP_SETTLE) {
        snprintf(op->name, sizeof op->name, "web-%u", c->settling++ % DEPLOYMENTS);
        snprintf(op->image, sizeof op->image, "good");
        op->replicas = 2;
    }
    if (op->kind == OP_UNIQUE) {
        snprintf(op->name, sizeof op->name, "unique-%lld", (long long)at);
    }
}

int64_t op_next(struct client *client)
{
    struct cluster *c = client->c;
    if (c->ops_count == c->ops_cap) {
        c->ops_cap = c->ops_cap == 0 ? 256 : 2 * c->ops_cap;
        c->ops = xrealloc(c->ops, (size_t)c->ops_cap * sizeof *c->ops);
    }
    int64_t at = c->ops_count++;
    struct op *op = &c->ops[at];
    *op = (struct op){.kind = c->phase == PHASE_CALM ? OP_SETTLE : draw_kind(c), .floor = c->answered};
    op->cell = draw_cell(c, op->kind);
    op->other =
        op->kind == OP_TRANSFER ? REGISTERS + COUNTERS + (op->cell - REGISTERS - COUNTERS + 1) % ACCOUNTS : op->cell;
    op->number = (int64_t)rng_below(&c->rng, 1000);
    op->lists = 1 + (unsigned)rng_below(&c->rng, (1u << LISTS) - 1);
    for (unsigned i = 0; i < TXN_ID_SIZE; i++) {
        op->id[i] = (uint8_t)rng_next(&c->rng);
    }
    draw_workload(c, op, at);
    use_reads(client, op);
    return at;
}
