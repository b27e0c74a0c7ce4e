/* What the files of kustomize share; nobody else includes this. */
#ifndef CLIENT_MANIFEST_KUSTOMIZE_INT_H
#define CLIENT_MANIFEST_KUSTOMIZE_INT_H

#include "client/manifest/kustomize.h"

#define KRES_NAMES_MAX 8u

/* A resource on its way through kustomizations. */
struct kres {
    struct value *doc;
    struct str names[KRES_NAMES_MAX]; /* that it had, oldest first; the current one stands in the document */
    unsigned names_count;
    bool hash; /* its name gets a hash of its content at the end */
};
struct kset {
    struct kres *items;
    unsigned count, cap;
};
/* One kustomization while it is worked on. */
struct kustomization {
    struct arena *a;
    const char *dir, *file; /* file: for errors */
    const struct value *doc;
    struct kset set;
};

struct str kres_kind(const struct kres *r);
struct str kres_name(const struct kres *r);
/* Its name, now or before. */
bool kres_was_named(const struct kres *r, struct str name);
void kres_rename(struct arena *a, struct kres *r, struct str name);
void kset_add(struct arena *a, struct kset *s, struct kres r);
/* Does the kind live in a namespace? Also of kinds that are not there yet. */
bool kind_name_namespaced(struct str kind);
/* Where a pod's spec lies in documents of the kind ("spec.template.spec"); NULL if it has none. */
const char *kind_name_pod_spec(struct str kind);

/* FILE:LINE:COLUMN: and the text. */
int kfail(const struct kustomization *k, const struct value *where, struct error *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The text of a file in or below the kustomization's directory, in the arena. */
int kread(const struct kustomization *k, const struct value *path, struct str *text, struct error *err);

int kustomize_generate(struct kustomization *k, struct error *err);
int kustomize_patch(struct kustomization *k, struct error *err);
int kustomize_patch_json(struct kustomization *k, struct error *err);
int kustomize_transform(struct kustomization *k, struct error *err);
/* Hashes behind the names of what was generated, and all references to names that have changed. */
void kustomize_hash(struct kustomization *k);
void kustomize_references(struct kustomization *k);

#endif
