/* The Services and EndpointSlices that masters have told, and what the dataplane makes of them. Pure.
 *
 * Messages are those of the feed node.services: {whole, changed: [objects], gone: [{kind, namespace, name}], complete,
 * revision}.
 * After `whole` nothing is changed until `complete`: what a node knew stays in force while it hears all of it again. An
 * EndpointSlice belongs to the Service that its label names; either may come first. */
#ifndef AGENT_SERVICE_KNOWN_H
#define AGENT_SERVICE_KNOWN_H

#include "agent/service/port.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/strmap.h"
#include "proto/model/msgpack.h"
#include "proto/schema/object.h"

struct known_ops {
    void (*put)(const struct service_port *p, void *data); /* new or changed, or as it was; borrowed */
    void (*remove)(const char *key, void *data);
    void (*complete)(void *data); /* everything has been told; may come again */
    /* A Service ("NAMESPACE/NAME") with a healthCheckNodePort, and how many pods here are ready for it; 0: it has none
     * any more. NULL: nobody wants to know. */
    void (*health)(const char *name, uint16_t port, unsigned here, void *data);
    void *data;
};
struct known;
struct known *known_new(const char *node, const struct known_ops *ops);
void known_free(struct known *k);
/* What is no object of these kinds is passed over. */
void known_told(struct known *k, struct mp message);
/* All of it as one message, which known_told reads back; appended. */
void known_write(const struct known *k, struct buf *out);
/* The zone of this node; "": it has none, which is so at first. Copied. What comes of it is told to ops. */
void known_set_zone(struct known *k, struct str zone);
/* The Service, or NULL. Borrowed until the next message. */
const struct object *known_service(const struct known *k, struct str ns, struct str name);
/* The Services of a namespace that have a cluster IP, by name; at most `max` of them. The list is the caller's to free;
 * what is in it is borrowed until the next message. */
const struct object **known_services(const struct known *k, struct str ns, unsigned max, unsigned *count);
/* What is known has been told whole at least once. */
bool known_is_complete(const struct known *k);
/* Of the state that is known, as masters have told it; 0: they have not, or not yet anew. */
uint64_t known_revision(const struct known *k);
/* Its EndpointSlices, each once, in no order; none if there is no such Service. */
struct known_slices {
    const struct list *all, *at; /* NULL: at the end */
};
struct known_slices known_slices(const struct known *k, struct str ns, struct str name);
const struct object *known_slice_next(struct known_slices *it); /* NULL at the end */
/* Whose address it is (in the machine's byte order): the Service with this cluster IP; a slice that has an endpoint of
 * this address with a name of its own (hostname). NULL: nobody's. Borrowed until the next message. */
const struct object *known_service_at(const struct known *k, uint32_t ip);
const struct object *known_host_at(const struct known *k, uint32_t ip);
bool known_has_namespace(const struct known *k, struct str ns); /* there is a Service in it */
/* "10.96.0.7" as a number; 0 if it is none. */
uint32_t known_ip(struct str text);
/* A pod of this node is to end: from now on its endpoints here count as terminating, whatever masters have told yet.
 * True if a Service had it among those that it leads to; what comes of it has been told to ops. */
bool known_pod_leaves(struct known *k, struct str uid);
/* It has ended: forgotten as soon as no EndpointSlice names it. */
void known_pod_left(struct known *k, struct str uid);
/* A pod of this node has this address, whatever masters tell, who may be away: its endpoints here are there. Until it
 * has left. */
void known_pod_is_at(struct known *k, struct str uid, uint32_t ip);

/* How endpoints look from this node. */
struct known_here {
    const char *node;
    const struct strmap *leaving; /* uids of pods here that are to end */
    struct str zone;              /* empty: none */
};
/* Ports of a Service with the places of its slices, each told to put. If each ready endpoint of a port has hints for
 * zones, and one of them is for this node's, ready ones of other zones are left out (trafficDistribution PreferClose;
 * Kubernetes KEP-4444), but for those of this node. Who drains serves all zones. */
void known_translate(const struct object *service, const struct object *const *slices, unsigned count,
                     const struct known_here *here, void (*put)(const struct service_port *p, void *data), void *data);
/* The healthCheckNodePort; 0: none. */
uint16_t known_health_port(const struct object *service);
/* How many pods of the slices are on this node and ready. */
unsigned known_ready_here(const struct object *const *slices, unsigned count, const struct known_here *here);

#endif
