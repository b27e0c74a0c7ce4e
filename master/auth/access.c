#include "master/auth/access.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "master/auth/account_token.h"
#include "master/master.h"
#include "proto/schema/selector.h"

#define METRICS_GROUP  "metrics.k8s.io"
#define REVIEW_GROUP   "authorization.k8s.io"
#define IDENTITY_GROUP "authentication.k8s.io"

/* ---- Who ---- */

bool access_is_master(const struct principal *p)
{
    return p->role == PKI_ROLE_MASTER || p->role == PKI_ROLE_ADMIN;
}

void access_who(const struct principal *p, struct access_who *out)
{
    struct rbac_subject *s = &out->subject;
    *s = (struct rbac_subject){.master = access_is_master(p), .node = {NULL, 0}};
    bool node = p->role == PKI_ROLE_NODE, nobody = p->role == PKI_ROLE_NONE;
    snprintf(out->user, sizeof out->user, "%s%s", node ? RBAC_NODE_USER : "", nobody ? "system:anonymous" : p->name);
    s->user = str_of(out->user);
    s->node = node ? str_of(p->name) : STR_NONE;
    for (struct str g = STR_NONE; s->groups_count < RBAC_GROUPS_MAX && principal_next_group(p, &g);) {
        s->groups[s->groups_count++] = g;
    }
    if (p->as != NULL && str_starts(s->user, STR(RBAC_NODE_USER)) && rbac_in_group(s, RBAC_NODE_GROUP)) {
        s->node = (struct str){s->user.p + sizeof RBAC_NODE_USER - 1, s->user.n - (sizeof RBAC_NODE_USER - 1)};
    }
}

static struct str group_of(const struct kind_version *v)
{
    const char *slash = strchr(v->api_version, '/');
    return slash == NULL ? STR("") : (struct str){v->api_version, (size_t)(slash - v->api_version)};
}

/* The kind of which these are the objects, by the group that it is stored in or by another one that it is served in.
 * NULL: none. */
static const struct kind *kind_of_access(const struct access *a)
{
    const struct kind *k = a->resource.n == 0 ? NULL : kind_by_any_name(a->resource);
    if (k == NULL || !str_is(a->resource, k->plural)) {
        return NULL;
    }
    bool served = str_eq(a->group, kind_group(k));
    for (const struct kind_version *v = k->versions; v != NULL && v->api_version != NULL && !served; v++) {
        served = !v->read_only && str_eq(a->group, group_of(v));
    }
    return served ? k : NULL;
}

bool access_decide(const struct view *v, const struct rbac_subject *who, const struct access *a,
                   struct rbac_answer *answer)
{
    if (rbac_decide(v, who, a, answer)) {
        return true;
    }
    const struct kind *k = kind_of_access(a);
    struct access other = *a;
    struct rbac_answer given;
    if (k == NULL) {
        return false;
    }
    other.group = kind_group(k);
    bool may = !str_eq(other.group, a->group) && rbac_decide(v, who, &other, &given);
    for (const struct kind_version *kv = k->versions; kv != NULL && kv->api_version != NULL && !may; kv++) {
        other.group = group_of(kv);
        may = !kv->read_only && !str_eq(other.group, a->group) && rbac_decide(v, who, &other, &given);
    }
    *answer = may ? given : *answer;
    return may;
}

int access_check(const struct view *v, const struct principal *p, const struct access *a, struct error *err)
{
    struct access_who who;
    struct rbac_answer answer;
    if (access_is_master(p)) {
        return 0;
    }
    access_who(p, &who);
    if (access_decide(v, &who.subject, a, &answer)) {
        return 0;
    }
    const struct kind *k = a->resource.n == 0 ? NULL : kind_by_any_name(a->resource);
    rbac_refuse(&who.subject, a, err);
    if (k != NULL && str_is(a->resource, k->plural) && str_eq(a->group, kind_group(k))) {
        kind_error_about(err, k, a->name);
    }
    return ERR_FORBIDDEN;
}

/* ---- What a request asks ---- */

struct checking {
    const struct api_call *call;
    const struct view *view;
    struct error *err;
    /* Nothing is decided, and it is told instead (access_each). */
    access_each_cb *each;
    void *data;
    const struct value *doc; /* that what is checked comes from; NULL: none */
};

