/* What the tables of PersistentVolume, PersistentVolumeClaim and StorageClass share with each other and with claims
 * that stand in pods. */
#ifndef PROTO_KINDS_STORAGE_H
#define PROTO_KINDS_STORAGE_H

#include "proto/facts/storage.h"
#include "proto/kinds/kinds.h"

#define ACCESS_MODES "ReadWriteOnce|ReadOnlyMany|ReadWriteMany|ReadWriteOncePod"
#define BLOCK_WHY    "volumes are directories, and no pod would get the device"

extern const struct schema schema_claim_spec; /* volume_claim.c */
extern const struct schema schema_claim;      /* persistentvolumeclaim.c: a whole claim */
/* The spec of a claim, or of the template of one. */
void claim_spec_check(const struct value *spec, const struct fpath *p, struct errlist *l);
/* spec.accessModes: at least one, and ReadWriteOncePod alone. */
void storage_check_modes(const struct value *spec, const struct fpath *p, struct errlist *l);
/* The size under "storage" in a map of quantities: there, above zero and at most STORAGE_BYTES_MAX. */
void storage_check_size(const struct value *quantities, const struct value *parent, const struct fpath *p,
                        struct errlist *l);
/* Options of a mount: each one word that is no list of several. */
void storage_check_options(const struct value *options, const struct fpath *p, struct errlist *l);
void node_selector_check(const struct value *selector, const struct fpath *p, struct errlist *l); /* affinity_check.c */

void volume_validate(const struct value *obj, const struct value *old, struct errlist *l);
void claim_validate(const struct value *obj, const struct value *old, struct errlist *l);
void class_validate(const struct value *obj, const struct value *old, struct errlist *l);

void volume_describe(struct buf *out, const struct object *o, const struct describe_context *c);
void claim_describe(struct buf *out, const struct object *o, const struct describe_context *c);
void class_describe(struct buf *out, const struct object *o, const struct describe_context *c);

#endif
