/* Inside the kind tables: the schemas that several kinds share, and the rules that belong to them. For proto/kinds
 * alone. */
#ifndef PROTO_KINDS_KINDS_H
#define PROTO_KINDS_KINDS_H

#include "proto/kinds/list.h"
#include "proto/schema/object.h"
#include "proto/schema/table.h"

/* Why fields that several tables have are not carried out. */
#define SELINUX_WHY  "labels of SELinux are not set, and the container would run without"
#define APPARMOR_WHY "no AppArmor profile is set, and the container would run without"
#define WINDOWS_WHY  "all nodes run Linux"
#define CLAIMS_WHY   "there are no resource claims; the devices would be missing"

/* ---- Shared schemas ---- */

extern const struct schema schema_label_selector;      /* meta.c */
extern const struct schema schema_local_reference;     /* meta.c */
extern const struct schema schema_object_reference;    /* meta.c */
extern const struct schema schema_typed_reference;     /* meta.c */
extern const struct schema schema_volume;              /* volume.c */
extern const struct schema schema_container;           /* container.c */
extern const struct schema schema_ephemeral_container; /* container.c */
extern const struct schema schema_resources;           /* container.c */
extern const struct schema schema_selinux_options;     /* container.c */
extern const struct schema schema_windows_options;     /* container.c */
extern const struct schema schema_seccomp_profile;     /* container.c */
extern const struct schema schema_apparmor_profile;    /* container.c */
extern const struct schema schema_field_selector;      /* container.c */
extern const struct schema schema_resource_selector;   /* container.c */
extern const struct schema schema_node_selector;       /* affinity.c */
extern const struct schema schema_affinity;            /* affinity.c */
extern const struct schema schema_topology_spread;     /* affinity.c */
extern const struct schema schema_toleration;          /* pod_spec.c */
extern const struct schema schema_pod_spec;            /* pod_spec.c */
extern const struct schema schema_pod_template;        /* pod_spec.c */
extern const struct schema schema_pod_status;          /* pod_status.c */

#define DECLARE(name, NAME, number) extern const struct kind kind_##name;
KIND_LIST(DECLARE)
#undef DECLARE

/* How they are described. */
struct describe_context;
void pod_describe(struct buf *out, const struct object *o, const struct describe_context *c);
void node_describe(struct buf *out, const struct object *o, const struct describe_context *c);
void node_write_roles(struct buf *out, const struct object *o); /* "control-plane,gpu"; "<none>" */

/* imagePullPolicy of a container that does not say one (pod_fill.c). */
const char *image_pull_default(struct str image);

/* ---- Resources ---- */

/* Quantities by resource name: names are label keys, amounts are not negative, and whole where only whole ones make
 * sense (devices). */
void check_resource_list(struct errlist *l, const struct value *list, const struct fpath *p);
/* The same for what containers and pods have: cpu, memory, ephemeral-storage, huge pages, and what has a prefix. */
void check_container_resources(struct errlist *l, const struct value *list, const struct fpath *p);
/* limits, requests and claims of a container; pod is its spec. */
void container_resources_check(const struct value *pod, const struct value *container, const struct fpath *p,
                               struct errlist *l);

/* ---- Rules and defaults of pods, shared by templates ---- */

/* is_template: the pods of a ReplicaSet or Deployment. */
void pod_spec_check(const struct value *spec, const struct fpath *p, bool is_template, struct str pod_name,
                    struct errlist *l);
/* pod_name: for the names of claims that are made for the pod; empty for a template. */
void pod_volumes_check(const struct value *volumes, struct str pod_name, const struct fpath *p, struct errlist *l);
/* spec.resources, at p; containers are beside it. */
void pod_resources_check(const struct value *spec, const struct fpath *p, struct errlist *l);
/* May a pod as a whole ask for it? cpu, memory, huge pages. */
bool pod_resource_is_whole(struct str name);
/* What its containers request of one resource, in thousandths: those beside each other, sidecars among them, or one
 * init container with the sidecars before it. False: more than can be counted. */
