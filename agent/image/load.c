#include "agent/image/image_int.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/util/fsutil.h"
#include "base/env.h"
#include "base/fs.h"
#include "base/machine.h"
#include "proto/text/text.h"

/* Everything becomes a layout directory first: an archive is extracted into the store's tmp. Then manifests are
 * followed: blobs that are small (manifest, config) are copied after their digest was checked, layers are unpacked
 * unless they are there, and last of all the marker images/HEX and the names are written. A crash in between leaves
 * only blobs that nobody names. */

#define INDEX_DEPTH_MAX 3
#define FILES_MAX       100000u

struct import {
    const char *root;
    char layout[FS_PATH_MAX]; /* real path */
    const char *name;         /* given by the caller, or NULL */
    bool pulled;
    const char *base; /* last component of what is loaded: names images whose reference is only a tag */
    const atomic_bool *cancel;
    struct list *found;
    struct arena arena;
};

void image_found_free(struct list *found)
{
    LIST_FOR_SAFE(it, found)
    {
        struct image_found *f = LIST_ENTRY(it, struct image_found, link);
        list_remove(it);
        for (unsigned i = 0; i < f->refs_count; i++) {
            free(f->refs[i]);
        }
        free(f->refs);
        free(f);
    }
}

/* ---- Archive to layout ---- */

static int extract_file(struct archive *a, struct archive_entry *e, int root_fd, const char *archive_path,
                        uint64_t *total_bytes, struct error *err)
{
    char path[FS_PATH_MAX];
    const char *base, *name = archive_entry_pathname(e);
    if (name == NULL || !image_clean_path(name, path, sizeof path)) {
        return 0;
    }
    CLEANUP_CLOSE int parent = image_open_parent(root_fd, path, &base);
    if (parent < 0) {
        return error_set_errno(err, errno, "cannot extract %s of %s", name, archive_path);
    }
    if (archive_entry_filetype(e) == AE_IFLNK) { /* old docker archives share layers by relative links */
        const char *target = archive_entry_symlink(e);
        if (target != NULL && symlinkat(target, parent, base) != 0 && errno != EEXIST) {
            return error_set_errno(err, errno, "cannot extract %s of %s", name, archive_path);
        }
        return 0;
    }
    CLEANUP_CLOSE int fd = openat(parent, base, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set_errno(err, errno, "cannot extract %s of %s", name, archive_path);
    }
    const void *p;
    size_t n;
    la_int64_t offset;
    int rc;
    while ((rc = archive_read_data_block(a, &p, &n, &offset)) == ARCHIVE_OK) {
        *total_bytes += n;
        if (*total_bytes > IMAGE_UNPACKED_MAX) {
            return error_set(err, ERR_TOO_LARGE, "%s holds more than %llu bytes", archive_path, IMAGE_UNPACKED_MAX);
        }
        for (size_t done = 0; done < n;) {
            ssize_t put = pwrite(fd, (const char *)p + done, n - done, offset + (la_int64_t)done);
            if (put < 0 && errno != EINTR) {
                return error_set_errno(err, errno, "cannot extract %s of %s", name, archive_path);
            }
            done += put > 0 ? (size_t)put : 0;
        }
    }
    return rc == ARCHIVE_EOF ? 0
                             : error_set(err, ERR_CORRUPT, "%s is damaged: %s", archive_path, archive_error_string(a));
}

static int extract_archive(struct import *im, const char *path, const char *dir, struct error *err)
{
    CLEANUP_CLOSE int root_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0) {
        return error_set_errno(err, errno, "cannot open %s", dir);
    }
    struct archive *a = archive_read_new();
    image_support_filters(a);
    archive_read_support_format_tar(a);
    int rc = 0, ar = archive_read_open_filename(a, path, 256 << 10);
    uint64_t total_bytes = 0;
    unsigned files = 0;
    while (rc == 0 && (ar == ARCHIVE_OK || ar == ARCHIVE_WARN)) {
        struct archive_entry *e;
        ar = archive_read_next_header(a, &e);
        if (ar != ARCHIVE_OK && ar != ARCHIVE_WARN) {
            break;
        }
        if (atomic_load(im->cancel)) {
            rc = error_set(err, ERR_CANCELED, "loading %s was cancelled", path);
        } else if (++files > FILES_MAX) {
            rc = error_set(err, ERR_TOO_LARGE, "%s holds more than %u files", path, FILES_MAX);
        } else if (archive_entry_filetype(e) == AE_IFREG || archive_entry_filetype(e) == AE_IFLNK) {
            rc = extract_file(a, e, root_fd, path, &total_bytes, err);
        }
    }
    if (rc == 0 && ar != ARCHIVE_EOF) {
        rc = error_set(err, ERR_CORRUPT, "%s is not an image archive (tar): %s", path, archive_error_string(a));
    }
    archive_read_free(a);
    return rc;
}

