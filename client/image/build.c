#include "client/image/build.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/machine.h"
#include "proto/text/text.h"

/* Blobs gather in a flat directory beside the archive, work/HEX; at the end they go into the archive in the order in
 * which the manifest names them. */

#define JSON_BYTES_MAX (4u << 20) /* as the node takes them */
#define MEDIA          "application/vnd.oci.image."

struct one_layer {
    char hex[LAYER_HEX_SIZE], diff_hex[LAYER_HEX_SIZE];
    const char *media_type;
    uint64_t size_bytes;
};
struct building {
    const struct build_spec *spec;
    struct arena arena;
    char *work;
    struct one_layer layers[BUILD_LAYERS_MAX];
    unsigned layers_count;
    struct value *config; /* of `from`, or a new one */
    void (*tell)(void *data, const char *text);
    void *data;
};

static void __attribute__((format(printf, 2, 3))) tell(struct building *b, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (b->tell != NULL) {
        b->tell(b->data, text);
    }
}

/* ---- Files of the work ---- */

static int write_file(const char *path, struct str bytes, struct error *err)
{
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return error_set_errno(err, errno, "create %s", path);
    }
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR) {
            return error_set_errno(err, errno, "write %s", path);
        }
        bytes.p += n > 0 ? n : 0;
        bytes.n -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int read_blob(struct building *b, const char *hex, struct value **out, struct error *err)
{
    CLEANUP_FREE char *path = xasprintf("%s/%s", b->work, hex);
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    CLEANUP_BUF struct buf text = BUF_INIT;
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0 && text.size <= JSON_BYTES_MAX) {
        n = read(fd, buf_reserve(&text, 64u << 10), 64u << 10);
        text.size += n > 0 ? (size_t)n : 0;
    }
    if (n < 0 || text.size > JSON_BYTES_MAX) {
        return error_set(err, ERR_INVALID, "%s: sha256:%.12s is missing in it", b->spec->from, hex);
    }
    return json_read(&b->arena, buf_str(&text), out, err);
}

/* The document as a blob; its digest. */
static int put_blob(struct building *b, const struct value *doc, char hex[LAYER_HEX_SIZE], uint64_t *size,
                    struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    json_write(&text, doc, 0);
    sha256_hex(text.data, text.size, hex);
    *size = text.size;
    CLEANUP_FREE char *path = xasprintf("%s/%s", b->work, hex);
    return write_file(path, buf_str(&text), err);
}

static void remove_work(const char *work)
{
    DIR *d = opendir(work);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d != NULL) {
        closedir(d);
    }
    rmdir(work);
}

/* ---- What lies below ---- */

static bool digest_hex(struct str s, char hex[LAYER_HEX_SIZE])
{
    if (s.n != 7 + 64 || !str_starts(s, STR("sha256:"))) {
        return false;
    }
    for (size_t i = 7; i < s.n; i++) {
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f'))) {
            return false;
        }
    }
    memcpy(hex, s.p + 7, 64);
    hex[64] = '\0';
    return true;
}

static int copy_out(struct archive *from, int fd, const char *path, struct error *err)
{
    return archive_read_data_into_fd(from, fd) == ARCHIVE_OK
               ? 0
               : error_set(err, ERR_CORRUPT, "%s cannot be read: %s", path, archive_error_string(from));
}

