/* The verbs of the API over msgpack-RPC, each as parameters are read and as they are written. What verbs answer is
 * written and read in answers.c. */
#include "master/front/verbs_int.h"

#include <assert.h>

#include "master/auth/tokens.h"
#include "proto/patch/patch.h"
#include "proto/schema/release.h"
#include "proto/text/text.h"

static void put_value(struct writer *w, const char *key, const struct value *v)
{
    put_key(w, key);
    msgpack_write_value(w->b, v);
}

/* ---- What requests have in common ---- */

static int read_kind(const struct reader *r, const struct kind **k)
{
    struct str name;
    int rv = text(r, "kind", &name, true);
    if (rv == 0) {
        *k = api_kind_named(r->m, name, (r->row->flags & METHOD_ANY_KIND) != 0, r->err);
        rv = *k == NULL ? ERR_NOT_FOUND : 0;
    }
    return rv;
}

/* By its name alone, if that is its first meaning, else with its group. */
static void put_kind(struct writer *w, const struct kind *k)
{
    struct str name = view_kind_name(store_committed(replica_store(w->m->replica)), k);
    if (kind_is_unknown(k) || kind_by_name(name) == k) {
        put_text(w, "kind", name);
    } else {
        CLEANUP_BUF struct buf full = BUF_INIT;
        buf_printf(&full, "%.*s.%.*s", STR_ARG(name), STR_ARG(kind_group(k)));
        put_text(w, "kind", buf_str(&full));
    }
}

/* Without a namespace, one object is in "default", and several are in all of them. */
static int read_namespace(const struct reader *r, const struct kind *k, struct str *ns, bool all)
{
    int rv = text(r, "namespace", ns, false);
    if (rv == 0 && !api_kind_has_namespaces(r->m, k)) {
        *ns = STR_NONE;
    } else if (rv == 0 && ns->n == 0 && !all) {
        *ns = STR("default");
    }
    return rv;
}

static int read_target(const struct reader *r, struct api_target *of)
{
    int rv = read_kind(r, &of->kind);
    rv = rv != 0 ? rv : read_namespace(r, of->kind, &of->ns, false);
    return rv != 0 ? rv : text(r, "name", &of->name, true);
}

static void put_target(struct writer *w, const struct api_target *of)
{
    put_kind(w, of->kind);
    put_text(w, "namespace", of->ns);
    put_text(w, "name", of->name);
}

static int read_selection(const struct reader *r, struct api_selection *of)
{
    int rv = read_kind(r, &of->kind);
    rv = rv != 0 ? rv : read_namespace(r, of->kind, &of->ns, true);
    rv = rv != 0 ? rv : text(r, "labelSelector", &of->labels, false);
    return rv != 0 ? rv : text(r, "fieldSelector", &of->fields, false);
}

static void put_selection(struct writer *w, const struct api_selection *of)
{
    put_kind(w, of->kind);
    put_text(w, "namespace", of->ns);
    put_text(w, "labelSelector", of->labels);
    put_text(w, "fieldSelector", of->fields);
}

static int read_write(const struct reader *r, struct api_write *how)
{
    struct mp id = get(r, "id");
    struct str bytes = STR_NONE;
    if (mp_type(id) != MP_NONE && mp_type(id) != MP_NIL && (!mp_read_bin(&id, &bytes) || bytes.n != TXN_ID_SIZE)) {
        return error_set(r->err, ERR_USAGE, "%s: parameter \"id\" must be %d bytes", r->row->name, TXN_ID_SIZE);
    }
    *how = (struct api_write){
        .id = bytes.n == 0 ? NULL : (const uint8_t *)bytes.p,
        .dry_run = mp_bool(get(r, "dryRun"), false),
        .lenient = str_is(mp_str(get(r, "validate")), "ignore"),
        .manager = mp_str(get(r, "fieldManager")),
    };
    if (how->manager.n > API_MANAGER_MAX || !utf8_valid(how->manager)) {
        return error_set(r->err, ERR_USAGE, "%s: parameter \"fieldManager\" must be text of at most %u bytes",
                         r->row->name, API_MANAGER_MAX);
    }
    return 0;
}

