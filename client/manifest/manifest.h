/* Manifests: the objects that -f names (files, directories, "-"), read and checked before anything is sent. */
#ifndef CLIENT_MANIFEST_MANIFEST_H
#define CLIENT_MANIFEST_MANIFEST_H

#include "base/err.h"
#include "proto/schema/kind.h"

#define MANIFEST_FILES_MAX   4096u
#define MANIFEST_OBJECTS_MAX 16384u

struct manifest_item {
    const struct kind *kind;
    struct value *doc;     /* old spellings converted; namespace filled in for namespaced kinds */
    const char *name, *ns; /* ns "" for cluster-wide kinds */
    const char *file;
    bool ns_filled; /* the manifest itself names no namespace */
};
struct manifest {
    struct manifest_item *items;
    unsigned count, cap;
    const char **unknown; /* with skip_unknown: what is wrong with each document of a kind that is not there */
    unsigned unknown_count;
};

/* Adds what path holds. A directory: its *.yaml, *.yml and *.json in order of name; with recursive also those below.
 * `List` documents and those of one kind (`ConfigMapList`) are taken apart. lenient: unknown fields pass,
 * and of a key that stands twice the last one counts. ns: for
 * objects that name none; ns_given: -n was typed, so another one in the manifest is an error. ERR_INVALID
 * "FILE:LINE:COL: ...", ERR_NOT_FOUND, ERR_USAGE. Everything lives in the arena. */
struct manifest_options {
    const char *ns;
    bool ns_given, lenient, recursive;
    bool skip_unknown; /* documents of unknown kinds are told in `unknown`; no error */
    void (*warn)(const char *text,
                 void *data); /* with lenient, if not NULL: what is wrong with fields that are dropped */
    void *data;
};
int manifest_read(struct arena *a, const char *path, const struct manifest_options *o, struct manifest *out,
                  struct error *err);
/* The same from a document made elsewhere (kustomize). */
int manifest_add(struct arena *a, struct value *doc, const char *file, const struct manifest_options *o,
                 struct manifest *out, struct error *err);
/* The same from text already read (an editor's result). */
int manifest_read_text(struct arena *a, struct str text, const char *file, const struct manifest_options *o,
                       struct manifest *out, struct error *err);
/* A whole file or standard input. */
int manifest_slurp(const char *path, size_t limit, char **text, size_t *size, struct error *err);

#endif
