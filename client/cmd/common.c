#include "client/cmd/common.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/facts/image_name.h"
#include "proto/patch/patch.h"
#include "proto/text/text.h"

bool common_lenient(const struct rctl *r)
{
    const char *v = opt(r, "validate");
    return strcmp(v, "false") == 0 || strcmp(v, "ignore") == 0 || strcmp(v, "warn") == 0;
}

const char *common_cstr(struct rctl *r, struct str s)
{
    return arena_strndup(&r->arena, s.n == 0 ? "" : s.p, s.n);
}

int common_fail(struct rctl *r, const struct error *err)
{
    return err->code == ERR_USAGE && (r->api == NULL || !api_refused(r->api)) ? rctl_usage(r, "%s", err->message)
                                                                              : rctl_fail(r, err);
}

int common_dry_run(struct rctl *r, enum dry_run *out, struct error *err)
{
    const char *v = opt(r, "dry-run");
    struct print_options form = {0};
    *out = DRY_RUN_NONE;
    if (print_parse_form(&r->arena, opt(r, "output"), opt(r, "template"), &form, err) != 0) {
        return ERR_USAGE; /* said before anything is done, not after */
    }
    if (v == NULL || strcmp(v, "none") == 0 || strcmp(v, "false") == 0) {
        return 0;
    }
    if (strcmp(v, "client") == 0 || strcmp(v, "true") == 0) {
        *out = DRY_RUN_CLIENT;
        return 0;
    }
    if (strcmp(v, "server") == 0) {
        *out = DRY_RUN_SERVER;
        return 0;
    }
    return error_set(err, ERR_USAGE, "--dry-run is none, client or server, not \"%s\"", v);
}

/* Masters take "rctl" where nobody is named. */
static void add_manager(struct rctl *r, struct value *params)
{
    if (args_given(&r->args, "field-manager")) {
        value_set(&r->arena, params, "fieldManager", value_cstr(&r->arena, opt(r, "field-manager")));
    }
}

void common_write_params(struct rctl *r, struct value *params, enum dry_run dry)
{
    add_manager(r, params);
    if (dry == DRY_RUN_SERVER) {
        value_set(&r->arena, params, "dryRun", value_bool(&r->arena, true));
    }
    if (common_lenient(r)) {
        value_set(&r->arena, params, "validate", value_cstr(&r->arena, "ignore"));
    }
}

static const char *dry_text(enum dry_run dry)
{
    return dry == DRY_RUN_SERVER ? " (server dry run)" : dry == DRY_RUN_CLIENT ? " (dry run)" : "";
}

