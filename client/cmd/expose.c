/* rctl expose: a Service for what a Deployment, ReplicaSet, pod or another Service selects. Source: kubectl expose. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd/create.h"
#include "client/cmd/service.h"
#include "proto/patch/patch.h"
#include "proto/text/text.h"

static const struct option_row expose_options[] = {
    {"port", 0, OPTION_VALUE, NULL, NULL, "PORT", "port of the service; otherwise those that the containers say"},
    {"target-port", 0, OPTION_VALUE, NULL, NULL, "PORT", "port of the pods, number or name; otherwise the same"},
    {"protocol", 0, OPTION_VALUE, NULL, NULL, "PROTOCOL", "TCP, UDP or SCTP"},
    {"name", 0, OPTION_VALUE, NULL, NULL, "NAME", "of the service; otherwise that of what is exposed"},
    {"type", 0, OPTION_VALUE, NULL, NULL, "TYPE", "ClusterIP, NodePort, LoadBalancer or ExternalName"},
    {"selector", 0, OPTION_VALUE, NULL, NULL, "KEY=VALUE,...", "labels of the pods; otherwise what the object selects"},
    {"labels", 'l', OPTION_VALUE, NULL, NULL, "KEY=VALUE,...", "labels of the service; otherwise the object's"},
    {"cluster-ip", 0, OPTION_VALUE, NULL, NULL, "IP", "its address, or None for none"},
    {"external-ip", 0, OPTION_VALUE, NULL, NULL, "IP", "a further address whose traffic reaches the nodes"},
    {"load-balancer-ip", 0, OPTION_VALUE, NULL, NULL, "IP", "the address that a LoadBalancer should get"},
    {"session-affinity", 0, OPTION_VALUE, NULL, NULL, "AFFINITY", "None or ClientIP"},
    {"overrides", 0, OPTION_VALUE, NULL, NULL, "JSON", "merged into the service before it is made"},
    {"override-type", 0, OPTION_VALUE, "merge", NULL, "TYPE", "of --overrides: merge, strategic or json"},
    OPTION_ROWS_FILES,
    OPTION_ROWS_CREATE,
};

/* ---- Of what is exposed ---- */

static struct mp pod_spec_of(const struct object *o)
{
    return mp_path(object_mp(o), o->kind->id == KIND_POD ? "spec" : "spec.template.spec");
}

static int copy_map(struct rctl *r, struct mp from, struct value *to)
{
    int n = 0;
    for (struct mp_iter it = mp_iter(from); mp_next(&it); n++) {
        value_set_str_key(&r->arena, to, it.key, value_str(&r->arena, mp_str(it.value)));
    }
    return n;
}

static int put_selector(struct rctl *r, const struct object *o, struct value *spec, struct error *err)
{
    struct value *selector = value_ensure_map(&r->arena, spec, "selector");
    if (opt(r, "selector") != NULL) {
        return common_pairs(r, "--selector", opt(r, "selector"), selector, err);
    }
    const char *title = resource_title(&r->arena, o->kind, o->name);
    bool is_plain = o->kind->id == KIND_SERVICE || o->kind->id == KIND_REPLICATIONCONTROLLER;
    struct mp from = o->kind->id == KIND_POD ? object_labels(o)
                     : is_plain              ? mp_path(object_mp(o), "spec.selector")
                                             : mp_path(object_mp(o), "spec.selector.matchLabels");
    if (o->kind->id != KIND_POD && !is_plain && mp_count(mp_path(object_mp(o), "spec.selector.matchExpressions")) > 0) {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s selects by expressions, which a Service can't; give the labels: --selector=KEY=VALUE,...",
                         title);
    }
    if (copy_map(r, from, selector) == 0) {
        return error_set(err, ERR_INVALID, "%s %s and cannot be exposed", title,
                         o->kind->id == KIND_POD ? "has no labels" : "selects nothing");
    }
    return 0;
}

static unsigned count_container_ports(const struct object *o)
{
    unsigned n = 0;
    for (struct mp_iter c = mp_iter(mp_get(pod_spec_of(o), "containers")); mp_next(&c);) {
        n += mp_count(mp_get(c.value, "ports"));
    }
    return n;
}

