/* The Services and EndpointSlices that masters have told, and what the dataplane makes of them. Pure.
 *
 * Messages are those of the feed node.services: {whole, changed: [objects], gone: [{kind, namespace, name}], complete}.
 * After `whole` nothing is changed until `complete`: what a node knew stays in force while it hears all of it again. An
 * EndpointSlice belongs to the Service that its label names; either may come first. */
#ifndef AGENT_SERVICE_KNOWN_H
#define AGENT_SERVICE_KNOWN_H

#include "agent/service/port.h"
#include "proto/model/msgpack.h"
#include "proto/schema/object.h"

struct known_ops {
    void (*put)(const struct service_port *p, void *data); /* new or changed, or as it was; borrowed */
    void (*remove)(const char *key, void *data);
    void (*complete)(void *data); /* everything has been told; may come again */
    void *data;
};
struct known;
struct known *known_new(const char *node, const struct known_ops *ops);
void known_free(struct known *k);
/* What is no object of these kinds is passed over. */
void known_told(struct known *k, struct mp message);
/* The Service, or NULL. Borrowed until the next message. */
const struct object *known_service(const struct known *k, struct str ns, struct str name);
/* Ports of a Service with the places of its slices, each told to put. */
void known_translate(const struct object *service, const struct object *const *slices, unsigned count, const char *node,
                     void (*put)(const struct service_port *p, void *data), void *data);

#endif
