/* rctl create ingress: rules as kubectl spells them, HOST/PATH=SERVICE:PORT[,tls[=SECRET]]. */
#include <string.h>

#include "client/cmd/create.h"

static const struct option_row ingress_options[] = {
    {"class", 0, OPTION_VALUE, NULL, NULL, "CLASS", "the IngressClass; unset: the default class"},
    {"rule", 0, OPTION_REPEAT, NULL, NULL, "HOST/PATH=SERVICE:PORT[,tls[=SECRET]]",
     "what goes where; a path that ends in * is a prefix; without HOST: every host"},
    {"default-backend", 0, OPTION_VALUE, NULL, NULL, "SERVICE:PORT", "where goes what no rule is for"},
    {"annotation", 0, OPTION_REPEAT, NULL, NULL, "KEY=VALUE", "an annotation, such as settings for the controller"},
    OPTION_ROWS_CREATE,
};

#define RULE_WHY "--rule is HOST/PATH=SERVICE:PORT[,tls[=SECRET]], not \"%s\""

static const char *text_of(struct arena *a, struct str s)
{
    return arena_strndup(a, s.n == 0 ? "" : s.p, s.n);
}

/* What is in front of the first c; *rest is what is behind it. False: there is none. */
static bool cut(struct str s, char c, struct str *head, struct str *rest)
{
    const char *at = s.n == 0 ? NULL : memchr(s.p, c, s.n);
    if (at != NULL) {
        *head = (struct str){s.p, (size_t)(at - s.p)};
        *rest = (struct str){at + 1, s.n - head->n - 1};
    }
    return at != NULL;
}

/* "web:80" or "web:http"; NULL: neither. */
static struct value *backend_of(struct arena *a, struct str s)
{
    struct str name, port;
    int64_t number;
    if (!cut(s, ':', &name, &port) || name.n == 0 || port.n == 0) {
        return NULL;
    }
    struct value *backend = value_map(a), *service = value_ensure_map(a, backend, "service");
    value_set(a, service, "name", value_str(a, name));
    struct value *to = value_ensure_map(a, service, "port");
    bool is_number = str_to_int64(port, &number);
    value_set(a, to, is_number ? "number" : "name", is_number ? value_int(a, number) : value_str(a, port));
    return backend;
}

/* The element of a list whose member is this text; NULL: there is none. */
static struct value *find_by(const struct value *list, const char *member, struct str text)
{
    VALUE_FOR(i, list)
    {
        if (str_eq(value_to_str(value_get(value_item(list, i), member)), text)) {
            return value_item(list, i);
        }
    }
    return NULL;
}

static void add_path(struct arena *a, struct value *spec, struct str host, struct str path, struct value *backend)
{
    struct value *rules = value_ensure_list(a, spec, "rules"), *rule = find_by(rules, "host", host);
    bool prefix = str_ends(path, STR("*"));
    if (rule == NULL) {
        rule = value_map(a);
        if (host.n > 0) {
            value_set(a, rule, "host", value_str(a, host));
        }
        value_append(a, rules, rule);
    }
    path.n -= prefix;
    struct value *one = value_map(a);
    value_set(a, one, "path", value_str(a, path));
    value_set(a, one, "pathType", value_cstr(a, prefix ? "Prefix" : "Exact"));
    value_set(a, one, "backend", backend);
    value_append(a, value_ensure_list(a, value_ensure_map(a, rule, "http"), "paths"), one);
}

static bool has_host(const struct value *list, struct str host)
{
    VALUE_FOR(i, list)
    {
        const struct value *hosts = value_get(value_item(list, i), "hosts");
        VALUE_FOR(k, hosts)
        {
            if (str_eq(value_to_str(value_item(hosts, k)), host)) {
                return true;
            }
        }
    }
    return false;
}