static void put_write(struct writer *w, const struct api_write *how)
{
    if (how->id != NULL) {
        put_key(w, "id");
        mp_write_bin(w->b, how->id, TXN_ID_SIZE);
    }
    put_true(w, "dryRun", how->dry_run);
}

/* Masters of former versions refuse these parameters; before this level nobody manages anything, and patches are in the
 * words of the stored version. */
static bool knows_more(const struct writer *w)
{
    return store_level(replica_store(w->m->replica)) >= RELEASE_LEVEL_CARRIED;
}

/* Of those that bring documents, too. */
static void put_checks(struct writer *w, const struct api_write *how)
{
    put_text(w, "validate", how->lenient ? STR("ignore") : STR_NONE);
    put_text(w, "fieldManager", knows_more(w) ? how->manager : STR_NONE);
}

static int read_document(const struct reader *r, const char *key, struct value **doc)
{
    struct mp m = get(r, key);
    if (mp_type(m) == MP_NONE) {
        return error_set(r->err, ERR_USAGE, "%s: parameter \"%s\" is missing", r->row->name, key);
    }
    return msgpack_read_value(r->arena, m.p, (size_t)(m.end - m.p), doc, r->err);
}

static int read_part(const struct reader *r, const struct api_part **part)
{
    struct str name;
    int rv = text(r, "part", &name, false);
    if (rv == 0) {
        *part = api_part_named(name);
        rv = *part != NULL ? 0
                           : error_set(r->err, ERR_USAGE,
                                       "%s: unknown part \"%.*s\"; known are \"\", \"status\", \"scale\", "
                                       "\"ephemeralcontainers\", \"finalize\", \"approval\"",
                                       r->row->name, STR_ARG(name));
    }
    return rv;
}

static void put_part(struct writer *w, const struct api_part *part)
{
    put_text(w, "part", str_of(api_part_name(part)));
}

static int read_deletion(const struct reader *r, struct deletion_options *o)
{
    struct str policy, uid;
    int rv = text(r, "propagationPolicy", &policy, false);
    rv = rv != 0 ? rv : text(r, "uid", &uid, false);
    if (rv != 0) {
        return rv;
    }
    int p = deletion_policy_parse(policy);
    if (p < 0) {
        return error_set(r->err, ERR_USAGE,
                         "%s: unknown propagationPolicy \"%.*s\"; known are Background, Foreground, Orphan",
                         r->row->name, STR_ARG(policy));
    }
    *o = (struct deletion_options){
        .grace_s = mp_int(get(r, "gracePeriodSeconds"), -1),
        .policy = (enum deletion_policy)p,
        .if_uid = uid,
        .if_revision = (uint64_t)mp_int(get(r, "revision"), 0),
    };
    return o->grace_s >= -1 ? 0
                            : error_set(r->err, ERR_USAGE, "%s: gracePeriodSeconds must not be negative", r->row->name);
}

static void put_deletion(struct writer *w, const struct deletion_options *o)
{
    put_text(w, "propagationPolicy", str_of(deletion_policy_word(o->policy)));
    put_text(w, "uid", o->if_uid);
    put_int(w, "gracePeriodSeconds", o->grace_s, -1);
    put_int(w, "revision", (int64_t)o->if_revision, 0);
}

/* ---- Reads ---- */

static int read_get(const struct reader *r, struct api_request *q)
{
    int rv = read_target(r, &q->get);
    q->whole = true;
    return rv != 0 || mp_type(get(r, "part")) == MP_NONE ? rv : read_part(r, &q->part);
}