bool pod_requests_sum(const struct value *spec, struct str name, int64_t *milli);
void pod_tolerations_check(const struct value *list, const struct fpath *p, struct errlist *l);
void pod_security_check(const struct value *spec, const struct fpath *p, struct errlist *l);
void container_security_check(const struct value *sc, const struct fpath *p, struct errlist *l);
/* Annotations that mean something for a pod; spec gives the containers. */
void pod_annotations_check(const struct value *annotations, const struct value *spec, const struct fpath *p,
                           struct errlist *l);
void pod_status_check(const struct value *obj, const struct value *old, struct errlist *l);
void pod_containers_check(const struct value *spec, const struct fpath *p, struct errlist *l);
void pod_affinity_check(const struct value *spec, const struct fpath *p, struct errlist *l);
void container_env_check(const struct value *container, const struct fpath *p, struct errlist *l);
void container_probes_check(const struct value *container, const struct value *pod, const struct fpath *p,
                            struct errlist *l);
void check_field_ref(struct errlist *l, const struct value *ref, const struct fpath *p, bool in_volume);
void check_resource_ref(struct errlist *l, const struct value *ref, const struct fpath *p, bool in_volume);
/* A path below some root: relative, without "..". Absent is fine. */
void check_descending_path(struct errlist *l, const struct value *v, const struct fpath *p);
void check_no_dot_dot(const struct value *v, const struct fpath *p, struct errlist *l);
/* As check_descending_path, for a file in a volume that the agent writes, which may not hide what keeps the volume
 * current: no name that begins with "..". */
void check_relative_path(struct errlist *l, const struct value *v, const struct fpath *p);
void pod_no_ephemeral_check(const struct value *spec, const struct fpath *p, const char *why, struct errlist *l);
void pod_update_check(const struct value *obj, const struct value *old, struct errlist *l);
void pod_validate(const struct value *obj, const struct value *old, struct errlist *l);
void pod_spec_fill(struct arena *a, struct value *spec);
void pod_fill(struct arena *a, struct value *obj);
void pod_keep(struct arena *a, struct value *obj, const struct value *old);

void pod_references(const struct object *o, kind_reference_cb *cb, void *data);
/* What a pod's spec names, for pods and for templates (pod_refs.c). ns: the namespace it is or will be in. */
void pod_spec_references(struct mp spec, struct str ns, kind_reference_cb *cb, void *data);
void workload_references(const struct object *o, kind_reference_cb *cb, void *data);
void pod_begin(struct arena *a, struct value *obj);
void pod_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out);
void workload_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out);
void daemonset_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out);
void cronjob_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out);
void quota_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out);
void secret_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out);
void policy_doubt(const struct value *obj, struct arena *a, struct kind_warnings *out);

/* A place that names another object, for tables of references (pod_refs.c, volumes.h). A kind that does not exist
 * here yet is no reference until it does; its row stands here already. */
struct ref_row {
    /* The member that the reference stands in; NULL = the map itself. */
    const char *at;
    const char *within; /* a path below that; NULL = none */
    const char *name;   /* the member with the name */
    const char *kind;
    enum reference_use use;
    bool optional; /* in any case; else the member "optional" beside the name says so */
};

/* ---- Cells ---- */

void cell_str(struct buf *out, struct mp v);                                     /* text, or "<none>" */
void cell_int(struct buf *out, struct mp v);                                     /* number, 0 if absent */
void cell_age(struct buf *out, struct str time, int64_t now_ms);                 /* "<unknown>" if absent */
void cell_containers(struct buf *out, struct mp containers, const char *member); /* comma separated */
void pod_cell_ready(struct buf *out, const struct object *o, int64_t now_ms);
void pod_cell_status(struct buf *out, const struct object *o, int64_t now_ms);
void pod_cell_restarts(struct buf *out, const struct object *o, int64_t now_ms);
void pod_cell_ip(struct buf *out, const struct object *o, int64_t now_ms);
void pod_cell_node(struct buf *out, const struct object *o, int64_t now_ms);
void pod_cell_nominated(struct buf *out, const struct object *o, int64_t now_ms);
void pod_cell_gates(struct buf *out, const struct object *o, int64_t now_ms);

#endif
