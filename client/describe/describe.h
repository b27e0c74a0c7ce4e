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

/* ---- Parts, shared by the kinds ---- */

#define DESCRIBE_TAB 2 /* columns of one level */
/* "Label:" padded to `width`, at an indentation of `level`; what follows is the caller's. */
void describe_label(struct buf *out, unsigned level, unsigned width, const char *label);
void describe_text(struct buf *out, unsigned level, unsigned width, const char *label, struct str text);
/* A map as "k=v" lines, the first beside the label; "<none>" if empty. separator: "=" or ": ". */
void describe_map(struct buf *out, unsigned level, unsigned width, const char *label, struct mp map,
                  const char *separator);
void describe_head(struct buf *out, const struct object *o, unsigned width); /* name, namespace, labels, annotations */
void describe_time(struct buf *out, unsigned level, unsigned width, const char *label, struct str time);
/* Aligned table of type and status, or of type, status, reason (with_reason). */
void describe_conditions(struct buf *out, struct mp conditions, bool with_reason);
void describe_events(struct buf *out, const struct describe_context *c);
void describe_value(struct buf *out, struct mp v, unsigned level); /* any document, as indented text */

void describe_containers(struct buf *out, unsigned level, const char *label, struct mp containers, struct mp statuses);
void describe_volumes(struct buf *out, unsigned level, struct mp volumes);
void describe_pod_template(struct buf *out, struct mp template, unsigned level);

/* ---- Kinds ---- */

void describe_pod(struct buf *out, const struct object *o, const struct describe_context *c);
void describe_node(struct buf *out, const struct object *o, const struct describe_context *c);
void describe_deployment(struct buf *out, const struct object *o, const struct describe_context *c);
void describe_replicaset(struct buf *out, const struct object *o, const struct describe_context *c);

#endif
