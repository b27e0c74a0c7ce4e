/* Reviews: documents that ask what somebody may do, or who one is. They are answered, and never kept. Source:
 * Kubernetes authorization.k8s.io/v1 and authentication.k8s.io/v1, with the rules of their validation. */
#include "master/rest/call.h"
#include "proto/text/text.h"

/* ---- What is asked ---- */

/* `SubjectAccessReview.authorization.k8s.io "" is invalid: spec.user: ...` */
static int invalid(const struct rest_call *c, struct error *err, enum error_cause cause, const char *field,
                   const char *why)
{
    const struct rest_extra *x = c->path.extra;
    struct str group = rest_group_of(x->api_version);
    error_set_field(err, ERR_INVALID, field, "%s.%.*s \"\" is invalid: %s: %s", x->kind, STR_ARG(group), field, why);
    error_set_about(err, group, str_of(x->kind), STR_NONE);
    error_add_cause(err, cause, str_of(field), str_of(why));
    return ERR_INVALID;
}

/* The body, of the kind that the address says, with no other types than that has. */
static int read_review(struct rest_call *c, struct arena *a, struct value **doc, struct error *err)
{
    const struct rest_extra *x = c->path.extra;
    const struct kind *k = kind_of_request(str_of(x->api_version), str_of(x->kind));
    int rv = rest_read_body(c, a, doc, err);
    if (rv != 0) {
        return rv;
    }
    if (!value_is_map(*doc)) {
        return error_set(err, ERR_USAGE, "the body must be an object");
    }
    struct str version = value_to_str(value_get(*doc, "apiVersion")), kind = value_to_str(value_get(*doc, "kind"));
    if ((version.n > 0 && !str_is(version, x->api_version)) || (kind.n > 0 && !str_is(kind, x->kind))) {
        return error_set(err, ERR_USAGE,
                         "the body says kind \"%.*s\" and apiVersion \"%.*s\"; this address takes %s of %s",
                         (int)MIN(kind.n, (size_t)253), kind.n == 0 ? "" : kind.p, (int)MIN(version.n, (size_t)253),
                         version.n == 0 ? "" : version.p, x->kind, x->api_version);
    }
    value_set(a, *doc, "apiVersion", value_cstr(a, x->api_version));
    value_set(a, *doc, "kind", value_cstr(a, x->kind));
    rv = k == NULL ? 0 : kind_check_fields(k, a, *doc, KIND_CHECK_LENIENT, err);
    if (rv == ERR_INVALID) { /* of the wrong type: it cannot be read */
        err->code = rv = ERR_USAGE;
    }
    c->spec = value_get(*doc, "spec");
    return rv;
}

static int read_resource(struct rest_call *c, const struct value *of, struct access *what, struct error *err)
{
    bool local = c->path.extra->verb == REST_EXTRA_LOCAL_ACCESS;
    *what = (struct access){.verb = value_path_str(of, "verb"),
                            .group = value_path_str(of, "group"),
                            .resource = value_path_str(of, "resource"),
                            .sub = value_path_str(of, "subresource"),
                            .ns = value_path_str(of, "namespace"),
                            .name = value_path_str(of, "name")};
    if (local && !str_eq(what->ns, c->path.ns)) {
        return invalid(c, err, ERROR_CAUSE_INVALID, "spec.resourceAttributes.namespace",
                       "Invalid value: must match metadata.namespace");
    }
    if (what->resource.n == 0) {
        return invalid(c, err, ERROR_CAUSE_REQUIRED, "spec.resourceAttributes.resource", "Required value");
    }
    return 0;
}

static int read_path(struct rest_call *c, const struct value *of, struct access *what, struct error *err)
{
    *what = (struct access){.verb = value_path_str(of, "verb"), .path = value_path_str(of, "path")};
    if (c->path.extra->verb == REST_EXTRA_LOCAL_ACCESS) {
        return invalid(c, err, ERROR_CAUSE_INVALID, "spec.nonResourceAttributes",
                       "Invalid value: disallowed on this kind of request");
    }
    return what->path.n > 0
               ? 0
               : invalid(c, err, ERROR_CAUSE_REQUIRED, "spec.nonResourceAttributes.path", "Required value");
}

static int read_subject(struct rest_call *c, const struct value *spec, struct api_access *q, struct error *err)
{
    const struct value *groups = value_get(spec, "groups");
    q->other = true;
    q->local = c->path.extra->verb == REST_EXTRA_LOCAL_ACCESS;
    q->user = value_path_str(spec, "user");
    if (value_count(groups) > API_ACCESS_GROUPS_MAX) {
        return invalid(c, err, ERROR_CAUSE_TOO_MANY, "spec.groups", "Too many: at most 32 groups are looked at");
    }
    for (unsigned i = 0; i < value_count(groups); i++) {
        q->groups[q->groups_count++] = value_to_str(value_item(groups, i));
    }
    return q->user.n > 0 || q->groups_count > 0 ? 0
                                                : invalid(c, err, ERROR_CAUSE_INVALID, "spec.user",
                                                          "Invalid value: at least one of user or group must be "
                                                          "specified");
}

