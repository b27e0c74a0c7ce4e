/* The typed request (master/api/api.h) that a call is. It is made anew whenever the errand asks for it, since verbs
 * change the documents in it. */
#include <assert.h>
#include <string.h>

#include "master/rest/call.h"
#include "proto/protobuf/protobuf.h"
#include "proto/rpc/api.h"
#include "proto/text/text.h"

/* ---- Bodies ---- */

static int read_yaml(struct rest_call *c, struct arena *a, struct value **doc, struct error *err)
{
    struct value **docs;
    unsigned count = 0;
    int rv = yaml_read_twice(a, buf_str(&c->body), NULL, REST_VALUES_MAX, &docs, &count, c->twice, err);
    if (rv == 0 && count != 1) {
        return error_set(err, ERR_USAGE, "the body must be one document, and there are %u", count);
    }
    *doc = rv == 0 ? docs[0] : NULL;
    return rv;
}

/* What has no kind is of the address's. */
static int read_protobuf(struct rest_call *c, struct arena *a, struct value **doc, struct error *err)
{
    const struct rest_path *p = &c->path;
    bool deletes = c->what == REST_DO_DELETE || c->what == REST_DO_CLEAR;
    bool scales = str_is(p->part, "scale"), evicts = c->what == REST_DO_EVICT, binds = c->what == REST_DO_BIND,
         token = c->what == REST_DO_ACCOUNT_TOKEN;
    const char *version = deletes || binds  ? "v1"
                          : scales          ? "autoscaling/v1"
                          : evicts          ? "policy/v1"
                          : token           ? "authentication.k8s.io/v1"
                          : p->kind != NULL ? p->api_version
                                            : p->extra->api_version;
    const char *kind = deletes           ? "DeleteOptions"
                       : scales          ? "Scale"
                       : evicts          ? "Eviction"
                       : binds           ? "Binding"
                       : token           ? "TokenRequest"
                       : p->kind != NULL ? p->kind->name
                                         : p->extra->kind;
    return protobuf_read(a, c->body.data, c->body.size, str_of(version), str_of(kind), doc, err);
}

/* Where in a body something stands means nothing to who sent it: paths of fields do. */
static void forget_places(struct value *v)
{
    v->line = v->column = 0;
    for (unsigned i = 0; value_is_map(v) && i < v->map.count; i++) {
        v->map.members[i].line = v->map.members[i].column = 0;
        forget_places(v->map.members[i].value);
    }
    for (unsigned i = 0; value_is_list(v) && i < v->list.count; i++) {
        forget_places(v->list.items[i]);
    }
}

int rest_read_body(struct rest_call *c, struct arena *a, struct value **doc, struct error *err)
{
    if (c->body.size == 0) {
        return error_set(err, ERR_USAGE, "the request must have a body");
    }
    c->twice = value_list(a);
    int rv = c->coding == REST_JSON   ? json_read_twice(a, buf_str(&c->body), REST_VALUES_MAX, doc, c->twice, err)
             : c->coding == REST_YAML ? read_yaml(c, a, doc, err)
                                      : read_protobuf(c, a, doc, err);
    if (rv == ERR_INVALID && c->coding != REST_PROTOBUF) { /* what is no JSON is no object that could be invalid */
        err->code = rv = ERR_USAGE;
    }
    if (rv == 0) {
        forget_places(*doc);
    }
    return rv;
}

/* ---- Documents ---- */

static int mismatch(struct error *err, const char *what, struct str body, const char *where, struct str path)
{
    return error_set(err, ERR_USAGE, "the %s of the provided object (%.*s) does not match the %s (%.*s)", what,
                     (int)MIN(body.n, (size_t)253), body.n == 0 ? "" : body.p, where, STR_ARG(path));
}

