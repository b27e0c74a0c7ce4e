/* Services, and where they lead. */
#include "proto/describe/parts.h"
#include "proto/kinds/service.h"

#define WIDTH     26
#define SHOWN_MAX 3u

/* A text of the spec, if it is there. */
static void text_of(struct buf *out, struct mp spec, const char *label, const char *key)
{
    struct str s = mp_str(mp_get(spec, key));
    if (s.n > 0) {
        describe_text(out, 0, WIDTH, label, s);
    }
}

static void list_of(struct buf *out, const char *label, struct mp list, const char *member)
{
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(list); mp_next(&it); n++) {
        struct str s = member == NULL ? mp_str(it.value) : mp_str(mp_get(it.value, member));
        if (s.n == 0 && member != NULL) {
            s = mp_str(mp_get(it.value, "hostname"));
        }
        if (n == 0) {
            describe_label(out, 0, WIDTH, label);
        }
        buf_printf(out, "%s%.*s", n > 0 ? "," : "", STR_ARG(s));
    }
    buf_puts(out, n > 0 ? "\n" : "");
}

/* The addresses that take traffic for one port of the service, by the port's name. */
static void endpoints_of(struct buf *out, struct str port, const struct describe_list *slices)
{
    unsigned n = 0;
    describe_label(out, 0, WIDTH, "Endpoints:");
    for (unsigned i = 0; i < slices->count; i++) {
        struct mp m = object_mp(slices->items[i]);
        for (struct mp_iter p = mp_iter(mp_get(m, "ports")); mp_next(&p);) {
            if (!str_eq(mp_str(mp_get(p.value, "name")), port)) {
                continue;
            }
            for (struct mp_iter e = mp_iter(mp_get(m, "endpoints")); mp_next(&e);) {
                struct mp_iter address = mp_iter(mp_get(e.value, "addresses"));
                if (!mp_bool(mp_path(e.value, "conditions.ready"), true) || !mp_next(&address)) {
                    continue;
                }
                if (n++ < SHOWN_MAX) {
                    buf_printf(out, "%s%.*s:%d", n > 1 ? "," : "", STR_ARG(mp_str(address.value)),
                               (int)mp_int(mp_get(p.value, "port"), 0));
                }
            }
        }
    }
    if (n > SHOWN_MAX) {
        buf_printf(out, " + %u more...", n - SHOWN_MAX);
    }
    buf_putc(out, '\n');
}

static void port_line(struct buf *out, const char *label, struct str name, struct mp port, const char *key)
{
    struct mp v = mp_get(port, key);
    struct str protocol = mp_str(mp_get(port, "protocol")), text = mp_str(v);
    describe_label(out, 0, WIDTH, label);
    if (name.n > 0) {
        buf_printf(out, "%.*s  ", STR_ARG(name));
    }
    if (text.n > 0) {
        buf_append_str(out, text);
    } else {
        buf_printf(out, "%d", (int)mp_int(v, 0));
    }
    buf_printf(out, "/%.*s\n", STR_ARG(protocol));
}

void service_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    struct mp m = object_mp(o), spec = mp_get(m, "spec");
    describe_head(out, o, WIDTH);
    describe_map(out, 0, WIDTH, "Selector:", mp_get(spec, "selector"), "=");
    text_of(out, spec, "Type:", "type");
    text_of(out, spec, "IP Family Policy:", "ipFamilyPolicy");
    list_of(out, "IP Families:", mp_get(spec, "ipFamilies"), NULL);
    describe_text(out, 0, WIDTH, "IP:", mp_str(mp_get(spec, "clusterIP")));
    list_of(out, "IPs:", mp_get(spec, "clusterIPs"), NULL);
    list_of(out, "External IPs:", mp_get(spec, "externalIPs"), NULL);
    text_of(out, spec, "Desired LoadBalancer IP:", "loadBalancerIP");
    text_of(out, spec, "External Name:", "externalName");
    list_of(out, "LoadBalancer Ingress:", mp_path(m, "status.loadBalancer.ingress"), "ip");
    for (struct mp_iter it = mp_iter(mp_get(spec, "ports")); mp_next(&it);) {
        struct str name = mp_str(mp_get(it.value, "name")), shown = name.n > 0 ? name : STR("<unset>");
        port_line(out, "Port:", shown, it.value, "port");
        port_line(out, "TargetPort:", STR_NONE, it.value, "targetPort");
        if (mp_int(mp_get(it.value, "nodePort"), 0) > 0) {
            port_line(out, "NodePort:", shown, it.value, "nodePort");
        }
        endpoints_of(out, name, &c->related[0]);
    }
    text_of(out, spec, "Session Affinity:", "sessionAffinity");
    text_of(out, spec, "External Traffic Policy:", "externalTrafficPolicy");
    text_of(out, spec, "Internal Traffic Policy:", "internalTrafficPolicy");
    text_of(out, spec, "Traffic Distribution:", "trafficDistribution");
    if (mp_int(mp_get(spec, "healthCheckNodePort"), 0) > 0) {
        describe_label(out, 0, WIDTH, "HealthCheck NodePort:");
        buf_printf(out, "%d\n", (int)mp_int(mp_get(spec, "healthCheckNodePort"), 0));
    }
    list_of(out, "LoadBalancer Source Ranges:", mp_get(spec, "loadBalancerSourceRanges"), NULL);
    describe_events(out, c);
}

static void subset_addresses(struct buf *out, const char *label, struct mp list)
{
    unsigned n = 0;
    describe_label(out, 1, 19, label);
    for (struct mp_iter it = mp_iter(list); mp_next(&it); n++) {
        buf_printf(out, "%s%.*s", n > 0 ? "," : "", STR_ARG(mp_str(mp_get(it.value, "ip"))));
    }
    buf_puts(out, n == 0 ? "<none>\n" : "\n");
}

void endpoints_describe(struct buf *out, const struct object *o, const struct describe_context *c)
{
    describe_head(out, o, 14);
    buf_puts(out, "Subsets:\n");
    for (struct mp_iter it = mp_iter(mp_get(object_mp(o), "subsets")); mp_next(&it);) {
        subset_addresses(out, "Addresses:", mp_get(it.value, "addresses"));
        subset_addresses(out, "NotReadyAddresses:", mp_get(it.value, "notReadyAddresses"));
        struct mp_iter port = mp_iter(mp_get(it.value, "ports"));
        buf_puts(out, port.left > 0 ? "  Ports:\n    Name     Port  Protocol\n    ----     ----  --------\n" : "");
        while (mp_next(&port)) {
            struct str name = mp_str(mp_get(port.value, "name"));
            buf_printf(out, "    %-7.*s  %-4d  %.*s\n", STR_ARG(name.n > 0 ? name : STR("<unset>")),
                       (int)mp_int(mp_get(port.value, "port"), 0), STR_ARG(mp_str(mp_get(port.value, "protocol"))));
        }
        buf_putc(out, '\n');
    }
    describe_events(out, c);
}
