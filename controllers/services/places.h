/* Where a Service leads: the pods that it selects, with the ports that its own ports mean there. What the controllers
 * of EndpointSlices and of Endpoints are made of. Pure. Source: Kubernetes' endpointslice and endpoint controllers. */
#ifndef CONTROLLERS_SERVICES_PLACES_H
#define CONTROLLERS_SERVICES_PLACES_H

#include "controllers/util.h"
#include "proto/facts/node_match.h"

#define LABEL_SERVICE_NAME "kubernetes.io/service-name"
#define LABEL_HEADLESS     "service.kubernetes.io/headless"

/* A pod that has an address and has not ended. */
struct place {
    const struct object *pod;
    struct str ip, node, zone, hostname; /* hostname: "" unless the pod has asked for this Service as its subdomain */
    bool ready;                          /* serving and not about to end, or the Service publishes what is not ready */
    bool serving;                        /* the pod is Ready */
    bool terminating;                    /* its deletion was asked for */
    unsigned group;                      /* of places.groups */
    bool taken;                          /* for the caller */
};
/* Ports as they are for some of the pods: a named targetPort may be another number in each. */
struct place_group {
    struct value *ports; /* a list of EndpointPort, in the order of the Service's ports; those not found are left out */
    unsigned count;      /* places that have them */
};
struct places {
    struct place *items; /* in the order of the pods' names */
    unsigned count, cap;
    struct place_group *groups;
    unsigned groups_count, groups_cap;
    const struct object *left_at; /* the last pod that was looked at, if more are behind it; NULL: none are */
    bool headless;
};
/* Does it have a selector, and a type that leads to pods? */
bool service_selects(const struct object *service);
/* Those of pods behind this name (empty: from the first on), in the arena; strings are borrowed from the view. Of the
 * pods that have the first label of the selector `visits` are looked at and no more, and `most` places are found. */
void places_find(struct arena *a, const struct view *v, const struct object *service, struct str behind,
                 unsigned visits, unsigned most, struct places *out);
/* {kind: Pod, namespace, name, uid} */
struct value *place_target(struct arena *a, const struct place *p);
/* A port of an EndpointSlice always has a name, if an empty one: clients look at it without asking whether it is there.
 * Source: Kubernetes' defaults of discovery.k8s.io/v1. */
void places_name_ports(struct arena *a, struct value *ports);
/* The Services that select the pod as it was or is become keys (a map function; a pod's change that none of them sees
 * makes none). */
void map_pod_services(const struct view *tip, const struct object *old, const struct object *now, controller_emit *emit,
                      void *data);
/* Those of all pods on a node, if its zone changes. */
void map_node_services(const struct view *tip, const struct object *old, const struct object *now,
                       controller_emit *emit, void *data);

#endif
