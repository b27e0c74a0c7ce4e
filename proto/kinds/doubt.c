/* What is allowed, and yet hardly meant: the client is warned of it. Source: the warnings of Kubernetes' pods, pod
 * templates and secrets. Network policies: ranges that are for nobody here. Quotas: kinds that are none. */
#include <stdarg.h>
#include <stdio.h>

#include "base/strmap.h"
#include "proto/facts/quota.h"
#include "proto/facts/schedule.h"
#include "proto/kinds/kinds.h"
#include "proto/model/quantity.h"
#include "proto/pki/pki.h"

struct doubts {
    struct arena *arena;
    struct kind_warnings *out;
};

__attribute__((format(printf, 3, 4))) static void doubt(const struct doubts *d, const struct fpath *p, const char *fmt,
                                                        ...)
{
    char text[256];
    va_list ap;
    if (d->out->count >= KIND_WARNINGS_MAX) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    d->out->items[d->out->count++] = arena_printf(d->arena, "%s: %s", fpath_text(d->arena, p), text);
}

static void doubt_env(const struct doubts *d, const struct value *list, const struct fpath *p)
{
    struct strmap seen;
    strmap_init(&seen);
    VALUE_FOR(i, list)
    {
        struct str name = value_to_str(value_get(value_item(list, i), "name"));
        if (name.n > 0 && strmap_get(&seen, name) != NULL) {
            doubt(d, FPATH_ITEM(p, i), "hides an earlier \"%.*s\", which may get lost in an apply",
                  (int)MIN(name.n, 64u), name.p);
        } else if (name.n > 0) {
            strmap_set(&seen, name, value_item(list, i));
        }
    }
    strmap_close(&seen);
}

static void doubt_ports(const struct doubts *d, const struct value *list, const struct fpath *p)
{
    struct strmap seen;
    strmap_init(&seen);
    VALUE_FOR(i, list)
    {
        const struct value *port = value_item(list, i);
        struct str protocol = value_to_str(value_get(port, "protocol")), ip = value_to_str(value_get(port, "hostIP"));
        const char *key =
            arena_printf(d->arena, "%lld/%.*s %lld %.*s", (long long)value_to_int(value_get(port, "containerPort"), 0),
                         STR_ARG(protocol.n > 0 ? protocol : STR("TCP")),
                         (long long)value_to_int(value_get(port, "hostPort"), 0), STR_ARG(ip));
        if (strmap_get(&seen, str_of(key)) != NULL) {
            doubt(d, FPATH_ITEM(p, i), "the same port as an earlier one");
        } else {
            strmap_set(&seen, str_of(key), value_item(list, i));
        }
    }
    strmap_close(&seen);
}

/* "400m" of memory is less than a byte. */
static void doubt_bytes(const struct doubts *d, const struct value *list, const struct fpath *p)
{
    static const char *const names[] = {"memory", "ephemeral-storage"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        struct str s = value_to_str(value_get(list, names[i]));
        int64_t milli;
        if (s.n > 0 && quantity_milli(s, &milli) && milli % 1000 != 0) {
            doubt(d, FPATH_KEY(p, str_of(names[i])), "\"%.*s\" is no whole number of bytes; m stands for thousandths",
                  STR_ARG(s));
        }
    }
}

static void doubt_resources(const struct doubts *d, const struct value *resources, const struct fpath *p)
{
    doubt_bytes(d, value_get(resources, "requests"), FPATH_AT(p, "requests"));
    doubt_bytes(d, value_get(resources, "limits"), FPATH_AT(p, "limits"));
}

static void doubt_labels(const struct doubts *d, const struct value *selector, const struct fpath *p)
{
    static const struct {
        const char *old, *now;
    } labels[] = {
        {"beta.kubernetes.io/arch", "kubernetes.io/arch"},
        {"beta.kubernetes.io/os", "kubernetes.io/os"},
        {"beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"},
        {"failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"},
        {"failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(labels); i++) {
        if (value_get(selector, labels[i].old) != NULL) {
            doubt(d, FPATH_KEY(p, str_of(labels[i].old)), "an old name of the label; write %s", labels[i].now);
        }
    }
}

static void doubt_pod(const struct doubts *d, const struct value *spec, const struct fpath *p)
{
    static const char *const lists[] = {"initContainers", "containers", "ephemeralContainers"};
    for (unsigned k = 0; k < ARRAY_SIZE(lists); k++) {
        const struct value *list = value_get(spec, lists[k]);
        VALUE_FOR(i, list)
        {
            const struct value *c = value_item(list, i);
            const struct fpath *at = FPATH_ITEM(FPATH_AT(p, lists[k]), i);
            doubt_env(d, value_get(c, "env"), FPATH_AT(at, "env"));
            doubt_ports(d, value_get(c, "ports"), FPATH_AT(at, "ports"));
            doubt_resources(d, value_get(c, "resources"), FPATH_AT(at, "resources"));
        }
    }
    doubt_resources(d, value_get(spec, "resources"), FPATH_AT(p, "resources"));
    doubt_labels(d, value_get(spec, "nodeSelector"), FPATH_AT(p, "nodeSelector"));
}

void secret_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out)
{
    struct doubts d = {a, out};
    const struct value *data = value_get(obj, "data"), *cert = value_get(data, "tls.crt"),
                       *key = value_get(data, "tls.key");
    if (!str_is(value_to_str(value_get(obj, "type")), "kubernetes.io/tls") || cert == NULL || key == NULL) {
        return;
    }
    const char *cert_pem = arena_printf(a, "%.*s", STR_ARG(cert->str));
    const char *key_pem = arena_printf(a, "%.*s", STR_ARG(key->str));
    if (!pki_pair_fits(cert_pem, key_pem)) {
        doubt(&d, FPATH("data"), "tls.crt and tls.key are no certificate and the key that belongs to it");
    }
}

