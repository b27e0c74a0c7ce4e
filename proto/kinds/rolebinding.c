/* RoleBinding and ClusterRoleBinding: who may do what a role says. Source: Kubernetes rbac.authorization.k8s.io/v1;
 * v1beta1 is taken as well. */
#include "proto/describe/parts.h"
#include "proto/facts/access.h"
#include "proto/kinds/kinds.h"
#include "proto/schema/release.h"
#include "proto/text/grid.h"

/* clang-format off */
SCHEMA_STATIC(subject, "Subject", "Somebody.",
    STRING("kind", "User, Group or ServiceAccount.", REQUIRED),
    STRING("apiGroup", "Of the kind: '" ACCESS_GROUP "' for users and groups, '' for accounts."),
    STRING("name", "Name of the user, the group or the account.", REQUIRED),
    STRING("namespace", "Of the account; in a RoleBinding its own if absent.", KEY));

SCHEMA_STATIC(role_ref, "RoleRef", "A role.",
    STRING("apiGroup", "Of the kind: '" ACCESS_GROUP "'."),
    STRING("kind", "Role, of the binding's namespace, or ClusterRole.", REQUIRED),
    STRING("name", "Name of the role.", REQUIRED_KEY));

SCHEMA_STATIC(rolebinding, "RoleBinding", "Who may do in its namespace what a role says.",
    TYPE_META,
    OBJECTS("subjects", subject, "Who may."),
    OBJECT("roleRef", role_ref, "What may be done: a Role or a ClusterRole. Cannot change.", REQUIRED));

SCHEMA_STATIC(clusterrolebinding, "ClusterRoleBinding", "Who may do in the whole cluster what a ClusterRole says.",
    TYPE_META,
    OBJECTS("subjects", subject, "Who may."),
    OBJECT("roleRef", role_ref, "What may be done: a ClusterRole. Cannot change.", REQUIRED));
/* clang-format on */

static void fill(struct arena *a, struct value *obj)
{
    struct value *ref = value_get(obj, "roleRef"), *subjects = value_get(obj, "subjects");
    if (value_is_map(ref) && value_path_str(ref, "apiGroup").n == 0) {
        value_set(a, ref, "apiGroup", value_cstr(a, ACCESS_GROUP));
    }
    VALUE_FOR(i, subjects)
    {
        struct value *s = value_item(subjects, i);
        struct str kind = value_path_str(s, "kind");
        if (value_is_map(s) && value_path_str(s, "apiGroup").n == 0 &&
            (str_is(kind, "User") || str_is(kind, "Group"))) {
            value_set(a, s, "apiGroup", value_cstr(a, ACCESS_GROUP));
        }
    }
}

static void check_subject(const struct value *s, bool namespaced, const struct fpath *p, struct errlist *l)
{
    const struct value *kind = value_get(s, "kind"), *group = value_get(s, "apiGroup"), *name = value_get(s, "name");
    struct str word = value_to_str(kind), of = value_to_str(group);
    if (str_is(word, "ServiceAccount")) {
        if (value_to_str(name).n > 0) {
            check_dns_subdomain(l, s, name, FPATH_AT(p, "name"));
        }
        if (of.n > 0) {
            bad_choice(l, group, FPATH_AT(p, "apiGroup"), "");
        }
        if (!namespaced && value_path_str(s, "namespace").n == 0) {
            bad_required(l, s, FPATH_AT(p, "namespace"));
        }
    } else if (str_is(word, "User") || str_is(word, "Group")) {
        if (!str_is(of, ACCESS_GROUP)) {
            bad_choice(l, group, FPATH_AT(p, "apiGroup"), ACCESS_GROUP);
        }
        if (value_to_str(name).n > ACCESS_USER_MAX) {
            bad_too_long(l, name, FPATH_AT(p, "name"), ACCESS_USER_MAX);
        }
    } else if (word.n > 0) {
        bad_choice(l, kind, FPATH_AT(p, "kind"), "ServiceAccount|User|Group");
    }
}

static void check_binding(const struct value *obj, const struct value *old, bool namespaced, struct errlist *l)
{
    const struct value *ref = value_get(obj, "roleRef"), *subjects = value_get(obj, "subjects");
    const struct fpath *p = FPATH("roleRef");
    const char *kinds = namespaced ? "Role|ClusterRole" : "ClusterRole";
    if (value_is_map(ref) && !str_is(value_path_str(ref, "apiGroup"), ACCESS_GROUP)) {
        bad_choice(l, value_get(ref, "apiGroup"), FPATH_AT(p, "apiGroup"), ACCESS_GROUP);
    }
    if (value_path_str(ref, "kind").n > 0 && !in_choices(value_path_str(ref, "kind"), kinds)) {
        bad_choice(l, value_get(ref, "kind"), FPATH_AT(p, "kind"), kinds);
    }
    VALUE_FOR(i, subjects)
    {
        check_subject(value_item(subjects, i), namespaced, FPATH_ITEM(FPATH("subjects"), i), l);
    }
    if (old != NULL && !value_equal(ref, value_get(old, "roleRef"))) {
        bad_value(l, ref, p, "cannot change roleRef");
    }
}

static void rolebinding_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    check_binding(obj, old, true, l);
}

static void clusterrolebinding_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    check_binding(obj, old, false, l);
}

