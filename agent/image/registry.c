#include "agent/image/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/image/image_int.h"
#include "agent/image/registry_http.h"
#include "agent/util/fsutil.h"
#include "base/machine.h"
#include "proto/text/text.h"

#define DOCKER_HUB      "docker.io"
#define DOCKER_HUB_HOST "registry-1.docker.io"
#define ACCEPT                                                                                                         \
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "                            \
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"

struct fetching {
    const struct registry_fetch *f;
    struct registry_session session;
    struct arena arena;
    struct str host, name, version; /* version: a tag, or "sha256:..." */
    bool by_digest;
};

/* "HOST/NAME:TAG" or "HOST/NAME@sha256:...": normalised, so it has all three. */
static int split_ref(struct fetching *g, const char *ref, struct error *err)
{
    const char *slash = strchr(ref, '/'), *at = strchr(ref, '@'), *colon = strrchr(ref, ':');
    const char *end = at != NULL ? at : colon;
    if (slash == NULL || end == NULL || end <= slash + 1) {
        return error_set(err, ERR_INVALID, "\"%s\" is no name of an image in a registry", ref);
    }
    g->host = (struct str){ref, (size_t)(slash - ref)};
    g->name = (struct str){slash + 1, (size_t)(end - slash - 1)};
    g->version = str_of(end + 1);
    g->by_digest = at != NULL;
    return 0;
}

/* ---- Small things ---- */

static int get_memory(struct fetching *g, const char *path, const char *what, struct buf *out, struct error *err)
{
    struct registry_transfer t = {.memory = out, .memory_max = IMAGE_JSON_MAX, .accept = ACCEPT, .fd = -1};
    snprintf(t.path, sizeof t.path, "%s", path);
    return registry_transfer_all(&g->session, &t, 1, 1, what, err);
}

static int wrong_digest(const struct fetching *g, const char *what, struct error *err)
{
    return error_set(err, ERR_CORRUPT, "the registry %s sent another %s than its digest says", g->session.host, what);
}

static int parse(struct fetching *g, const struct buf *bytes, const char *what, struct value **doc, struct error *err)
{
    struct error e = {0};
    if (json_read(&g->arena, buf_str(bytes), doc, &e) != 0 || !value_is_map(*doc)) {
        return error_set(err, ERR_PROTOCOL, "the registry %s sent a %s that cannot be read: %s", g->session.host, what,
                         e.message[0] != '\0' ? e.message : "it is no JSON object");
    }
    return 0;
}

static int write_small(const struct fetching *g, const char *file, struct str bytes, struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", g->f->dir, file);
    return fs_write_file(path, bytes, 0600, false, err);
}

static int write_blob(const struct fetching *g, const char *hex, const struct buf *bytes, struct error *err)
{
    CLEANUP_FREE char *file = xasprintf("blobs/sha256/%s", hex);
    return write_small(g, file, buf_str(bytes), err);
}

/* ---- Manifest ---- */

static int get_manifest(struct fetching *g, struct str version, bool by_digest, struct buf *out,
                        char hex[IMAGE_HEX_SIZE], struct error *err)
{
    char path[700], wanted[IMAGE_HEX_SIZE];
    CLEANUP_FREE char *what = xasprintf("image %.*s%s%.*s", STR_ARG(g->name), by_digest ? "@" : ":", STR_ARG(version));
    snprintf(path, sizeof path, "/v2/%.*s/manifests/%.*s", STR_ARG(g->name), STR_ARG(version));
    int rc = get_memory(g, path, what, out, err);
    if (rc != 0) {
        return rc;
    }
    image_sha256(out->data, out->size, hex);
    if (by_digest && (!image_digest_hex(version, wanted) || strcmp(wanted, hex) != 0)) {
        return wrong_digest(g, "manifest", err);
    }
    return 0;
}

/* Of a list of platforms the digest of this machine's. */
static int choose_platform(const struct fetching *g, const struct value *list, struct str *digest, struct error *err)
{
    if (registry_platform_choose(list, machine_arch(), digest)) {
        return 0;
    }
    return error_set(err, ERR_NOT_FOUND, "the registry %s has no image %.*s:%.*s for linux/%s", g->session.host,
                     STR_ARG(g->name), STR_ARG(g->version), machine_arch());
}

/* ---- Layers ---- */

