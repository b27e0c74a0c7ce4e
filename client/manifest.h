/* Manifests: the objects that -f names (files, directories, "-"), read and checked before anything is sent. */
#ifndef CLIENT_MANIFEST_H
#define CLIENT_MANIFEST_H

#include "base/err.h"
#include "proto/kind.h"

#define MANIFEST_FILES_MAX   4096u
#define MANIFEST_OBJECTS_MAX 16384u

struct manifest_item {
    const struct kind *kind;
    struct value *doc;     /* old spellings converted; namespace filled in for namespaced kinds */
    const char *name, *ns; /* ns "" for cluster-wide kinds */
    const char *file;
};
struct manifest {
    struct manifest_item *items;
    unsigned count, cap;
};

/* Adds what path holds. A directory: its *.yaml, *.yml and *.json in order of name; with recursive also those below. `List` documents and
 * those of one kind (`ConfigMapList`) are taken apart. lenient: unknown fields pass. ns: for objects that name none; ns_given: -n was typed, so another one in the
 * manifest is an error. ERR_INVALID "FILE:LINE:COL: ...", ERR_NOT_FOUND, ERR_USAGE. Everything lives in the arena. */
struct manifest_options {
    const char *ns;
    bool ns_given, lenient, recursive;
};
int manifest_read(struct arena *a, const char *path, const struct manifest_options *o, struct manifest *out,
                  struct error *err);
/* The same from text already read (an editor's result). */
int manifest_read_text(struct arena *a, struct str text, const char *file, const struct manifest_options *o,
                       struct manifest *out, struct error *err);
/* A whole file or standard input. */
int manifest_slurp(const char *path, size_t limit, char **text, size_t *size, struct error *err);

#endif
