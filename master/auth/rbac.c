#include "master/auth/rbac.h"

#include "base/mem.h"
#include "master/auth/rbac_node.h"

bool rbac_in_group(const struct rbac_subject *s, const char *group)
{
    for (unsigned i = 0; i < s->groups_count; i++) {
        if (str_is(s->groups[i], group)) {
            return true;
        }
    }
    return false;
}

static bool may_all(const struct rbac_subject *s)
{
    return s->master || rbac_in_group(s, ACCESS_MASTERS);
}

/* ---- Bindings of somebody ---- */

/* Each binding with its role; true: enough. */
typedef bool each_binding(void *data, const struct object *binding, const struct object *role, bool group,
                          struct str name);

static const struct object *role_of(const struct view *v, const struct object *binding)
{
    bool cluster;
    struct str name = access_binding_role(binding, &cluster);
    return name.n == 0 ? NULL
           : cluster   ? view_get(v, kind_by_id(KIND_CLUSTERROLE), STR_NONE, name)
                       : view_get(v, kind_by_id(KIND_ROLE), binding->ns, name);
}

static bool walk_key(const struct view *v, enum view_index index, enum kind_id kind, struct str ns, bool group,
                     struct str name, each_binding *each, void *data)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct view_iter it;
    if (name.n == 0 || name.n > ACCESS_USER_MAX) {
        return false;
    }
    index_subject_key(&key, group, name);
    view_iter_index(&it, v, index, buf_str(&key), kind_by_id(kind), ns);
    VIEW_FOR(binding, &it)
    {
        const struct object *role = role_of(v, binding);
        if (role != NULL && each(data, binding, role, group, name)) {
            return true;
        }
    }
    return false;
}

/* Those of the whole cluster, then those of the namespace (empty: none). */
static bool walk(const struct view *v, const struct rbac_subject *s, struct str ns, each_binding *each, void *data)
{
    for (unsigned scope = 0; scope < (ns.n > 0 ? 2u : 1u); scope++) {
        enum view_index index = scope == 0 ? VIEW_BY_CLUSTER_SUBJECT : VIEW_BY_SUBJECT;
        enum kind_id kind = scope == 0 ? KIND_CLUSTERROLEBINDING : KIND_ROLEBINDING;
        struct str in = scope == 0 ? STR_NONE : ns;
        if (walk_key(v, index, kind, in, false, s->user, each, data)) {
            return true;
        }
        for (unsigned i = 0; i < s->groups_count; i++) {
            if (walk_key(v, index, kind, in, true, s->groups[i], each, data)) {
                return true;
            }
        }
    }
    return false;
}

/* ---- Deciding ---- */

struct asking {
    const struct access *access;
    struct rbac_answer *answer;
};

static struct mp subject_in(const struct object *binding, bool group, struct str name)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    for (struct mp_iter it = mp_iter(mp_get(object_mp(binding), "subjects")); mp_next(&it);) {
        bool is_group;
        buf_reset(&text);
        if (access_subject(it.value, binding->ns, &is_group, &text) && is_group == group &&
            str_eq(buf_str(&text), name)) {
            return it.value;
        }
    }
    return mp_of(NULL, 0);
}

static bool ask(void *data, const struct object *binding, const struct object *role, bool group, struct str name)
{
    struct asking *q = data;
    unsigned n = 0;
    /* What is given in a namespace says nothing of the whole cluster, nor of paths. */
    if (binding->ns.n > 0 && q->access->path.n > 0) {
        return false;
    }
    for (struct mp_iter it = mp_iter(mp_get(object_mp(role), "rules")); mp_next(&it); n++) {
        if (access_rule_allows(it.value, q->access)) {
            *q->answer = (struct rbac_answer){.allowed = true,
                                              .by = RBAC_RULE,
                                              .binding = binding,
                                              .role = role,
                                              .rule = n,
                                              .subject = subject_in(binding, group, name)};
            return true;
        }
    }
    return false;
}