/* ---- Files of the layout ---- */

/* Path of a file below the layout; its real path must stay below it. */
static int layout_file(struct import *im, const char *name, char out[FS_PATH_MAX], struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", im->layout, name);
    CLEANUP_FREE char *real = realpath(path, NULL);
    size_t n = strlen(im->layout);
    if (real == NULL) {
        return error_set(err, ERR_INVALID, "the image is incomplete: %s is missing", name);
    }
    if (strncmp(real, im->layout, n) != 0 || real[n] != '/' || strlen(real) >= FS_PATH_MAX) {
        return error_set(err, ERR_INVALID, "%s leads out of the image", name);
    }
    strcpy(out, real);
    return 0;
}

static int read_layout_file(struct import *im, const char *name, struct buf *out, struct error *err)
{
    char path[FS_PATH_MAX];
    int rc = layout_file(im, name, path, err);
    return rc != 0 ? rc : fs_read_file(path, IMAGE_JSON_MAX, out, err);
}

static int read_blob(struct import *im, const char *hex, struct buf *out, struct error *err)
{
    char name[128], found[IMAGE_HEX_SIZE];
    snprintf(name, sizeof name, "blobs/sha256/%s", hex);
    int rc = read_layout_file(im, name, out, err);
    if (rc != 0) {
        return rc;
    }
    image_sha256(out->data, out->size, found);
    return strcmp(found, hex) == 0
               ? 0
               : error_set(err, ERR_CORRUPT, "blob sha256:%s is damaged: its digest is sha256:%s", hex, found);
}

static int parse_json(struct import *im, struct buf *b, const char *what, struct value **out, struct error *err)
{
    int rc = json_read(&im->arena, buf_str(b), out, err);
    return rc == 0 ? 0 : error_wrap(err, "%s", what);
}

/* ---- Into the store ---- */

static int store_blob(struct import *im, const char *hex, struct buf *b, struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("%s/blobs/sha256/%s", im->root, hex);
    return fs_exists(path) ? 0 : fs_write_file(path, buf_str(b), 0644, true, err);
}

static int store_layer(struct import *im, const char *blob_path, const char *blob_hex, const char *diff_hex,
                       struct error *err)
{
    CLEANUP_FREE char *layer = xasprintf("%s/layers/%s", im->root, diff_hex);
    if (fs_exists(layer)) {
        return 0;
    }
    CLEANUP_FREE char *tmp = xasprintf("%s/tmp/layer-%s", im->root, diff_hex);
    CLEANUP_FREE char *layers = xasprintf("%s/layers", im->root);
    char found[IMAGE_HEX_SIZE];
    int rc = fs_remove_tree(tmp, err);
    rc = rc != 0 ? rc : image_layer_unpack(blob_path, blob_hex, diff_hex, tmp, found, im->cancel, err);
    if (rc == 0 && rename(tmp, layer) != 0) {
        rc = error_set_errno(err, errno, "cannot rename %s to %s", tmp, layer);
    }
    if (rc != 0) {
        fs_remove_tree(tmp, NULL);
        return rc;
    }
    fs_sync_dir(layers);
    return 0;
}

static void add_ref(struct image_found *f, const char *ref)
{
    for (unsigned i = 0; i < f->refs_count; i++) {
        if (strcmp(f->refs[i], ref) == 0) {
            return;
        }
    }
    f->refs = xrealloc(f->refs, (f->refs_count + 2) * sizeof *f->refs);
    f->refs[f->refs_count++] = xstrdup(ref);
    f->refs[f->refs_count] = NULL;
}

/* name as somebody wrote it; malformed ones are left out, the image can still be found by its id. */
static void add_name(struct image_found *f, struct str name)
{
    char ref[IMAGE_REF_MAX];
    if (name.n > 0 && image_name_normalise(name, ref, NULL) == 0) {
        add_ref(f, ref);
    }
}

/* What can be had again says so, and since when it is here (gc.h). */
static int mark(const struct import *im, const char *marker, struct error *err)
{
    char text[64];
    bool there = fs_read_line(marker, text, sizeof text) || fs_exists(marker);
    bool was_pulled = there && strncmp(text, "pulled ", 7) == 0;
    if (there && was_pulled == im->pulled) {
        return 0;
    }
    CLEANUP_FREE char *pulled = xasprintf("pulled %lld\n", (long long)env_wall_ms(env_real()));
    return fs_write_file(marker, im->pulled ? str_of(pulled) : STR_NONE, 0644, true, err);
}