/* The address says what the document is, where it does not say so itself; it may say nothing else. */
static int fit_document(struct rest_call *c, struct arena *a, struct value *doc, struct error *err)
{
    const struct rest_path *p = &c->path;
    struct str version = value_to_str(value_get(doc, "apiVersion")), kind = value_to_str(value_get(doc, "kind"));
    if (!value_is_map(doc)) {
        return error_set(err, ERR_USAGE, "the body must be an object");
    }
    if (kind.n > 0 && !str_is(kind, p->kind->name)) {
        return mismatch(err, "kind", kind, "kind of the address", str_of(p->kind->name));
    }
    if (version.n > 0 && !str_is(version, p->api_version)) {
        return mismatch(err, "API version", version, "expected API version", str_of(p->api_version));
    }
    value_set(a, doc, "apiVersion", value_cstr(a, p->api_version));
    value_set(a, doc, "kind", value_cstr(a, p->kind->name));
    struct value *metadata = value_get(doc, "metadata");
    if (!value_is_null(metadata) && !value_is_map(metadata)) {
        return error_set(err, ERR_USAGE, "metadata must be an object");
    }
    metadata = value_ensure_map(a, doc, "metadata");
    struct str ns = value_to_str(value_get(metadata, "namespace")), name = value_to_str(value_get(metadata, "name"));
    if (p->kind->namespaced && ns.n > 0 && !str_eq(ns, p->ns)) {
        return mismatch(err, "namespace", ns, "namespace sent on the request", p->ns);
    }
    if (p->kind->namespaced) {
        value_set(a, metadata, "namespace", value_str(a, p->ns));
    }
    if (p->name.n > 0 && name.n > 0 && !str_eq(name, p->name)) {
        return mismatch(err, "name", name, "name on the URL", p->name);
    }
    if (p->name.n > 0) {
        value_set(a, metadata, "name", value_str(a, p->name));
    }
    return 0;
}

/* ---- Types of fields, and fieldValidation ---- */

static bool is_unknown_field(const struct errlist *l, unsigned i)
{
    return str_starts(str_of(l->items[i].message), STR("unknown field"));
}

/* A text where a number belongs: the document is no object of its kind. Of patches the verb says so, as of what they
 * make invalid. */
static bool is_wrong_type(const struct errlist *l, unsigned i, unsigned flags)
{
    return !(flags & KIND_CHECK_PATCH) && l->items[i].reason == ERROR_CAUSE_INVALID && !is_unknown_field(l, i);
}

static int unreadable(struct rest_call *c, const struct errlist *l, unsigned i, struct error *err)
{
    const struct kind *k = c->path.kind;
    error_set(err, ERR_USAGE, "%s in version \"%.*s\" cannot be handled as a %s: %s: %s", k->name,
              STR_ARG(c->path.version), k->name, l->items[i].field, l->items[i].message);
    error_add_cause(err, ERROR_CAUSE_INVALID, str_of(l->items[i].field), str_of(l->items[i].message));
    return ERR_USAGE;
}

/* What is against the letter of the document: it makes a text of Strict, and warnings of Warn. */
static void object_to(struct rest_call *c, struct buf *text, const char *what)
{
    buf_printf(text, "%s%s", text->size > 0 ? ", " : "", what);
    if (c->o.validation == REST_VALIDATE_WARN && value_count(c->warnings) < REST_WARNINGS_MAX) {
        c->warnings = c->warnings != NULL ? c->warnings : value_list(&c->own);
        value_append(&c->own, c->warnings, value_cstr(&c->own, what));
    }
}

static int strict_error(const struct rest_call *c, struct buf *text, struct error *err)
{
    const struct kind *k = c->path.kind;
    if (text->size == 0 || c->o.validation != REST_VALIDATE_STRICT) {
        return 0;
    }
    return error_set(err, ERR_USAGE, "%s in version \"%.*s\" cannot be handled as a %s: strict decoding error: %s",
                     k->name, STR_ARG(c->path.version), k->name, buf_cstr(text));
}

static void object_to_twice(struct rest_call *c, struct buf *text)
{
    CLEANUP_BUF struct buf what = BUF_INIT;
    for (unsigned i = 0; i < value_count(c->twice); i++) {
        buf_reset(&what);
        buf_printf(&what, "duplicate field \"%s\"", value_item(c->twice, i)->str.p);
        object_to(c, text, buf_cstr(&what));
    }
}

/* Of what has no fields: operations of a JSON patch, parts. */
static int check_twice(struct rest_call *c, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    object_to_twice(c, &text);
    return strict_error(c, &text, err);
}

/* The kind as it is in the version of the address, for patches, which nobody turns into another one's words. False: its
 * words are in no table. */
static bool kind_there(const struct rest_call *c, unsigned flags, struct kind *out)
{
    const struct kind *k = c->path.kind;
    const struct schema *s = flags & KIND_CHECK_PATCH ? kind_version_schema(k, str_of(c->path.api_version)) : k->schema;
    *out = *k;
    out->schema = s;
    return s != NULL;
}

