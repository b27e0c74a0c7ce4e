/* Ingress: which Service the requests of HTTP for a host and a path go to. Source: Kubernetes networking.k8s.io/v1
 * Ingress, and its validation.
 *
 * Nothing here carries requests: as in Kubernetes that is the work of a controller of the cluster's choice (nginx,
 * Traefik), which reads the objects and writes their status. A new one that names no class gets the default class
 * (master/admission/default_ingress_class.c). */
#include "proto/kinds/ingress.h"
#include "proto/facts/ingress.h"
#include "proto/schema/release.h"

/* clang-format off */
SCHEMA_STATIC(service_port, "ServiceBackendPort", "A port of a Service, by its name or its number.",
    STRING("name", "Its name. Not beside number."),
    INT32("number", "Its number. Not beside name.", ZERO));

SCHEMA_STATIC(service_backend, "IngressServiceBackend", "A Service, and which of its ports.",
    STRING("name", "Name of a Service in the namespace of the Ingress.", REQUIRED_KEY),
    OBJECT("port", service_port, "Which of its ports."));

SCHEMA_STATIC(ingress_backend, "IngressBackend", "Where requests go: a Service, or another object that the controller "
              "knows.",
    OBJECT("service", service_backend, "A Service. Not beside resource.", NUMBER(4)),
    OBJECT("resource", schema_typed_reference, "An object in the namespace of the Ingress. Not beside service.",
           NUMBER(3)));

SCHEMA_STATIC(http_path, "HTTPIngressPath", "Requests by their path, and where they go.",
    STRING("path", "Which paths; begins with '/'. pathType says how it is compared."),
    STRING("pathType", "Exact: the very path. Prefix: the path and what is below it, element by element. "
           "ImplementationSpecific: as the controller of the class does it.", REQUIRED,
           ONE_OF("Exact|ImplementationSpecific|Prefix"), NUMBER(3)),
    OBJECT("backend", ingress_backend, "Where the requests go.", REQUIRED, NUMBER(2)));

SCHEMA_STATIC(ingress_http, "HTTPIngressRuleValue", "Paths, and where their requests go.",
    OBJECTS("paths", http_path, "Paths, and where their requests go.", REQUIRED));

SCHEMA_STATIC(ingress_rule, "IngressRule", "Requests for a host.",
    STRING("host", "The host that is asked for: a name such as www.example.com, or *.example.com for all names with "
           "one more label. Empty: every host."),
    OBJECT("http", ingress_http, "Which of its paths go where. Without it the controller decides for all of them.",
           INSIDE(2)));

SCHEMA_STATIC(ingress_tls, "IngressTLS", "Hosts that are asked for through TLS, and the certificate for them.",
    STRINGS("hosts", "Hosts that the certificate is for."),
    STRING("secretName", "Name of the Secret with the certificate and its key."));

SCHEMA_STATIC(ingress_spec, "IngressSpec", "Which requests go where.",
    STRING("ingressClassName", "Name of the IngressClass, which says which controller carries it out. Unset: the "
           "default class, if there is one when it is made.", .flags = FIELD_EMPTY, NUMBER(4)),
    OBJECT("defaultBackend", ingress_backend, "Where requests go that no rule is for. Needed if there are no rules.",
           NUMBER(1)),
    OBJECTS("tls", ingress_tls, "Certificates."),
    OBJECTS("rules", ingress_rule, "Which requests go where."));

SCHEMA_STATIC(port_status, "IngressPortStatus", "A port of the address.",
    INT32("port", "The port."),
    STRING("protocol", "Its protocol.", ONE_OF("TCP|UDP|SCTP")),
    STRING("error", "Why it does not work, if it does not."));

SCHEMA_STATIC(ingress_point, "IngressLoadBalancerIngress", "Where it is reached from outside.",
    STRING("ip", "Its address."),
    STRING("hostname", "Its name."),
    OBJECTS("ports", port_status, "What is known of its ports.", NUMBER(4)));

SCHEMA_STATIC(ingress_balancer, "IngressLoadBalancerStatus", "Where it is reached from outside.",
    OBJECTS("ingress", ingress_point, "Its addresses."));

SCHEMA_STATIC(ingress_status, "IngressStatus", "What its controller has made of it.",
    OBJECT("loadBalancer", ingress_balancer, "Where it is reached from outside."));