/* A host is in one certificate; those of one Secret stand together. */
static void add_certificate(struct arena *a, struct value *spec, struct str host, struct str secret)
{
    struct value *list = value_get(spec, "tls");
    if (has_host(list, host) || (host.n == 0 && secret.n == 0)) {
        return;
    }
    list = value_ensure_list(a, spec, "tls");
    struct value *one = find_by(list, "secretName", secret);
    if (one == NULL) {
        one = value_map(a);
        value_append(a, list, one);
    }
    if (host.n > 0) {
        value_append(a, value_ensure_list(a, one, "hosts"), value_str(a, host));
    }
    if (secret.n > 0) {
        value_set(a, one, "secretName", value_str(a, secret));
    }
}

static int add_rule(struct arena *a, struct value *spec, const char *text, struct error *err)
{
    struct str rule = str_of(text), tls = STR_NONE, where, to, host, below;
    bool certified = cut(rule, ',', &rule, &tls);
    if (!cut(rule, '=', &where, &to) || !cut(where, '/', &host, &below) ||
        (certified && !str_is(tls, "tls") && !str_starts(tls, STR("tls=")))) {
        return error_set(err, ERR_USAGE, RULE_WHY, text);
    }
    struct value *backend = backend_of(a, to);
    if (backend == NULL) {
        return error_set(err, ERR_USAGE, RULE_WHY, text);
    }
    add_path(a, spec, host, (struct str){below.p - 1, below.n + 1}, backend);
    if (certified) {
        add_certificate(a, spec, host, tls.n > 4 ? (struct str){tls.p + 4, tls.n - 4} : STR_NONE);
    }
    return 0;
}

static int add_annotations(struct rctl *r, struct value *doc, struct error *err)
{
    struct arena *a = &r->arena;
    for (unsigned i = 0; i < args_count(&r->args, "annotation"); i++) {
        const char *text = args_at(&r->args, "annotation", i);
        struct str key, value;
        if (!cut(str_of(text), '=', &key, &value) || key.n == 0) {
            return error_set(err, ERR_USAGE, "--annotation is KEY=VALUE, not \"%s\"", text);
        }
        value_set(a, value_ensure_map(a, value_get(doc, "metadata"), "annotations"), text_of(a, key),
                  value_str(a, value));
    }
    return 0;
}

static int run_ingress(struct rctl *r)
{
    const char *class = opt(r, "class"), *backend = opt(r, "default-backend");
    struct arena *a = &r->arena;
    struct error err = {0};
    if (r->args.dash != 1) {
        return rctl_usage(r, "exactly one name is needed");
    }
    if (backend == NULL && args_count(&r->args, "rule") == 0) {
        return rctl_usage(r, "what goes where? --rule=HOST/PATH=SERVICE:PORT or --default-backend=SERVICE:PORT");
    }
    struct value *doc = create_document(r, "networking.k8s.io/v1", "Ingress", r->args.words[0], true);
    struct value *spec = value_ensure_map(a, doc, "spec"), *to = NULL;
    if (add_annotations(r, doc, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (class != NULL) {
        value_set(a, spec, "ingressClassName", value_cstr(a, class));
    }
    if (backend != NULL && (to = backend_of(a, str_of(backend))) == NULL) {
        return rctl_usage(r, "--default-backend is SERVICE:PORT, not \"%s\"", backend);
    }
    if (to != NULL) {
        value_set(a, spec, "defaultBackend", to);
    }
    for (unsigned i = 0; i < args_count(&r->args, "rule"); i++) {
        if (add_rule(a, spec, args_at(&r->args, "rule", i), &err) != 0) {
            return rctl_usage(r, "%s", err.message);
        }
    }
    return create_made(r, doc);
}

const struct command create_ingress = {
    .name = "ingress",
    .alias = "ing",
    .usage = "NAME (--rule=HOST/PATH=SERVICE:PORT[,tls[=SECRET]]... | --default-backend=SERVICE:PORT)",
    .summary = "Create an Ingress, for the cluster's ingress controller",
    .examples = "  rctl create ingress web --rule='www.example.com/*=web:80'\n"
                "  rctl create ingress web --class=nginx --rule='www.example.com/*=web:http,tls=web-cert'\n"
                "  rctl create ingress all --default-backend=web:80\n",
    .options = ingress_options,
    .options_count = ARRAY_SIZE(ingress_options),
    .run = run_ingress,
};