/* What cannot be read: an error. What the document has and the kind has not, or has twice: an error, or warnings, and
 * it is dropped here: doc lives in a, and becomes what its fields are. */
static int check_own_fields(struct rest_call *c, struct arena *a, struct value *doc, unsigned flags, struct error *err)
{
    struct kind k;
    if (!value_is_map(doc) || !kind_there(c, flags, &k)) {
        return 0;
    }
    struct errlist found = {.arena = a};
    if (!(flags & KIND_CHECK_PATCH) && kind_of_document(a, doc, NULL) == NULL) {
        return 0; /* the verb says so better */
    }
    unsigned level = store_level(replica_store(c->e.api.m->replica));
    kind_find_field_errors(&k, a, doc, flags | KIND_CHECK_LEVEL(level), &found);
    CLEANUP_BUF struct buf text = BUF_INIT;
    for (unsigned i = 0; i < found.count; i++) {
        if (is_wrong_type(&found, i, flags)) {
            return unreadable(c, &found, i, err);
        }
        if (is_unknown_field(&found, i)) {
            object_to(c, &text, found.items[i].message);
        }
    }
    object_to_twice(c, &text);
    return strict_error(c, &text, err);
}

/* The same of a copy: the verb compares the document as it came with what is stored, and drops what is not there
 * either. */
static int check_fields(struct rest_call *c, const struct value *doc, unsigned flags, struct error *err)
{
    CLEANUP_ARENA struct arena scratch; /* it is as large as the document */
    arena_init(&scratch);
    return check_own_fields(c, &scratch, value_copy(&scratch, doc), flags, err);
}

/* ---- Each of them ---- */

static struct api_write how_of(const struct rest_call *c)
{
    return (struct api_write){.id = c->o.dry_run ? NULL : c->id,
                              .dry_run = c->o.dry_run,
                              .lenient = true,
                              .manager = c->o.has_manager ? c->o.manager : c->agent};
}

static struct api_target target_of(const struct rest_call *c)
{
    const struct rest_path *p = &c->path;
    return (struct api_target){p->kind, p->kind->namespaced ? p->ns : STR_NONE, p->name};
}

struct api_selection rest_selection(const struct rest_call *c, const struct kind *k)
{
    return (struct api_selection){k, k->namespaced ? c->path.ns : STR_NONE, c->o.labels, c->o.fields};
}

static int make_list(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    (void)a;
    (void)err;
    int64_t limit = c->o.limit == 0 ? API_LIST_LIMIT_MAX : MIN(c->o.limit, (int64_t)API_LIST_LIMIT_MAX);
    uint64_t newest = view_revision(store_committed(replica_store(c->e.api.m->replica)));
    bool old = c->o.match == REST_MATCH_EXACT && c->o.version != newest;
    q->verb = API_LIST;
    q->list = (struct api_list){
        .of = rest_selection(c, c->path.kind), .limit = limit, .token = c->o.token, .at = old ? c->o.version : 0};
    return 0;
}

static int make_watch(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    (void)a;
    (void)err;
    bool all = !c->o.has_version || c->o.version == 0 || c->o.initial;
    q->verb = API_WATCH;
    q->watch = (struct api_watch){.of = rest_selection(c, c->path.kind), .revision = all ? -1 : (int64_t)c->o.version};
    return 0;
}

static int make_create(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    struct value *doc = NULL;
    int rv = rest_read_body(c, a, &doc, err);
    rv = rv != 0 ? rv : fit_document(c, a, doc, err);
    if (rv == 0 && value_path_str(doc, "metadata.resourceVersion").n > 0) {
        rv = error_set(err, ERR_USAGE, "resourceVersion should not be set on objects to be created");
    }
    q->verb = API_CREATE;
    q->create = (struct api_create){how_of(c), doc};
    return rv != 0 ? rv : check_own_fields(c, a, doc, 0, err);
}

/* What stands in a Scale that is put, as an update of that part of the object. */
static int make_scale(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    struct value *scale = NULL, *doc = value_map(a), *metadata = value_ensure_map(a, doc, "metadata");
    int rv = rest_read_body(c, a, &scale, err);
    struct str name = value_path_str(scale, "metadata.name");
    if (rv == 0 && name.n > 0 && !str_eq(name, c->path.name)) {
        rv = mismatch(err, "name", name, "name on the URL", c->path.name);
    }
    static const char *const kept[] = {"resourceVersion", "uid"};
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        struct value *v = value_get(value_get(scale, "metadata"), kept[i]);
        if (v != NULL) {
            value_set(a, metadata, kept[i], v);
        }
    }
    struct value *replicas = value_path(scale, "spec.replicas");
    value_set(a, value_ensure_map(a, doc, "spec"), "replicas", replicas == NULL ? value_int(a, 0) : replicas);
    rv = rv != 0 ? rv : fit_document(c, a, doc, err);
    q->verb = API_UPDATE;
    q->update = (struct api_update){how_of(c), api_part_named(STR("scale")), doc, .is_put = false};
    return rv;
}

