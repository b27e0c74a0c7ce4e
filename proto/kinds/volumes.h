/* What a volume of a pod can be made of. A source is one file (or a place in one), which defines its fields
 * (volume_schema_NAME) and what goes beyond them (volume_source_NAME), and one line in VOLUME_SOURCES. What a node
 * does for it is agent/pod/source_NAME.c. Source: Kubernetes core/v1 Volume. */
#ifndef PROTO_KINDS_VOLUMES_H
#define PROTO_KINDS_VOLUMES_H

#include "proto/kinds/kinds.h"

#define VOLUME_MOUNT_WHY "the volume cannot be mounted, and the pod would wait for it for ever"

/* X(MEMBER, NAME, doc[, number][, state]), in canonical order: a new one goes to the end. */
/* clang-format off */
#define VOLUME_SOURCES(X) \
    X(hostPath, host_path, "A file or directory of the node.") \
    X(emptyDir, empty_dir, "An empty directory that goes with the pod.") \
    X(gcePersistentDisk, gce_disk, "A disk of Google's cloud.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(awsElasticBlockStore, aws_disk, "A disk of Amazon's cloud.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(gitRepo, git_repo, "A checkout of a git repository.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(secret, secret, "Entries of a Secret as files.") \
    X(nfs, nfs, "A directory of an NFS server.") \
    X(iscsi, iscsi, "An iSCSI disk.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(glusterfs, glusterfs, "A Gluster volume.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(persistentVolumeClaim, claim, "The volume bound to a claim.") \
    X(rbd, rbd, "A Ceph block device.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(flexVolume, flex, "A volume made by a program on the node.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(cinder, cinder, "A disk of OpenStack.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(cephfs, cephfs, "A Ceph file system.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(flocker, flocker, "A Flocker dataset.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(downwardAPI, downward, "Facts about the pod as files.") \
    X(fc, fc, "A Fibre Channel disk.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(azureFile, azure_file, "A file share of Microsoft's cloud.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(configMap, config_map, "Entries of a ConfigMap as files.") \
    X(vsphereVolume, vsphere, "A disk of vSphere.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(quobyte, quobyte, "A Quobyte volume.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(azureDisk, azure_disk, "A disk of Microsoft's cloud.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(photonPersistentDisk, photon_disk, "A disk of Photon.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(projected, projected, "Several sources in one directory.", NUMBER(26)) \
    X(portworxVolume, portworx, "A Portworx volume.", NUMBER(24), REFUSED(VOLUME_MOUNT_WHY)) \
    X(scaleIO, scaleio, "A ScaleIO volume.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(storageos, storageos, "A StorageOS volume.", NUMBER(27), REFUSED(VOLUME_MOUNT_WHY)) \
    X(csi, csi, "A volume made by a CSI driver.", REFUSED(VOLUME_MOUNT_WHY)) \
    X(ephemeral, ephemeral, "A claim made for the pod.") \
    X(image, image, "The files of an image, read-only.", REFUSED(VOLUME_MOUNT_WHY))
/* clang-format on */

/* The volume that a source stands in. */
struct volume_at {
    struct str name;
    bool is_template; /* of a pod that is yet to be made */
};
struct volume_source {
    /* Rules beyond the fields; p: where the source stands. NULL = none. */
    void (*check)(const struct value *source, const struct volume_at *where, const struct fpath *p, struct errlist *l);
    /* Defaults beyond the table's, in place. NULL = none. */
    void (*fill)(struct arena *a, struct value *source);
    /* What it refers to; NULL = nothing. */
    const struct ref_row *refs;
    unsigned refs_count;
    const char *parts; /* the rows are of the elements of this list; NULL = of the source itself */
};
#define VOLUME_REFS(rows) .refs = (rows), .refs_count = ARRAY_SIZE(rows)

#define VOLUME_DECLARE(member, name, ...)                                                                              \
    extern const struct schema volume_schema_##name;                                                                   \
    extern const struct volume_source volume_source_##name;
VOLUME_SOURCES(VOLUME_DECLARE)
#undef VOLUME_DECLARE

/* The source that a member of a volume stands for; NULL if it is none. */
const struct volume_source *volume_source_find(struct str member);
/* Exactly one member of v (beside "name") is a source, or none if none is required; the rules of those in the table, if
 * there are any, are applied. */
struct volume_part {
    const char *member;
    const struct volume_source *source;
};
void volume_check_one(const struct value *v, const struct volume_part *parts, unsigned count, bool required,
                      const struct volume_at *where, const struct fpath *p, const char *what, struct errlist *l);
/* Permission bits of a file. */
void volume_check_mode(const struct value *v, const struct fpath *p, struct errlist *l);

#endif
