/* The way of a document to a checked one: which kind it is, its fields, the table's defaults, the kind's own defaults,
 * what the table requires, the rules of metadata, the kind's own rules. In this order: each step may rely on those
 * before. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "proto/schema/table.h"

/* ---- Which kind ---- */

static int bad_kind(const struct value *at, struct error *err, const char *field, const char *text)
{
    if (at != NULL && at->line > 0) {
        return error_set_field(err, ERR_INVALID, field, "line %u, column %u: %s", at->line, at->column, text);
    }
    return error_set_field(err, ERR_INVALID, field, "%s", text);
}

static const struct kind *unknown_kind(struct arena *a, const struct value *doc, struct str api, struct str name,
                                       struct error *err)
{
    const struct kind *k = kind_by_name(name), *near = k == NULL ? kind_nearest(name) : NULL;
    const char *text, *not_yet = kind_not_yet(name);
    if (k != NULL) {
        text = arena_printf(a, "no kind \"%s\" in apiVersion \"%.*s\": write apiVersion: %s", k->name, STR_ARG(api),
                            k->api_version);
        bad_kind(value_get(doc, "apiVersion"), err, "apiVersion", text);
        return NULL;
    }
    if (not_yet != NULL) {
        text = arena_printf(a, "%s is not there yet (\"rctl api-resources\" lists the kinds that are)", not_yet);
    } else if (near != NULL) {
        text = arena_printf(a, "unknown kind \"%.*s\" (did you mean \"%s\"?)", STR_ARG(name), near->name);
    } else {
        text = arena_printf(a, "unknown kind \"%.*s\" in apiVersion \"%.*s\"", STR_ARG(name), STR_ARG(api));
    }
    bad_kind(value_get(doc, "kind"), err, "kind", text);
    return NULL;
}

const struct kind *kind_of_document(struct arena *a, struct value *doc, struct error *err)
{
    assert(a != NULL);
    if (!value_is_map(doc)) {
        bad_kind(doc, err, "", "not an object: a map with apiVersion, kind and metadata is expected");
        return NULL;
    }
    struct str api = value_to_str(value_get(doc, "apiVersion")), name = value_to_str(value_get(doc, "kind"));
    if (name.n == 0) {
        bad_kind(doc, err, "kind", "kind: Required value: the document does not say what it describes");
        return NULL;
    }
    if (api.n == 0) {
        const struct kind *k = kind_by_name(name);
        const char *text = k == NULL
                               ? "apiVersion: Required value"
                               : arena_printf(a, "apiVersion: Required value: write apiVersion: %s", k->api_version);
        bad_kind(doc, err, "apiVersion", text);
        return NULL;
    }
    const struct kind *k = convert_up(a, doc);
    return k != NULL ? k : unknown_kind(a, doc, api, name, err);
}

/* ---- Defaults of the table ---- */

static struct value *default_value(struct arena *a, const struct field *f)
{
    assert(f->shape == SHAPE_ONE);
    switch (f->type) {
    case FIELD_INT32:
    case FIELD_INT64:
        return value_int(a, strtoll(f->fallback, NULL, 10));
    case FIELD_BOOL:
        return value_bool(a, f->fallback[0] == 't');
    case FIELD_OBJECT:
        return value_map(a);
    default:
        return value_cstr(a, f->fallback);
    }
}

static void fill_defaults(struct arena *a, const struct schema *s, struct value *v)
{
    for (unsigned i = 0; value_is_map(v) && i < s->count; i++) {
        const struct field *f = &s->fields[i];
        if (f->fallback == NULL && f->type != FIELD_OBJECT) {
            continue;
        }
        struct value *m = value_get(v, f->name);
        bool unset = m == NULL || (m->type == VALUE_STR && m->str.n == 0 && f->type == FIELD_STRING);
        if (unset && f->fallback != NULL) {
            m = default_value(a, f);
            value_set(a, v, f->name, m);
        }
        if (m == NULL || f->type != FIELD_OBJECT) {
            continue;
        }
        if (f->shape == SHAPE_ONE) {
            fill_defaults(a, f->sub, m);
        } else if (f->shape == SHAPE_LIST) {
            VALUE_FOR(j, m) fill_defaults(a, f->sub, value_item(m, j));
        }
    }
}

void kind_fill_defaults(const struct kind *k, struct arena *a, struct value *doc)
{
    fill_defaults(a, k->schema, doc);
    if (k->fill != NULL) {
        k->fill(a, doc);
    }
}

/* ---- What the table requires ---- */

static void check_required(struct errlist *l, const struct schema *s, const struct value *v, const struct fpath *p);