/* The finalizers of a namespace's spec, which an update leaves alone. */
static int make_finalize(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    struct value *doc = NULL;
    int rv = rest_read_body(c, a, &doc, err);
    rv = rv != 0 ? rv : fit_document(c, a, doc, err);
    if (rv == 0 && value_is_null(value_path(doc, "spec.finalizers"))) {
        value_set(a, value_ensure_map(a, doc, "spec"), "finalizers", value_list(a));
    }
    q->verb = API_UPDATE;
    q->update = (struct api_update){how_of(c), api_part_named(STR("finalize")), doc, .is_put = false};
    return rv;
}

static int make_update(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    struct value *doc = NULL;
    if (str_is(c->path.part, "scale")) {
        return make_scale(c, a, q, err);
    }
    int rv = rest_read_body(c, a, &doc, err);
    rv = rv != 0 ? rv : fit_document(c, a, doc, err);
    q->verb = API_UPDATE;
    q->update = (struct api_update){how_of(c), api_part_named(c->path.part), doc, .is_put = true};
    return rv != 0 ? rv : check_fields(c, doc, 0, err);
}

static int make_patch(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    struct value *doc = NULL;
    if (c->o.has_force) {
        error_set_field(err, ERR_INVALID, "force", "force: Forbidden: may not be specified for non-apply patch");
        error_add_cause(err, ERROR_CAUSE_FORBIDDEN, STR("force"),
                        STR("Forbidden: may not be specified for non-apply patch"));
        error_set_about(err, STR("meta.k8s.io"), STR("PatchOptions"), STR_NONE);
        return ERR_INVALID;
    }
    int rv = rest_read_body(c, a, &doc, err);
    bool list = c->patch == PATCH_JSON;
    if (rv == 0 && !(list ? value_is_list(doc) : value_is_map(doc))) {
        rv =
            error_set(err, ERR_USAGE, list ? "a JSON patch must be a list of operations" : "a patch must be an object");
    }
    q->verb = API_PATCH;
    q->patch = (struct api_patch){
        .how = how_of(c), .of = target_of(c), .part = api_part_named(c->path.part), .type = c->patch, .patch = doc};
    if (!str_is(str_of(c->path.api_version), c->path.kind->api_version)) {
        q->patch.api_version = str_of(c->path.api_version);
    }
    return rv != 0                      ? rv
           : list || c->path.part.n > 0 ? check_twice(c, err)
                                        : check_fields(c, doc, KIND_CHECK_PATCH, err);
}

/* What a Scale that is applied says of the object. */
static int scale_to_object(struct arena *a, struct value **doc, struct error *err)
{
    const struct value *scale = *doc;
    struct str name = value_path_str(scale, "metadata.name");
    struct value *replicas = value_path(scale, "spec.replicas"), *out = value_map(a);
    if (!value_is_map(scale)) {
        return error_set(err, ERR_USAGE, "the body must be an object");
    }
    if (name.n > 0) {
        value_set(a, value_ensure_map(a, out, "metadata"), "name", value_str(a, name));
    }
    if (!value_is_null(replicas)) {
        value_set(a, value_ensure_map(a, out, "spec"), "replicas", replicas);
    }
    struct value *managed = value_path(scale, "metadata.managedFields");
    if (managed != NULL) {
        value_set(a, value_ensure_map(a, out, "metadata"), "managedFields", managed);
    }
    *doc = out;
    return 0;
}