int common_print_object(struct rctl *r, const struct object *o, const char *verb, enum dry_run dry)
{
    struct print_options po = {0};
    struct error err = {0};
    if (print_parse_form(&r->arena, opt(r, "output"), opt(r, "template"), &po, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    if (po.form == PRINT_TABLE || po.form == PRINT_WIDE) {
        buf_printf(&out, "%s %s%s\n", resource_title(&r->arena, o->kind, o->name), verb, dry_text(dry));
    } else {
        struct object *mine = (struct object *)o;
        buf_puts(&out, po.form == PRINT_YAML && r->documents++ > 0 ? "---\n" : "");
        if (print_objects(&r->arena, &out, &po, &mine, 1, true, &err) != 0) {
            return rctl_fail(r, &err);
        }
    }
    rctl_write_data(r, &out);
    return EXIT_DONE;
}

static void warn(struct rctl *r, struct str text)
{
    fprintf(r->err_out, "%sWarning:%s %.*s\n", r->color ? "\033[33m" : "", r->color ? "\033[0m" : "", STR_ARG(text));
}

bool common_prints_list(struct rctl *r)
{
    struct print_options po = {0};
    return print_parse_form(&r->arena, opt(r, "output"), opt(r, "template"), &po, NULL) == 0 &&
           po.form != PRINT_TABLE && po.form != PRINT_WIDE && po.form != PRINT_NAME;
}

int common_print_list(struct rctl *r, struct object *const *objects, unsigned count)
{
    struct print_options po = {0};
    struct error err = {0};
    CLEANUP_BUF struct buf out = BUF_INIT;
    if (print_parse_form(&r->arena, opt(r, "output"), opt(r, "template"), &po, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (print_objects(&r->arena, &out, &po, objects, count, count == 1, &err) != 0) {
        return rctl_fail_here(r, &err);
    }
    rctl_write_data(r, &out);
    return EXIT_DONE;
}

struct value *common_item_document(struct rctl *r, const struct manifest_item *item)
{
    struct value *doc = value_copy(&r->arena, item->doc);
    if (item->ns_filled && opt(r, "namespace") == NULL) {
        value_remove(value_get(doc, "metadata"), "namespace");
    }
    return doc;
}

int common_print_item(struct rctl *r, const struct manifest_item *item, const char *verb)
{
    return common_print_value(r, item->kind, common_item_document(r, item), verb, DRY_RUN_CLIENT);
}

int common_print_value(struct rctl *r, const struct kind *k, struct value *doc, const char *verb, enum dry_run dry)
{
    struct object *o;
    struct error err = {0};
    if (object_from_value(k, doc, 0, &o, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (dry == DRY_RUN_CLIENT) {
        struct kind_warnings found;
        kind_find_warnings(k, &r->arena, doc, &found);
        for (unsigned i = 0; i < found.count; i++) {
            warn(r, str_of(found.items[i]));
        }
    }
    int code = common_print_object(r, o, verb, dry);
    object_unref(o);
    return code;
}

/* ---- Sending ---- */

struct value *common_name_params(struct rctl *r, const struct kind *k, const char *ns, const char *name)
{
    struct value *p = value_map(&r->arena);
    value_set(&r->arena, p, "kind", value_cstr(&r->arena, k->name));
    if (k->namespaced) {
        value_set(&r->arena, p, "namespace", value_cstr(&r->arena, ns));
    }
    value_set(&r->arena, p, "name", value_cstr(&r->arena, name));
    return p;
}

static int stand_in(struct rctl *r, const struct kind *k, const char *ns, const char *name, struct object **o,
                    struct error *err)
{
    struct arena *a = &r->arena;
    struct value *doc = value_map(a), *metadata = value_map(a);
    value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
    value_set(a, doc, "kind", value_cstr(a, k->name));
    value_set(a, doc, "metadata", metadata);
    value_set(a, metadata, "name", value_cstr(a, name));
    if (k->namespaced) {
        value_set(a, metadata, "namespace", value_cstr(a, ns));
    }
    return object_from_value(k, doc, 0, o, err);
}

int common_answer(struct rctl *r, struct mp answer, const struct kind *k, const char *ns, const char *name,
                  struct object **o, bool *gone, struct error *err)
{
    struct mp object = mp_get(answer, "object");
    enum mp_type type = mp_type(object);
    *o = NULL;
    if (mp_type(answer) != MP_MAP || (type != MP_MAP && type != MP_NIL && type != MP_NONE)) {
        return error_set(err, ERR_PROTOCOL,
                         "the master's answer about %s \"%s\" is none that this rctl knows; compare `rctl version`",
                         k->singular, name);
    }
    if (gone != NULL) {
        *gone = type != MP_MAP || mp_bool(mp_get(answer, "gone"), false);
    }
    return type == MP_MAP ? object_from_wire(object, o, err) : stand_in(r, k, ns, name, o, err);
}

/* What a request of one object is about: its parameters say so, or the document in them. */
static const struct kind *subject_of(struct rctl *r, const struct value *params, const char **ns, const char **name)
{
    const struct value *doc = value_get(params, "object"), *meta = doc == NULL ? params : value_get(doc, "metadata");
    struct str kind = value_to_str(value_get(doc == NULL ? params : doc, "kind"));
    struct str s = value_to_str(value_get(meta, "namespace")), n = value_to_str(value_get(meta, "name"));
    n = n.n > 0 ? n : value_to_str(value_get(meta, "generateName"));
    *ns = s.n > 0 ? arena_strndup(&r->arena, s.p, s.n) : rctl_namespace(r);
    *name = arena_strndup(&r->arena, n.p, n.n);
    const struct kind *k = kind_by_name(kind);
    assert(k != NULL); /* rctl found it before it sent it */
    return k;
}

void common_warn(struct rctl *r, struct mp result)
{
    for (struct mp_iter it = mp_iter(mp_get(result, "warnings")); mp_next(&it);) {
        warn(r, mp_str(it.value));
    }
}

int common_send(struct rctl *r, const char *method, struct value *params, struct object **o, bool *unchanged,
                bool *gone, struct error *err)
{
    *o = NULL;
    CLEANUP_REPLY struct api_reply reply = {0};
    int rc = api_write(r->api, &r->arena, method, params, &reply, err);
    if (rc != 0) {
        return rc;
    }
    if (unchanged != NULL) {
        *unchanged = mp_bool(mp_get(reply.result, "unchanged"), false);
    }
    const char *ns, *name;
    const struct kind *k = subject_of(r, params, &ns, &name);
    common_warn(r, reply.result);
    return common_answer(r, reply.result, k, ns, name, o, gone, err);
}

int common_create(struct rctl *r, struct value *doc, enum dry_run dry, struct object **o, struct error *err)
{
    struct value *p = value_map(&r->arena);
    value_set(&r->arena, p, "object", doc);
    common_write_params(r, p, dry);
    return common_send(r, "create", p, o, NULL, NULL, err);
}

static int send_patch(struct rctl *r, const struct kind *k, const char *ns, const char *name, const char *type,
                      struct value *patch, const char *part, enum dry_run dry, struct object **o, bool *unchanged,
                      struct error *err)
{
    struct value *p = common_name_params(r, k, ns, name);
    value_set(&r->arena, p, "type", value_cstr(&r->arena, type));
    value_set(&r->arena, p, "patch", patch);
    if (part[0] != '\0') {
        value_set(&r->arena, p, "part", value_cstr(&r->arena, part));
    }
    if (dry == DRY_RUN_SERVER) {
        value_set(&r->arena, p, "dryRun", value_bool(&r->arena, true));
    }
    add_manager(r, p);
    return common_send(r, "patch", p, o, unchanged, NULL, err);
}

int common_patch(struct rctl *r, const struct kind *k, const char *ns, const char *name, const char *type,
                 struct value *patch, const char *part, enum dry_run dry, struct object **o, bool *unchanged,
                 struct error *err)
{
    bool record = part[0] == '\0' && opt_flag(r, "record");
    if (record && value_is_map(patch)) {
        common_record(r, patch, k->secret);
    }
    int rc = send_patch(r, k, ns, name, type, patch, part, dry, o, unchanged, err);
    if (rc == 0 && record && !value_is_map(patch) &&
        dry == DRY_RUN_NONE) { /* a list of operations: the cause on its own */
        struct value *cause = value_map(&r->arena);
        common_record(r, cause, k->secret);
        object_unref(*o);
        rc = send_patch(r, k, ns, name, "merge", cause, "", dry, o, NULL, err);
    }
    return rc;
}

int common_delete(struct rctl *r, const struct kind *k, const char *ns, const char *name,
                  const struct delete_options *d, struct object **o, bool *gone, struct error *err)
{
    struct value *p = common_name_params(r, k, ns, name);
    if (d->grace_s >= 0) {
        value_set(&r->arena, p, "gracePeriodSeconds", value_int(&r->arena, d->grace_s));
    }
    if (d->cascade != NULL) {
        value_set(&r->arena, p, "propagationPolicy", value_cstr(&r->arena, d->cascade));
    }
    if (d->dry == DRY_RUN_SERVER) {
        value_set(&r->arena, p, "dryRun", value_bool(&r->arena, true));
    }
    return common_send(r, "delete", p, o, NULL, gone, err);
}

int common_cascade(struct rctl *r, struct delete_options *d, struct error *err)
{
    static const char *const modes[][2] = {{"background", "Background"},
                                           {"foreground", "Foreground"},
                                           {"orphan", "Orphan"},
                                           {"true", "Background"},
                                           {"false", "Orphan"}};
    if (!args_given(&r->args, "cascade")) {
        return 0; /* the kind's default */
    }
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        if (strcmp(opt(r, "cascade"), modes[i][0]) == 0) {
            d->cascade = modes[i][1];
            return 0;
        }
    }
    return error_set(err, ERR_USAGE, "--cascade is background, foreground or orphan, not \"%s\"", opt(r, "cascade"));
}

struct value *common_save_config(struct rctl *r, const struct value *doc)
{
    static const char *const system[] = {"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"};
    struct value *said = value_copy(&r->arena, doc);
    value_remove(said, "status");
    for (unsigned i = 0; i < ARRAY_SIZE(system); i++) {
        value_remove(value_get(said, "metadata"), system[i]);
    }
    const struct value *with = patch_first_apply(&r->arena, said);
    struct value *out = value_copy(&r->arena, doc);
    struct value *metadata = value_ensure_map(&r->arena, out, "metadata");
    value_set(&r->arena, value_ensure_map(&r->arena, metadata, "annotations"), APPLY_ANNOTATION,
              value_copy(&r->arena, value_get(value_path(with, "metadata.annotations"), APPLY_ANNOTATION)));
    return out;
}

/* ---- Waiting ---- */

struct gone_wait {
    struct rctl *r;
    struct str uid;
    bool seen, gone;
    struct object *last; /* as it was last seen; ours */
    bool told;           /* what holds it */
};

/* "a, b": those that somebody else than the system must take away. */
static bool foreign_finalizers(const struct object *o, struct buf *out)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "metadata.finalizers")); mp_next(&it);) {
        struct str s = mp_str(it.value);
        if (!str_is(s, "foregroundDeletion") && !str_is(s, "orphan")) {
            buf_printf(out, "%s%.*s", out->size > 0 ? ", " : "", STR_ARG(s));
        }
    }
    return out->size > 0;
}

/* A claim that pods use, a volume that a claim has: the way to let it go is to delete those, never to take away the
 * finalizer, which keeps data from being deleted under a pod. NULL: it is not that. */
static const char *kept_in_use(struct rctl *r, const struct object *o)
{
    const char *name = common_cstr(r, o->name);
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "metadata.finalizers")); mp_next(&it);) {
        if (str_is(mp_str(it.value), "kubernetes.io/pvc-protection")) {
            return arena_printf(&r->arena, "pods use it (rctl describe pvc %s names them)", name);
        }
        if (str_is(mp_str(it.value), "kubernetes.io/pv-protection")) {
            return arena_printf(&r->arena, "a claim has it (rctl get pv %s names it)", name);
        }
    }
    return NULL;
}

