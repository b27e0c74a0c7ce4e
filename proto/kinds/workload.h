/* What the kinds that make pods of a template have in common: rows of their tables, rules, cells. For proto/kinds
 * alone. */
#ifndef PROTO_KINDS_WORKLOAD_H
#define PROTO_KINDS_WORKLOAD_H

#include "proto/kinds/kinds.h"

/* ---- Rows; (n): with this number in the message ---- */

/* clang-format off */
#define TEMPLATE_ROW OBJECT("template", schema_pod_template, "The pods to be made.", REQUIRED)
#define SELECTOR_ROW(n)                                                                                                \
    OBJECT("selector", schema_label_selector,                                                                          \
           "Which pods count. Must match the template's labels. "                                                      \
           "Cannot change.",                                                                                           \
           REQUIRED, NUMBER(n))
#define REPLICAS_ROW INT32("replicas", "How many pods there should be.", DEFAULT("1"))
#define MIN_READY_ROW(n)                                                                                               \
    INT32("minReadySeconds", "A new pod must be Ready this long to count as available.", ZERO, NUMBER(n))
/* time_number: of lastTransitionTime, which is not everywhere the third. */
#define CONDITION_ROWS(time_number)                                                                                    \
    STRING("type", "What it is about."), STRING("status", "True, False or Unknown."),                                  \
        TIME("lastTransitionTime", "When status last changed.", NUMBER(time_number)),                                  \
        STRING("reason", "Why, in one word.", NUMBER(4)), STRING("message", "Why, for people.")
/* clang-format on */

/* Documents of versions before apps/v1: the selector that they left out is that of the template's labels. */
void workload_version_up(struct arena *a, struct value *doc);

/* ---- Rules ---- */

/* Replicas, selector, template, and what of them may not change. */
void workload_check(const struct value *obj, const struct value *old, struct errlist *l);
/* The same without the selector, of the spec at p; old: the object that it was. */
void workload_check_pods(const struct value *spec, const struct value *old, const struct fpath *p, struct errlist *l);
/* A template whose pods may have these restart policies ("OnFailure|Never"). */
void workload_check_template(const struct value *template, const char *policies, const struct fpath *p,
                             struct errlist *l);
/* Counts of status that are not negative, and not above another one: "updatedReplicas" of "replicas". */
struct workload_count {
    const char *name;
    const char *at_most[2];
};
void workload_check_counts(const struct value *obj, const struct value *old, const struct workload_count *rules,
                           unsigned count, struct errlist *l);
/* A count or a percentage, not negative; limited: at most 100%. Returns the number of either; -1 if it is neither. */
int64_t workload_check_bound(const struct value *bounds, const char *name, bool limited, const struct fpath *p,
                             struct errlist *l);
/* The counts of a ReplicaSet's status. */
void workload_check_replica_counts(const struct value *obj, const struct value *old, struct errlist *l);
void replicaset_validate(const struct value *obj, const struct value *old, struct errlist *l);
void deployment_validate(const struct value *obj, const struct value *old, struct errlist *l);

/* ---- Descriptions ---- */

void deployment_describe(struct buf *out, const struct object *o, const struct describe_context *c);
void replicaset_describe(struct buf *out, const struct object *o, const struct describe_context *c);

/* Pieces of them. */
void workload_describe_selector(struct buf *out, unsigned width, struct mp selector);
/* "Pods Status: 3 Running / ...", of the pods that c shows first. */
void workload_describe_pods(struct buf *out, unsigned width, const struct describe_context *c);

/* ---- Cells: columns of the same name ---- */

void workload_cell_desired(struct buf *out, const struct object *o, int64_t now_ms);
void workload_cell_current(struct buf *out, const struct object *o, int64_t now_ms);
void workload_cell_ready(struct buf *out, const struct object *o, int64_t now_ms);
void workload_cell_ready_of(struct buf *out, const struct object *o, int64_t now_ms);
void workload_cell_updated(struct buf *out, const struct object *o, int64_t now_ms);
void workload_cell_available(struct buf *out, const struct object *o, int64_t now_ms);
void workload_cell_names(struct buf *out, const struct object *o, int64_t now_ms);
void workload_cell_images(struct buf *out, const struct object *o, int64_t now_ms);
void workload_cell_selector(struct buf *out, const struct object *o, int64_t now_ms);

/* CONTAINERS, IMAGES, SELECTOR with -o wide. */
#define WORKLOAD_WIDE_COLUMNS                                                                                          \
    {.title = "CONTAINERS", .wide = true, .cell = workload_cell_names},                                                \
        {.title = "IMAGES", .wide = true, .cell = workload_cell_images},                                               \
    {                                                                                                                  \
        .title = "SELECTOR", .wide = true, .cell = workload_cell_selector                                              \
    }

#endif