static void check_required_field(struct errlist *l, const struct field *f, const struct value *v,
                                 const struct fpath *at)
{
    if (f->type == FIELD_OBJECT && f->shape == SHAPE_ONE) {
        check_required(l, f->sub, v, at);
    } else if (f->type == FIELD_OBJECT) {
        VALUE_FOR(j, v) check_required(l, f->sub, value_item(v, j), FPATH_ITEM(at, j));
    } else if (f->one_of != NULL && f->shape == SHAPE_LIST) {
        VALUE_FOR(j, v)
        {
            if (!in_choices(value_to_str(value_item(v, j)), f->one_of)) {
                bad_choice(l, value_item(v, j), FPATH_ITEM(at, j), f->one_of);
            }
        }
    } else if (f->one_of != NULL && !in_choices(value_to_str(v), f->one_of)) {
        bad_choice(l, v, at, f->one_of);
    } else if ((f->flags & FIELD_KEY) && !name_is_key(value_to_str(v))) {
        bad_value(l, v, at, NAME_KEY_WHY);
    }
}

static void check_required(struct errlist *l, const struct schema *s, const struct value *v, const struct fpath *p)
{
    for (unsigned i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        if (f->type != FIELD_OBJECT && f->one_of == NULL && !(f->flags & (FIELD_REQUIRED | FIELD_KEY))) {
            continue;
        }
        const struct value *m = value_get(v, f->name);
        bool empty = m == NULL || (m->type == VALUE_STR && m->str.n == 0) || (value_is_list(m) && value_count(m) == 0);
        if (empty && (f->flags & FIELD_REQUIRED)) {
            bad_required(l, m != NULL ? m : v, FPATH_AT(p, f->name));
        } else if (m != NULL && !empty) {
            check_required_field(l, f, m, FPATH_AT(p, f->name));
        }
    }
}

/* ---- Metadata ---- */

/* Namespaces are labels of the domain name system; events, which others name, any segment of a path; all others
 * subdomains. NULL, or why not. */
static const char *name_fault(const struct kind *k, struct str s)
{
    switch (k->names) {
    case NAMES_DNS_LABEL:
        return name_is_dns_label(s) ? NULL : NAME_LABEL_WHY;
    case NAMES_KEY:
        return name_is_key(s) ? NULL : NAME_KEY_WHY;
    case NAMES_DNS_SUBDOMAIN:
        break;
    }
    return name_is_dns_subdomain(s) ? NULL : NAME_SUBDOMAIN_WHY;
}

static void check_name(const struct kind *k, const struct value *meta, const struct fpath *p, struct errlist *l)
{
    const struct value *name = value_get(meta, "name"), *prefix = value_get(meta, "generateName");
    struct str s = value_to_str(prefix), n = value_to_str(name);
    if (s.n > NAME_KEY_MAX) {
        bad_too_long(l, prefix, FPATH_AT(p, "generateName"), NAME_KEY_MAX);
    } else if (s.n > 0) {
        /* The prefix must be the beginning of a good name; a hyphen at its end is followed by something. */
        bool hyphen = s.n > 1 && s.p[s.n - 1] == '-';
        const char *sample = arena_printf(l->arena, "%.*s%s", (int)(s.n - hyphen), s.p, hyphen ? "x" : "");
        const char *why = name_fault(k, str_of(sample));
        if (why != NULL) {
            bad_value(l, prefix, FPATH_AT(p, "generateName"), why);
        }
    }
    if (n.n == 0 && s.n == 0) {
        bad_missing(l, meta, FPATH_AT(p, "name"), "name or generateName is required");
    } else if (n.n > NAME_KEY_MAX) {
        bad_value(l, name, FPATH_AT(p, "name"), NAME_TOO_LONG_WHY);
    } else if (n.n > 0) {
        const char *why = name_is_key(n) ? name_fault(k, n) : NAME_KEY_WHY;
        if (why != NULL) {
            bad_value(l, name, FPATH_AT(p, "name"), why);
        }
    }
}

/* "GROUP/VERSION", or "VERSION" for the first group. */
static bool is_api_version(struct str s)
{
    const char *slash = s.n == 0 ? NULL : memchr(s.p, '/', s.n);
    struct str version = slash == NULL ? s : (struct str){slash + 1, s.n - (size_t)(slash - s.p) - 1};
    return name_is_dns_label(version) &&
           (slash == NULL || name_is_dns_subdomain((struct str){s.p, s.n - version.n - 1}));
}

/* Source: Kubernetes' ValidateOwnerReferences. That all four members are there and may be keys the table says. */
static void check_owners(const struct value *owners, const struct fpath *p, struct errlist *l)
{
    bool has_controller = false;
    VALUE_FOR(i, owners)
    {
        const struct value *api = value_get(value_item(owners, i), "apiVersion"), *kind;
        if (value_to_str(api).n > 0 && !is_api_version(value_to_str(api))) {
            bad_value(l, api, FPATH_AT(FPATH_ITEM(p, i), "apiVersion"),
                      "must be VERSION or GROUP/VERSION (such as apps/v1)");
        }
        kind = value_get(value_item(owners, i), "kind");
        if (str_is(value_to_str(kind), "Event") && str_is(value_to_str(api), "v1")) {
            bad_value(l, kind, FPATH_AT(FPATH_ITEM(p, i), "kind"), "an Event is disallowed from being an owner");
        }
        if (value_to_bool(value_get(value_item(owners, i), "controller"), false)) {
            if (has_controller) {
                bad_value(l, value_get(value_item(owners, i), "controller"), FPATH_ITEM(p, i),
                          "only one owner may have controller: true");
            }
            has_controller = true;
        }
    }
}