static void tell_finalizers(struct gone_wait *w)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    const char *use = w->told ? NULL : kept_in_use(w->r, w->last);
    if (use != NULL) {
        rctl_note(w->r, "%s is being deleted, and stays while %s",
                  resource_title(&w->r->arena, w->last->kind, w->last->name), use);
        w->told = true;
    } else if (!w->told && foreign_finalizers(w->last, &b)) {
        rctl_note(w->r, "%s is being deleted, and stays until its finalizers are taken away: %s",
                  resource_title(&w->r->arena, w->last->kind, w->last->name), buf_cstr(&b));
        w->told = true;
    }
}

/* Why it is still there, behind the error of a wait that was too short. */
static void add_holder(struct rctl *r, const struct object *o, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_BUF struct buf kind = BUF_INIT;
    char why[sizeof err->message];
    snprintf(why, sizeof why, "%s", err->message);
    struct str node = o->kind->id == KIND_POD ? mp_str(mp_path(object_mp(o), "spec.nodeName")) : STR_NONE;
    print_kind_name(&kind, o->kind);
    const char *use = kept_in_use(r, o);
    if (use != NULL) {
        error_set(err, err->code, "%s: it stays while %s", why, use);
    } else if (foreign_finalizers(o, &b)) {
        error_set(err, err->code,
                  "%s: it is held by the finalizers %s; whoever set them takes them away when its work is done, or you "
                  "do: rctl patch %s %.*s --type=merge -p '{\"metadata\":{\"finalizers\":null}}'",
                  why, buf_cstr(&b), buf_cstr(&kind), STR_ARG(o->name));
    } else if (node.n > 0) {
        error_set(
            err, err->code,
            "%s: node \"%.*s\" has not said yet that its containers have ended; `rctl get node %.*s` shows whether "
            "it is Ready",
            why, STR_ARG(node), STR_ARG(node));
    } else if (mp_count(mp_path(object_mp(o), "metadata.finalizers")) > 0) {
        error_set(err, err->code, "%s: what belongs to it is being deleted first", why);
    }
}

