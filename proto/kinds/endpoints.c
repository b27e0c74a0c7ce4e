/* Endpoints and EndpointSlice: where a Service leads. Sources: Kubernetes core/v1 Endpoints, discovery.k8s.io/v1
 * EndpointSlice.
 *
 * The pods that are named here are no references (kind_references). The controller that writes these objects takes an
 * address away when its pod goes, and an index of all addresses would be larger than the objects. */
#include "base/strmap.h"
#include "proto/kinds/kinds.h"
#include "proto/kinds/service.h"
#include "proto/schema/release.h"

#define ENDPOINTS_MAX 1000u /* of one EndpointSlice */
#define ADDRESSES_MAX 100u  /* of one of them */

/* clang-format off */
/* Two messages with the same fields. */
#define PORT_ROWS(protocol_number, port_number, ...)                                                                   \
    STRING("name", "Name of the Service's port; empty if that has none.", ##__VA_ARGS__),                              \
        STRING("protocol", "TCP, UDP or SCTP.", DEFAULT("TCP"), ONE_OF("TCP|UDP|SCTP"), NUMBER(protocol_number)),      \
        INT32("port", "Its number.", NUMBER(port_number)), STRING("appProtocol", "What is spoken on it.", NUMBER(4))
SCHEMA_STATIC(subset_port, "EndpointPort", "A port that all the addresses have.",
    PORT_ROWS(3, 2));
/* Of a slice it is always there: clients look at it without asking. */
SCHEMA_STATIC(slice_port, "EndpointPort", "A port that all the addresses have.",
    PORT_ROWS(2, 3, DEFAULT(""), .flags = FIELD_EMPTY));

SCHEMA_STATIC(endpoint_address, "EndpointAddress", "One address.",
    STRING("ip", "The address; never absent."),
    STRING("hostname", "Name of the host, below the Service's.", NUMBER(3)),
    STRING("nodeName", "The node that it is on.", KEY),
    OBJECT("targetRef", schema_object_reference, "What is there: a pod.", NUMBER(2)));

SCHEMA_STATIC(subset, "EndpointSubset", "Addresses that have the same ports.",
    OBJECTS("addresses", endpoint_address, "Those that take traffic."),
    OBJECTS("notReadyAddresses", endpoint_address, "Those that do not."),
    OBJECTS("ports", subset_port, "Their ports."));

SCHEMA_STATIC(endpoints, "Endpoints", "Where the Service of the same name leads. EndpointSlice says the same and more.",
    TYPE_META,
    OBJECTS("subsets", subset, "The addresses, grouped by their ports."));

SCHEMA_STATIC(endpoint_conditions, "EndpointConditions", "What may be sent there.",
    BOOLEAN("ready", "It takes traffic: it serves and is not about to end. Unset: true."),
    BOOLEAN("serving", "It can answer, also while it ends."),
    BOOLEAN("terminating", "It is about to end."));

SCHEMA_STATIC(for_zone, "ForZone", "A zone.",
    STRING("name", "Name of the zone.", REQUIRED));

SCHEMA_STATIC(for_node, "ForNode", "A node.",
    STRING("name", "Name of the node.", REQUIRED));

SCHEMA_STATIC(endpoint_hints, "EndpointHints", "Who should use it.",
    OBJECTS("forZones", for_zone, "Zones."),
    OBJECTS("forNodes", for_node, "Nodes."));

SCHEMA_STATIC(endpoint, "Endpoint", "One place that the Service leads to.",
    STRINGS("addresses", "Its addresses; all of them are the same place. At least one."),
    OBJECT("conditions", endpoint_conditions, "What may be sent there."),
    STRING("hostname", "Name of the host, below the Service's."),
    OBJECT("targetRef", schema_object_reference, "What is there: a pod."),
    STRING_MAP("deprecatedTopology", "Labels of the node, as version v1beta1 had them."),
    STRING("nodeName", "The node that it is on.", KEY),
    STRING("zone", "The zone that it is in."),
    OBJECT("hints", endpoint_hints, "Who should use it."));

SCHEMA_STATIC(endpointslice, "EndpointSlice", "A part of the places that a Service leads to: those with the same "
    "ports, at most 100 if the masters write it. The label kubernetes.io/service-name says which Service.",
    TYPE_META,
    STRING("addressType", "What the addresses are: IPv4, IPv6 or FQDN. Cannot "
           "change.", REQUIRED, ONE_OF("IPv4|IPv6|FQDN"), NUMBER(4)),
    OBJECTS("endpoints", endpoint, "The places.", NUMBER(2)),
    OBJECTS("ports", slice_port, "Their ports; unset: none."));
/* clang-format on */

/* ---- Rules ---- */

/* Source: Kubernetes' validateEndpointPort and validatePorts. numbered: each has a number. */
void check_endpoint_ports(const struct value *ports, bool numbered, const struct fpath *p, struct errlist *l)
{
    struct strmap seen;
    strmap_init(&seen);
    VALUE_FOR(i, ports)
    {
        const struct value *port = value_item(ports, i), *name = value_get(port, "name"),
                           *number = value_get(port, "port");
        const struct fpath *at = FPATH_ITEM(p, i);
        if ((numbered && value_count(ports) > 1) || value_to_str(name).n > 0) {
            check_dns_label(l, port, name, FPATH_AT(at, "name"));
        }
        if (strmap_set(&seen, str_of(arena_printf(l->arena, "n%.*s", STR_ARG(value_to_str(name)))), &seen) != NULL) {
            bad_duplicate(l, name != NULL ? name : value_cstr(l->arena, ""), FPATH_AT(at, "name"));
        }
        if (numbered && number == NULL) {
            bad_required(l, port, FPATH_AT(at, "port"));
        }
        check_port(l, number, FPATH_AT(at, "port"));
        check_app_protocol(l, port, at);
    }
    strmap_close(&seen);
}

static void check_hostname(struct errlist *l, const struct value *of, const struct fpath *p)
{
    const struct value *hostname = value_get(of, "hostname");
    if (value_to_str(hostname).n > 0) {
        check_dns_label(l, of, hostname, FPATH_AT(p, "hostname"));
    }
    check_optional_name(l, of, "nodeName", p);
}

static void check_subset_addresses(const struct value *list, const struct fpath *p, struct errlist *l)
{
    VALUE_FOR(i, list)
    {
        check_endpoint_ip(l, value_get(value_item(list, i), "ip"), FPATH_AT(FPATH_ITEM(p, i), "ip"));
        check_hostname(l, value_item(list, i), FPATH_ITEM(p, i));
    }
}

static void endpoints_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *subsets = value_get(obj, "subsets"), *before = value_get(old, "subsets");
    if (before != NULL && subsets != NULL && value_equal(subsets, before)) {
        return;
    }
    VALUE_FOR(i, subsets)
    {
        const struct value *s = value_item(subsets, i), *ready = value_get(s, "addresses"),
                           *others = value_get(s, "notReadyAddresses");
        const struct fpath *p = FPATH_ITEM(FPATH("subsets"), i);
        if (value_count(ready) + value_count(others) == 0) {
            bad_missing(l, s, p, "must specify `addresses` or `notReadyAddresses`");
        }
        check_subset_addresses(ready, FPATH_AT(p, "addresses"), l);
        check_subset_addresses(others, FPATH_AT(p, "notReadyAddresses"), l);
        check_endpoint_ports(value_get(s, "ports"), true, FPATH_AT(p, "ports"), l);
    }
}

