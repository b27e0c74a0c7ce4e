/* A source of volumes, as a node carries it out: one file (source_NAME.c) and one line in source_list.h.
 *
 * A source is a set of files (`files`), whose layout and refreshing are the same for all of them (agent/volume), or it
 * lays itself out (`mount`), or it is only ever a part of a projected volume (`project` alone). What lies below the
 * pod's directory is unmounted and deleted with the pod (volume_remove_pod), so a source has nothing to take down. What
 * the API lets in is told in proto/kinds. */
#ifndef AGENT_POD_SOURCE_H
#define AGENT_POD_SOURCE_H

#include "agent/pod/podspec.h"
#include "agent/pod/source_list.h"

/* Files that are gathered for one volume, in an arena. */
struct source_files {
    const struct podspec *spec;
    const struct podspec_facts *facts;
    struct arena *arena;
    int64_t mode; /* of files without a mode of their own */
    bool secret;  /* belongs on tmpfs */
    struct volume_file *items;
    unsigned count, cap;
};
/* A later file of the same path replaces the earlier one (projected volumes). content is borrowed for as long as the
 * arena lives. The file is good until the next one is added. */
struct volume_file *source_add_file(struct source_files *l, const char *path, struct str content, int64_t mode);

/* What a source says of what it has laid out. */
struct source_said {
    bool read_only; /* whatever the container wants */
    bool remote;    /* a server's: nothing below it is looked at from the loop */
};
struct agent_pod;
/* A volume that is to be laid out. */
struct source_mount {
    struct agent_pod *pod;
    struct source_said *said; /* all false before */
    struct volume_store *store;
    const struct podspec *spec;
    const struct podspec_volume *volume;
    uint64_t memory_bytes; /* the most that the pod may have; 0 = no limit */
};

struct source {
    const char *name; /* the member of a volume: "emptyDir" */
    /* A set of files: adds them. source: the value of the member. Pure. Errors as podspec_volume_files. */
    int (*files)(struct source_files *l, struct mp source, struct error *err);
    /* The same as one of the sources of a projected volume, where its fields have other names; NULL = none. */
    int (*project)(struct source_files *l, struct mp source, struct error *err);
    /* Where there is no `files`: lays it out, idempotent; path receives what is to be mounted. At once, blocking.
     * ERR_NOT_FOUND and ERR_BUSY: what it waits for comes with pod_refs_changed; any other error: tried again, with
     * growing pauses. */
    int (*mount)(const struct source_mount *m, char path[VOLUME_PATH_MAX], struct error *err);
    /* Is it space on the node's disk that the pod answers for (evict.h)? NULL = no. */
    bool (*on_disk)(struct mp source);
    bool scratch; /* the pod fills it: no device nodes are opened there */
    bool foreign; /* it is the node's: other file systems may be mounted below it */
};
const struct source *source_find(struct str name); /* NULL: no node can do it */
static inline bool source_is_files(const struct podspec_volume *v)
{
    return v->how != NULL && v->how->files != NULL;
}

#define SOURCE_DECLARE(name) extern const struct source source_##name;
SOURCES(SOURCE_DECLARE)
#undef SOURCE_DECLARE

/* Sources that PersistentVolumes have as well, with their own value there. */
int source_host_path_mount(const struct source_mount *m, struct mp source, char path[VOLUME_PATH_MAX],
                           struct error *err);
int source_nfs_mount(const struct source_mount *m, struct mp source, const char *options, bool read_only,
                     char path[VOLUME_PATH_MAX], struct error *err);

#endif