/* index.json and the blobs into the work. */
static int unpack_from(struct building *b, struct buf *index, struct error *err)
{
    const char *path = b->spec->from;
    struct archive *from = archive_read_new();
    struct archive_entry *e;
    archive_read_support_filter_gzip(from); /* not all: for some of them programs are run */
    archive_read_support_filter_zstd(from);
    archive_read_support_filter_xz(from);
    archive_read_support_format_tar(from);
    int rc = 0, ar = archive_read_open_filename(from, path, 256 << 10);
    while (rc == 0 && ar >= ARCHIVE_WARN && (ar = archive_read_next_header(from, &e)) >= ARCHIVE_WARN &&
           ar != ARCHIVE_EOF) {
        const char *name = archive_entry_pathname(e);
        name = name == NULL ? "" : strncmp(name, "./", 2) == 0 ? name + 2 : name;
        char hex[LAYER_HEX_SIZE];
        CLEANUP_FREE char *digest = strncmp(name, "blobs/sha256/", 13) == 0 ? xasprintf("sha256:%s", name + 13) : NULL;
        if (strcmp(name, "index.json") == 0 && archive_entry_size(e) <= (la_int64_t)JSON_BYTES_MAX) {
            size_t n = (size_t)archive_entry_size(e);
            la_ssize_t got = archive_read_data(from, buf_reserve(index, n), n);
            index->size = got > 0 ? (size_t)got : 0;
        } else if (digest != NULL && archive_entry_filetype(e) == AE_IFREG && digest_hex(str_of(digest), hex)) {
            CLEANUP_FREE char *file = xasprintf("%s/%s", b->work, hex);
            CLEANUP_CLOSE int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
            rc = fd < 0 ? error_set_errno(err, errno, "create %s", file) : copy_out(from, fd, path, err);
        }
    }
    if (rc == 0 && ar != ARCHIVE_EOF) {
        rc = error_set(err, ERR_INVALID, "%s cannot be read: %s", path, archive_error_string(from));
    } else if (rc == 0 && index->size == 0) {
        rc = error_set(err, ERR_INVALID, "%s is no OCI archive: there is no index.json in it", path);
    }
    archive_read_free(from);
    return rc;
}

static int take_from(struct building *b, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    char hex[LAYER_HEX_SIZE], config_hex[LAYER_HEX_SIZE];
    struct value *index, *manifest;
    int rc = unpack_from(b, &text, err);
    rc = rc != 0 ? rc : json_read(&b->arena, buf_str(&text), &index, err);
    if (rc != 0) {
        return rc;
    }
    const struct value *entries = value_get(index, "manifests");
    if (value_count(entries) != 1 || !digest_hex(value_path_str(value_item(entries, 0), "digest"), hex)) {
        return error_set(err, ERR_INVALID, "%s holds %u images; one is needed", b->spec->from, value_count(entries));
    }
    rc = read_blob(b, hex, &manifest, err);
    if (rc == 0 && !digest_hex(value_path_str(manifest, "config.digest"), config_hex)) {
        rc = error_set(err, ERR_INVALID, "%s holds no image for one platform", b->spec->from);
    }
    rc = rc != 0 ? rc : read_blob(b, config_hex, &b->config, err);
    const struct value *layers = rc == 0 ? value_get(manifest, "layers") : NULL;
    const struct value *diffs = rc == 0 ? value_path(b->config, "rootfs.diff_ids") : NULL;
    if (rc == 0 && (!value_is_map(b->config) || value_count(layers) != value_count(diffs) ||
                    value_count(layers) >= BUILD_LAYERS_MAX)) {
        rc = error_set(err, ERR_INVALID, "%s: its layers and its configuration do not agree", b->spec->from);
    }
    for (unsigned i = 0; rc == 0 && i < value_count(layers); i++) {
        struct one_layer *l = &b->layers[b->layers_count++];
        const struct value *v = value_item(layers, i);
        struct str media = value_to_str(value_get(v, "mediaType"));
        CLEANUP_FREE char *file = NULL;
        struct stat st;
        l->media_type = arena_strndup(&b->arena, media.p == NULL ? "" : media.p, media.n);
        if (!digest_hex(value_to_str(value_get(v, "digest")), l->hex) ||
            !digest_hex(value_to_str(value_item(diffs, i)), l->diff_hex)) {
            return error_set(err, ERR_INVALID, "%s: layer %u has no sha256 digest", b->spec->from, i);
        }
        file = xasprintf("%s/%s", b->work, l->hex);
        if (stat(file, &st) != 0) {
            return error_set(err, ERR_INVALID, "%s: layer sha256:%.12s is missing in it", b->spec->from, l->hex);
        }
        l->size_bytes = (uint64_t)st.st_size;
    }
    return rc;
}