static void write_get(struct writer *w, const struct api_request *q)
{
    put_target(w, &q->get);
    if (q->part != NULL) {
        put_part(w, q->part);
    }
}

static int read_list(const struct reader *r, struct api_request *q)
{
    q->list.limit = mp_int(get(r, "limit"), API_LIST_LIMIT_DEFAULT);
    int rv = read_selection(r, &q->list.of);
    return rv != 0 ? rv : text(r, "continue", &q->list.token, false);
}

static void write_list(struct writer *w, const struct api_request *q)
{
    put_selection(w, &q->list.of);
    put_int(w, "limit", q->list.limit, API_LIST_LIMIT_DEFAULT);
    put_text(w, "continue", q->list.token);
}

static int read_watch(const struct reader *r, struct api_request *q)
{
    struct mp revision = get(r, "revision");
    enum mp_type type = mp_type(revision);
    q->watch.revision = mp_int(revision, -1); /* what is not yet here will come in order */
    if (type != MP_NONE && type != MP_NIL && q->watch.revision < 0) {
        return error_set(r->err, ERR_USAGE, "watch: revision must be a number, that of a list or an event; or absent");
    }
    return read_selection(r, &q->watch.of);
}

static void write_watch(struct writer *w, const struct api_request *q)
{
    put_selection(w, &q->watch.of);
    put_int(w, "revision", q->watch.revision < 0 ? -1 : q->watch.revision, -1);
}

/* ---- Writes ---- */

static int read_create(const struct reader *r, struct api_request *q)
{
    int rv = read_document(r, "object", &q->create.object);
    return rv != 0 ? rv : read_write(r, &q->create.how);
}

static void write_create(struct writer *w, const struct api_request *q)
{
    put_value(w, "object", q->create.object);
    put_write(w, &q->create.how);
    put_checks(w, &q->create.how);
}

static int read_update(const struct reader *r, struct api_request *q)
{
    int rv = read_document(r, "object", &q->update.object);
    rv = rv != 0 ? rv : read_part(r, &q->update.part);
    q->update.is_put = mp_bool(get(r, "makes"), false);
    return rv != 0 ? rv : read_write(r, &q->update.how);
}

static void write_update(struct writer *w, const struct api_request *q)
{
    put_value(w, "object", q->update.object);
    put_part(w, q->update.part);
    put_true(w, "makes", q->update.is_put && knows_more(w));
    put_write(w, &q->update.how);
    put_checks(w, &q->update.how);
}

static int read_patch(const struct reader *r, struct api_request *q)
{
    struct str type;
    int rv = read_target(r, &q->patch.of);
    rv = rv != 0 ? rv : text(r, "type", &type, true);
    rv = rv != 0 ? rv : read_part(r, &q->patch.part);
    rv = rv != 0 ? rv : text(r, "uid", &q->patch.if_uid, false);
    rv = rv != 0 ? rv : text(r, "apiVersion", &q->patch.api_version, false);
    int t = rv != 0 ? 0 : patch_type_parse(type);
    if (t < 0) {
        return error_set(r->err, ERR_USAGE, "patch: unknown type \"%.*s\"; known are strategic, merge, json",
                         STR_ARG(type));
    }
    q->patch.type = (enum patch_type)t;
    q->patch.if_revision = (uint64_t)mp_int(get(r, "revision"), 0);
    rv = rv != 0 ? rv : read_document(r, "patch", &q->patch.patch);
    return rv != 0 ? rv : read_write(r, &q->patch.how);
}

static void write_patch(struct writer *w, const struct api_request *q)
{
    put_target(w, &q->patch.of);
    put_text(w, "type", str_of(patch_type_word(q->patch.type)));
    put_part(w, q->patch.part);
    put_text(w, "apiVersion", knows_more(w) ? q->patch.api_version : STR_NONE);
    put_text(w, "uid", q->patch.if_uid);
    put_int(w, "revision", (int64_t)q->patch.if_revision, 0);
    put_value(w, "patch", q->patch.patch);
    put_write(w, &q->patch.how);
    put_checks(w, &q->patch.how);
}

