/* Ingresses as kubectl shows them: cells of its tables, and descriptions. Of the Services behind an Ingress only the
 * names are told; `kubectl describe` asks for their addresses besides. */
#include <stdlib.h>

#include "proto/describe/parts.h"
#include "proto/kinds/ingress.h"

#define WIDTH           18
#define HOSTS_SHOWN_MAX 3u
#define ADDRESSES_MAX   64u

void ingress_cell_class(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_get(object_spec(o), "ingressClassName"));
}

/* Source: Kubernetes' formatHosts: what is behind the third counts rules. */
void ingress_cell_hosts(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    struct mp rules = mp_get(object_spec(o), "rules");
    unsigned shown = 0;
    bool more = false;
    for (struct mp_iter it = mp_iter(rules); mp_next(&it);) {
        struct str host = mp_str(mp_get(it.value, "host"));
        more = more || shown == HOSTS_SHOWN_MAX;
        if (shown < HOSTS_SHOWN_MAX && host.n > 0) {
            buf_printf(out, "%s%.*s", shown++ > 0 ? "," : "", STR_ARG(host));
        }
    }
    buf_puts(out, shown == 0 ? "*" : "");
    if (more) {
        buf_printf(out, " + %u more...", mp_count(rules) - HOSTS_SHOWN_MAX);
    }
}

/* Sorted, each once. */
static void write_addresses(struct buf *out, const struct object *o)
{
    struct str list[ADDRESSES_MAX];
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(mp_path(object_mp(o), "status.loadBalancer.ingress"));
         n < ADDRESSES_MAX && mp_next(&it);) {
        struct str ip = mp_str(mp_get(it.value, "ip")), host = mp_str(mp_get(it.value, "hostname"));
        if (ip.n > 0 || host.n > 0) {
            list[n++] = ip.n > 0 ? ip : host;
        }
    }
    qsort(list, n, sizeof *list, str_cmp_at);
    for (unsigned i = 0, written = 0; i < n; i++) {
        if (i == 0 || !str_eq(list[i], list[i - 1])) {
            buf_printf(out, "%s%.*s", written++ > 0 ? "," : "", STR_ARG(list[i]));
        }
    }
}

/* Whole, wide or not: so are the rows that Kubernetes' API server makes, whatever kubectl shows of them. */
void ingress_cell_address(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    write_addresses(out, o);
}

void ingress_cell_ports(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    buf_puts(out, mp_count(mp_get(object_spec(o), "tls")) > 0 ? "80, 443" : "80");
}

/* ---- Description ---- */

static void write_backend(struct buf *out, struct mp backend)
{
    struct mp service = mp_get(backend, "service"), resource = mp_get(backend, "resource");
    if (mp_type(service) == MP_MAP) {
        struct str name = mp_str(mp_get(service, "name")), port = mp_str(mp_path(service, "port.name"));
        buf_printf(out, "%.*s:", STR_ARG(name));
        if (port.n > 0) {
            buf_append_str(out, port);
        } else {
            cell_int(out, mp_path(service, "port.number"));
        }
    } else {
        struct str group = mp_str(mp_get(resource, "apiGroup")), kind = mp_str(mp_get(resource, "kind")),
                   name = mp_str(mp_get(resource, "name"));
        buf_printf(out, "APIGroup: %.*s, Kind: %.*s, Name: %.*s", STR_ARG(group), STR_ARG(kind), STR_ARG(name));
    }
}

static void write_default(struct buf *out, struct mp backend)
{
    if (mp_type(backend) == MP_MAP) {
        write_backend(out, backend);
    } else {
        buf_puts(out, "<default>");
    }
}

static void describe_tls(struct buf *out, struct mp list)
{
    buf_puts(out, mp_count(list) > 0 ? "TLS:\n" : "");
    for (struct mp_iter it = mp_iter(list); mp_next(&it);) {
        struct str secret = mp_str(mp_get(it.value, "secretName"));
        unsigned n = 0;
        buf_puts(out, secret.n > 0 ? "  " : "  SNI routes ");
        if (secret.n > 0) {
            buf_printf(out, "%.*s terminates ", STR_ARG(secret));
        }
        for (struct mp_iter host = mp_iter(mp_get(it.value, "hosts")); mp_next(&host);) {
            buf_printf(out, "%s%.*s", n++ > 0 ? "," : "", STR_ARG(mp_str(host.value)));
        }
        buf_putc(out, '\n');
    }
}

static struct str host_of(struct mp rule)
{
    struct str host = mp_str(mp_get(rule, "host"));
    return host.n > 0 ? host : STR("*");
}

static void describe_paths(struct buf *out, struct mp paths, int indent)
{
    int width = 0;
    for (struct mp_iter it = mp_iter(paths); mp_next(&it);) {
        width = MAX(width, (int)mp_str(mp_get(it.value, "path")).n);
    }
    for (struct mp_iter it = mp_iter(paths); mp_next(&it);) {
        struct str path = mp_str(mp_get(it.value, "path"));
        buf_printf(out, "%*s%-*.*s", indent, "", width + 3, STR_ARG(path));
        write_backend(out, mp_get(it.value, "backend"));
        buf_putc(out, '\n');
    }
}

static void describe_rules(struct buf *out, struct mp spec)
{
    struct mp rules = mp_get(spec, "rules");
    unsigned shown = 0;
    int width = 4;
    for (struct mp_iter it = mp_iter(rules); mp_next(&it);) {
        bool counts = mp_type(mp_get(it.value, "http")) == MP_MAP;
        shown += counts;
        width = counts ? MAX(width, (int)host_of(it.value).n) : width;
    }
    buf_printf(out, "Rules:\n  %-*s  Path  Backends\n  %-*s  ----  --------\n", width, "Host", width, "----");
    for (struct mp_iter it = mp_iter(rules); mp_next(&it);) {
        struct mp http = mp_get(it.value, "http");
        if (mp_type(http) == MP_MAP) {
            buf_printf(out, "  %-*.*s\n", width + 2, STR_ARG(host_of(it.value)));
            describe_paths(out, mp_get(http, "paths"), width + 4);
        }
    }
    if (shown == 0) {
        buf_printf(out, "  %-*s  %-4s  ", width, "*", "*");
        write_default(out, mp_get(spec, "defaultBackend"));
        buf_putc(out, '\n');
    }
}

void ingress_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp m = object_mp(o), spec = object_spec(o);
    describe_text(out, 0, WIDTH, "Name:", o->name);
    describe_map(out, 0, WIDTH, "Labels:", mp_path(m, "metadata.labels"), "=");
    describe_text(out, 0, WIDTH, "Namespace:", o->ns);
    describe_label(out, 0, WIDTH, "Address:");
    write_addresses(out, o);
    buf_putc(out, '\n');
    describe_text(out, 0, WIDTH, "Ingress Class:", mp_str(mp_get(spec, "ingressClassName")));
    describe_label(out, 0, WIDTH, "Default backend:");
    write_default(out, mp_get(spec, "defaultBackend"));
    buf_putc(out, '\n');
    describe_tls(out, mp_get(spec, "tls"));
    describe_rules(out, spec);
    describe_map(out, 0, 14, "Annotations:", mp_path(m, "metadata.annotations"), ": ");
    describe_events(out, c);
}