/* ---- Layers ---- */

typedef int fill_fn(struct building *b, struct layer *l, const void *what, struct error *err);

static int add_layer(struct building *b, fill_fn *fill, const void *what, struct error *err)
{
    CLEANUP_FREE char *tmp = xasprintf("%s/layer", b->work);
    struct layer_digests d;
    struct layer *l;
    if (b->layers_count == BUILD_LAYERS_MAX) {
        return error_set(err, ERR_TOO_LARGE, "an image has at most %u layers", BUILD_LAYERS_MAX);
    }
    int rc = layer_begin(tmp, &l, err);
    if (rc != 0) {
        return rc;
    }
    rc = fill(b, l, what, err);
    if (rc != 0) {
        layer_abort(l);
        return rc;
    }
    rc = layer_finish(l, &d, err);
    CLEANUP_FREE char *path = xasprintf("%s/%s", b->work, d.blob_hex);
    if (rc == 0 && rename(tmp, path) != 0) {
        rc = error_set_errno(err, errno, "rename %s", tmp);
    }
    struct one_layer *out = &b->layers[b->layers_count++];
    memcpy(out->hex, d.blob_hex, sizeof(out->hex));
    memcpy(out->diff_hex, d.diff_hex, sizeof(out->diff_hex));
    out->media_type = MEDIA "layer.v1.tar+gzip";
    out->size_bytes = d.size_bytes;
    return rc;
}

static int fill_packages(struct building *b, struct layer *l, const void *what, struct error *err)
{
    (void)what;
    return build_packages(b->spec, b->work, l, err);
}

static int fill_directory(struct building *b, struct layer *l, const void *what, struct error *err)
{
    static const struct layer_owner root = {0, 0};
    const char *path = what;
    struct stat st;
    if (stat(path, &st) != 0) {
        return error_set_errno(err, errno, "%s", path);
    }
    if (!S_ISDIR(st.st_mode)) {
        return error_set(err, ERR_INVALID, "%s is no directory: a root file system is needed, or -f FILE", path);
    }
    return layer_tree(l, path, "", b->spec->keep_owners ? NULL : &root, 0, err);
}

static int fill_files(struct building *b, struct layer *l, const void *what, struct error *err)
{
    int rc = 0;
    (void)what;
    for (unsigned i = 0; rc == 0 && i < b->spec->files_count; i++) {
        const struct build_file *f = &b->spec->files[i];
        if (f->link != NULL) {
            rc = layer_link(l, f->to, f->link, err);
        } else if (f->text != NULL) {
            rc = layer_text(l, f->to, f->mode == 0 ? 0644 : f->mode, f->owner, str_of(f->text), err);
        } else if (f->from != NULL) {
            rc = layer_tree(l, f->from, f->to, b->spec->keep_owners ? NULL : &f->owner, f->mode, err);
        } else {
            rc = layer_directory(l, f->to, f->mode == 0 ? 0755 : f->mode, f->owner, err);
        }
    }
    return rc;
}

static int add_layers(struct building *b, struct error *err)
{
    const struct build_spec *s = b->spec;
    int rc = 0;
    if (s->packages != NULL && s->packages[0] != NULL) {
        tell(b, "unpacking packages");
        rc = add_layer(b, fill_packages, NULL, err);
    }
    for (const char *const *d = s->dirs; rc == 0 && d != NULL && *d != NULL; d++) {
        tell(b, "packing %s", *d);
        rc = add_layer(b, fill_directory, *d, err);
    }
    return rc == 0 && s->files_count > 0 ? add_layer(b, fill_files, NULL, err) : rc;
}

/* ---- Configuration ---- */