/* A kind that this program does not know has no name among resources: only a rule for all covers it. */
static struct access of_kind(const char *verb, const struct kind *k)
{
    return (struct access){.verb = str_of(verb),
                           .group = kind_group(k),
                           .resource = kind_is_unknown(k) ? str_of(k->name) : str_of(k->plural)};
}

static int check(const struct checking *ch, const struct access *a)
{
    if (ch->each != NULL) {
        ch->each(a, ch->doc, ch->data);
        return 0;
    }
    return access_check(ch->view, ch->call->who, a, ch->err);
}

static int check_target(const struct checking *ch, const char *verb, const struct api_target *of, const char *sub)
{
    struct access a = of_kind(verb, of->kind);
    a.sub = str_of(sub);
    a.ns = of->ns;
    a.name = of->name;
    return check(ch, &a);
}

/* Who asks for one name alone may be given that name. */
static int check_selection(const struct checking *ch, const char *verb, const struct api_selection *of)
{
    struct access a = of_kind(verb, of->kind);
    struct selector *fields = NULL;
    a.ns = of->ns;
    if (of->fields.n > 0 && !kind_is_unknown(of->kind) &&
        field_selector_parse(ch->call->arena, of->kind, of->fields, &fields, NULL) == 0) {
        a.name = field_selector_value(fields, "metadata.name");
    }
    return check(ch, &a);
}

/* Kind, namespace and name of a document, as admission will read them; false: the verb refuses it, whoever asks. */
static bool read_document(const struct checking *ch, struct value *doc, struct api_target *of)
{
    if (!value_is_map(doc) || (of->kind = kind_of_document(ch->call->arena, doc, NULL)) == NULL) {
        return false;
    }
    const struct value *metadata = value_get(doc, "metadata");
    struct str ns = value_to_str(value_get(metadata, "namespace"));
    of->ns = !of->kind->namespaced ? STR_NONE : ns.n > 0 ? ns : STR("default");
    of->name = value_to_str(value_get(metadata, "name"));
    return true;
}

static int check_create(const struct checking *ch, struct api_target *of)
{
    of->name = STR_NONE; /* nobody can be given the creation of one name: it is not there yet */
    return check_target(ch, "create", of, "");
}

static struct checking with_document(const struct checking *ch, const struct value *doc)
{
    struct checking with = *ch;
    with.doc = doc;
    return with;
}

static int check_document(const struct checking *ch, struct value *doc, const char *verb, const char *sub)
{
    struct api_target of = {0};
    const struct checking with = with_document(ch, doc);
    return !read_document(ch, doc, &of)  ? 0
           : strcmp(verb, "create") == 0 ? check_create(&with, &of)
                                         : check_target(&with, verb, &of, sub);
}

/* Each object is patched, and created if it is not there (a part is never): whether it is there is told to nobody who
 * may not patch it. */
static int check_apply(const struct checking *ch, struct value *objects, const char *sub)
{
    int rv = 0;
    for (unsigned i = 0; rv == 0 && value_is_list(objects) && i < value_count(objects); i++) {
        struct api_target of = {0};
        if (read_document(ch, value_item(objects, i), &of)) {
            const struct checking with = with_document(ch, value_item(objects, i));
            rv = check_target(&with, "patch", &of, sub);
            rv = rv != 0 || *sub != '\0' || ch->each != NULL || view_get(ch->view, of.kind, of.ns, of.name) != NULL
                     ? rv
                     : check_create(ch, &of);
        }
    }
    return rv;
}

/* Who updates what is not there makes it, where the kind is made so. */
static int check_update(const struct checking *ch, const struct api_update *q)
{
    struct api_target of = {0};
    int rv = check_document(ch, q->object, "update", api_part_name(q->part));
    bool whole = *api_part_name(q->part) == '\0';
    bool makes = rv == 0 && ch->each == NULL && q->is_put && whole && read_document(ch, q->object, &of) &&
                 of.kind->put_makes && view_get(ch->view, of.kind, of.ns, of.name) == NULL;
    return makes ? check_create(ch, &of) : rv;
}