/* The role, and the accounts. */
static void references(const struct object *o, kind_reference_cb *cb, void *data)
{
    bool cluster;
    struct str role = access_binding_role(o, &cluster);
    if (role.n > 0) {
        cb(data, &(struct kind_reference){.kind = kind_by_id(cluster ? KIND_CLUSTERROLE : KIND_ROLE),
                                          .ns = cluster ? STR_NONE : o->ns,
                                          .name = role,
                                          .use = REFERENCE_TARGET});
    }
    for (struct mp_iter it = mp_iter(mp_get(object_mp(o), "subjects")); mp_next(&it);) {
        struct str name = mp_str(mp_get(it.value, "name")), ns = mp_str(mp_get(it.value, "namespace"));
        ns = ns.n > 0 ? ns : o->ns;
        if (str_is(mp_str(mp_get(it.value, "kind")), "ServiceAccount") && ns.n > 0 && name_is_key(name)) {
            cb(data, &(struct kind_reference){
                         .kind = kind_by_id(KIND_SERVICEACCOUNT), .ns = ns, .name = name, .use = REFERENCE_TARGET});
        }
    }
}

/* ---- For people ---- */

static void cell_role(struct buf *out, const struct object *o, int64_t now_ms)
{
    struct mp ref = mp_get(object_mp(o), "roleRef");
    struct str kind = mp_str(mp_get(ref, "kind")), name = mp_str(mp_get(ref, "name"));
    (void)now_ms;
    buf_printf(out, "%.*s/%.*s", STR_ARG(kind), STR_ARG(name));
}

static void cell_subjects(struct buf *out, const struct object *o, const char *of)
{
    const char *gap = "";
    for (struct mp_iter it = mp_iter(mp_get(object_mp(o), "subjects")); mp_next(&it);) {
        struct str kind = mp_str(mp_get(it.value, "kind")), name = mp_str(mp_get(it.value, "name")),
                   ns = mp_str(mp_get(it.value, "namespace"));
        if (str_is(kind, of)) {
            buf_printf(out, "%s%.*s%s%.*s", gap, STR_ARG(ns), ns.n > 0 ? "/" : "", STR_ARG(name));
            gap = ", ";
        }
    }
}

static void cell_users(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_subjects(out, o, "User");
}

static void cell_groups(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_subjects(out, o, "Group");
}

static void cell_accounts(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_subjects(out, o, "ServiceAccount");
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "ROLE", .cell = cell_role},
    {.title = "AGE"},
    {.title = "USERS", .wide = true, .cell = cell_users},
    {.title = "GROUPS", .wide = true, .cell = cell_groups},
    {.title = "SERVICEACCOUNTS", .wide = true, .cell = cell_accounts},
};

static void describe_subjects(struct buf *out, struct mp subjects)
{
    static const char *const head[] = {"Kind", "Name", "Namespace", "----", "----", "---------"};
    static const char *const members[] = {"kind", "name", "namespace"};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    CLEANUP_BUF struct buf table = BUF_INIT;
    unsigned n = 6;
    const char **cells = arena_alloc(&a, (6 + 3 * (size_t)mp_count(subjects)) * sizeof(*cells));
    memcpy(cells, head, sizeof(head));
    for (struct mp_iter it = mp_iter(subjects); mp_next(&it);) {
        for (unsigned i = 0; i < ARRAY_SIZE(members); i++) {
            struct str s = mp_str(mp_get(it.value, members[i]));
            cells[n++] = arena_strndup(&a, s.n > 0 ? s.p : "", s.n);
        }
    }
    grid_print(&table, cells, 3, n / 3);
    describe_indented(out, buf_cstr(&table));
}

static void describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp ref = mp_get(object_mp(o), "roleRef");
    (void)c;
    describe_text(out, 0, 14, "Name:", o->name);
    describe_map(out, 0, 14, "Labels:", object_labels(o), "=");
    describe_map(out, 0, 14, "Annotations:", mp_path(object_mp(o), "metadata.annotations"), ": ");
    buf_puts(out, "Role:\n");
    describe_text(out, 1, 7, "Kind:", mp_str(mp_get(ref, "kind")));
    describe_text(out, 1, 7, "Name:", mp_str(mp_get(ref, "name")));
    buf_puts(out, "Subjects:\n");
    describe_subjects(out, mp_get(object_mp(o), "subjects"));
}

static const struct kind_version versions[] = {{ACCESS_GROUP "/v1beta1", NULL, NULL, .read_only = true}, {0}};

const struct kind kind_rolebinding = {
    .id = KIND_ROLEBINDING,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "RoleBinding",
    .api_version = ACCESS_GROUP "/v1",
    .plural = "rolebindings",
    .singular = "rolebinding",
    .short_names = "",
    .namespaced = true,
    .names = NAMES_KEY,
    .versions = versions,
    .schema = &rolebinding,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = rolebinding_validate,
    .fill = fill,
    .references = references,
    .describe = describe,
    .put_makes = true,
};

const struct kind kind_clusterrolebinding = {
    .id = KIND_CLUSTERROLEBINDING,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "ClusterRoleBinding",
    .api_version = ACCESS_GROUP "/v1",
    .plural = "clusterrolebindings",
    .singular = "clusterrolebinding",
    .short_names = "",
    .names = NAMES_KEY,
    .versions = versions,
    .schema = &clusterrolebinding,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = clusterrolebinding_validate,
    .fill = fill,
    .references = references,
    .describe = describe,
    .put_makes = true,
};
