/* Kustomizations: what `kubectl kustomize DIR` prints, without another program.
 *
 * Done: resources (files and directories, also `bases`), patches, patchesStrategicMerge, patchesJson6902 (files and
 * inline), namePrefix, nameSuffix, namespace, commonLabels, labels, commonAnnotations, images, replicas,
 * configMapGenerator, secretGenerator (hash of the content behind the name, references rewritten), generatorOptions.
 * Every other field is refused by its name, with what to do instead. Source: kustomize's reference of
 * kustomization.yaml (kustomize.config.k8s.io/v1beta1). Pure but for reading files; those of a kustomization lie in
 * its directory or below, only other kustomizations may lie elsewhere. */
#ifndef CLIENT_MANIFEST_KUSTOMIZE_H
#define CLIENT_MANIFEST_KUSTOMIZE_H

#include "base/err.h"
#include "proto/model/value.h"

#define KUSTOMIZE_DEPTH_MAX 32u

/* *docs: a list of documents, in the order in which they are applied (namespaces first). Everything lives in the arena.
 * ERR_INVALID "DIR/kustomization.yaml:LINE:COL: ...", ERR_NOT_FOUND, ERR_UNSUPPORTED. */
int kustomize_build(struct arena *a, const char *dir, struct value **docs, struct error *err);

/* The hash that goes behind the name of a generated ConfigMap or Secret. */
#define KUSTOMIZE_HASH_SIZE 11
void kustomize_name_hash(struct arena *a, const struct value *doc, char out[KUSTOMIZE_HASH_SIZE]);

#endif