static int check_op(const struct checking *ch, const struct api_op *op)
{
    switch (op->type) {
    case API_OP_CREATE:
        return check_document(ch, op->object, "create", "");
    case API_OP_UPDATE:
        return check_document(ch, op->object, "update", op->part == TXN_PART_STATUS ? "status" : "");
    case API_OP_DELETE:
        return check_target(ch, "delete", &op->of, "");
    case API_OP_CHECK:
        return check_target(ch, "get", &op->of, "");
    }
    return error_set(ch->err, ERR_FORBIDDEN, "an operation that nobody may do");
}

static int check_ops(const struct checking *ch, const struct api_txn *q)
{
    int rv = 0;
    for (unsigned i = 0; rv == 0 && i < q->count; i++) {
        rv = check_op(ch, &q->ops[i]);
    }
    return rv;
}

static int check_metrics(const struct checking *ch, const struct api_metrics *q)
{
    struct access a = of_kind(q->name.n > 0 ? "get" : "list", q->of.kind);
    a.group = STR(METRICS_GROUP);
    a.ns = q->of.ns;
    a.name = q->name;
    return check(ch, &a);
}

static int check_review(const struct checking *ch, const char *resource, struct str ns)
{
    return check(ch, &(struct access){
                         .verb = STR("create"), .group = STR(REVIEW_GROUP), .resource = str_of(resource), .ns = ns});
}

static int check_path(const struct checking *ch, const char *verb, const char *path)
{
    return check(ch, &(struct access){.verb = str_of(verb), .path = str_of(path)});
}

/* A node, and whoever asks as one, is held to the pod as well. */
static int check_account_token(const struct checking *ch, const struct api_account_token *q)
{
    const struct api_target of = {kind_by_id(KIND_SERVICEACCOUNT), q->ns, q->name};
    struct access_who who;
    int rv = check_target(ch, "create", &of, "token");
    if (rv != 0 || ch->each != NULL) {
        return rv;
    }
    access_who(ch->call->who, &who);
    return who.subject.node.n == 0 ? 0 : account_token_node_may(ch->view, who.subject.node, q, ch->err);
}

/* A right to a part is none to what has no such part. The status is read with the whole object, as in Kubernetes. */
static int check_get(const struct checking *ch, const struct api_request *q)
{
    const char *part = q->part == NULL ? "" : api_part_name(q->part);
    if (ch->each == NULL && *part != '\0' && !api_has_part(q->get.kind, q->part, ch->err)) {
        return ch->err->code;
    }
    int rv = check_target(ch, "get", &q->get, part);
    bool more = q->whole && *part != '\0' && api_part_of_txn(q->part) != TXN_PART_STATUS;
    return rv != 0 || !more ? rv : check_target(ch, "get", &q->get, "");
}

static int check_request(const struct checking *on, struct api_request *q)
{
    const struct kind *pods = kind_by_id(KIND_POD);
    const struct checking ch = q->verb == API_PATCH ? with_document(on, q->patch.patch) : *on;
    switch (q->verb) {
    case API_GET:
        return check_get(&ch, q);
    case API_LIST:
        return check_selection(&ch, "list", &q->list.of);
    case API_WATCH:
        return check_selection(&ch, "watch", &q->watch.of);
    case API_CREATE:
        return check_document(&ch, q->create.object, "create", "");
    case API_UPDATE:
        return check_update(&ch, &q->update);
    case API_PATCH:
        return check_target(&ch, "patch", &q->patch.of, api_part_name(q->patch.part));
    case API_APPLY:
        return check_apply(&ch, q->apply.objects, q->apply.server_side ? api_part_name(q->apply.part) : "");
    case API_DELETE:
        return check_target(&ch, "delete", &q->delete.of, "");
    case API_DELETECOLLECTION:
        return check_selection(&ch, "deletecollection", &q->deletecollection.of);
    case API_EVICT:
        return check_target(&ch, "create", &(struct api_target){pods, q->evict.ns, q->evict.name}, "eviction");
    case API_BIND:
        return check_target(&ch, "create", &(struct api_target){pods, q->bind.ns, q->bind.name}, "binding");
    case API_TXN:
        return check_ops(&ch, &q->txn);
    case API_METRICS:
        return check_metrics(&ch, &q->metrics);
    case API_ACCESS:
        return q->access.local
                   ? check_review(&ch, "localsubjectaccessreviews", q->access.what.ns)
                   : check_review(&ch, q->access.other ? "subjectaccessreviews" : "selfsubjectaccessreviews", STR_NONE);
    case API_RULES:
        return check_review(&ch, "selfsubjectrulesreviews", STR_NONE);
    case API_ACCOUNT_TOKEN:
        return check_account_token(&ch, &q->account_token);
    case API_TOKEN_REVIEW:
        return check(&ch, &(struct access){
                              .verb = STR("create"), .group = STR(IDENTITY_GROUP), .resource = STR("tokenreviews")});
    case API_TOKEN:
        return check_path(&ch, "post", "/rpc/token");
    case API_CLUSTER:
        return check_path(&ch, "get", "/rpc/cluster");
    case API_CERT_STATUS:
        return check_path(&ch, "get", "/rpc/cert.status");
    case API_WHOAMI:
        if (ch.each != NULL) {
            return check(&ch, &(struct access){.verb = STR("create"),
                                               .group = STR(IDENTITY_GROUP),
                                               .resource = STR("selfsubjectreviews")});
        }
        return 0; /* everybody may know who he is */
    }
    return error_set(ch.err, ERR_FORBIDDEN, "a request that nobody may make");
}