/* Is it a list that is worth being read? What is wrong with its length the verb says. */
static int list_fits(const struct reader *r, const char *key, const char *what)
{
    struct mp m = get(r, key);
    if (mp_type(m) != MP_ARRAY || mp_count(m) == 0 || mp_count(m) > MASTER_USER_OBJECTS_MAX) {
        return error_set(r->err, ERR_USAGE, "%s: %s must be a list of 1 to %u %s", r->row->name, key,
                         MASTER_USER_OBJECTS_MAX, what);
    }
    return 0;
}

static int read_apply(const struct reader *r, struct api_request *q)
{
    q->apply.server_side = mp_bool(get(r, "serverSide"), false);
    q->apply.force = mp_bool(get(r, "force"), false);
    int rv = list_fits(r, "objects", "objects");
    rv = rv != 0 ? rv : read_part(r, &q->apply.part);
    const char *part = rv != 0 ? "" : api_part_name(q->apply.part);
    if (*part != '\0' && (!q->apply.server_side || !str_is_among(str_of(part), API_PARTS_APPLIED))) {
        return error_set(r->err, ERR_USAGE,
                         "apply: parameter \"part\" goes with serverSide, and is one of: " API_PARTS_APPLIED);
    }
    rv = rv != 0 ? rv : read_document(r, "objects", &q->apply.objects);
    return rv != 0 ? rv : read_write(r, &q->apply.how);
}

static void write_apply(struct writer *w, const struct api_request *q)
{
    put_value(w, "objects", q->apply.objects);
    put_true(w, "serverSide", q->apply.server_side);
    put_true(w, "force", q->apply.force && knows_more(w));
    put_part(w, q->apply.part);
    put_write(w, &q->apply.how);
    put_checks(w, &q->apply.how);
}

static int read_delete(const struct reader *r, struct api_request *q)
{
    int rv = read_target(r, &q->delete.of);
    rv = rv != 0 ? rv : read_deletion(r, &q->delete.options);
    return rv != 0 ? rv : read_write(r, &q->delete.how);
}

static void write_delete(struct writer *w, const struct api_request *q)
{
    put_target(w, &q->delete.of);
    put_deletion(w, &q->delete.options);
    put_write(w, &q->delete.how);
}

static int read_deletecollection(const struct reader *r, struct api_request *q)
{
    int rv = read_selection(r, &q->deletecollection.of);
    rv = rv != 0 ? rv : read_deletion(r, &q->deletecollection.options);
    return rv != 0 ? rv : read_write(r, &q->deletecollection.how);
}

static void write_deletecollection(struct writer *w, const struct api_request *q)
{
    put_selection(w, &q->deletecollection.of);
    put_deletion(w, &q->deletecollection.options);
    put_write(w, &q->deletecollection.how);
}

static int read_evict(const struct reader *r, struct api_request *q)
{
    int rv = read_namespace(r, kind_by_id(KIND_POD), &q->evict.ns, false);
    rv = rv != 0 ? rv : text(r, "name", &q->evict.name, true);
    rv = rv != 0 ? rv : read_deletion(r, &q->evict.options);
    return rv != 0 ? rv : read_write(r, &q->evict.how);
}

static int read_bind(const struct reader *r, struct api_request *q)
{
    int rv = read_namespace(r, kind_by_id(KIND_POD), &q->bind.ns, false);
    rv = rv != 0 ? rv : text(r, "name", &q->bind.name, true);
    rv = rv != 0 ? rv : text(r, "uid", &q->bind.uid, false);
    rv = rv != 0 ? rv : text(r, "node", &q->bind.node, true);
    return rv != 0 ? rv : read_write(r, &q->bind.how);
}