SCHEMA_STATIC(ingress, "Ingress", "Which Service the requests of HTTP for a host and a path go to. Carried out by a "
              "controller that the cluster runs.",
    TYPE_META,
    OBJECT("spec", ingress_spec, "Which requests go where."),
    OBJECT("status", ingress_status, "What its controller has made of it.", .flags = FIELD_STATUS));
/* clang-format on */

/* ---- Rules ---- */

#define HOST_WILD_WHY "must be '*.' and the name of a domain (such as '*.example.com')"
#define HOST_IP_WHY   "must be a DNS name, not an IP address"
#define NAME_MAX_     253u

static bool has_char(struct str s, char c)
{
    return s.n > 0 && memchr(s.p, c, s.n) != NULL;
}

static bool has_text(struct str s, struct str part)
{
    for (size_t i = 0; i + part.n <= s.n; i++) {
        if (memcmp(s.p + i, part.p, part.n) == 0) {
            return true;
        }
    }
    return false;
}

/* may_be_ip: a certificate may be for what looks like an address; a rule may not. */
static void check_host(const struct value *v, bool may_be_ip, const struct fpath *p, struct errlist *l)
{
    struct str s = value_to_str(v);
    if (has_char(s, '*')) {
        struct str domain = str_starts(s, STR("*.")) ? (struct str){s.p + 2, s.n - 2} : STR_NONE;
        if (s.n > NAME_MAX_ || !name_is_dns_subdomain(domain)) {
            bad_value(l, v, p, HOST_WILD_WHY);
        }
    } else if (!may_be_ip && name_is_ip(s)) {
        bad_value(l, v, p, HOST_IP_WHY);
    } else if (!name_is_dns_subdomain(s)) {
        bad_value(l, v, p, NAME_SUBDOMAIN_WHY);
    }
}

static void check_segment(const struct value *v, const struct fpath *p, struct errlist *l)
{
    struct str s = value_to_str(v);
    if (s.n > 0 && !name_is_key(s)) { /* an empty one is missing, which the table says */
        bad_value(l, v, p, NAME_KEY_WHY);
    }
}

void ingress_check_reference(const struct value *ref, const struct fpath *p, struct errlist *l)
{
    const struct value *group = value_get(ref, "apiGroup");
    if (group != NULL && value_to_str(group).n > 0 && !name_is_dns_subdomain(value_to_str(group))) {
        bad_value(l, group, FPATH_AT(p, "apiGroup"), NAME_SUBDOMAIN_WHY);
    }
    check_segment(value_get(ref, "kind"), FPATH_AT(p, "kind"), l);
    check_segment(value_get(ref, "name"), FPATH_AT(p, "name"), l);
}

static void check_service(const struct value *service, const struct fpath *backend_at, struct errlist *l)
{
    const struct fpath *p = FPATH_AT(backend_at, "service"), *at = FPATH_AT(p, "port");
    const struct value *name = value_get(service, "name"), *port = value_get(service, "port"),
                       *number = value_get(port, "number"), *port_name = value_get(port, "name");
    bool named = value_to_str(port_name).n > 0, numbered = value_to_int(number, 0) != 0;
    if (value_to_str(name).n > 0 && !name_is_dns_label(value_to_str(name))) {
        bad_value(l, name, FPATH_AT(p, "name"), NAME_LABEL_WHY);
    }
    if (named && numbered) {
        bad_value(l, port, backend_at, "cannot set both port name & port number");
    } else if (named && !name_is_port(value_to_str(port_name))) {
        bad_value(l, port_name, FPATH_AT(at, "name"), NAME_PORT_WHY);
    } else if (numbered) {
        check_range(l, number, FPATH_AT(at, "number"), 1, 65535);
    } else if (!named) {
        bad_missing(l, service, backend_at, "port name or number is required");
    }
}

/* Source: Kubernetes' validateIngressBackend: exactly one of the two. */
static void check_backend(const struct value *backend, const struct fpath *p, struct errlist *l)
{
    const struct value *service = value_get(backend, "service"), *resource = value_get(backend, "resource");
    if (service != NULL && resource != NULL) {
        bad_value(l, backend, p, "cannot set both resource and service backends");
    } else if (service != NULL) {
        check_service(service, p, l);
    } else if (resource != NULL) {
        ingress_check_reference(resource, FPATH_AT(p, "resource"), l);
    } else {
        bad_value(l, backend, p, "resource or service backend is required");
    }
}

