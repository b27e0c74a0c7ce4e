/* Volumes and claims: the names that all who work with them share, and what is read off them.
 *
 * How a claim gets a volume. A PersistentVolume and a PersistentVolumeClaim are bound if each names the other: the
 * claim's spec.volumeName is the volume, and the volume's spec.claimRef is the claim with its uid. Both sides are
 * written in one transaction, so there is no claim that is half bound, except where a person has written one side
 * alone. Whoever uses a claim asks storage_is_bound, and nothing else.
 *
 * The local provisioner (STORAGE_LOCAL) makes directories on nodes:
 *   1. An agent that offers room says so in its Node: the annotation STORAGE_LOCAL_ROOT, an absolute path without "..",
 *      and status.allocatable[STORAGE_LOCAL_RESOURCE], in bytes. Without both the node offers none; so does one whose
 *      name cannot be the value of a label (longer than 63 characters).
 *   2. The scheduler's transaction that binds a pod to the node makes the PersistentVolume as well: it is called
 *      pvc-UID (of the claim), spec.local.path is ROOT/pvc-UID, and it has the label STORAGE_LABEL_NODE with the node's
 *      name and the finalizers STORAGE_PROTECT_VOLUME and STORAGE_LOCAL_DIRECTORY. The directory is made by the agent
 *      before the first pod mounts it.
 *   3. What is taken of a node = the sum of spec.capacity.storage of all volumes with the node's label
 *      (VIEW_SUM_LOCAL_VOLUMES), whether they are bound or not, until the volume is gone.
 *   4. A volume that is to go has metadata.deletionTimestamp. When no pod uses it any more the controllers take
 *      STORAGE_PROTECT_VOLUME away. Then, and not before, the agent removes the directory and says so with the request
 *      node.volumes (master/nodes/volumes.c), which takes STORAGE_LOCAL_DIRECTORY away; with it the volume is gone.
 * What an agent is told of by node.refs (master/nodes/feeds.c), as of ConfigMaps and Secrets, ADDED, MODIFIED and
 * DELETED: the claims that its pods name; the volumes that those claims name (spec.volumeName); and all volumes with
 * its name in STORAGE_LABEL_NODE, whether a pod uses them or not. Events of a claim and of its volume may come in
 * either order. A volume named by a claim is not yet its own: storage_is_bound.
 * Source: Kubernetes core/v1 PersistentVolume, PersistentVolumeClaim, storage/v1 StorageClass. Pure. */
#ifndef PROTO_FACTS_STORAGE_H
#define PROTO_FACTS_STORAGE_H

#include "proto/model/value.h"
#include "proto/schema/object.h"

/* ---- Names ---- */

#define STORAGE_LOCAL          "reeve.io/local"               /* provisioner: directories on nodes */
#define STORAGE_NO_PROVISIONER "kubernetes.io/no-provisioner" /* volumes are made by people */
/* Node */
#define STORAGE_LOCAL_ROOT     "reeve.io/local-volumes-root" /* annotation */
#define STORAGE_LOCAL_RESOURCE "reeve.io/local-storage"      /* resource, bytes */
/* PersistentVolume */
#define STORAGE_LABEL_NODE      "reeve.io/node"                   /* label: the node that has the directory */
#define STORAGE_PROVISIONED_BY  "pv.kubernetes.io/provisioned-by" /* annotation: provisioner */
#define STORAGE_PROTECT_VOLUME  "kubernetes.io/pv-protection"     /* finalizers */
#define STORAGE_LOCAL_DIRECTORY "reeve.io/local-volume"
/* PersistentVolumeClaim */
#define STORAGE_PROTECT_CLAIM  "kubernetes.io/pvc-protection" /* finalizer */
#define STORAGE_SELECTED_NODE  "volume.kubernetes.io/selected-node"
#define STORAGE_PROVISIONER_OF "volume.kubernetes.io/storage-provisioner"
/* Both */
#define STORAGE_BIND_COMPLETED      "pv.kubernetes.io/bind-completed"
#define STORAGE_BOUND_BY_CONTROLLER "pv.kubernetes.io/bound-by-controller"
#define STORAGE_CLASS_ANNOTATION    "volume.beta.kubernetes.io/storage-class" /* old spelling of the class */
/* StorageClass */
#define STORAGE_DEFAULT_CLASS      "storageclass.kubernetes.io/is-default-class"
#define STORAGE_DEFAULT_CLASS_BETA "storageclass.beta.kubernetes.io/is-default-class"

#define LABEL_HOSTNAME             "kubernetes.io/hostname"

/* The most that a volume or a claim may have: sums of as many as there can be stay within 64 bits. */
#define STORAGE_BYTES_MAX (1ll << 50)