struct layers {
    struct registry_transfer *list;
    unsigned count;
};

static bool is_listed(const struct layers *l, const char *hex)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (strcmp(l->list[i].hex, hex) == 0) {
            return true;
        }
    }
    return false;
}

static int add_layer(struct fetching *g, const struct registry_layer *layer, struct layers *out, struct error *err)
{
    const char *hex = layer->hex;
    if (is_listed(out, hex)) {
        return 0;
    }
    CLEANUP_FREE char *path = xasprintf("%s/blobs/sha256/%s", g->f->dir, hex);
    struct registry_transfer *t = &out->list[out->count];
    *t = (struct registry_transfer){.size_bytes = layer->size_bytes, .hex = hex};
    t->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (t->fd < 0) {
        return error_set_errno(err, errno, "cannot create %s", path);
    }
    out->count++;
    snprintf(t->path, sizeof t->path, "/v2/%.*s/blobs/sha256:%s", STR_ARG(g->name), hex);
    return 0;
}

static bool is_there(const struct fetching *g, const struct registry_layer *l)
{
    return g->f->has_layer != NULL && l->diff_hex[0] != '\0' && g->f->has_layer(l->diff_hex, g->f->has_layer_data);
}

static int list_layers(struct fetching *g, const struct value *manifest, const struct value *config, struct layers *out,
                       struct error *err)
{
    struct registry_layer *layers;
    uint64_t all_bytes = 0;
    unsigned count = 0;
    struct statvfs disk;
    int rc = registry_layers_read(&g->arena, manifest, config, &layers, &count, err);
    if (rc != 0) {
        return error_wrap(err, "the registry %s", g->session.host);
    }
    out->list = arena_alloc(&g->arena, (count + 1) * sizeof *out->list);
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        rc = is_there(g, &layers[i]) ? 0 : add_layer(g, &layers[i], out, err);
    }
    for (unsigned i = 0; i < out->count; i++) {
        all_bytes += out->list[i].size_bytes;
    }
    if (rc == 0 && statvfs(g->f->dir, &disk) == 0 && all_bytes > (uint64_t)disk.f_bavail * disk.f_frsize) {
        rc = error_set(err, ERR_NO_SPACE, "the image has %llu bytes to be fetched; the node's disk has %llu left",
                       (unsigned long long)all_bytes, (unsigned long long)disk.f_bavail * disk.f_frsize);
    }
    if (g->f->all_bytes != NULL) {
        atomic_store(g->f->all_bytes, all_bytes);
    }
    return rc;
}

static int get_layers(struct fetching *g, const struct value *manifest, const struct value *config, struct error *err)
{
    struct layers l = {0};
    int rc = list_layers(g, manifest, config, &l, err);
    rc = rc != 0 ? rc : registry_transfer_all(&g->session, l.list, l.count, REGISTRY_PARALLEL, "a layer", err);
    for (unsigned i = 0; i < l.count; i++) {
        if (close(l.list[i].fd) != 0 && rc == 0) {
            rc = error_set_errno(err, errno, "cannot write a layer");
        }
    }
    return rc;
}

/* ---- One host ---- */

static int get_config(struct fetching *g, const struct value *manifest, struct value **config, struct error *err)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT;
    char path[700], hex[IMAGE_HEX_SIZE], found[IMAGE_HEX_SIZE];
    if (!image_digest_hex(value_path_str(manifest, "config.digest"), hex)) {
        return error_set(err, ERR_PROTOCOL, "the registry %s: the manifest names no config with a sha256 digest",
                         g->session.host);
    }
    snprintf(path, sizeof path, "/v2/%.*s/blobs/sha256:%s", STR_ARG(g->name), hex);
    int rc = get_memory(g, path, "config of the image", &bytes, err);
    if (rc != 0) {
        return rc;
    }
    image_sha256(bytes.data, bytes.size, found);
    if (strcmp(found, hex) != 0) {
        return wrong_digest(g, "config", err);
    }
    rc = parse(g, &bytes, "config", config, err);
    return rc != 0 ? rc : write_blob(g, hex, &bytes, err);
}