/* Source: Kubernetes' validateHTTPIngressPath. What a controller makes of ImplementationSpecific is its own. */
static void check_path(const struct value *path, const struct fpath *at, struct errlist *l)
{
    static const char *const inside[] = {"//", "/./", "/../", "%2f", "%2F"}, *const behind[] = {"/..", "/."};
    const struct value *v = value_get(path, "path");
    struct str s = value_to_str(v), type = value_to_str(value_get(path, "pathType"));
    const struct fpath *p = FPATH_AT(at, "path");
    bool strict = in_choices(type, "Exact|Prefix");
    if (!str_starts(s, STR("/")) && (s.n > 0 || strict)) {
        bad_value(l, v != NULL ? v : value_cstr(l->arena, ""), p, "must be an absolute path");
    }
    for (unsigned i = 0; strict && i < ARRAY_SIZE(inside); i++) {
        if (has_text(s, str_of(inside[i]))) {
            bad_value(l, v, p, arena_printf(l->arena, "must not contain '%s'", inside[i]));
        }
    }
    for (unsigned i = 0; strict && i < ARRAY_SIZE(behind); i++) {
        if (str_ends(s, str_of(behind[i]))) {
            bad_value(l, v, p, arena_printf(l->arena, "cannot end with '%s'", behind[i]));
        }
    }
}

static void check_rules(const struct value *rules, const struct fpath *p, struct errlist *l)
{
    VALUE_FOR(i, rules)
    {
        const struct value *one = value_item(rules, i), *host = value_get(one, "host"),
                           *paths = value_get(value_get(one, "http"), "paths");
        const struct fpath *at = FPATH_ITEM(p, i), *paths_at = FPATH_AT(FPATH_AT(at, "http"), "paths");
        if (value_to_str(host).n > 0) {
            check_host(host, false, FPATH_AT(at, "host"), l);
        }
        VALUE_FOR(k, paths)
        {
            const struct value *path = value_item(paths, k), *to = value_get(path, "backend");
            const struct fpath *path_at = FPATH_ITEM(paths_at, k);
            check_path(path, path_at, l);
            if (to != NULL) { /* the table says that it is missing */
                check_backend(to, FPATH_AT(path_at, "backend"), l);
            }
        }
    }
}

static void check_tls(const struct value *list, const struct fpath *p, struct errlist *l)
{
    VALUE_FOR(i, list)
    {
        const struct value *one = value_item(list, i), *hosts = value_get(one, "hosts");
        const struct fpath *at = FPATH_ITEM(p, i);
        VALUE_FOR(k, hosts)
        {
            check_host(value_item(hosts, k), true, FPATH_ITEM(FPATH_AT(at, "hosts"), k), l);
        }
        check_optional_name(l, one, "secretName", at);
    }
}

/* The old spelling of the class may stand beside the field if it says the same. Source: ValidateIngressCreate. */
static void check_annotation(const struct value *obj, const struct value *class, struct errlist *l)
{
    const struct value *old = value_get(value_at(obj, "metadata", "annotations", NULL), INGRESS_CLASS_ANNOTATION);
    if (old != NULL && class != NULL && !str_eq(value_to_str(old), value_to_str(class))) {
        bad_value(l, old, FPATH_AT(FPATH_AT(FPATH("metadata"), "annotations"), INGRESS_CLASS_ANNOTATION),
                  "must match `ingressClassName` when both are specified");
    }
}

static void check_status(const struct value *status, struct errlist *l)
{
    const struct value *points = value_at(status, "loadBalancer", "ingress", NULL);
    const struct fpath *p = FPATH_AT(FPATH_AT(FPATH("status"), "loadBalancer"), "ingress");
    VALUE_FOR(i, points)
    {
        const struct value *one = value_item(points, i), *ip = value_get(one, "ip"), *host = value_get(one, "hostname");
        if (value_to_str(ip).n > 0 && !name_is_ip(value_to_str(ip))) {
            bad_value(l, ip, FPATH_AT(FPATH_ITEM(p, i), "ip"), "must be a valid IP address");
        }
        if (value_to_str(host).n > 0 && name_is_ip(value_to_str(host))) {
            bad_value(l, host, FPATH_AT(FPATH_ITEM(p, i), "hostname"), HOST_IP_WHY);
        } else if (value_to_str(host).n > 0 && !name_is_dns_subdomain(value_to_str(host))) {
            bad_value(l, host, FPATH_AT(FPATH_ITEM(p, i), "hostname"), NAME_SUBDOMAIN_WHY);
        }
    }
}

