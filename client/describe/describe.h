/* `rctl describe`: everything about one object, for people to read. The writers are pure: objects in, text out. */
#ifndef CLIENT_DESCRIBE_DESCRIBE_H
#define CLIENT_DESCRIBE_DESCRIBE_H

#include "base/buf.h"
#include "client/api/api.h"
#include "proto/schema/object.h"

/* What belongs to the object, fetched before. */
struct describe_context {
    int64_t now_ms;
    struct object *const *events; /* about the object, oldest first */
    unsigned events_count;
    bool without_events;        /* nothing is said of them */
    struct object *const *pods; /* of a node or a workload */
    unsigned pods_count;
    struct object *const *sets; /* ReplicaSets of a Deployment */
    unsigned sets_count;
};
void describe_object(struct buf *out, const struct object *o, const struct describe_context *c);

/* ---- Kinds ---- */

void describe_pod(struct buf *out, const struct object *o, const struct describe_context *c);
void describe_node(struct buf *out, const struct object *o, const struct describe_context *c);
void describe_deployment(struct buf *out, const struct object *o, const struct describe_context *c);
void describe_replicaset(struct buf *out, const struct object *o, const struct describe_context *c);
void describe_namespace(struct buf *out, const struct object *o, const struct describe_context *c);
void describe_configmap(struct buf *out, const struct object *o, const struct describe_context *c);
void describe_secret(struct buf *out, const struct object *o, const struct describe_context *c);

/* Of a pod, also of those that a workload makes. */
void describe_containers(struct buf *out, unsigned level, const char *label, struct mp containers, struct mp statuses);
void describe_volumes(struct buf *out, unsigned level, struct mp volumes);
void describe_pod_template(struct buf *out, struct mp template, unsigned level);

#endif