/* ---- Read ---- */

/* spec.storageClassName, or what the old annotation says. Empty: none, or, of a claim without the field, not said yet
 * (storage_class_is_open). */
struct str storage_class_of(const struct object *o);
bool storage_class_is_open(const struct object *claim);
/* The StorageClass is the default one for claims that say none. */
bool storage_class_is_default(const struct object *class);
bool storage_class_waits(const struct object *class);    /* WaitForFirstConsumer */
bool storage_class_is_local(const struct object *class); /* provisioner STORAGE_LOCAL */
/* Its provisioner is a program beside Reeve, which is told what to make by annotations of claims:
 * STORAGE_PROVISIONER_OF names it, and, where the class waits, STORAGE_SELECTED_NODE the node of the first consumer.
 * It makes a volume that names the claim (claimRef), or takes the node back, so that another is chosen. */
bool storage_class_is_foreign(const struct object *class);
/* Its allowedTopologies, if it has some, let volumes be made on a node with these labels. */
bool storage_class_allows(const struct object *class, struct mp node_labels);

/* Of a volume what it has, of a claim what it asks for; bytes, 0 if there is none or it is malformed. */
int64_t storage_bytes(const struct object *o);
/* "RWO,ROX", in the order of Kubernetes; of a list of access modes. */
void storage_write_modes(struct buf *out, struct mp modes);
bool storage_has_mode(const struct object *o, const char *mode); /* spec.accessModes */
bool storage_has_finalizer(const struct object *o, const char *finalizer);
/* Adds a finalizer to the document of a claim or volume, once. */
void storage_add_finalizer(struct arena *a, struct value *doc, const char *finalizer);
struct str storage_phase(const struct object *o);           /* status.phase */
struct str storage_volume_name(const struct object *claim); /* spec.volumeName; empty: none */
bool storage_has_claim(const struct object *volume);        /* it has a claimRef */
/* Its claimRef names the claim, with its uid or with none yet (a person has bound it beforehand). */
bool storage_is_for(const struct object *volume, const struct object *claim);
/* Each names the other, the volume with the claim's uid. NULL is bound to nothing. */
bool storage_is_bound(const struct object *claim, const struct object *volume);
/* The node whose directory it is; empty: none of the local provisioner's. */
struct str storage_node(const struct object *volume);
/* Where the node of a pod keeps volumes of the local provisioner, and what all of them may take; false: it offers
 * none. */
bool storage_node_offers(const struct object *node, struct str *root, int64_t *bytes);

/* Can this volume become the claim's, as far as the two of them say: size, class, modes, volume mode, selector, and
 * that nobody else has it? A volume that is for the claim beforehand must only be of its size and volume mode, as in
 * Kubernetes. */
bool storage_fits(const struct object *volume, const struct object *claim);
/* Why a claim cannot have this volume, which it asks for by name, in Kubernetes' words; NULL: it can, unless the volume
 * is somebody else's. */
const char *storage_mismatch(const struct object *volume, const struct object *claim);
/* Which of two that fit is taken: negative: a. The one that is for the claim beforehand, then the smaller, then by
 * name. */
int storage_compare(const struct object *a, const struct object *b, const struct object *claim);
/* The claim that a volume of a pod (an element of spec.volumes) stands for: named by it, or, `own`, made for the pod
 * and called POD-VOLUME. False: it stands for none. pod_name is empty in a template: it has no claims of its own.
 * The name is borrowed from the volume, or written into text: longer ones than that are nobody's. */
#define STORAGE_CLAIM_TEXT 512u
struct storage_pod_claim {
    struct str name;
    bool own;
    char text[STORAGE_CLAIM_TEXT];
};
bool storage_claim_of(struct str pod_name, struct mp volume, struct storage_pod_claim *out);
/* The claim was made for this pod: the pod is its controller. */
bool storage_made_for(const struct object *claim, const struct object *pod);
/* Its nodeAffinity, if it has one, lets pods of the node use it. node: a Node. */
bool storage_reaches(const struct object *volume, struct mp node_labels, struct str node_name);

/* ---- Written ---- */

/* Both documents say that they belong together, with the status that goes with it; each is put by the caller. */
void storage_bind(struct arena *a, struct value *claim, struct value *volume, int64_t wall_ms);
/* The volume of the local provisioner for a claim on a node, bound to it. The claim's document is bound, too; wall_ms:
 * now. NULL: the node offers none. */
struct value *storage_make_local(struct arena *a, struct value *claim, const struct object *class,
                                 const struct object *node, int64_t wall_ms);
/* Sets status.phase, with the time of the change. */
void storage_set_phase(struct arena *a, struct value *volume, const char *phase, int64_t wall_ms);

#endif