static void write_bind(struct writer *w, const struct api_request *q)
{
    put_text(w, "namespace", q->bind.ns);
    put_text(w, "name", q->bind.name);
    put_text(w, "uid", q->bind.uid);
    put_text(w, "node", q->bind.node);
    put_write(w, &q->bind.how);
}

static void write_evict(struct writer *w, const struct api_request *q)
{
    put_text(w, "namespace", q->evict.ns);
    put_text(w, "name", q->evict.name);
    put_deletion(w, &q->evict.options);
    put_write(w, &q->evict.how);
}

/* ---- txn ---- */

static const char *const op_words[] = {"create", "update", "delete", "check"}; /* by type */

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
    for (unsigned i = 0; i < ARRAY_SIZE(op_words); i++) {
        if (str_is(what, op_words[i])) {
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

static int read_txn(const struct reader *r, struct api_request *q)
{
    int rv = list_fits(r, "ops", "operations");
    rv = rv != 0 ? rv : read_write(r, &q->txn.how);
    if (rv != 0) {
        return rv;
    }
    struct mp list = get(r, "ops");
    struct api_op *ops = arena_alloc(r->arena, mp_count(list) * sizeof *ops);
    q->txn.count = 0;
    for (struct mp_iter it = mp_iter(list); rv == 0 && mp_next(&it);) {
        rv = read_op(r->arena, it.value, &ops[q->txn.count++], r->err);
    }
    q->txn.ops = ops;
    return rv;
}

static void write_op(const struct master *m, struct buf *b, const struct api_op *op)
{
    CLEANUP_BUF struct buf members = BUF_INIT;
    struct writer w = {m, &members, 0};
    put_text(&w, "op", str_of(op_words[op->type]));
    if (op->object != NULL) {
        put_value(&w, "object", op->object);
    } else {
        put_target(&w, &op->of);
    }
    put_text(&w, "part", op->part == TXN_PART_STATUS ? STR("status") : STR_NONE);
    put_int(&w, "revision", (int64_t)op->if_revision, 0);
    put_text(&w, "uid", op->if_uid);
    put_true(&w, "absent", op->absent);
    mp_write_map(b, w.count);
    buf_append(b, members.data, members.size);
}

static void write_txn(struct writer *w, const struct api_request *q)
{
    put_key(w, "ops");
    mp_write_array(w->b, q->txn.count);
    for (unsigned i = 0; i < q->txn.count; i++) {
        write_op(w->m, w->b, &q->txn.ops[i]);
    }
    put_write(w, &q->txn.how);
    put_checks(w, &q->txn.how);
}

/* ---- What is answered by a document ---- */

static int read_token(const struct reader *r, struct api_request *q)
{
    struct str role;
    struct mp replaces = get(r, "replaces");
    int rv = text(r, "role", &role, true);
    rv = rv != 0 ? rv : text(r, "nodeName", &q->token.node_names, false);
    if (rv != 0) {
        return rv;
    }
    if (!str_is(role, "master") && !str_is(role, "node")) {
        return error_set(r->err, ERR_USAGE, "token: role must be \"master\" or \"node\", not \"%.*s\"", STR_ARG(role));
    }
    if (mp_type(replaces) != MP_NONE && mp_type(replaces) != MP_NIL && mp_int(replaces, -1) <= 0) {
        return error_set(r->err, ERR_USAGE,
                         "token: replaces must be the id of a master, and role \"master\", and uses 1");
    }
    q->token.role = str_is(role, "master") ? PKI_ROLE_MASTER : PKI_ROLE_NODE;
    q->token.ttl_s = mp_int(get(r, "ttlSeconds"), TOKEN_TTL_S);
    q->token.uses = mp_int(get(r, "uses"), 1);
    q->token.replaces = (uint64_t)mp_int(replaces, 0);
    q->token.even_reachable = mp_bool(get(r, "evenReachable"), false);
    return 0;
}

static void write_token(struct writer *w, const struct api_request *q)
{
    put_text(w, "role", q->token.role == PKI_ROLE_MASTER ? STR("master") : STR("node"));
    put_text(w, "nodeName", q->token.node_names);
    put_int(w, "ttlSeconds", q->token.ttl_s, TOKEN_TTL_S);
    put_int(w, "uses", q->token.uses, 1);
    put_int(w, "replaces", (int64_t)q->token.replaces, 0);
    put_true(w, "evenReachable", q->token.even_reachable);
}

static int read_metrics(const struct reader *r, struct api_request *q)
{
    q->metrics.limit = mp_int(get(r, "limit"), API_METRICS_LIMIT);
    int rv = read_selection(r, &q->metrics.of);
    rv = rv != 0 ? rv : text(r, "name", &q->metrics.name, false);
    return rv != 0 ? rv : text(r, "continue", &q->metrics.token, false);
}

static void write_metrics(struct writer *w, const struct api_request *q)
{
    put_selection(w, &q->metrics.of);
    put_text(w, "name", q->metrics.name);
    put_int(w, "limit", q->metrics.limit, API_METRICS_LIMIT);
    put_text(w, "continue", q->metrics.token);
}

static int read_access(const struct reader *r, struct api_request *q)
{
    struct access *a = &q->access.what;
    struct mp groups = get(r, "groups");
    int rv = text(r, "verb", &a->verb, true);
    rv = rv != 0 ? rv : text(r, "group", &a->group, false);
    rv = rv != 0 ? rv : text(r, "resource", &a->resource, false);
    rv = rv != 0 ? rv : text(r, "subresource", &a->sub, false);
    rv = rv != 0 ? rv : text(r, "namespace", &a->ns, false);
    rv = rv != 0 ? rv : text(r, "name", &a->name, false);
    rv = rv != 0 ? rv : text(r, "path", &a->path, false);
    rv = rv != 0 ? rv : text(r, "user", &q->access.user, false);
    if (rv != 0) {
        return rv;
    }
    for (struct mp_iter it = mp_iter(groups); mp_next(&it);) {
        if (q->access.groups_count == API_ACCESS_GROUPS_MAX || mp_type(it.value) != MP_STR) {
            return error_set(r->err, ERR_USAGE, "access: groups must be a list of at most %u names",
                             API_ACCESS_GROUPS_MAX);
        }
        q->access.groups[q->access.groups_count++] = mp_str(it.value);
    }
    q->access.other = q->access.user.n > 0 || q->access.groups_count > 0;
    q->access.local = mp_bool(get(r, "local"), false);
    if (q->access.local && (!q->access.other || a->ns.n == 0 || a->resource.n == 0)) {
        return error_set(r->err, ERR_USAGE, "access: local asks of somebody, and of a resource in a namespace");
    }
    return (a->resource.n > 0) != (a->path.n > 0)
               ? 0
               : error_set(r->err, ERR_USAGE, "access: either a resource or a path must be given");
}

static void write_access(struct writer *w, const struct api_request *q)
{
    const struct access *a = &q->access.what;
    put_text(w, "verb", a->verb);
    put_text(w, "group", a->group);
    put_text(w, "resource", a->resource);
    put_text(w, "subresource", a->sub);
    put_text(w, "namespace", a->ns);
    put_text(w, "name", a->name);
    put_text(w, "path", a->path);
    put_text(w, "user", q->access.user);
    put_true(w, "local", q->access.local);
    if (q->access.groups_count > 0) {
        put_key(w, "groups");
        mp_write_array(w->b, q->access.groups_count);
        for (unsigned i = 0; i < q->access.groups_count; i++) {
            mp_write_str(w->b, q->access.groups[i]);
        }
    }
}

static int read_rules(const struct reader *r, struct api_request *q)
{
    return text(r, "namespace", &q->rules.ns, false);
}

static void write_rules(struct writer *w, const struct api_request *q)
{
    put_text(w, "namespace", q->rules.ns);
}

static int read_nothing(const struct reader *r, struct api_request *q)
{
    (void)r;
    (void)q;
    return 0;
}

static void write_nothing(struct writer *w, const struct api_request *q)
{
    (void)w;
    (void)q;
}

/* ---- The table ---- */

static void verb(struct call *c)
{
    errand_do(&c->e);
}

const struct method request_get = {"get", verb, METHOD_TYPED | METHOD_NEWEST | METHOD_NODE | METHOD_ANY_KIND,
                                   "kind namespace name part stale"};
const struct method request_list = {"list", verb, METHOD_TYPED | METHOD_NEWEST | METHOD_ANY_KIND | METHOD_MANY,
                                    "kind namespace labelSelector fieldSelector limit continue stale"};
const struct method request_watch = {"watch", verb, METHOD_TYPED | METHOD_NEWEST | METHOD_ANY_KIND | METHOD_WATCH,
                                     "kind namespace labelSelector fieldSelector revision"};
const struct method request_create = {"create", verb, METHOD_TYPED | METHOD_WRITE,
                                      "object validate fieldManager id dryRun"};
const struct method request_update = {"update", verb, METHOD_TYPED | METHOD_WRITE,
                                      "object part makes validate fieldManager id dryRun"};
const struct method request_patch = {
    "patch", verb, METHOD_TYPED | METHOD_WRITE,
    "kind namespace name type patch part apiVersion uid revision validate fieldManager id dryRun"};
const struct method request_apply = {"apply", verb, METHOD_TYPED | METHOD_WRITE,
                                     "objects validate serverSide force part fieldManager id dryRun"};
const struct method request_delete = {
    "delete", verb, METHOD_TYPED | METHOD_WRITE | METHOD_DELETES | METHOD_ANY_KIND,
    "kind namespace name gracePeriodSeconds propagationPolicy uid revision id dryRun"};
const struct method request_deletecollection = {
    "deletecollection", verb, METHOD_TYPED | METHOD_WRITE | METHOD_DELETES | METHOD_ANY_KIND | METHOD_MANY,
    "kind namespace labelSelector fieldSelector gracePeriodSeconds propagationPolicy id dryRun"};
const struct method request_evict = {"evict", verb, METHOD_TYPED | METHOD_WRITE | METHOD_DELETES,
                                     "namespace name gracePeriodSeconds propagationPolicy uid revision id dryRun"};
const struct method request_bind = {"bind", verb, METHOD_TYPED | METHOD_WRITE, "namespace name uid node id dryRun"};
const struct method request_txn = {"txn", verb, METHOD_TYPED | METHOD_WRITE, "ops validate fieldManager id dryRun"};
const struct method request_token = {"token", verb, METHOD_TYPED | METHOD_WRITE | METHOD_AGAIN,
                                     "role ttlSeconds uses nodeName replaces evenReachable"};
const struct method request_whoami = {"whoami", verb, METHOD_TYPED | METHOD_NODE | METHOD_WRITE | METHOD_AGAIN, ""};
const struct method request_metrics = {"metrics", verb, METHOD_TYPED | METHOD_WRITE | METHOD_AGAIN,
                                       "kind namespace name labelSelector fieldSelector limit continue"};
const struct method request_cluster = {"cluster", verb, METHOD_TYPED, ""};
const struct method request_cert_status = {"cert.status", verb, METHOD_TYPED, ""};
const struct method request_access = {"access", verb, METHOD_TYPED | METHOD_NEWEST | METHOD_NODE,
                                      "verb group resource subresource namespace name path user groups local stale"};
const struct method request_rules = {"rules", verb, METHOD_TYPED | METHOD_NEWEST | METHOD_NODE, "namespace stale"};
const struct method request_account_token = {"account.token", verb, METHOD_TYPED | METHOD_NEWEST | METHOD_NODE,
                                             "namespace name audiences expirationSeconds boundKind boundName boundUid"};

const struct method request_token_review = {"token.review", verb, METHOD_TYPED | METHOD_NEWEST, "token audiences"};

static const struct {
    const struct method *row;
    int (*read)(const struct reader *r, struct api_request *q);
    void (*write)(struct writer *w, const struct api_request *q);
} verbs[API_VERBS] = {
    [API_GET] = {&request_get, read_get, write_get},
    [API_LIST] = {&request_list, read_list, write_list},
    [API_WATCH] = {&request_watch, read_watch, write_watch},
    [API_CREATE] = {&request_create, read_create, write_create},
    [API_UPDATE] = {&request_update, read_update, write_update},
    [API_PATCH] = {&request_patch, read_patch, write_patch},
    [API_APPLY] = {&request_apply, read_apply, write_apply},
    [API_DELETE] = {&request_delete, read_delete, write_delete},
    [API_DELETECOLLECTION] = {&request_deletecollection, read_deletecollection, write_deletecollection},
    [API_EVICT] = {&request_evict, read_evict, write_evict},
    [API_BIND] = {&request_bind, read_bind, write_bind},
    [API_TXN] = {&request_txn, read_txn, write_txn},
    [API_TOKEN] = {&request_token, read_token, write_token},
    [API_WHOAMI] = {&request_whoami, read_nothing, write_nothing},
    [API_METRICS] = {&request_metrics, read_metrics, write_metrics},
    [API_CLUSTER] = {&request_cluster, read_nothing, write_nothing},
    [API_CERT_STATUS] = {&request_cert_status, read_nothing, write_nothing},
    [API_ACCESS] = {&request_access, read_access, write_access},
    [API_RULES] = {&request_rules, read_rules, write_rules},
    [API_ACCOUNT_TOKEN] = {&request_account_token, verbs_read_account_token, verbs_write_account_token},
    [API_TOKEN_REVIEW] = {&request_token_review, verbs_read_token_review, verbs_write_token_review},
};

const struct method *verbs_row(enum api_verb verb)
{
    return verbs[verb].row;
}

int verbs_read(const struct master *m, struct arena *a, enum api_verb verb, struct params *p, struct api_request *out,
               struct error *err)
{
    *out = (struct api_request){.verb = verb};
    struct reader r = {m, a, p, verbs[verb].row, err};
    return verbs[verb].read(&r, out);
}

void verbs_write(const struct master *m, struct buf *b, const struct api_request *q)
{
    CLEANUP_BUF struct buf members = BUF_INIT;
    struct writer w = {m, &members, 0};
    verbs[q->verb].write(&w, q);
    mp_write_map(b, w.count);
    buf_append(b, members.data, members.size);
}

int verbs_peek(struct errand *e, struct api_request *q)
{
    struct call *c = call_of(e);
    for (unsigned verb = 0; verb < API_VERBS; verb++) {
        if (verbs[verb].row == c->row) {
            return verbs_read(c->m, &e->arena, (enum api_verb)verb, &c->params, q, NULL);
        }
    }
    return ERR_UNSUPPORTED;
}

bool verbs_typed(struct errand *e, struct api_request *q)
{
    struct call *c = call_of(e);
    unsigned verb = 0;
    while (verbs[verb].row != c->row) {
        verb++;
        assert(verb < API_VERBS); /* only verbs are handled by it */
    }
    if (verbs_read(c->m, &e->arena, (enum api_verb)verb, &c->params, q, NULL) == 0) {
        return true; /* nearly always, so no room for an error is cleared first */
    }
    struct error err = {0};
    int rv = verbs_read(c->m, &e->arena, (enum api_verb)verb, &c->params, q, &err);
    assert(rv != 0 && err.code != 0);
    (void)rv;
    errand_fail(e, &err);
    return false;
}