bool rbac_decide(const struct view *v, const struct rbac_subject *s, const struct access *a, struct rbac_answer *out)
{
    *out = (struct rbac_answer){.by = RBAC_NO_RULE};
    if (may_all(s)) {
        *out = (struct rbac_answer){.allowed = true, .by = RBAC_MASTERS};
        return true;
    }
    if (s->node.n > 0 && rbac_node_may(v, s->node, a, &out->pod)) {
        out->allowed = true;
        out->by = RBAC_NODE;
        return true;
    }
    struct asking q = {a, out};
    return walk(v, s, a->ns, ask, &q);
}

void rbac_write_reason(struct buf *out, const struct rbac_answer *answer)
{
    if (answer->by == RBAC_MASTERS) {
        buf_puts(out, "allowed by the group \"" ACCESS_MASTERS "\"");
    } else if (answer->by == RBAC_NODE) {
        buf_puts(out, "allowed to the node");
        if (answer->pod != NULL) {
            buf_printf(out, " for its pod \"%.*s/%.*s\"", STR_ARG(answer->pod->ns), STR_ARG(answer->pod->name));
        }
    } else if (answer->by == RBAC_RULE) {
        const struct object *b = answer->binding, *r = answer->role;
        struct str kind = mp_str(mp_get(answer->subject, "kind")), name = mp_str(mp_get(answer->subject, "name")),
                   ns = mp_str(mp_get(answer->subject, "namespace"));
        buf_printf(out, "RBAC: allowed by %s \"%.*s%s%.*s\" of %s \"%.*s\" to %.*s \"%.*s%s%.*s\"", b->kind->name,
                   STR_ARG(b->name), b->ns.n > 0 ? "/" : "", STR_ARG(b->ns), r->kind->name, STR_ARG(r->name),
                   STR_ARG(kind), STR_ARG(name), ns.n > 0 ? "/" : "", STR_ARG(ns));
    }
}

/* ---- All of it ---- */

struct gathering {
    struct mp *lists;
    unsigned count, max;
    bool more;
};

static bool gather(void *data, const struct object *binding, const struct object *role, bool group, struct str name)
{
    struct gathering *g = data;
    (void)binding;
    (void)group;
    (void)name;
    if (g->count == g->max) {
        g->more = true;
        return true;
    }
    g->lists[g->count++] = mp_get(object_mp(role), "rules");
    return false;
}

unsigned rbac_rules(const struct view *v, const struct rbac_subject *s, struct str ns, struct mp *lists, unsigned max,
                    bool *more)
{
    struct gathering g = {.lists = lists, .max = max};
    walk(v, s, ns, gather, &g);
    *more = g.more;
    return g.count;
}

/* ---- Nobody gives more than he has ---- */

struct holding {
    const struct mp *lists;
    unsigned count, compared;
    struct error *err;
};

/* A "*" that is asked for is covered by "*" alone, and no name by a rule without names. */
static bool is_covered(struct holding *h, const struct access *one)
{
    for (unsigned i = 0; i < h->count; i++) {
        for (struct mp_iter it = mp_iter(h->lists[i]); mp_next(&it);) {
            h->compared++;
            if (access_rule_allows(it.value, one)) {
                return true;
            }
        }
    }
    return false;
}

static int lacks(struct holding *h, const struct access *one)
{
    if (one->path.n > 0) {
        return error_set(h->err, ERR_FORBIDDEN, "{NonResourceURLs:[\"%.*s\"], Verbs:[\"%.*s\"]}", STR_ARG(one->path),
                         STR_ARG(one->verb));
    }
    return error_set(h->err, ERR_FORBIDDEN,
                     "{APIGroups:[\"%.*s\"], Resources:[\"%.*s%s%.*s\"]%s%.*s%s, Verbs:[\"%.*s\"]}",
                     STR_ARG(one->group), STR_ARG(one->resource), one->sub.n > 0 ? "/" : "", STR_ARG(one->sub),
                     one->name.n > 0 ? ", ResourceNames:[\"" : "", STR_ARG(one->name), one->name.n > 0 ? "\"]" : "",
                     STR_ARG(one->verb));
}

