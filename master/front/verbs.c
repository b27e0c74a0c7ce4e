/* The verbs of the API over msgpack-RPC: their parameters become typed requests. What they answer is written by
 * answers.c. */
#include "master/front/verbs.h"

/* ---- Parameters ---- */

static bool kind_of(struct call *c, const struct kind **k)
{
    struct str name;
    struct error err = {0};
    if (!call_str(c, "kind", &name, true)) {
        return false;
    }
    *k = api_kind_named(c->m, name, (c->row->flags & METHOD_ANY_KIND) != 0, &err);
    if (*k == NULL) {
        call_fail(c, &err);
    }
    return *k != NULL;
}

/* Without a namespace, one object is in "default", and several are in all of them. */
static bool namespace_of(struct call *c, const struct kind *k, struct str *ns, bool all)
{
    if (!call_str(c, "namespace", ns, false)) {
        return false;
    }
    if (!api_kind_has_namespaces(c->m, k)) {
        *ns = STR_NONE;
    } else if (ns->n == 0 && !all) {
        *ns = STR("default");
    }
    return true;
}

static bool target_of(struct call *c, struct api_target *of)
{
    return kind_of(c, &of->kind) && namespace_of(c, of->kind, &of->ns, false) && call_str(c, "name", &of->name, true);
}

static bool selection_of(struct call *c, struct api_selection *of)
{
    return kind_of(c, &of->kind) && namespace_of(c, of->kind, &of->ns, true) &&
           call_str(c, "labelSelector", &of->labels, false) && call_str(c, "fieldSelector", &of->fields, false);
}

static bool write_of(struct call *c, struct api_write *how)
{
    struct mp id = call_param(c, "id");
    struct str bytes = STR_NONE;
    if (mp_type(id) != MP_NONE && mp_type(id) != MP_NIL && (!mp_read_bin(&id, &bytes) || bytes.n != TXN_ID_SIZE)) {
        call_failf(c, ERR_USAGE, "%.*s: parameter \"id\" must be %d bytes", STR_ARG(c->method), TXN_ID_SIZE);
        return false;
    }
    *how = (struct api_write){
        .id = bytes.n == 0 ? NULL : (const uint8_t *)bytes.p,
        .dry_run = mp_bool(call_param(c, "dryRun"), false),
        .lenient = str_is(mp_str(call_param(c, "validate")), "ignore"),
    };
    return true;
}

static bool document_of(struct call *c, const char *key, struct value **doc)
{
    struct mp m = call_param(c, key);
    struct error err = {0};
    if (mp_type(m) == MP_NONE) {
        call_failf(c, ERR_USAGE, "%.*s: parameter \"%s\" is missing", STR_ARG(c->method), key);
        return false;
    }
    if (msgpack_read_value(&c->e.arena, m.p, (size_t)(m.end - m.p), doc, &err) != 0) {
        call_fail(c, &err);
        return false;
    }
    return true;
}

static bool part_of(struct call *c, const struct api_part **part)
{
    struct str name;
    if (!call_str(c, "part", &name, false)) {
        return false;
    }
    *part = api_part_named(name);
    if (*part == NULL) {
        call_failf(c, ERR_USAGE,
                   "%.*s: unknown part \"%.*s\"; known are \"\", \"status\", \"scale\", \"ephemeralcontainers\"",
                   STR_ARG(c->method), STR_ARG(name));
    }
    return *part != NULL;
}

static bool deletion_of(struct call *c, struct deletion_options *o)
{
    struct str policy, uid;
    if (!call_str(c, "propagationPolicy", &policy, false) || !call_str(c, "uid", &uid, false)) {
        return false;
    }
    int p = deletion_policy_parse(policy);
    if (p < 0) {
        call_failf(c, ERR_USAGE, "delete: unknown propagationPolicy \"%.*s\"; known are Background, Foreground, Orphan",
                   STR_ARG(policy));
        return false;
    }
    *o = (struct deletion_options){
        .grace_s = mp_int(call_param(c, "gracePeriodSeconds"), -1),
        .policy = (enum deletion_policy)p,
        .if_uid = uid,
        .if_revision = (uint64_t)mp_int(call_param(c, "revision"), 0),
    };
    if (o->grace_s < -1) {
        call_failf(c, ERR_USAGE, "delete: gracePeriodSeconds must not be negative");
        return false;
    }
    return true;
}

/* ---- Reads ---- */