static int make_apply(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    struct value *doc = NULL, *list = value_list(a);
    bool scale = str_is(c->path.part, "scale");
    int rv = rest_read_body(c, a, &doc, err);
    if (rv == 0 && !c->o.has_manager) {
        error_set_field(err, ERR_INVALID, "fieldManager",
                        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for "
                        "apply patch");
        error_add_cause(err, ERROR_CAUSE_REQUIRED, STR("fieldManager"),
                        STR("Required value: is required for apply patch"));
        return ERR_INVALID;
    }
    rv = rv == 0 && scale ? scale_to_object(a, &doc, err) : rv;
    if (rv == 0 && value_count(value_path(doc, "metadata.managedFields")) > 0) {
        return error_set(err, ERR_USAGE, "metadata.managedFields must be nil");
    }
    if (rv == 0 && value_path_str(doc, "metadata.name").n == 0) {
        return error_set(err, ERR_USAGE,
                         "the name of the object (based on the body) was undeterminable: name must be "
                         "provided");
    }
    rv = rv != 0 ? rv : fit_document(c, a, doc, err);
    rv = rv != 0 ? rv : check_fields(c, doc, 0, err);
    if (rv == 0) {
        value_append(a, list, doc);
    }
    q->verb = API_APPLY;
    q->apply = (struct api_apply){.how = how_of(c),
                                  .objects = list,
                                  .server_side = true,
                                  .force = c->o.force,
                                  .part = api_part_named(c->path.part)};
    return rv;
}

/* Of a body, if there is one; of an Eviction its deleteOptions. */
static int read_deletion(struct rest_call *c, struct arena *a, bool eviction, struct deletion_options *out,
                         struct error *err)
{
    struct rest_options o = c->o;
    struct value *doc = NULL;
    int rv = c->body.size == 0 ? 0 : rest_read_body(c, a, &doc, err);
    struct str name = eviction ? value_path_str(doc, "metadata.name") : STR_NONE;
    if (rv == 0 && name.n > 0 && !str_eq(name, c->path.name)) {
        rv = mismatch(err, "name", name, "name on the URL", c->path.name);
    }
    rv = rv != 0 ? rv : rest_options_read_delete(a, eviction ? value_get(doc, "deleteOptions") : doc, &o, err);
    *out = o.deletion;
    c->o.dry_run |= o.dry_run;
    c->o.orphan_told |= o.orphan_told;
    return rv;
}

static int make_delete(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    struct deletion_options options;
    int rv = read_deletion(c, a, false, &options, err);
    q->verb = API_DELETE;
    q->delete = (struct api_delete){how_of(c), target_of(c), options};
    return rv;
}

static int make_clear(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    struct deletion_options options;
    int rv = read_deletion(c, a, false, &options, err);
    q->verb = API_DELETECOLLECTION;
    q->deletecollection = (struct api_deletecollection){how_of(c), rest_selection(c, c->path.kind), options};
    return rv;
}

static int make_evict(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    struct deletion_options options;
    int rv = read_deletion(c, a, true, &options, err);
    q->verb = API_EVICT;
    q->evict = (struct api_evict){how_of(c), c->path.ns, c->path.name, options};
    return rv;
}

/* A Binding: of the pod in the address, or of the one that it names itself. */
static int make_bind(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    struct value *doc = NULL;
    int rv = rest_read_body(c, a, &doc, err);
    struct str name = value_path_str(doc, "metadata.name"), ns = value_path_str(doc, "metadata.namespace"),
               kind = value_path_str(doc, "target.kind"), at = c->path.name.n > 0 ? c->path.name : name;
    if (rv == 0 && !value_is_map(doc)) {
        rv = error_set(err, ERR_USAGE, "the body must be an object");
    } else if (rv == 0 && name.n > 0 && !str_eq(name, at)) {
        rv = mismatch(err, "name", name, "name on the URL", at);
    } else if (rv == 0 && ns.n > 0 && !str_eq(ns, c->path.ns)) {
        rv = mismatch(err, "namespace", ns, "namespace sent on the request", c->path.ns);
    } else if (rv == 0 && at.n == 0) {
        rv = error_set(err, ERR_USAGE, "metadata.name must name the pod");
    } else if (rv == 0 && kind.n > 0 && !str_is(kind, "Node")) {
        error_set_field(err, ERR_INVALID, "target.kind",
                        "target.kind: Unsupported value: \"%.*s\": supported values: "
                        "\"Node\", \"<empty>\"",
                        (int)MIN(kind.n, (size_t)64), kind.p);
        error_add_cause(err, ERROR_CAUSE_NOT_SUPPORTED, STR("target.kind"), STR("Unsupported value"));
        rv = ERR_INVALID;
    }
    q->verb = API_BIND;
    q->bind = (struct api_bind){how_of(c), c->path.ns, at, value_path_str(doc, "metadata.uid"),
                                value_path_str(doc, "target.name")};
    return rv;
}