static void check_places(const struct value *e, struct str type, const struct fpath *p, struct errlist *l)
{
    const struct value *addresses = value_get(e, "addresses");
    if (value_count(addresses) == 0) {
        bad_missing(l, e, FPATH_AT(p, "addresses"), "must contain at least 1 address");
    } else if (value_count(addresses) > ADDRESSES_MAX) {
        errlist_add(l, ERROR_CAUSE_TOO_MANY, addresses, fpath_text(l->arena, FPATH_AT(p, "addresses")),
                    "Too many: %u: must have at most %u items", value_count(addresses), ADDRESSES_MAX);
        return;
    }
    VALUE_FOR(i, addresses)
    {
        const struct value *v = value_item(addresses, i);
        const struct fpath *at = FPATH_ITEM(FPATH_AT(p, "addresses"), i);
        struct str s = value_to_str(v);
        if (str_is(type, "IPv4")) {
            check_endpoint_ip(l, v, at);
        } else if (str_is(type, "IPv6") && (!name_is_ip(s) || !name_is_ipv6(s))) {
            bad_value(l, v, at, "must be a valid IPv6 address");
        } else if (str_is(type, "FQDN")) {
            check_dns_subdomain(l, e, v, at);
        }
    }
    const struct value *zones = value_at(e, "hints", "forZones", NULL);
    VALUE_FOR(i, zones)
    {
        const struct fpath *at = FPATH_ITEM(FPATH_AT(FPATH_AT(p, "hints"), "forZones"), i);
        check_label_key(l, zones, value_get(value_item(zones, i), "name"), FPATH_AT(at, "name"));
    }
}

