/* Making images: directories, files and Debian packages become layers, and these with a configuration an archive that
 * nodes load (OCI image-spec 1.1, in a tar).
 *
 * The same inputs give the same archive, byte by byte. Nothing of an image is run, but a static busybox that it
 * brings, to ask which commands it knows. What Debian's maintainer scripts would have made is made here: the usual
 * directories, /etc/passwd and /etc/group with root, www-data, nobody and the image's own users, and, if there is a
 * busybox, links for its commands. Blocking. */
#ifndef CLIENT_IMAGE_BUILD_H
#define CLIENT_IMAGE_BUILD_H

#include "base/mem.h"
#include "client/image/layer.h"
#include "proto/model/value.h"

#define BUILD_LIST_MAX   256u
#define BUILD_LAYERS_MAX 127u /* as many as a node takes */

struct build_user {
    const char *name;
    struct layer_owner id;
    const char *home;
};
/* One place of the image's last layer. One of from, text and link is set; none: a directory. */
struct build_file {
    const char *to;   /* without the leading '/' */
    const char *from; /* on this machine: a file, or a directory with all below it */
    const char *text, *link;
    mode_t mode; /* 0 = 0644 for text, 0755 for a directory, and as it is for `from` */
    struct layer_owner owner;
};
struct build_spec {
    const char *name; /* "hello:1.0" */
    const char *from; /* an archive that was made before: its layers lie below, its configuration is gone on with */
    /* Each list NULL-terminated; NULL = none. */
    const char *const *packages;
    const char *suite;          /* of Debian; NULL = bookworm */
    const char *mirror;         /* NULL = apt's own */
    const char *const *exclude; /* patterns of paths that packages bring: "/etc/nginx/sites-enabled/?*" */
    const char *const *dirs;    /* root file systems, one layer each */
    const struct build_file *files;
    unsigned files_count;
    const struct build_user *users;
    unsigned users_count;
    bool keep_owners; /* of dirs and files; otherwise all is root's */
    /* Configuration. NULL = what `from` says, or none. env goes over that of `from`, name by name. */
    const char *const *entrypoint, *const *cmd, *const *env, *const *ports, *const *labels;
    const char *user, *workdir, *stop_signal;
};

/* A YAML file; its paths are relative to where it lies. Strings and lists lie in the arena. ERR_INVALID with file and
 * field. */
int build_spec_read(struct arena *a, const char *path, struct build_spec *out, struct error *err);
/* "80" or "53/udp": as images have it, "80/tcp". NULL: it is no port. */
const char *build_port(struct arena *a, const char *text);
/* A JSON list of strings, or words between blanks. NULL-terminated, in the arena; NULL: a list that is none. */
const char *const *build_words(struct arena *a, const char *text);

struct build_result {
    char digest_hex[LAYER_HEX_SIZE]; /* of the manifest */
    uint64_t size_bytes;             /* of the archive */
    unsigned layers;
};
/* Writes the archive to path, which is replaced at the end. tell: what is being done, for people; may be NULL. */
int build_image(const struct build_spec *s, const char *path, void (*tell)(void *data, const char *text), void *data,
                struct build_result *out, struct error *err);

/* ---- Between the files of this room ---- */

/* The packages of the spec into a layer (packages.c). work: a directory for passing files. */
int build_packages(const struct build_spec *s, const char *work, struct layer *l, struct error *err);
/* /etc/passwd and /etc/group. */
int build_accounts(const struct build_spec *s, struct layer *l, struct error *err);

#endif