static int hold_one(struct holding *h, const struct access *one)
{
    if (h->compared > RBAC_COMPARE_MAX) {
        return error_set(
            h->err, ERR_TOO_LARGE,
            "the rules say so much that it cannot be compared with what is held; make several roles of it");
    }
    return is_covered(h, one) ? 0 : lacks(h, one);
}

static void split(struct str word, struct access *one)
{
    const char *slash = word.n == 0 ? NULL : memchr(word.p, '/', word.n);
    size_t n = slash == NULL ? word.n : (size_t)(slash - word.p);
    one->resource = (struct str){word.p, n};
    one->sub = slash == NULL ? STR_NONE : (struct str){slash + 1, word.n - n - 1};
}

static int hold_names(struct holding *h, struct mp names, struct access *one)
{
    if (mp_count(names) == 0) {
        return hold_one(h, one);
    }
    int rv = 0;
    for (struct mp_iter it = mp_iter(names); rv == 0 && mp_next(&it);) {
        one->name = mp_str(it.value);
        rv = hold_one(h, one);
    }
    one->name = STR_NONE;
    return rv;
}

static int hold_verb(struct holding *h, struct mp rule, struct str verb)
{
    struct access one = {.verb = verb};
    int rv = 0;
    for (struct mp_iter u = mp_iter(mp_get(rule, "nonResourceURLs")); rv == 0 && mp_next(&u);) {
        one.path = mp_str(u.value);
        rv = hold_one(h, &one);
    }
    one.path = STR_NONE;
    for (struct mp_iter g = mp_iter(mp_get(rule, "apiGroups")); rv == 0 && mp_next(&g);) {
        for (struct mp_iter r = mp_iter(mp_get(rule, "resources")); rv == 0 && mp_next(&r);) {
            one.group = mp_str(g.value);
            split(mp_str(r.value), &one);
            rv = hold_names(h, mp_get(rule, "resourceNames"), &one);
        }
    }
    return rv;
}

int rbac_holds(const struct view *v, const struct rbac_subject *s, struct str ns, struct mp rules, struct error *err)
{
    bool more;
    int rv = 0;
    if (may_all(s)) {
        return 0;
    }
    CLEANUP_FREE struct mp *lists = xcalloc(RBAC_LISTS_MAX, sizeof *lists);
    struct holding h = {.lists = lists, .err = err};
    h.count = rbac_rules(v, s, ns, lists, RBAC_LISTS_MAX, &more);
    for (struct mp_iter it = mp_iter(rules); rv == 0 && mp_next(&it);) {
        for (struct mp_iter verb = mp_iter(mp_get(it.value, "verbs")); rv == 0 && mp_next(&verb);) {
            rv = hold_verb(&h, it.value, mp_str(verb.value));
        }
    }
    return rv;
}

/* ---- In words ---- */

void rbac_write_cannot(struct buf *out, const struct access *a)
{
    if (a->path.n > 0) {
        buf_printf(out, "cannot %.*s path \"%.*s\"", STR_ARG(a->verb), STR_ARG(a->path));
        return;
    }
    buf_printf(out, "cannot %.*s resource \"%.*s%s%.*s\" in API group \"%.*s\"", STR_ARG(a->verb), STR_ARG(a->resource),
               a->sub.n > 0 ? "/" : "", STR_ARG(a->sub), STR_ARG(a->group));
    if (a->ns.n > 0) {
        buf_printf(out, " in the namespace \"%.*s\"", STR_ARG(a->ns));
    } else {
        buf_puts(out, " at the cluster scope");
    }
}

int rbac_refuse(const struct rbac_subject *s, const struct access *a, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (a->path.n == 0) {
        buf_printf(&b, "%.*s%s%.*s", STR_ARG(a->resource), a->group.n > 0 ? "." : "", STR_ARG(a->group));
        if (a->name.n > 0) {
            buf_printf(&b, " \"%.*s\"", STR_ARG(a->name));
        }
        buf_puts(&b, " is ");
    }
    buf_printf(&b, "forbidden: User \"%.*s\" ", STR_ARG(s->user));
    rbac_write_cannot(&b, a);
    return error_set(err, ERR_FORBIDDEN, "%s", buf_cstr(&b));
}