static int make_access(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    struct value *doc = NULL;
    int rv = read_review(c, a, &doc, err);
    const struct value *spec = value_get(doc, "spec"), *resource = value_get(spec, "resourceAttributes"),
                       *path = value_get(spec, "nonResourceAttributes");
    struct str ns = value_path_str(doc, "metadata.namespace");
    q->verb = API_ACCESS;
    if (rv != 0) {
        return rv;
    }
    if (value_is_null(resource) == value_is_null(path)) {
        return invalid(c, err, ERROR_CAUSE_INVALID, "spec.resourceAttributes",
                       value_is_null(path)
                           ? "Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be "
                             "specified"
                           : "Invalid value: cannot be specified in combination with nonResourceAttributes");
    }
    if (c->path.has_ns && ns.n > 0 && !str_eq(ns, c->path.ns)) {
        return error_set(err, ERR_USAGE,
                         "the namespace of the provided object does not match the namespace sent on "
                         "the request");
    }
    rv = value_is_null(path) ? read_resource(c, resource, &q->access.what, err)
                             : read_path(c, path, &q->access.what, err);
    bool self = c->path.extra->verb == REST_EXTRA_SELF_ACCESS;
    return rv != 0 || self ? rv : read_subject(c, spec, &q->access, err);
}

static int make_rules(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    struct value *doc = NULL;
    int rv = read_review(c, a, &doc, err);
    q->verb = API_RULES;
    q->rules.ns = value_path_str(doc, "spec.namespace");
    return rv != 0 || q->rules.ns.n > 0 ? rv : error_set(err, ERR_USAGE, "no namespace on request: spec.namespace");
}

int rest_make_review(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    return c->path.extra->verb == REST_EXTRA_RULES ? make_rules(c, a, q, err) : make_access(c, a, q, err);
}

/* ---- What is answered ---- */

static void put_pair(struct buf *out, const char *key, struct str value)
{
    buf_printf(out, "\"%s\":", key);
    json_write_text(out, value);
}

static void write_user(struct buf *out, struct mp m)
{
    struct mp groups = mp_get(m, "groups"), extra = mp_get(m, "extra");
    struct str uid = mp_str(mp_get(m, "uid"));
    buf_puts(out, "\"userInfo\":{");
    put_pair(out, "username", mp_str(mp_get(m, "user")));
    if (uid.n > 0) {
        buf_putc(out, ',');
        put_pair(out, "uid", uid);
    }
    buf_puts(out, ",\"groups\":");
    json_write_mp(out, &groups);
    if (mp_type(extra) == MP_MAP) {
        buf_puts(out, ",\"extra\":");
        json_write_mp(out, &extra);
    }
    buf_putc(out, '}');
}

static void write_access(struct buf *out, struct mp m)
{
    struct str reason = mp_str(mp_get(m, "reason"));
    buf_printf(out, "\"allowed\":%s", mp_bool(mp_get(m, "allowed"), false) ? "true" : "false");
    if (reason.n > 0) {
        buf_putc(out, ',');
        put_pair(out, "reason", reason);
    }
}

/* Rules are of objects or of paths: one that has both is told twice, each time with its half. */
static unsigned write_rules_of(struct buf *out, struct mp rules, bool paths)
{
    static const char *const of_objects[] = {"verbs", "apiGroups", "resources", "resourceNames"};
    static const char *const of_paths[] = {"verbs", "nonResourceURLs"};
    const char *const *keys = paths ? of_paths : of_objects;
    unsigned keys_count = paths ? ARRAY_SIZE(of_paths) : ARRAY_SIZE(of_objects), n = 0;
    for (struct mp_iter it = mp_iter(rules); mp_next(&it);) {
        if (mp_count(mp_get(it.value, paths ? "nonResourceURLs" : "resources")) == 0) {
            continue;
        }
        buf_puts(out, n++ > 0 ? ",{" : "{");
        bool first = true;
        for (unsigned i = 0; i < keys_count; i++) {
            struct mp list = mp_get(it.value, keys[i]);
            if (mp_type(list) == MP_ARRAY) {
                buf_printf(out, "%s\"%s\":", first ? "" : ",", keys[i]);
                json_write_mp(out, &list);
                first = false;
            }
        }
        buf_putc(out, '}');
    }
    return n;
}

static void write_rules(struct buf *out, struct mp m)
{
    struct mp rules = mp_get(m, "rules");
    buf_puts(out, "\"resourceRules\":[");
    write_rules_of(out, rules, false);
    buf_puts(out, "],\"nonResourceRules\":[");
    write_rules_of(out, rules, true);
    buf_printf(out, "],\"incomplete\":%s", mp_bool(mp_get(m, "incomplete"), false) ? "true" : "false");
}

void rest_write_review(struct rest_call *c, struct buf *out, struct mp m)
{
    const struct rest_extra *x = c->path.extra;
    buf_printf(out, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":{", x->kind, x->api_version);
    if (c->path.has_ns) {
        put_pair(out, "namespace", c->path.ns);
    }
    buf_putc(out, '}');
    if (c->spec != NULL) {
        buf_puts(out, ",\"spec\":");
        json_write(out, c->spec, 0);
    }
    buf_puts(out, ",\"status\":{");
    if (x->verb == REST_EXTRA_WHOAMI) {
        write_user(out, m);
    } else if (x->verb == REST_EXTRA_RULES) {
        write_rules(out, m);
    } else {
        write_access(out, m);
    }
    buf_puts(out, "}}");
}
