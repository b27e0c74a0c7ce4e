#include "proto/facts/access.h"

static bool list_has(struct mp list, struct str word)
{
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct str s = mp_str(it.value);
        if (str_is(s, "*") || str_eq(s, word)) {
            return true;
        }
    }
    return false;
}

/* "pods/log" is "pods" and "log". */
static bool is_part(struct str word, struct str resource, struct str sub)
{
    return word.n == resource.n + 1 + sub.n && str_starts(word, resource) && word.p[resource.n] == '/' &&
           memcmp(word.p + resource.n + 1, sub.p, sub.n) == 0;
}

/* "pods" says nothing of "pods/log"; "*" + "/log" is the log of whatever has one. */
static bool has_resource(struct mp list, struct str resource, struct str sub)
{
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct str s = mp_str(it.value);
        if (str_is(s, "*") || (sub.n == 0 && str_eq(s, resource)) ||
            (sub.n > 0 && (is_part(s, resource, sub) || is_part(s, STR("*"), sub)))) {
            return true;
        }
    }
    return false;
}

static bool has_name(struct mp list, struct str name)
{
    if (mp_count(list) == 0) {
        return true;
    }
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        if (name.n > 0 && str_eq(mp_str(it.value), name)) { /* here "*" is a name like others */
            return true;
        }
    }
    return false;
}

static bool has_path(struct mp list, struct str path)
{
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct str s = mp_str(it.value);
        bool open = s.n > 0 && s.p[s.n - 1] == '*';
        if (str_eq(s, path) || (open && str_starts(path, (struct str){s.p, s.n - 1}))) {
            return true;
        }
    }
    return false;
}

bool access_rule_allows(struct mp rule, const struct access *a)
{
    if (!list_has(mp_get(rule, "verbs"), a->verb)) {
        return false;
    }
    if (a->path.n > 0) {
        return has_path(mp_get(rule, "nonResourceURLs"), a->path);
    }
    return list_has(mp_get(rule, "apiGroups"), a->group) &&
           has_resource(mp_get(rule, "resources"), a->resource, a->sub) &&
           has_name(mp_get(rule, "resourceNames"), a->name);
}

bool access_subject(struct mp subject, struct str ns, bool *group, struct buf *name)
{
    struct str kind = mp_str(mp_get(subject, "kind")), who = mp_str(mp_get(subject, "name")),
               in = mp_str(mp_get(subject, "namespace"));
    *group = str_is(kind, "Group");
    if (str_is(kind, "ServiceAccount")) {
        in = in.n > 0 ? in : ns;
        buf_printf(name, ACCESS_ACCOUNT_PREFIX "%.*s:%.*s", STR_ARG(in), STR_ARG(who));
        return in.n > 0 && who.n > 0;
    }
    buf_append_str(name, who);
    return who.n > 0 && (*group || str_is(kind, "User"));
}

struct str access_binding_role(const struct object *binding, bool *cluster)
{
    struct mp ref = mp_get(object_mp(binding), "roleRef");
    struct str kind = mp_str(mp_get(ref, "kind"));
    *cluster = str_is(kind, "ClusterRole");
    return *cluster || (str_is(kind, "Role") && binding->ns.n > 0) ? mp_str(mp_get(ref, "name")) : STR_NONE;
}