static int make_get(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    (void)a;
    (void)err;
    q->verb = API_GET;
    q->part = c->path.part.n > 0 ? api_part_named(c->path.part) : NULL;
    q->get = target_of(c);
    return 0;
}

static int make_whoami(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    (void)c;
    (void)a;
    (void)err;
    q->verb = API_WHOAMI;
    return 0;
}

static int make_metrics(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    (void)a;
    (void)err;
    struct api_selection of = rest_selection(c, kind_by_id(c->path.extra->of));
    int64_t limit = c->o.limit == 0 ? API_METRICS_LIMIT : MIN(c->o.limit, (int64_t)API_METRICS_LIMIT);
    q->verb = API_METRICS;
    q->metrics = (struct api_metrics){.of = of, .name = c->path.name, .limit = limit, .token = c->o.token};
    return 0;
}

static int (*const makers[])(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err) = {
    [REST_DO_GET] = make_get,
    [REST_DO_LIST] = make_list,
    [REST_DO_WATCH] = make_watch,
    [REST_DO_CREATE] = make_create,
    [REST_DO_UPDATE] = make_update,
    [REST_DO_PATCH] = make_patch,
    [REST_DO_APPLY] = make_apply,
    [REST_DO_DELETE] = make_delete,
    [REST_DO_CLEAR] = make_clear,
    [REST_DO_EVICT] = make_evict,
    [REST_DO_BIND] = make_bind,
    [REST_DO_FINALIZE] = make_finalize,
    [REST_DO_LOG] = NULL,
    [REST_DO_STREAM] = NULL,
    [REST_DO_PROXY] = NULL,
    [REST_DO_WHOAMI] = make_whoami,
    [REST_DO_METRICS] = make_metrics,
    [REST_DO_REVIEW] = rest_make_review,
    [REST_DO_TELL] = NULL,
    [REST_DO_ACCOUNT_TOKEN] = rest_make_account_token,
    [REST_DO_TOKEN_REVIEW] = rest_make_token_review,
};

bool rest_is_typed(const struct rest_call *c)
{
    return makers[c->what] != NULL;
}

enum api_verb rest_verb(const struct rest_call *c)
{
    static const enum api_verb verbs[] = {
        [REST_DO_GET] = API_GET,
        [REST_DO_LIST] = API_LIST,
        [REST_DO_WATCH] = API_WATCH,
        [REST_DO_CREATE] = API_CREATE,
        [REST_DO_UPDATE] = API_UPDATE,
        [REST_DO_PATCH] = API_PATCH,
        [REST_DO_APPLY] = API_APPLY,
        [REST_DO_DELETE] = API_DELETE,
        [REST_DO_CLEAR] = API_DELETECOLLECTION,
        [REST_DO_EVICT] = API_EVICT,
        [REST_DO_BIND] = API_BIND,
        [REST_DO_FINALIZE] = API_UPDATE,
        [REST_DO_WHOAMI] = API_WHOAMI,
        [REST_DO_METRICS] = API_METRICS,
        [REST_DO_REVIEW] = API_ACCESS,
        [REST_DO_ACCOUNT_TOKEN] = API_ACCOUNT_TOKEN,
        [REST_DO_TOKEN_REVIEW] = API_TOKEN_REVIEW,
    };
    assert(rest_is_typed(c));
    bool rules = c->what == REST_DO_REVIEW && c->path.extra->verb == REST_EXTRA_RULES;
    return rules ? API_RULES : verbs[c->what];
}

int rest_peek(struct errand *e, struct api_request *q)
{
    struct rest_call *c = rest_call_of(e);
    struct error err = {0};
    *q = (struct api_request){0};
    c->warnings = c->spec = c->twice = NULL;
    return makers[c->what] == NULL ? ERR_UNSUPPORTED : makers[c->what](c, &e->arena, q, &err);
}

bool rest_typed(struct errand *e, struct api_request *q)
{
    struct rest_call *c = rest_call_of(e);
    struct error err = {0};
    *q = (struct api_request){0};
    c->warnings = c->spec = c->twice = NULL;
    if (makers[c->what](c, &e->arena, q, &err) != 0) {
        errand_fail(e, &err);
        return false;
    }
    if (q->verb != rest_verb(c)) {
        errand_failf(e, ERR_INTERNAL, "the request was let in as another one than it is");
        return false;
    }
    return true;
}