static bool gone_event(enum api_event type, const struct object *o, uint64_t revision, void *data)
{
    (void)revision;
    struct gone_wait *w = data;
    if (type == API_SYNCED) {
        w->gone = !w->seen;
    } else if (str_eq(o->uid, w->uid)) {
        w->seen = type != API_DELETED;
        w->gone = type == API_DELETED;
        object_unref(w->last);
        w->last = object_ref(o);
        if (w->seen) {
            tell_finalizers(w);
        }
    }
    return !w->gone;
}

int common_wait_gone(struct rctl *r, const struct kind *k, const char *ns, const char *name, struct str uid,
                     int64_t timeout_ms, struct error *err)
{
    struct gone_wait w = {.r = r, .uid = uid};
    struct api_list_query q = {.kind = k,
                               .ns = k->namespaced ? ns : NULL,
                               .field_selector = arena_printf(&r->arena, "metadata.name=%s", name)};
    int rc = api_watch(r->api, &q, timeout_ms, gone_event, &w, err);
    if (rc == ERR_TIMEOUT && w.last != NULL) {
        add_holder(r, w.last, err);
    }
    object_unref(w.last);
    return rc;
}

/* ---- Selecting ---- */

void common_add_object(struct api_list *l, struct object *o)
{
    if (l->count == l->cap) {
        l->cap = MAX(2 * l->cap, 16u);
        l->items = xrealloc(l->items, l->cap * sizeof(o));
    }
    l->items[l->count++] = o;
}