static int finish_layout(const struct fetching *g, const char *hex, const struct buf *manifest, struct error *err)
{
    CLEANUP_BUF struct buf index = BUF_INIT;
    buf_printf(&index,
               "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
               "\"digest\":\"sha256:%s\",\"size\":%zu}]}",
               hex, manifest->size);
    int rc = write_blob(g, hex, manifest, err);
    rc = rc != 0 ? rc : write_small(g, "index.json", buf_str(&index), err);
    return rc != 0 ? rc : write_small(g, "oci-layout", STR("{\"imageLayoutVersion\":\"1.0.0\"}"), err);
}

static int fetch_image(struct fetching *g, struct error *err)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT;
    char hex[IMAGE_HEX_SIZE];
    struct value *manifest, *config;
    struct str digest;
    int rc = get_manifest(g, g->version, g->by_digest, &bytes, hex, err);
    rc = rc != 0 ? rc : parse(g, &bytes, "manifest", &manifest, err);
    if (rc == 0 && value_is_list(value_get(manifest, "manifests"))) {
        rc = choose_platform(g, value_get(manifest, "manifests"), &digest, err);
        buf_reset(&bytes);
        rc = rc != 0 ? rc : get_manifest(g, digest, true, &bytes, hex, err);
        rc = rc != 0 ? rc : parse(g, &bytes, "manifest", &manifest, err);
    }
    rc = rc != 0 ? rc : get_config(g, manifest, &config, err);
    rc = rc != 0 ? rc : get_layers(g, manifest, config, err);
    return rc != 0 ? rc : finish_layout(g, hex, &bytes, err);
}

static int clear_layout(const struct fetching *g, struct error *err)
{
    CLEANUP_FREE char *blobs = xasprintf("%s/blobs", g->f->dir);
    CLEANUP_FREE char *sha256 = xasprintf("%s/blobs/sha256", g->f->dir);
    int rc = fs_remove_tree(blobs, err);
    if (rc == 0 && (mkdir(blobs, 0700) != 0 || mkdir(sha256, 0700) != 0)) {
        rc = error_set_errno(err, errno, "cannot create %s", sha256);
    }
    return rc;
}

static const struct registry_login *login_of(const struct registry_login *list, unsigned count, const char *host)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(list[i].host, host) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

/* base: "https://HOST". host: how it is named in errors and logins. */
static int fetch_from(struct fetching *g, const char *base, const char *host, const struct registry_host *how,
                      struct error *err)
{
    const struct registry_login *login = login_of(g->f->logins, g->f->logins_count, host);
    g->session = (struct registry_session){
        .host = host,
        .name = arena_strndup(&g->arena, g->name.p, g->name.n),
        .how = how,
        .login = login != NULL ? login : login_of(g->f->config->logins, g->f->config->logins_count, host),
        .cancel = g->f->cancel,
        .patience_s = g->f->patience_s == 0 ? REGISTRY_SLOW_S : (long)g->f->patience_s,
        .done_bytes = g->f->done_bytes};
    snprintf(g->session.base, sizeof g->session.base, "%s", base);
    int rc = clear_layout(g, err);
    rc = rc != 0 ? rc : registry_session_open(&g->session, err);
    rc = rc != 0 ? rc : fetch_image(g, err);
    registry_session_close(&g->session);
    return rc;
}

int registry_fetch(const struct registry_fetch *f, struct error *err)
{
    struct fetching g = {.f = f};
    CLEANUP_FREE char *host = NULL;
    int rc = split_ref(&g, f->ref, err);
    if (rc != 0) {
        return rc;
    }
    host = xstrndup(g.host.p, g.host.n);
    const struct registry_host *how = registry_host_of(f->config, g.host);
    if (how == NULL) {
        return error_set(err, ERR_NOT_FOUND, "no registry %s is configured on this node", host);
    }
    arena_init(&g.arena);
    rc = -1;
    for (unsigned i = 0; rc != 0 && rc != ERR_CANCELED && i < how->mirrors_count; i++) {
        const char *name = strstr(how->mirrors[i], "://");
        rc = fetch_from(&g, how->mirrors[i], name == NULL ? how->mirrors[i] : name + 3, how, err);
    }
    if (rc != 0 && rc != ERR_CANCELED) {
        CLEANUP_FREE char *base = xasprintf("https://%s", strcmp(host, DOCKER_HUB) == 0 ? DOCKER_HUB_HOST : host);
        rc = fetch_from(&g, base, host, how, err);
    }
    arena_close(&g.arena);
    return rc;
}