/* The last steps: marker, then names. */
static int publish(struct import *im, struct image_found *f, struct error *err)
{
    CLEANUP_FREE char *marker = xasprintf("%s/images/%s", im->root, f->manifest_hex);
    CLEANUP_FREE char *content = xasprintf("sha256:%s\n", f->manifest_hex);
    int rc = mark(im, marker, err);
    for (unsigned i = 0; rc == 0 && i < f->refs_count; i++) {
        CLEANUP_FREE char *escaped = image_ref_escape(f->refs[i]);
        CLEANUP_FREE char *path = xasprintf("%s/refs/%s", im->root, escaped);
        rc = fs_write_file(path, str_of(content), 0644, true, err);
    }
    return rc;
}

static struct image_found *found_new(const char *manifest_hex)
{
    struct image_found *f = xcalloc(1, sizeof *f);
    list_init(&f->link);
    strcpy(f->manifest_hex, manifest_hex);
    f->refs = xcalloc(1, sizeof *f->refs);
    return f;
}

static int finish_image(struct import *im, struct image_found *f, struct error *err)
{
    list_push_back(im->found, &f->link);
    return publish(im, f, err);
}

/* ---- OCI ---- */

/* Layers and config of an OCI (or docker schema 2) manifest. */
static int import_manifest_content(struct import *im, const struct value *manifest, struct error *err)
{
    char config_hex[IMAGE_HEX_SIZE], blob_hex[IMAGE_HEX_SIZE], diff_hex[IMAGE_HEX_SIZE], name[128], path[FS_PATH_MAX];
    CLEANUP_BUF struct buf config_bytes = BUF_INIT;
    struct value *config;
    if (!image_digest_hex(value_path_str(manifest, "config.digest"), config_hex)) {
        return error_set(err, ERR_INVALID, "the manifest names no config with a sha256 digest");
    }
    int rc = read_blob(im, config_hex, &config_bytes, err);
    rc = rc != 0 ? rc : parse_json(im, &config_bytes, "the image's config", &config, err);
    rc = rc != 0 ? rc : store_blob(im, config_hex, &config_bytes, err);
    if (rc != 0) {
        return rc;
    }
    const struct value *layers = value_get(manifest, "layers"), *diffs = value_path(config, "rootfs.diff_ids");
    if (!value_is_list(layers) || value_is_map(diffs) || value_count(layers) != value_count(diffs) ||
        value_count(layers) > IMAGE_LAYERS_MAX) {
        return error_set(err, ERR_INVALID, "the manifest has %u layers, the config %u (at most %u)",
                         value_count(layers), value_count(diffs), IMAGE_LAYERS_MAX);
    }
    VALUE_FOR(i, layers)
    {
        if (!image_digest_hex(value_to_str(value_get(value_item(layers, i), "digest")), blob_hex) ||
            !image_digest_hex(value_to_str(value_item(diffs, i)), diff_hex)) {
            return error_set(err, ERR_INVALID, "layer %u has no sha256 digest", i);
        }
        CLEANUP_FREE char *there = xasprintf("%s/layers/%s", im->root, diff_hex);
        if (fs_exists(there)) {
            continue; /* shared with an image that is here */
        }
        snprintf(name, sizeof name, "blobs/sha256/%s", blob_hex);
        rc = layout_file(im, name, path, err);
        rc = rc != 0 ? rc : store_layer(im, path, blob_hex, diff_hex, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* Names of an entry of index.json: containerd writes the full name, others a name or only a tag. */
static void name_from_entry(struct import *im, const struct value *entry, struct image_found *f)
{
    const struct value *notes = value_get(entry, "annotations");
    struct str full = value_to_str(value_get(notes, "io.containerd.image.name"));
    struct str ref = value_to_str(value_get(notes, "org.opencontainers.image.ref.name"));
    if (full.n > 0) {
        add_name(f, full);
        return;
    }
    if (ref.n == 0) {
        return;
    }
    if (memchr(ref.p, ':', ref.n) != NULL || memchr(ref.p, '/', ref.n) != NULL) {
        add_name(f, ref);
        return;
    }
    CLEANUP_FREE char *named = xasprintf("%s:%.*s", im->base, STR_ARG(ref));
    add_name(f, str_of(named));
}

static int import_index(struct import *im, const struct value *index, const struct value *outer, unsigned depth,
                        struct error *err);

static int import_entry(struct import *im, const struct value *entry, const struct value *named, unsigned depth,
                        struct error *err)
{
    char hex[IMAGE_HEX_SIZE];
    CLEANUP_BUF struct buf bytes = BUF_INIT;
    struct value *doc;
    if (!image_digest_hex(value_to_str(value_get(entry, "digest")), hex)) {
        return error_set(err, ERR_INVALID, "an entry of the index has no sha256 digest");
    }
    int rc = read_blob(im, hex, &bytes, err);
    rc = rc != 0 ? rc : parse_json(im, &bytes, "the manifest", &doc, err);
    if (rc != 0) {
        return rc;
    }
    if (value_is_list(value_get(doc, "manifests"))) {
        return depth == 0 ? error_set(err, ERR_INVALID, "indexes are nested too deeply")
                          : import_index(im, doc, named, depth - 1, err);
    }
    rc = import_manifest_content(im, doc, err);
    rc = rc != 0 ? rc : store_blob(im, hex, &bytes, err);
    if (rc != 0) {
        return rc;
    }
    struct image_found *f = found_new(hex);
    name_from_entry(im, named, f);
    return finish_image(im, f, err);
}

/* outer: the entry that named this index (a list of platforms: one is chosen), NULL for index.json itself (all are
 * taken). */
static int import_index(struct import *im, const struct value *index, const struct value *outer, unsigned depth,
                        struct error *err)
{
    const struct value *entries = value_get(index, "manifests");
    unsigned taken = 0;
    VALUE_FOR(i, entries)
    {
        const struct value *entry = value_item(entries, i);
        struct str arch = value_path_str(entry, "platform.architecture"), os = value_path_str(entry, "platform.os");
        if ((arch.n > 0 && !str_is(arch, machine_arch())) || (os.n > 0 && !str_is(os, "linux"))) {
            continue;
        }
        int rc = import_entry(im, entry, outer != NULL ? outer : entry, depth, err);
        if (rc != 0) {
            return rc;
        }
        taken++;
        if (outer != NULL) {
            break;
        }
    }
    return taken > 0 ? 0 : error_set(err, ERR_INVALID, "there is no image for linux/%s in it", machine_arch());
}

/* ---- `docker save` without a layout ---- */

static int docker_layers(struct import *im, const struct value *names, const struct value *diffs, struct error *err)
{
    if (value_is_map(names) || value_is_map(diffs) || value_count(names) != value_count(diffs) ||
        value_count(names) > IMAGE_LAYERS_MAX) {
        return error_set(err, ERR_INVALID, "manifest.json has %u layers, the config %u (at most %u)",
                         value_count(names), value_count(diffs), IMAGE_LAYERS_MAX);
    }
    VALUE_FOR(i, names)
    {
        char path[FS_PATH_MAX], diff_hex[IMAGE_HEX_SIZE];
        CLEANUP_FREE char *name = xasprintf("%.*s", STR_ARG(value_to_str(value_item(names, i))));
        if (!image_digest_hex(value_to_str(value_item(diffs, i)), diff_hex)) {
            return error_set(err, ERR_INVALID, "layer %u has no sha256 digest", i);
        }
        int rc = layout_file(im, name, path, err);
        rc = rc != 0 ? rc : store_layer(im, path, NULL, diff_hex, err);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* Docker archives carry no manifest with digests: one is written, in a fixed form, so that the same image gets the
 * same digest. */
static int docker_manifest(struct import *im, const char *config_hex, const struct value *diffs,
                           char hex[IMAGE_HEX_SIZE], struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_printf(&b, "{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:%s\"},\"layers\":[", config_hex);
    VALUE_FOR(i, diffs)
    {
        buf_printf(&b, "%s{\"digest\":\"%.*s\"}", i == 0 ? "" : ",", STR_ARG(value_to_str(value_item(diffs, i))));
    }
    buf_puts(&b, "]}");
    image_sha256(b.data, b.size, hex);
    return store_blob(im, hex, &b, err);
}

static int import_docker_entry(struct import *im, const struct value *entry, struct error *err)
{
    char config_hex[IMAGE_HEX_SIZE], manifest_hex[IMAGE_HEX_SIZE];
    CLEANUP_BUF struct buf bytes = BUF_INIT;
    CLEANUP_FREE char *name = xasprintf("%.*s", STR_ARG(value_to_str(value_get(entry, "Config"))));
    struct value *config;
    int rc = read_layout_file(im, name, &bytes, err);
    rc = rc != 0 ? rc : parse_json(im, &bytes, name, &config, err);
    if (rc != 0) {
        return rc;
    }
    image_sha256(bytes.data, bytes.size, config_hex);
    const struct value *diffs = value_path(config, "rootfs.diff_ids");
    rc = docker_layers(im, value_get(entry, "Layers"), diffs, err);
    rc = rc != 0 ? rc : store_blob(im, config_hex, &bytes, err);
    rc = rc != 0 ? rc : docker_manifest(im, config_hex, diffs, manifest_hex, err);
    if (rc != 0) {
        return rc;
    }
    struct image_found *f = found_new(manifest_hex);
    const struct value *tags = value_get(entry, "RepoTags");
    VALUE_FOR(i, tags)
    {
        add_name(f, value_to_str(value_item(tags, i)));
    }
    return finish_image(im, f, err);
}

/* ---- One archive or layout ---- */

static int import_layout(struct import *im, struct error *err)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT;
    struct value *doc;
    CLEANUP_FREE char *index = xasprintf("%s/index.json", im->layout);
    CLEANUP_FREE char *docker = xasprintf("%s/manifest.json", im->layout);
    /* Newer docker archives are layouts too, but only manifest.json has the names in full. */
    if (fs_exists(docker)) {
        int rc = read_layout_file(im, "manifest.json", &bytes, err);
        rc = rc != 0 ? rc : parse_json(im, &bytes, "manifest.json", &doc, err);
        VALUE_FOR(i, rc == 0 ? doc : NULL)
        {
            rc = rc != 0 ? rc : import_docker_entry(im, value_item(doc, i), err);
        }
        return rc;
    }
    if (!fs_exists(index)) {
        return error_set(err, ERR_INVALID,
                         "it is neither an OCI layout (no index.json) nor a docker archive (no manifest.json)");
    }
    int rc = read_layout_file(im, "index.json", &bytes, err);
    rc = rc != 0 ? rc : parse_json(im, &bytes, "index.json", &doc, err);
    return rc != 0 ? rc : import_index(im, doc, NULL, INDEX_DEPTH_MAX, err);
}

/* The caller's name goes to the only image, beside or instead of its own. */
static int give_name(struct import *im, struct error *err)
{
    char ref[IMAGE_REF_MAX];
    if (im->name == NULL || im->name[0] == '\0' || list_empty(im->found) || im->found->next != im->found->prev) {
        return 0;
    }
    int rc = image_name_normalise(str_of(im->name), ref, err);
    if (rc != 0) {
        return rc;
    }
    struct image_found *f = LIST_ENTRY(im->found->next, struct image_found, link);
    add_ref(f, ref);
    return publish(im, f, err);
}

int image_import(const char *root, const char *path, const char *name, bool pulled, const atomic_bool *cancel,
                 struct list *found, struct error *err)
{
    struct import im = {.root = root, .name = name, .pulled = pulled, .cancel = cancel};
    struct list mine;
    struct stat st;
    list_init(&mine);
    im.found = &mine;
    if (stat(path, &st) != 0) {
        return error_set_errno(err, errno, "cannot load %s", path);
    }
    /* "DIR/nginx-1.22.tar" -> "nginx-1.22" */
    CLEANUP_FREE char *base = xstrdup(strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1);
    char *ending = strstr(base, ".tar");
    if (ending != NULL) {
        *ending = '\0';
    }
    im.base = base;
    CLEANUP_FREE char *tmp = xasprintf("%s/tmp/load-XXXXXX", root);
    bool extracted = !S_ISDIR(st.st_mode);
    int rc = 0;
    if (extracted) {
        rc = mkdtemp(tmp) == NULL ? error_set_errno(err, errno, "cannot make %s", tmp)
                                  : extract_archive(&im, path, tmp, err);
    }
    CLEANUP_FREE char *real = realpath(extracted ? tmp : path, NULL);
    arena_init(&im.arena);
    if (rc == 0 && (real == NULL || strlen(real) >= sizeof im.layout)) {
        rc = error_set_errno(err, errno, "cannot resolve %s", path);
    }
    if (rc == 0) {
        strcpy(im.layout, real);
        rc = import_layout(&im, err);
        rc = rc != 0 ? rc : give_name(&im, err);
        if (rc != 0) {
            error_wrap(err, "cannot load %s", path);
        }
    }
    arena_close(&im.arena);
    if (extracted) {
        fs_remove_tree(tmp, NULL);
    }
    LIST_FOR_SAFE(it, &mine)
    {
        list_remove(it);
        list_push_back(found, it);
    }
    return rc;
}