/* One port of the object; several need names. */
static void add_port_of(struct rctl *r, struct value *doc, struct mp port, const char *number, unsigned at, bool many)
{
    struct str protocol = mp_str(mp_get(port, "protocol"));
    service_add_port(r, doc, many ? arena_printf(&r->arena, "port-%u", at) : NULL, mp_int(mp_get(port, number), 0),
                     opt(r, "target-port"),
                     opt(r, "protocol") != NULL ? opt(r, "protocol")
                     : protocol.n > 0           ? common_cstr(r, protocol)
                                                : "TCP");
}

static int put_ports(struct rctl *r, const struct object *o, struct value *doc, struct error *err)
{
    int64_t port;
    if (opt(r, "port") != NULL) {
        int rc = args_int("port", opt(r, "port"), 1, 65535, &port, err);
        if (rc == 0) {
            service_add_port(r, doc, NULL, port, opt(r, "target-port"),
                             opt(r, "protocol") != NULL ? opt(r, "protocol") : "TCP");
        }
        return rc;
    }
    unsigned at = 0, count = count_container_ports(o);
    if (o->kind->id == KIND_SERVICE) {
        struct mp ports = mp_path(object_mp(o), "spec.ports");
        for (struct mp_iter it = mp_iter(ports); mp_next(&it);) {
            add_port_of(r, doc, it.value, "port", ++at, mp_count(ports) > 1);
        }
    }
    for (struct mp_iter c = mp_iter(mp_get(pod_spec_of(o), "containers")); mp_next(&c);) {
        for (struct mp_iter it = mp_iter(mp_get(c.value, "ports")); mp_next(&it);) {
            add_port_of(r, doc, it.value, "containerPort", ++at, count > 1);
        }
    }
    bool headless = opt(r, "cluster-ip") != NULL && strcmp(opt(r, "cluster-ip"), "None") == 0;
    return at > 0 || headless ? 0
                              : error_set(err, ERR_USAGE, "%s says no port; give one: --port=PORT",
                                          resource_title(&r->arena, o->kind, o->name));
}

/* ---- The Service ---- */

static void put_text(struct rctl *r, struct value *spec, const char *key, const char *option)
{
    if (opt(r, option) != NULL) {
        value_set(&r->arena, spec, key, value_cstr(&r->arena, opt(r, option)));
    }
}

static int override(struct rctl *r, struct value **doc, struct error *err)
{
    struct value **docs, *out;
    unsigned count = 0;
    if (opt(r, "overrides") == NULL) {
        return 0;
    }
    int type = patch_type_parse(str_of(opt(r, "override-type")));
    assert(type >= 0); /* check_options */
    int rc = yaml_read(&r->arena, str_of(opt(r, "overrides")), "--overrides", &docs, &count, err);
    if (rc == 0 && count != 1) {
        return error_set(err, ERR_USAGE, "--overrides is one document");
    }
    rc = rc != 0 ? rc
                 : patch_apply((enum patch_type)type, kind_by_id(KIND_SERVICE), &r->arena, *doc, docs[0], &out, err);
    *doc = rc == 0 ? value_copy(&r->arena, out) : *doc;
    return rc;
}

static int make(struct rctl *r, const struct object *o, struct value **out, struct error *err)
{
    struct arena *a = &r->arena;
    struct str own = {o->name.p, MIN(o->name.n, 63u)};
    struct value *doc = *out = service_document(r, opt(r, "name") != NULL ? opt(r, "name") : common_cstr(r, own));
    struct value *meta = value_get(doc, "metadata"), *spec = value_get(doc, "spec"), *labels = value_map(a);
    value_set(a, meta, "namespace", value_str(a, o->ns));
    int rc = opt(r, "labels") != NULL ? common_pairs(r, "--labels", opt(r, "labels"), labels, err) : 0;
    if (opt(r, "labels") == NULL) {
        copy_map(r, object_labels(o), labels);
    }
    if (value_count(labels) > 0) {
        value_set(a, meta, "labels", labels);
    }
    rc = rc != 0 ? rc : put_ports(r, o, doc, err);
    rc = rc != 0 ? rc : put_selector(r, o, spec, err);
    put_text(r, spec, "type", "type");
    put_text(r, spec, "clusterIP", "cluster-ip");
    put_text(r, spec, "loadBalancerIP", "load-balancer-ip");
    put_text(r, spec, "sessionAffinity", "session-affinity");
    if (opt(r, "external-ip") != NULL) {
        value_append(a, value_ensure_list(a, spec, "externalIPs"), value_cstr(a, opt(r, "external-ip")));
    }
    return rc != 0 ? rc : override(r, out, err);
}

/* ---- The command ---- */

