#include "agent/dataplane.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "agent/agent_int.h"
#include "agent/isolation.h"
#include "agent/service/health.h"
#include "agent/service/known.h"
#include "agent/service/services.h"
#include "agent/util/fsutil.h"
#include "proto/facts/cluster.h"
#include "proto/facts/event.h"

/* Elements are tried again each minute: a Service is told of once in a while, and so many of them at most. */
#define TOLD_EACH_MS 600000
#define TOLD_MAX     64u

struct dataplane {
    struct agent *agent;
    struct known *known;
    struct services *services;
    struct health *health; /* NULL: hollow */
    struct skeleton_ranges ranges;
    bool bridge_quiet;
    struct strmap told; /* Services of which the kernel refused something: "NAMESPACE/NAME"; values mean nothing */
    int64_t told_since_ms;
    void (*close_cb)(void *data);
    void *close_data;
    bool remembers; /* what is told now is from before, and the kernel has it */
};

static void on_put(const struct service_port *p, void *data)
{
    services_put(((struct dataplane *)data)->services, p);
}

static void on_remove(const char *key, void *data)
{
    services_remove(((struct dataplane *)data)->services, key);
}

static void on_health(const char *name, uint16_t port, unsigned here, void *data)
{
    struct dataplane *d = data;
    if (d->health != NULL) {
        health_set(d->health, name, port, here);
    }
}

static bool is_told(struct dataplane *d, struct str service)
{
    int64_t now_ms = env_now_ms(d->agent->env);
    if (now_ms - d->told_since_ms >= TOLD_EACH_MS) {
        strmap_close(&d->told);
        strmap_init(&d->told);
        d->told_since_ms = now_ms;
    }
    if (d->told.count >= TOLD_MAX || strmap_get(&d->told, service) != NULL) {
        return true;
    }
    strmap_set(&d->told, service, d);
    return false;
}

static void on_refused(const char *key, const char *element, const char *why, void *data)
{
    struct dataplane *d = data;
    const char *slash = strchr(key, '/');
    struct str service = {key, strcspn(key, ":")};
    if (slash == NULL || d->agent->report == NULL || is_told(d, service)) {
        return;
    }
    struct str ns = {key, (size_t)(slash - key)}, name = {slash + 1, service.n - ns.n - 1};
    const struct object *o = known_service(d->known, ns, name);
    if (o == NULL) {
        return;
    }
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    report_event(d->agent->report,
                 &(struct report_event){.ns = arena_strndup(&a, ns.p, ns.n),
                                        .service = arena_strndup(&a, name.p, name.n),
                                        .uid = arena_strndup(&a, o->uid.p, o->uid.n),
                                        .warning = true,
                                        .reason = EVENT_REASON_NOT_BALANCED,
                                        .message = arena_printf(&a,
                                                                "connections may fail on node %s: its kernel does not "
                                                                "take one element (%s): %s",
                                                                d->agent->name, element, why)});
}

static bool works(void *data)
{
    struct services_stats st;
    services_get_stats(((struct dataplane *)data)->services, &st);
    return st.works;
}

static void on_bulk(bool begins, void *data)
{
    struct agent *a = ((struct dataplane *)data)->agent;
    isolation_bulk(a, begins);
    network_pause_watch(a->network, begins);
}

static void on_complete(void *data)
{
    struct dataplane *d = data;
    if (!d->remembers) {
        services_begin(d->services);
    }
}

/* A pod that is led to itself, or to its neighbour on the bridge, leaves the node as it has come. The kernel's advice
 * to go there directly is wrong then, and each uses up a refusal of UDP: both count by the same peer. */
static void quiet_redirects(struct dataplane *d)
{
    if (!d->bridge_quiet && !d->agent->hollow) {
        d->bridge_quiet = fs_write_value("/proc/sys/net/ipv4/conf/all/send_redirects", "0", NULL) == 0 &&
                          fs_write_value("/proc/sys/net/ipv4/conf/reeve0/send_redirects", "0", NULL) == 0;
    }
}

static uint32_t address_of(const struct agent *a)
{
    struct in_addr ip;
    bool known = inet_pton(AF_INET, a->node_ip, &ip) == 1 && ntohl(ip.s_addr) >> 24 != 127;
    return known ? ntohl(ip.s_addr) : 0;
}