static void slice_validate(const struct value *obj, const struct value *old, struct errlist *l)
{
    const struct value *list = value_get(obj, "endpoints"), *type = value_get(obj, "addressType");
    if (old != NULL) {
        check_immutable(l, type, value_get(old, "addressType"), FPATH("addressType"));
    }
    if (value_count(list) > ENDPOINTS_MAX) {
        errlist_add(l, ERROR_CAUSE_TOO_MANY, list, "endpoints", "Too many: %u: must have at most %u items",
                    value_count(list), ENDPOINTS_MAX);
        return;
    }
    VALUE_FOR(i, list)
    {
        const struct fpath *p = FPATH_ITEM(FPATH("endpoints"), i);
        check_places(value_item(list, i), value_to_str(type), p, l);
        check_hostname(l, value_item(list, i), p);
    }
    check_endpoint_ports(value_get(obj, "ports"), false, FPATH("ports"), l);
}

/* ---- Columns ---- */

#define SHOWN_MAX 3u

/* What stands behind those that are shown, as kubectl has it. */
static void cell_rest(struct buf *out, unsigned count, const char *none)
{
    if (count > SHOWN_MAX) {
        buf_printf(out, " + %u more...", count - SHOWN_MAX);
    } else if (count == 0) {
        buf_puts(out, none);
    }
}

static void cell_endpoints(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(mp_get(object_mp(o), "subsets")); mp_next(&it);) {
        struct mp ports = mp_get(it.value, "ports"), addresses = mp_get(it.value, "addresses");
        if (mp_count(ports) == 0) {
            for (struct mp_iter a = mp_iter(addresses); mp_next(&a); n++) {
                if (n < SHOWN_MAX) {
                    buf_printf(out, "%s%.*s", n > 0 ? "," : "", STR_ARG(mp_str(mp_get(a.value, "ip"))));
                }
            }
        }
        for (struct mp_iter port = mp_iter(ports); mp_next(&port);) {
            int64_t number = mp_int(mp_get(port.value, "port"), 0);
            for (struct mp_iter a = mp_iter(addresses); mp_next(&a); n++) {
                if (n < SHOWN_MAX) {
                    buf_printf(out, "%s%.*s:%d", n > 0 ? "," : "", STR_ARG(mp_str(mp_get(a.value, "ip"))), (int)number);
                }
            }
        }
    }
    cell_rest(out, n, "<none>");
}

static void cell_address_type(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    cell_str(out, mp_get(object_mp(o), "addressType"));
}

static void cell_slice_ports(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(mp_get(object_mp(o), "ports")); mp_next(&it); n++) {
        struct mp port = mp_get(it.value, "port");
        if (n < SHOWN_MAX) {
            buf_puts(out, n > 0 ? "," : "");
            if (mp_type(port) == MP_INT) {
                cell_int(out, port);
            } else {
                buf_putc(out, '*');
            }
        }
    }
    cell_rest(out, n, "<unset>");
}

static void cell_slice_endpoints(struct buf *out, const struct object *o, int64_t now_ms)
{
    (void)now_ms;
    unsigned n = 0;
    for (struct mp_iter it = mp_iter(mp_get(object_mp(o), "endpoints")); mp_next(&it);) {
        for (struct mp_iter a = mp_iter(mp_get(it.value, "addresses")); mp_next(&a); n++) {
            if (n < SHOWN_MAX) {
                buf_printf(out, "%s%.*s", n > 0 ? "," : "", STR_ARG(mp_str(a.value)));
            }
        }
    }
    cell_rest(out, n, "<unset>");
}

static const struct column endpoints_columns[] = {
    {.title = "NAME"},
    {.title = "ENDPOINTS", .cell = cell_endpoints},
    {.title = "AGE"},
};

static const struct column slice_columns[] = {
    {.title = "NAME"},
    {.title = "ADDRESSTYPE", .cell = cell_address_type},
    {.title = "PORTS", .cell = cell_slice_ports},
    {.title = "ENDPOINTS", .cell = cell_slice_endpoints},
    {.title = "AGE"},
};

const struct kind kind_endpoints = {
    .id = KIND_ENDPOINTS,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "Endpoints",
    .api_version = "v1",
    .plural = "endpoints",
    .singular = "endpoints",
    .short_names = "ep",
    .namespaced = true,
    .schema = &endpoints,
    .columns = endpoints_columns,
    .columns_count = ARRAY_SIZE(endpoints_columns),
    .validate = endpoints_validate,
    .describe = endpoints_describe,
    .is_pruned = true,
    .put_makes = true,
};

const struct kind kind_endpointslice = {
    .id = KIND_ENDPOINTSLICE,
    .since = RELEASE_LEVEL_CARRIED,
    .name = "EndpointSlice",
    .api_version = "discovery.k8s.io/v1",
    .plural = "endpointslices",
    .singular = "endpointslice",
    .short_names = "",
    .namespaced = true,
    .has_generation = true,
    .schema = &endpointslice,
    .columns = slice_columns,
    .columns_count = ARRAY_SIZE(slice_columns),
    .validate = slice_validate,
};