/* What is there already may stay, so that an object from before a rule can be changed. */
static void check_finalizers(const struct value *meta, const struct value *old, const struct fpath *p,
                             struct errlist *l)
{
    const struct value *list = value_get(meta, "finalizers"), *before = value_get(old, "finalizers");
    bool deleting = value_get(old, "deletionTimestamp") != NULL, orphan = false, foreground = false;
    VALUE_FOR(i, list)
    {
        const struct value *item = value_item(list, i);
        bool known = false;
        VALUE_FOR(j, before) known = known || str_eq(value_to_str(value_item(before, j)), value_to_str(item));
        orphan = orphan || str_is(value_to_str(item), "orphan");
        foreground = foreground || str_is(value_to_str(item), "foregroundDeletion");
        if (!known && deleting) {
            bad_forbidden(l, item, p, "no new finalizers can be added if the object is being deleted");
        } else if (!known) {
            check_finalizer(l, item, FPATH_ITEM(p, i));
        }
    }
    if (orphan && foreground) {
        bad_value(l, list, p, "orphan and foregroundDeletion contradict each other");
    }
}

static void check_meta(const struct kind *k, const struct value *doc, const struct value *old, struct errlist *l)
{
    const struct fpath *p = FPATH("metadata");
    const struct value *meta = value_get(doc, "metadata"), *old_meta = value_get(old, "metadata");
    check_name(k, meta, p, l);
    const struct value *ns = value_get(meta, "namespace");
    if (k->namespaced) {
        check_dns_label(l, meta, ns, FPATH_AT(p, "namespace"));
    } else if (value_to_str(ns).n > 0) {
        bad_forbidden(l, ns, FPATH_AT(p, "namespace"),
                      arena_printf(l->arena, "not allowed: a %s belongs to the whole cluster", k->name));
    }
    check_labels(l, value_get(meta, "labels"), FPATH_AT(p, "labels"));
    check_annotations(l, value_get(meta, "annotations"), FPATH_AT(p, "annotations"));
    check_owners(value_get(meta, "ownerReferences"), FPATH_AT(p, "ownerReferences"), l);
    check_finalizers(meta, old_meta, FPATH_AT(p, "finalizers"), l);
    static const char *const fixed[] = {"name", "namespace", "uid", "creationTimestamp"};
    for (unsigned i = 0; old_meta != NULL && i < ARRAY_SIZE(fixed); i++) {
        const struct value *now = value_get(meta, fixed[i]), *before = value_get(old_meta, fixed[i]);
        if (now != NULL && before != NULL) {
            check_immutable(l, now, before, FPATH_AT(p, fixed[i]));
        }
    }
}

/* ---- All of it ---- */

/* A list without elements and a free map without keys are as absent, and are kept as that: the same object, the same
 * bytes. */
static void drop_empty(const struct schema *s, struct value *v)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < v->map.count; i++) {
        struct value_member m = v->map.members[i];
        const struct field *f = schema_field(s, m.key);
        if (f != NULL && f->shape != SHAPE_ONE && value_count(m.value) == 0) {
            continue;
        }
        if (f != NULL && f->type == FIELD_OBJECT && f->shape == SHAPE_ONE) {
            drop_empty(f->sub, m.value);
        } else if (f != NULL && f->type == FIELD_OBJECT && f->shape == SHAPE_LIST) {
            VALUE_FOR(j, m.value) drop_empty(f->sub, value_item(m.value, j));
        }
        v->map.members[kept++] = m;
    }
    v->map.count = kept;
}

static void fill_meta(const struct kind *k, struct arena *a, struct value *doc)
{
    value_set(a, doc, "apiVersion", value_cstr(a, k->api_version));
    value_set(a, doc, "kind", value_cstr(a, k->name));
    struct value *meta = value_ensure_map(a, doc, "metadata");
    if (k->namespaced && value_to_str(value_get(meta, "namespace")).n == 0) {
        value_set(a, meta, "namespace", value_cstr(a, "default"));
    } else if (!k->namespaced && value_is_str(value_get(meta, "namespace")) &&
               value_to_str(value_get(meta, "namespace")).n == 0) {
        value_remove(meta, "namespace");
    }
}

int kind_check(const struct kind *k, struct arena *a, struct value *doc, const struct value *old, unsigned flags,
               struct error *err)
{
    assert(k != NULL && a != NULL);
    assert(!(flags & KIND_CHECK_PATCH));
    assert((old != NULL) == ((flags & KIND_CHECK_UPDATE) != 0));
    int rc = kind_check_fields_of(k, a, doc, old, flags, err);
    if (rc != 0) {
        return rc;
    }
    drop_empty(k->schema, doc);
    fill_meta(k, a, doc);
    kind_fill_defaults(k, a, doc);
    struct errlist l = {.arena = a};
    check_meta(k, doc, old, &l);
    check_required(&l, k->schema, doc, NULL);
    if (k->validate != NULL) {
        k->validate(doc, old, &l);
    }
    kind_find_refused(k, doc, old, &l);
    return kind_findings(k, doc, &l, err);
}