static int select_one(struct rctl *r, const struct kind *k, const char *ns, const char *name, struct api_list *out,
                      struct error *err)
{
    struct object *o;
    int rc = api_get(r->api, k, ns, name, false, &o, err);
    if (rc != 0) {
        return rc;
    }
    common_add_object(out, o);
    return 0;
}

/* Told and passed over, if code is given. */
static int select_named(struct rctl *r, const struct kind *k, const char *ns, const char *name, struct api_list *out,
                        int *code, struct error *err)
{
    struct error why = {0};
    int rc = select_one(r, k, ns, name, out, &why);
    if (rc == ERR_NOT_FOUND && code != NULL) {
        int one = rctl_fail(r, &why);
        *code = *code == EXIT_DONE ? one : *code;
        return 0;
    }
    if (rc != 0) {
        *err = why;
    }
    return rc;
}

static int select_all(struct rctl *r, struct api_list *out, int *code, struct error *err)
{
    if (common_files_given(r)) {
        struct manifest m = {0};
        int rc = common_manifests(r, &m, err);
        for (unsigned i = 0; i < m.count && rc == 0; i++) {
            rc = select_named(r, m.items[i].kind, m.items[i].ns, m.items[i].name, out, code, err);
        }
        return rc;
    }
    struct resources res;
    int rc = resource_parse(&r->arena, r->args.words, r->args.words_count, &res, err);
    bool wide = opt(r, "selector") != NULL || opt(r, "field-selector") != NULL || opt_flag(r, "all") || r->select_whole;
    for (unsigned i = 0; i < res.count && rc == 0; i++) {
        const struct resource *one = &res.items[i];
        if (one->name != NULL) {
            rc = select_named(r, one->kind, rctl_namespace(r), one->name, out, code, err);
            continue;
        }
        if (!wide) {
            return error_set(err, ERR_USAGE, "which %s? Give names, -l SELECTOR or --all", one->kind->plural);
        }
        struct api_list_query q = {.kind = one->kind,
                                   .ns = rctl_namespace(r),
                                   .label_selector = opt(r, "selector"),
                                   .field_selector = opt(r, "field-selector")};
        rc = api_list(r->api, &q, out, err);
    }
    return rc;
}

int common_select(struct rctl *r, struct api_list *out, struct error *err)
{
    return select_all(r, out, NULL, err);
}

int common_select_there(struct rctl *r, struct api_list *out, int *code, struct error *err)
{
    int rc = select_all(r, out, code, err);
    if (rc == 0 && out->count > 0 && *code == EXIT_NOT_FOUND) {
        *code = EXIT_FAILED; /* in part */
    }
    if (rc == 0 && out->count == 0 && *code == EXIT_DONE) {
        rctl_note(r, "No resources found");
    }
    return rc;
}

bool common_form_valid(struct rctl *r, int *code)
{
    const char *form = opt(r, "output");
    if (form == NULL || strcmp(form, "json") == 0 || strcmp(form, "yaml") == 0) {
        return true;
    }
    *code = rctl_usage(r, "--output is json or yaml, not \"%s\"", form);
    return false;
}

void common_print_form(struct rctl *r, const struct value *doc)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    if (strcmp(opt(r, "output"), "json") == 0) {
        json_write(&out, doc, 4);
        buf_putc(&out, '\n');
    } else {
        yaml_write(&out, doc);
    }
    rctl_write(r, &out);
}

int common_image(const char *option, const char *image, struct error *err)
{
    char full[IMAGE_REF_MAX];
    struct error why = {0};
    if (image_name_normalise(str_of(image), full, &why) == 0) {
        return 0;
    }
    return error_set(err, ERR_USAGE, "%s: %s", option, why.message);
}

int common_pairs(struct rctl *r, const char *what, const char *text, struct value *map, struct error *err)
{
    char *copy = arena_strdup(&r->arena, text), *save = NULL;
    for (char *part = strtok_r(copy, ",", &save); part != NULL; part = strtok_r(NULL, ",", &save)) {
        char *eq = strchr(part, '=');
        if (eq == NULL || eq == part) {
            return error_set(err, ERR_USAGE, "%s is KEY=VALUE,..., not \"%s\"", what, part);
        }
        *eq = '\0';
        value_set(&r->arena, map, part, value_cstr(&r->arena, eq + 1));
    }
    return 0;
}