static bool can_be_exposed(const struct kind *k)
{
    return k->id == KIND_POD || k->id == KIND_SERVICE || k->id == KIND_REPLICASET || k->id == KIND_DEPLOYMENT ||
           k->id == KIND_REPLICATIONCONTROLLER;
}

/* What is wrong whatever the cluster says. */
static int check_options(struct rctl *r, struct error *err)
{
    static const char *const pairs[] = {"--labels", "--selector"};
    int64_t port;
    int rc = opt(r, "port") != NULL ? args_int("port", opt(r, "port"), 1, 65535, &port, err) : 0;
    for (unsigned i = 0; i < ARRAY_SIZE(pairs) && rc == 0; i++) {
        const char *text = opt(r, pairs[i] + 2);
        rc = text == NULL ? 0 : common_pairs(r, pairs[i], text, value_map(&r->arena), err);
    }
    if (rc == 0 && opt(r, "overrides") != NULL && patch_type_parse(str_of(opt(r, "override-type"))) < 0) {
        rc = error_set(err, ERR_USAGE, "--override-type is merge, strategic or json, not \"%s\"",
                       opt(r, "override-type"));
    }
    return rc;
}

static int check_kind(const struct kind *k, const char *name, struct error *err)
{
    if (name == NULL) {
        return error_set(err, ERR_USAGE, "which %s? expose %s/NAME --port=PORT", k->singular, k->singular);
    }
    return can_be_exposed(k)
               ? 0
               : error_set(err, ERR_USAGE,
                           "cannot expose a %s; a pod, Service, ReplicationController, ReplicaSet or Deployment can",
                           k->name);
}

/* The selector is the Service's, so it can't choose among the objects: each is named. */
static int find(struct rctl *r, struct api_list *out, struct error *err)
{
    struct resources res = {0};
    struct manifest m = {0};
    bool files = common_files_given(r);
    int rc = check_options(r, err);
    if (rc != 0) {
        return rc;
    }
    rc =
        files ? common_manifests(r, &m, err) : resource_parse(&r->arena, r->args.words, r->args.words_count, &res, err);
    unsigned count = files ? m.count : res.count;
    for (unsigned i = 0; i < count && rc == 0; i++) {
        rc = files ? check_kind(m.items[i].kind, m.items[i].name, err)
                   : check_kind(res.items[i].kind, res.items[i].name, err);
    }
    rc = rc != 0 ? rc : rctl_connect(r, err);
    for (unsigned i = 0; i < count && rc == 0; i++) {
        struct resource one = {.kind = files ? m.items[i].kind : res.items[i].kind,
                               .name = files ? m.items[i].name : res.items[i].name,
                               .ns = files ? m.items[i].ns : res.items[i].ns};
        struct object *o;
        rc = resource_get(r, &one, one.ns != NULL ? one.ns : rctl_namespace(r), false, &o, err);
        if (rc == 0) {
            common_add_object(out, o);
        }
    }
    return rc;
}

static int run_expose(struct rctl *r)
{
    struct error err = {0};
    CLEANUP_LIST struct api_list list = {0};
    if (!common_files_given(r) && r->args.words_count == 0) {
        return rctl_usage(r, "what? expose TYPE/NAME --port=PORT");
    }
    if (common_files_given(r) && opt(r, "selector") != NULL) {
        return rctl_usage(r, "--selector is the Service's, and would choose among the objects of -f; give TYPE/NAME");
    }
    if (find(r, &list, &err) != 0) {
        return common_fail(r, &err);
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < list.count && code == EXIT_DONE; i++) {
        struct value *doc;
        code = make(r, list.items[i], &doc, &err) != 0 ? common_fail(r, &err) : create_made_as(r, doc, "exposed");
    }
    return code;
}

const struct command command_expose = {
    .name = "expose",
    .usage = "TYPE/NAME --port=PORT [--target-port=PORT] [--name=NAME] [--type=TYPE]",
    .summary = "Make a Service for what a Deployment, ReplicaSet, ReplicationController, pod or Service selects",
    .examples = "  rctl expose deploy/hello --port=80 --target-port=8000\n"
                "  # a port on every node\n"
                "  rctl expose deploy/hello --name=hello-outside --port=80 --type=NodePort\n"
                "  # a manifest to begin with\n"
                "  rctl expose pod hello --port=80 --dry-run=client -o yaml > service.yaml\n",
    .options = expose_options,
    .options_count = ARRAY_SIZE(expose_options),
    .run = run_expose,
};