int access_request(const struct api_call *c, const struct view *v, struct api_request *q, struct error *err)
{
    return access_is_master(c->who) ? 0 : check_request(&(struct checking){.call = c, .view = v, .err = err}, q);
}

void access_each(const struct api_call *c, struct api_request *q, access_each_cb *each, void *data)
{
    check_request(&(struct checking){.call = c, .each = each, .data = data}, q);
}

/* ---- Requests that are not typed ---- */

/* "create pods/exec", "get /version" */
static bool read_access(const char *text, struct access *a)
{
    const char *blank = strchr(text, ' '), *slash = blank == NULL ? NULL : strchr(blank, '/');
    if (blank == NULL) {
        return false;
    }
    a->verb = (struct str){text, (size_t)(blank - text)};
    if (blank[1] == '/') {
        a->path = str_of(blank + 1);
        return true;
    }
    a->resource = slash == NULL ? str_of(blank + 1) : (struct str){blank + 1, (size_t)(slash - blank) - 1};
    a->sub = slash == NULL ? STR_NONE : str_of(slash + 1);
    return true;
}

static struct access of_other(struct str request, const char *access, bool writes, struct str ns, struct str name,
                              char *path, size_t size)
{
    struct access a = {0};
    if (access != NULL && read_access(access, &a)) {
        bool none = a.path.n > 0 || str_is_among(a.resource, "nodes componentstatuses"); /* which are in no namespace */
        a.ns = none ? STR_NONE : ns.n > 0 ? ns : STR("default");
        a.name = name;
    } else {
        snprintf(path, size, "/rpc/%.*s", STR_ARG(request));
        a = (struct access){.verb = writes ? STR("post") : STR("get"), .path = str_of(path)};
    }
    return a;
}

int access_other(const struct view *v, const struct principal *p, struct str request, const char *access, bool writes,
                 struct str ns, struct str name, struct error *err)
{
    char path[64];
    const struct access a = of_other(request, access, writes, ns, name, path, sizeof path);
    return access_check(v, p, &a, err);
}

void access_each_other(struct str request, const char *access, bool writes, struct str ns, struct str name,
                       access_each_cb *each, void *data)
{
    char path[64];
    const struct access a = of_other(request, access, writes, ns, name, path, sizeof path);
    each(&a, NULL, data);
}

/* ---- Roles and bindings ---- */

static bool same(const struct object *old, const struct object *now, const char *member)
{
    struct mp a = old == NULL ? mp_of(NULL, 0) : mp_get(object_mp(old), member), b = mp_get(object_mp(now), member);
    size_t n = (size_t)(a.end - a.p);
    return old != NULL && n == (size_t)(b.end - b.p) && (n == 0 || memcmp(a.p, b.p, n) == 0);
}

