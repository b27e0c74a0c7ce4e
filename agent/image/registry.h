/* Fetches an image from a registry into a layout directory, which image_import reads. Blocking: for a worker thread.
 *
 * OCI distribution-spec 1.1 and image-spec 1.1, Docker's schema 2; Basic and Bearer authentication (RFC 6750,
 * distribution's token scheme). HTTP by libcurl.
 *
 * What the registry says is believed as far as it can be checked: manifest, config and layers must have the digests and
 * sizes that lead to them, which is checked while they come. A registry may send at most IMAGE_JSON_MAX bytes of
 * manifests and config, as many bytes of a layer as the manifest says, REGISTRY_LAYER_MAX at most; redirects are
 * followed five times. Credentials go to the registry's host, and to the https address that it names for tokens; never
 * to another one by a redirect. A transfer that breaks is taken up where it was, REGISTRY_TRIES times. */
#ifndef AGENT_IMAGE_REGISTRY_H
#define AGENT_IMAGE_REGISTRY_H

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define REGISTRY_LAYER_MAX   (8ull << 30)
#define REGISTRY_IMAGE_MAX   (32ull << 30) /* all layers */
#define REGISTRY_PARALLEL    3u            /* layers at a time */
#define REGISTRY_TRIES       3u
#define REGISTRY_CONNECT_S   15L
#define REGISTRY_SLOW_S      60L /* with less than 1 kB/s it is given up */
#define REGISTRY_MIRRORS_MAX 8u

/* Who asks; secret. host: "docker.io", "registry.example:5000". */
struct registry_login {
    char *host, *user, *password;
};
/* How a host is reached. */
struct registry_host {
    char *name;                          /* "docker.io"; "*": all that have no line of their own */
    char *mirrors[REGISTRY_MIRRORS_MAX]; /* "https://mirror.example:5000", asked first, in their order */
    unsigned mirrors_count;
    char *ca_file; /* NULL: the system's */
    bool insecure; /* http where https is not spoken; certificates are not checked */
};
/* Which registries a node may ask, as they stood in the file. All strings are its own. */
struct registry_config {
    struct registry_host *hosts;
    unsigned hosts_count;
    struct registry_login *logins; /* of the node, for all pods */
    unsigned logins_count;
    char *credentials_file; /* from which they are; NULL: none is named */
};
/* A YAML file {registries: [{host, mirrors, caFile, insecure}], credentialsFile: a docker config.json}. A file that is
 * not there: no registries. ERR_INVALID names file and field. */
int registry_config_read(const char *path, struct registry_config *out, struct error *err);
void registry_config_close(struct registry_config *c); /* wipes passwords */
/* NULL: this node may not ask it. */
const struct registry_host *registry_host_of(const struct registry_config *c, struct str host);

/* Logins of a docker config.json ({"auths": {HOST: {"auth": BASE64} or {"username", "password"}}}) or, with `legacy`,
 * of a .dockercfg, which is what stands in "auths". Appended to *list, which grows; ERR_INVALID. */
int registry_logins_read(struct str json, bool legacy, struct registry_login **list, unsigned *count,
                         struct error *err);
void registry_logins_free(struct registry_login *list, unsigned count); /* wipes them */

struct registry_fetch {
    const char *ref; /* normalised: "HOST/NAME:TAG" or "HOST/NAME@sha256:..." */
    const char *dir; /* an empty directory: becomes a layout */
    /* Is the layer with this diff id there, so that it need not come? NULL: none is. */
    bool (*has_layer)(const char *diff_hex, void *data);
    void *has_layer_data;
    const struct registry_config *config;
    const struct registry_login *logins; /* of the pod, tried before the node's */
    unsigned logins_count;
    const atomic_bool *cancel;
    unsigned patience_s;                      /* instead of REGISTRY_SLOW_S; 0 = that */
    _Atomic uint64_t *done_bytes, *all_bytes; /* of layers; may be NULL */
};
/* 0: dir is a layout with this one image. ERR_CLOSED: no host could be reached. ERR_NOT_FOUND, ERR_UNAUTHORIZED
 * (not let in), ERR_CORRUPT (other bytes than its digest says), ERR_TOO_LARGE, ERR_NO_SPACE, ERR_CANCELED. */
int registry_fetch(const struct registry_fetch *f, struct error *err);

#endif