static void get_read(struct call *c)
{
    struct api_target of;
    if (target_of(c, &of)) {
        verb_get(&c->e.api, &of);
    }
}

static void method_get(struct call *c)
{
    call_read(c, get_read);
}

const struct method request_get = {"get", method_get, METHOD_NODE | METHOD_ANY_KIND, "kind namespace name stale"};

static void list_read(struct call *c)
{
    struct api_list q;
    if (selection_of(c, &q.of) && call_str(c, "continue", &q.token, false)) {
        q.limit = mp_int(call_param(c, "limit"), API_LIST_LIMIT_DEFAULT);
        verb_list(&c->e.api, &q);
    }
}

static void method_list(struct call *c)
{
    call_read(c, list_read);
}

const struct method request_list = {"list", method_list, METHOD_ANY_KIND,
                                    "kind namespace labelSelector fieldSelector limit continue stale"};

static void watch_read(struct call *c)
{
    struct api_watch q = {.revision = mp_int(call_param(c, "revision"), -1)};
    if (selection_of(c, &q.of)) {
        verb_watch(&c->e.api, &q);
    }
}

static void method_watch(struct call *c)
{
    struct mp revision = call_param(c, "revision");
    enum mp_type type = mp_type(revision);
    if (type != MP_NONE && type != MP_NIL && mp_int(revision, -1) < 0) {
        call_failf(c, ERR_USAGE, "watch: revision must be a number, that of a list or an event; or absent");
        return;
    }
    if (mp_int(revision, -1) >= 0) {
        watch_read(c); /* what is not yet here will come in order */
    } else {
        call_read(c, watch_read);
    }
}

const struct method request_watch = {"watch", method_watch, METHOD_ANY_KIND,
                                     "kind namespace labelSelector fieldSelector revision"};

/* ---- Writes ---- */

static void method_create(struct call *c)
{
    struct api_create q;
    if (document_of(c, "object", &q.object) && write_of(c, &q.how)) {
        verb_create(&c->e.api, &q);
    }
}

const struct method request_create = {"create", method_create, METHOD_WRITE, "object validate id dryRun"};

static void method_update(struct call *c)
{
    struct api_update q;
    if (document_of(c, "object", &q.object) && part_of(c, &q.part) && write_of(c, &q.how)) {
        verb_update(&c->e.api, &q);
    }
}

const struct method request_update = {"update", method_update, METHOD_WRITE, "object part validate id dryRun"};

static void method_patch(struct call *c)
{
    struct api_patch q;
    struct str type;
    if (!target_of(c, &q.of) || !call_str(c, "type", &type, true) || !part_of(c, &q.part)) {
        return;
    }
    int t = patch_type_parse(type);
    if (t < 0) {
        call_failf(c, ERR_USAGE, "patch: unknown type \"%.*s\"; known are strategic, merge, json", STR_ARG(type));
        return;
    }
    q.type = (enum patch_type)t;
    q.if_revision = (uint64_t)mp_int(call_param(c, "revision"), 0);
    if (document_of(c, "patch", &q.patch) && write_of(c, &q.how)) {
        verb_patch(&c->e.api, &q);
    }
}

const struct method request_patch = {"patch", method_patch, METHOD_WRITE,
                                     "kind namespace name type patch part revision validate id dryRun"};

/* Is it a list that is worth being read? What is wrong with its length the verb says. */
static bool list_fits(struct call *c, const char *key, const char *what)
{
    struct mp m = call_param(c, key);
    if (mp_type(m) != MP_ARRAY || mp_count(m) == 0 || mp_count(m) > MASTER_USER_OBJECTS_MAX) {
        call_failf(c, ERR_USAGE, "%.*s: %s must be a list of 1 to %u %s", STR_ARG(c->method), key,
                   MASTER_USER_OBJECTS_MAX, what);
        return false;
    }
    return true;
}

static void method_apply(struct call *c)
{
    struct api_apply q = {.server_side = mp_bool(call_param(c, "serverSide"), false)};
    if (list_fits(c, "objects", "objects") && document_of(c, "objects", &q.objects) && write_of(c, &q.how)) {
        verb_apply(&c->e.api, &q);
    }
}

const struct method request_apply = {"apply", method_apply, METHOD_WRITE, "objects validate serverSide id dryRun"};

static void method_delete(struct call *c)
{
    struct api_delete q;
    if (target_of(c, &q.of) && deletion_of(c, &q.options) && write_of(c, &q.how)) {
        verb_delete(&c->e.api, &q);
    }
}