static void set_list(struct building *b, struct value *map, const char *key, const char *const *list)
{
    if (list == NULL) {
        return;
    }
    struct value *v = value_list(&b->arena);
    for (; *list != NULL; list++) {
        value_append(&b->arena, v, value_cstr(&b->arena, *list));
    }
    value_set(&b->arena, map, key, v);
}

static void set_text(struct building *b, struct value *map, const char *key, const char *text)
{
    if (text != NULL) {
        value_set(&b->arena, map, key, value_cstr(&b->arena, text));
    }
}

/* Name by name over what is there. */
static void add_variables(struct building *b, struct value *map, const char *const *env)
{
    struct value *list = value_ensure_list(&b->arena, map, "Env");
    for (; env != NULL && *env != NULL; env++) {
        size_t n = strcspn(*env, "=") + 1;
        for (unsigned i = value_count(list); i > 0; i--) {
            if (str_starts(value_to_str(value_item(list, i - 1)), (struct str){*env, n})) {
                value_remove_at(list, i - 1);
            }
        }
        value_append(&b->arena, list, value_cstr(&b->arena, *env));
    }
}

static void make_config(struct building *b)
{
    const struct build_spec *s = b->spec;
    struct arena *a = &b->arena;
    static const char *const path[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    bool anew = b->config == NULL;
    b->config = anew ? value_map(a) : b->config;
    value_set(a, b->config, "architecture", value_cstr(a, machine_arch()));
    value_set(a, b->config, "os", value_cstr(a, "linux"));
    struct value *c = value_ensure_map(a, b->config, "config");
    add_variables(b, c, anew ? path : NULL);
    add_variables(b, c, s->env);
    if (s->entrypoint != NULL && s->cmd == NULL) {
        value_remove(c, "Cmd"); /* they were words for another program */
    }
    set_list(b, c, "Entrypoint", s->entrypoint);
    set_list(b, c, "Cmd", s->cmd);
    set_text(b, c, "WorkingDir", s->workdir);
    set_text(b, c, "User", s->user);
    set_text(b, c, "StopSignal", s->stop_signal);
    for (const char *const *p = s->ports; p != NULL && *p != NULL; p++) {
        value_set(a, value_ensure_map(a, c, "ExposedPorts"), *p, value_map(a));
    }
    for (const char *const *l = s->labels; l != NULL && *l != NULL; l++) {
        size_t n = strcspn(*l, "=");
        const char *text = (*l)[n] == '=' ? *l + n + 1 : "";
        value_set_str_key(a, value_ensure_map(a, c, "Labels"), (struct str){*l, n}, value_cstr(a, text));
    }
    struct value *rootfs = value_map(a), *diffs = value_list(a);
    for (unsigned i = 0; i < b->layers_count; i++) {
        value_append(a, diffs, value_strf(a, "sha256:%s", b->layers[i].diff_hex));
    }
    value_set(a, rootfs, "type", value_cstr(a, "layers"));
    value_set(a, rootfs, "diff_ids", diffs);
    value_set(a, b->config, "rootfs", rootfs);
    value_remove(b->config, "history"); /* of the layers below alone: it would not fit */
}

/* ---- The archive ---- */

static struct value *descriptor(struct building *b, const char *media_type, const char *hex, uint64_t size)
{
    struct value *v = value_map(&b->arena);
    set_text(b, v, "mediaType", media_type);
    value_set(&b->arena, v, "digest", value_strf(&b->arena, "sha256:%s", hex));
    value_set(&b->arena, v, "size", value_int(&b->arena, (int64_t)size));
    return v;
}

struct blobs { /* of the archive, each once */
    char hex[BUILD_LAYERS_MAX + 2][LAYER_HEX_SIZE];
    unsigned count;
};

static void want_blob(struct blobs *w, const char *hex)
{
    for (unsigned i = 0; i < w->count; i++) {
        if (strcmp(w->hex[i], hex) == 0) {
            return;
        }
    }
    snprintf(w->hex[w->count++], LAYER_HEX_SIZE, "%s", hex);
}

static int put_entry(struct archive *a, const char *name, const char *path, struct str text, struct error *err)
{
    struct archive_entry *e = archive_entry_new();
    struct stat st = {.st_size = (off_t)text.n};
    CLEANUP_CLOSE int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    char chunk[64u << 10];
    if (path != NULL && (fd < 0 || fstat(fd, &st) != 0)) {
        archive_entry_free(e);
        return error_set_errno(err, errno, "read %s", path);
    }
    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_mtime(e, 0, 0);
    archive_entry_set_size(e, st.st_size);
    bool ok = archive_write_header(a, e) == ARCHIVE_OK;
    archive_entry_free(e);
    ok = ok && (text.n == 0 || archive_write_data(a, text.p, text.n) >= 0);
    for (ssize_t n = 1; ok && fd >= 0 && n > 0;) {
        n = read(fd, chunk, sizeof(chunk));
        ok = n >= 0 && (n == 0 || archive_write_data(a, chunk, (size_t)n) >= 0);
    }
    return ok ? 0
              : error_set(err, archive_errno(a) == ENOSPC ? ERR_NO_SPACE : ERR_IO, "write the archive: %s",
                          archive_error_string(a) == NULL ? strerror(errno) : archive_error_string(a));
}

static int write_archive(struct building *b, const char *path, const struct blobs *w, const struct value *index,
                         struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct archive *a = archive_write_new();
    archive_write_set_format_pax_restricted(a);
    json_write(&text, index, 0);
    int rc = archive_write_open_filename(a, path) != ARCHIVE_OK
                 ? error_set(err, ERR_IO, "create %s: %s", path, archive_error_string(a))
                 : 0;
    rc = rc != 0 ? rc : put_entry(a, "oci-layout", NULL, STR("{\"imageLayoutVersion\":\"1.0.0\"}"), err);
    rc = rc != 0 ? rc : put_entry(a, "index.json", NULL, buf_str(&text), err);
    for (unsigned i = 0; rc == 0 && i < w->count; i++) {
        CLEANUP_FREE char *name = xasprintf("blobs/sha256/%s", w->hex[i]);
        CLEANUP_FREE char *file = xasprintf("%s/%s", b->work, w->hex[i]);
        rc = put_entry(a, name, file, STR_NONE, err);
    }
    if (archive_write_close(a) != ARCHIVE_OK && rc == 0) {
        rc = error_set(err, ERR_IO, "write %s: %s", path, archive_error_string(a));
    }
    archive_write_free(a);
    return rc;
}

static int finish(struct building *b, const char *path, struct build_result *out, struct error *err)
{
    struct arena *a = &b->arena;
    struct value *manifest = value_map(a), *layers = value_list(a), *index = value_map(a), *entries = value_list(a);
    char config_hex[LAYER_HEX_SIZE];
    uint64_t size;
    struct blobs w = {.count = 0};
    struct stat st;
    make_config(b);
    int rc = put_blob(b, b->config, config_hex, &size, err);
    value_set(a, manifest, "schemaVersion", value_int(a, 2));
    set_text(b, manifest, "mediaType", MEDIA "manifest.v1+json");
    value_set(a, manifest, "config", descriptor(b, MEDIA "config.v1+json", config_hex, size));
    for (unsigned i = 0; i < b->layers_count; i++) {
        value_append(a, layers, descriptor(b, b->layers[i].media_type, b->layers[i].hex, b->layers[i].size_bytes));
        want_blob(&w, b->layers[i].hex);
    }
    value_set(a, manifest, "layers", layers);
    rc = rc != 0 ? rc : put_blob(b, manifest, out->digest_hex, &size, err);
    want_blob(&w, config_hex);
    want_blob(&w, out->digest_hex);
    struct value *entry = descriptor(b, MEDIA "manifest.v1+json", out->digest_hex, size), *notes = value_map(a);
    set_text(b, notes, "org.opencontainers.image.ref.name", b->spec->name);
    value_set(a, entry, "annotations", notes);
    value_append(a, entries, entry);
    value_set(a, index, "schemaVersion", value_int(a, 2));
    value_set(a, index, "manifests", entries);
    CLEANUP_FREE char *tmp = xasprintf("%s/archive", b->work);
    rc = rc != 0 ? rc : write_archive(b, tmp, &w, index, err);
    if (rc == 0 && (stat(tmp, &st) != 0 || rename(tmp, path) != 0)) {
        rc = error_set_errno(err, errno, "rename %s to %s", tmp, path);
    }
    out->size_bytes = rc == 0 ? (uint64_t)st.st_size : 0;
    out->layers = b->layers_count;
    return rc;
}

/* ---- All of it ---- */

/* Close to what nodes take, so that a slip is told here: NAME[:TAG], small letters, no scheme. */
static int check_name(const char *name, struct error *err)
{
    static const char usual[] = "abcdefghijklmnopqrstuvwxyz0123456789._-/:";
    const char *slash = strrchr(name, '/'), *colon = strrchr(slash == NULL ? name : slash, ':');
    size_t n = colon == NULL ? strlen(name) : (size_t)(colon - name);
    if (strstr(name, "://") != NULL) {
        return error_set(err, ERR_INVALID, "\"%s\": an image's name stands without %.*s//", name,
                         (int)(strstr(name, "://") - name + 1), name);
    }
    if (n == 0 || strspn(name, usual) < n || (colon != NULL && (colon[1] == '\0' || strlen(colon) > 129))) {
        return error_set(err, ERR_INVALID, "\"%s\" is no name of an image: small letters and a tag, as in app/web:1.0",
                         name);
    }
    return 0;
}

static int check(const struct build_spec *s, struct error *err)
{
    bool packages = s->packages != NULL && s->packages[0] != NULL;
    if (s->name == NULL) {
        return error_set(err, ERR_USAGE, "what is the image called? -t NAME:TAG");
    }
    if (!packages && (s->dirs == NULL || s->dirs[0] == NULL) && s->files_count == 0 && s->from == NULL) {
        return error_set(err, ERR_USAGE, "of what? A directory, --packages, or -f FILE that says it");
    }
    if (s->users_count > 0 && !packages) {
        return error_set(err, ERR_INVALID, "users go with packages; a directory brings its own /etc/passwd");
    }
    for (const char *const *p = s->packages; p != NULL && *p != NULL; p++) {
        if (**p == '\0' || strspn(*p, "abcdefghijklmnopqrstuvwxyz0123456789+-.:") != strlen(*p)) {
            return error_set(err, ERR_INVALID, "\"%s\" is no name of a package", *p);
        }
    }
    return check_name(s->name, err);
}

int build_image(const struct build_spec *s, const char *path, void (*tell_fn)(void *data, const char *text), void *data,
                struct build_result *out, struct error *err)
{
    struct building *b = xcalloc(1, sizeof(*b));
    const char *slash = strrchr(path, '/');
    int rc = check(s, err);
    *b = (struct building){.spec = s, .tell = tell_fn, .data = data};
    b->work = xasprintf("%.*s.build-XXXXXX", slash == NULL ? 0 : (int)(slash - path) + 1, path);
    arena_init(&b->arena);
    if (rc == 0 && mkdtemp(b->work) == NULL) {
        rc = error_set_errno(err, errno, "make a directory for the work, %s", b->work);
    } else if (rc == 0) {
        rc = s->from != NULL ? take_from(b, err) : 0;
        rc = rc != 0 ? rc : add_layers(b, err);
        rc = rc != 0 ? rc : finish(b, path, out, err);
        remove_work(b->work);
    }
    arena_close(&b->arena);
    free(b->work);
    free(b);
    return rc;
}
