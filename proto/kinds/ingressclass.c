/* IngressClass: which controller carries out the Ingresses of a class. Source: Kubernetes networking.k8s.io/v1
 * IngressClass, and its validation. */
#include "proto/describe/parts.h"
#include "proto/facts/ingress.h"
#include "proto/kinds/ingress.h"
#include "proto/schema/release.h"

#define CONTROLLER_MAX 250u
#define WIDTH          14
#define PATH_WHY       "must be the name of a domain and a path (such as 'example.com/ingress')"

/* clang-format off */
SCHEMA_STATIC(parameters, "IngressClassParametersReference", "An object with settings for the controller.",
    STRING("apiGroup", "Group of the kind; none for the core group."),
    STRING("kind", "Kind of the object.", REQUIRED),
    STRING("name", "Name of the object.", REQUIRED),
    STRING("scope", "Cluster: the object is in no namespace. Namespace: it is in `namespace`.", DEFAULT("Cluster"),
           ONE_OF("Cluster|Namespace")),
    STRING("namespace", "Namespace of the object, if it is in one."));

SCHEMA_STATIC(class_spec, "IngressClassSpec", "Who carries out the Ingresses of the class.",
    STRING("controller", "Name of the controller, as it calls itself: example.com/ingress. Cannot change."),
    OBJECT("parameters", parameters, "Settings for the controller."));

SCHEMA_STATIC(class, "IngressClass", "Which controller carries out the Ingresses of this class. The annotation "
              INGRESS_DEFAULT_CLASS "=true makes it the class of new ones that name none.",
    TYPE_META,
    OBJECT("spec", class_spec, "Who carries out the Ingresses of the class."));
/* clang-format on */

static bool is_http_path(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (c == '\0' || strchr("/-._~%!$&'()*+,;=:", c) == NULL)) {
            return false;
        }
    }
    return s.n > 0;
}

/* Source: Kubernetes' IsDomainPrefixedPath. */
static bool is_domain_path(struct str s)
{
    const char *slash = s.n == 0 ? NULL : memchr(s.p, '/', s.n);
    size_t n = slash == NULL ? 0 : (size_t)(slash - s.p);
    return slash != NULL && name_is_dns_subdomain((struct str){s.p, n}) &&
           is_http_path((struct str){slash + 1, s.n - n - 1});
}

static void check_parameters(const struct value *ref, const struct fpath *p, struct errlist *l)
{
    const struct value *ns = value_get(ref, "namespace");
    struct str scope = value_to_str(value_get(ref, "scope"));
    ingress_check_reference(ref, p, l);
    if (str_is(scope, "Namespace") && value_to_str(ns).n == 0) {
        bad_missing(l, ref, FPATH_AT(p, "namespace"), "`parameters.scope` is set to 'Namespace'");
    } else if (str_is(scope, "Namespace") && !name_is_dns_label(value_to_str(ns))) {
        bad_value(l, ns, FPATH_AT(p, "namespace"), NAME_LABEL_WHY);
    } else if (str_is(scope, "Cluster") && ns != NULL) {
        bad_forbidden(l, ns, FPATH_AT(p, "namespace"), "`parameters.scope` is set to 'Cluster'");
    }
}

static void class_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec"), *controller = value_get(spec, "controller"),
                       *ref = value_get(spec, "parameters");
    const struct fpath *p = FPATH("spec"), *at = FPATH_AT(p, "controller");
    struct str name = value_to_str(controller);
    if (old != NULL) {
        check_immutable(l, controller, value_at(old, "spec", "controller", NULL), at);
    }
    if (name.n > CONTROLLER_MAX) {
        bad_too_long(l, controller, at, CONTROLLER_MAX);
    } else if (name.n == 0) {
        bad_required(l, spec != NULL ? spec : obj, at);
    } else if (!is_domain_path(name)) {
        bad_value(l, controller, at, PATH_WHY);
    }
    if (ref != NULL) {
        check_parameters(ref, FPATH_AT(p, "parameters"), l);
    }
}

/* ---- How it is shown ---- */

static void cell_controller(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_append_str(out, mp_str(mp_get(object_spec(o), "controller")));
}

static void cell_parameters(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct mp ref = mp_get(object_spec(o), "parameters"), group = mp_get(ref, "apiGroup");
    struct str name = mp_str(mp_get(ref, "name")), kind = mp_str(mp_get(ref, "kind")), of = mp_str(group);
    if (mp_type(ref) != MP_MAP) {
        buf_puts(out, "<none>");
        return;
    }
    buf_append_str(out, kind);
    if (mp_type(group) == MP_STR) {
        buf_printf(out, ".%.*s", STR_ARG(of));
    }
    buf_printf(out, "/%.*s", STR_ARG(name));
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "CONTROLLER", .cell = cell_controller},
    {.title = "PARAMETERS", .cell = cell_parameters},
    {.title = "AGE"},
};

static void describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp spec = object_spec(o), ref = mp_get(spec, "parameters");
    describe_head(out, o, WIDTH);
    describe_text(out, 0, WIDTH, "Controller:", mp_str(mp_get(spec, "controller")));
    if (mp_type(ref) == MP_MAP) {
        static const struct {
            const char *label, *member;
        } rows[] = {{"APIGroup:", "apiGroup"}, {"Kind:", "kind"}, {"Name:", "name"}, {"Namespace:", "namespace"}};
        buf_puts(out, "Parameters:\n");
        for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
            if (mp_type(mp_get(ref, rows[i].member)) == MP_STR) {
                describe_text(out, 1, WIDTH - 2, rows[i].label, mp_str(mp_get(ref, rows[i].member)));
            }
        }
    }
    describe_events(out, c);
}

const struct kind kind_ingressclass = {
    .id = KIND_INGRESSCLASS,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "IngressClass",
    .api_version = "networking.k8s.io/v1",
    .plural = "ingressclasses",
    .singular = "ingressclass",
    .short_names = "",
    .has_generation = true,
    .schema = &class,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = class_validate,
    .describe = describe,
};
