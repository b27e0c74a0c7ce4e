/* rctl create service clusterip|nodeport|loadbalancer|externalname: a Service for the pods with the label app=NAME. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd/create.h"
#include "client/cmd/service.h"

struct value *service_document(struct rctl *r, const char *name)
{
    struct value *doc = create_document(r, "v1", "Service", name, true);
    value_ensure_map(&r->arena, doc, "spec");
    return doc;
}

struct value *service_add_port(struct rctl *r, struct value *doc, const char *name, int64_t port, const char *target,
                               const char *protocol)
{
    struct arena *a = &r->arena;
    struct value *p = value_map(a);
    int64_t number = port;
    if (name != NULL) {
        value_set(a, p, "name", value_cstr(a, name));
    }
    if (protocol != NULL) {
        value_set(a, p, "protocol", value_cstr(a, protocol));
    }
    value_set(a, p, "port", value_int(a, port));
    bool named = target != NULL && !str_to_int64(str_of(target), &number);
    value_set(a, p, "targetPort", named ? value_cstr(a, target) : value_int(a, number));
    value_append(a, value_ensure_list(a, value_get(doc, "spec"), "ports"), p);
    return p;
}

static const struct option_row service_options[] = {
    {"tcp", 0, OPTION_REPEAT, NULL, NULL, "PORT[:TARGET]", "a port, and that of the pods (number or name)"},
    {"clusterip", 0, OPTION_VALUE, NULL, NULL, "IP", "of clusterip: its address, or None for none"},
    {"node-port", 0, OPTION_VALUE, NULL, NULL, "PORT", "of nodeport: the port on every node"},
    {"external-name", 0, OPTION_VALUE, NULL, NULL, "HOST", "of externalname: the host that the name leads to"},
    OPTION_ROWS_CREATE,
};

static const struct sort {
    const char *word, *type, *only; /* only: its option that no other has */
    bool needs_ports;
} SORTS[] = {
    {"clusterip", "ClusterIP", "clusterip", true},
    {"nodeport", "NodePort", "node-port", true},
    {"loadbalancer", "LoadBalancer", NULL, true},
    {"externalname", "ExternalName", "external-name", false},
};

static int add_ports(struct rctl *r, struct value *doc, int64_t node_port, struct error *err)
{
    for (unsigned i = 0; i < args_count(&r->args, "tcp"); i++) {
        const char *text = args_at(&r->args, "tcp", i);
        char *number = arena_strdup(&r->arena, text), *target = strchr(number, ':');
        int64_t port;
        if (target != NULL) {
            *target++ = '\0';
        }
        if (args_int("tcp", number, 1, 65535, &port, err) != 0 || (target != NULL && *target == '\0')) {
            return error_set(err, ERR_USAGE, "--tcp is PORT or PORT:TARGET, not \"%s\"", text);
        }
        const char *name = target == NULL ? number : arena_printf(&r->arena, "%s-%s", number, target);
        struct value *p = service_add_port(r, doc, name, port, target, "TCP");
        if (node_port > 0) {
            value_set(&r->arena, p, "nodePort", value_int(&r->arena, node_port));
        }
    }
    return 0;
}

static int make(struct rctl *r, const struct sort *s, struct value **out, struct error *err)
{
    struct arena *a = &r->arena;
    const char *name = r->args.words[1], *ip = opt(r, "clusterip"), *host = opt(r, "external-name");
    bool headless = ip != NULL && strcmp(ip, "None") == 0;
    int64_t node_port = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(SORTS); i++) {
        if (&SORTS[i] != s && SORTS[i].only != NULL && opt(r, SORTS[i].only) != NULL) {
            return error_set(err, ERR_USAGE, "--%s goes with \"create service %s\"", SORTS[i].only, SORTS[i].word);
        }
    }
    if (s->needs_ports && !headless && args_count(&r->args, "tcp") == 0) {
        return error_set(err, ERR_USAGE, "at least one port must be given: --tcp=PORT[:TARGET]");
    }
    if (strcmp(s->word, "externalname") == 0 && host == NULL) {
        return error_set(err, ERR_USAGE, "which host? --external-name=HOST");
    }
    if (opt(r, "node-port") != NULL && args_int("node-port", opt(r, "node-port"), 1, 65535, &node_port, err) != 0) {
        return ERR_USAGE;
    }
    struct value *doc = *out = service_document(r, name), *spec = value_get(doc, "spec");
    value_set(a, value_ensure_map(a, value_get(doc, "metadata"), "labels"), "app", value_cstr(a, name));
    value_set(a, spec, "type", value_cstr(a, s->type));
    value_set(a, value_ensure_map(a, spec, "selector"), "app", value_cstr(a, name));
    if (ip != NULL) {
        value_set(a, spec, "clusterIP", value_cstr(a, ip));
    }
    if (host != NULL) {
        value_set(a, spec, "externalName", value_cstr(a, host));
    }
    return add_ports(r, doc, node_port, err);
}

static int run_service(struct rctl *r)
{
    struct error err = {0};
    struct value *doc = NULL;
    for (unsigned i = 0; r->args.words_count == 2 && i < ARRAY_SIZE(SORTS); i++) {
        if (strcmp(r->args.words[0], SORTS[i].word) == 0) {
            return make(r, &SORTS[i], &doc, &err) != 0 ? rctl_usage(r, "%s", err.message) : create_made(r, doc);
        }
    }
    return rctl_usage(r, "services are made by \"create service clusterip|nodeport|loadbalancer|externalname NAME\"");
}

const struct command create_service = {
    .name = "service",
    .alias = "svc",
    .usage = "clusterip|nodeport|loadbalancer|externalname NAME [--tcp=PORT[:TARGET]] ...",
    .summary = "Create a Service for the pods with the label app=NAME",
    .examples = "  rctl create service clusterip web --tcp=80:8000\n"
                "  # a port on every node; one without an address of its own; a name for a host elsewhere\n"
                "  rctl create service nodeport web --tcp=80:8000 --node-port=30080\n"
                "  rctl create service clusterip db --clusterip=None\n"
                "  rctl create service externalname db --external-name=db.example.com\n",
    .options = service_options,
    .options_count = ARRAY_SIZE(service_options),
    .run = run_service,
};