static void ingress_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *spec = value_get(obj, "spec"), *rules = value_get(spec, "rules"),
                       *backend = value_get(spec, "defaultBackend"), *class = value_get(spec, "ingressClassName");
    const struct fpath *p = FPATH("spec");
    if (value_count(rules) == 0 && backend == NULL) {
        bad_value(l, rules != NULL ? rules : value_list(l->arena), p,
                  "either `defaultBackend` or `rules` must be specified");
    }
    if (backend != NULL) {
        check_backend(backend, FPATH_AT(p, "defaultBackend"), l);
    }
    check_rules(rules, FPATH_AT(p, "rules"), l);
    check_tls(value_get(spec, "tls"), FPATH_AT(p, "tls"), l);
    if (class != NULL && !name_is_dns_subdomain(value_to_str(class))) {
        bad_value(l, class, FPATH_AT(p, "ingressClassName"), NAME_SUBDOMAIN_WHY);
    }
    if (old == NULL) {
        check_annotation(obj, class, l);
    }
    check_status(value_get(obj, "status"), l);
}

static void ingress_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out)
{
    const struct value *old = value_get(value_at(obj, "metadata", "annotations", NULL), INGRESS_CLASS_ANNOTATION);
    if (old != NULL && value_at(obj, "spec", "ingressClassName", NULL) == NULL && out->count < KIND_WARNINGS_MAX) {
        out->items[out->count++] = arena_printf(
            a, "annotation \"%s\" is deprecated, please use 'spec.ingressClassName' instead", INGRESS_CLASS_ANNOTATION);
    }
}

/* ---- What it names ---- */

static void refer(const struct object *o, enum kind_id kind, struct str name, kind_reference_cb *cb, void *data)
{
    const struct kind *k = kind_by_id(kind);
    if (name.n > 0) {
        cb(data, &(struct kind_reference){
                     .kind = k, .ns = k->namespaced ? o->ns : STR_NONE, .name = name, .use = REFERENCE_TARGET});
    }
}

static void refer_backend(const struct object *o, struct mp backend, kind_reference_cb *cb, void *data)
{
    refer(o, KIND_SERVICE, mp_str(mp_path(backend, "service.name")), cb, data);
}

static void ingress_references(const struct object *o, kind_reference_cb *cb, void *data)
{
    struct mp spec = object_spec(o);
    refer(o, KIND_INGRESSCLASS, mp_str(mp_get(spec, "ingressClassName")), cb, data);
    refer_backend(o, mp_get(spec, "defaultBackend"), cb, data);
    for (struct mp_iter it = mp_iter(mp_get(spec, "tls")); mp_next(&it);) {
        refer(o, KIND_SECRET, mp_str(mp_get(it.value, "secretName")), cb, data);
    }
    for (struct mp_iter it = mp_iter(mp_get(spec, "rules")); mp_next(&it);) {
        for (struct mp_iter path = mp_iter(mp_path(it.value, "http.paths")); mp_next(&path);) {
            refer_backend(o, mp_get(path.value, "backend"), cb, data);
        }
    }
}

static const struct column columns[] = {
    {.title = "NAME"},
    {.title = "CLASS", .cell = ingress_cell_class},
    {.title = "HOSTS", .cell = ingress_cell_hosts},
    {.title = "ADDRESS", .cell = ingress_cell_address},
    {.title = "PORTS", .cell = ingress_cell_ports},
    {.title = "AGE"},
};

const struct kind kind_ingress = {
    .id = KIND_INGRESS,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "Ingress",
    .api_version = "networking.k8s.io/v1",
    .plural = "ingresses",
    .singular = "ingress",
    .short_names = "ing",
    .namespaced = true,
    .has_status = true,
    .has_generation = true,
    .schema = &ingress,
    .columns = columns,
    .columns_count = ARRAY_SIZE(columns),
    .validate = ingress_validate,
    .doubt = ingress_doubt,
    .references = ingress_references,
    .describe = ingress_describe,
    .is_pruned = true,
};