void dataplane_set_node(struct agent *a)
{
    struct dataplane *d = a->dataplane;
    uint32_t ip = address_of(a);
    if (d == NULL) {
        return;
    }
    services_set_addresses(d->services, &ip, ip != 0);
    if (d->health != NULL) {
        health_set_ip(d->health, ip);
    }
}

void dataplane_open(struct agent *a)
{
    struct dataplane *d = xcalloc(1, sizeof *d);
    struct error err = {0};
    d->agent = a;
    strmap_init(&d->told);
    d->told_since_ms = env_now_ms(a->env);
    if (a->hollow) {
        d->services = services_hollow_new(a->loop);
    } else if (services_new(a->loop, a->log, true, &d->services, &err) != 0) {
        log_warn(a->log, "services", "this node leads no connections to services: %s", err.message);
        d->services = services_hollow_new(a->loop); /* their names are answered all the same */
    }
    services_on_refused(d->services, on_refused, d);
    services_on_bulk(d->services, on_bulk, d);
    d->known = known_new(a->name, &(struct known_ops){on_put, on_remove, on_complete, on_health, d});
    a->dataplane = d;
    d->health = a->hollow
                    ? NULL
                    : health_new(&(struct health_config){.loop = a->loop, .log = a->log, .works = works, .data = d});
    dataplane_set_node(a);
    /* Until masters say others: the number of ranges stays the same, so that what a former agent left is kept. */
    dataplane_set_pods(a, STR(CLUSTER_POD_SUBNET));
    dataplane_set_services(a, STR(CLUSTER_SERVICE_SUBNET));
}

void dataplane_told(struct agent *a, struct mp message)
{
    if (a->dataplane != NULL) {
        quiet_redirects(a->dataplane);
        known_told(a->dataplane->known, message);
    }
}

void dataplane_remember(struct agent *a, struct mp message, bool anew)
{
    if (a->dataplane != NULL) {
        a->dataplane->remembers = !anew;
        known_told(a->dataplane->known, message);
        a->dataplane->remembers = false;
    }
}

void dataplane_pod_leaves(struct agent *a, struct str uid)
{
    if (a->dataplane != NULL && known_pod_leaves(a->dataplane->known, uid)) {
        services_write_now(a->dataplane->services);
    }
}

void dataplane_pod_left(struct agent *a, struct str uid)
{
    if (a->dataplane != NULL) {
        known_pod_left(a->dataplane->known, uid);
    }
}

void dataplane_pod_is_at(struct agent *a, struct str uid, const char *ip)
{
    if (a->dataplane != NULL) {
        known_pod_is_at(a->dataplane->known, uid, known_ip(str_of(ip)));
    }
}

static void set_range(struct dataplane *d, struct str text, struct cidr *range, unsigned *count)
{
    struct cidr c;
    if (cidr_parse(text, &c) && (*count == 0 || c.first != range->first || c.bits != range->bits)) {
        *range = c;
        *count = 1;
        services_set_ranges(d->services, &d->ranges);
    }
}

void dataplane_set_pods(struct agent *a, struct str cidr)
{
    if (a->dataplane != NULL) {
        set_range(a->dataplane, cidr, &a->dataplane->ranges.pods[0], &a->dataplane->ranges.pods_count);
    }
}

void dataplane_set_services(struct agent *a, struct str cidr)
{
    if (a->dataplane != NULL) {
        set_range(a->dataplane, cidr, &a->dataplane->ranges.services[0], &a->dataplane->ranges.services_count);
    }
}

void dataplane_set_zone(struct agent *a, struct str zone)
{
    if (a->dataplane != NULL) {
        known_set_zone(a->dataplane->known, zone);
    }
}

const struct known *dataplane_known(const struct agent *a)
{
    return a->dataplane == NULL ? NULL : a->dataplane->known;
}

/* ---- The end: the listeners, which ask what there is behind them, then the rest ---- */

static void on_health_closed(void *data)
{
    struct dataplane *d = data;
    known_free(d->known);
    strmap_close(&d->told);
    services_on_refused(d->services, NULL, NULL);
    services_close(d->services, false, d->close_cb, d->close_data);
    free(d);
}

bool dataplane_close(struct agent *a, void (*cb)(void *data), void *data)
{
    struct dataplane *d = TAKE_PTR(a->dataplane);
    if (d == NULL) {
        return false;
    }
    d->close_cb = cb;
    d->close_data = data;
    if (d->health != NULL) {
        health_close(TAKE_PTR(d->health), on_health_closed, d);
    } else {
        on_health_closed(d);
    }
    return true;
}