const struct method request_delete = {
    "delete", method_delete, METHOD_WRITE | METHOD_DELETES | METHOD_ANY_KIND,
    "kind namespace name gracePeriodSeconds propagationPolicy uid revision id dryRun"};

static void method_deletecollection(struct call *c)
{
    struct api_deletecollection q;
    if (selection_of(c, &q.of) && deletion_of(c, &q.options) && write_of(c, &q.how)) {
        verb_deletecollection(&c->e.api, &q);
    }
}

const struct method request_deletecollection = {
    "deletecollection", method_deletecollection, METHOD_WRITE | METHOD_DELETES | METHOD_ANY_KIND,
    "kind namespace labelSelector fieldSelector gracePeriodSeconds propagationPolicy id dryRun"};

/* Members of an operation; unknown ones are refused, as in all parameters. */
static int check_op(struct mp op, struct error *err)
{
    static const char *const known[] = {"op",   "object",   "kind", "namespace", "name",
                                        "part", "revision", "uid",  "absent"};
    if (mp_type(op) != MP_MAP) {
        return error_set(err, ERR_USAGE, "txn: an operation must be a map");
    }
    for (struct mp_iter it = mp_iter(op); mp_next(&it);) {
        bool found = false;
        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
            found |= str_is(it.key, known[i]);
        }
        if (!found) {
            return error_set(err, ERR_USAGE,
                             "txn: unknown member \"%.*s\" of an operation; known are: op object kind namespace name "
                             "part revision uid absent",
                             STR_ARG(it.key));
        }
    }
    return 0;
}

static int op_type(struct str what, enum api_op_type *type, struct error *err)
{
    static const char *const words[] = {"create", "update", "delete", "check"}; /* by type */
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (str_is(what, words[i])) {
            *type = (enum api_op_type)i;
            return 0;
        }
    }
    return error_set(err, ERR_USAGE, "txn: unknown op \"%.*s\"; known are create, update, delete, check",
                     STR_ARG(what));
}

static int read_op(struct arena *a, struct mp m, struct api_op *op, struct error *err)
{
    struct str what = mp_str(mp_get(m, "op"));
    *op = (struct api_op){
        .part = str_is(mp_str(mp_get(m, "part")), "status") ? TXN_PART_STATUS : TXN_PART_SPEC,
        .if_revision = (uint64_t)mp_int(mp_get(m, "revision"), 0),
        .if_uid = mp_str(mp_get(m, "uid")),
        .absent = mp_bool(mp_get(m, "absent"), false),
    };
    int rv = check_op(m, err);
    rv = rv != 0 ? rv : op_type(what, &op->type, err);
    if (rv != 0) {
        return rv;
    }
    if (op->type == API_OP_CREATE || op->type == API_OP_UPDATE) {
        struct mp body = mp_get(m, "object");
        if (mp_type(body) != MP_MAP) {
            return error_set(err, ERR_USAGE, "txn: op %.*s needs an object", STR_ARG(what));
        }
        return msgpack_read_value(a, body.p, (size_t)(body.end - body.p), &op->object, err);
    }
    op->of.kind = kind_by_name(mp_str(mp_get(m, "kind")));
    op->of.name = mp_str(mp_get(m, "name"));
    if (op->of.kind == NULL || op->of.name.n == 0) {
        return error_set(err, ERR_USAGE, "txn: op %.*s needs kind and name", STR_ARG(what));
    }
    op->of.ns = op->of.kind->namespaced ? mp_str(mp_get(m, "namespace")) : STR_NONE;
    if (op->of.kind->namespaced && op->of.ns.n == 0) {
        op->of.ns = STR("default");
    }
    return 0;
}

static void method_txn(struct call *c)
{
    struct api_txn q = {0};
    if (!list_fits(c, "ops", "operations") || !write_of(c, &q.how)) {
        return;
    }
    struct mp list = call_param(c, "ops");
    struct api_op *ops = arena_alloc(&c->e.arena, mp_count(list) * sizeof *ops);
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct error err = {0};
        if (read_op(&c->e.arena, it.value, &ops[q.count++], &err) != 0) {
            call_fail(c, &err);
            return;
        }
    }
    q.ops = ops;
    verb_txn(&c->e.api, &q);
}

const struct method request_txn = {"txn", method_txn, METHOD_WRITE, "ops id dryRun"};