/* Names of other kinds are let through, as Kubernetes does: the kind may come. Until then nothing is bounded. */
void quota_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out)
{
    struct doubts d = {a, out};
    const struct value *hard = value_at(obj, "spec", "hard", NULL);
    for (unsigned i = 0; i < value_count(hard); i++) {
        struct str name = hard->map.members[i].key;
        struct quota_resource r;
        quota_resource_read(name, &r);
        if (str_starts(name, STR("count/")) && r.what == QUOTA_NOTHING) {
            doubt(&d, FPATH_KEY(FPATH_AT(FPATH("spec"), "hard"), name),
                  "counts nothing: there is no such kind here; the form is count/jobs.batch, count/pods");
        }
    }
}

void pod_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out)
{
    struct doubts d = {a, out};
    doubt_pod(&d, value_get(obj, "spec"), FPATH("spec"));
}

void workload_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out)
{
    struct doubts d = {a, out};
    doubt_pod(&d, value_at(obj, "spec", "template", "spec", NULL),
              FPATH_AT(FPATH_AT(FPATH("spec"), "template"), "spec"));
}

/* The new pod of a node waits for a port that the old one has. */
void daemonset_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out)
{
    struct doubts d = {a, out};
    const struct value *containers = value_path(obj, "spec.template.spec.containers"),
                       *surge = value_path(obj, "spec.updateStrategy.rollingUpdate.maxSurge");
    const struct fpath *strategy = FPATH_AT(FPATH_AT(FPATH("spec"), "updateStrategy"), "rollingUpdate");
    struct str text = value_to_str(surge);
    bool ports = false;
    VALUE_FOR(i, containers)
    {
        const struct value *list = value_get(value_item(containers, i), "ports");
        VALUE_FOR(k, list)
        {
            ports = ports || value_to_int(value_get(value_item(list, k), "hostPort"), 0) > 0;
        }
    }
    workload_doubt(obj, a, out);
    if (ports && (value_to_int(surge, 0) > 0 || (text.n > 0 && !str_is(text, "0%")))) {
        doubt(&d, FPATH_AT(strategy, "maxSurge"),
              "an update gets stuck: a new pod waits for the hostPort that the old one has; use maxUnavailable");
    }
}

/* A rule that has no other peers allows nothing; an exception that is for nobody excepts nothing. */
static void doubt_blocks(const struct doubts *d, const struct value *rules, const char *peers, const struct fpath *p)
{
    VALUE_FOR(i, rules)
    {
        const struct value *list = value_get(value_item(rules, i), peers);
        VALUE_FOR(k, list)
        {
            struct str cidr = value_to_str(value_at(value_item(list, k), "ipBlock", "cidr", NULL));
            if (cidr.n > 0 && memchr(cidr.p, ':', cidr.n) != NULL) {
                doubt(d, FPATH_AT(FPATH_AT(FPATH_ITEM(FPATH_AT(FPATH_ITEM(p, i), peers), k), "ipBlock"), "cidr"),
                      "\"%.*s\" matches nobody: pods have addresses of IPv4 alone", (int)MIN(cidr.n, 64u), cidr.p);
            }
        }
    }
}

void policy_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out)
{
    struct doubts d = {a, out};
    const struct value *spec = value_get(obj, "spec");
    doubt_blocks(&d, value_get(spec, "ingress"), "from", FPATH_AT(FPATH("spec"), "ingress"));
    doubt_blocks(&d, value_get(spec, "egress"), "to", FPATH_AT(FPATH("spec"), "egress"));
}

void cronjob_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out)
{
    struct doubts d = {a, out};
    struct schedule schedule;
    struct str text = value_path_str(obj, "spec.schedule");
    const struct fpath *job = FPATH_AT(FPATH_AT(FPATH("spec"), "jobTemplate"), "spec");
    doubt_pod(&d, value_path(obj, "spec.jobTemplate.spec.template.spec"), FPATH_AT(FPATH_AT(job, "template"), "spec"));
    if (schedule_parse(text, &schedule, NULL) == 0 && schedule_next(&schedule, NULL, 0, 0) == SCHEDULE_NEVER) {
        doubt(&d, FPATH_AT(FPATH("spec"), "schedule"), "\"%.*s\" never comes: no month has such a day", STR_ARG(text));
    }
}
