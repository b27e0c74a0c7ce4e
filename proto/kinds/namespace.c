#include "proto/describe/parts.h"
#include "proto/facts/pod_security.h"
#include "proto/kinds/quota.h"

/* clang-format off */
SCHEMA_STATIC(namespace_spec, "NamespaceSpec", "What the namespace is to be.",
    STRINGS("finalizers", "Who must agree before the namespace is really removed."));

SCHEMA_STATIC(namespace_condition, "NamespaceCondition", "One statement about the namespace.",
    STRING("type", "What it is about."),
    STRING("status", "True, False or Unknown."),
    TIME("lastTransitionTime", "When status last changed.", NUMBER(4)),
    STRING("reason", "Why, in one word."),
    STRING("message", "Why, for people."));

SCHEMA_STATIC(namespace_status, "NamespaceStatus", "What is known of the namespace.",
    STRING("phase", "Active or Terminating."),
    OBJECTS("conditions", namespace_condition, "Statements about the namespace, such as why it is not gone yet.",
            MERGE("type")));

SCHEMA_STATIC(namespace, "Namespace", "A room for names: objects in different namespaces may have the same name.",
    TYPE_META,
    OBJECT("spec", namespace_spec, "What the namespace is to be.", DEFAULT("{}")),
    OBJECT("status", namespace_status, "What is known of it.", .flags = FIELD_STATUS));
/* clang-format on */

static void namespace_fill(struct arena *a, struct value *obj)
{
    struct value *meta = value_get(obj, "metadata"), *status = value_ensure_map(a, obj, "status");
    struct str name = value_to_str(value_get(meta, "name"));
    if (name_is_dns_label(name)) {
        struct value *labels = value_ensure_map(a, meta, "labels");
        value_set(a, labels, "kubernetes.io/metadata.name", value_str(a, name));
    }
    if (value_to_str(value_get(status, "phase")).n == 0) {
        value_set(a, status, "phase", value_cstr(a, "Active"));
    }
}

/* "latest", or a version of Kubernetes: v1.33. */
static bool is_policy_version(struct str s)
{
    bool good = s.n > 3 && s.n < 8 && str_starts(s, STR("v1."));
    for (size_t i = 3; good && i < s.n; i++) {
        good = s.p[i] >= '0' && s.p[i] <= '9';
    }
    return good || str_is(s, "latest");
}

static bool is_level(struct str s)
{
    enum pod_security_level level;
    return pod_security_parse(s, &level);
}

/* Labels of pod security that are new: what is no level must not seem to be one. */
static void check_pod_security(const struct value *obj, const struct value *old, struct errlist *l)
{
    static const char words[] = "must be one of privileged, baseline, restricted",
                      versions[] = "must be \"latest\" or \"v1.x\"";
    static const struct {
        const char *label;
        bool (*is_good)(struct str s);
        const char *rule;
    } rows[] = {
        {POD_SECURITY_PREFIX "enforce", is_level, words},
        {POD_SECURITY_PREFIX "enforce-version", is_policy_version, versions},
        {POD_SECURITY_PREFIX "audit", is_level, words},
        {POD_SECURITY_PREFIX "audit-version", is_policy_version, versions},
        {POD_SECURITY_PREFIX "warn", is_level, words},
        {POD_SECURITY_PREFIX "warn-version", is_policy_version, versions},
    };
    const struct value *labels = value_path(obj, "metadata.labels"), *before = value_path(old, "metadata.labels");
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct value *v = value_get(labels, rows[i].label);
        if (v != NULL && !value_equal(v, value_get(before, rows[i].label)) && !rows[i].is_good(value_to_str(v))) {
            bad_value(l, v, FPATH_KEY(FPATH_AT(FPATH("metadata"), "labels"), str_of(rows[i].label)), rows[i].rule);
        }
    }
}

/* Finalizers of the spec have the rules of others. */
static void namespace_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *list = value_at(obj, "spec", "finalizers", NULL),
                       *before = value_at(old, "spec", "finalizers", NULL);
    const struct value *phase = value_at(obj, "status", "phase", NULL);
    bool deleting = value_at(obj, "metadata", "deletionTimestamp", NULL) != NULL;
    const char *wanted = deleting ? "Terminating" : "Active";
    check_pod_security(obj, old, l);
    for (unsigned i = 0; (before == NULL || !value_equal(list, before)) && i < value_count(list); i++) {
        check_finalizer(l, value_item(list, i), FPATH_ITEM(FPATH_AT(FPATH("spec"), "finalizers"), i));
    }
    if (old == NULL || value_to_str(phase).n == 0 || value_equal(phase, value_at(old, "status", "phase", NULL))) {
        return;
    }
    if (!str_is(value_to_str(phase), wanted)) {
        bad_value(l, phase, FPATH_AT(FPATH("status"), "phase"),
                  deleting ? "may only be 'Terminating' if `deletionTimestamp` is not empty"
                           : "may only be 'Active' if `deletionTimestamp` is empty");
    }
}

static void cell_status(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    if (o->deleting) {
        buf_puts(out, "Terminating");
    } else {
        cell_str(out, mp_path(object_mp(o), "status.phase"));
    }
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "STATUS", .cell = cell_status},
    {.title = "AGE"},
};

static void namespace_begin(struct arena *a, struct value *obj)
{
    struct value *finalizers = value_ensure_list(a, value_ensure_map(a, obj, "spec"), "finalizers");
    if (value_count(finalizers) == 0) {
        value_append(a, finalizers, value_cstr(a, "kubernetes"));
    }
    value_set(a, value_ensure_map(a, obj, "status"), "phase", value_cstr(a, "Active"));
}

/* A manifest of a namespace does not speak of the finalizers in its spec: replacing the namespace by it leaves them
 * alone. An empty list takes them away (Kubernetes has a way of its own for that, and ignores them in updates). */
static void namespace_keep(struct arena *a, struct value *obj, const struct value *old)
{
    struct value *kept = value_path(old, "spec.finalizers"), *spec = value_get(obj, "spec");
    if (kept != NULL && (value_is_null(spec) || value_is_map(spec)) && value_get(spec, "finalizers") == NULL) {
        value_set(a, value_ensure_map(a, obj, "spec"), "finalizers", value_copy(a, kept));
    }
}

static void describe_namespace(struct buf *out, const struct object *o, const struct describe_context *c)
{
    describe_head(out, o, 14);
    describe_text(out, 0, 14, "Status:", mp_str(mp_path(object_mp(o), "status.phase")));
    describe_conditions(out, mp_path(object_mp(o), "status.conditions"), true);
    buf_putc(out, '\n');
    quota_describe_all(out, &c->related[0]);
    buf_putc(out, '\n');
    limits_describe_all(out, &c->related[1]);
    describe_events(out, c);
}

static const struct kind_related related[] = {
    {.kind = KIND_RESOURCEQUOTA, .within = true}, {.kind = KIND_LIMITRANGE, .within = true}, {0}};

const struct kind kind_namespace = {
    .id = KIND_NAMESPACE,
    .name = "Namespace",
    .api_version = "v1",
    .plural = "namespaces",
    .singular = "namespace",
    .short_names = "ns",
    .has_status = true,
    .names = NAMES_DNS_LABEL,
    .in_steps = true,
    .selectable = "status.phase",
    .schema = &namespace,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = namespace_validate,
    .fill = namespace_fill,
    .begin = namespace_begin,
    .keep = namespace_keep,
    .describe = describe_namespace,
    .related = related,
    .is_pruned = true,
};