static int refuse_grant(const struct access_who *who, const struct object *o, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_FREE char *lacking = xstrdup(err->message);
    buf_printf(&b, "%s." ACCESS_GROUP " \"%.*s\" is forbidden: user \"%.*s\" (groups=[", o->kind->plural,
               STR_ARG(o->name), STR_ARG(who->subject.user));
    for (unsigned i = 0; i < who->subject.groups_count; i++) {
        buf_printf(&b, "%s\"%.*s\"", i == 0 ? "" : " ", STR_ARG(who->subject.groups[i]));
    }
    buf_printf(&b, "]) is attempting to grant RBAC permissions not currently held:\n%s", lacking);
    return error_set(err, ERR_FORBIDDEN, "%s", buf_cstr(&b));
}

static bool holds_verb(const struct view *v, const struct access_who *who, const char *verb, const struct kind *k,
                       struct str ns, struct str name)
{
    struct access a = of_kind(verb, k);
    struct rbac_answer answer;
    a.ns = ns;
    a.name = name;
    return rbac_decide(v, &who->subject, &a, &answer);
}

static int may_write_role(const struct view *v, const struct access_who *who, const struct object *old,
                          const struct object *now, struct error *err)
{
    struct mp all = mp_get(object_mp(now), "aggregationRule");
    bool gathers =
        mp_type(all) == MP_MAP || (old != NULL && mp_type(mp_get(object_mp(old), "aggregationRule")) == MP_MAP);
    /* Labels count too: by them another role gathers this one's rules. */
    bool unchanged = same(old, now, "rules") && same(old, now, "aggregationRule") &&
                     mp_equal(object_labels(old), object_labels(now));
    if (unchanged || holds_verb(v, who, "escalate", now->kind, now->ns, now->name)) {
        return 0;
    }
    if (gathers) { /* what it will be made of, nobody knows: who may make it may do everything */
        struct access a = {.verb = STR("*"), .group = STR("*"), .resource = STR("*")};
        struct rbac_answer answer;
        if (!rbac_decide(v, &who->subject, &a, &answer)) {
            return error_set_field(err, ERR_FORBIDDEN, "aggregationRule",
                                   "clusterroles." ACCESS_GROUP " \"%.*s\" is forbidden: must have cluster-admin "
                                   "privileges to use an aggregationRule",
                                   STR_ARG(now->name));
        }
    }
    int rv = rbac_holds(v, &who->subject, now->ns, mp_get(object_mp(now), "rules"), err);
    return rv == ERR_FORBIDDEN ? refuse_grant(who, now, err) : rv;
}

static const struct object *role_in(const struct view *v, const struct txn *with, const struct kind *k, struct str ns,
                                    struct str name)
{
    const struct object *role = view_get(v, k, ns, name);
    for (unsigned i = 0; role == NULL && with != NULL && i < with->count; i++) {
        const struct txn_op *op = &with->ops[i];
        if (op->type == TXN_CREATE && op->kind == k && str_eq(op->ns, ns) && str_eq(op->name, name)) {
            role = op->object;
        }
    }
    return role;
}

static int may_write_binding(const struct view *v, const struct access_who *who, const struct txn *with,
                             const struct object *old, const struct object *now, struct error *err)
{
    bool cluster;
    struct str name = access_binding_role(now, &cluster);
    const struct kind *k = kind_by_id(cluster ? KIND_CLUSTERROLE : KIND_ROLE);
    if ((same(old, now, "subjects") && same(old, now, "roleRef")) || holds_verb(v, who, "bind", k, now->ns, name)) {
        return 0;
    }
    const struct object *role = role_in(v, with, k, cluster ? STR_NONE : now->ns, name);
    if (role == NULL) {
        return error_set(err, ERR_NOT_FOUND,
                         "%s." ACCESS_GROUP " \"%.*s\" not found; who binds a role that is not "
                         "there must be allowed to `bind` it",
                         k->plural, STR_ARG(name));
    }
    int rv = rbac_holds(v, &who->subject, now->ns, mp_get(object_mp(role), "rules"), err);
    return rv == ERR_FORBIDDEN ? refuse_grant(who, now, err) : rv;
}

int access_may_grant(const struct view *v, const struct principal *p, const struct txn *with, const struct object *old,
                     const struct object *now, struct error *err)
{
    struct access_who who;
    if (access_is_master(p)) {
        return 0;
    }
    access_who(p, &who);
    bool role = now->kind->id == KIND_ROLE || now->kind->id == KIND_CLUSTERROLE;
    return role ? may_write_role(v, &who, old, now, err) : may_write_binding(v, &who, with, old, now, err);
}
